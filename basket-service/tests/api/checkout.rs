//! Checking out: once, at today's prices, and the same again for the same key.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::testing::faults::{Fate, Faults};
use tracing::Instrument;
use uuid::Uuid;

use crate::harness::{Answer, As, Plan, SOON, Shop, quantities, requested, to_berlin, usd};

const ADA: As<'static> = As::Customer("ada");

fn expecting(total: i64) -> Value {
    let mut body = to_berlin();
    body["expected_total"] = usd(total);
    body
}

#[tokio::test]
async fn a_basket_is_checked_out_and_settled() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(2000));
    shop.add(ADA, "me", tea, 3).await.expect(200);
    shop.add(ADA, "me", pot, 1).await.expect(200);

    let accepted = shop.check_out(ADA, "k1", expecting(2750)).await;
    let body = accepted.expect(202);
    assert_eq!((&body["status"], &body["total"]), (&json!("pending"), &usd(2750)));
    let statuses: Vec<_> = body["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["status"])
        .collect();
    assert_eq!(statuses, ["ORDERED", "ORDERED"]);
    let order_id = body["order_id"].as_str().unwrap();
    assert_eq!(
        accepted.header("location"),
        Some(format!("/v1/orders/{order_id}").as_str())
    );
    assert_eq!(accepted.header("idempotent-replayed"), None);

    let event = requested(&tap, order_id).await;
    assert_eq!(
        (event.source.as_str(), event.detail_type.as_str()),
        ("basket-service", "CheckoutRequested")
    );
    assert_eq!(event.resources, [order_id, "ada"]);
    let (detail, told) = (&event.detail, &event.detail["data"]);
    assert_eq!(
        (&detail["sequence"], &detail["correlation_id"]),
        (&json!(0), &json!(order_id))
    );
    assert_eq!(
        (&told["total"], &told["customer_id"], &told["basket_id"]),
        (&usd(2750), &json!("ada"), &json!("ada"))
    );
    assert_eq!(
        (&told["payment_token"], &told["shipping_address"]["city"]),
        (&json!("pm_card_visa"), &json!("Berlin"))
    );
    let lines: HashMap<_, _> = told["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["product_id"].clone(), line))
        .collect();
    assert_eq!(
        (&lines[&json!(tea)]["quantity"], &lines[&json!(tea)]["unit_price"]),
        (&json!(3), &usd(250))
    );
    assert_eq!(lines[&json!(tea)]["sku"], "sku-250");

    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(basket["checkout"], json!({"order_id": order_id, "status": "pending"}));
    assert_eq!((&basket["lines"], &basket["expires_at"]), (&json!([]), &Value::Null));

    shop.answer("OrderPlaced", Shop::placed("ada", order_id)).await;
    let settled = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!(
        (&settled["lines"], settled["expires_at"].is_string()),
        (&json!([]), true)
    );
    let progress = shop
        .get(ADA, &format!("/v1/baskets/me/checkouts/{order_id}"))
        .await
        .expect(200);
    assert_eq!(
        (&progress["status"], &progress["total"]),
        (&json!("ordered"), &usd(2750))
    );
    let item = format!("{:?}", shop.item("C#ada").await.unwrap());
    assert!(!item.contains("pm_card_visa") && !item.contains("Berlin"), "{item}");
}

#[tokio::test]
async fn two_checkouts_of_one_basket_make_one_order() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    shop.add(ADA, "me", shop.catalog.sells(250), 1).await.expect(200);
    let keys: Vec<_> = (0..8).map(|n| format!("key-{n}")).collect();
    let answers = join_all(keys.iter().map(|key| shop.check_out(ADA, key, to_berlin()))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert_eq!(won.len(), 1);
    let order_id = won[0].body()["order_id"].clone();
    for answer in lost {
        assert_eq!(answer.refused(409, "checkout_in_progress")["order_id"], order_id);
    }
    requested(&tap, order_id.as_str().unwrap()).await;
    assert_eq!(tap.seen().await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_key_gets_one_answer_however_often_it_asks() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    shop.add(ADA, "me", shop.catalog.sells(250), 1).await.expect(200);
    let answers = join_all((0..8).map(|_| shop.check_out(ADA, "key", to_berlin()))).await;
    let bodies: HashSet<_> = answers.iter().map(|answer| answer.expect(202).to_string()).collect();
    assert_eq!(bodies.len(), 1);
    let first = |answer: &&Answer| answer.header("idempotent-replayed").is_none();
    assert_eq!(answers.iter().filter(first).count(), 1);
    let order_id = answers[0].body()["order_id"].as_str().unwrap().to_owned();

    // Also once it is settled, and with other things in the basket; and it makes no further event.
    shop.answer("OrderPlaced", Shop::placed("ada", &order_id)).await;
    shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    shop.add(ADA, "me", shop.catalog.sells(10), 1).await.expect(200);
    let again = shop.check_out(ADA, "key", to_berlin()).await;
    assert_eq!(
        (again.expect(202).to_string(), again.header("idempotent-replayed")),
        (bodies.into_iter().next().unwrap(), Some("true"))
    );
    assert_eq!(again.header("location"), answers[0].header("location"));
    let of_ours =
        |events: Vec<deploy_local::Event>| events.iter().filter(|event| event.source == "basket-service").count();
    assert_eq!(of_ours(tap.seen().await.unwrap()), 1);
}

#[tokio::test]
async fn one_key_with_another_body_names_what_it_made() {
    let shop = Shop::open().await;
    shop.add(ADA, "me", shop.catalog.sells(250), 1).await.expect(200);
    let first = shop.check_out(ADA, "key", to_berlin()).await.expect(202);
    let mut other = to_berlin();
    other["shipping_address"]["city"] = json!("Bonn");
    for body in [
        other,
        expecting(250),
        json!({"shipping_address": to_berlin()["shipping_address"]}),
    ] {
        let problem = shop
            .check_out(ADA, "key", body)
            .await
            .refused(409, "idempotency_key_reused");
        assert_eq!(problem["order_id"], first["order_id"]);
    }
    // The key is Ada's: Bob's of the same name is another.
    let bob = As::Customer("bob");
    shop.add(bob, "me", shop.catalog.sells(250), 1).await.expect(200);
    let of_bob = shop.check_out(bob, "key", to_berlin()).await.expect(202);
    assert_ne!(of_bob["order_id"], first["order_id"]);
}

#[tokio::test]
async fn a_price_that_moved_is_told_and_the_basket_untouched() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(250);
    let before = shop.add(ADA, "me", tea, 2).await.expect(200);
    shop.catalog.put(tea, 300, "active", 1000);
    let problem = shop
        .check_out(ADA, "key", expecting(500))
        .await
        .refused(409, "price_changed");
    assert_eq!((&problem["total"], &problem["expected_total"]), (&usd(600), &usd(500)));
    assert_eq!(
        (&problem["lines"][0]["unit_price"], &problem["lines"][0]["product_id"]),
        (&usd(300), &json!(tea))
    );
    assert_eq!(problem["lines"][0]["status"], "PENDING");
    let after = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(
        (&after["version"], quantities(&after)),
        (&before["version"], quantities(&before))
    );
    // The refusal did not use the key up.
    assert_eq!(
        shop.check_out(ADA, "key", expecting(600)).await.expect(202)["total"],
        usd(600)
    );
}

#[tokio::test]
async fn prices_are_those_of_the_moment_not_of_a_second_ago() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(250);
    shop.add(ADA, "me", tea, 2).await.expect(200);
    shop.catalog.put(tea, 1, "active", 1000);
    assert_eq!(
        shop.check_out(ADA, "key", to_berlin()).await.expect(202)["total"],
        usd(2)
    );
}

