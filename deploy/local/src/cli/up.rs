//! `up`: build, start, say where everything is, and watch until somebody stops it.

use std::path::PathBuf;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Up;
use crate::compile::{self, Profile};
use crate::console::say;
use crate::instance::Folder;
use crate::part::Part;
use crate::system::{Catalog, Options, Progress, System};

pub(super) async fn up(folder: Folder, up: Up) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut stop = StopSignals::new()?;
    if up.supervisor {
        // A terminal that is closed, and its Ctrl-C, are no longer this process's.
        rustix::process::setsid()?;
    }
    let binaries = binaries(&up).await?;
    let options = Options {
        folder,
        ports: up.wishes(),
        binaries,
        catalog: if up.no_catalog { Catalog::Empty } else { Catalog::Demo },
        settings: up.settings.into_iter().collect(),
        progress: Progress::Shown,
    };
    let mut system = tokio::select! {
        system = System::start(options) => system?,
        () = stop.any() => {
            say("stopped before it was ready");
            return Ok(());
        }
    };
    welcome(&system, started).await?;
    watch(&mut system, &mut stop).await;
    say("stopping");
    system.stop().await?;
    say("stopped; the data are kept");
    Ok(())
}

/// Builds the services unless they are there.
pub(super) async fn binaries(up: &Up) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &up.binaries {
        return Ok(std::path::absolute(folder)?);
    }
    let profile = if up.release { Profile::Release } else { Profile::Local };
    say("building the services");
    let began = Instant::now();
    let folder = tokio::task::spawn_blocking(move || compile::services(profile)).await??;
    say(format_args!("  services built in {} s", began.elapsed().as_secs()));
    Ok(folder)
}

/// Tells of each part that ends, until somebody stops the system.
async fn watch(system: &mut System, stop: &mut StopSignals) {
    loop {
        tokio::select! {
            (_, what) = system.ended() => {
                say(format_args!("error: {what}: Ctrl-C or `cargo local down`, then `cargo local up`, starts it again"));
            }
            () = stop.any() => return,
        }
    }
}

/// Where everything is, and what to try first.
async fn welcome(system: &System, started: Instant) -> anyhow::Result<()> {
    let gateway = system.url(Part::Gateway);
    let token = system.token("customer").await?;
    say(format_args!(
        "\nReady after {} s.

  shop       {gateway}   (every service's reference from there)
  data       {}
  logs       cargo local logs -f
  stop       Ctrl-C, or `cargo local down` from elsewhere

  # Products, a basket, an order:
  curl -s '{gateway}/v1/products?limit=3'
  TOKEN=$(cargo local token customer)
  curl -s {gateway}/v1/baskets/me -H \"Authorization: Bearer $TOKEN\"
  curl -s '{gateway}/v1/orders?customer_id=me' -H \"Authorization: Bearer $TOKEN\"

  # A customer's token, good for an hour:
  {token}
",
        started.elapsed().as_secs(),
        system.folder().path().display(),
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
