//! Stock held, sold and given back.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::testing::faults::{Fate, Faults};
use uuid::Uuid;

use crate::harness::{As, Shop, sent};

/// On hand, reserved, available.
async fn counters(shop: &Shop, product: &str) -> [u64; 3] {
    let stock = shop.stock(product).await;
    ["on_hand", "reserved", "available"].map(|name| stock[name].as_u64().unwrap())
}

#[tokio::test]
async fn a_hold_sets_aside_a_commit_sells_and_a_release_gives_back() {
    let shop = Shop::open().await;
    let (a, b) = (shop.product("A", 10).await, shop.product("B", 10).await);
    let order = Uuid::new_v4();
    let held = shop.hold(order, &[(&a, 4), (&b, 1)]).await;
    assert_eq!(held.status, 201, "{}", held.text);
    let body = held.json();
    assert_eq!(body["order_id"], json!(order));
    assert_eq!(body["state"], "held");
    assert_eq!(body["lines"].as_array().unwrap().len(), 2);
    assert!(body["expires_at"].is_string());
    assert_eq!(counters(&shop, &a).await, [10, 4, 6]);

    assert_eq!(shop.commit(order).await.json()["state"], "committed");
    assert_eq!(counters(&shop, &a).await, [6, 0, 6]);
    assert_eq!(shop.release(order).await.json()["state"], "returned");
    assert_eq!(counters(&shop, &a).await, [10, 0, 10]);
    assert_eq!(counters(&shop, &b).await, [10, 0, 10]);
}

#[tokio::test]
async fn lines_of_one_product_are_summed() {
    let shop = Shop::open().await;
    let id = shop.product("A", 5).await;
    let order = Uuid::new_v4();
    let refused = shop.hold(order, &[(&id, 3), (&id, 3)]).await;
    assert_eq!(refused.problem(), (409, "out_of_stock".to_owned()));
    assert_eq!(
        refused.json()["lines"],
        json!([{"product_id": id, "requested": 6, "available": 5}])
    );
    let held = shop.hold(order, &[(&id, 2), (&id, 3)]).await;
    assert_eq!(held.json()["lines"], json!([{"product_id": id, "quantity": 5}]));
    assert_eq!(counters(&shop, &id).await, [5, 5, 0]);
}

#[tokio::test]
async fn all_lines_are_held_or_none_and_every_short_one_is_named() {
    let shop = Shop::open().await;
    let (a, b, c) = (
        shop.product("A", 10).await,
        shop.product("B", 1).await,
        shop.product("C", 4).await,
    );
    let unknown = Uuid::new_v4().to_string();
    let refused = shop
        .hold(Uuid::new_v4(), &[(&a, 10), (&b, 2), (&c, 4), (&unknown, 1)])
        .await;
    assert_eq!(refused.problem(), (409, "out_of_stock".to_owned()));
    let mut short = refused.json()["lines"].as_array().unwrap().clone();
    short.sort_by_key(|line| line["requested"].as_u64());
    assert_eq!(
        short,
        [
            json!({"product_id": unknown, "requested": 1, "available": 0}),
            json!({"product_id": b, "requested": 2, "available": 1}),
        ]
    );
    for id in [&a, &b, &c] {
        assert_eq!(counters(&shop, id).await[1], 0);
    }
}

#[tokio::test]
async fn ninety_nine_lines_are_one_hold_and_may_all_take_the_last_piece() {
    let shop = Shop::open().await;
    let row = |n: u32| {
        let row = json!({"sku": format!("S-{n}"), "name": "n", "category": "c", "on_hand": 1, "price": {"amount_minor": 1, "currency": "USD"}});
        format!("{row}\n")
    };
    let answers = shop.import(&(0..100).map(row).collect::<String>()).await;
    assert_eq!(answers[100]["summary"]["created"], 100, "{:?}", answers[100]);
    let all = shop.internal("/internal/v1/stock?limit=100").await.json();
    let ids: Vec<_> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["product_id"].as_str().unwrap().to_owned())
        .collect();
    let lines: Vec<_> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    let order = Uuid::new_v4();
    let too_many = shop.hold(order, &lines).await;
    assert_eq!(
        too_many.wrong_fields(),
        [("#/lines".to_owned(), "line_limit".to_owned())]
    );
    let held = shop.hold(order, &lines[..99]).await;
    assert_eq!(held.status, 201, "{}", held.text);
    assert_eq!(shop.commit(order).await.status, 200);
    let returned = shop.release(order).await;
    assert_eq!(returned.json()["state"], "returned", "{}", returned.text);
    assert_eq!(shop.available(&ids[0]).await, 1);
}

