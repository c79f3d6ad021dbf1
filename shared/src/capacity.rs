//! What a request costs in DynamoDB: request units and round trips, summed over all of its calls.
//!
//! The [`CapacityMeter`] sits in the DynamoDB client: it asks for `ReturnConsumedCapacity=TOTAL` on
//! every call and adds what comes back to the [`Bill`] of the task that makes the call, so that no
//! store function can forget to.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::operation::{
    batch_get_item, batch_write_item, delete_item, get_item, put_item, query, scan, transact_get_items,
    transact_write_items, update_item,
};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_runtime_api::box_error::BoxError;
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use tracing::Span;

use crate::aws::spans;

tokio::task_local! {
    static BILL: Bill;
}

/// What has been consumed so far, in thousandths of a unit so that halves add up exactly.
#[derive(Clone, Debug, Default)]
pub struct Bill(Arc<Totals>);

#[derive(Debug, Default)]
struct Totals {
    milli_rcu: AtomicU64,
    milli_wcu: AtomicU64,
    round_trips: AtomicU64,
}

/// A bill at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Read request units, in thousandths.
    pub milli_rcu: u64,
    /// Write request units, in thousandths.
    pub milli_wcu: u64,
    /// Requests sent to the table, retries included.
    pub round_trips: u64,
}

impl Bill {
    /// The bill of the task that asks, or a fresh one that nobody reads.
    #[must_use]
    pub fn current() -> Self {
        BILL.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs `work` on this bill. Work that a request hands to another task takes
    /// [`Bill::current`] along and goes through here, or it is not counted.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        BILL.scope(self, work).await
    }

    /// What has been consumed until now.
    #[must_use]
    pub fn consumed(&self) -> Consumed {
        Consumed {
            milli_rcu: self.0.milli_rcu.load(Ordering::Relaxed),
            milli_wcu: self.0.milli_wcu.load(Ordering::Relaxed),
            round_trips: self.0.round_trips.load(Ordering::Relaxed),
        }
    }
}

impl Consumed {
    /// Writes it on the span of the work that it was consumed by, which has to have the three fields.
    pub fn tell(self, span: &Span) {
        span.record("commerce.dynamodb.milli_rcu", self.milli_rcu);
        span.record("commerce.dynamodb.milli_wcu", self.milli_wcu);
        span.record("commerce.dynamodb.round_trips", self.round_trips);
    }
}

/// Thousandths of a unit as the number people read: `2.5`.
#[must_use]
pub fn units(milli: u64) -> String {
    match milli % 1000 {
        0 => (milli / 1000).to_string(),
        rest => format!("{}.{}", milli / 1000, format!("{rest:03}").trim_end_matches('0')),
    }
}

/// See the module.
#[derive(Debug)]
pub struct CapacityMeter;

macro_rules! for_each_operation {
    ($($module:ident :: $input:ident => $output:ident, $capacity:ident;)*) => {
        fn ask(input: &mut aws_smithy_runtime_api::client::interceptors::context::Input) {
            $(if let Some(input) = input.downcast_mut::<$module::$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
            })*
        }

        fn told(output: &aws_smithy_runtime_api::client::interceptors::context::Output) -> Option<(&'static str, Vec<&ConsumedCapacity>)> {
            $(if let Some(output) = output.downcast_ref::<$module::$output>() {
                return Some((stringify!($module), output.$capacity.iter().$capacity().collect()));
            })*
            None
        }
    };
}

/// Makes "one figure" and "a figure for each table" the same to read.
trait Figures<'a>: Iterator + Sized {
    fn consumed_capacity(self) -> impl Iterator<Item = &'a ConsumedCapacity>;
}

impl<'a, I: Iterator<Item = T>, T: IntoFigures<'a>> Figures<'a> for I {
    fn consumed_capacity(self) -> impl Iterator<Item = &'a ConsumedCapacity> {
        self.flat_map(IntoFigures::into_figures)
    }
}

trait IntoFigures<'a> {
    fn into_figures(self) -> &'a [ConsumedCapacity];
}

impl<'a> IntoFigures<'a> for &'a ConsumedCapacity {
    fn into_figures(self) -> &'a [ConsumedCapacity] {
        std::slice::from_ref(self)
    }
}

