//! What customers were told of their orders, and whether the shop's own list agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

/// How long an order may take to its end.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// What somebody was told of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// It became this order.
    Order(Box<Ordered>),
    /// Nobody answered, however often it was asked: there may be an order or not.
    Unknown(String),
}

/// What was ordered, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ordered {
    pub(super) id: String,
    /// What the basket held, and what it was to cost.
    pub(super) meant: Content,
    /// What the order says.
    pub(super) came: Content,
    /// Its last status that was seen, with the reason of a failure.
    pub(super) end: String,
    pub(super) watched: Watched,
}

/// How far an order was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// To its end.
    ToItsEnd,
    /// Until its customer's [`PATIENCE`] was over.
    AsLongAsPatient,
    /// Until its customer was not let in any more.
    AsLongAsLetIn,
}

/// Quantities by product, and the total in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) lines: BTreeMap<String, u64>,
    pub(super) total: Option<i64>,
}

/// What a look at a user's orders brought.
#[derive(Debug, Default)]
pub(super) struct Review {
    /// Orders by how they ended.
    pub(super) ends: BTreeMap<String, u64>,
    /// What should not be.
    pub(super) wrong: Vec<String>,
    /// Checkouts of which nobody knows, and lists that could not be read.
    pub(super) unknown: Vec<String>,
}

impl Content {
    pub(super) fn of(body: &Value, lines: &str, total: &str) -> Self {
        let entries = body.get(lines).and_then(Value::as_array);
        let line = |line: &Value| {
            let product = line.get("product_id")?.as_str()?.to_owned();
            Some((product, line.get("quantity")?.as_u64()?))
        };
        Self {
            lines: entries.into_iter().flatten().filter_map(line).collect(),
            total: body.pointer(total).and_then(Value::as_i64),
        }
    }
}

impl Review {
    pub(super) fn note(&mut self, ordered: &Ordered) {
        *self.ends.entry(ordered.end.clone()).or_default() += 1;
        let Ordered {
            id,
            meant,
            came,
            end,
            watched,
        } = ordered;
        match watched {
            Watched::ToItsEnd if came == meant => {}
            Watched::ToItsEnd => self
                .wrong
                .push(format!("{id} is for {came:?}, and its basket held {meant:?}")),
            Watched::AsLongAsPatient => self.wrong.push(format!("{id} is {end} after {} s", PATIENCE.as_secs())),
            Watched::AsLongAsLetIn => self
                .unknown
                .push(format!("{id} was {end} when its customer was not let in any more")),
        }
    }

    /// Every receipt is one order, and there is no order without a receipt.
    pub(super) fn compare(&mut self, listed: &[String], receipts: &[Receipt]) {
        let mut unknown = 0;
        let mut told = BTreeSet::new();
        for receipt in receipts {
            match receipt {
                Receipt::Order(ordered) if !told.insert(&ordered.id) => {
                    self.wrong
                        .push(format!("two checkouts became the one order {}", ordered.id));
                }
                Receipt::Order(_) => {}
                Receipt::Unknown(_) => unknown += 1,
            }
        }
        let there: BTreeSet<_> = listed.iter().collect();
        let lost = told.iter().filter(|id| !there.contains(**id));
        self.wrong
            .extend(lost.map(|id| format!("{id} was accepted, and is not among its customer's orders")));
        let untold: Vec<_> = there.iter().filter(|id| !told.contains(**id)).collect();
        if untold.len() > unknown {
            self.wrong
                .push(format!("there are orders that nobody was told of: {untold:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(product: &str, quantity: u64, total: i64) -> Content {
        Content {
            lines: BTreeMap::from([(product.to_owned(), quantity)]),
            total: Some(total),
        }
    }

    fn ordered(id: &str) -> Ordered {
        Ordered {
            id: id.to_owned(),
            meant: content("tea", 2, 1000),
            came: content("tea", 2, 1000),
            end: "confirmed".to_owned(),
            watched: Watched::ToItsEnd,
        }
    }

    fn reviewed(listed: &[&str], receipts: &[Receipt]) -> Review {
        let mut review = Review::default();
        for receipt in receipts {
            if let Receipt::Order(ordered) = receipt {
                review.note(ordered);
            }
        }
        let listed: Vec<_> = listed.iter().map(|id| (*id).to_owned()).collect();
        review.compare(&listed, receipts);
        review
    }

    fn receipt(ordered: Ordered) -> Receipt {
        Receipt::Order(Box::new(ordered))
    }

    #[test]
    fn orders_that_are_as_they_were_meant_are_fine() {
        let review = reviewed(&["2", "1"], &[receipt(ordered("1")), receipt(ordered("2"))]);
        assert_eq!(review.wrong, Vec::<String>::new());
        assert_eq!(review.ends, BTreeMap::from([("confirmed".to_owned(), 2)]));
    }

    #[test]
    fn an_order_that_is_lost_doubled_shared_or_nobody_was_told_of_is_noticed() {
        let one = || receipt(ordered("1"));
        assert_eq!(reviewed(&[], &[one()]).wrong.len(), 1, "lost");
        assert_eq!(reviewed(&["1", "2"], &[one()]).wrong.len(), 1, "doubled");
        assert_eq!(reviewed(&["1"], &[one(), one()]).wrong.len(), 1, "shared");
        let unknown = Receipt::Unknown("a key".to_owned());
        assert!(
            reviewed(&["1", "2"], &[one(), unknown.clone()]).wrong.is_empty(),
            "perhaps the other's"
        );
        assert_eq!(reviewed(&["1", "2", "3"], &[one(), unknown]).wrong.len(), 1, "not two");
    }

    #[test]
    fn an_order_for_something_else_or_without_an_end_is_noticed() {
        for came in [
            content("tea", 1, 1000),
            content("tea", 2, 999),
            content("mug", 2, 1000),
            Content::default(),
        ] {
            let other = Ordered { came, ..ordered("1") };
            assert_eq!(reviewed(&["1"], &[receipt(other)]).wrong.len(), 1);
        }
        let pending = Ordered {
            end: "pending".to_owned(),
            watched: Watched::AsLongAsPatient,
            ..ordered("1")
        };
        assert_eq!(reviewed(&["1"], &[receipt(pending)]).wrong.len(), 1);
    }
}
