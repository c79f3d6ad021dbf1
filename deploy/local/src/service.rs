//! The three services as child processes, each with the settings that it takes and nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::ensure;
use tokio::process::Command;

use crate::deployment::Deployment;
use crate::instance::{Folder, Secrets};
use crate::part::Part;
use crate::ports::Ports;
use crate::process::Process;
use crate::stacks::Stack;

/// What a service gives to requests and messages under way at a stop.
const DRAINS_WITHIN_S: u64 = 8;
pub(crate) const STOPS_WITHIN: Duration = Duration::from_secs(DRAINS_WITHIN_S + 4);

/// Everything that a service's settings are taken from.
pub(crate) struct Surroundings<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) ports: &'a Ports,
    pub(crate) secrets: &'a Secrets,
    /// Said by whoever started the system, and stronger than anything here.
    pub(crate) own: &'a BTreeMap<String, String>,
}

/// By which a service's requests come in.
pub(crate) struct Entrance {
    /// On which it is to serve.
    pub(crate) socket: TcpListener,
    /// Where it says that it does.
    pub(crate) told: Option<PathBuf>,
}

/// Starts a service; it is up when it says so at `/readyz`.
pub(crate) fn start(
    part: Part,
    binaries: &Path,
    folder: &Folder,
    surroundings: &Surroundings<'_>,
    entrance: Entrance,
) -> anyhow::Result<Process> {
    let mut command = Command::new(binary(part, binaries)?);
    command.env_clear().envs(inherited()).envs(surroundings.settings(part));
    if let Some(told) = entrance.told {
        command.env("NOTIFY_SOCKET", told);
    }
    let socket = Stdio::from(OwnedFd::from(entrance.socket));
    Process::spawn(part, &mut command, socket, &folder.log(part.name()))
}

/// A service's binary, which has to be there.
pub(crate) fn binary(part: Part, binaries: &Path) -> anyhow::Result<PathBuf> {
    let binary = binaries.join(part.name());
    ensure!(
        binary.is_file(),
        "{part} has not been built: {} is not there",
        binary.display()
    );
    Ok(binary)
}

/// What a process needs of any machine, and where the person at it wants spans to go.
fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name == "PATH" || name == "RUST_BACKTRACE" || name.starts_with("OTEL_") || name.starts_with("SSL_CERT_")
    })
}

impl Surroundings<'_> {
    fn settings(&self, part: Part) -> BTreeMap<String, String> {
        let mut settings = self.common(part);
        let (stack, calls) = match part {
            Part::ProductService => (Stack::Product, vec![]),
            Part::BasketService => (Stack::Basket, self.product_service()),
            Part::OrderService => (
                Stack::Order,
                [self.product_service(), self.basket_service(), self.payment()].concat(),
            ),
            Part::Tables | Part::Ministack | Part::Payments | Part::Gateway => return settings,
        };
        settings.extend(self.deployment.settings_of(stack));
        settings.extend(calls.into_iter().map(|(name, value)| (name.to_owned(), value)));
        settings.extend(self.own.clone());
        settings
    }

    fn common(&self, part: Part) -> BTreeMap<String, String> {
        let stated = [
            ("BIND", format!("127.0.0.1:{}", self.ports.of(part))),
            // The socket is the supervisor's, so that the next process can have it too.
            ("BIND_STDIN", "true".to_owned()),
            ("SHUTDOWN_S", DRAINS_WITHIN_S.to_string()),
            ("LOG_FORMAT", "text".to_owned()),
            ("SHOP_CURRENCY", "USD".to_owned()),
            ("CURSOR_KEYS", self.secrets.cursor_keys.clone()),
            ("EXPOSE_CAPACITY", "true".to_owned()),
            // In the place of a role of its own: whoever looks at the calls sees whose each one is.
            ("AWS_ACCESS_KEY_ID", part.name().to_owned()),
            // No instance role on a laptop, and asking for one takes seconds.
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        let derived = [
            "EVENT_BUS",
            "AUTH_ISSUER",
            "AUTH_JWKS_URL",
            "AUTH_CLIENT_IDS",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_DYNAMODB",
            "AWS_REGION",
            "AWS_SECRET_ACCESS_KEY",
        ];
        let stated = stated.into_iter().map(|(name, value)| (name.to_owned(), value));
        stated.chain(self.derived(&derived)).collect()
    }

    fn product_service(&self) -> Vec<(&'static str, String)> {
        let url = format!("http://127.0.0.1:{}", self.ports.of(Part::ProductService));
        let client = ["AUTH_TOKEN_URL", "SERVICE_CLIENT_ID", "SERVICE_CLIENT_SECRET"];
        let client = client
            .into_iter()
            .filter_map(|name| Some((name, self.deployment.setting(name).ok()?.to_owned())));
        client.chain([("PRODUCT_SERVICE_URL", url)]).collect()
    }

    /// What reconciliation reads.
    fn basket_service(&self) -> Vec<(&'static str, String)> {
        let url = format!("http://127.0.0.1:{}", self.ports.of(Part::BasketService));
        vec![("BASKET_SERVICE_URL", url)]
    }

    fn payment(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "PAYMENT_URL",
                format!("http://127.0.0.1:{}", self.ports.of(Part::Payments)),
            ),
            ("PAYMENT_KEY", self.secrets.payment_key.clone()),
            ("PAYMENT_WEBHOOK_SECRET", self.secrets.payment_webhook_secret.clone()),
        ]
    }

    fn derived(&self, names: &[&'static str]) -> Vec<(String, String)> {
        let pair = |name: &&str| Some(((*name).to_owned(), self.deployment.setting(name).ok()?.to_owned()));
        names.iter().filter_map(pair).collect()
    }
}
