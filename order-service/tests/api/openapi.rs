//! The contract that is checked in is the one that is served.

use std::path::Path;

use crate::harness::{Shop, customer};

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the one variable that tells this test to write"
)]
async fn the_contract_checked_in_is_the_codes_own() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let is = format!("{}\n", order_service::app::contract().to_pretty_json().unwrap());
    if std::env::var("UPDATE_OPENAPI").is_ok() {
        std::fs::write(&file, &is).unwrap();
    }
    let checked_in = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        checked_in, is,
        "run the tests with UPDATE_OPENAPI=1 and look at the difference"
    );
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
