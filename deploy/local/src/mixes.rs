//! Two releases beside each other: the services of one running system are replaced, one after the other, by those of the
//! release before and back again, until every mix of the two has been there; and in each of them people buy.
//!
//! Tables, queues and bus are the same from the first mix to the last, so each release reads what the other one wrote, and
//! ends what it began. Stacks and gateway are those of this release: they are changed first.

mod customer;
mod shopping;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

use self::shopping::Shopping;
use crate::console::say;
use crate::instance::Folder;
use crate::ports::Wishes;
use crate::system::{Catalog, Options as SystemOptions, Progress};
use crate::{Part, System, service};

/// Each one alone turns one mix into the next; all of them lead through every mix and back to the first (a Gray code).
const TURNS: [Part; 8] = [
    Part::ProductService,
    Part::BasketService,
    Part::ProductService,
    Part::OrderService,
    Part::ProductService,
    Part::BasketService,
    Part::ProductService,
    Part::OrderService,
];

/// What is mixed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the system's data are.
    pub folder: Folder,
    /// The folder with the services' binaries of the release before.
    pub before: PathBuf,
    /// The folder with those of this one.
    pub now: PathBuf,
    /// How long anything may take that does not come.
    pub patience: Duration,
    /// Who is told how far it is.
    pub progress: Progress,
}

/// What was done, where all of it went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Mixes in which people bought.
    pub mixes: usize,
    /// Orders by how they ended.
    pub orders: BTreeMap<&'static str, usize>,
    /// From the first order to the last look.
    pub took: Duration,
}

/// Whose a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Release {
    Before,
    Now,
}

/// Which release each of [`Part::SERVICES`] is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mix([Release; Part::SERVICES.len()]);

/// Starts a system of this release and takes it through all mixes.
///
/// # Errors
///
/// The first thing that went wrong, and in which mix; or that it could not be carried out.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    for folder in [&options.before, &options.now] {
        for part in Part::SERVICES {
            service::binary(part, folder)?;
        }
    }
    let mut system = System::start(SystemOptions {
        folder: options.folder.clone(),
        ports: Wishes::any(),
        binaries: options.now.clone(),
        catalog: Catalog::Empty,
        customers: Vec::new(),
        // What was told and is not answered is told again soon, so that what is lost shows within the patience.
        settings: BTreeMap::from([("CHECKOUT_RETRY_S".to_owned(), "3".to_owned())]),
        progress: options.progress,
    })
    .await?;
    let report = through_all(&mut system, &options).await;
    // The first reason is the one to tell.
    let stopped = system.stop().await;
    let report = report?;
    stopped?;
    Ok(report)
}

async fn through_all(system: &mut System, options: &Options) -> anyhow::Result<Report> {
    let mut shopping = Shopping::open(system, options.patience).await?;
    let began = Instant::now();
    let (mut mix, mut visited) = (Mix::FIRST, BTreeSet::new());
    for turn in std::iter::once(None).chain(TURNS.map(Some)) {
        if let Some(part) = turn {
            mix = mix.with_other(part);
            let replaced = system.replace_by(part, options.of(mix.release(part)).clone()).await;
            replaced.with_context(|| format!("on the way to {mix}"))?;
        }
        shopping.visit().await.with_context(|| format!("in the mix of {mix}"))?;
        visited.insert(mix);
        if options.progress == Progress::Shown {
            let (orders, took) = (shopping.told().values().sum::<usize>(), began.elapsed().as_secs());
            say(format_args!("  {mix}: {orders} orders so far, {took} s"));
        }
    }
    shopping
        .conclude()
        .await
        .with_context(|| format!("in the end, with {mix}"))?;
    Ok(Report {
        mixes: visited.len(),
        orders: shopping.told(),
        took: began.elapsed(),
    })
}

impl Options {
    fn of(&self, release: Release) -> &PathBuf {
        match release {
            Release::Before => &self.before,
            Release::Now => &self.now,
        }
    }
}

impl Mix {
    /// As the system is started.
    const FIRST: Self = Self([Release::Now; Part::SERVICES.len()]);

    fn release(self, part: Part) -> Release {
        let services = Part::SERVICES.into_iter().zip(self.0);
        let found = services.into_iter().find(|(service, _)| *service == part);
        found.map_or(Release::Now, |(_, release)| release)
    }

    /// With the other release of this service.
    fn with_other(self, part: Part) -> Self {
        let mut releases = self.0;
        for (service, release) in Part::SERVICES.into_iter().zip(&mut releases) {
            if service == part {
                *release = match release {
                    Release::Before => Release::Now,
                    Release::Now => Release::Before,
                };
            }
        }
        Self(releases)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Part::SERVICES.into_iter().zip(self.0).map(|(part, release)| {
            let release = match release {
                Release::Before => "before",
                Release::Now => "now",
            };
            format!("{part} {release}")
        });
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let orders = self.orders.iter().map(|(status, many)| format!("{many} {status}"));
        write!(
            f,
            "{} mixes, each to its end, in {} s: {}",
            self.mixes,
            self.took.as_secs(),
            orders.collect::<Vec<_>>().join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turns_lead_through_every_mix_and_back() {
        let mut mix = Mix::FIRST;
        let mut seen = BTreeSet::from([mix]);
        for part in TURNS {
            let next = mix.with_other(part);
            let changed = Part::SERVICES
                .iter()
                .filter(|part| mix.release(**part) != next.release(**part));
            assert_eq!(changed.collect::<Vec<_>>(), [&part], "one service at a time");
            mix = next;
            seen.insert(mix);
        }
        assert_eq!(seen.len(), 8);
        assert_eq!(mix, Mix::FIRST);
    }

    #[test]
    fn a_mix_is_named_by_what_it_is_made_of() {
        let mix = Mix::FIRST.with_other(Part::BasketService);
        assert_eq!(
            mix.to_string(),
            "product-service now, basket-service before, order-service now"
        );
    }
}
