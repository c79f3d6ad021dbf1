//! The infrastructure: the CloudFormation templates of `deploy/aws`, applied to ministack, and what they put out.
//!
//! No template is read here: the stand-in for CloudFormation does that, as AWS does in production.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::aws::{CloudFormation, StackDescription, StackRequest};
use crate::loopback::LOOK_EVERY;
use crate::tools;

const SETTLES_WITHIN: Duration = Duration::from_secs(60);
/// Holds what a stack was last made from, so that one that is as it should be is left alone.
const FINGERPRINT: &str = "fingerprint";

/// One of the templates under `deploy/aws`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stack {
    /// The bus and the user pool. The others need its bus, so it always comes along.
    Platform,
    /// The product service's resources.
    Product,
    /// The basket service's resources.
    Basket,
    /// The order service's resources.
    Order,
}

impl Stack {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Platform, Self::Product, Self::Basket, Self::Order];

    /// The template's name, without its ending.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Product => "product-service",
            Self::Basket => "basket-service",
            Self::Order => "order-service",
        }
    }
}

/// What is to be deployed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Begins the name of every resource.
    pub prefix: String,
    /// The address of the stand-in, as services are to reach its user pool.
    pub endpoint: String,
    /// Which stacks; the platform's is added.
    pub stacks: Vec<Stack>,
}

/// Creates or updates the stacks, the platform's first.
///
/// # Errors
///
/// When a template cannot be read or is refused; the message names the stack and the reason.
pub async fn apply(client: &CloudFormation, plan: &Plan) -> anyhow::Result<BTreeMap<Stack, Applied>> {
    let folder = tools::checkout().join("deploy/aws");
    let one = async |stack: Stack, own| {
        let template = Template {
            file: folder.join(format!("{}.yaml", stack.name())),
            name: stack.name(),
        };
        anyhow::Ok((stack, apply_one(client, &plan.prefix, &template, own).await?))
    };
    let platform = one(Stack::Platform, ("CognitoEndpoint", plan.endpoint.clone())).await?;
    let bus = platform
        .1
        .outputs
        .get("EventBus")
        .context("the platform's stack names no EventBus")?
        .clone();
    let services = plan.stacks.iter().filter(|stack| **stack != Stack::Platform);
    let services = services.map(|stack| one(*stack, ("EventBusName", bus.clone())));
    let applied = try_join_all(services).await?;
    Ok(applied.into_iter().chain([platform]).collect())
}

/// A file with a template, and what the stack made of it is called after the prefix.
pub(crate) struct Template {
    pub(crate) file: PathBuf,
    pub(crate) name: &'static str,
}

/// A stack as it is now.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Its outputs by their keys, in CamelCase.
    pub outputs: BTreeMap<String, String>,
    /// What it took.
    pub change: Change,
}

/// Whether a stack had to be made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was as it should be.
    None,
    /// It was created or updated.
    Made,
}

/// The setting that an output of this key is for: `OrdersTable` is `ORDERS_TABLE`.
pub fn setting(output: &str) -> String {
    let mut name = String::with_capacity(output.len() + 4);
    for (at, letter) in output.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Creates or updates one stack, which takes the parameter `own` beside those that all take.
pub(crate) async fn apply_one(
    client: &CloudFormation,
    prefix: &str,
    template: &Template,
    own: (&'static str, String),
) -> anyhow::Result<Applied> {
    let body = fs::read_to_string(&template.file);
    let body = body.with_context(|| format!("cannot read {}", template.file.display()))?;
    let parameters = [
        ("Prefix", prefix.to_owned()),
        ("DeletionProtection", "false".to_owned()),
        own,
    ];
    let stack = Application {
        client,
        name: format!("{prefix}-{}", template.name),
        fingerprint: fingerprint(&body, &parameters),
        template: body,
        parameters,
    };
    stack.apply().await.with_context(|| format!("stack {}", stack.name))
}

fn fingerprint(template: &str, parameters: &[(&str, String)]) -> String {
    let said = format!("{template}{parameters:?}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, said.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

struct Application<'a> {
    client: &'a CloudFormation,
    name: String,
    template: String,
    parameters: [(&'static str, String); 3],
    fingerprint: String,
}

impl Application<'_> {
    async fn apply(&self) -> anyhow::Result<Applied> {
        match self.client.describe_stack(&self.name).await? {
            None => self.client.create_stack(&self.request()).await?,
            Some(found) if self.is_current(&found) => {
                return Ok(Applied {
                    outputs: found.outputs,
                    change: Change::None,
                });
            }
            Some(_) => self.update().await?,
        }
        Ok(Applied {
            outputs: self.settled().await?.outputs,
            change: Change::Made,
        })
    }

    fn request(&self) -> StackRequest<'_> {
        StackRequest {
            name: &self.name,
            template: &self.template,
            parameters: &self.parameters,
            tag: (FINGERPRINT, &self.fingerprint),
        }
    }

    fn is_current(&self, found: &StackDescription) -> bool {
        let settled = matches!(found.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE");
        settled && found.tags.get(FINGERPRINT) == Some(&self.fingerprint)
    }

    async fn update(&self) -> anyhow::Result<()> {
        match self.client.update_stack(&self.request()).await {
            Err(error) if !error.message().contains("No updates") => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn settled(&self) -> anyhow::Result<StackDescription> {
        let deadline = Instant::now() + SETTLES_WITHIN;
        loop {
            let found = self.client.describe_stack(&self.name).await?;
            let found = found.context("vanished while it was made")?;
            match found.status.as_str() {
                "CREATE_COMPLETE" | "UPDATE_COMPLETE" => return Ok(found),
                running if running.ends_with("_IN_PROGRESS") && Instant::now() < deadline => {}
                other => bail!("{other}: {}", self.reason(&found).await),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Returns why a stack failed: its own reason names the resource at best, its events say what was wrong with it.
    async fn reason(&self, found: &StackDescription) -> String {
        let events = self.client.describe_stack_events(&self.name).await.unwrap_or_default();
        events
            .into_iter()
            .filter(|event| event.status.ends_with("_FAILED"))
            .filter_map(|event| Some(format!("{}: {}", event.resource, event.reason?)))
            .next_back()
            .or_else(|| found.status_reason.clone())
            .unwrap_or_else(|| "no reason given".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_named_like_the_setting_it_is_for() {
        assert_eq!(setting("ProductsTable"), "PRODUCTS_TABLE");
        assert_eq!(setting("BasketSettleDlqUrl"), "BASKET_SETTLE_DLQ_URL");
        assert_eq!(setting("AuthJwksUrl"), "AUTH_JWKS_URL");
    }
}
