//! Events, as the bus hands them to a queue.

use serde_json::Value;

use super::tells_a_number;
use crate::contract::{Delivery, Fault, kinds};

/// A message of a queue: what is read of it, whichever kind it says it is, is written and read as the
/// same, and what is refused is refused without a word of it.
///
/// # Panics
/// That does not hold.
pub fn event(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let delivery = match Delivery::parse(text) {
        Ok(delivery) => delivery,
        Err(fault) => return harmless(&fault),
    };
    let Ok(Value::Object(message)) = serde_json::from_str(text) else {
        return;
    };
    let detail = message.get("detail").unwrap_or_default();
    for kind in kinds() {
        // As if it were of that kind: any reader may meet anything.
        if let Ok(read) = (kind.read)(detail) {
            let again = (kind.read)(&read).ok();
            assert_eq!(again.as_ref(), Some(&read), "{} changed by writing", kind.name);
            assert_eq!(read.get("id"), Some(&delivery.detail.id.to_string().into()));
        }
    }
}

/// A fault is logged and shown to operators: no card's number may be in it.
///
/// # Panics
/// There is one.
pub fn harmless(fault: &Fault) {
    let told = fault.to_string();
    assert!(!tells_a_number(&told), "{told}");
}
