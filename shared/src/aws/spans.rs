//! A client span for each call to AWS that is part of a request or of a message, with all its tries, by OpenTelemetry's
//! conventions: <https://opentelemetry.io/docs/specs/semconv/database/dynamodb/>,
//! <https://opentelemetry.io/docs/specs/semconv/messaging/sqs/>. Of what is sent they tell the table, the index and the
//! queue, never a key or a body. Sweeps and polls have no span above them, and none of their own.
//!
//! How long each call takes, those too, is measured:
//! <https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/>.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aws_sdk_dynamodb::config::interceptors::{
    BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::operation::{
    batch_get_item, batch_write_item, delete_item, get_item, put_item, query, scan, transact_get_items,
    transact_write_items, update_item,
};
use aws_sdk_eventbridge::operation::put_events::PutEventsInput;
use aws_sdk_sqs::operation::{
    change_message_visibility, change_message_visibility_batch, delete_message, receive_message, send_message,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Input, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata, OrchestratorError};
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Array, Context, KeyValue, StringValue, Value, global};
use serde::Deserialize;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::capacity;
use crate::queue;
use crate::web::DURATION_BOUNDARIES_S;

/// See the module; one for each client.
#[derive(Debug)]
pub(super) struct Spans;

/// What a call is told as, for as long as that takes. The span is never entered: what is logged meanwhile belongs to whoever
/// makes the call.
#[derive(Debug)]
struct OfCall {
    method: String,
    began: Instant,
    span: Option<Span>,
    ended: AtomicBool,
}

impl Storable for OfCall {
    type Storer = StoreReplace<Self>;
}

impl OfCall {
    fn ends(&self, error: Option<String>) {
        self.ended.store(true, Ordering::Relaxed);
        if let (Some(span), Some(error)) = (&self.span, &error) {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error);
        }
        let method = KeyValue::new("rpc.method", self.method.clone());
        let error = error.map(|error| KeyValue::new("error.type", error));
        let attributes: Vec<_> = [Some(method), error].into_iter().flatten().collect();
        DURATION.record(self.began.elapsed().as_secs_f64(), &attributes);
    }
}

/// Whoever made the call waits no longer, and has dropped it.
impl Drop for OfCall {
    fn drop(&mut self) {
        if !self.ended.load(Ordering::Relaxed) {
            self.ends(Some("cancelled".to_owned()));
        }
    }
}

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("shared")
        .f64_histogram("rpc.client.call.duration")
        .with_unit("s")
        .with_description("Calls of AWS with all their tries, by method; with an error where no good answer came")
        .with_boundaries(DURATION_BOUNDARIES_S.to_vec())
        .build()
});

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Spans {
    fn name(&self) -> &'static str {
        "Spans"
    }

    // Before the first of the tries; earlier an interceptor of a client is not told which operation it is.
    fn read_before_serialization(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(metadata) = bag.load::<Metadata>() {
            let part_of_something = Context::current().span().span_context().is_valid();
            let call = OfCall {
                method: format!("{}/{}", metadata.service(), metadata.name()),
                began: Instant::now(),
                span: part_of_something.then(|| begin(metadata.service(), metadata.name(), context.input())),
                ended: AtomicBool::new(false),
            };
            bag.interceptor_state().store_put(call);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = bag.load::<OfCall>() {
            let (response, outcome) = (context.response(), context.output_or_error());
            if let Some(span) = &call.span {
                let tries = bag.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
                describe(span, tries, response, outcome.and_then(Result::ok));
            }
            call.ends(outcome.and_then(Result::err).map(|error| kind_of(error, response)));
        }
        Ok(())
    }
}

fn begin(service: &str, operation: &str, input: &Input) -> Span {
    let about = About::of(input);
    let span = info_span!(
        "aws.call",
        otel.name = format!("{operation} {}", about.target()).trim_end(),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system.name = "aws-api",
        rpc.method = format!("{service}/{operation}"),
        http.request.resend_count = Empty,
        http.response.status_code = Empty,
        aws.request_id = Empty,
        error.type = Empty,
    );
    match about {
        About::Tables { names, index } => {
            span.set_attribute("db.system.name", "aws.dynamodb");
            span.set_attribute("db.operation.name", operation.to_owned());
            let names = names.into_iter().map(|name| StringValue::from(name.to_owned()));
            span.set_attribute("aws.dynamodb.table_names", Value::Array(Array::String(names.collect())));
            if let Some(index) = index {
                span.set_attribute("aws.dynamodb.index_name", index.to_owned());
            }
        }
        About::Queue { url, kind } => {
            span.set_attribute("messaging.system", "aws_sqs");
            span.set_attribute("messaging.operation.name", operation.to_owned());
            span.set_attribute("messaging.operation.type", kind);
            span.set_attribute("messaging.destination.name", queue::name(url).to_owned());
        }
        About::Bus(_) | About::Nothing => {}
    }
    span
}

