//! What must hold of every text that outsiders can send to this service; see `shared::testing::fuzzing`,
//! which has those that all services read.

use shared::contract::Delivery;
use shared::contract::order::{OrderFailed, OrderPlaced};
use shared::testing::fuzzing::tells_a_number;

use crate::domain::GuestId;
use crate::{events, settle};

/// A message of the queue of answers: refused without a word of it, or read, with each line that comes
/// back as it was ordered.
///
/// # Panics
/// That does not hold.
pub fn answer(data: &[u8]) {
    let Some(delivery) = str::from_utf8(data).ok().and_then(|text| Delivery::parse(text).ok()) else {
        return;
    };
    let (placed, failed) = (delivery.read::<OrderPlaced>(), delivery.read::<OrderFailed>());
    if let Err(why) = settle::readable(&delivery) {
        assert!(!tells_a_number(&why.to_string()), "{why}");
        return assert!(!matches!((placed, failed), (Some(Ok(_)), _) | (_, Some(Ok(_)))));
    }
    if let Some(Ok(failed)) = failed {
        let ordered: Vec<_> = failed
            .data
            .lines
            .iter()
            .map(|line| (line.product_id, line.quantity))
            .collect();
        let returned = events::returned(failed.data.lines);
        let returned: Vec<_> = returned.iter().map(|line| (line.product_id, line.quantity)).collect();
        assert_eq!(returned, ordered);
    }
}

/// The name of a basket in a path: a guest's has one spelling.
///
/// # Panics
/// It has another.
pub fn name(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(id) = text.parse::<GuestId>() {
        assert_eq!(id.to_string(), text);
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::fuzzing::replay;

    use super::*;

    #[test]
    fn all_that_a_fuzzer_has_found_is_read_as_it_should() {
        replay("event", answer);
        replay("query", name);
    }
}
