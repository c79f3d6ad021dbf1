//! What the compose file runs beside the services: one-shot containers that make stacks, demo users and demo catalog, the
//! doors before the services, the payment sandbox, and the mail that would have been sent.
//!
//! A container finds what the stacks put out in a folder that all of them share, one file a setting, as secrets are
//! mounted elsewhere: `AUTH_ISSUER_FILE=/run/commerce/AUTH_ISSUER`. The gateway's configuration lies there as well.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_sqs::error::DisplayErrorContext;
use clap::{Args, Parser, Subcommand, ValueEnum};
use gateway::{Address, Limits};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use url::Url;

use crate::aws::{CloudFormation, Cognito};
use crate::console::{print, say};
use crate::deployment::Deployment;
use crate::doors::Door;
use crate::edge::{self, Places};
use crate::instance::Secrets;
use crate::payment_sandbox::{self, PaymentSandbox, Webhook};
use crate::stacks::{Plan, Stack};
use crate::{aws, cli, loopback, mail, seed, users};

/// Begins every resource's name; the whole of ministack belongs to one compose project.
const PREFIX: &str = "commerce";
const MAILBOX: &str = "MAILBOX_QUEUE_URL";
const SECRETS: [&str; 3] = ["CURSOR_KEYS", "PAYMENT_KEY", "PAYMENT_WEBHOOK_SECRET"];
const ENVOY: &str = "envoy.yaml";
/// Where every server in a container listens.
const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9901;
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What the containers of this system need beside the services.
#[derive(Debug, Parser)]
#[command(name = "provisioner", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

/// Where the containers meet.
#[derive(Debug, Args)]
struct Place {
    /// The folder of settings, one file each, that all containers share.
    #[arg(long, env = "SETTINGS_DIR", default_value = "/run/commerce", global = true)]
    settings: PathBuf,
    /// ministack, as the containers reach it.
    #[arg(long, env = "MINISTACK_URL", default_value = "http://ministack:4566", global = true)]
    ministack: String,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the stacks of deploy/aws and the demo users, and write down the settings that follow from them
    Stacks(Stacks),
    /// Import the demo catalog; again, it changes nothing
    Seed {
        /// Where the product service is
        #[arg(long, env = "PRODUCT_SERVICE_URL", default_value = "http://product-service:8080")]
        product_service: Url,
    },
    /// Stand before the services: who comes while one is being replaced waits for its successor
    Doors {
        /// A port here, and the service behind it
        #[arg(value_name = "PORT=HOST:PORT", required = true)]
        doors: Vec<Behind>,
    },
    /// Run the payment sandbox
    Payments(Payments),
    /// Print what the notification topic would send by e-mail, as it comes
    Mail,
    /// Print an access token of a demo user and nothing else
    Token {
        /// customer, customer2, merchant or admin
        user: String,
    },
    /// Show the page on which a cardholder authenticates a payment, or answer it: it is inside the containers' network
    Bank {
        /// The address in the order's payment.next_action
        page: Url,
        /// The cardholder's answer
        #[arg(long)]
        outcome: Option<Outcome>,
    },
    /// Ask whether what this container runs can do its work
    Healthcheck {
        /// What it runs
        part: Part,
    },
}

#[derive(Debug, Args)]
struct Stacks {
    /// The product service, as the gateway reaches it
    #[arg(long, default_value = "product-service:8080")]
    products: Address,
    /// The basket service, as the gateway reaches it
    #[arg(long, default_value = "basket-service:8080")]
    baskets: Address,
    /// The order service, as the gateway reaches it
    #[arg(long, default_value = "order-service:8080")]
    orders: Address,
    /// A setting of the gateway, such as LIMIT_SUBJECT_PER_S=20; may be repeated; without a value it is as usual
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = cli::setting)]
    own: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct Payments {
    /// Where its events go
    #[arg(long, env = "WEBHOOK_URL", default_value = "http://gateway:8080/webhooks/stripe")]
    webhook: Url,
    /// Where cardholders find it, without a slash at the end
    #[arg(long, env = "PAYMENTS_URL", default_value = "http://payments:8080")]
    url: String,
    /// Its journal, which outlives it
    #[arg(long, env = "JOURNAL", default_value = "/var/lib/commerce/payments")]
    journal: PathBuf,
}