fn describe(span: &Span, tries: u32, response: Option<&HttpResponse>, output: Option<&Output>) {
    span.record("http.request.resend_count", tries.saturating_sub(1));
    if let Some(response) = response {
        span.record("http.response.status_code", response.status().as_u16());
        if let Some(id) = response.headers().get("x-amzn-requestid") {
            span.record("aws.request_id", id);
        }
    }
    if let Some(consumed) = output.and_then(capacity::of) {
        span.set_attribute("commerce.dynamodb.milli_rcu", count(consumed.milli_rcu));
        span.set_attribute("commerce.dynamodb.milli_wcu", count(consumed.milli_wcu));
    }
}

fn count(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// The name that AWS has for a refusal, or how the call went wrong. Of a cancelled transaction also why, as its first item tells
/// that has a reason: a condition that does not hold and a throttle have one name else.
pub(crate) fn kind_of(error: &OrchestratorError<Error>, response: Option<&HttpResponse>) -> String {
    if error.is_timeout_error() {
        return "timeout".to_owned();
    }
    if error.is_connector_error() {
        return "connection".to_owned();
    }
    let Some(response) = response else {
        return "_OTHER".to_owned();
    };
    let body = response.body().bytes().unwrap_or_default();
    let body: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let named = response.headers().get("x-amzn-errortype").or(body.kind.as_deref());
    // `com.amazonaws.dynamodb.v20120810#ThrottlingException`, `ThrottlingException:http://...`
    let name = named.and_then(|name| name.rsplit('#').next());
    let name = name.and_then(|name| name.split(':').next());
    let mut reasons = body.reasons.iter().filter_map(|reason| reason.code.as_deref());
    match (name, reasons.find(|code| *code != "None")) {
        (Some(name), Some(reason)) => format!("{name}/{reason}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => response.status().as_u16().to_string(),
    }
}

/// What AWS says of a refusal in its body, as far as it is told.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: Option<String>,
    /// One for each item of a transaction, in their order.
    #[serde(default, rename = "CancellationReasons")]
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(rename = "Code")]
    code: Option<String>,
}

/// What a call is about.
enum About<'a> {
    Tables {
        names: BTreeSet<&'a str>,
        index: Option<&'a str>,
    },
    Queue {
        url: &'a str,
        kind: &'static str,
    },
    Bus(&'a str),
    Nothing,
}

impl<'a> About<'a> {
    fn of(input: &'a Input) -> Self {
        tables(input)
            .or_else(|| queue_of(input))
            .or_else(|| {
                let events = input.downcast_ref::<PutEventsInput>()?.entries();
                Some(Self::Bus(events.first()?.event_bus_name().unwrap_or_default()))
            })
            .unwrap_or(Self::Nothing)
    }

    fn target(&self) -> &'a str {
        match self {
            Self::Tables { names, .. } => names.first().copied().unwrap_or_default(),
            Self::Queue { url, .. } => queue::name(url),
            Self::Bus(name) => name,
            Self::Nothing => "",
        }
    }
}

fn tables(input: &Input) -> Option<About<'_>> {
    macro_rules! one_table {
        ($($type:ty),*) => {
            $(if let Some(input) = input.downcast_ref::<$type>() {
                return Some(About::Tables { names: input.table_name().into_iter().collect(), index: None });
            })*
        };
    }
    macro_rules! one_index {
        ($($type:ty),*) => {
            $(if let Some(input) = input.downcast_ref::<$type>() {
                return Some(About::Tables {
                    names: input.table_name().into_iter().collect(),
                    index: input.index_name(),
                });
            })*
        };
    }
    one_table!(
        get_item::GetItemInput,
        put_item::PutItemInput,
        update_item::UpdateItemInput,
        delete_item::DeleteItemInput
    );
    one_index!(query::QueryInput, scan::ScanInput);
    let names: BTreeSet<&str> = if let Some(input) = input.downcast_ref::<batch_get_item::BatchGetItemInput>() {
        input.request_items()?.keys().map(String::as_str).collect()
    } else if let Some(input) = input.downcast_ref::<batch_write_item::BatchWriteItemInput>() {
        input.request_items()?.keys().map(String::as_str).collect()
    } else if let Some(input) = input.downcast_ref::<transact_get_items::TransactGetItemsInput>() {
        let gets = input.transact_items().iter().filter_map(|item| item.get());
        gets.map(|get| get.table_name()).collect()
    } else if let Some(input) = input.downcast_ref::<transact_write_items::TransactWriteItemsInput>() {
        let items = input.transact_items().iter();
        let tables = items.flat_map(|item| {
            [
                item.put().map(|put| put.table_name()),
                item.update().map(|update| update.table_name()),
                item.delete().map(|delete| delete.table_name()),
                item.condition_check().map(|check| check.table_name()),
            ]
        });
        tables.flatten().collect()
    } else {
        return None;
    };
    Some(About::Tables { names, index: None })
}

