//! Stacks under one name, with their tables, and how a service is told of them: a test's own share of the cloud, or the
//! local system's.

use std::collections::BTreeMap;

use anyhow::Context;
use aws_config::SdkConfig;
use futures_util::future::try_join_all;

use crate::aws::{CloudFormation, Cognito};
use crate::event_tap::EventTap;
use crate::judged::{Judge, Judged};
use crate::mail::{self, Mailbox};
use crate::stacks::{self, Applied, Change, Plan, Stack};
use crate::{aws, mirror};

/// Stacks under a name that nobody else uses, and the settings with which a service uses them.
///
/// Its clients' connections belong to the runtime that uses them first: a test's own, which is why each test makes its
/// own deployment. Nothing is taken down at the end; the whole cloud goes with the process.
pub struct Deployment {
    sdk: SdkConfig,
    tables: SdkConfig,
    settings: BTreeMap<String, String>,
    by_stack: BTreeMap<Stack, BTreeMap<String, String>>,
    changed: Change,
    older_tables: Vec<(String, Vec<String>)>,
    judged: Option<Judged>,
}

impl Deployment {
    /// Makes what `plan` says, or finds it, with its tables at the address `tables`.
    ///
    /// # Errors
    ///
    /// When a template is refused, or a table cannot be made alike.
    pub async fn of(plan: &Plan, tables: &str) -> anyhow::Result<Self> {
        let sdk = aws::config(&plan.endpoint);
        let elsewhere = aws::config(tables);
        let applied = stacks::apply(&CloudFormation::new(&sdk)?, plan).await?;
        let secret = service_client_secret(&sdk, applied.get(&Stack::Platform)).await?;
        let mut made = Self {
            sdk,
            tables: elsewhere,
            settings: endpoints(&plan.endpoint, tables),
            by_stack: BTreeMap::new(),
            changed: Change::None,
            older_tables: Vec::new(),
            judged: None,
        };
        made.settings.insert("SERVICE_CLIENT_SECRET".to_owned(), secret);
        for (stack, applied) in applied {
            let named = applied
                .outputs
                .iter()
                .map(|(key, value)| (stacks::setting(key), value.clone()));
            let of_stack: BTreeMap<_, _> = named.collect();
            made.settings.extend(of_stack.clone());
            made.by_stack.insert(stack, of_stack);
            made.changed = made.changed.max(applied.change);
        }
        if plan.endpoint == tables {
            made.turn_on_expiry().await?;
        } else {
            made.older_tables = made.mirror_tables().await?;
        }
        Ok(made)
    }

    /// The settings that the stacks' outputs are for, and those by which the AWS SDK finds the stand-ins.
    pub fn settings(&self) -> BTreeMap<String, String> {
        self.settings.clone()
    }

