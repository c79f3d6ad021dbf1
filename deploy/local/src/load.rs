//! Load: many users at once on mixed journeys, against a shop at any base URL, and whether each of their orders came out
//! as its customer was told.
//!
//! A user looks around, fills a basket, or buys, pauses a little between two steps, and begins again, until the time is
//! over; what has been begun is seen through. Every request counts: its latency by step, a refusal by its code, a 5xx or
//! no answer as a failure, and so does a user who is not let in. Then each customer's list of orders is held against what they were told.
//!
//! The pauses are the users' own: a slow shop gets fewer requests, as from people. With a rate, requests leave at that
//! rate at the most, all users together.

mod meter;
mod pace;
mod pass;
mod receipt;
mod report;
mod shop;
#[cfg(test)]
mod tests;
mod user;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::meter::Meter;
use self::pass::{Pass, SignedIn};
pub use self::report::{Report, StepReport};
use self::shop::Shop;
use self::user::User;
use crate::console::say;
use crate::dice::Dice;
use crate::system::Progress;

/// Between two lines of progress.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// Users made, and asked, at once.
const SIGN_INS_AT_ONCE: usize = 4;
/// Lists of orders read at once.
const REVIEWS_AT_ONCE: usize = 16;

/// What to do, and to what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The shop's base URL, without `/v1`.
    pub url: String,
    /// Who the users are: as many as there are here.
    pub users: Users,
    /// For how long new journeys are begun.
    pub duration: Duration,
    /// A user's pause between two steps: this, give or take half of it.
    pub pause: Duration,
    /// Requests a second at the most, of all users together.
    pub rate: Option<u32>,
    /// What pays; `None`: nobody buys, as in a shop where money is real.
    pub payment_token: Option<String>,
    /// Where everything that users decide comes from.
    pub seed: u64,
    /// Who is told how far it is.
    pub progress: Progress,
}

/// Where the users' access tokens come from.
#[derive(Clone, Debug)]
pub enum Users {
    /// They sign in at a local system's user pool, also again when a token gets old.
    SignIn {
        /// The pool.
        cognito: crate::aws::Cognito,
        /// The client by which people sign in.
        client_id: String,
        /// Customers who have been made.
        names: Vec<String>,
    },
    /// One of each; they have to last.
    Tokens(Vec<String>),
}

/// Does all of it.
///
/// # Errors
///
/// When it cannot begin: nobody can sign in, or there is nothing to buy. What goes wrong later is in the report.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    let meter = Arc::new(Meter::default());
    let shop = Arc::new(Shop::open(&options, Arc::clone(&meter)).await?);
    let run = Uuid::new_v4().simple().to_string();
    let users = users_of(&options, &shop, &run).await?;
    let many = users.len();
    let told = options.progress == Progress::Shown;
    if told {
        let (goods, duration, url) = (shop.goods(), options.duration, &options.url);
        say(format_args!(
            "{many} users for {} s at {url}, {goods} products, seed {}",
            duration.as_secs(),
            options.seed
        ));
    }
    let began = Instant::now();
    let mut journeys = JoinSet::new();
    for user in users {
        journeys.spawn(user.live(began + options.duration));
    }
    let over = CancellationToken::new();
    let teller = told.then(|| tokio::spawn(tell(Arc::clone(&meter), began, over.clone())));
    let bought = journeys.join_all().await;
    let took = began.elapsed();
    over.cancel();
    if let Some(teller) = teller {
        teller.await?;
        say("time is over: holding each customer's orders against what they were told");
    }
    let mut report = Report::of(&options, many, took, &meter);
    let reviews = stream::iter(bought).map(|(user, receipts)| user.review(receipts));
    let mut reviews = reviews.buffer_unordered(REVIEWS_AT_ONCE);
    while let Some(review) = reviews.next().await {
        report.add(review);
    }
    Ok(report)
}

async fn users_of(options: &Options, shop: &Arc<Shop>, run: &str) -> anyhow::Result<Vec<User>> {
    let passes = match &options.users {
        Users::Tokens(tokens) => tokens.iter().cloned().map(Pass::Token).collect(),
        Users::SignIn {
            cognito,
            client_id,
            names,
        } => {
            let passes = stream::iter(names).map(|name| SignedIn::at(cognito, client_id, name));
            let passes = passes.buffered(SIGN_INS_AT_ONCE).map_ok(Pass::SignedIn);
            passes.try_collect::<Vec<_>>().await?
        }
    };
    ensure!(!passes.is_empty(), "there are no users");
    let user = |(number, pass): (usize, Pass)| {
        let row = u64::try_from(number).unwrap_or(u64::MAX);
        let dice = Dice::of(options.seed, "users", row);
        User::new(Arc::clone(shop), dice, pass, format!("load-{run}-{number}"))
    };
    Ok(passes.into_iter().enumerate().map(user).collect())
}

async fn tell(meter: Arc<Meter>, began: Instant, over: CancellationToken) {
    let mut ticks = interval(TOLD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    while over.run_until_cancelled(ticks.tick()).await.is_some() {
        say(meter.so_far(began.elapsed()));
    }
}