#[tokio::test]
async fn what_is_not_sold_any_more_is_named_and_the_basket_untouched() {
    let shop = Shop::open().await;
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(100));
    shop.add(ADA, "me", tea, 2).await.expect(200);
    let before = shop.add(ADA, "me", pot, 1).await.expect(200);
    shop.catalog.put(tea, 250, "archived", 1000);
    let problem = shop
        .check_out(ADA, "key", expecting(600))
        .await
        .refused(409, "product_unavailable");
    assert_eq!(
        problem["unavailable"],
        json!([{"product_id": tea, "reason": "archived"}])
    );
    assert_eq!(
        (&problem["total"], &problem["lines"][0]["product_id"]),
        (&usd(100), &json!(pot))
    );
    assert_eq!(
        shop.get(ADA, "/v1/baskets/me").await.expect(200)["version"],
        before["version"]
    );
    // It can still be made fewer, and taken out; then the rest is bought.
    shop.set(ADA, "me", tea, 1).await.expect(200);
    shop.set(ADA, "me", tea, 0).await.expect(200);
    shop.check_out(ADA, "key", to_berlin()).await.expect(202);
}

#[tokio::test]
async fn nothing_a_client_says_about_money_is_believed() {
    let shop = Shop::open().await;
    shop.add(ADA, "me", shop.catalog.sells(250), 1).await.expect(200);
    let body = json!({
        "shipping_address": {"name": "", "line1": "x", "city": "y", "postal_code": "1", "country": "Germany"},
        "payment_token": "4242 4242 4242 4242", "total": usd(1), "customer_id": "bob", "lines": [],
        "expected_total": {"amount_minor": 1.5, "currency": "usd"},
    });
    let problem = shop.check_out(ADA, "key", body).await.refused(400, "invalid_request");
    let wrong: HashSet<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    let expected = [
        "#/shipping_address/name",
        "#/shipping_address/country",
        "#/payment_token",
        "#/total",
        "#/customer_id",
        "#/lines",
        "#/expected_total/amount_minor",
        "#/expected_total/currency",
    ];
    assert_eq!(wrong, HashSet::from(expected));
    assert!(
        !problem.to_string().replace(' ', "").contains("42424242"),
        "a card number must not come back: {problem}"
    );
    let problem = shop
        .check_out(ADA, "key", json!({}))
        .await
        .refused(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "#/shipping_address");
}