impl<'a> IntoFigures<'a> for &'a Vec<ConsumedCapacity> {
    fn into_figures(self) -> &'a [ConsumedCapacity] {
        self
    }
}

for_each_operation! {
    get_item::GetItemInput => GetItemOutput, consumed_capacity;
    put_item::PutItemInput => PutItemOutput, consumed_capacity;
    update_item::UpdateItemInput => UpdateItemOutput, consumed_capacity;
    delete_item::DeleteItemInput => DeleteItemOutput, consumed_capacity;
    query::QueryInput => QueryOutput, consumed_capacity;
    scan::ScanInput => ScanOutput, consumed_capacity;
    batch_get_item::BatchGetItemInput => BatchGetItemOutput, consumed_capacity;
    batch_write_item::BatchWriteItemInput => BatchWriteItemOutput, consumed_capacity;
    transact_get_items::TransactGetItemsInput => TransactGetItemsOutput, consumed_capacity;
    transact_write_items::TransactWriteItemsInput => TransactWriteItemsOutput, consumed_capacity;
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for CapacityMeter {
    fn name(&self) -> &'static str {
        "CapacityMeter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        ask(context.inner_mut().input_mut().ok_or("no input before serialization")?);
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Bill::current().0.round_trips.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let output = match context.output_or_error() {
            Ok(output) => output,
            Err(error) => {
                // A refused condition is billed as a write, but its error carries no figure.
                REFUSED.add(
                    1,
                    &[KeyValue::new("error", spans::kind_of(error, Some(context.response())))],
                );
                return Ok(());
            }
        };
        if let Some((operation, figures)) = told(output) {
            charge(operation, added_up(operation, &figures));
        }
        Ok(())
    }
}

static UNITS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("shared")
        .u64_counter("aws.dynamodb.consumed_units")
        .with_unit("{milliunit}")
        .with_description("Request units consumed, in thousandths, by operation and kind")
        .build()
});

static REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("shared")
        .u64_counter("aws.dynamodb.refused")
        .with_description("Calls that DynamoDB refused: their units are billed but not told")
        .build()
});

/// What one call consumed; none where the answer tells nothing.
pub(crate) fn of(output: &aws_smithy_runtime_api::client::interceptors::context::Output) -> Option<Consumed> {
    told(output).map(|(operation, figures)| added_up(operation, &figures))
}

fn added_up(operation: &'static str, figures: &[&ConsumedCapacity]) -> Consumed {
    // dynoxide and older emulators tell the total alone; which kind it is, the operation tells.
    let writes = [
        "put_item",
        "update_item",
        "delete_item",
        "batch_write_item",
        "transact_write_items",
    ]
    .contains(&operation);
    let mut consumed = Consumed {
        milli_rcu: 0,
        milli_wcu: 0,
        round_trips: 1,
    };
    for figure in figures {
        let read = figure.read_capacity_units.or(figure.capacity_units.filter(|_| !writes));
        let written = figure.write_capacity_units.or(figure.capacity_units.filter(|_| writes));
        consumed.milli_rcu += milli(read.unwrap_or_default());
        consumed.milli_wcu += milli(written.unwrap_or_default());
    }
    consumed
}

fn charge(operation: &'static str, consumed: Consumed) {
    let bill = Bill::current();
    for (milli, kind, total) in [
        (consumed.milli_rcu, "read", &bill.0.milli_rcu),
        (consumed.milli_wcu, "write", &bill.0.milli_wcu),
    ] {
        if milli > 0 {
            total.fetch_add(milli, Ordering::Relaxed);
            UNITS.add(
                milli,
                &[KeyValue::new("operation", operation), KeyValue::new("kind", kind)],
            );
        }
    }
}

#[expect(
    clippy::float_arithmetic,
    clippy::as_conversions,
    reason = "the API tells units as a float; from here on they are whole thousandths"
)]
fn milli(units: f64) -> u64 {
    // `as` saturates, and a bill is never negative.
    (units * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_without_trailing_zeros() {
        assert_eq!([0, 500, 1000, 12_125].map(units), ["0", "0.5", "1", "12.125"]);
    }
}
