//! Everything held against each other: what agrees is clean, and each difference is named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::testing::Issuer;
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
    let deadline = Instant::now() + SOON;
    let answer = loop {
        let answer = service.get(PATH, &Issuer::shared().admin()).send().await.unwrap();
        // One that was left alone may take a moment to notice.
        if answer.status() != 429 {
            break answer;
        }
        assert!(Instant::now() < deadline, "another one never ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
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
async fn a_reservation_that_does_not_fit_its_order_is_named() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let mut expected = Vec::new();

    let sold = order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let (sold_id, lines) = (sold.as_str().unwrap(), [(tea, 2)]);
    shop.products.put_reservation(sold_id, &lines, State::Returned);
    expected.push(("reservation_state".to_owned(), sold_id.to_owned()));

    let other = order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let other = other.as_str().unwrap();
    shop.products.put_reservation(other, &[(tea, 3)], State::Committed);
    expected.push(("reservation_lines".to_owned(), other.to_owned()));

    let failed = order(&shop, &service, tea, Some("pm_card_chargeDeclined"), "failed").await;
    let failed = failed.as_str().unwrap();
    shop.products.put_reservation(failed, &lines, State::Committed);
    expected.push(("reservation_state".to_owned(), failed.to_owned()));

    let nobodys = Uuid::new_v4().to_string();
    shop.products.put_reservation(&nobodys, &lines, State::Committed);
    expected.push(("reservation_without_order".to_owned(), nobodys));

    let waiting = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    let waiting = waiting.as_str().unwrap();
    shop.products.outlast(waiting);
    expected.push(("hold_overdue".to_owned(), waiting.to_owned()));

    expected.sort();
    let told = reconcile(&service).await;
    assert_eq!(told.named(), expected, "{:#?}", told.drifts);
    assert_eq!(told.summary["drifts"], expected.len());
    assert_eq!(told.summary["complete"], true);
    let state = told.drifts.iter().find(|drift| drift["order_id"] == sold).unwrap();
    assert_eq!(
        (&state["expected"], &state["found"]),
        (&json!("committed"), &json!("returned"))
    );
}

#[tokio::test]
async fn a_stock_that_does_not_add_up_is_named() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let more = shop.products.add(500, 100);
    let fewer = shop.products.add(500, 100);
    let astray = shop.products.add(500, 100);
    for product in [tea, more, fewer] {
        order(&shop, &service, product, None, "awaiting_acceptance").await;
    }
    reconcile(&service).await.assert_clean();
    shop.products.reserve_astray(more, 1);
    shop.products.reserve_astray(fewer, -1);
    shop.products.count_astray(astray, 1);
    let told = reconcile(&service).await;
    let mut expected = vec![
        ("reserved_mismatch".to_owned(), more.to_string()),
        ("reserved_mismatch".to_owned(), fewer.to_string()),
        ("stock_inconsistent".to_owned(), astray.to_string()),
    ];
    expected.sort();
    assert_eq!(told.named(), expected, "{:#?}", told.drifts);
    let drift = told.drifts.iter().find(|drift| drift["product_id"] == json!(more));
    assert_eq!(drift.unwrap()["found"], "3 reserved");
}

#[tokio::test]
async fn a_payment_that_does_not_fit_its_order_is_named() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let asked = shop.products.add(500, 100);
    let mut expected = Vec::new();
    let mut expect = |kind: &str, order: &Value| {
        expected.push((kind.to_owned(), order.as_str().unwrap().to_owned()));
    };
    let paid = async || order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let authorized = async || order(&shop, &service, asked, Some("pm_card_visa"), "awaiting_acceptance").await;

    // Money without an order.
    let nobodys = json!(Uuid::new_v4());
    shop.pay(&nobodys, 700).await;
    expect("payment_without_order", &nobodys);

    // A second payment of an order.
    let twice = paid().await;
    shop.pay(&twice, 1_000).await;
    expect("payment_unexpected", &twice);

    // A payment of an order that is paid on delivery.
    let unpaid = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    shop.pay(&unpaid, 1_000).await;
    expect("payment_unexpected", &unpaid);

    // A confirmed order whose payment was never captured.
    let uncaptured = authorized().await;
    shop.edit(&uncaptured, |item| {
        item["status"] = json!("confirmed");
        item["phase"] = json!("settled");
        item["payment"]["state"] = json!("captured");
        forget(item, &["due_at", "due_shard", "answer_by"]);
    })
    .await;
    shop.products
        .put_reservation(uncaptured.as_str().unwrap(), &[(asked, 2)], State::Committed);
    shop.products.reserve_astray(asked, -2);
    expect("payment_not_captured", &uncaptured);

    // A confirmed order whose payment the provider does not know: another's twin.
    let twin = paid().await;
    let mut item = shop.item(&twin).await.unwrap();
    let missing = json!(Uuid::new_v4());
    item["id"] = missing.clone();
    item["pk"] = json!(format!("ORDER#{}", missing.as_str().unwrap()));
    item["payment"]["intent"] = json!("pi_gone");
    shop.put(&item).await;
    shop.products
        .put_reservation(missing.as_str().unwrap(), &[(tea, 2)], State::Committed);
    expect("payment_missing", &missing);

    // Another amount than the order's.
    let dearer = paid().await;
    shop.edit(&dearer, |item| item["total_minor"] = json!(1_001)).await;
    expect("payment_amount", &dearer);

    // Captured before anybody decided.
    let hasty = authorized().await;
    shop.charge(&hasty, "capture").await;
    expect("payment_too_early", &hasty);

    // Refunded behind the order's back.
    let refunded = paid().await;
    shop.refund(&refunded, 100).await;
    expect("refund_mismatch", &refunded);

    // Cancelled, and its money kept.
    let kept = paid().await;
    shop.edit(&kept, |item| {
        item["status"] = json!("cancelled");
        item["payment"]["state"] = json!("returned");
    })
    .await;
    shop.products
        .put_reservation(kept.as_str().unwrap(), &[(tea, 2)], State::Returned);
    expect("payment_not_returned", &kept);

    // Cancelled, and its payment can still be captured.
    let held = authorized().await;
    shop.edit(&held, |item| {
        item["status"] = json!("cancelled");
        item["phase"] = json!("settled");
        item["payment"]["state"] = json!("voided");
        forget(item, &["due_at", "due_shard", "answer_by"]);
    })
    .await;
    shop.products.expire(held.as_str().unwrap());
    expect("payment_not_voided", &held);

    expected.sort();
    let told = reconcile(&service).await;
    assert_eq!(told.named(), expected, "{:#?}", told.drifts);
    assert_eq!(told.summary["complete"], true);
}

