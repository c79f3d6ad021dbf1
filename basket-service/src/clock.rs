//! The one place that asks what time it is.

use jiff::Timestamp;

/// Now, in whole milliseconds: as a table keeps it, so that what is stored and what is said agree.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
