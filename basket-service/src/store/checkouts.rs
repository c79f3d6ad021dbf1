//! Checkouts after they were stored: their one answer, asking again, and those that wait.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::order::FailureReason;
use shared::due::SHARDS;
use shared::ids::{CustomerId, OrderId};

use super::expression::Expression;
use super::fault::past_contention;
use super::record::{
    CHECKOUTS, DUE_AT, DUE_INDEX, DUE_SHARD, IDS, LINES_DIGEST, ORDER_ID, OUTCOME, PK, REASON, REPUBLISHED, SETTLED_AT,
    TTL, UNDER_WAY, VERSION, number, text,
};
use super::{Item, Store, StoreError, fault, record};
use crate::domain::{Basket, BasketId, Given, MAX_LINES, OrderedLine, UnderWay, returned_digest};

/// What an answer to a checkout did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It ended the checkout.
    Settled,
    /// No such checkout is under way: it was late, came twice, or is of another order.
    Nothing,
}

/// A basket whose checkout is to be asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub id: BasketId,
    /// Since when.
    pub at: Timestamp,
}

/// Where a list of the checkouts under way goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    shard: u8,
    after: Option<(String, i64)>,
}

enum Tried {
    Settled,
    Refused(Option<Box<Basket>>),
}

impl Store {
    /// The order was placed: the customer's checkout of it is over. 1 round trip, 1 WCU for each KB
    /// and 1 for the index.
    ///
    /// # Errors
    /// The table does not answer, or the item cannot be read.
    pub async fn settle(
        &self,
        customer: &CustomerId,
        order_id: OrderId,
        now: Timestamp,
    ) -> Result<Answered, StoreError> {
        let id = BasketId::Customer(customer.clone());
        let settled = past_contention(async || {
            let mut update = answer(&id, order_id, now);
            update.set(&[CHECKOUTS, &order_id.to_string(), OUTCOME], record::ordered()?);
            self.try_answer(&id, update).await
        });
        match settled.await? {
            Tried::Settled => Ok(Answered::Settled),
            Tried::Refused(_) => Ok(Answered::Nothing),
        }
    }

    /// The order came to nothing: its lines go back into the basket, summed with what was added
    /// meanwhile. `lines` are those that the answer names; where they are not those that were checked
    /// out, the stored ones count. 1 round trip, 1 WCU for each KB and 1 for the index; 2 round trips
    /// where the answer names no lines, or others.
    ///
    /// # Errors
    /// As [`Store::settle`].
    pub async fn give_back(
        &self,
        customer: &CustomerId,
        order_id: OrderId,
        reason: FailureReason,
        lines: Vec<OrderedLine>,
        now: Timestamp,
    ) -> Result<Answered, StoreError> {
        let id = BasketId::Customer(customer.clone());
        // One update names a product once.
        let products: BTreeSet<_> = lines.iter().map(|line| line.product_id).collect();
        let one_each = products.len() == lines.len() && lines.len() <= MAX_LINES;
        let lines = if one_each { lines } else { Vec::new() };
        let stored = match past_contention(|| self.try_give_back(&id, order_id, reason, &lines, now)).await? {
            Tried::Settled => return Ok(Answered::Settled),
            Tried::Refused(basket) => basket.and_then(|basket| basket.under_way),
        };
        let Some(under_way) = stored.filter(|under_way| under_way.checkout.order_id == order_id) else {
            return Ok(Answered::Nothing);
        };
        let lines = &under_way.checkout.lines;
        match past_contention(|| self.try_give_back(&id, order_id, reason, lines, now)).await? {
            Tried::Settled => Ok(Answered::Settled),
            Tried::Refused(_) => Ok(Answered::Nothing),
        }
    }

    async fn try_give_back(
        &self,
        id: &BasketId,
        order_id: OrderId,
        reason: FailureReason,
        lines: &[OrderedLine],
        now: Timestamp,
    ) -> Result<Tried, StoreError> {
        self.try_answer(id, giving_back(id, order_id, reason, lines, now)?)
            .await
    }

