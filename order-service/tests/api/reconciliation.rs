//! Everything held against each other: what agrees is clean, and each difference is named.

mod memory;
mod named;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::testing::Issuer;
use shared::testing::activity::Pending;
use uuid::Uuid;

use crate::baskets::Baskets;
use crate::harness::{SOON, Service, Shop, customer, merchant};
use crate::products::State;

const PATH: &str = "/v1/orders/admin/reconciliation";

/// An answer, read to its end.
struct Told {
    drifts: Vec<Value>,
    summary: Value,
    progress: usize,
}

impl Told {
    /// Each difference as its kind and what it is of.
    fn named(&self) -> Vec<(String, String)> {
        let of = |drift: &Value| {
            let of = drift.get("order_id").or(drift.get("product_id"));
            of.map_or(String::new(), |of| of.as_str().unwrap().to_owned())
        };
        let mut named: Vec<_> = self
            .drifts
            .iter()
            .map(|drift| (drift["kind"].as_str().unwrap().to_owned(), of(drift)))
            .collect();
        named.sort();
        named
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert!(self.drifts.is_empty(), "{:#?}", self.drifts);
        assert_eq!(self.summary["complete"], true, "{}", self.summary);
        assert_eq!(self.summary["drifts"], 0);
    }
}

async fn reconcile(service: &Service) -> Told {
    let check = async || {
        let answer = service.get(PATH, &Issuer::shared().admin()).send().await.unwrap();
        // One whose client went away may take a moment to notice.
        if answer.status() == 429 {
            Err(Pending::new(answer))
        } else {
            Ok(answer)
        }
    };
    let answer = service.activity.wait_for("end of another one", SOON, check).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let mut told = Told {
        drifts: Vec::new(),
        summary: Value::Null,
        progress: 0,
    };
    for line in answer.text().await.unwrap().lines() {
        assert!(told.summary.is_null(), "something follows the summary: {line}");
        let mut line: Value = serde_json::from_str(line).unwrap();
        let line = line.as_object_mut().unwrap();
        assert_eq!(line.len(), 1, "{line:?}");
        if let Some(drift) = line.remove("drift") {
            told.drifts.push(drift);
        } else if let Some(summary) = line.remove("summary") {
            told.summary = summary;
        } else {
            assert!(line["progress"]["phase"].is_string(), "{line:?}");
            told.progress += 1;
        }
    }
    assert!(!told.summary.is_null(), "the answer has an end");
    told
}

/// A shop whose products, orders and baskets can be read.
async fn shop(settings: &[(&str, &str)]) -> (Shop, Baskets, Service) {
    let shop = Shop::open().await;
    let baskets = Baskets::start();
    let settings: Vec<_> = [("BASKET_SERVICE_URL", baskets.url())]
        .into_iter()
        .chain(settings.iter().copied())
        .collect();
    let service = shop.start(&settings);
    (shop, baskets, service)
}

/// An order that has come to its end, or to where it waits.
async fn order(shop: &Shop, service: &Service, product: Uuid, token: Option<&str>, status: &str) -> Value {
    let mut checkout = shop.checkout(&[(product, 2, 500)], token);
    if status == "awaiting_acceptance" {
        checkout["lines"][0]["acceptance"] = json!("manual");
    }
    let id = checkout["order_id"].clone();
    shop.publish(&checkout).await;
    service.comes_to(&customer("ada"), &id, status).await;
    shop.at_rest(&id).await;
    id
}

