//! What reconciliation reads: everything, page by page; some of it again by its ids, strongly; and what
//! is held now.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use shared::due::SHARDS;
use shared::ids::{OrderId, ProductId};

use super::read::Consistency;
use super::record::stock::Counters;
use super::record::{self, Key};
use super::write::Item;
use super::{Store, StoreError};
use crate::domain::reservation::{Reservation, State};

/// Where a list of what is held goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPosition {
    shard: u8,
    after: Option<(String, String, i64)>,
}

impl Store {
    /// The reservations of these orders that there are, strongly, in no order.
    ///
    /// One round trip per 100; 1 RCU per 4 KB of each.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn reservations_of(&self, orders: &[OrderId]) -> Result<Vec<Reservation>, StoreError> {
        let keys = orders.iter().map(|id| Key::Reservation(*id)).collect();
        let items = self.raw_items(keys, Consistency::Strong).await?;
        let read = |item| record::reservation::read(item).map(|stored| stored.reservation);
        items.into_iter().map(read).collect()
    }

    /// The counters of these products that there are, strongly, in no order.
    ///
    /// One round trip per 100; 1 RCU each.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn counters_of(&self, products: &[ProductId]) -> Result<Vec<(ProductId, Counters)>, StoreError> {
        let keys = products.iter().map(|id| Key::Stock(*id)).collect();
        let items = self.raw_items(keys, Consistency::Strong).await?;
        let read = |item| Ok((record::product_of(&item)?, record::stock::counters(item)?));
        items.into_iter().map(read).collect()
    }

    /// A page of what is held now, read strongly off the index of what is due: every hold is due when it
    /// expires. What was held a moment ago may be missing, as the index follows its items.
    ///
    /// At most nine round trips; 0.5 RCU per 4 KB of keys of each shard, 1 RCU for each reservation. A page
    /// may hold fewer than `limit` and not be the last.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn held(
        &self,
        limit: u8,
        from: Option<HeldPosition>,
    ) -> Result<(Vec<Reservation>, Option<HeldPosition>), StoreError> {
        let limit = usize::from(limit);
        let mut position = from.unwrap_or(HeldPosition { shard: 0, after: None });
        let mut keys = Vec::new();
        let next = loop {
            if position.shard >= SHARDS {
                break None;
            }
            if keys.len() >= limit {
                break Some(position);
            }
            let (found, after) = self.due_keys(&position, limit - keys.len()).await?;
            keys.extend(found);
            position = match after {
                Some(_) => HeldPosition { after, ..position },
                None => HeldPosition {
                    shard: position.shard + 1,
                    after: None,
                },
            };
        };
        keys.retain(|key| matches!(key, Key::Reservation(_)));
        let mut held = Vec::with_capacity(keys.len());
        for item in self.raw_items(keys, Consistency::Strong).await? {
            let reservation = record::reservation::read(item)?.reservation;
            if reservation.state == State::Held {
                held.push(reservation);
            }
        }
        Ok((held, next))
    }

    async fn due_keys(
        &self,
        position: &HeldPosition,
        limit: usize,
    ) -> Result<(Vec<Key>, Option<(String, String, i64)>), StoreError> {
        let shard = AttributeValue::N(position.shard.to_string());
        let start = position.after.as_ref().map(|(pk, sk, due_at)| {
            Item::from([
                ("pk".to_owned(), AttributeValue::S(pk.clone())),
                ("sk".to_owned(), AttributeValue::S(sk.clone())),
                ("due_shard".to_owned(), shard.clone()),
                ("due_at".to_owned(), AttributeValue::N(due_at.to_string())),
            ])
        });
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(record::DUE)
            .key_condition_expression("#due_shard = :shard")
            .expression_attribute_names("#due_shard", "due_shard")
            .expression_attribute_values(":shard", shard)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await?;
        let after = answer.last_evaluated_key.as_ref().map(|last| {
            let due_at = last.get("due_at").and_then(|at| at.as_n().ok()?.parse().ok());
            let due_at = due_at.ok_or_else(|| StoreError::fault("a place in the index without due_at"))?;
            Ok::<_, StoreError>((
                record::text(last, "pk")?.to_owned(),
                record::text(last, "sk")?.to_owned(),
                due_at,
            ))
        });
        // What a later release has due is not a reservation that this one knows.
        let keys = answer.items().iter().filter_map(|item| Key::of(item).ok());
        Ok((keys.collect(), after.transpose()?))
    }
}