    async fn try_answer(&self, id: &BasketId, update: Expression) -> Result<Tried, StoreError> {
        let answer = update
            .into_request(self.client.update_item())
            .table_name(&self.table)
            .key(PK, text(record::key(id)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Tried::Settled),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    let basket = refused.item().cloned().map(record::from_item).transpose()?;
                    Ok(Tried::Refused(basket.map(Box::new)))
                }
                Some(_) | None => Err(fault::of(error)),
            },
        }
    }

    /// Baskets of one shard whose checkout is to be asked for again, `limit` at most. 1 round trip,
    /// half an RCU for each 4 KB of keys.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn due(&self, shard: u8, now: Timestamp, limit: i32) -> Result<Vec<Due>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(DUE_INDEX)
            .key_condition_expression("#s = :s AND #d <= :d")
            .expression_attribute_names("#s", DUE_SHARD)
            .expression_attribute_names("#d", DUE_AT)
            .expression_attribute_values(":s", number(shard))
            .expression_attribute_values(":d", number(now.as_millisecond()))
            .limit(limit)
            .send()
            .await
            .map_err(fault::of)?;
        let due = |item: &Item| {
            Ok(Due {
                id: record::id_of(item)?,
                at: record::due_at(item)?,
            })
        };
        answer.items().iter().map(due).collect()
    }

    /// Takes a checkout that is due until `next`, for whoever asks first; none when it was answered
    /// or taken meanwhile. 2 round trips, 1 RCU for each 4 KB, 1 WCU for each KB and 2 for the index.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn lease(
        &self,
        due: &Due,
        next: impl FnOnce(&UnderWay) -> Timestamp,
    ) -> Result<Option<Basket>, StoreError> {
        let Some(mut basket) = self.read(&due.id).await? else {
            return Ok(None);
        };
        let Some(under_way) = basket.under_way.as_mut().filter(|under_way| under_way.due_at == due.at) else {
            return Ok(None);
        };
        let mut update = Expression::default();
        let order = (
            update.path(&[UNDER_WAY, ORDER_ID]),
            update.value(text(under_way.checkout.order_id)),
        );
        let seen = (update.path(&[DUE_AT]), update.value(number(due.at.as_millisecond())));
        update.only_if(format!("{}={} AND {}={}", order.0, order.1, seen.0, seen.1));
        under_way.due_at = next(under_way);
        under_way.republished = under_way.republished.saturating_add(1);
        update.set(&[DUE_AT], number(under_way.due_at.as_millisecond()));
        update.set(&[UNDER_WAY, REPUBLISHED], number(under_way.republished));
        match self.try_answer(&due.id, update).await? {
            Tried::Settled => Ok(Some(basket)),
            // Also where the lease arrived and its answer was lost: it comes again when it ends.
            Tried::Refused(_) => Ok(None),
        }
    }

    /// A page of the baskets with a checkout under way, and where the next one begins. At most 9 round
    /// trips: half an RCU for each shard's 4 KB of keys, half of one for each basket's 4 KB.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn under_way(
        &self,
        from: Option<Position>,
        limit: u8,
    ) -> Result<(Vec<Basket>, Option<Position>), StoreError> {
        let limit = usize::from(limit);
        let mut position = from.unwrap_or(Position { shard: 0, after: None });
        let mut keys: Vec<String> = Vec::new();
        let next = loop {
            if position.shard >= SHARDS {
                break None;
            }
            if keys.len() >= limit {
                break Some(position);
            }
            let (more, after) = self.under_way_keys(&position, limit - keys.len()).await?;
            keys.extend(more);
            position = match after {
                Some(_) => Position { after, ..position },
                None => Position {
                    shard: position.shard + 1,
                    after: None,
                },
            };
        };
        let mut baskets = self.read_all(keys).await?;
        baskets.retain(|basket| basket.under_way.is_some());
        Ok((baskets, next))
    }

    async fn under_way_keys(
        &self,
        position: &Position,
        limit: usize,
    ) -> Result<(Vec<String>, Option<(String, i64)>), StoreError> {
        let shard = number(position.shard);
        let start = position.after.as_ref().map(|(key, due_at)| {
            HashMap::from([
                (PK.to_owned(), text(key)),
                (DUE_SHARD.to_owned(), shard.clone()),
                (DUE_AT.to_owned(), number(due_at)),
            ])
        });
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(DUE_INDEX)
            .key_condition_expression("#s = :s")
            .expression_attribute_names("#s", DUE_SHARD)
            .expression_attribute_values(":s", shard)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(fault::of)?;
        let key = |item: &Item| item.get(PK).and_then(|key| key.as_s().ok()).cloned();
        let after = match &answer.last_evaluated_key {
            Some(last) => key(last).zip(Some(record::due_at(last)?.as_millisecond())),
            None => None,
        };
        Ok((answer.items().iter().filter_map(key).collect(), after))
    }

    /// At most 100.
    async fn read_all(&self, keys: Vec<String>) -> Result<Vec<Basket>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let key = |key: &String| HashMap::<String, AttributeValue>::from([(PK.to_owned(), text(key))]);
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys.iter().map(key).collect()))
            .build();
        let request = self.client.batch_get_item();
        let request = request.request_items(&self.table, wanted.map_err(fault::request)?);
        let answer = request.send().await.map_err(fault::of)?;
        if answer.unprocessed_keys().is_some_and(|left| !left.is_empty()) {
            return Err(StoreError::busy("the table left a read undone"));
        }
        let items = answer
            .responses
            .unwrap_or_default()
            .remove(&self.table)
            .unwrap_or_default();
        let mut baskets = items
            .into_iter()
            .map(record::from_item)
            .collect::<Result<Vec<_>, _>>()?;
        let place = |basket: &Basket| keys.iter().position(|key| *key == record::key(&basket.id));
        baskets.sort_by_key(place);
        Ok(baskets)
    }
}

