//! The baskets' table: one async function for each use. Every write is conditional; what a refused
//! condition means is told from the item that comes with the refusal, at no cost.

mod checkouts;
mod expression;
mod fault;
mod lines;
mod record;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use jiff::Timestamp;
use shared::aws::retry_only_if_answered;
use thiserror::Error;

use crate::domain::{Basket, BasketId, GuestId};
pub use checkouts::{Answered, Due, Position};
use expression::Expression;
pub use fault::StoreError;
pub(crate) use fault::pause;
pub use lines::{ChangeError, Refusal};
pub use record::Corrupt;
use record::{Item, PK, VERSION};

/// The baskets' table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
}

/// Why a basket was not stored as it should have become.
#[derive(Debug, Error)]
pub enum SaveError {
    /// It has changed since it was read: this is how it stands. The same comes when the write did
    /// arrive and its answer was lost: whoever saves looks whether this is their own work.
    #[error("the basket has changed since it was read")]
    Changed(Box<Basket>),
    /// The table.
    #[error("the basket could not be stored")]
    Store(#[from] StoreError),
}

/// Why two baskets were not stored.
#[derive(Debug, Error)]
pub enum SaveBothError {
    /// One of them has changed since it was read, or is being changed.
    #[error("a basket has changed since it was read")]
    Changed,
    /// The table.
    #[error("the baskets could not be stored")]
    Store(#[from] StoreError),
}

/// Whether a write may be sent again when no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Yes: its maker knows its own work again.
    Unanswered,
    /// Only when an answer said that nothing was done.
    Refused,
}

impl Store {
    /// Over this table.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The basket as it was written last, also when it has expired. 1 round trip, 1 RCU for each 4 KB.
    ///
    /// # Errors
    /// The table does not answer, or the item cannot be read.
    pub async fn read(&self, id: &BasketId) -> Result<Option<Basket>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.key(PK, record::text(record::key(id))).send().await;
        let item = answer.map_err(fault::of)?.item;
        Ok(item.map(record::from_item).transpose()?)
    }

    /// Both baskets as they were written last. 1 round trip, 1 RCU for each 4 KB of each.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_both(&self, one: &BasketId, other: &BasketId) -> Result<[Option<Basket>; 2], StoreError> {
        let keys = [one, other].map(|id| HashMap::from([(PK.to_owned(), record::text(record::key(id)))]));
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.to_vec()))
            .consistent_read(true);
        let request = self.client.batch_get_item();
        let answer = request
            .request_items(&self.table, keys.build().map_err(fault::request)?)
            .send()
            .await
            .map_err(fault::of)?;
        if answer.unprocessed_keys().is_some_and(|left| !left.is_empty()) {
            return Err(StoreError::busy("the table left a read undone"));
        }
        let mut found = [None, None];
        for item in answer
            .responses
            .unwrap_or_default()
            .remove(&self.table)
            .unwrap_or_default()
        {
            let basket = record::from_item(item)?;
            let place = if basket.id == *one { 0 } else { 1 };
            if let Some(slot) = found.get_mut(place) {
                *slot = Some(basket);
            }
        }
        Ok(found)
    }

    /// A guest's basket, empty. 1 round trip, 1 WCU.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn create_guest(&self, id: GuestId, now: Timestamp) -> Result<Basket, StoreError> {
        let fresh = Basket::fresh(BasketId::Guest(id)).emptied(now);
        // A basket with an id of 128 bits of chance can be there already only because this very write
        // arrived and its answer was lost.
        match self.save(None, fresh, Repeat::Unanswered).await {
            Ok(basket) => Ok(basket),
            Err(SaveError::Changed(basket)) => Ok(*basket),
            Err(SaveError::Store(error)) => Err(error),
        }
    }

    /// Makes `after` of the basket that was read as `before` (as it lies in the table, expired or not;
    /// `None` where there was none), if nothing has changed it meanwhile; its version is counted up
    /// here. 1 round trip, 1 WCU for each KB, and 1 more when a checkout begins.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub async fn save(&self, before: Option<&Basket>, after: Basket, repeat: Repeat) -> Result<Basket, SaveError> {
        let after = counted_up(before, after);
        match fault::past_contention(|| self.try_save(before, &after, repeat)).await? {
            None => Ok(after),
            Some(current) => Err(SaveError::Changed(current)),
        }
    }

    /// What is there instead, where it is no longer what was read.
    async fn try_save(
        &self,
        before: Option<&Basket>,
        after: &Basket,
        repeat: Repeat,
    ) -> Result<Option<Box<Basket>>, StoreError> {
        let request = difference(before, after)?.into_request(self.client.update_item());
        let request = request
            .table_name(&self.table)
            .key(PK, record::text(record::key(&after.id)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = match repeat {
            Repeat::Unanswered => request.send().await,
            Repeat::Refused => {
                request
                    .customize()
                    .config_override(retry_only_if_answered())
                    .send()
                    .await
            }
        };
        match answer {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    let basket = refused.item().cloned().map(record::from_item).transpose()?;
                    // A basket that is gone had expired and was deleted.
                    Ok(Some(Box::new(basket.unwrap_or(Basket::fresh(after.id.clone())))))
                }
                Some(_) | None => Err(fault::of(error)),
            },
        }
    }

    /// Saves two baskets, both or neither. 1 round trip, 2 WCU for each KB of each. The SDK names each
    /// transaction by a token, so that one whose answer was lost is not done twice.
    ///
    /// # Errors
    /// See [`SaveBothError`].
    pub async fn save_both(&self, changes: [(Option<&Basket>, Basket); 2]) -> Result<[Basket; 2], SaveBothError> {
        let mut request = self.client.transact_write_items();
        let changes = changes.map(|(before, after)| (before, counted_up(before, after)));
        for (before, after) in &changes {
            let action = difference(*before, after)?.into_action().table_name(&self.table);
            let action = action.key(PK, record::text(record::key(&after.id))).build();
            let action = action.map_err(fault::request)?;
            request = request.transact_items(TransactWriteItem::builder().update(action).build());
        }
        match request.send().await {
            Ok(_) => Ok(changes.map(|(_, after)| after)),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(refused)) => {
                    let codes = refused.cancellation_reasons().iter().filter_map(|reason| reason.code());
                    let contended = |code| ["ConditionalCheckFailed", "TransactionConflict"].contains(&code);
                    if codes.clone().any(contended) {
                        Err(SaveBothError::Changed)
                    } else {
                        Err(StoreError::busy(codes.collect::<Vec<_>>().join(", ")).into())
                    }
                }
                Some(_) | None => Err(fault::of(error).into()),
            },
        }
    }

    /// Whether the table answers; for `/readyz`. 1 round trip, half an RCU.
    ///
    /// # Errors
    /// It does not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let request = self.client.get_item().table_name(&self.table);
        request.key(PK, record::text("-")).send().await.map_err(fault::of)?;
        Ok(())
    }
}

