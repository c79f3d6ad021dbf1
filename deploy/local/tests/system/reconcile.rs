//! `cargo local reconcile` on a whole system: clean, with a difference, and with a part away.

use aws_sdk_dynamodb::types::AttributeValue;
use deploy_local::reconcile::{self, Line};
use deploy_local::system::Catalog;
use deploy_local::{Part, System};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{self, http, patiently, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciliation_is_clean_until_something_differs() {
    let (_temporary, folder) = harness::folder();
    let mut system = harness::system(&folder, Catalog::Empty).await;
    let gateway = system.url(Part::Gateway);
    let (merchant, admin) = (
        system.token("merchant").await.unwrap(),
        system.token("admin").await.unwrap(),
    );
    let product = product(&gateway, &merchant).await;
    for (token, status) in [
        (Some("pm_card_visa"), "confirmed"),
        (Some("pm_card_chargeDeclined"), "failed"),
        (None, "awaiting_acceptance"),
    ] {
        order(&system, &product, token, status).await;
    }
    check_out(&system, &product).await;

    let mut phases = Vec::new();
    let report = reconcile::run(&gateway, &admin, |line| {
        if let Line::Progress(progress) = line {
            phases.push(progress.phase.clone());
        }
    });
    let report = report.await.unwrap();
    assert!(report.is_clean(), "{report:#?}");
    let counts = report.summary.counts;
    assert_eq!(
        (counts.orders, counts.reservations, counts.products),
        (4, 4, 1),
        "{report:#?}"
    );
    assert!(report.summary.left_out.is_empty(), "{report:#?}");
    assert!(phases.contains(&"reservations".to_owned()), "{phases:?}");
    let refused = reconcile::run(&gateway, &merchant, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused:#}");

    let clean = harness::run_local(&folder, &["reconcile"]).await;
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    assert!(
        String::from_utf8_lossy(&clean.stdout).starts_with("clean: 4 orders"),
        "{clean:?}"
    );

    one_more_reserved(&system, &product).await;
    let drift = harness::run_local(&folder, &["reconcile"]).await;
    assert_eq!(drift.status.code(), Some(1), "{drift:?}");
    let said = String::from_utf8_lossy(&drift.stdout).into_owned();
    assert!(said.contains(&format!("reserved_mismatch product {product}")), "{said}");
    assert!(said.contains("1 difference"), "{said}");

    system.kill(Part::BasketService).await.unwrap();
    let away = harness::run_local(&folder, &["reconcile"]).await;
    assert_eq!(away.status.code(), Some(2), "{away:?}");
    let said = String::from_utf8_lossy(&away.stdout).into_owned();
    assert!(
        said.contains("not complete: the basket service did not answer"),
        "{said}"
    );
    system.stop().await.unwrap();
}

#[test]
fn a_reconciliation_of_nothing_says_how_to_start_it() {
    let (_temporary, folder) = harness::folder();
    let said = harness::local(&folder).arg("reconcile").output().unwrap();
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    assert!(
        String::from_utf8_lossy(&said.stderr).contains("start it with"),
        "{said:?}"
    );
}

/// Of a product without anything that moves it: one piece is reserved that nobody holds.
async fn one_more_reserved(system: &System, product: &str) {
    let deployment = system.deployment().unwrap();
    let request = deployment
        .dynamodb()
        .update_item()
        .table_name(deployment.setting("PRODUCTS_TABLE").unwrap())
        .key("pk", AttributeValue::S(format!("PRODUCT#{product}")))
        .key("sk", AttributeValue::S("STOCK".to_owned()))
        .update_expression("SET reserved = reserved + :one, available = available - :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    request.send().await.unwrap();
}

async fn order(system: &System, product: &str, payment: Option<&str>, status: &str) {
    let gateway = system.url(Part::Gateway);
    let customer = system.token("customer").await.unwrap();
    let mut body = json!({"customer_id": "me", "items": [{"product_id": product, "quantity": 2}]});
    if let Some(token) = payment {
        body["payment_token"] = json!(token);
    }
    let request = http()
        .post(format!("{gateway}/v1/orders"))
        .bearer_auth(&customer)
        .header("Idempotency-Key", status)
        .json(&body);
    let (created, order) = patiently(request).await;
    assert_eq!(created, StatusCode::CREATED, "{order}");
    let id = order["id"].as_str().unwrap();
    let read = http().get(format!("{gateway}/v1/orders/{id}")).bearer_auth(&customer);
    until(read, status, |order| order["status"] == status).await;
}

async fn check_out(system: &System, product: &str) {
    let basket = format!("{}/v1/baskets/me", system.url(Part::Gateway));
    let customer = system.token("customer2").await.unwrap();
    let put = http().put(format!("{basket}/items/{product}")).bearer_auth(&customer);
    let (status, body) = patiently(put.json(&json!({"quantity": 1}))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let address =
        json!({"name": "A", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345", "country": "US"});
    let checkout = http()
        .post(format!("{basket}/checkout"))
        .bearer_auth(&customer)
        .header("Idempotency-Key", "checkout")
        .json(&json!({"shipping_address": address, "payment_token": "pm_card_visa"}));
    let (status, body) = patiently(checkout).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let settled = http().get(basket).bearer_auth(&customer);
    until(settled, "settled", |basket| basket["checkout"].is_null()).await;
}

async fn product(gateway: &str, merchant: &str) -> String {
    let body = json!({
        "sku": "reconciled", "name": "A thing", "category": "tests", "price": {"amount_minor": 500, "currency": "USD"},
    });
    let create = http().post(format!("{gateway}/v1/products")).bearer_auth(merchant);
    let (status, product) = patiently(create.json(&body)).await;
    assert_eq!(status, StatusCode::CREATED, "{product}");
    let id = product["id"].as_str().unwrap().to_owned();
    let count = http()
        .put(format!("{gateway}/v1/products/{id}/stock"))
        .bearer_auth(merchant)
        .header("If-Match", "*");
    let (status, stock): (_, Value) = patiently(count.json(&json!({"on_hand": 100}))).await;
    assert!(status.is_success(), "{status} {stock}");
    id
}
