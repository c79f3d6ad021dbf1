//! The contract and the documented settings are those of the code.

use std::path::Path;

use clap::CommandFactory;
use order_service::config::Settings;

use crate::harness::{Shop, customer};

#[test]
fn the_contract_checked_in_is_the_codes_own() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    shared::testing::assert_checked_in(&file, &order_service::app::contract().to_pretty_json().unwrap());
}

#[test]
fn settings_match_configuration_document() {
    shared::testing::settings::assert_service_documented("order-service", Settings::command());
}

#[tokio::test]
async fn the_contract_and_its_reference_are_served() {
    let (_shop, service) = Shop::with_service().await;
    let served = service.get("/openapi.json", &customer("ada")).send().await.unwrap();
    let served: serde_json::Value = served.json().await.unwrap();
    assert_eq!(served, serde_json::to_value(order_service::app::contract()).unwrap());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
    let page = service.get("/docs/", &customer("ada")).send().await.unwrap();
    assert_eq!(page.status(), 200);
}