fn counted_up(before: Option<&Basket>, after: Basket) -> Basket {
    let version = before.map_or(0, |before| before.version) + 1;
    Basket { version, ..after }
}

/// The update that makes `after` of what was read, if it is still so.
fn difference(before: Option<&Basket>, after: &Basket) -> Result<Expression, StoreError> {
    let mut update = Expression::default();
    let mut old = match before {
        Some(before) => record::to_item(before)?,
        None => Item::new(),
    };
    let condition = match old.get(VERSION).cloned() {
        Some(version) => {
            let (path, version) = (update.path(&[VERSION]), update.value(version));
            format!("{path}={version}")
        }
        None => format!("attribute_not_exists({})", update.path(&[PK])),
    };
    update.only_if(condition);
    let mut new = record::to_item(after)?;
    old.remove(PK);
    new.remove(PK);
    update.difference(&old, new);
    Ok(update)
}

#[cfg(test)]
mod tests {
    use shared::ids::ProductId;
    use shared::money::Money;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Line, Pieces, Snapshot};

    /// As for giving back: 198 lines are the most that ever come together.
    #[test]
    fn the_largest_basket_is_emptied_by_one_update() {
        let mut basket = Basket::fresh(BasketId::Customer("c".parse().unwrap()));
        for n in 0..198 {
            let line = Line {
                pieces: Pieces::new(1998).unwrap(),
                snapshot: Snapshot {
                    name: "n".repeat(200),
                    unit_price: Money::new(i64::MAX, "USD".parse().unwrap()),
                    added_at: Timestamp::UNIX_EPOCH,
                },
            };
            basket.lines.insert(ProductId::from_uuid(Uuid::from_u128(n)), line);
        }
        let emptied = basket.clone().emptied(Timestamp::UNIX_EPOCH);
        let update = difference(Some(&basket), &emptied).unwrap();
        assert!((1000..4096).contains(&update.longest()), "{}", update.longest());
        let filled = difference(Some(&emptied), &basket).unwrap();
        assert!((1000..4096).contains(&filled.longest()), "{}", filled.longest());
    }
}