#[tokio::test]
async fn what_is_asked_again_is_answered_as_it_stands() {
    let shop = Shop::open().await;
    let id = shop.product("A", 10).await;
    let order = Uuid::new_v4();
    let first = shop.hold(order, &[(&id, 4)]).await;
    let again = shop.hold(order, &[(&id, 4)]).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!(counters(&shop, &id).await, [10, 4, 6]);
    for _ in 0..2 {
        let committed = shop.commit(order).await;
        assert_eq!(committed.json()["state"], "committed", "{}", committed.text);
    }
    // Held again after it was sold: it is sold.
    let held = shop.hold(order, &[(&id, 4)]).await;
    assert_eq!(
        (held.status.as_u16(), held.json()["state"].clone()),
        (200, json!("committed"))
    );
    assert_eq!(counters(&shop, &id).await, [6, 0, 6]);
    for _ in 0..2 {
        assert_eq!(shop.release(order).await.json()["state"], "returned");
    }
    assert_eq!(counters(&shop, &id).await, [10, 0, 10]);
}

#[tokio::test]
async fn what_was_given_back_stays_so() {
    let shop = Shop::open().await;
    let id = shop.product("A", 10).await;
    // Released before it was ever held: a tombstone. Released while held. Returned after it was sold.
    let (never, held, sold) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    shop.hold(held, &[(&id, 1)]).await;
    shop.hold(sold, &[(&id, 1)]).await;
    shop.commit(sold).await;
    for (order, state) in [(never, "released"), (held, "released"), (sold, "returned")] {
        for _ in 0..2 {
            let released = shop.release(order).await;
            assert_eq!(
                (released.status.as_u16(), released.json()["state"].clone()),
                (200, json!(state))
            );
        }
        for late in [shop.hold(order, &[(&id, 1)]).await, shop.commit(order).await] {
            assert_eq!(late.problem(), (409, "reservation_closed".to_owned()));
            assert_eq!(late.json()["state"], state);
        }
    }
    assert_eq!(shop.release(never).await.json()["lines"], json!([]));
    assert_eq!(counters(&shop, &id).await, [10, 0, 10]);
}

#[tokio::test]
async fn an_order_holds_one_set_of_lines() {
    let shop = Shop::open().await;
    let id = shop.product("A", 10).await;
    let order = Uuid::new_v4();
    shop.hold(order, &[(&id, 1)]).await;
    let other = shop.hold(order, &[(&id, 2)]).await;
    assert_eq!(other.problem(), (409, "reservation_differs".to_owned()));
    // Also where the other lines are short: what the order holds comes first.
    let other = shop.hold(order, &[(&id, 100)]).await;
    assert_eq!(other.problem(), (409, "reservation_differs".to_owned()));
    assert_eq!(counters(&shop, &id).await, [10, 1, 9]);
}

#[tokio::test]
async fn a_repeated_hold_of_the_last_pieces_is_no_shortage() {
    let shop = Shop::open().await;
    let id = shop.product("A", 3).await;
    let order = Uuid::new_v4();
    assert_eq!(shop.hold(order, &[(&id, 3)]).await.status, 201);
    assert_eq!(shop.hold(order, &[(&id, 3)]).await.status, 200);
    let another = shop.hold(Uuid::new_v4(), &[(&id, 1)]).await;
    assert_eq!(
        another.json()["lines"],
        json!([{"product_id": id, "requested": 1, "available": 0}])
    );
}

