//! What can go wrong between a process and everything outside it: a layer under the AWS SDK and
//! reqwest, where nothing above can tell it from the network.
//!
//! It loses, refuses, delays and repeats calls, and tells what was called and what the table charged.
//! It numbers the calls of a workflow and ends the process at one of them ([`Faults::cut_at`]); the
//! enumeration of all of them is [`crate::testing::cuts`]'s. It can also take away what makes the
//! services safe ([`Mutation`]), so that a test shows that it would notice.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::sync::watch;

pub use self::mutation::Mutation;
use super::activity::Activity;
use crate::outgoing::Outgoing;

mod aws;
mod http;
mod mutation;

/// Everything that leaves one process.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    decide: Box<dyn Fn(&Call<'_>) -> Fate + Send + Sync>,
    state: Mutex<State>,
    dead: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    mutations: Vec<Mutation>,
    cut: Option<(Step, Cut)>,
    late: Option<reqwest::Request>,
    /// Calls by name.
    calls: HashMap<String, u64>,
    answers: HashMap<String, u64>,
    charges: Vec<(String, Charge)>,
    workflow: Vec<Step>,
    /// Whether calls are the workflow's.
    numbering: bool,
    activity: Option<Activity>,
}

struct Rule {
    call: String,
    times: usize,
    fate: Fate,
}

/// A call on its way out.
#[derive(Debug)]
pub struct Call<'a> {
    /// An operation of AWS (`PutEvents`), or a method and a path whose ids are left out
    /// (`POST /v1/payment_intents/{}/confirm`).
    pub name: &'a str,
    /// Its body, where it is JSON.
    pub body: &'a Value,
    /// Counts the calls of this name from 0, tries included.
    pub number: u64,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It goes through.
    Passes,
    /// It never arrives.
    Lost,
    /// It arrives and takes effect; its answer is lost.
    AnswerLost,
    /// It goes through, that much later.
    Slow(Duration),
    /// Somebody else was writing one of its items: `TransactionConflict`, as no emulator says it.
    Conflict,
    /// It is throttled.
    Throttled,
    /// The other side says that it failed.
    Failed,
    /// It does not arrive, and is answered so.
    Answered(u16, Value),
    /// Of a `ReceiveMessage`: each message is handed out twice.
    Doubled,
}

/// A call of a workflow: the n-th of its name, counted from 0. Calls of different names may overtake
/// each other from run to run; those of one name are told apart well enough by their number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// As [`Call::name`].
    pub call: String,
    /// Which of that name.
    pub nth: usize,
}

/// How a process ends at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The call never arrives.
    Before,
    /// The call arrives, and its answer is lost.
    After,
    /// The call is held up on its way and arrives when everybody has forgotten it:
    /// [`Faults::let_the_late_call_through`].
    Late,
}

/// What the table charged for one call, in request units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charge {
    /// Read units.
    pub read: f64,
    /// Write units.
    pub write: f64,
}

/// What asks again and again whether there is work. It belongs to a workflow only where it brings some.
const POLLS: [&str; 3] = ["ReceiveMessage", "Query", "GetQueueAttributes"];

impl Faults {
    /// Everything goes through.
    #[must_use]
    pub fn none() -> Self {
        Self::when(|_| Fate::Passes)
    }

