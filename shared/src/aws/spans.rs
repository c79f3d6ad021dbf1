//! A client span for each call to AWS that is part of a request or of a message, with all its tries, by OpenTelemetry's
//! conventions: <https://opentelemetry.io/docs/specs/semconv/database/dynamodb/>,
//! <https://opentelemetry.io/docs/specs/semconv/messaging/sqs/>. Of what is sent they tell the table, the index and the
//! queue, never a key or a body. Sweeps and polls have no span above them, and none of their own.

use std::collections::BTreeSet;

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
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Array, Context, StringValue, Value};
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::capacity;
use crate::queue;

/// See the module; one for each client.
#[derive(Debug)]
pub(super) struct Spans;

/// The span of a call, for as long as that takes. It is never entered: what is logged meanwhile belongs to
/// whoever makes the call.
#[derive(Debug)]
struct OfCall(Span);

impl Storable for OfCall {
    type Storer = StoreReplace<Self>;
}

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
        if !Context::current().span().span_context().is_valid() {
            return Ok(());
        }
        if let Some(metadata) = bag.load::<Metadata>() {
            let span = begin(metadata.service(), metadata.name(), context.input());
            bag.interceptor_state().store_put(OfCall(span));
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(OfCall(span)) = bag.load::<OfCall>() {
            let tries = bag.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
            end(span, tries, context.response(), context.output_or_error());
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

fn end(
    span: &Span,
    tries: u32,
    response: Option<&HttpResponse>,
    outcome: Option<Result<&Output, &OrchestratorError<Error>>>,
) {
    span.record("http.request.resend_count", tries.saturating_sub(1));
    if let Some(response) = response {
        span.record("http.response.status_code", response.status().as_u16());
        if let Some(id) = response.headers().get("x-amzn-requestid") {
            span.record("aws.request_id", id);
        }
    }
    match outcome {
        Some(Ok(output)) => {
            if let Some(consumed) = capacity::of(output) {
                span.set_attribute("commerce.dynamodb.milli_rcu", count(consumed.milli_rcu));
                span.set_attribute("commerce.dynamodb.milli_wcu", count(consumed.milli_wcu));
            }
        }
        Some(Err(error)) => {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", kind_of(error, response));
        }
        None => {}
    }
}

fn count(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// The name that AWS has for a refusal, or how the call went wrong.
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
    let header = response.headers().get("x-amzn-errortype").map(str::to_owned);
    let named = header.or_else(|| {
        let body = response.body().bytes()?;
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some(body.get("__type")?.as_str()?.to_owned())
    });
    // `com.amazonaws.dynamodb.v20120810#ThrottlingException`, `ThrottlingException:http://...`
    let name = named.as_deref().and_then(|name| name.rsplit('#').next());
    let name = name.and_then(|name| name.split(':').next());
    name.map_or_else(|| response.status().as_u16().to_string(), str::to_owned)
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
