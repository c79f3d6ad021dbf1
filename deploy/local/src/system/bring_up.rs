//! The start of a system, step by step.

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

use super::{Catalog, READY_WITHIN, System};
use crate::aws::CloudFormation;
use crate::deployment::Deployment;
use crate::instance::UserPool;
use crate::part::Part;
use crate::payment_sandbox::{self, PaymentSandbox, Webhook};
use crate::processes::Identity;
use crate::stacks::{Change, Plan, Stack};
use crate::tables::Tables;
use crate::{loopback, mail, seed, tools, users};

/// Begins every resource's name. One instance has its stand-ins for itself, so it can be the same in all.
const PREFIX: &str = "commerce";

impl System {
    pub(super) async fn bring_up(&mut self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(tools::ministack).await??;
        tokio::task::spawn_blocking(tools::envoy).await??;
        self.steps.done("tools", "Envoy and ministack are there");
        self.start_tables().await?;
        self.start_ministack().await?;
        self.steps.done("ministack", &self.url(Part::Ministack));
        self.make_stacks().await?;
        self.start_payments()?;
        self.start_services().await?;
        self.start_gateway().await?;
        self.steps.done("gateway", &self.url(Part::Gateway));
        self.seed().await?;
        self.instance.ready = true;
        self.taken.write(&self.instance)
    }

    async fn start_tables(&mut self) -> anyhow::Result<()> {
        let port = self.ports.of(Part::Tables);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.with_context(|| format!("tables cannot listen on port {port}"))?;
        self.tables = Some(Tables::in_file(&self.folder().tables(), listener)?);
        self.note_own(Part::Tables)?;
        self.steps.done("tables", &self.url(Part::Tables));
        Ok(())
    }

    async fn make_stacks(&mut self) -> anyhow::Result<()> {
        let plan = Plan {
            prefix: PREFIX.to_owned(),
            endpoint: self.url(Part::Ministack),
            stacks: Stack::ALL.to_vec(),
        };
        let deployment = Deployment::of(&plan, &self.url(Part::Tables)).await?;
        for (table, missing) in deployment.older_tables() {
            self.tell(format_args!(
                "  table {table} was made before {}: `cargo local reset` makes it anew, without its data",
                missing.join(", ")
            ));
        }
        let users = users::make(&deployment.cognito()?, deployment.setting("USER_POOL_ID")?).await?;
        let customers = users::make_customers(
            &deployment.cognito()?,
            deployment.setting("USER_POOL_ID")?,
            &self.options.customers,
        )
        .await?;
        let topic = deployment.setting("NOTIFICATION_TOPIC_ARN")?;
        let mailbox = mail::subscribe(&CloudFormation::new(&deployment.sdk_config().await)?, PREFIX, topic).await?;
        let queue = mailbox
            .outputs
            .get("MailboxQueueUrl")
            .context("the mailbox has no queue")?
            .clone();
        self.instance.user_pool = Some(UserPool {
            id: deployment.setting("USER_POOL_ID")?.to_owned(),
            client_id: deployment.setting("SHOP_CLIENT_ID")?.to_owned(),
        });
        let change = deployment.changed().max(users).max(customers).max(mailbox.change);
        if change == Change::Made {
            self.save_stacks().await?;
        }
        let log = || mail::append_to(self.folder().log(mail::LOG));
        let mut news = log();
        // Beside the mails, where they are missed. That it cannot be written there either is told by their absence.
        let tell = move |line: &str| drop(news(&format!("{line}\n")));
        self.mail = Some(mail::deliver(deployment.sqs(), queue, log(), tell));
        self.deployment = Some(deployment);
        let what = if change == Change::Made {
            "made from deploy/aws"
        } else {
            "as they were"
        };
        self.steps.done("stacks and users", what);
        Ok(())
    }

    /// Ministack writes its state at a clean stop only: with one now, a crash later loses no user and no queue.
    async fn save_stacks(&mut self) -> anyhow::Result<()> {
        if let Some(ministack) = self.ministack.take() {
            ministack.stop().await?;
        }
        self.start_ministack().await
    }

    fn start_payments(&mut self) -> anyhow::Result<()> {
        let options = payment_sandbox::Options {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.of(Part::Payments))),
            secret_key: self.secrets.payment_key.clone(),
            webhook: Some(Webhook {
                url: format!("{}/webhooks/stripe", self.url(Part::Gateway)),
                secret: self.secrets.payment_webhook_secret.clone(),
            }),
            state: Some(self.folder().payments()),
            ..payment_sandbox::Options::default()
        };
        self.payments = Some(PaymentSandbox::start(options)?);
        self.note_own(Part::Payments)?;
        self.steps.done("payments", &self.url(Part::Payments));
        Ok(())
    }

    /// All at once: none of them needs another to come up.
    async fn start_services(&mut self) -> anyhow::Result<()> {
        for part in Part::SERVICES {
            self.spawn_service(part)?;
        }
        let (http, folder) = (self.http.clone(), self.folder().clone());
        let urls: Vec<_> = Part::SERVICES.iter().map(|part| (*part, self.url(*part))).collect();
        let ready = self.processes.iter_mut().map(|(part, process)| {
            let url = urls
                .iter()
                .find(|(other, _)| other == part)
                .map(|(_, url)| url.clone())
                .unwrap_or_default();
            let (http, folder) = (http.clone(), folder.clone());
            async move {
                let ready = format!("{url}{}", part.health_path());
                loopback::wait_for_success(&http, &ready, READY_WITHIN, || process.still_runs())
                    .await
                    .with_context(|| {
                        format!(
                            "{part} did not come up (its log: {})",
                            folder.log(part.name()).display()
                        )
                    })
            }
        });
        try_join_all(ready).await?;
        let urls: Vec<_> = urls.into_iter().map(|(part, url)| format!("{part} {url}")).collect();
        self.steps.done("services", &urls.join(", "));
        Ok(())
    }

    async fn seed(&mut self) -> anyhow::Result<()> {
        let marker = self.folder().seeded();
        if self.options.catalog == Catalog::Empty || marker.exists() {
            return Ok(());
        }
        let token = self.token("merchant").await?;
        let imported = seed::import(&self.http, &self.url(Part::ProductService), &token).await?;
        ensure!(imported > 0, "the demo catalog is empty");
        fs::write(marker, "")?;
        self.steps.done("catalog", &format!("{imported} products imported"));
        Ok(())
    }

    fn note_own(&mut self, part: Part) -> anyhow::Result<()> {
        let own = Identity::own().context("this process cannot see itself")?;
        self.note(part, own)
    }
}