#[tokio::test]
async fn a_checkout_needs_a_key_and_something_to_buy() {
    let shop = Shop::open().await;
    let path = "/v1/baskets/me/checkout";
    shop.post(ADA, path, to_berlin())
        .await
        .refused(400, "idempotency_key_required");
    shop.check_out(ADA, &"k".repeat(256), to_berlin())
        .await
        .refused(400, "invalid_idempotency_key");
    shop.check_out(ADA, "k", to_berlin()).await.refused(409, "basket_empty");
    let keyed = |request: reqwest_middleware::RequestBuilder| request.header("idempotency-key", "k");
    let nobody = shop
        .send_with(As::Nobody, Method::POST, path, Some(to_berlin()), keyed)
        .await;
    nobody.refused(401, "unauthenticated");
    // By the caller's own subject, without a token for a payment.
    shop.add(ADA, "me", shop.catalog.sells(0), 1).await.expect(200);
    let body = json!({"shipping_address": to_berlin()["shipping_address"]});
    let own = shop
        .send_with(ADA, Method::POST, "/v1/baskets/ada/checkout", Some(body), keyed)
        .await;
    assert_eq!(own.expect(202)["total"], usd(0));
}

#[tokio::test]
async fn what_is_added_meanwhile_stays_in_the_basket() {
    let shop = Shop::open().await;
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(100));
    shop.add(ADA, "me", tea, 2).await.expect(200);
    let order_id = shop.check_out(ADA, "k", to_berlin()).await.expect(202)["order_id"].clone();
    let basket = shop.add(ADA, "me", pot, 1).await.expect(200);
    assert_eq!(
        (&basket["checkout"]["order_id"], &basket["expires_at"]),
        (&order_id, &Value::Null)
    );
    shop.check_out(ADA, "k2", to_berlin())
        .await
        .refused(409, "checkout_in_progress");
    let emptied = shop.delete(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(
        (&emptied["checkout"]["order_id"], &emptied["lines"]),
        (&order_id, &json!([]))
    );
    shop.add(ADA, "me", pot, 1).await.expect(200);
    shop.answer("OrderPlaced", Shop::placed("ada", order_id.as_str().unwrap()))
        .await;
    let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!(quantities(&basket), HashMap::from([(pot, 1)]));
    shop.check_out(ADA, "k2", to_berlin()).await.expect(202);
}