/// What every answer does to the checkout that it answers, and to none else.
fn answer(id: &BasketId, order_id: OrderId, now: Timestamp) -> Expression {
    let mut update = Expression::default();
    let (under_way, order) = (update.path(&[UNDER_WAY, ORDER_ID]), update.value(text(order_id)));
    update.only_if(format!("{under_way}={order}"));
    update.set(
        &[CHECKOUTS, &order_id.to_string(), SETTLED_AT],
        number(now.as_millisecond()),
    );
    update.set(&[TTL], number(id.expiry(now).as_second()));
    update.add(VERSION, number(1));
    update.remove(UNDER_WAY);
    update.remove(DUE_SHARD);
    update.remove(DUE_AT);
    update
}

fn giving_back(
    id: &BasketId,
    order_id: OrderId,
    reason: FailureReason,
    lines: &[OrderedLine],
    now: Timestamp,
) -> Result<Expression, StoreError> {
    let order = order_id.to_string();
    let mut update = answer(id, order_id, now);
    update.set(&[CHECKOUTS, &order, OUTCOME], record::failed()?);
    update.set(&[CHECKOUTS, &order, REASON], record::reason(reason)?);
    let digest = returned_digest(lines.iter().map(|line| (&line.product_id, line.quantity)));
    let (frozen, digest) = (update.path(&[UNDER_WAY, LINES_DIGEST]), update.value(text(digest)));
    update.only_if(format!("{frozen}={digest}"));
    for Given {
        product_id,
        quantity,
        snapshot,
    } in lines.iter().map(|line| line.given_back(now))
    {
        update.add(&record::quantity_of(&product_id), number(quantity.get()));
        update.set(&[&record::snapshot_of(&product_id)], record::snapshot(&snapshot)?);
    }
    if !lines.is_empty() {
        update.add(IDS, record::ids(lines.iter().map(|line| &line.product_id)));
    }
    Ok(update)
}

#[cfg(test)]
mod tests {
    use shared::money::Money;
    use shared::quantity::Quantity;
    use uuid::Uuid;

    use super::*;

    /// DynamoDB takes 4 KB of an expression and 300 operators, which the stand-ins don't check.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
    #[test]
    fn the_largest_checkout_fits_into_one_update() {
        let line = |n: u128| OrderedLine {
            product_id: shared::ids::ProductId::from_uuid(Uuid::from_u128(n)),
            sku: "s".repeat(64),
            name: "n".repeat(200),
            quantity: Quantity::MAX,
            unit_price: Money::new(i64::MAX, "USD".parse().unwrap()),
            acceptance: Default::default(),
        };
        let lines: Vec<_> = (0..99).map(line).collect();
        let id = BasketId::Customer("c".parse().unwrap());
        let order_id = OrderId::from_uuid(Uuid::nil());
        let update = giving_back(&id, order_id, FailureReason::Other, &lines, Timestamp::UNIX_EPOCH).unwrap();
        assert!((1000..4096).contains(&update.longest()), "{}", update.longest());
    }
}
