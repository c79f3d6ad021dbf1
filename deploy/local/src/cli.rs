//! The verbs of `cargo local`. What they do is in the modules beside; here is how they are asked for.

mod chaos;
mod dead_letters;
mod detach;
mod load;
mod logs;
mod mixes;
mod reconcile;
mod status;
mod trace;
mod up;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use self::dead_letters::Wanted;
use crate::aws::Cognito;
use crate::console::{print, say};
use crate::instance::{Folder, UserPool};
use crate::loopback::LOOK_EVERY;
use crate::part::Part;
use crate::ports::Wishes;
use crate::{aws, users};

/// Longer than all parts together may take.
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// The whole system on this machine: services, gateway, and stand-ins for AWS and the payment provider.
#[derive(Debug, Parser)]
#[command(name = "cargo local", bin_name = "cargo local", max_term_width = 100)]
struct Arguments {
    /// Where the data, the logs and the state of the instance are [default: .local in the checkout]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build and start everything; Ctrl-C stops it, and the next start finds its data again
    Up(Box<Up>),
    /// Stop what `up --detach` started
    Down,
    /// Show each part: process, address, whether it answers, memory
    Status,
    /// Show what parts have said, and the e-mails that would have been sent (`mail`)
    Logs {
        /// One part's log only, such as product-service, gateway, ministack, mail, or up (a detached start's own)
        part: Option<String>,
        /// Go on showing what comes
        #[arg(short, long)]
        follow: bool,
        /// How many lines of the past, of each part
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
        lines: usize,
    },
    /// Print an access token of a demo user and nothing else
    Token {
        /// customer, customer2, merchant or admin
        user: String,
    },
    /// Hold stock, orders, checkouts and payments against each other: exits 1 where they differ, 2 where it cannot say
    Reconcile,
    /// Have customers buy while everything goes wrong, in a system of its own, and hold the outcome against the invariants
    ///
    /// Ends with 0 where all of them hold, with 1 where one is broken, with 2 where it could not be carried out.
    Chaos(chaos::Chaos),
    /// Have many users browse, fill baskets and buy at once, and tell rates, latencies and errors by step
    ///
    /// Ends with 0 where no request failed and every order is as its customer was told, with 1 where not, with 2 where it
    /// could not be carried out.
    Load(load::Load),
    /// Have people buy in every mix of two releases of the services, in a system of its own
    ///
    /// Ends with 0 where all went well in each mix, with 1 where not, or where it could not be carried out.
    Mixes(mixes::Mixes),
    /// Show what happened to an order, hop by hop, where `up --observe` keeps the spans
    Trace {
        /// The order's id
        order: String,
    },
    /// Show what the services could not process, and why
    DeadLetters {
        /// Have it processed again, up to a hundred messages of each service
        #[arg(long)]
        redrive: bool,
    },
    /// Remove all data: tables, users, payments, logs
    Reset {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// How to start.
#[derive(Debug, Args)]
struct Up {
    /// Come back when everything is ready, and leave it running
    #[arg(long)]
    detach: bool,
    /// Build the services as they are shipped, which takes minutes
    #[arg(long, conflicts_with = "binaries")]
    release: bool,
    /// Do not build: take the services' binaries from this folder
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Do not import the demo catalog
    #[arg(long)]
    no_catalog: bool,
    /// Keep the spans of all parts, for `trace`
    #[arg(long)]
    observe: bool,
    /// A setting for the services, such as ORDER_ACCEPTANCE=manual; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Where clients come in [default: 8080]
    #[arg(long, value_name = "PORT", help_heading = "Ports")]
    gateway_port: Option<u16>,
    #[command(flatten)]
    ports: PartPorts,
    /// Already in a session of its own
    #[arg(long, hide = true)]
    supervisor: bool,
}

/// A part whose port is not given takes its usual one, or a free one where that is taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ports")]
struct PartPorts {
    /// [default: 8081, or a free one]
    #[arg(long, value_name = "PORT")]
    product_service_port: Option<u16>,
    /// [default: 8082, or a free one]
    #[arg(long, value_name = "PORT")]
    basket_service_port: Option<u16>,
    /// [default: 8083, or a free one]
    #[arg(long, value_name = "PORT")]
    order_service_port: Option<u16>,
    /// [default: 8084, or a free one]
    #[arg(long, value_name = "PORT")]
    tables_port: Option<u16>,
    /// [default: 8085, or a free one]
    #[arg(long, value_name = "PORT")]
    ministack_port: Option<u16>,
    /// [default: 8086, or a free one]
    #[arg(long, value_name = "PORT")]
    payments_port: Option<u16>,
    /// Envoy's admin interface [default: 9901, or a free one]
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
}

impl Up {
    fn wishes(&self) -> Wishes {
        let ports = &self.ports;
        let given = [
            (Part::Gateway, self.gateway_port),
            (Part::ProductService, ports.product_service_port),
            (Part::BasketService, ports.basket_service_port),
            (Part::OrderService, ports.order_service_port),
            (Part::Tables, ports.tables_port),
            (Part::Ministack, ports.ministack_port),
            (Part::Payments, ports.payments_port),
        ];
        let parts: BTreeMap<_, _> = given
            .into_iter()
            .filter_map(|(part, port)| Some((part, port?)))
            .collect();
        Wishes {
            parts,
            admin: ports.admin_port,
        }
    }
}

/// Of the form NAME=VALUE.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("not of the form NAME=VALUE".to_owned()),
    }
}

