//! The `orders` table: one item an order. Every write is conditional, and comes out right when its
//! first arrival's answer was lost and the SDK sent it again.
//!
//! Attribute names are `record`'s alone.

mod diff;
mod record;
mod scan;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use shared::ids::{CustomerId, OrderId};
use shared::money::Money;
use thiserror::Error;

use self::record::{DueRecord, Item, OrderRecord, SummaryRecord};
pub(crate) use self::scan::Reads;
use crate::domain::order::Order;
use crate::domain::state::Status;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    client: Client,
    table: String,
}

/// What creating an order came to.
#[derive(Debug)]
pub(crate) enum Created {
    /// It is new.
    New,
    /// There is one of that id already, as it is now.
    Exists(Box<Order>),
}

/// What storing a change came to.
#[derive(Debug)]
pub(crate) enum Advanced {
    /// It is stored.
    Stored,
    /// Somebody else was faster: the order as it is now. Nothing was stored.
    Overtaken(Box<Order>),
}

/// An order that is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overdue {
    pub(crate) id: OrderId,
    due_at: i64,
}

/// An order as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) id: OrderId,
    pub(crate) customer: CustomerId,
    pub(crate) status: Status,
    pub(crate) total: Money,
    pub(crate) line_count: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A page of a list; where the next one begins, if there is one.
#[derive(Debug)]
pub(crate) struct Summaries {
    pub(crate) orders: Vec<Summary>,
    pub(crate) next: Option<String>,
}

/// Why the table did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// It did not answer, or throttled.
    #[error("the orders table did not {doing}: {fault}")]
    Unavailable { doing: &'static str, fault: String },
    /// An item is there but cannot be read: it was written by a release that this one does not know.
    #[error("an item of the orders table cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An order that was read before is not there any more.
    #[error("order {0} is gone")]
    Gone(OrderId),
}

