//! Money that goes back, whole or in parts.

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::testing::faults::Faults;

use crate::harness::{Service, Shop, customer, merchant};
use crate::products::Stock;

fn usd(minor: i64) -> Value {
    json!({"amount_minor": minor, "currency": "USD"})
}

fn part(minor: i64) -> Value {
    json!({"amount": usd(minor), "reason": "a dent"})
}

/// An order of 10 dollars, confirmed.
async fn confirmed(shop: &Shop, service: &Service) -> Value {
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    shop.publish(&checkout).await;
    let order = service.settles(shop, &customer("ada"), &checkout["order_id"]).await;
    assert_eq!(order["status"], "confirmed");
    order["id"].clone()
}

struct Answer {
    status: u16,
    replayed: bool,
    retry_after: bool,
    body: Value,
}

async fn refund(service: &Service, order: &Value, key: &str, body: &Value) -> Answer {
    let path = format!("/v1/orders/{}/refunds", order.as_str().unwrap());
    let request = service.post(&path, &merchant()).header("idempotency-key", key);
    let answer = request.json(body).send().await.unwrap();
    let has = |name: &str| answer.headers().contains_key(name);
    let (replayed, retry_after) = (has("idempotent-replayed"), has("retry-after"));
    Answer {
        status: answer.status().as_u16(),
        replayed,
        retry_after,
        body: answer.json().await.unwrap(),
    }
}

#[tokio::test]
async fn parts_go_back_until_nothing_is_left() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    let first = refund(&service, &id, "one", &part(300)).await;
    assert_eq!((first.status, first.replayed), (201, false));
    assert_eq!(
        (&first.body["state"], &first.body["amount"]),
        (&json!("done"), &usd(300))
    );
    let too_much = refund(&service, &id, "two", &part(701)).await;
    assert_eq!(
        (too_much.status, &too_much.body["code"], &too_much.body["left"]),
        (409, &json!("refund_too_large"), &usd(700))
    );
    // A refused request does not use its key up; no amount is all that is left.
    let rest = refund(&service, &id, "two", &json!({"reason": "all of it"})).await;
    assert_eq!((rest.status, &rest.body["amount"]), (201, &usd(700)));
    let nothing_left = refund(&service, &id, "three", &json!({"reason": "more"})).await;
    assert_eq!((nothing_left.status, &nothing_left.body["left"]), (409, &usd(0)));

    let order = service.settles(&shop, &customer("ada"), &id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["payment"]["captured"], usd(1000));
    assert_eq!(order["payment"]["refunded"], usd(1000));
    let amounts: Vec<_> = order["refunds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["amount"])
        .collect();
    assert_eq!(amounts, [&usd(300), &usd(700)]);
    assert_eq!(order["refunds"][0]["reason"], "a dent");
    assert_eq!(
        service.read(&merchant(), &id).await["actions"],
        json!(["cancel", "ship"])
    );
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 1000)]);
    let told: Vec<_> = shop.told(&id).await;
    assert_eq!(
        told,
        ["OrderPlaced", "OrderConfirmed", "OrderRefunded", "OrderRefunded"]
    );
    let second = shop
        .tap
        .wait_for(crate::harness::SOON, |event| {
            event.detail_type == "OrderRefunded" && event.detail["data"]["amount"] == usd(700)
        })
        .await
        .unwrap();
    assert_eq!(second.detail["data"]["refunded_total"], usd(1000));
    let noted: Vec<_> = order["timeline"].as_array().unwrap()[2..]
        .iter()
        .map(|change| (change["actor"].as_str().unwrap(), change["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        noted,
        [
            ("merchant", "refund of 3.00 USD: a dent"),
            ("system", "refunded 3.00 USD"),
            ("merchant", "refund of all that is left: all of it"),
            ("system", "refunded 7.00 USD")
        ]
    );
}

#[tokio::test]
async fn a_key_is_one_refund_for_ever() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    let first = refund(&service, &id, "one", &part(300)).await;
    let again = refund(&service, &id, "one", &part(300)).await;
    assert_eq!((again.status, again.replayed, &again.body), (201, true, &first.body));
    for other in [
        part(301),
        json!({"reason": "a dent"}),
        json!({"amount": usd(300), "reason": "another"}),
    ] {
        let reused = refund(&service, &id, "one", &other).await;
        assert_eq!(
            (reused.status, &reused.body["code"], &reused.body["refund_id"]),
            (409, &json!("idempotency_key_reused"), &first.body["id"])
        );
    }
    // Keys are each order's own.
    let other = confirmed(&shop, &service).await;
    let elsewhere = refund(&service, &other, "one", &part(100)).await;
    assert_eq!((elsewhere.status, elsewhere.replayed), (201, false));
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 300)]);

    // Also when the same request comes many times at once.
    let body = json!({"reason": "all of it"});
    let at_once = join_all((0..8).map(|_| refund(&service, &id, "two", &body))).await;
    for answer in &at_once {
        let fine = answer.status == 201 || (answer.status == 409 && answer.body["code"] == "idempotency_key_in_flight");
        assert!(fine, "{} {:#}", answer.status, answer.body);
    }
    let order = service.settles(&shop, &merchant(), &id).await;
    assert_eq!(order["refunds"].as_array().unwrap().len(), 2);
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 1000)]);
}