/// Does what this process was asked for. Every failure is one line on standard error.
pub fn main() -> ExitCode {
    seen_through(run(Arguments::parse()))
}

/// A command's work and its status. Every failure is one line on standard error.
pub(crate) fn seen_through(work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(work) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    tell(error);
    ExitCode::FAILURE
}

fn tell(error: &anyhow::Error) {
    // Some errors of the SDK are several lines long.
    let line: Vec<_> = format!("{error:#}").lines().map(str::trim).map(str::to_owned).collect();
    say(format_args!("error: {}", line.join(" ")));
}

/// It could not be carried out, so it says nothing of what it was to find out.
const NOT_CARRIED_OUT: u8 = 2;

/// Tells what a run has to say for itself: success where it `holds`, 1 where not, 2 where it could not be carried out.
fn concluded<R: Display + Serialize>(outcome: anyhow::Result<R>, holds: fn(&R) -> bool, json: bool) -> ExitCode {
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            tell(&error);
            return ExitCode::from(NOT_CARRIED_OUT);
        }
    };
    if json {
        print(serde_json::to_string_pretty(&report).unwrap_or_default());
    }
    say(&report);
    if holds(&report) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let named = arguments.data.is_some();
    let folder = match arguments.data {
        // A detached start changes nothing of where it is, but messages are read elsewhere.
        Some(path) => Folder::new(std::path::absolute(path)?),
        None => Folder::usual(),
    };
    match arguments.verb {
        Verb::Up(up) if up.detach => detach::up(&folder, *up).await?,
        Verb::Up(up) => up::up(folder, *up).await?,
        Verb::Down => down(&folder).await?,
        Verb::Status => status::show(&folder).await?,
        Verb::Logs { part, follow, lines } => logs::show(&folder, part.as_deref(), lines, follow).await?,
        Verb::Token { user } => print(token(&folder, &user).await?),
        Verb::Reconcile => return Ok(reconcile::run(&folder).await),
        Verb::Chaos(asked) => return Ok(chaos::chaos(named.then_some(folder), asked).await),
        Verb::Load(asked) => return Ok(load::run(&folder, asked).await),
        Verb::Mixes(asked) => mixes::run(asked).await?,
        Verb::Trace { order } => trace::show(&folder, &order)?,
        Verb::DeadLetters { redrive: false } => dead_letters::run(&folder, Wanted::Shown).await?,
        Verb::DeadLetters { redrive: true } => dead_letters::run(&folder, Wanted::Redriven).await?,
        Verb::Reset { yes } => reset(&folder, yes).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn down(folder: &Folder) -> anyhow::Result<()> {
    let instance = folder.running()?;
    instance.supervisor.signal(Signal::TERM);
    let deadline = Instant::now() + STOPS_WITHIN;
    while instance.supervisor.is_alive() {
        if Instant::now() > deadline {
            bail!(
                "it has not stopped within {} s: `cargo local logs up` may tell why, `kill -9 {}` ends it",
                STOPS_WITHIN.as_secs(),
                instance.supervisor.pid
            );
        }
        sleep(LOOK_EVERY).await;
    }
    say("stopped; the data are kept");
    Ok(())
}

async fn token(folder: &Folder, user: &str) -> anyhow::Result<String> {
    let (cognito, pool) = user_pool(folder)?;
    users::token(&cognito, &pool.client_id, user).await
}

/// Where the users of what runs here are.
fn user_pool(folder: &Folder) -> anyhow::Result<(Cognito, UserPool)> {
    let instance = folder.running()?;
    let cognito = Cognito::new(&aws::config(instance.url(Part::Ministack)?))?;
    let pool = instance
        .user_pool
        .context("the user pool is not there yet: wait for `up`")?;
    Ok((cognito, pool))
}

async fn reset(folder: &Folder, yes: bool) -> anyhow::Result<()> {
    if folder.running().is_ok() {
        bail!("it runs: stop it first (`cargo local down`, or Ctrl-C where `up` runs)");
    }
    if !yes {
        if !io::stdin().is_terminal() {
            bail!("nobody is there to confirm: say `cargo local reset --yes`");
        }
        say(format_args!("Remove all data in {}? [y/N]", folder.path().display()));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was removed");
        }
    }
    folder.reset().await?;
    say(format_args!("removed all data in {}", folder.path().display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_setting_has_a_name_and_a_value() {
        assert_eq!(setting("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(setting("A").is_err());
        assert!(setting("=b").is_err());
    }
}
