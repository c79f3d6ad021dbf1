//! What must hold of every text that outsiders can send: one function for each fuzz target, from bytes
//! to a panic where it does not hold. `cargo fuzz` calls them (`shared/fuzz`), and so do tests, with all
//! that a fuzzer has found so far ([`replay`]). Those of one service's own texts are in its `fuzzing`.

mod event;
mod header;
mod json;
mod value;

use std::path::Path;

pub use self::event::{event, harmless};
pub use self::header::{etag, idempotency_key, token};
pub use self::json::json;
pub use self::value::{Amounts, cursor, money};

/// Every fuzz target; each has a folder in `shared/fuzz/corpus`.
pub const TARGETS: [&str; 11] = [
    "cursor",
    "etag",
    "event",
    "idempotency_key",
    "import",
    "json",
    "merge_patch",
    "money",
    "query",
    "token",
    "webhook",
];

/// Hands `holds` everything that is checked in for this target, and says how much that was.
///
/// # Panics
/// There is nothing, it cannot be read, or it does not hold of one of them, which is named.
#[expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test cannot go on without it")]
pub fn replay(target: &str, holds: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let input = std::fs::read(&file).unwrap();
        // Seen only where it panics.
        eprintln!("{}", file.display());
        holds(&input);
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", folder.display());
    inputs
}

/// The text before the first `at`, and the one after; one of them may be empty.
#[must_use]
pub fn cut(data: &[u8], at: u8) -> (&[u8], &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == at);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Whether a text has as many digits in a row as a card's number: none of ours that repeats nothing has.
#[must_use]
pub fn tells_a_number(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 12)
}
