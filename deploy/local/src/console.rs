//! What the person in front of the terminal reads: one line at a time, on standard error, so that standard output
//! stays free for what a command was asked to print.

use std::fmt::Display;
use std::io::{self, Write};

/// Says one line. A terminal that has gone away is no reason to stop.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints one line of a command's own answer on standard output.
pub fn print(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Microseconds as milliseconds with one decimal.
pub(crate) fn millis(micros: u64) -> String {
    format!("{}.{}", micros / 1_000, micros % 1_000 / 100)
}
