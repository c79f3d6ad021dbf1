//! Orders that come to nothing, or take their time, and what is left of stock and payment then.

use std::time::Duration;

use serde_json::json;
use shared::testing::activity::Pending;
use shared::testing::faults::Faults;
use uuid::Uuid;

use crate::harness::{SOON, Shop, customer};
use crate::products::{State, Stock};

#[tokio::test]
async fn an_order_for_more_than_there_is_fails_and_names_the_lines() {
    let (shop, service) = Shop::with_service().await;
    let (tea, cup) = (shop.products.add(500, 10), shop.products.add(900, 1));
    let checkout = shop.checkout(&[(tea, 2, 500), (cup, 3, 900)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;

    let failed = shop.event("OrderFailed", id).await;
    let short = json!([{"product_id": cup, "requested": 3, "available": 1}]);
    assert_eq!(failed.detail["data"]["reason"], "out_of_stock");
    assert_eq!(failed.detail["data"]["short"], short);
    assert_eq!(failed.detail["data"]["lines"].as_array().unwrap().len(), 2);
    shop.settled(id).await;
    let order = service.read(&customer("ada"), id).await;
    assert_eq!(order["status"], "failed");
    assert_eq!(order["failure"], json!({"reason": "out_of_stock", "lines": short}));
    assert_eq!(order["payment"]["captured"]["amount_minor"], 0);
    assert!(
        shop.paid(id).iter().all(|paid| *paid == ("canceled", 0, 0)),
        "{:?}",
        shop.paid(id)
    );
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
    assert_eq!(
        shop.products.stock(cup),
        Stock {
            on_hand: 1,
            reserved: 0
        }
    );
    assert_eq!(shop.told(id).await, ["OrderFailed"]);
}

#[tokio::test]
async fn a_declined_payment_fails_the_order_and_gives_the_stock_back() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    for token in ["pm_card_chargeDeclined", "pm_never_heard_of"] {
        let checkout = shop.checkout(&[(tea, 2, 500)], Some(token));
        let id = &checkout["order_id"];
        shop.publish(&checkout).await;

        let failed = shop.event("OrderFailed", id).await;
        assert_eq!(failed.detail["data"]["reason"], "declined");
        let item = shop.settled(id).await;
        assert!(!item.to_string().contains(token), "the token is still there");
        let order = service.read(&customer("ada"), id).await;
        assert_eq!(order["failure"]["reason"], "declined");
        assert_eq!(order["payment"]["state"], "voided");
        assert_eq!(order["actions"], json!([]));
        assert_eq!(shop.paid(id), [("canceled", 0, 0)]);
        assert_eq!(shop.products.reservation(id.as_str().unwrap()), Some(State::Released));
    }
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn a_declined_payment_leaves_time_for_another_token_where_the_shop_allows_it() {
    let shop = Shop::open().await;
    let service = shop.start(&[("PAYMENT_RETRY_S", "2")]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_chargeDeclined"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;

    let ada = customer("ada");
    let waiting = service
        .shows(&ada, id, |order| order["payment"]["state"] == "declined")
        .await;
    assert_eq!(waiting["status"], "pending");
    assert!(waiting["payment"]["deadline"].is_string());
    let failed = shop.event("OrderFailed", id).await;
    assert_eq!(failed.detail["data"]["reason"], "declined");
    shop.settled(id).await;
    assert_eq!(shop.paid(id), [("canceled", 0, 0)]);
}

#[tokio::test]
async fn an_order_that_costs_nothing_needs_no_payment() {
    let (shop, service) = Shop::with_service().await;
    let sample = shop.products.add(0, 10);
    let checkout = shop.checkout(&[(sample, 1, 0)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let order = service.settles(&shop, &customer("ada"), id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["payment"]["state"], "not_needed");
    assert!(shop.paid(id).is_empty());
    assert_eq!(
        shop.products.stock(sample),
        Stock {
            on_hand: 9,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn a_slow_payment_and_one_whose_answer_is_lost_are_captured_once() {
    let shop = Shop::open().await;
    // Shorter than the provider takes: the sweeper has to find out what became of it.
    let service = shop.start(&[("PAYMENT_TIMEOUT_MS", "300"), ("FAST_PATH_MS", "800")]);
    let tea = shop.products.add(500, 10);
    for token in ["pm_slow", "pm_lost"] {
        let checkout = shop.checkout(&[(tea, 2, 500)], Some(token));
        let id = &checkout["order_id"];
        shop.publish(&checkout).await;
        let order = service.settles(&shop, &customer("ada"), id).await;
        assert_eq!(order["status"], "confirmed", "{order:#}");
        assert_eq!(shop.paid(id), [("succeeded", 1000, 0)], "{token}");
    }
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 6,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn an_outage_of_the_product_service_delays_orders_and_fails_none() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let checkouts = [(); 3].map(|()| shop.checkout(&[(tea, 1, 500)], Some("pm_card_visa")));
    shop.products.go_away();
    for checkout in &checkouts {
        shop.publish(checkout).await;
    }
    let ada = customer("ada");
    for checkout in &checkouts {
        shop.tried(&checkout["order_id"], 2).await;
        assert_eq!(service.read(&ada, &checkout["order_id"]).await["status"], "pending");
    }
    // Meanwhile the messages are gone: an outage behind us spends none of their tries.
    shop.queue_is_empty().await;
    shop.products.come_back();
    for checkout in &checkouts {
        let order = service.settles(&shop, &ada, &checkout["order_id"]).await;
        assert_eq!(order["status"], "confirmed");
    }
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 7,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn a_service_token_that_is_refused_is_renewed_once() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let ada = customer("ada");
    let body =
        json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
    let first = service.order(&ada, &body).await;
    service.comes_to(&ada, &first["id"], "confirmed").await;
    shop.products.change_tokens();
    let second = service.order(&ada, &body).await;
    service.comes_to(&ada, &second["id"], "confirmed").await;
}

#[tokio::test]
async fn an_order_whose_customer_has_to_act_waits_for_them() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_authenticationRequired"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let ada = customer("ada");
    let waiting = service
        .shows(&ada, id, |order| order["payment"]["state"] == "requires_action")
        .await;
    assert_eq!(waiting["status"], "pending");
    assert_eq!(waiting["payment"]["next_action"]["type"], "redirect_to_url");
    let page = waiting["payment"]["next_action"]["url"].as_str().unwrap();

    let answer = shop.browse(page, "outcome=complete").await;
    assert!(
        answer.status().is_success() || answer.status().is_redirection(),
        "{answer:?}"
    );

    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["payment"]["next_action"], json!(null));
    assert_eq!(shop.paid(id), [("succeeded", 1000, 0)]);
}

#[tokio::test]
async fn an_order_whose_customer_fails_to_act_fails() {
    let shop = Shop::open().await;
    let service = shop.start(&[("PAYMENT_DEADLINE_S", "2")]);
    let tea = shop.products.add(500, 10);
    let late = shop.checkout(&[(tea, 2, 500)], Some("pm_card_authenticationRequired"));
    let wrong = shop.checkout(&[(tea, 2, 500)], Some("pm_card_authenticationRequired"));
    shop.publish(&late).await;
    shop.publish(&wrong).await;
    let ada = customer("ada");
    let waits = |order: &serde_json::Value| order["payment"]["state"] == "requires_action";
    let shown = service.shows(&ada, &wrong["order_id"], waits).await;
    shop.browse(shown["payment"]["next_action"]["url"].as_str().unwrap(), "outcome=fail")
        .await;

    let order = service.settles(&shop, &ada, &wrong["order_id"]).await;
    assert_eq!(order["failure"]["reason"], "declined");
    let order = service.settles(&shop, &ada, &late["order_id"]).await;
    assert_eq!(order["failure"]["reason"], "payment_expired");
    assert_eq!(shop.paid(&late["order_id"]), [("canceled", 0, 0)]);
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn sixty_orders_for_the_last_fifty_pieces_make_fifty() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 50);
    let checkouts: Vec<_> = (0..60)
        .map(|_| shop.checkout(&[(tea, 1, 500)], Some("pm_card_visa")))
        .collect();
    for checkout in &checkouts {
        shop.publish(checkout).await;
    }
    let mut confirmed = 0;
    for checkout in &checkouts {
        let order = service.settles(&shop, &customer("ada"), &checkout["order_id"]).await;
        match order["status"].as_str().unwrap() {
            "confirmed" => confirmed += 1,
            status => assert_eq!(
                (status, &order["failure"]["reason"]),
                ("failed", &json!("out_of_stock"))
            ),
        }
    }
    assert_eq!(confirmed, 50);
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 0,
            reserved: 0
        }
    );
    let captured: i64 = shop.payments.intents().iter().map(|intent| intent.captured).sum();
    assert_eq!(captured, 50 * 500);
}

#[tokio::test]
async fn a_hold_that_ran_out_fails_the_order_and_voids_its_payment() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    shop.products.ask_the_merchant(tea);
    let ada = customer("ada");
    let body =
        json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
    let order = service.order(&ada, &body).await;
    let id = &order["id"];
    service.comes_to(&ada, id, "awaiting_acceptance").await;
    shop.products.expire(id.as_str().unwrap());

    let path = format!("/v1/orders/{}/accept", id.as_str().unwrap());
    service.post(&path, &crate::harness::merchant()).send().await.unwrap();
    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["failure"]["reason"], "expired");
    assert_eq!(shop.paid(id), [("canceled", 0, 0)]);
    assert_eq!(
        shop.told(id).await,
        ["OrderPlaced", "OrderAwaitingAcceptance", "OrderFailed"]
    );
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn an_event_that_the_bus_did_not_take_is_published_by_the_sweeper() {
    let shop = Shop::open().await;
    let tea = shop.products.add(500, 10);
    let nowhere = shop.start_behind(Faults::refusing("PutEvents"), &[]);
    let ada = customer("ada");
    let body =
        json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
    let order = nowhere.order(&ada, &body).await;
    nowhere.comes_to(&ada, &order["id"], "confirmed").await;
    nowhere.kill();
    assert!(shop.told(&order["id"]).await.is_empty());

    let _service = shop.start(&[]);
    shop.settled(&order["id"]).await;
    shop.event("OrderConfirmed", &order["id"]).await;
    assert_eq!(shop.told(&order["id"]).await, ["OrderPlaced", "OrderConfirmed"]);
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let ada = customer("ada");
    let body = json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_slow"});
    let order = service.try_order(&ada, &Uuid::new_v4().to_string(), &body).await;
    let order: serde_json::Value = order.json().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), service.stop())
        .await
        .unwrap()
        .unwrap();
    let item = shop.item(&order["id"]).await.unwrap();
    assert_eq!(item["status"], "confirmed", "{item:#} {:?}", shop.paid(&order["id"]));
    assert_eq!(shop.paid(&order["id"]), [("succeeded", 500, 0)]);
}