impl StoreError {
    fn call<E, R>(doing: &'static str) -> impl Fn(SdkError<E, R>) -> Self
    where
        SdkError<E, R>: std::error::Error,
    {
        move |error| Self::Unavailable {
            doing,
            fault: DisplayErrorContext(&error).to_string(),
        }
    }
}

impl Store {
    pub(crate) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Puts an order if there is none of its id.
    ///
    /// 1 round trip, ceil(KB) + 2 WCU (`by_customer`, `due`).
    pub(crate) async fn create(&self, order: &Order) -> Result<Created, StoreError> {
        let record = OrderRecord::from(order);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(record.to_item()?))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let refusal = match put {
            Ok(_) => return Ok(Created::New),
            Err(error) => error,
        };
        let there = match refusal.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => refused.item().cloned(),
            Some(_) | None => None,
        };
        match there {
            None => Err(StoreError::call("create an order")(refusal)),
            // The first arrival of this very write, whose answer was lost.
            Some(item) if OrderRecord::of(item.clone())?.says_the_same_as(&record) => Ok(Created::New),
            Some(item) => Ok(Created::Exists(Box::new(order_of(item)?))),
        }
    }

    /// Stores what became of `before`, if it is still that.
    ///
    /// 1 round trip; ceil(KB) WCU, and 1 for each index entry that changes: `by_customer` with the
    /// status, `by_status` when it becomes or ceases to be one that waits for a merchant, `due` (2
    /// when moved).
    pub(crate) async fn advance(&self, before: &Order, after: &Order) -> Result<Advanced, StoreError> {
        let (old, new) = (OrderRecord::from(before), OrderRecord::from(after));
        let change = diff::Change::between(&old.to_item()?, new.to_item()?);
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(record::key(&after.id)))
            .update_expression(change.expression)
            .set_expression_attribute_names(Some(change.names))
            .set_expression_attribute_values(Some(change.values))
            .expression_attribute_names("#version", record::VERSION)
            .expression_attribute_values(":decided_from", AttributeValue::N(before.version.to_string()))
            .condition_expression("#version = :decided_from")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let refusal = match written {
            Ok(_) => return Ok(Advanced::Stored),
            Err(error) => error,
        };
        let there = match refusal.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => refused.item().cloned(),
            Some(_) | None => return Err(StoreError::call("store a change")(refusal)),
        };
        let there = OrderRecord::of(there.ok_or(StoreError::Gone(after.id))?)?;
        if there.says_the_same_as(&new) {
            return Ok(Advanced::Stored);
        }
        Ok(Advanced::Overtaken(Box::new(there.try_into()?)))
    }

    /// Reads an order, strongly: whoever was told that it is stored finds it.
    ///
    /// 1 round trip, 1 RCU for each 4 KB.
    pub(crate) async fn read(&self, id: &OrderId) -> Result<Option<Order>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(record::key(id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::call("read an order"))?;
        answer.item.map(order_of).transpose()
    }

    /// Reads an order as it is, or as it was a moment ago: for looking at it again and again.
    ///
    /// 1 round trip, 0.5 RCU for each 4 KB.
    pub(crate) async fn glance(&self, id: &OrderId) -> Result<Option<Order>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(record::key(id)));
        let answer = request.send().await.map_err(StoreError::call("read an order"))?;
        answer.item.map(order_of).transpose()
    }

    /// What is overdue in a shard, longest first.
    ///
    /// 1 round trip, 0.5 RCU where there is nothing.
    pub(crate) async fn overdue(&self, shard: u8, now: Timestamp, at_most: u8) -> Result<Vec<Overdue>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(record::DUE_INDEX)
            .key_condition_expression("#shard = :shard AND #at <= :now")
            .expression_attribute_names("#shard", record::DUE_SHARD)
            .expression_attribute_names("#at", record::DUE_AT)
            .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_millisecond().to_string()))
            .limit(at_most.into())
            .send()
            .await
            .map_err(StoreError::call("tell what is due"))?;
        let items = answer.items.unwrap_or_default().into_iter();
        items.map(|item| DueRecord::of(item)?.try_into()).collect()
    }

    /// Takes an overdue order for as long as `until`, so that no other worker takes it meanwhile.
    /// `None`: it was taken, or got on, since it was found. A lease is no fence: it keeps work from
    /// being done twice, and the writes' own conditions keep it right where it is.
    ///
    /// 1 round trip, ceil(KB) + 2 WCU.
    pub(crate) async fn lease(&self, overdue: &Overdue, until: Timestamp) -> Result<Option<Order>, StoreError> {
        let taken = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(record::key(&overdue.id)))
            .update_expression("SET #at = :until")
            .condition_expression("#at = :found")
            .expression_attribute_names("#at", record::DUE_AT)
            .expression_attribute_values(":found", AttributeValue::N(overdue.due_at.to_string()))
            .expression_attribute_values(":until", AttributeValue::N(until.as_millisecond().to_string()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match taken {
            Ok(answer) => answer.attributes.map(order_of).transpose(),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                Some(_) | None => Err(StoreError::call("lease an order")(error)),
            },
        }
    }

    /// A customer's orders, newest first, from where an earlier page's [`Summaries::next`] says.
    ///
    /// 1 round trip, 0.5 RCU for each 4 KB of summaries.
    pub(crate) async fn of_customer(
        &self,
        customer: &CustomerId,
        at_most: u8,
        from: Option<&str>,
    ) -> Result<Summaries, StoreError> {
        let key = record::customer_key(customer);
        let query = self
            .client
            .query()
            .index_name(record::BY_CUSTOMER_INDEX)
            .scan_index_forward(false);
        self.page(query, record::CUSTOMER_KEY, key, at_most, from).await
    }

    /// The orders that wait for a merchant in that status, oldest first, from where an earlier page's
    /// [`Summaries::next`] says. An order that moved on meanwhile may still be there for a moment.
    ///
    /// 1 round trip, 0.5 RCU for each 4 KB of summaries.
    pub(crate) async fn of_status(
        &self,
        status: Status,
        at_most: u8,
        from: Option<&str>,
    ) -> Result<Summaries, StoreError> {
        let key = record::status_key(status);
        let query = self
            .client
            .query()
            .index_name(record::BY_STATUS_INDEX)
            .scan_index_forward(true);
        self.page(query, record::STATUS_KEY, key, at_most, from).await
    }

    /// A page of an index under its key of that name.
    async fn page(
        &self,
        query: QueryFluentBuilder,
        name: &str,
        key: String,
        at_most: u8,
        from: Option<&str>,
    ) -> Result<Summaries, StoreError> {
        let answer = query
            .table_name(&self.table)
            .key_condition_expression("#key = :key")
            .expression_attribute_names("#key", name)
            // One more than is shown tells whether there is a next page.
            .limit(i32::from(at_most) + 1)
            .set_exclusive_start_key(from.map(|from| record::position(name, &key, from)))
            .expression_attribute_values(":key", AttributeValue::S(key))
            .send()
            .await
            .map_err(StoreError::call("list orders"))?;
        let mut found = Vec::new();
        for item in answer.items.unwrap_or_default() {
            found.push(SummaryRecord::of(item)?);
        }
        let more = found.len() > usize::from(at_most);
        found.truncate(usize::from(at_most));
        let next = found.last().filter(|_| more).map(|last| last.created_key.clone());
        let orders = found.into_iter().map(Summary::try_from).collect::<Result<_, _>>()?;
        Ok(Summaries { orders, next })
    }

    /// Whether the table answers: a read of a key that is not there.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(record::no_key()));
        request.send().await.map_err(StoreError::call("answer"))?;
        Ok(())
    }
}

fn order_of(item: Item) -> Result<Order, StoreError> {
    OrderRecord::of(item)?.try_into()
}