    /// As `decide` says of each call, unless a rule of [`Faults::on`] does.
    #[must_use]
    pub fn when(decide: impl Fn(&Call<'_>) -> Fate + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            decide: Box::new(decide),
            state: Mutex::default(),
            dead: watch::Sender::new(false),
        }))
    }

    /// No call of that name gets out.
    #[must_use]
    pub fn refusing(call: &str) -> Self {
        let faults = Self::none();
        faults.on(call, usize::MAX, Fate::Lost);
        faults
    }

    /// The answer to the first call of that name is lost.
    #[must_use]
    pub fn losing(call: &str) -> Self {
        let faults = Self::none();
        faults.on(call, 1, Fate::AnswerLost);
        faults
    }

    /// The next so many calls of that name go so.
    pub fn on(&self, call: &str, times: usize, fate: Fate) {
        let call = call.to_owned();
        self.state().rules.push(Rule { call, times, fate });
    }

    /// The rules of [`Faults::on`] hold no longer.
    pub fn lift(&self) {
        self.state().rules.clear();
    }

    /// From now on the services' own precautions fail like that.
    pub fn mutate(&self, mutation: Mutation) {
        self.state().mutations.push(mutation);
    }

    /// Notifies `activity` of each call that took effect.
    pub fn report_to(&self, activity: &Activity) {
        self.state().activity = Some(activity.clone());
    }

    /// Of another process of the same making: what is taken away from this one is from that one too,
    /// and nothing else goes wrong.
    #[must_use]
    pub fn successor(&self) -> Self {
        let successor = Self::none();
        for mutation in self.mutations() {
            successor.mutate(mutation);
        }
        successor.state().activity = self.state().activity.clone();
        successor
    }

    /// From here on calls are the workflow's: before it are the start of the process and what a test
    /// prepares.
    pub fn begin(&self) {
        self.state().numbering = true;
    }

    /// The workflow is over: what is called now, the test looks at.
    pub fn end(&self) {
        self.state().numbering = false;
    }

    /// The process ends at that call of the workflow: it, and all later ones, never come back.
    pub fn cut_at(&self, step: Step, cut: Cut) {
        self.state().cut = Some((step, cut));
    }

    /// The calls of the workflow so far, in their order.
    #[must_use]
    pub fn workflow(&self) -> Vec<Step> {
        self.state().workflow.clone()
    }

    /// Comes back when the process has been cut off.
    pub async fn died(&self) {
        // The sender lives as long as this.
        let _ = self.0.dead.subscribe().wait_for(|dead| *dead).await;
    }

    /// Whether the process has been cut off.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        *self.0.dead.borrow()
    }

    /// Lets the call of a [`Cut::Late`] arrive at last; whatever it is answered, nobody hears. Does
    /// nothing where there is none.
    ///
    /// # Panics
    /// It cannot arrive, or is not understood there.
    #[expect(clippy::panic, reason = "that is how a test fails")]
    pub async fn let_the_late_call_through(&self) {
        let late = self.state().late.take();
        if let Some(request) = late {
            #[expect(clippy::disallowed_methods, reason = "the network's own, so to say")]
            let client = reqwest::Client::builder().tls_certs_only([]).build();
            let client = client.unwrap_or_else(|error| panic!("no client for the late call: {error}"));
            let sent = client.execute(request).await;
            let answer = sent.unwrap_or_else(|error| panic!("the late call cannot arrive: {error}"));
            let answer = answer.text().await.unwrap_or_default();
            // A call that is not understood shows nothing: it was made wrong here.
            assert!(
                !answer.contains("ValidationException"),
                "the late call is wrong: {answer}"
            );
        }
    }

    /// How many calls of that name there were, tries included.
    #[must_use]
    pub fn calls(&self, name: &str) -> u64 {
        self.state().calls.get(name).copied().unwrap_or(0)
    }

    /// How many calls of that name were answered.
    #[must_use]
    pub fn answers(&self, name: &str) -> u64 {
        self.state().answers.get(name).copied().unwrap_or(0)
    }

    /// What the table charged for each call of one of these operations, in their order.
    #[must_use]
    pub fn charges(&self, operations: &[&str]) -> Vec<Charge> {
        let state = self.state();
        let of_these = state
            .charges
            .iter()
            .filter(|(name, _)| operations.contains(&name.as_str()));
        of_these.map(|(_, charge)| *charge).collect()
    }

    /// The process' ways out, with all this on them.
    ///
    /// # Panics
    /// The TLS backend could not be set up.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test cannot go on without it")]
    pub fn outgoing(&self) -> Outgoing {
        Outgoing::with_layers(|inner| aws::under(inner, self.clone()), |http| http.with(self.clone())).unwrap()
    }

    /// What happens to a call that is on its way.
    fn departs(&self, name: &str, body: &Value) -> Departure {
        if self.is_dead() {
            return Departure::NeverReturns;
        }
        let mut state = self.state();
        let count = state.calls.entry(name.to_owned()).or_default();
        let number = *count;
        *count += 1;
        if !POLLS.contains(&name)
            && let Some(cut) = state.number(name)
        {
            return Departure::Cut(cut);
        }
        let rule = state.rules.iter_mut().find(|rule| rule.times > 0 && rule.call == name);
        if let Some(rule) = rule {
            rule.times -= 1;
            return Departure::Meets(rule.fate.clone());
        }
        drop(state);
        Departure::Meets((self.0.decide)(&Call { name, body, number }))
    }

    /// Notes an answer. Says whether the process ends before it hears it: at a poll that brought work.
    fn answered(&self, name: &str, answer: &Answer) -> bool {
        let mut state = self.state();
        *state.answers.entry(name.to_owned()).or_default() += 1;
        if !POLLS.contains(&name)
            && !only_reads(name)
            && let Some(activity) = &state.activity
        {
            activity.notify();
        }
        if let Some(consumed) = &answer.consumed {
            state.charges.push((name.to_owned(), charge(consumed)));
        }
        let brought = !(answer.messages.is_empty() && answer.items.is_empty());
        POLLS.contains(&name) && brought && state.number(name).is_some()
    }

    fn hold(&self, late: reqwest::Request) {
        self.state().late = Some(late);
    }

    fn die(&self) {
        self.0.dead.send_replace(true);
    }

    fn mutations(&self) -> Vec<Mutation> {
        self.state().mutations.clone()
    }

    #[expect(clippy::unwrap_used, reason = "nothing panics while it is held")]
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

