//! Every cut: a workflow is run once for each of its outgoing calls and each way in which the process
//! can end there, and has to come to the same end each time.
//!
//! What a run is, how another process goes on, and what its end is, the test says.

mod sample;

use std::fmt::Debug;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet, spawn_local};

use self::sample::Sample;
use super::faults::{Cut, Faults, Mutation, Step};

/// What is cut.
#[derive(Clone, Copy, Debug)]
pub struct Workflow {
    name: &'static str,
    least_calls: usize,
    mutation: Option<Mutation>,
    at_once: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Cuts {
    workflow: &'static str,
    calls: Vec<Step>,
    made: usize,
    /// Points that the sample leaves out.
    left_out: usize,
    /// Runs that came to another end, and to which.
    strays: Vec<String>,
}

/// A run that has not ended by then hangs.
const LONGEST_RUN: Duration = Duration::from_secs(180);
/// Runs at once.
const AT_ONCE: usize = 6;

/// Of all workflows of this process so far.
static MADE: AtomicUsize = AtomicUsize::new(0);

impl Workflow {
    /// One that takes so many calls at least: fewer would mean that they are not seen.
    #[must_use]
    pub fn of(name: &'static str, least_calls: usize) -> Self {
        Self {
            name,
            least_calls,
            mutation: None,
            at_once: AT_ONCE,
        }
    }

    /// With so many runs at once.
    #[must_use]
    pub fn at_once(self, at_once: usize) -> Self {
        Self { at_once, ..self }
    }

    /// With a precaution taken away. It ends at the first run that strays: that shows that the
    /// enumeration would notice.
    #[must_use]
    pub fn without(self, mutation: Mutation) -> Self {
        Self {
            mutation: Some(mutation),
            ..self
        }
    }

    /// Runs it uncut, then once for each call and cut, and says how many that were on the standard
    /// error, where a passing test is heard too.
    ///
    /// `run` puts the faults under its first process, calls [`Faults::begin`] where the workflow
    /// begins, goes on with another process where they say that the first died, and tells the end.
    /// A run that panics, or hangs, strays.
    ///
    /// # Panics
    /// The workflow takes too few calls.
    pub async fn every_cut<E, F>(self, run: impl Fn(Faults) -> F, fine: impl Fn(&E) -> bool) -> Cuts
    where
        E: Debug + 'static,
        F: Future<Output = E> + 'static,
    {
        // On one thread: a run is the test's own code, and need not be `Send`.
        LocalSet::new().run_until(self.all_runs(run, fine)).await
    }

    async fn all_runs<E, F>(self, run: impl Fn(Faults) -> F, fine: impl Fn(&E) -> bool) -> Cuts
    where
        E: Debug + 'static,
        F: Future<Output = E> + 'static,
    {
        let began = Instant::now();
        let mut runs = Runs {
            cuts: Cuts {
                workflow: self.name,
                calls: Vec::new(),
                made: 0,
                left_out: 0,
                strays: Vec::new(),
            },
            under_way: JoinSet::new(),
        };
        let uncut = self.faults();
        runs.begin("uncut".to_owned(), uncut.clone(), run(uncut.clone()));
        runs.ended(&fine).await;
        let calls = &uncut.workflow();
        runs.cuts.calls.clone_from(calls);
        assert!(
            self.mutation.is_some() || calls.len() >= self.least_calls,
            "{}: its calls are not numbered: {calls:?}",
            self.name
        );
        let points = self.points(calls);
        runs.cuts.left_out = all(calls).len() - points.len();
        for (step, cut) in points {
            if self.mutation.is_some() && !runs.cuts.strays.is_empty() {
                break;
            }
            if runs.under_way.len() >= self.at_once {
                runs.ended(&fine).await;
            }
            let faults = self.faults();
            faults.cut_at(step.clone(), cut);
            runs.begin(format!("cut {cut:?} {step}"), faults.clone(), run(faults));
        }
        while !runs.under_way.is_empty() && (self.mutation.is_none() || runs.cuts.strays.is_empty()) {
            runs.ended(&fine).await;
        }
        runs.cuts.tell(self, began.elapsed());
        runs.cuts
    }

