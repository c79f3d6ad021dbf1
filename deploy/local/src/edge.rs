//! Envoy as the gateway: started on a rendered configuration, and stopped without dropping what is under way.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::ParseIntError;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use gateway::{Address, Limits, Origin, Rate, Sampling, Settings};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::collector;
use crate::deployment::Deployment;
use crate::instance::Folder;
use crate::loopback::{self, LOOK_EVERY};
use crate::part::Part;
use crate::ports::Ports;
use crate::process::Process;
use crate::tools;

const DRAINS_WITHIN: Duration = Duration::from_secs(5);
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Everybody on a laptop comes from one address, and tests are customers in a hurry: nothing that a shop's limits are for.
/// `up --set LIMIT_SUBJECT_PER_S=10 --set LIMIT_SUBJECT_BURST=50` shows what they do.
const UNHURRIED: Limits = Limits {
    address: PLENTY,
    subject: PLENTY,
    ..Limits::USUAL
};
const PLENTY: Rate = Rate {
    per_second: 100_000,
    burst: 1_000_000,
};

/// Starts it; it does not listen before it has the user pool's keys. `own` are the settings that all services get.
pub(crate) async fn start(
    folder: &Folder,
    ports: &Ports,
    deployment: &Deployment,
    own: &BTreeMap<String, String>,
) -> anyhow::Result<Process> {
    let envoy = tokio::task::spawn_blocking(tools::envoy).await??;
    let file = folder.envoy_yaml();
    let service = |part: Part| -> anyhow::Result<Address> { Ok(format!("127.0.0.1:{}", ports.of(part)).parse()?) };
    let places = Places {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, ports.of(Part::Gateway))),
        admin_port: ports.admin,
        products: service(Part::ProductService)?,
        baskets: service(Part::BasketService)?,
        orders: service(Part::OrderService)?,
    };
    fs::write(&file, gateway::render(&settings(places, UNHURRIED, deployment, own)?)?)?;
    let mut command = Command::new(envoy);
    command
        .env_clear()
        .arg("--config-path")
        .arg(&file)
        // Two instances on one machine would otherwise take each other for the same one, restarted.
        .args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]);
    Process::spawn(
        Part::Gateway,
        &mut command,
        Stdio::null(),
        &folder.log(Part::Gateway.name()),
    )
}

/// Where the gateway is, and where the services are that it leads to.
pub(crate) struct Places {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_port: u16,
    pub(crate) products: Address,
    pub(crate) baskets: Address,
    pub(crate) orders: Address,
}

/// A gateway's, whose limits are `usual` where `own` does not say otherwise.
pub(crate) fn settings(
    places: Places,
    usual: Limits,
    deployment: &Deployment,
    own: &BTreeMap<String, String>,
) -> anyhow::Result<Settings> {
    let jwks_url = deployment.setting("AUTH_JWKS_URL")?;
    Ok(Settings {
        listen: places.listen,
        admin_port: places.admin_port,
        tls: None,
        trusted_hops: 0,
        cors_origins: origins(own)?,
        limits: limits(usual, own)?,
        products: places.products,
        baskets: places.baskets,
        orders: places.orders,
        away_after: number(own, "AWAY_AFTER", Settings::AWAY_AFTER)?,
        issuer: deployment.setting("AUTH_ISSUER")?.to_owned(),
        client_ids: deployment
            .setting("AUTH_CLIENT_IDS")?
            .split(',')
            .map(str::to_owned)
            .collect(),
        jwks_url: jwks_url
            .parse()
            .with_context(|| format!("{jwks_url:?} is no address"))?,
        // The gateway begins the traces: were it told of no collector, it would tell the services not to sample.
        collector: own
            .get(collector::ENDPOINT)
            .map(|url| {
                url.parse()
                    .with_context(|| format!("{}: {url:?} is no address", collector::ENDPOINT))
            })
            .transpose()?,
        sampling: sampling(own)?,
    })
}

/// What the services take from the same variables.
fn sampling(own: &BTreeMap<String, String>) -> anyhow::Result<Sampling> {
    let said = |name: &str| own.get(name).map(String::as_str);
    let (name, share) = Sampling::USUAL_NAMED;
    let name = said(collector::SAMPLER).unwrap_or(name);
    let share = said(collector::SAMPLER_ARG).unwrap_or(share);
    Sampling::named(name, share).context(collector::SAMPLER)
}

/// What `render-gateway` takes from the same variables.
fn limits(usual: Limits, own: &BTreeMap<String, String>) -> anyhow::Result<Limits> {
    let number = |name: &str, usual: u32| number(own, name, usual);
    Ok(Limits {
        address: Rate {
            per_second: number("LIMIT_ADDRESS_PER_S", usual.address.per_second)?,
            burst: number("LIMIT_ADDRESS_BURST", usual.address.burst)?,
        },
        subject: Rate {
            per_second: number("LIMIT_SUBJECT_PER_S", usual.subject.per_second)?,
            burst: number("LIMIT_SUBJECT_BURST", usual.subject.burst)?,
        },
        connections: number("MAX_CONNECTIONS", usual.connections)?,
        heap_mib: number("MAX_HEAP_MIB", usual.heap_mib)?,
    })
}

fn number<N>(own: &BTreeMap<String, String>, name: &str, usual: N) -> anyhow::Result<N>
where
    N: FromStr<Err = ParseIntError>,
{
    match own.get(name) {
        Some(said) => said.parse().with_context(|| format!("{name}: {said:?} is no number")),
        None => Ok(usual),
    }
}

fn origins(own: &BTreeMap<String, String>) -> anyhow::Result<Vec<Origin>> {
    let said = own.get("CORS_ORIGINS").map(String::as_str).unwrap_or_default();
    let origins = said.split(',').filter(|origin| !origin.is_empty()).map(str::parse);
    origins.collect::<Result<_, _>>().context("CORS_ORIGINS")
}

/// Takes no new connections, waits for the requests under way, then ends it.
pub(crate) async fn stop(process: Process, admin_port: u16) -> anyhow::Result<()> {
    let admin = format!("http://127.0.0.1:{admin_port}");
    if let Ok(http) = loopback::http() {
        drain(&http, &admin).await;
    }
    process.stop(STOPS_WITHIN).await
}

/// As far as it answers at all.
async fn drain(http: &reqwest::Client, admin: &str) {
    let _ = http.post(format!("{admin}/healthcheck/fail")).send().await;
    let _ = http
        .post(format!("{admin}/drain_listeners?graceful&skip_exit"))
        .send()
        .await;
    let deadline = Instant::now() + DRAINS_WITHIN;
    while under_way(http, admin).await.is_some_and(|requests| requests > 0) && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
    }
}

async fn under_way(http: &reqwest::Client, admin: &str) -> Option<u64> {
    let url = format!("{admin}/stats?filter=^http\\..*downstream_rq_active$");
    let said = http.get(url).send().await.ok()?.text().await.ok()?;
    // The admin interface counts this very request.
    let ours = said.lines().filter(|line| !line.starts_with("http.admin."));
    Some(
        ours.filter_map(|line| line.rsplit(": ").next()?.trim().parse::<u64>().ok())
            .sum(),
    )
}