fn queue_of(input: &Input) -> Option<About<'_>> {
    macro_rules! one_queue {
        ($($type:ty => $kind:literal),*) => {
            $(if let Some(input) = input.downcast_ref::<$type>() {
                return Some(About::Queue { url: input.queue_url().unwrap_or_default(), kind: $kind });
            })*
        };
    }
    // What looks at a queue, and takes nothing, is no operation on messages.
    one_queue!(
        receive_message::ReceiveMessageInput => "receive",
        send_message::SendMessageInput => "send",
        delete_message::DeleteMessageInput => "settle",
        change_message_visibility::ChangeMessageVisibilityInput => "settle",
        change_message_visibility_batch::ChangeMessageVisibilityBatchInput => "settle"
    );
    None
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::time::Duration;

    use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};
    use serde_json::json;

    use crate::testing::faults::{Fate, Faults};
    use crate::testing::measured::{self, Measured};

    #[tokio::test]
    async fn how_long_a_call_takes_is_told_also_where_no_answer_comes() {
        let measured = Measured::begin();
        let faults = Faults::none();
        let tables = measured::aws(&faults).await.dynamodb();
        let told = |method: &str, error: &str| {
            let labels = [("rpc_method", method), ("error_type", error)];
            measured.figure("rpc_client_call_duration_seconds_count", &labels)
        };
        faults.on("ListTables", 1, Fate::Answered(200, json!({"TableNames": []})));
        tables.list_tables().send().await.unwrap();
        let labels = [("rpc_method", "DynamoDB/ListTables")];
        assert_eq!(
            measured.figure("rpc_client_call_duration_seconds_count", &labels),
            Some(1.0)
        );
        assert_eq!(told("DynamoDB/ListTables", ""), None);

        faults.on("ListBackups", 1, Fate::Lost);
        assert!(tables.list_backups().send().await.is_err());
        assert_eq!(told("DynamoDB/ListBackups", "connection"), Some(1.0));

        faults.on("ListExports", 1, Fate::Slow(Duration::from_secs(600)));
        assert!(tables.list_exports().send().await.is_err());
        assert_eq!(told("DynamoDB/ListExports", "timeout"), Some(1.0));

        faults.on("ListImports", 1, Fate::Slow(Duration::from_secs(600)));
        let waiting = tokio::time::timeout(Duration::from_millis(50), tables.list_imports().send());
        assert!(waiting.await.is_err());
        assert_eq!(told("DynamoDB/ListImports", "cancelled"), Some(1.0));
    }

    #[tokio::test]
    async fn a_cancelled_transaction_says_what_cancelled_it() {
        let measured = Measured::begin();
        let faults = Faults::none();
        let tables = measured::aws(&faults).await.dynamodb();
        for (reasons, why) in [
            (
                json!([{"Code": "None"}, {"Code": "ThrottlingError", "Message": "slower"}]),
                "/ThrottlingError",
            ),
            (
                json!([{"Code": "TransactionConflict"}, {"Code": "None"}]),
                "/TransactionConflict",
            ),
            (json!([]), ""),
        ] {
            let body = json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled", "CancellationReasons": reasons,
            });
            faults.on("TransactWriteItems", 1, Fate::Answered(400, body));
            let check = ConditionCheck::builder()
                .table_name("t")
                .set_key(Some([].into()))
                .condition_expression("a = b");
            let item = TransactWriteItem::builder()
                .condition_check(check.build().unwrap())
                .build();
            assert!(tables.transact_write_items().transact_items(item).send().await.is_err());
            let error = format!("TransactionCanceledException{why}");
            let labels = [("error", error.as_str())];
            assert_eq!(
                measured.figure("aws_dynamodb_refused_total", &labels),
                Some(1.0),
                "{error}"
            );
        }
    }
}