/// What is behind a door.
#[derive(Clone, Debug)]
struct Behind {
    port: u16,
    service: String,
}

impl FromStr for Behind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let said = text.split_once('=').filter(|(_, service)| service.contains(':'));
        let said = said.and_then(|(port, service)| Some((port.parse().ok()?, service.to_owned())));
        let (port, service) = said.ok_or("not of the form PORT=HOST:PORT")?;
        Ok(Self { port, service })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// The doors, which anybody can come to
    Doors,
    /// The payment sandbox, which answers
    Payments,
    /// The mail, whose queue answers
    Mail,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Outcome {
    Complete,
    Fail,
}

/// Does what this process was asked for. Every failure is one line on standard error.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cli::seen_through(async {
        run(arguments).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn run(Arguments { place, verb }: Arguments) -> anyhow::Result<()> {
    match verb {
        Verb::Stacks(stacks) => place.make_stacks(stacks).await,
        Verb::Seed { product_service } => place.seed(&product_service).await,
        Verb::Doors { doors } => {
            let runs = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
            let _open = stand_before(runs, doors).await?;
            told_to_stop().await
        }
        Verb::Payments(payments) => place.take_payments(payments).await,
        Verb::Mail => place.print_mail().await,
        Verb::Token { user } => {
            print(place.token(&user).await?);
            Ok(())
        }
        Verb::Bank { page, outcome } => bank(page, outcome).await,
        Verb::Healthcheck { part: Part::Doors } => {
            TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).await?;
            Ok(())
        }
        Verb::Healthcheck { part: Part::Payments } => {
            let url = format!("http://127.0.0.1:{PORT}/livez");
            loopback::http()?.get(url).send().await?.error_for_status()?;
            Ok(())
        }
        Verb::Healthcheck { part: Part::Mail } => place.ask_mailbox().await,
    }
}

impl Place {
    async fn make_stacks(&self, stacks: Stacks) -> anyhow::Result<()> {
        let plan = Plan {
            prefix: PREFIX.to_owned(),
            endpoint: self.ministack.clone(),
            stacks: Stack::ALL.to_vec(),
        };
        let deployment = Deployment::of(&plan, &self.ministack).await?;
        users::make(&deployment.cognito()?, deployment.setting("USER_POOL_ID")?).await?;
        let topic = deployment.setting("NOTIFICATION_TOPIC_ARN")?;
        let cloudformation = CloudFormation::new(&deployment.sdk_config().await)?;
        let mailbox = mail::subscribe(&cloudformation, PREFIX, topic).await?;
        let mailbox = mailbox
            .outputs
            .get("MailboxQueueUrl")
            .context("the mailbox has no queue")?;
        for (name, value) in deployment.settings() {
            self.write(&name, &value)?;
        }
        self.write(MAILBOX, mailbox)?;
        self.keep_secrets()?;
        self.write(ENVOY, &gateway_of(stacks, &deployment)?)?;
        let settings = self.settings.display();
        say(format_args!("stacks and users are there; settings are in {settings}"));
        Ok(())
    }

    /// Secrets of this system's own: made once, and kept.
    fn keep_secrets(&self) -> anyhow::Result<()> {
        let Secrets {
            cursor_keys,
            payment_key,
            payment_webhook_secret,
        } = Secrets::fresh();
        for (name, fresh) in SECRETS.iter().zip([cursor_keys, payment_key, payment_webhook_secret]) {
            if !self.settings.join(name).exists() {
                self.write(name, &fresh)?;
            }
        }
        Ok(())
    }

    async fn seed(&self, product_service: &Url) -> anyhow::Result<()> {
        let token = self.token("merchant").await?;
        let base = product_service.as_str().trim_end_matches('/');
        let imported = seed::import(&loopback::http()?, base, &token).await?;
        say(format_args!("{imported} products are in the catalog"));
        Ok(())
    }

    async fn take_payments(&self, payments: Payments) -> anyhow::Result<()> {
        let bind = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        let sandbox = PaymentSandbox::start(payment_sandbox::Options {
            bind,
            url: Some(payments.url),
            secret_key: self.read("PAYMENT_KEY")?,
            webhook: Some(Webhook {
                url: payments.webhook.to_string(),
                secret: self.read("PAYMENT_WEBHOOK_SECRET")?,
            }),
            state: Some(payments.journal),
            ..payment_sandbox::Options::default()
        })?;
        say(format_args!("payment sandbox listens on {bind}"));
        told_to_stop().await?;
        sandbox.stop().await;
        Ok(())
    }