async fn cancel(service: &Service, order: &Value) {
    let path = format!("/v1/orders/{}/cancel", order.as_str().unwrap());
    let request = service.post(&path, &customer("ada")).json(&json!({"reason": "no"}));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// What a merchant does to an order.
async fn act(service: &Service, order: &Value, what: &str, body: &Value) {
    let mut request = service.post(&format!("/v1/orders/{}/{what}", order.as_str().unwrap()), &merchant());
    if what == "refunds" {
        request = request.header("idempotency-key", Uuid::new_v4().to_string());
    }
    if body != &json!({}) {
        request = request.json(body);
    }
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

fn long_ago() -> Timestamp {
    Timestamp::now() - Duration::from_secs(86_400)
}

#[tokio::test]
async fn a_shop_with_orders_in_every_state_is_clean() {
    let (shop, baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let rare = shop.products.add(500, 1);
    let asked = shop.products.add(500, 100);

    let confirmed = order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    order(&shop, &service, tea, Some("pm_card_chargeDeclined"), "failed").await;
    order(&shop, &service, rare, Some("pm_card_visa"), "failed").await;
    order(&shop, &service, tea, None, "awaiting_acceptance").await;
    order(&shop, &service, asked, Some("pm_card_visa"), "awaiting_acceptance").await;
    let regretted = order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    cancel(&service, &regretted).await;
    shop.settled(&regretted).await;
    let unwanted = order(&shop, &service, asked, Some("pm_card_visa"), "awaiting_acceptance").await;
    cancel(&service, &unwanted).await;
    shop.settled(&unwanted).await;
    // Sent, handed over, and paid back in part.
    let sent = order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let parcel = json!({"carrier": "A carrier", "tracking": "1"});
    act(&service, &sent, "ship", &parcel).await;
    let delivered = order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    act(&service, &delivered, "ship", &parcel).await;
    act(&service, &delivered, "deliver", &json!({})).await;
    for amount in [300, 200] {
        let amount = json!({"amount_minor": amount, "currency": "USD"});
        act(
            &service,
            &delivered,
            "refunds",
            &json!({"amount": amount, "reason": "broken"}),
        )
        .await;
    }
    for order in [&sent, &delivered] {
        shop.settled(order).await;
    }
    // Needs its customer, so it is pending, and holds its stock.
    let checkout = shop.checkout(&[(tea, 1, 500)], Some("pm_card_authenticationRequired"));
    shop.publish(&checkout).await;
    let waits = |shown: &Value| shown["payment"]["state"] == "requires_action";
    service.shows(&customer("ada"), &checkout["order_id"], waits).await;
    // One that came too late never had a reservation or a payment.
    let mut late = shop.checkout(&[(tea, 1, 500)], Some("pm_card_visa"));
    late["valid_until"] = json!(long_ago());
    shop.publish(&late).await;
    shop.settled(&late["order_id"]).await;
    // One checkout has just been asked for, another was just answered.
    baskets.check_out(&Uuid::new_v4().to_string(), Timestamp::now() + SOON);
    baskets.check_out(confirmed.as_str().unwrap(), Timestamp::now() + SOON);

    let told = reconcile(&service).await;
    told.assert_clean();
    assert_eq!(told.summary["orders"], 11);
    assert_eq!(told.summary["products"], 3);
    assert_eq!(told.summary["checkouts"], 2);
    assert_eq!(told.summary["left_out"], json!([]));
    // All but the late one; that which was short has left a tombstone.
    assert_eq!(told.summary["reservations"], 10);
    assert!(told.progress >= 5, "it tells of each phase");
}

#[tokio::test]
async fn every_page_of_every_list_is_read() {
    const MANY: usize = 205;
    let (shop, baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let template = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    let template = shop.item(&template).await.unwrap();
    let mut items = Vec::new();
    for _ in 0..MANY {
        let id = Uuid::new_v4().to_string();
        items.push(confirmed_like(&template, &id));
        shop.products.put_reservation(&id, &[(tea, 2)], State::Committed);
        baskets.check_out(&Uuid::new_v4().to_string(), Timestamp::now() + SOON);
        shop.products.add(500, 10);
        shop.open_payment().await;
    }
    shop.put_all(&items).await;
    let told = reconcile(&service).await;
    told.assert_clean();
    for (what, count) in [
        ("orders", 206),
        ("reservations", 206),
        ("payments", 205),
        ("checkouts", 205),
        ("products", 206),
    ] {
        assert_eq!(told.summary[what], count, "{what}: {}", told.summary);
    }

    // One difference in each list, wherever it stands in it.
    let mut expected = Vec::new();
    for item in items.iter().step_by(50) {
        let id = item["id"].as_str().unwrap();
        shop.products.put_reservation(id, &[(tea, 2)], State::Released);
        expected.push(("reservation_state".to_owned(), id.to_owned()));
    }
    for _ in 0..3 {
        let products: Vec<_> = (0..40).map(|_| shop.products.add(500, 10)).collect();
        shop.products.reserve_astray(products[20], 1);
        expected.push(("reserved_mismatch".to_owned(), products[20].to_string()));
        let (nobodys, strays, checkout) = (Uuid::new_v4(), json!(Uuid::new_v4()), Uuid::new_v4());
        shop.products
            .put_reservation(&nobodys.to_string(), &[(tea, 1)], State::Committed);
        expected.push(("reservation_without_order".to_owned(), nobodys.to_string()));
        shop.pay(&strays, 500).await;
        expected.push(("payment_without_order".to_owned(), strays.as_str().unwrap().to_owned()));
        baskets.check_out(&checkout.to_string(), long_ago());
        expected.push(("checkout_without_order".to_owned(), checkout.to_string()));
        for _ in 0..70 {
            shop.open_payment().await;
        }
    }
    expected.sort();
    assert_eq!(reconcile(&service).await.named(), expected);
}

#[tokio::test]
async fn what_is_only_under_way_is_never_named() {
    const ORDERS: usize = 48;
    let (shop, _baskets, service) = shop(&[("RETRY_MS", "20"), ("SWEEP_MS", "20")]).await;
    let tea = shop.products.add(500, 60);
    let cup = shop.products.add(500, 1_000);
    let asked = shop.products.add(500, 1_000);
    let tokens = [
        "pm_card_visa",
        "pm_card_chargeDeclined",
        "pm_card_visa",
        "pm_card_authenticationRequired",
    ];
    let mut orders = Vec::new();
    let mut runs = 0;
    for n in 0..ORDERS {
        let product = [tea, cup, asked][n % 3];
        let mut checkout = shop.checkout(&[(product, 1, 500)], Some(tokens[n % 4]));
        if product == asked {
            checkout["lines"][0]["acceptance"] = json!("manual");
        }
        shop.publish(&checkout).await;
        orders.push(checkout["order_id"].clone());
        if n >= 12 && n % 5 == 0 {
            let path = format!("/v1/orders/{}/cancel", orders[n - 12].as_str().unwrap());
            let request = service.post(&path, &customer("ada")).json(&json!({"reason": "no"}));
            // It may be in no state for that.
            request.send().await.unwrap();
        }
        if n % 12 == 8 {
            let told = reconcile(&service).await;
            assert!(told.drifts.is_empty(), "{:#?}", told.drifts);
            runs += 1;
        }
    }
    for order in &orders {
        shop.at_rest(order).await;
    }
    assert_eq!(runs, 4);
    reconcile(&service).await.assert_clean();
}

#[tokio::test]
async fn holds_that_come_and_go_while_they_are_counted_are_no_difference() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    order(&shop, &service, tea, None, "awaiting_acceptance").await;
    let stop = Arc::new(AtomicBool::new(false));
    let busy = {
        let (products, stop) = (shop.products.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let id = Uuid::new_v4().to_string();
                products.hold_for_a_moment(&id, tea, Duration::from_millis(1));
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let told = reconcile(&service).await;
    assert!(told.drifts.is_empty(), "{:#?}", told.drifts);
    stop.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    reconcile(&service).await.assert_clean();
}

#[tokio::test]
async fn a_part_that_is_away_ends_the_answer_without_calling_it_clean() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    shop.products.go_away();
    let told = reconcile(&service).await;
    assert_eq!(told.summary["complete"], false);
    assert_eq!(told.summary["reason"], "the product service did not answer");
    assert!(told.drifts.is_empty());
    shop.products.come_back();
    // A token that is refused is renewed.
    shop.products.change_tokens();
    reconcile(&service).await.assert_clean();

    let alone = shop.start(&[]);
    let told = reconcile(&alone).await;
    assert_eq!(told.summary["left_out"], json!(["checkouts"]));
    assert_eq!(told.summary["complete"], true);

    let nobody = shop.start(&[("BASKET_SERVICE_URL", "http://127.0.0.1:9")]);
    let told = reconcile(&nobody).await;
    assert_eq!(told.summary["reason"], "the basket service did not answer");
    let unpaid = shop.start(&[("PAYMENT_URL", "http://127.0.0.1:9")]);
    let told = reconcile(&unpaid).await;
    assert_eq!(told.summary["reason"], "the payment provider did not answer");
}

#[tokio::test]
async fn one_runs_at_a_time_and_ends_with_its_reader() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    // A suspicion, so that it takes a second.
    shop.products.reserve_astray(tea, 1);
    let admin = Issuer::shared().admin();
    let mut first = service.get(PATH, &admin).send().await.unwrap();
    assert_eq!(first.status(), 200);
    assert!(first.chunk().await.unwrap().is_some());
    let second = service.get(PATH, &admin).send().await.unwrap();
    assert_eq!(second.status(), 429);
    assert_eq!(second.headers()["retry-after"], "10");
    assert_eq!(second.json::<Value>().await.unwrap()["code"], "reconciliation_running");
    drop(first);
    let told = reconcile(&service).await;
    assert_eq!(told.named(), [("reserved_mismatch".to_owned(), tea.to_string())]);
}

#[tokio::test]
async fn only_administrators_may_reconcile() {
    let (_shop, _baskets, service) = shop(&[]).await;
    for (token, status) in [
        (customer("ada"), 403),
        (merchant(), 403),
        (Issuer::shared().service("internal/read"), 403),
        ("no-token".to_owned(), 401),
    ] {
        assert_eq!(service.get(PATH, &token).send().await.unwrap().status(), status);
    }
}

/// A confirmed order that nobody paid through the shop, like another that waits.
fn confirmed_like(template: &Value, id: &str) -> Value {
    let mut item = template.clone();
    item["id"] = json!(id);
    item["pk"] = json!(format!("ORDER#{id}"));
    item["status"] = json!("confirmed");
    item["phase"] = json!("settled");
    forget(&mut item, &["due_at", "due_shard", "answer_by", "outbox"]);
    item
}

fn forget(item: &mut Value, names: &[&str]) {
    for name in names {
        item.as_object_mut().unwrap().remove(*name);
    }
}