    /// Returns all points, or those of the sample. Runs of a mutation have all, in order to notice it.
    fn points(self, calls: &[Step]) -> Vec<(Step, Cut)> {
        let sample = Sample::from_environment().filter(|_| self.mutation.is_none());
        let mut points = all(calls);
        if let Some(sample) = sample {
            points.retain(|point| sample.keeps(self.name, calls, point));
        }
        points
    }

    fn faults(self) -> Faults {
        let faults = Faults::none();
        if let Some(mutation) = self.mutation {
            faults.mutate(mutation);
        }
        faults
    }
}

impl Cuts {
    /// Every run came to the same end.
    ///
    /// # Panics
    /// One did not.
    pub fn assert_one_end(&self) {
        assert!(
            self.strays.is_empty(),
            "{}: {} of {} runs strayed:\n{}",
            self.workflow,
            self.strays.len(),
            self.made + 1,
            self.strays.join("\n")
        );
    }

    /// Some run did not come to the same end.
    ///
    /// # Panics
    /// All did.
    pub fn assert_noticed(&self) {
        assert!(!self.strays.is_empty(), "{}: nothing was noticed", self.workflow);
    }

    #[expect(clippy::unwrap_used, reason = "a test's output")]
    fn tell(&self, workflow: Workflow, took: Duration) {
        let mut err = std::io::stderr().lock();
        let (name, calls, made, took) = (self.workflow, self.calls.len(), self.made, took.as_secs());
        match workflow.mutation {
            Some(mutation) => {
                let noticed = if self.strays.is_empty() {
                    "not noticed"
                } else {
                    "noticed"
                };
                writeln!(
                    err,
                    "cuts: {name} under {mutation:?}: {noticed}, after {made} cuts, {took} s"
                )
                .unwrap();
            }
            None => {
                let all = MADE.fetch_add(made, Ordering::SeqCst) + made;
                let left_out = match self.left_out {
                    0 => String::new(),
                    left_out => format!(" ({left_out} left out by the sample)"),
                };
                writeln!(
                    err,
                    "cuts: {name} {calls} calls, {made} cuts{left_out}, {took} s; {all} so far"
                )
                .unwrap();
            }
        }
    }
}

struct Runs<E> {
    cuts: Cuts,
    under_way: JoinSet<Run<E>>,
}

struct Run<E> {
    which: String,
    was_cut: bool,
    calls: Vec<Step>,
    /// What became of it, or how it broke off.
    end: Result<E, String>,
}

impl<E: Debug + 'static> Runs<E> {
    fn begin(&mut self, which: String, faults: Faults, run: impl Future<Output = E> + 'static) {
        self.under_way.spawn_local(async move {
            let run = spawn_local(run);
            let kill = run.abort_handle();
            let end = match tokio::time::timeout(LONGEST_RUN, run).await {
                Ok(Ok(end)) => Ok(end),
                Ok(Err(panicked)) => Err(panicked.to_string()),
                Err(_late) => {
                    kill.abort();
                    Err(format!("no end within {LONGEST_RUN:?}"))
                }
            };
            Run {
                which,
                was_cut: faults.is_dead(),
                calls: faults.workflow(),
                end,
            }
        });
    }

    /// Waits for one of them.
    #[expect(clippy::expect_used, reason = "it catches what the test panics with")]
    async fn ended(&mut self, fine: &impl Fn(&E) -> bool) {
        let Some(run) = self.under_way.join_next().await else {
            return;
        };
        let run = run.expect("a run is watched by one that does not panic");
        self.cuts.made += usize::from(run.was_cut);
        let stray = match &run.end {
            Ok(end) if fine(end) => return,
            Ok(end) => format!("{end:#?}"),
            Err(broke_off) => broke_off.clone(),
        };
        let calls: Vec<_> = run.calls.iter().map(ToString::to_string).collect();
        let which = &run.which;
        self.cuts.strays.push(format!("{which}, after {calls:?}: {stray}"));
    }
}

fn all(calls: &[Step]) -> Vec<(Step, Cut)> {
    let of = |step: &Step| step.cuts().iter().map(|cut| (step.clone(), *cut)).collect::<Vec<_>>();
    calls.iter().flat_map(of).collect()
}