#[tokio::test]
async fn a_stop_keeps_nobody_waiting() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_GRACE_S", "600")]);
    let tea = shop.products.add(500, 10);
    let ada = customer("ada");
    let order = service
        .order(
            &ada,
            &json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}]}),
        )
        .await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let waiting = service.get(&path, &ada).header("prefer", "wait=20").send();
    let waiting = tokio::spawn(waiting);
    // Its read of the order has been seen: it waits.
    let check = async || match service.faults.answers("GetItem") {
        0 => Err(Pending::new(0)),
        _ => Ok(()),
    };
    shop.activity.wait_for("read of the order", SOON, check).await;
    tokio::time::timeout(Duration::from_secs(5), service.stop())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_known_again_by_whoever_made_it() {
    for call in ["PutItem", "UpdateItem", "PutEvents"] {
        let shop = Shop::open().await;
        let tea = shop.products.add(500, 10);
        let service = shop.start_behind(Faults::losing(call), &[]);
        let ada = customer("ada");
        let body = json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
        let answer = service.try_order(&ada, "a-key", &body).await;
        assert_eq!(answer.status(), 201);
        assert!(
            !answer.headers().contains_key("idempotent-replayed"),
            "the order is new"
        );
        let order: serde_json::Value = answer.json().await.unwrap();
        let item = shop.settled(&order["id"]).await;
        // Nobody took it for somebody else's: it went on at once, in as many writes as ever.
        assert_eq!(
            (&item["status"], &item["version"]),
            (&json!("confirmed"), &json!(4)),
            "{call}"
        );
        assert_eq!(shop.paid(&order["id"]), [("succeeded", 500, 0)]);
        assert_eq!(shop.told(&order["id"]).await, ["OrderPlaced", "OrderConfirmed"]);
    }
}
