//! One conditional write, alone or with others in a transaction, and what became of it.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::{Store, StoreError};

/// An item, or a key.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A write and its condition. Names stand in the expressions as `#name`, values as `:name`.
#[derive(Clone, Debug)]
pub(super) struct Write {
    kind: Kind,
    condition: Option<String>,
    values: Item,
}

#[derive(Clone, Debug)]
enum Kind {
    Put(Item),
    Update { key: Item, expression: String },
    Delete(Item),
}

/// Why one write was not done.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// Another write of the transaction was the reason.
    None,
    /// Its condition does not hold for this item; none is there if it is `None`.
    Condition(Option<Item>),
    /// Somebody else was writing the item.
    Conflict,
}

/// Nothing was written.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// The reason of each write, in their order.
    Refused(Vec<Refusal>),
    /// Nobody knows whether: the table did not say.
    Failed(StoreError),
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Write {
    /// Puts this whole item.
    pub(super) fn put(item: Item) -> Self {
        Self::of(Kind::Put(item))
    }

    /// Changes the item of that key, by an update expression.
    pub(super) fn update(key: Item, expression: impl Into<String>) -> Self {
        Self::of(Kind::Update {
            key,
            expression: expression.into(),
        })
    }

    /// Deletes the item of that key.
    pub(super) fn delete(key: Item) -> Self {
        Self::of(Kind::Delete(key))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            condition: None,
            values: Item::new(),
        }
    }

    /// Only if this holds as well.
    pub(super) fn when(mut self, condition: &str) -> Self {
        self.condition = Some(match self.condition {
            Some(others) => format!("{others} AND {condition}"),
            None => condition.to_owned(),
        });
        self
    }

    /// What `:name` stands for.
    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    /// What `:name` stands for, a number.
    pub(super) fn number(self, name: &str, value: impl Into<i128>) -> Self {
        let value: i128 = value.into();
        self.value(name, AttributeValue::N(value.to_string()))
    }

    /// What `:name` stands for, a text.
    pub(super) fn text(self, name: &str, value: impl Into<String>) -> Self {
        self.value(name, AttributeValue::S(value.into()))
    }

    fn names(&self) -> Option<HashMap<String, String>> {
        let expression = match &self.kind {
            Kind::Update { expression, .. } => expression.as_str(),
            Kind::Put(_) | Kind::Delete(_) => "",
        };
        let texts = [expression, self.condition.as_deref().unwrap_or_default()];
        let names: HashMap<_, _> = texts.into_iter().flat_map(names_in).collect();
        (!names.is_empty()).then_some(names)
    }

    fn values(&self) -> Option<Item> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    fn action(self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let (names, values) = (self.names(), self.values());
        let old = Some(ReturnValuesOnConditionCheckFailure::AllOld);
        let action = TransactWriteItem::builder();
        let action = match self.kind {
            Kind::Put(item) => action.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .set_return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(StoreError::fault)?,
            ),
            Kind::Update { key, expression } => action.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .update_expression(expression)
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .set_return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(StoreError::fault)?,
            ),
            Kind::Delete(key) => action.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .set_return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(StoreError::fault)?,
            ),
        };
        Ok(action.build())
    }
}

/// The names that an expression mentions as `#name`.
pub(super) fn names_in(expression: &str) -> Vec<(String, String)> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    expression
        .split('#')
        .skip(1)
        .map(|rest| {
            let name = rest.split(|c| !inside(c)).next().unwrap_or_default();
            (format!("#{name}"), name.to_owned())
        })
        .collect()
}

impl Store {
    /// An update alone; answers the item as it is then. One round trip.
    pub(super) async fn update(&self, write: Write) -> Result<Item, NotWritten> {
        let (names, values) = (write.names(), write.values());
        let Kind::Update { key, expression } = write.kind else {
            return Err(StoreError::fault("only an update is sent as one").into());
        };
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .set_condition_expression(write.condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match sent {
            Ok(answer) => return Ok(answer.attributes.unwrap_or_default()),
            Err(error) => error,
        };
        if let Some(UpdateItemError::ConditionalCheckFailedException(old)) = error.as_service_error() {
            return Err(NotWritten::Refused(vec![Refusal::Condition(old.item.clone())]));
        }
        if let Some(UpdateItemError::TransactionConflictException(_)) = error.as_service_error() {
            return Err(NotWritten::Refused(vec![Refusal::Conflict]));
        }
        Err(NotWritten::Failed(error.into()))
    }

    /// A delete alone; true if it was done, false if its condition did not hold. One round trip.
    pub(super) async fn delete(&self, write: Write) -> Result<bool, StoreError> {
        let (names, values) = (write.names(), write.values());
        let Kind::Delete(key) = write.kind else {
            return Err(StoreError::fault("only a delete is sent as one"));
        };
        let sent = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .set_condition_expression(write.condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .send()
            .await;
        let error = match sent {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        let refused = matches!(
            error.as_service_error(),
            Some(
                DeleteItemError::ConditionalCheckFailedException(_) | DeleteItemError::TransactionConflictException(_)
            )
        );
        if refused { Ok(false) } else { Err(error.into()) }
    }

    /// All of these or none: one round trip, twice the units. The SDK gives each call a token of its
    /// own, so that a try whose answer was lost is not done twice.
    pub(super) async fn transact(&self, writes: Vec<Write>) -> Result<(), NotWritten> {
        let actions = writes
            .into_iter()
            .map(|write| write.action(&self.table))
            .collect::<Result<Vec<_>, _>>()?;
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            return Err(refusals(cancelled.cancellation_reasons()));
        }
        Err(NotWritten::Failed(error.into()))
    }
}

fn refusals(reasons: &[aws_sdk_dynamodb::types::CancellationReason]) -> NotWritten {
    let mut refusals = Vec::with_capacity(reasons.len());
    for reason in reasons {
        refusals.push(match reason.code() {
            None | Some("None") => Refusal::None,
            Some("ConditionalCheckFailed") => Refusal::Condition(reason.item.clone().filter(|item| !item.is_empty())),
            Some("TransactionConflict") => Refusal::Conflict,
            Some(code @ ("ThrottlingError" | "ProvisionedThroughputExceeded")) => {
                return NotWritten::Failed(StoreError::Unavailable(super::Cause(code.to_owned())));
            }
            Some(code) => {
                let message = reason.message().unwrap_or_default();
                return NotWritten::Failed(StoreError::fault(format_args!("{code}: {message}")));
            }
        });
    }
    NotWritten::Refused(refusals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_they_stand() {
        let names = names_in("SET #a = if_not_exists(#b_2, :c), #d=#a");
        let names: Vec<_> = names.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["a", "b_2", "d", "a"]);
        assert!(names_in("").is_empty());
    }
}
