//! What is done to the system while customers buy: parts killed and started, queues emptied, a service that hangs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_sqs::error::DisplayErrorContext;
use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::plan::{Kill, Scene};
use super::shoppers::Bought;
use super::{Chaos, Verdict};
use crate::Part;

/// Of those between two lines of progress.
const COMPLAINTS_SHOWN: usize = 3;
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Of all purchases begun, at how many the queues are emptied, and ministack killed.
const EMPTIED_PER_MILLE: usize = 350;
const MINISTACK_KILLED_PER_MILLE: usize = 600;
const MINISTACK_DOWN: Duration = Duration::from_millis(700);
/// The product service hangs after this much of the purchases has begun.
const PAUSED_PER_MILLE: usize = 250;
/// While it hangs, so many baskets are read at once, so often; each within this.
const READERS: usize = 3;
const READ_EVERY: Duration = Duration::from_secs(2);
const READ_WITHIN: Duration = Duration::from_secs(15);
const QUEUES: [&str; 2] = ["PROCESSING_QUEUE_URL", "BASKET_SETTLE_QUEUE_URL"];

/// What happens once, when so many purchases have begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Once {
    Empty,
    KillMinistack,
    Pause,
}

impl Chaos {
    /// Until the last customer is done.
    pub(super) async fn disturb(&mut self, shoppers: &mut JoinSet<Vec<Bought>>) -> anyhow::Result<()> {
        let many = self.plan.purchases().count();
        let at = |per_mille: usize| many * per_mille / 1_000;
        let mut once = match self.plan.scene {
            Scene::Storm => vec![
                (at(MINISTACK_KILLED_PER_MILLE), Once::KillMinistack),
                (at(EMPTIED_PER_MILLE), Once::Empty),
            ],
            Scene::Pause => vec![(at(PAUSED_PER_MILLE), Once::Pause)],
            Scene::Contention | Scene::Bills => vec![],
        };
        let mut kills = self.plan.kills();
        let mut next = kills.next().filter(|_| self.plan.scene == Scene::Storm);
        let mut due = Instant::now() + after(next);
        let mut ticks = interval(TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shoppers.is_empty() {
            if let Some((begun, what)) = once.last().copied()
                && self.tally.so_far() >= begun.max(1)
            {
                once.pop();
                self.do_once(what).await?;
            }
            tokio::select! {
                Some(done) = shoppers.join_next() => self.bought.extend(done?),
                _ = ticks.tick() => self.tell_progress(),
                () = sleep_until(due) => {
                    if let Some(kill) = next {
                        self.kill(kill).await?;
                        next = kills.next();
                    }
                    due = Instant::now() + after(next);
                }
                () = sleep(Duration::from_millis(50)), if !once.is_empty() => {}
            }
        }
        Ok(())
    }

    async fn kill(&mut self, kill: Kill) -> anyhow::Result<()> {
        self.tally.disturbed(&format!("{} killed", kill.part));
        self.system.kill(kill.part).await?;
        sleep(kill.down).await;
        self.system.start_part(kill.part).await
    }

    async fn do_once(&mut self, what: Once) -> anyhow::Result<()> {
        match what {
            Once::Empty => self.empty_queues().await,
            Once::KillMinistack => {
                self.tally.disturbed("ministack killed");
                self.system.kill(Part::Ministack).await?;
                sleep(MINISTACK_DOWN).await;
                self.system.start_part(Part::Ministack).await
            }
            Once::Pause => self.pause().await,
        }
    }

    async fn empty_queues(&self) -> anyhow::Result<()> {
        let deployment = self.system.deployment()?;
        for queue in QUEUES {
            let purge = deployment.sqs().purge_queue().queue_url(deployment.setting(queue)?);
            purge
                .send()
                .await
                .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
        }
        self.tally.disturbed("queues emptied");
        Ok(())
    }

    /// Has the product service hang, and reads baskets meanwhile.
    async fn pause(&mut self) -> anyhow::Result<()> {
        let long = self.options.pause;
        self.tell(format_args!("the product service hangs for {long:?}"));
        self.tally.disturbed("product-service paused");
        let settled_before: usize = self.tally.outcomes().values().sum();
        self.system.pause(Part::ProductService)?;
        let until = Instant::now() + long;
        let (mut findings, mut reads) = (Vec::new(), 0);
        while Instant::now() < until {
            let found = join_all((0..READERS).map(|place| self.read_basket(reads + place))).await;
            findings.extend(found.into_iter().flatten());
            reads += READERS;
            sleep(READ_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
        }
        self.system.resume(Part::ProductService)?;
        let settled: usize = self.tally.outcomes().values().sum();
        let figures = format!(
            "{reads} reads in {} s, {} orders ended meanwhile",
            long.as_secs(),
            settled - settled_before
        );
        self.notes.push(Verdict {
            name: "baskets readable",
            figures,
            findings,
        });
        self.tell("the product service goes on");
        Ok(())
    }

    /// What is wrong with the answer, if anything.
    async fn read_basket(&self, number: usize) -> Option<String> {
        let place = number.checked_rem(self.sessions.len())?;
        let session = self.sessions.get(place)?;
        let url = format!("{}/v1/baskets/me", self.shop.gateway);
        let began = Instant::now();
        let read = session.http().get(url).bearer_auth(session.token()).send();
        match tokio::time::timeout(READ_WITHIN, read).await {
            Ok(Ok(answer)) if answer.status() == StatusCode::OK => None,
            Ok(Ok(answer)) => Some(format!(
                "a basket was answered with {} after {:?}",
                answer.status(),
                began.elapsed()
            )),
            Ok(Err(error)) => Some(format!("a basket was not answered: {error}")),
            Err(_) => Some(format!("a basket was not answered within {READ_WITHIN:?}")),
        }
    }

    fn tell_progress(&self) {
        let complaints = self.tally.new_complaints();
        for complaint in complaints.iter().take(COMPLAINTS_SHOWN) {
            self.tell(format_args!("  complaint: {complaint}"));
        }
        if let Some(more) = complaints.len().checked_sub(COMPLAINTS_SHOWN).filter(|more| *more > 0) {
            self.tell(format_args!("  and {more} more complaints"));
        }
        let outcomes = self.tally.outcomes();
        let settled: usize = outcomes.values().sum();
        let faults: u64 = self.ledger.faults().values().sum();
        self.tell(format_args!(
            "  {:>5} s  begun {:>5}, ended {settled:>5} ({}); {faults} faults; {}",
            self.began.elapsed().as_secs(),
            self.tally.so_far(),
            listed(&outcomes),
            listed(&self.tally.disturbances()),
        ));
    }
}

fn after(kill: Option<Kill>) -> Duration {
    // Nothing to kill: look up again in a while.
    kill.map_or(Duration::from_secs(60), |kill| kill.after)
}

/// `12 confirmed, 3 failed`.
pub(super) fn listed(counts: &BTreeMap<String, usize>) -> String {
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    if counts.is_empty() {
        "nothing yet".to_owned()
    } else {
        counts.join(", ")
    }
}