#[tokio::test]
async fn what_never_was_held_cannot_be_committed() {
    let shop = Shop::open().await;
    assert_eq!(
        shop.commit(Uuid::new_v4()).await.problem(),
        (404, "not_found".to_owned())
    );
    let path = "/internal/v1/reservations/not-an-id/commit";
    let malformed = sent(shop.request(As::Service, reqwest::Method::POST, path)).await;
    assert_eq!(malformed.problem(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_hold_of_nothing_or_for_ever_is_refused() {
    let shop = Shop::open().await;
    let path = format!("/internal/v1/reservations/{}", Uuid::new_v4());
    let put = |body: Value| sent(shop.request(As::Service, reqwest::Method::PUT, &path).json(&body));
    let empty = put(json!({"lines": [], "expires_in_s": 60})).await;
    assert_eq!(empty.wrong_fields(), [("#/lines".to_owned(), "line_limit".to_owned())]);
    let wrong =
        put(json!({"lines": [{"product_id": "x", "quantity": 0}, {"quantity": 1000}], "expires_in_s": 0, "price": 1}))
            .await;
    let expected = [
        ("#/expires_in_s", "invalid_lifetime"),
        ("#/lines/0/product_id", "invalid_id"),
        ("#/lines/0/quantity", "quantity_limit"),
        ("#/lines/1/product_id", "required"),
        ("#/lines/1/quantity", "quantity_limit"),
        ("#/price", "unknown_field"),
    ];
    assert_eq!(
        wrong.wrong_fields(),
        expected.map(|(p, c)| (p.to_owned(), c.to_owned()))
    );
}

#[tokio::test]
async fn archived_stock_can_still_be_held_sold_and_given_back() {
    let shop = Shop::open().await;
    let id = shop.product("A", 3).await;
    let (early, late) = (Uuid::new_v4(), Uuid::new_v4());
    shop.hold(early, &[(&id, 1)]).await;
    shop.delete(&format!("/v1/products/{id}"), "*").await;
    assert_eq!(shop.hold(late, &[(&id, 2)]).await.status, 201);
    assert_eq!(shop.commit(early).await.status, 200);
    assert_eq!(shop.commit(late).await.status, 200);
    assert_eq!(counters(&shop, &id).await, [0, 0, 0]);
    assert_eq!(shop.release(late).await.status, 200);
    assert_eq!(counters(&shop, &id).await, [2, 0, 2]);
    let listed = shop.get("/v1/products?category=Tea&in_stock=true").await;
    assert_eq!(listed.json()["data"], json!([]));
}

#[tokio::test]
async fn sixty_parallel_holds_of_the_last_fifty_pieces_make_fifty() {
    let faults = Faults::when(|call| {
        let stock = call.name == "TransactWriteItems" && call.body.to_string().contains("RESERVATION#");
        // Three of ten, spread so that no order meets them all.
        if stock && call.number * 7919 % 10 < 3 {
            Fate::Conflict
        } else {
            Fate::Passes
        }
    });
    let shop = Shop::open_with(faults.clone(), &[]).await;
    let id = shop.product("A", 50).await;
    let orders: Vec<_> = (0..60).map(|_| Uuid::new_v4()).collect();
    let lines = [(id.as_str(), 1)];
    let answers = join_all(orders.iter().map(|order| shop.hold(*order, &lines))).await;
    let with = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert_eq!(
        (with(201), with(409)),
        (50, 10),
        "{:?}",
        answers.iter().map(|a| a.status.as_u16()).collect::<Vec<_>>()
    );
    for refused in answers.iter().filter(|a| a.status == 409) {
        assert_eq!(refused.problem().1, "out_of_stock");
    }
    assert!(faults.calls("TransactWriteItems") > 60);
    assert_eq!(counters(&shop, &id).await, [50, 50, 0]);
    // And each comes back once, however often it is asked for.
    let released = join_all(orders.iter().chain(&orders).map(|order| shop.release(*order))).await;
    assert!(released.iter().all(|a| a.status == 200));
    assert_eq!(counters(&shop, &id).await, [50, 0, 50]);
}

#[tokio::test]
async fn a_commit_and_a_release_at_once_leave_one_of_the_two() {
    let shop = Shop::open().await;
    let id = shop.product("A", 20).await;
    for _ in 0..10 {
        let order = Uuid::new_v4();
        shop.hold(order, &[(&id, 2)]).await;
        let (committed, released) = tokio::join!(shop.commit(order), shop.release(order));
        assert_eq!(released.status, 200);
        let state = released.json()["state"].clone();
        match committed.status.as_u16() {
            200 => assert_eq!(state, "returned"),
            409 => assert_eq!(state, "released"),
            other => panic!("{other}: {}", committed.text),
        }
    }
    assert_eq!(counters(&shop, &id).await, [20, 0, 20]);
}

#[tokio::test]
async fn a_hold_that_expired_is_given_back_and_one_held_again_is_not() {
    let shop = Shop::open().await;
    let id = shop.product("A", 10).await;
    let (forgotten, renewed, sold) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    for order in [forgotten, renewed, sold] {
        assert_eq!(shop.hold_for(order, &[(&id, 2)], 1).await.status, 201);
    }
    assert_eq!(shop.hold_for(renewed, &[(&id, 2)], 600).await.status, 200);
    assert_eq!(shop.commit(sold).await.status, 200);
    shop.eventually("the hold is given back", async || {
        counters(&shop, &id).await == [8, 2, 6]
    })
    .await;
    let late = shop.commit(forgotten).await;
    assert_eq!(late.problem(), (409, "reservation_closed".to_owned()));
    assert_eq!(shop.commit(renewed).await.status, 200);
}

#[tokio::test]
async fn a_hold_whose_time_is_over_can_be_committed_until_it_is_given_back() {
    let shop = Shop::open_with(Faults::none(), &["--sweep-every-ms=600000"]).await;
    let id = shop.product("A", 10).await;
    let order = Uuid::new_v4();
    let held = shop.hold_for(order, &[(&id, 2)], 1).await.json();
    let expires_at: jiff::Timestamp = held["expires_at"].as_str().unwrap().parse().unwrap();
    shop.eventually("its time is over", async || jiff::Timestamp::now() > expires_at)
        .await;
    assert_eq!(shop.commit(order).await.json()["state"], "committed");
}

#[tokio::test]
async fn reconciliation_reads_every_reservation_and_every_stock_page_by_page() {
    let shop = Shop::open().await;
    let a = shop.product("A", 100).await;
    let b = shop.product("B", 0).await;
    shop.delete(&format!("/v1/products/{b}"), "*").await;
    let (mut orders, mut still_held) = (Vec::new(), Vec::new());
    for n in 0..7 {
        let order = Uuid::new_v4();
        orders.push(order.to_string());
        shop.hold(order, &[(&a, 1)]).await;
        if n % 2 == 0 {
            shop.commit(order).await;
        } else {
            still_held.push(order.to_string());
        }
    }
    let tombstone = Uuid::new_v4();
    shop.release(tombstone).await;
    orders.push(tombstone.to_string());

    let mut seen = pages(&shop, "/internal/v1/reservations?limit=3", "order_id").await;
    seen.sort();
    orders.sort();
    assert_eq!(seen, orders);
    let mut stocks = pages(&shop, "/internal/v1/stock?limit=1", "product_id").await;
    stocks.sort();
    let mut expected = vec![a.clone(), b];
    expected.sort();
    assert_eq!(stocks, expected);

    let mut held = pages(&shop, "/internal/v1/reservations?state=held&limit=3", "order_id").await;
    held.sort();
    still_held.sort();
    assert_eq!(held, still_held, "what was sold, or never held, is not");

    let some = format!(
        "/internal/v1/reservations?ids={},{},{tombstone}",
        orders[0],
        Uuid::new_v4()
    );
    let mut found = pages(&shop, &some, "order_id").await;
    found.sort();
    let mut expected = vec![orders[0].clone(), tombstone.to_string()];
    expected.sort();
    expected.dedup();
    assert_eq!(found, expected, "those that there are");
    let stock = shop.internal(&format!("/internal/v1/stock?ids={a}")).await.json();
    assert_eq!(stock["data"][0]["product_id"], json!(a), "{stock}");
    for wrong in [
        format!("/internal/v1/stock?ids={a}&limit=1"),
        format!("/internal/v1/reservations?ids={tombstone}&state=held"),
        "/internal/v1/reservations?ids=no-id".to_owned(),
        "/internal/v1/reservations?state=sold".to_owned(),
        format!("/internal/v1/stock?ids={a},"),
    ] {
        let answer = shop.internal(&wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

/// Counters that contradict each other are told to whoever reconciles, and sell nothing.
#[tokio::test]
async fn counters_that_contradict_each_other_are_told_to_reconciliation() {
    let shop = Shop::open().await;
    let product = shop.product("A", 10).await;
    let key = |name: &str| AttributeValue::S(name.to_owned());
    let edit = shop
        .deployment
        .dynamodb()
        .update_item()
        .table_name(shop.deployment.setting("PRODUCTS_TABLE").unwrap())
        .key("pk", key(&format!("PRODUCT#{product}")))
        .key("sk", key("STOCK"))
        .update_expression("SET available = :astray")
        .expression_attribute_values(":astray", AttributeValue::N("11".to_owned()));
    edit.send().await.unwrap();
    let told = shop.internal("/internal/v1/stock").await.json();
    assert_eq!(
        told["data"][0],
        json!({"product_id": product, "on_hand": 10, "reserved": 0, "available": 11, "version": told["data"][0]["version"]})
    );
}

async fn pages(shop: &Shop, path: &str, field: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut next = path.to_owned();
    loop {
        let page = shop.internal(&next).await.json();
        let data = page["data"].as_array().unwrap();
        all.extend(data.iter().map(|entry| entry[field].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return all,
        }
    }
}
