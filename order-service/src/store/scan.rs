//! All orders, page by page, and many by their ids: for reconciliation, which alone may scan.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use shared::ids::OrderId;

use super::record::{self, Item};
use super::{Store, StoreError, order_of};
use crate::clients::pause_before;
use crate::domain::order::Order;

/// Behind which item the next page begins.
#[derive(Clone, Debug)]
pub(crate) struct Position(Item);

/// A page of all orders.
#[derive(Debug)]
pub(crate) struct OrdersPage {
    pub(crate) orders: Vec<Order>,
    pub(crate) next: Option<Position>,
}

/// Whether a read sees every write that was answered before it, for twice the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Eventually,
    Strongly,
}

/// Items of a page: as many as can be looked up at once elsewhere.
const PAGE: i32 = 100;
/// Rounds in which a batch is asked for, before its rest is given up: DynamoDB leaves out what it has
/// no capacity for.
const ROUNDS: u32 = 8;

impl Store {
    /// A page of all orders, in no order that means anything.
    ///
    /// 1 round trip, 0.5 RCU for each 4 KB of the page.
    pub(crate) async fn all(&self, from: Option<Position>) -> Result<OrdersPage, StoreError> {
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .limit(PAGE)
            .set_exclusive_start_key(from.map(|position| position.0))
            .send()
            .await
            .map_err(StoreError::call("list its orders"))?;
        let items = answer.items.unwrap_or_default().into_iter();
        let orders = items.filter(record::is_order).map(order_of);
        Ok(OrdersPage {
            orders: orders.collect::<Result<_, _>>()?,
            next: answer.last_evaluated_key.map(Position),
        })
    }

    /// Those of these orders that there are.
    ///
    /// 1 round trip for each 100; 0.5 RCU for each order's 4 KB, 1 if strongly.
    pub(crate) async fn read_many(
        &self,
        ids: impl IntoIterator<Item = OrderId>,
        reads: Reads,
    ) -> Result<BTreeMap<OrderId, Order>, StoreError> {
        let mut keys: Vec<Item> = ids.into_iter().map(|id| record::key(&id)).collect();
        let mut found = BTreeMap::new();
        let mut round = 0;
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(100));
            let asked = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(reads == Reads::Strongly)
                .build()
                .map_err(|fault| StoreError::Unreadable(fault.into()))?;
            let request = self.client.batch_get_item().request_items(&self.table, asked);
            let answer = request.send().await.map_err(StoreError::call("read many orders"))?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                let order = order_of(item)?;
                found.insert(order.id, order);
            }
            keys = rest;
            let left = answer.unprocessed_keys.unwrap_or_default().into_values();
            let left: Vec<Item> = left.flat_map(|left| left.keys).collect();
            if left.is_empty() {
                continue;
            }
            round += 1;
            if round == ROUNDS {
                return Err(StoreError::Unavailable {
                    doing: "read many orders",
                    fault: format!("{} were left out {ROUNDS} times", left.len()),
                });
            }
            keys.extend(left);
            pause_before(round).await;
        }
        Ok(found)
    }
}
