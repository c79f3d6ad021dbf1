//! What the services' tests lean on, tested itself: templates become tables, buses, queues and users.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends there"
)]

mod events;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{AttributeValue, ProjectionType, ScalarAttributeType};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use deploy_local::{Cloud, Deployment, Stack};

const SOON: Duration = Duration::from_secs(10);

async fn everything() -> Deployment {
    Cloud::for_tests().deploy(&Stack::ALL).await.unwrap()
}

#[tokio::test]
async fn a_deployment_names_everything_that_a_service_needs() {
    let deployment = everything().await;
    for name in [
        "EVENT_BUS",
        "AUTH_ISSUER",
        "AUTH_JWKS_URL",
        "AUTH_TOKEN_URL",
        "AUTH_CLIENT_IDS",
        "SERVICE_CLIENT_ID",
        "SERVICE_CLIENT_SECRET",
        "PRODUCTS_TABLE",
        "BASKETS_TABLE",
        "BASKET_SETTLE_QUEUE_URL",
        "BASKET_SETTLE_DLQ_URL",
        "ORDERS_TABLE",
        "PROCESSING_QUEUE_URL",
        "PROCESSING_DLQ_URL",
        "NOTIFICATION_TOPIC_ARN",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ] {
        assert!(!deployment.setting(name).unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn tables_have_the_keys_and_indexes_of_their_templates() {
    let deployment = everything().await;
    let table = deployment.setting("PRODUCTS_TABLE").unwrap();
    let found = deployment
        .dynamodb()
        .describe_table()
        .table_name(table)
        .send()
        .await
        .unwrap()
        .table
        .unwrap();
    let keys: Vec<_> = found.key_schema().iter().map(|key| key.attribute_name()).collect();
    assert_eq!(keys, ["pk", "sk"]);
    let indexes: BTreeSet<_> = found
        .global_secondary_indexes()
        .iter()
        .filter_map(|index| index.index_name())
        .collect();
    assert_eq!(
        indexes,
        BTreeSet::from(["catalog_by_name", "catalog_by_price", "due", "in_stock"])
    );
    let by_name = found
        .global_secondary_indexes()
        .iter()
        .find(|index| index.index_name() == Some("catalog_by_name"));
    let shown = by_name.unwrap().projection().unwrap();
    assert_eq!(shown.projection_type(), Some(&ProjectionType::Include));
    assert!(shown.non_key_attributes().contains(&"price_minor".to_owned()));
    let due = found
        .attribute_definitions()
        .iter()
        .find(|attribute| attribute.attribute_name() == "due_at");
    assert_eq!(due.unwrap().attribute_type(), &ScalarAttributeType::N);
}

#[tokio::test]
async fn tables_forget_by_their_expiry() {
    let deployment = everything().await;
    for setting in ["PRODUCTS_TABLE", "BASKETS_TABLE", "ORDERS_TABLE"] {
        let table = deployment.setting(setting).unwrap();
        let answer = deployment
            .dynamodb()
            .describe_time_to_live()
            .table_name(table)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.time_to_live_description.unwrap().attribute_name(),
            Some("ttl"),
            "{setting}"
        );
    }
}

#[tokio::test]
async fn an_item_written_is_found_through_its_index() {
    let deployment = everything().await;
    let tables = deployment.dynamodb();
    let table = deployment.setting("BASKETS_TABLE").unwrap();
    tables
        .put_item()
        .table_name(table)
        .item("pk", AttributeValue::S("C#somebody".to_owned()))
        .item("due_shard", AttributeValue::N("3".to_owned()))
        .item("due_at", AttributeValue::N("1700000000000".to_owned()))
        .send()
        .await
        .unwrap();
    let due = tables
        .query()
        .table_name(table)
        .index_name("due")
        .key_condition_expression("due_shard = :shard")
        .expression_attribute_values(":shard", AttributeValue::N("3".to_owned()))
        .send()
        .await
        .unwrap();
    assert_eq!(due.items().len(), 1);
    assert_eq!(due.items()[0]["pk"], AttributeValue::S("C#somebody".to_owned()));
}

#[tokio::test]
async fn a_checkout_reaches_the_order_intake_and_the_tap() {
    let deployment = everything().await;
    let tap = deployment.tap().await.unwrap();
    publish(&deployment, "basket-service", "CheckoutRequested").await;
    let event = tap.next(SOON).await.unwrap();
    assert_eq!(
        (event.source.as_str(), event.detail_type.as_str()),
        ("basket-service", "CheckoutRequested")
    );
    assert_eq!(event.detail["id"], "x");
    let intake = deployment.setting("PROCESSING_QUEUE_URL").unwrap();
    let body = first_message(&deployment, intake).await;
    assert!(body.contains("CheckoutRequested"), "{body}");
}

#[tokio::test]
async fn another_deployments_events_are_not_seen() {
    let (one, other) = (everything().await, everything().await);
    let tap = one.tap().await.unwrap();
    publish(&other, "order-service", "OrderPlaced").await;
    publish(&one, "order-service", "OrderFailed").await;
    tap.wait_for(SOON, |event| event.detail_type == "OrderFailed")
        .await
        .unwrap();
    assert_eq!(tap.seen().await.unwrap().len(), 1);
    let settle = other.setting("BASKET_SETTLE_QUEUE_URL").unwrap();
    assert!(first_message(&other, settle).await.contains("OrderPlaced"));
}

#[tokio::test]
async fn a_deployment_is_quick_once_the_cloud_is_there() {
    everything().await;
    let started = Instant::now();
    everything().await;
    // Well above what was measured (a quarter of a second), for machines that are busy.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    eprintln!("a deployment of all stacks took {:?}", started.elapsed());
}

async fn publish(deployment: &Deployment, source: &str, name: &str) {
    publish_detail(deployment, source, name, r#"{"id": "x"}"#).await;
}

async fn publish_detail(deployment: &Deployment, source: &str, name: &str, detail: &str) {
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(deployment.setting("EVENT_BUS").unwrap())
        .source(source)
        .detail_type(name)
        .detail(detail)
        .build();
    let answer = deployment
        .eventbridge()
        .put_events()
        .entries(entry)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.failed_entry_count(), 0);
}

async fn first_message(deployment: &Deployment, queue: &str) -> String {
    let answer = deployment
        .sqs()
        .receive_message()
        .queue_url(queue)
        .wait_time_seconds(10)
        .send()
        .await
        .unwrap();
    answer.messages()[0].body().unwrap().to_owned()
}
