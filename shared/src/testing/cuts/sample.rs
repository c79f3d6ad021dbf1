//! Choice of crash points for a run that cannot afford all of them, such as a second pass on other tables.
//!
//! `CRASH_POINT_SAMPLE=SEED/N` keeps about one point in N, by a hash of the seed: another commit has another sample. Always
//! kept are the first and the last call of each workflow, workflows that ever failed here, and all runs of mutations.

use aws_lc_rs::digest;

use super::super::faults::{Cut, Step};

const VARIABLE: &str = "CRASH_POINT_SAMPLE";
/// Workflows that once came to another end for a reason that was not found. They run whole.
const EVER_FAILED: [&str; 1] = ["checkout, authenticated"];

/// One point in `one_in`, chosen by `seed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    seed: String,
    one_in: u64,
}

impl Sample {
    /// Reads the variable; none where it is not set.
    ///
    /// # Panics
    /// It is not of the form SEED/N.
    #[expect(clippy::panic, clippy::disallowed_methods, reason = "a test's own setting")]
    pub(super) fn from_environment() -> Option<Self> {
        let value = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty())?;
        let sample = Self::parse(&value);
        Some(sample.unwrap_or_else(|| panic!("{VARIABLE}={value} is not of the form SEED/N")))
    }

    fn parse(value: &str) -> Option<Self> {
        let (seed, one_in) = value.rsplit_once('/')?;
        let one_in = one_in.parse().ok().filter(|one_in| *one_in > 0)?;
        Some(Self {
            seed: seed.to_owned(),
            one_in,
        })
    }

    /// Returns whether this point of a workflow with these calls is in the sample.
    pub(super) fn keeps(&self, workflow: &str, calls: &[Step], point: &(Step, Cut)) -> bool {
        let (step, cut) = point;
        let ends = [calls.first(), calls.last()];
        if ends.contains(&Some(step)) || EVER_FAILED.contains(&workflow) {
            return true;
        }
        let named = format!("{}|{workflow}|{step}|{cut:?}", self.seed);
        let hash = digest::digest(&digest::SHA256, named.as_bytes());
        let start = hash.as_ref().first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(start).is_multiple_of(self.one_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(count: usize) -> Vec<Step> {
        let numbered = 0..count;
        numbered
            .map(|nth| Step {
                call: "UpdateItem".to_owned(),
                nth,
            })
            .collect()
    }

    fn kept(seed: &str, workflow: &str, calls: &[Step]) -> Vec<usize> {
        let sample = Sample::parse(&format!("{seed}/4")).unwrap();
        let is_kept = |step: &&Step| sample.keeps(workflow, calls, &((*step).clone(), Cut::After));
        calls.iter().filter(is_kept).map(|step| step.nth).collect()
    }

    #[test]
    fn sample_keeps_about_one_point_in_n() {
        let kept = kept("seed", "checkout", &calls(400)).len();
        assert!((70..=130).contains(&kept), "{kept} of 400");
    }

    #[test]
    fn sample_depends_on_the_seed_alone() {
        let calls = calls(40);
        assert_eq!(kept("one", "checkout", &calls), kept("one", "checkout", &calls));
        assert_ne!(kept("one", "checkout", &calls), kept("two", "checkout", &calls));
    }

    #[test]
    fn sample_keeps_first_and_last_call() {
        for seed in 0..20 {
            let kept = kept(&seed.to_string(), "checkout", &calls(12));
            assert!(kept.contains(&0) && kept.contains(&11), "{kept:?}");
        }
    }

    #[test]
    fn sample_keeps_all_of_a_workflow_that_failed() {
        assert_eq!(kept("seed", EVER_FAILED[0], &calls(12)).len(), 12);
    }

    #[test]
    fn malformed_sample_is_refused() {
        for value in ["", "4", "seed/", "seed/0", "seed/x"] {
            assert_eq!(Sample::parse(value), None, "{value}");
        }
    }
}