impl State {
    /// Counts a call as the workflow's. Says how the process is cut at it, if it is.
    fn number(&mut self, name: &str) -> Option<Cut> {
        if !self.numbering {
            return None;
        }
        let step = Step {
            call: name.to_owned(),
            nth: self.workflow.iter().filter(|step| step.call == name).count(),
        };
        let cut = self.cut.as_ref().filter(|(at, _)| *at == step).map(|(_, cut)| *cut);
        self.workflow.push(step);
        cut
    }
}

impl Step {
    /// How a process can be cut at this call. What a poll would have brought is told to nobody; what
    /// only reads can come late without anybody's noticing.
    #[must_use]
    pub fn cuts(&self) -> &'static [Cut] {
        if POLLS.contains(&self.call.as_str()) {
            &[Cut::After]
        } else if only_reads(&self.call) {
            &[Cut::Before, Cut::After]
        } else {
            &[Cut::Before, Cut::After, Cut::Late]
        }
    }
}

fn only_reads(call: &str) -> bool {
    ["GetItem", "BatchGetItem", "Scan"].contains(&call) || call.starts_with("GET ")
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.call, self.nth)
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

enum Departure {
    Meets(Fate),
    Cut(Cut),
    NeverReturns,
}

/// What matters of an answer. A page of a table is not taken apart: a test may look at memory.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Answer {
    #[serde(rename = "ConsumedCapacity")]
    consumed: Option<Value>,
    messages: Vec<IgnoredAny>,
    items: Vec<IgnoredAny>,
}

/// Of one table; transactions and batches tell a list.
fn charge(consumed: &Value) -> Charge {
    let tables = consumed
        .as_array()
        .map_or(std::slice::from_ref(consumed), Vec::as_slice);
    let units = |kind: &str| {
        let of = |table: &Value| table.get(kind).or(table.get("CapacityUnits")).and_then(Value::as_f64);
        tables.iter().filter_map(of).sum()
    };
    Charge {
        read: units("ReadCapacityUnits"),
        write: units("WriteCapacityUnits"),
    }
}