    async fn print_mail(&self) -> anyhow::Result<()> {
        let sqs = aws_sdk_sqs::Client::new(&aws::config(&self.ministack));
        let print = |line: &str| io::stdout().lock().write_all(line.as_bytes());
        let delivering = mail::deliver(sqs, self.read(MAILBOX)?, print, |news| say(news));
        told_to_stop().await?;
        delivering.abort();
        Ok(())
    }

    async fn ask_mailbox(&self) -> anyhow::Result<()> {
        let sqs = aws_sdk_sqs::Client::new(&aws::config(&self.ministack));
        let asked = sqs.get_queue_attributes().queue_url(self.read(MAILBOX)?).send().await;
        asked.map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
        Ok(())
    }

    async fn token(&self, user: &str) -> anyhow::Result<String> {
        let cognito = Cognito::new(&aws::config(&self.ministack))?;
        users::token(&cognito, &self.read("SHOP_CLIENT_ID")?, user).await
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let file = self.settings.join(name);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}: have the stacks been made?", file.display()))
    }

    /// All of it or nothing: a container that reads meanwhile finds the old one.
    fn write(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let written = self.settings.join(format!(".{name}"));
        private(&written)
            .and_then(|mut file| file.write_all(value.as_bytes()))
            .and_then(|()| fs::rename(&written, self.settings.join(name)))
            .with_context(|| format!("cannot write {name} into {}", self.settings.display()))
    }
}

/// The gateway's configuration, with the limits of a shop unless others are said.
fn gateway_of(stacks: Stacks, deployment: &Deployment) -> anyhow::Result<String> {
    let places = Places {
        listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)),
        admin_port: ADMIN_PORT,
        products: stacks.products,
        baskets: stacks.baskets,
        orders: stacks.orders,
    };
    // A compose file cannot leave a variable away that is not set.
    let own = stacks.own.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    Ok(gateway::render(&edge::settings(
        places,
        Limits::USUAL,
        deployment,
        &own,
    )?)?)
}

/// Where it runs nothing is led to: who comes there wants to know whether they can.
async fn stand_before(runs: TcpListener, doors: Vec<Behind>) -> anyhow::Result<Vec<Door>> {
    tokio::spawn(see_off(runs));
    let mut open = Vec::new();
    for Behind { port, service } in doors {
        say(format_args!("port {port} leads to {service}"));
        open.push(Door::before(service, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await?);
    }
    Ok(open)
}

/// Else they queue there, also when they have long gone, until there is no room for the next.
async fn see_off(runs: TcpListener) {
    loop {
        if runs.accept().await.is_err() {
            // Out of descriptors, of which they hold none.
            sleep(TRIED_AGAIN_AFTER).await;
        }
    }
}

async fn bank(page: Url, outcome: Option<Outcome>) -> anyhow::Result<()> {
    let http = loopback::http()?;
    let request = match outcome {
        None => http.get(page),
        Some(Outcome::Complete) => http.post(page).form(&[("outcome", "complete")]),
        Some(Outcome::Fail) => http.post(page).form(&[("outcome", "fail")]),
    };
    print(request.send().await?.error_for_status()?.text().await?);
    Ok(())
}

/// A new file that no other user reads: some settings are secrets.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)
}

async fn told_to_stop() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use clap::CommandFactory;
    use tokio::net::TcpSocket;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn secrets_are_made_once_and_are_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            settings: folder.path().to_owned(),
            ministack: String::new(),
        };
        let kept = || SECRETS.map(|name| place.read(name).unwrap());
        place.keep_secrets().unwrap();
        let first = kept();
        place.keep_secrets().unwrap();
        assert_eq!(first, kept());
        for name in SECRETS {
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn who_asks_whether_the_doors_run_is_let_in_however_many_have_asked_before() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let runs = socket.listen(2).unwrap();
        let address = runs.local_addr().unwrap();
        let _open = stand_before(runs, Vec::new()).await.unwrap();
        for asked in 0..16 {
            let asking = timeout(Duration::from_secs(10), TcpStream::connect(address)).await;
            asking.unwrap_or_else(|_| panic!("nobody after {asked}")).unwrap();
        }
    }
}
