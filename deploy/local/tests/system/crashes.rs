//! Checkouts while every service is killed in turn: nothing is lost, nothing happens twice.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deploy_local::Part;
use deploy_local::instance::Folder;
use deploy_local::system::Catalog;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::testing::is_complete_run;
use tokio::time::{Instant, sleep};

use crate::harness::{self, http, patiently, until};

const CUSTOMERS: usize = 10;
const ON_HAND: usize = 500;
const PRICE: i64 = 1999;

/// What a customer needs to shop.
struct Shopper {
    gateway: String,
    product: String,
    token: String,
    name: String,
    begun: Arc<AtomicUsize>,
    checkouts: usize,
}

impl Shopper {
    /// Checks out one after the other, as a patient page would, and returns the orders' ids.
    async fn shop(self) -> Vec<String> {
        let mut orders = Vec::new();
        for turn in 0..self.checkouts {
            self.begun.fetch_add(1, Ordering::Relaxed);
            orders.push(self.buy_one(turn).await);
        }
        orders
    }

    async fn buy_one(&self, turn: usize) -> String {
        let Self { gateway, product, .. } = self;
        let basket = format!("{gateway}/v1/baskets/me");
        let put = http().put(format!("{basket}/items/{product}")).bearer_auth(&self.token);
        let (status, body) = patiently(put.json(&json!({"quantity": 1}))).await;
        assert_eq!(status, StatusCode::OK, "{body}");

        let checkout = http()
            .post(format!("{basket}/checkout"))
            .bearer_auth(&self.token)
            .header("Idempotency-Key", format!("{}-{turn}", self.name))
            .json(&json!({"shipping_address": address(), "payment_token": "pm_card_visa"}));
        let (status, body) = patiently(checkout).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        let order = body["order_id"].as_str().unwrap().to_owned();

        let placed = http()
            .get(format!("{gateway}/v1/orders/{order}"))
            .bearer_auth(&self.token);
        let order_now = until(placed, "confirmed", |order| {
            !matches!(order["status"].as_str(), None | Some("pending"))
        });
        assert_eq!(order_now.await["status"], "confirmed");
        let settled = http().get(basket).bearer_auth(&self.token);
        until(settled, "settled", |basket| basket["checkout"].is_null()).await;
        order
    }
}

/// Six kills, each when a further eighth of the checkouts has begun. The complete form has a hundred checkouts: more of them
/// meet a kill at another step.
#[tokio::test(flavor = "multi_thread")]
async fn checkouts_through_crashes_make_one_order_each() {
    let each = if is_complete_run() { 10 } else { 4 };
    let checkouts = CUSTOMERS * each;
    let (_temporary, folder) = harness::folder();
    let mut system = harness::system(&folder, Catalog::Empty).await;
    let gateway = system.url(Part::Gateway);
    let merchant = system.token("merchant").await.unwrap();
    let product = stocked_product(&gateway, &merchant).await;

    let begun = Arc::new(AtomicUsize::new(0));
    let mut shoppers = Vec::new();
    for number in 0..CUSTOMERS {
        let name = format!("shopper-{number}");
        let token = system.customer(&name).await.unwrap();
        let shopper = Shopper {
            gateway: gateway.clone(),
            product: product.clone(),
            token,
            name,
            begun: begun.clone(),
            checkouts: each,
        };
        shoppers.push(tokio::spawn(shopper.shop()));
    }
    for (turn, part) in Part::SERVICES.into_iter().chain(Part::SERVICES).enumerate() {
        while begun.load(Ordering::Relaxed) < (turn + 1) * checkouts / 8 && shoppers.iter().any(|s| !s.is_finished()) {
            sleep(Duration::from_millis(5)).await;
        }
        system.kill(part).await.unwrap();
        system.start_part(part).await.unwrap();
    }
    let orders: Vec<_> = join_all(shoppers).await.into_iter().flat_map(Result::unwrap).collect();

    assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), checkouts);
    let (_, found) = patiently(http().get(format!("{gateway}/v1/products/{product}"))).await;
    assert_eq!(found["stock"]["available"], json!(ON_HAND - checkouts), "{found}");
    let captured: Vec<_> = system
        .payments()
        .into_iter()
        .filter(|intent| intent.captured > 0)
        .collect();
    assert_eq!(captured.len(), checkouts);
    assert!(
        captured
            .iter()
            .all(|intent| intent.captured == PRICE && intent.refunded == 0)
    );
    let paid: BTreeSet<_> = captured.iter().filter_map(|intent| intent.order_id.clone()).collect();
    assert_eq!(paid, orders.iter().cloned().collect());
    told_by_mail(&folder, &orders).await;
    system.stop().await.unwrap();
}

/// Each order's confirmation is written to the mail's log, sooner or later.
async fn told_by_mail(folder: &Folder, orders: &[String]) {
    let deadline = Instant::now() + harness::SOON;
    loop {
        let mail = fs::read_to_string(folder.log("mail")).unwrap_or_default();
        let missing: Vec<_> = orders.iter().filter(|order| !mail.contains(order.as_str())).collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "no mail tells of {missing:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn stocked_product(gateway: &str, merchant: &str) -> String {
    let body = json!({
        "sku": "crash-test", "name": "Crash test dummy", "category": "tests",
        "price": {"amount_minor": PRICE, "currency": "USD"},
    });
    let create = http()
        .post(format!("{gateway}/v1/products"))
        .bearer_auth(merchant)
        .json(&body);
    let (status, product) = patiently(create).await;
    assert_eq!(status, StatusCode::CREATED, "{product}");
    let id = product["id"].as_str().unwrap().to_owned();
    let count = http()
        .put(format!("{gateway}/v1/products/{id}/stock"))
        .bearer_auth(merchant);
    let (status, stock) = patiently(count.header("If-Match", "*").json(&json!({"on_hand": ON_HAND}))).await;
    assert!(status.is_success(), "{status} {stock}");
    id
}

fn address() -> Value {
    json!({"name": "A Shopper", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345", "country": "US"})
}
