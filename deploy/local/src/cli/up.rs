//! `up`: build, start, say where everything is, and watch until somebody stops it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Up;
use crate::collector::{self, Collector};
use crate::compile::{self, Profile};
use crate::console::say;
use crate::instance::Folder;
use crate::part::Part;
use crate::ports::Wishes;
use crate::system::{Catalog, Options, Progress, System};

/// Somebody waits for `trace`.
const SPANS_EVERY_MS: &str = "500";

pub(super) async fn up(folder: Folder, up: Up) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut stop = StopSignals::new()?;
    let detached = up.supervisor;
    if detached {
        // A terminal that is closed, and its Ctrl-C, are no longer this process's.
        rustix::process::setsid()?;
    }
    let (mut system, collector) = tokio::select! {
        started = start(folder, up) => started?,
        () = stop.any() => {
            say("stopped before it was ready");
            return Ok(());
        }
    };
    if !detached {
        welcome(system.folder(), started).await?;
    }
    watch(&mut system, &mut stop).await;
    say("stopping");
    system.stop().await?;
    if let Some(collector) = collector {
        // After everybody who sends to it.
        collector.stop().await;
    }
    say("stopped; the data are kept");
    Ok(())
}

/// Where the person at it wants spans and metrics to go: the gateway, which begins the traces, has to know it as the services do.
fn of_telemetry() -> BTreeMap<String, String> {
    let all =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    all.filter(|(name, _)| name.starts_with("OTEL_")).collect()
}

async fn start(folder: Folder, up: Up) -> anyhow::Result<(System, Option<Collector>)> {
    check(&folder, &up.wishes()).await?;
    let mut settings = of_telemetry();
    settings.extend(up.settings.iter().cloned());
    let collector = if up.observe {
        let collector = Collector::start(folder.spans())?;
        settings.insert(collector::ENDPOINT.to_owned(), collector.url().to_owned());
        let soon = settings.entry(collector::SPANS_EVERY_MS.to_owned());
        soon.or_insert_with(|| SPANS_EVERY_MS.to_owned());
        Some(collector)
    } else {
        None
    };
    let options = Options {
        folder,
        ports: up.wishes(),
        binaries: binaries(up.binaries.as_deref(), up.release).await?,
        catalog: if up.no_catalog { Catalog::Empty } else { Catalog::Demo },
        customers: Vec::new(),
        settings,
        progress: Progress::Shown,
    };
    Ok((System::start(options).await?, collector))
}

/// Whether the folder and the ports can be had, told before minutes are spent on building.
pub(super) async fn check(folder: &Folder, wishes: &Wishes) -> anyhow::Result<()> {
    // What a killed run left is ended now, and holds no port any longer.
    let _taken = folder.take().await?;
    wishes.check()
}

/// Builds the services unless they are there.
pub(super) async fn binaries(built: Option<&Path>, release: bool) -> anyhow::Result<PathBuf> {
    if let Some(folder) = built {
        return Ok(std::path::absolute(folder)?);
    }
    let profile = if release { Profile::Release } else { Profile::Dev };
    say("building the services");
    let began = Instant::now();
    let folder = compile::services(profile).await?;
    say(format_args!("  services built in {} s", began.elapsed().as_secs()));
    Ok(folder)
}

/// Tells of each part that ends, until somebody stops the system.
async fn watch(system: &mut System, stop: &mut StopSignals) {
    loop {
        tokio::select! {
            (_, what) = system.ended() => {
                let command = system.folder().command();
                say(format_args!("error: {what}: `{command} down` (or Ctrl-C) and `{command} up` start it again"));
            }
            () = stop.any() => return,
        }
    }
}

/// Where everything is, and what to try first.
pub(super) async fn welcome(folder: &Folder, started: Instant) -> anyhow::Result<()> {
    let instance = folder.running()?;
    let gateway = instance.url(Part::Gateway)?;
    let token = super::token(folder, "customer").await?;
    let local = folder.command();
    say(format_args!(
        "\nReady after {} s.

  shop       {gateway}   (leads to every service's reference)
  data       {}
  logs       {local} logs -f
  stop       Ctrl-C where `up` runs, or `{local} down`

  curl -s '{gateway}/v1/products?limit=3'
  TOKEN=$({local} token customer)
  curl -s {gateway}/v1/baskets/me -H \"Authorization: Bearer $TOKEN\"
  curl -s '{gateway}/v1/orders?customer_id=me' -H \"Authorization: Bearer $TOKEN\"

The tutorial in docs/tutorial.md continues from there. A customer's token, valid for an hour:

{token}
",
        started.elapsed().as_secs(),
        folder.path().display(),
    ));
    Ok(())
}

/// What a terminal, or `down`, sends to stop a process.
struct StopSignals([Signal; 3]);

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