#[tokio::test]
async fn what_is_left_undone_for_long_is_named() {
    let (shop, baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let paid = async || order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let ago = json!(long_ago().as_millisecond());

    let answered = paid().await;
    shop.edit(&answered, |item| item["answer"]["at"] = ago.clone()).await;
    baskets.check_out(answered.as_str().unwrap(), long_ago());
    let orderless = json!(Uuid::new_v4());
    baskets.check_out(orderless.as_str().unwrap(), long_ago());

    // Without its shard no sweeper finds it.
    let overdue = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    shop.edit(&overdue, |item| {
        item["due_at"] = ago.clone();
        forget(item, &["due_shard"]);
    })
    .await;
    let forgotten = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    shop.edit(&forgotten, |item| forget(item, &["due_at", "due_shard"]))
        .await;
    let untold = paid().await;
    shop.edit(&untold, |item| {
        let mut event = item["answer"].clone();
        event["at"] = ago.clone();
        item["outbox"] = json!([event]);
    })
    .await;

    let mut expected: Vec<_> = [
        ("checkout_not_settled", &answered),
        ("checkout_without_order", &orderless),
        ("order_overdue", &overdue),
        ("order_forgotten", &forgotten),
        ("outbox_overdue", &untold),
    ]
    .map(|(kind, order)| (kind.to_owned(), order.as_str().unwrap().to_owned()))
    .into();
    expected.sort();
    let told = reconcile(&service).await;
    assert_eq!(told.named(), expected, "{:#?}", told.drifts);
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
    const ORDERS: usize = 120;
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
        if n >= 20 && n % 5 == 0 {
            let path = format!("/v1/orders/{}/cancel", orders[n - 20].as_str().unwrap());
            let request = service.post(&path, &customer("ada")).json(&json!({"reason": "no"}));
            // It may be in no state for that.
            request.send().await.unwrap();
        }
        if n % 30 == 20 {
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

#[tokio::test]
async fn memory_does_not_grow_with_the_tables() {
    const FEW: usize = 500;
    const MANY: usize = 4_000;
    /// Half of what the further orders take in the table.
    const BYTES: u64 = 3_500 * 4_096 / 2;
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let template = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    let mut template = shop.item(&template).await.unwrap();
    template["causation"] = json!("x".repeat(3_000));
    let mut grown = Vec::new();
    let mut there = 1;
    for count in [FEW, MANY] {
        let items: Vec<_> = (there..count)
            .map(|_| {
                let id = Uuid::new_v4().to_string();
                shop.products.put_reservation(&id, &[(tea, 2)], State::Committed);
                confirmed_like(&template, &id)
            })
            .collect();
        shop.put_all(&items).await;
        drop(items);
        there = count;
        let before = peak::reset();
        let told = reconcile(&service).await;
        told.assert_clean();
        assert_eq!(told.summary["orders"], count);
        grown.push(peak::resident().saturating_sub(before));
    }
    assert!(
        grown[1] < grown[0] + BYTES,
        "{grown:?} bytes for {FEW} and for {MANY} orders of 4 KB"
    );
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

/// The process's memory, as Linux counts it.
mod peak {
    /// Forgets the peak so far. Comes back with what is resident now.
    pub(super) fn reset() -> u64 {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        resident()
    }

    /// The peak since.
    pub(super) fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }
}