#[tokio::test]
async fn a_checkout_meets_adds_and_loses_none() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    shop.add(ADA, "me", tea, 1).await.expect(200);
    let (checked_out, added) = futures_util::join!(
        shop.check_out(ADA, "k", to_berlin()),
        join_all((0..10).map(|_| shop.add(ADA, "me", tea, 1))),
    );
    assert!(added.iter().all(|answer| answer.status == 200));
    // It may have given up under so many writers; nothing was frozen then.
    let frozen = match checked_out.status.as_u16() {
        202 => checked_out.body()["lines"][0]["quantity"].as_u64().unwrap(),
        _ => checked_out.refused(503, "unavailable").as_u64().unwrap_or(0),
    };
    let left = quantities(&shop.get(ADA, "/v1/baskets/me").await.expect(200));
    assert_eq!(frozen + left.get(&tea).copied().unwrap_or(0), 11);
}

#[tokio::test]
async fn a_checkout_whose_answer_from_the_table_is_lost_is_one_checkout() {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    let tap = shop.deployment.tap().await.unwrap();
    shop.add(ADA, "me", shop.catalog.sells(250), 2).await.expect(200);
    // Once: the repeated write is refused by its own first arrival, and that is seen.
    faults.on("UpdateItem", 1, Fate::AnswerLost);
    let accepted = shop.check_out(ADA, "k", to_berlin()).await;
    assert_eq!(
        (&accepted.expect(202)["total"], accepted.header("idempotent-replayed")),
        (&usd(500), None)
    );
    let order_id = accepted.body()["order_id"].as_str().unwrap().to_owned();
    requested(&tap, &order_id).await;
    shop.answer("OrderPlaced", Shop::placed("ada", &order_id)).await;
    shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;

    // Every time: nobody knows, and the same request again tells.
    shop.add(ADA, "me", shop.catalog.sells(100), 1).await.expect(200);
    faults.on("UpdateItem", 3, Fate::AnswerLost);
    shop.check_out(ADA, "k2", to_berlin()).await.refused(503, "unavailable");
    let again = shop.check_out(ADA, "k2", to_berlin()).await;
    assert_eq!(
        (&again.expect(202)["total"], again.header("idempotent-replayed")),
        (&usd(100), Some("true"))
    );
}

#[tokio::test]
async fn a_trace_goes_from_the_request_into_the_event() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    shop.add(ADA, "me", shop.catalog.sells(250), 2).await.expect(200);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    // The client's own span, as it would come from a caller further out.
    let span = tracing::info_span!("caller");
    shared::trace::continue_from(&span, &format!("00-{trace}-b7ad6b7169203331-01"));
    let accepted = shop.check_out(ADA, "k", to_berlin()).instrument(span).await.expect(202);
    let event = requested(&tap, accepted["order_id"].as_str().unwrap()).await;
    assert_eq!(
        event.detail["traceparent"].as_str().unwrap().split('-').nth(1),
        Some(trace)
    );
    assert_eq!(event.detail["causation_id"], trace);
}

#[tokio::test]
async fn the_largest_basket_is_checked_out_given_back_and_emptied() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    let fill = async || {
        let products: Vec<Uuid> = (0..99).map(|_| shop.catalog.sells(7)).collect();
        for answer in join_all(products.iter().map(|product| shop.add(ADA, "me", *product, 2))).await {
            answer.expect(200);
        }
    };
    fill().await;
    let accepted = shop.check_out(ADA, "k", to_berlin()).await.expect(202);
    assert_eq!(accepted["total"], usd(99 * 2 * 7));
    let order_id = accepted["order_id"].as_str().unwrap();
    let lines = requested(&tap, order_id).await.detail["data"]["lines"].clone();
    fill().await;
    let mut failed = Shop::failed("ada", order_id, "out_of_stock");
    failed["lines"] = lines;
    shop.answer("OrderFailed", failed).await;
    let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!((quantities(&basket).len(), &basket["stale"]), (198, &json!(false)));
    assert_eq!(
        shop.check_out(ADA, "k2", to_berlin())
            .await
            .refused(409, "too_many_lines")["limit"],
        99
    );
    shop.add(ADA, "me", shop.catalog.sells(7), 1)
        .await
        .refused(409, "too_many_lines");
    assert_eq!(shop.delete(ADA, "/v1/baskets/me").await.expect(200)["lines"], json!([]));
    tap.next(SOON).await.unwrap();
}