#[tokio::test]
async fn twenty_parts_at_once_never_come_to_more_than_was_captured() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    let refunds = (0..20).map(|n| {
        let (service, id) = (&service, &id);
        async move {
            let key = format!("part-{n}");
            loop {
                let answer = refund(service, id, &key, &part(90)).await;
                match (answer.status, answer.body["code"].as_str()) {
                    // Others were always faster, or the provider has not answered yet.
                    (503, _) | (409, Some("idempotency_key_in_flight")) => assert!(answer.retry_after),
                    _ => return answer,
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    });
    let answers = join_all(refunds).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers
        .iter()
        .filter(|answer| answer.body["code"] == "refund_too_large")
        .count();
    assert_eq!((made, refused), (11, 9), "11 times 90 cents are 9.90 of 10 dollars");
    let order = service.settles(&shop, &merchant(), &id).await;
    assert_eq!(order["payment"]["refunded"], usd(990));
    assert!(
        order["refunds"]
            .as_array()
            .unwrap()
            .iter()
            .all(|refund| refund["state"] == "done")
    );
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 990)]);
    let told = shop.told(&id).await;
    assert_eq!(told.iter().filter(|name| *name == "OrderRefunded").count(), 11);
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_made_once() {
    let shop = Shop::open().await;
    let service = shop.start_behind(Faults::losing("POST /v1/refunds"), &[]);
    let id = confirmed(&shop, &service).await;
    let answer = refund(&service, &id, "one", &part(300)).await;
    assert_eq!((answer.status, &answer.body["state"]), (201, &json!("done")));
    service.settles(&shop, &merchant(), &id).await;
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 300)]);
}

#[tokio::test]
async fn a_refund_is_stored_before_the_provider_is_asked_and_made_when_it_is_back() {
    let shop = Shop::open().await;
    let cut_off = shop.start_behind(Faults::refusing("POST /v1/refunds"), &[]);
    let id = confirmed(&shop, &cut_off).await;
    let pending = refund(&cut_off, &id, "one", &part(300)).await;
    assert_eq!((pending.status, &pending.body["state"]), (201, &json!("pending")));
    let in_flight = refund(&cut_off, &id, "one", &part(300)).await;
    assert_eq!(
        (in_flight.status, &in_flight.body["code"], in_flight.retry_after),
        (409, &json!("idempotency_key_in_flight"), true)
    );
    // What is on its way can no longer be promised to others.
    let too_much = refund(&cut_off, &id, "two", &part(701)).await;
    assert_eq!(too_much.body["code"], "refund_too_large");
    let shown = cut_off.read(&merchant(), &id).await;
    assert_eq!(shown["payment"]["refunded"], usd(0), "none has gone back yet");
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 0)]);
    cut_off.kill();

    let service = shop.start(&[]);
    let order = service.settles(&shop, &merchant(), &id).await;
    assert_eq!(order["refunds"][0]["state"], "done");
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 300)]);
    let answer = refund(&service, &id, "one", &part(300)).await;
    assert_eq!(
        (answer.status, answer.replayed, &answer.body["state"]),
        (201, true, &json!("done"))
    );
}

#[tokio::test]
async fn a_refund_that_the_provider_will_not_make_leaves_its_amount() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    // Somebody has given most of it back by hand.
    let intent = shop
        .payments
        .intents()
        .into_iter()
        .find(|one| one.order_id.as_deref() == id.as_str());
    let form = format!("payment_intent={}&amount=800", intent.unwrap().id);
    let by_hand = service.at_the_provider(&shop, "/v1/refunds", form).await;
    assert_eq!(by_hand.status(), 200);
    let refused = refund(&service, &id, "one", &part(300)).await;
    assert_eq!((refused.status, &refused.body["state"]), (201, &json!("refused")));
    let again = refund(&service, &id, "one", &part(300)).await;
    assert_eq!((again.replayed, &again.body["state"]), (true, &json!("refused")));
    let smaller = refund(&service, &id, "two", &part(200)).await;
    assert_eq!(smaller.body["state"], "done");
    let order = service.settles(&shop, &merchant(), &id).await;
    assert_eq!(order["payment"]["refunded"], usd(200));
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 1000)]);
    assert_eq!(
        shop.told(&id).await,
        ["OrderPlaced", "OrderConfirmed", "OrderRefunded"],
        "nothing is told of what was not refunded"
    );
}

