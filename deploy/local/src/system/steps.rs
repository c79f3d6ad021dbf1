//! How far a start is, for the person who waits for it.

use std::time::Instant;

use crate::console::say;

/// Who is told how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The terminal: a line for each step, with its time.
    Shown,
    /// Nobody.
    Hidden,
}

/// Tells each step when it is done.
pub(super) struct Steps {
    progress: Progress,
    last: Instant,
}

impl Steps {
    pub(super) fn new(progress: Progress) -> Self {
        Self {
            progress,
            last: Instant::now(),
        }
    }

    /// Tells that a step is done, and how long it took since the one before.
    pub(super) fn done(&mut self, step: &str, what: &str) {
        if self.progress == Progress::Shown {
            let took = self.last.elapsed();
            say(format_args!(
                "  {step:<17}{:>3}.{} s  {what}",
                took.as_secs(),
                took.subsec_millis() / 100
            ));
        }
        self.last = Instant::now();
    }
}