    /// One of [`Deployment::settings`].
    ///
    /// # Errors
    ///
    /// When the stacks that were asked for have no such output.
    pub fn setting(&self, name: &str) -> anyhow::Result<&str> {
        self.settings
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("no stack here puts out {name}"))
    }

    /// Reaches ministack: the bus, queues, topics and user pool.
    #[expect(
        clippy::unused_async,
        reason = "like the SDK's own loading of a configuration, which this stands in for"
    )]
    pub async fn sdk_config(&self) -> SdkConfig {
        self.sdk.clone()
    }

    /// A client for the tables, wherever they are.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.tables)
    }

    /// A client for the bus.
    pub fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.sdk)
    }

    /// A client for the queues.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.sdk)
    }

    /// Returns a client for the user pool.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be built.
    pub fn cognito(&self) -> anyhow::Result<Cognito> {
        Cognito::new(&self.sdk)
    }

    /// Listens to every event on the bus from now on.
    ///
    /// # Errors
    ///
    /// When its queue or rule cannot be made.
    pub async fn tap(&self) -> anyhow::Result<EventTap> {
        EventTap::on(&self.eventbridge(), self.sqs(), self.setting("EVENT_BUS")?).await
    }

    /// Has everything that is published on the bus from now on judged when this is dropped: what `judge` finds fails the
    /// test.
    ///
    /// # Errors
    ///
    /// When the bus cannot be listened to.
    pub async fn judged_by(mut self, judge: impl Judge) -> anyhow::Result<Self> {
        let tap = self.tap().await?;
        let endpoint = self.setting("AWS_ENDPOINT_URL")?.to_owned();
        self.judged = Some(Judged::new(endpoint, tap.queue().to_owned(), judge));
        Ok(self)
    }

    /// Listens to what the order service's topic would send by e-mail, from now on.
    ///
    /// # Errors
    ///
    /// When the order service's stack is not there, or the queue cannot be made.
    pub async fn mailbox(&self) -> anyhow::Result<Mailbox> {
        let topic = self.setting("NOTIFICATION_TOPIC_ARN")?;
        let client = CloudFormation::new(&self.sdk)?;
        let prefix = format!("m{}", uuid::Uuid::new_v4().simple());
        let applied = mail::subscribe(&client, &prefix, topic).await?;
        let queue = applied.outputs.get("MailboxQueueUrl").context("no MailboxQueueUrl")?;
        Ok(Mailbox::at(self.sqs(), queue.clone()))
    }

    /// The settings that one stack's outputs are for.
    pub(crate) fn settings_of(&self, stack: Stack) -> BTreeMap<String, String> {
        self.by_stack.get(&stack).cloned().unwrap_or_default()
    }

    /// Whether anything had to be made or changed.
    pub(crate) fn changed(&self) -> Change {
        self.changed
    }

    /// Tables that were there already and lack indexes of their templates, with those.
    pub(crate) fn older_tables(&self) -> &[(String, Vec<String>)] {
        &self.older_tables
    }

    /// Ministack leaves out what its templates say of expiry.
    async fn turn_on_expiry(&self) -> anyhow::Result<()> {
        let client = self.dynamodb();
        try_join_all(self.tables().map(|name| mirror::forget_expired(&client, name))).await?;
        Ok(())
    }

    fn tables(&self) -> impl Iterator<Item = &String> {
        self.settings
            .iter()
            .filter(|(setting, _)| setting.ends_with("_TABLE"))
            .map(|(_, name)| name)
    }

    /// Makes the tables that the stacks put out alike where the tables are; tells which were older.
    async fn mirror_tables(&self) -> anyhow::Result<Vec<(String, Vec<String>)>> {
        let from = aws_sdk_dynamodb::Client::new(&self.sdk);
        let to = self.dynamodb();
        let outcomes = try_join_all(self.tables().map(async |name| {
            let outcome = mirror::table(&from, &to, name).await?;
            anyhow::Ok((name, outcome))
        }));
        let older = outcomes.await?.into_iter().filter_map(|(name, outcome)| match outcome {
            mirror::Outcome::Older(missing) => Some((name.clone(), missing)),
            mirror::Outcome::Made | mirror::Outcome::Kept => None,
        });
        Ok(older.collect())
    }
}

fn endpoints(ministack: &str, tables: &str) -> BTreeMap<String, String> {
    [
        ("AWS_ENDPOINT_URL", ministack),
        ("AWS_ENDPOINT_URL_DYNAMODB", tables),
        ("AWS_REGION", aws::REGION),
        ("AWS_ACCESS_KEY_ID", aws::ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", aws::SECRET_ACCESS_KEY),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// No output of a stack, since outputs are no secrets.
async fn service_client_secret(sdk: &SdkConfig, platform: Option<&Applied>) -> anyhow::Result<String> {
    let output = |key: &str| {
        platform
            .and_then(|applied| applied.outputs.get(key))
            .with_context(|| format!("the platform's stack has no {key}"))
    };
    let cognito = Cognito::new(sdk)?;
    Ok(cognito
        .client_secret(output("UserPoolId")?, output("ServiceClientId")?)
        .await?)
}