#[tokio::test]
async fn a_cancellation_gives_back_what_refunds_left() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    refund(&service, &id, "one", &part(300)).await;
    let path = format!("/v1/orders/{}/cancel", id.as_str().unwrap());
    let cancel = service
        .post(&path, &merchant())
        .json(&json!({"reason": "lost on the way"}));
    assert_eq!(cancel.send().await.unwrap().status(), 200);
    let order = service.settles(&shop, &merchant(), &id).await;
    assert_eq!(order["status"], "cancelled");
    assert_eq!(order["payment"]["refunded"], usd(1000));
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 1000)]);
    let rest = shop
        .tap
        .wait_for(crate::harness::SOON, |event| {
            event.detail_type == "OrderRefunded" && event.detail["data"]["refunded_total"] == usd(1000)
        })
        .await
        .unwrap();
    assert_eq!(rest.detail["data"]["amount"], usd(700));
    let cancelled = shop.event("OrderCancelled", &id).await;
    assert_eq!(cancelled.detail["data"]["reason"], "lost on the way");
    let late = refund(&service, &id, "two", &part(1)).await;
    assert_eq!((late.status, &late.body["code"]), (409, &json!("invalid_transition")));
}

#[tokio::test]
async fn a_cancellation_waits_for_the_refunds_before_it() {
    let shop = Shop::open().await;
    let cut_off = shop.start_behind(Faults::refusing("POST /v1/refunds"), &[]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    cut_off.settles(&shop, &customer("ada"), id).await;
    refund(&cut_off, id, "one", &part(300)).await;
    let path = format!("/v1/orders/{}/cancel", id.as_str().unwrap());
    let cancel = cut_off
        .post(&path, &customer("ada"))
        .json(&json!({"reason": "no longer"}));
    let answer: Value = cancel.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "confirmed", "decided, and not carried out");
    cut_off.kill();

    let service = shop.start(&[]);
    let order = service.settles(&shop, &customer("ada"), id).await;
    assert_eq!(order["status"], "cancelled");
    assert_eq!(shop.paid(id), [("succeeded", 1000, 1000)]);
    let refunds: Vec<_> = shop.told(id).await;
    assert_eq!(
        refunds,
        [
            "OrderPlaced",
            "OrderConfirmed",
            "OrderRefunded",
            "OrderRefunded",
            "OrderCancelled"
        ]
    );
    let cancelled = shop.event("OrderCancelled", id).await;
    assert_eq!(cancelled.detail["data"]["reason"], "no longer");
    let stock = shop.products.stock(tea);
    assert_eq!(
        stock,
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn an_order_has_so_many_refunds_and_no_more() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    for n in 0..30 {
        let made = refund(&service, &id, &format!("key-{n}"), &part(1)).await;
        assert_eq!(made.status, 201, "{:#}", made.body);
    }
    let refused = refund(&service, &id, "one-more", &part(1)).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (409, &json!("too_many_refunds"))
    );
    let known = refund(&service, &id, "key-0", &part(1)).await;
    assert_eq!((known.status, known.replayed), (201, true));
    let path = format!("/v1/orders/{}/cancel", id.as_str().unwrap());
    let cancel = service
        .post(&path, &merchant())
        .json(&json!({"reason": "all of it, then"}));
    assert_eq!(cancel.send().await.unwrap().status(), 200);
    service.settles(&shop, &merchant(), &id).await;
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 1000)]);
}

#[tokio::test]
async fn what_is_wrong_with_a_refund_is_said_at_once() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    let path = format!("/v1/orders/{}/refunds", id.as_str().unwrap());
    let theirs = service.post(&path, &customer("ada")).header("idempotency-key", "k");
    assert_eq!(theirs.json(&part(1)).send().await.unwrap().status(), 403);
    let keyless = service.post(&path, &merchant()).json(&part(1)).send().await.unwrap();
    assert_eq!(
        keyless.json::<Value>().await.unwrap()["code"],
        "idempotency_key_required"
    );
    let wrong = json!({"amount": {"amount_minor": 0, "currency": "USD"}, "reason": " ", "to": "me"});
    let wrong = refund(&service, &id, "k", &wrong).await;
    assert_eq!(wrong.status, 400);
    let mut named: Vec<_> = wrong.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [
            ("#/amount", "invalid_amount"),
            ("#/reason", "invalid_reason"),
            ("#/to", "unknown_field")
        ]
    );
    let euros = json!({"amount": {"amount_minor": 1, "currency": "EUR"}, "reason": "a dent"});
    let euros = refund(&service, &id, "k", &euros).await;
    assert_eq!(
        (euros.status, &euros.body["errors"][0]["pointer"]),
        (400, &json!("#/amount"))
    );
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 0)]);
}
