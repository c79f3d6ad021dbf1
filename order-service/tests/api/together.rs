//! Several services at once, and what they leave in the log.

use serde_json::{Value, json};

use crate::harness::{Shop, customer, logged};
use crate::products::Stock;

#[tokio::test]
async fn services_that_work_on_the_same_orders_at_once_make_each_once() {
    let shop = Shop::open().await;
    // So short a go that each order is taken over in the middle of things, again and again. On a busy
    // machine nothing can be done in it: the third one ends that.
    let hasty = [("FAST_PATH_MS", "100"), ("RETRY_MS", "10"), ("SWEEP_MS", "10")];
    let patient = &hasty[1..];
    let services = [shop.start(&hasty), shop.start(&hasty), shop.start(patient)];
    let tea = shop.products.add(500, 100);
    let checkouts: Vec<Value> = (0..12)
        .map(|n| {
            shop.checkout(
                &[(tea, 1, 500)],
                Some(["pm_card_visa", "pm_card_chargeDeclined"][n % 2]),
            )
        })
        .collect();
    for checkout in checkouts.iter().chain(&checkouts) {
        shop.publish(checkout).await;
    }
    for (n, checkout) in checkouts.iter().enumerate() {
        let id = &checkout["order_id"];
        let order = services[0].settles(&shop, &customer("ada"), id).await;
        let (status, paid, told): (_, _, &[&str]) = match n % 2 {
            0 => ("confirmed", ("succeeded", 500, 0), &["OrderPlaced", "OrderConfirmed"]),
            _ => ("failed", ("canceled", 0, 0), &["OrderFailed"]),
        };
        assert_eq!(order["status"], status, "{order:#}");
        assert_eq!(shop.paid(id), [paid]);
        assert_eq!(shop.told(id).await, told);
    }
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 94,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn no_token_address_or_card_number_is_logged() {
    let log = logged();
    let shop = Shop::open().await;
    let service = shop.start(&[]);
    let tea = shop.products.add(500, 10);
    for token in ["pm_card_visa", "pm_card_chargeDeclined", "pm_a_secret_token"] {
        let checkout = shop.checkout(&[(tea, 1, 500)], Some(token));
        shop.publish(&checkout).await;
        shop.settled(&checkout["order_id"]).await;
    }
    let mut wrong = shop.checkout(&[(tea, 1, 500)], Some("4242424242424242"));
    // A number where a text belongs: the parser's own message would repeat it.
    wrong["payment_token"] = json!(4_242_424_242_424_242_i64);
    shop.publish(&wrong).await;
    shop.settled(&wrong["order_id"]).await;
    let body = json!({"customer_id": "me", "items": [], "payment_token": "4242424242424242", "shipping_address": {"name": "Lovelace"}});
    service.try_order(&customer("ada"), "a-key", &body).await;

    let text = log.text();
    assert!(text.contains("an order changed"), "the log is read: {text}");
    for secret in [
        "pm_card",
        "pm_a_secret_token",
        "Lovelace",
        "St James",
        // Half of it: four digits in a row are in some random id now and then.
        "42424242",
        "sk_test_sandbox",
        "eyJ",
    ] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} in: {line:?}");
    }
}
