//! What goes wrong in the day: refused requests, webhooks that nobody sent, messages that nobody can read, parts that are
//! away. Much is written down then, and all the more has to be left out.

use std::time::Duration;

use deploy_local::{Part, System};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::people::{CARD, CUSTOMERS, KEY, Known, REASON, address};
use super::shop::{Caller, People, answered};
use super::{Witness, text};
use crate::harness::SOON;

/// Causes all of them: those that only refuse a request beside each other, those that stop a part one after the other.
pub(crate) async fn endure(system: &mut System, witness: &Witness, known: &mut Known) {
    let people = People::of(system, known).await;
    let product = some_product(&people.guest).await;
    let refusals = async {
        bad_tokens(system, known).await;
        bad_requests(&people).await;
        bad_webhooks(&people.guest, known).await;
    };
    tokio::join!(refusals, dead_letters(system, &people.admin));

    witness.tables_away(true);
    refused_for_now(system, &people, &product).await;
    witness.tables_away(false);
    system.kill(Part::ProductService).await.unwrap();
    let line = json!({"product_id": product, "quantity": 1});
    people
        .customer
        .send(Method::POST, "/v1/baskets/me/items", &line, 503)
        .await;
    system.start_part(Part::ProductService).await.unwrap();
    let put = people
        .customer
        .to(Method::PUT, &format!("/v1/baskets/me/items/{product}"));
    crate::harness::until(put.json(&json!({"quantity": 1})), "well again", Value::is_object).await;
    let order = people.customer.check_out(&product, "pm_card_visa", "recovered").await;
    people.customer.ends(&order, "confirmed").await;
}

/// At the gateway, and at each service as if there were no gateway.
async fn bad_tokens(system: &System, known: &mut Known) {
    let good = system.customer(CUSTOMERS[1]).await.unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let nobody = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let bad = [
        format!("{signed}.{flipped}"),
        format!("{header}.{claims}"),
        format!("{nobody}.{claims}."),
        "snicketfold-is-no-token".to_owned(),
        id_token(system).await,
    ];
    known.add_token(&good);
    for token in &bad {
        known.add_token(token);
    }
    for (part, path) in [
        (Part::Gateway, "/v1/baskets/me"),
        (Part::ProductService, "/v1/products/export"),
        (Part::BasketService, "/v1/baskets/me"),
        (Part::OrderService, "/v1/orders?customer_id=me"),
    ] {
        for token in &bad {
            let caller = Caller::new(system.url(part), Some(token));
            let status = caller.to(Method::GET, path).send().await.unwrap().status();
            // An id token is one of the pool's, and opens nothing.
            assert!(
                [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status),
                "{part}: {status}"
            );
        }
    }
}

/// It names its person and their e-mail address, and opens nothing.
async fn id_token(system: &System) -> String {
    let deployment = system.deployment().unwrap();
    let client_id = deployment.setting("SHOP_CLIENT_ID").unwrap();
    let user_pool = deployment.cognito().unwrap();
    let tokens = user_pool
        .sign_in(client_id, CUSTOMERS[0], "local demo password")
        .await
        .unwrap();
    tokens.id_token
}

/// With everything in them that people send by mistake.
async fn bad_requests(people: &People) {
    let customer = &people.customer;
    let mut nowhere = address();
    nowhere["country"] = json!("Umbershire");
    nowhere["e_mail"] = json!("xantippe-quillfeather@example.com");
    let card = json!({"shipping_address": nowhere, "payment_token": CARD});
    customer.keyed("/v1/baskets/me/checkout", "bad", &card, 400).await;
    let order = json!({"customer_id": "xantippe-quillfeather@example.com", "items": [], "shipping_address": nowhere,
        "payment_token": "4242 4242 4242 4242"});
    customer.keyed("/v1/orders", "bad", &order, 400).await;
    customer
        .send(
            Method::POST,
            "/v1/baskets/me/items",
            &json!({"product_id": CARD, "quantity": 1, "e_mail": "xantippe-quillfeather@example.com"}),
            400,
        )
        .await;
    let broken = customer.to(Method::POST, "/v1/orders").header("Idempotency-Key", KEY);
    let broken = broken
        .header("Content-Type", "application/json")
        .body(format!("{{\"shipping_address\": {}, ", address()));
    answered(broken, StatusCode::BAD_REQUEST).await;
    customer
        .keyed("/v1/baskets/me/items", "unsupported", &json!({}), 400)
        .await;
    let unknown = uuid::Uuid::new_v4();
    customer
        .send(
            Method::POST,
            &format!("/v1/orders/{unknown}/cancel"),
            &json!({"reason": REASON}),
            404,
        )
        .await;
    for (path, status) in [
        (
            format!("/v1/products/{CARD}?e_mail=xantippe-quillfeather@example.com"),
            404,
        ),
        (format!("/v1/nothing/{CARD}"), 404),
        (format!("/v1/products?cursor={CARD}"), 400),
        ("/v1/baskets/g_quillfeatherquillfeatherquillfea".to_owned(), 404),
        ("/v1/orders?customer_id=xantippe-quillfeather".to_owned(), 403),
    ] {
        answered(customer.to(Method::GET, &path), StatusCode::from_u16(status).unwrap()).await;
    }
}

async fn bad_webhooks(guest: &Caller, known: &mut Known) {
    let signature = "5f".repeat(32);
    known.add("a signature", &signature);
    let body = json!({"id": "evt_1", "object": "event", "type": "payment_intent.canceled", "data": {"object": {
        "id": "pi_1", "object": "payment_intent", "receipt_email": "xantippe-quillfeather@example.com",
        "client_secret": "pi_1_secret_snicketfold", "shipping": address()}}});
    known.add("a payment's secret", "_secret_");
    for header in [format!("t=1,v1={signature}"), signature.clone()] {
        let request = guest.to(Method::POST, "/webhooks/stripe").json(&body);
        answered(request.header("Stripe-Signature", header), StatusCode::BAD_REQUEST).await;
    }
}

async fn some_product(guest: &Caller) -> String {
    let page = guest.get("/v1/products?category=things&in_stock=true").await;
    text(&page, "/data/0/id").to_owned()
}

/// Messages that were never ours, with what a real one has in it, until they are dead letters; then sent again.
async fn dead_letters(system: &System, admin: &Caller) {
    let deployment = system.deployment().unwrap();
    let queues = [
        ("orders", "PROCESSING_QUEUE_URL", "basket-service", "CheckoutRequested"),
        ("baskets", "BASKET_SETTLE_QUEUE_URL", "order-service", "OrderPlaced"),
    ];
    for (_, queue, source, event) in queues {
        let detail = json!({
            "id": uuid::Uuid::now_v7(), "version": 1, "time": "2026-11-20T10:00:00Z", "sequence": 0,
            "correlation_id": uuid::Uuid::new_v4(), "causation_id": uuid::Uuid::new_v4(),
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "data": {"order_id": "not-an-order", "shipping_address": address(), "payment_token": "pm_card_visa",
                "total": "Quillfeather", "reason": REASON},
        });
        let whole = json!({"version": "0", "id": uuid::Uuid::new_v4(), "detail-type": event, "source": source,
            "account": "000000000000", "time": "2026-11-20T10:00:00Z", "region": "us-east-1", "resources": [], "detail": detail});
        for body in [whole.to_string(), format!("Quillfeather {CARD}")] {
            let send = deployment
                .sqs()
                .send_message()
                .queue_url(deployment.setting(queue).unwrap());
            send.message_body(body).send().await.unwrap();
        }
    }
    for (service, ..) in queues {
        let path = format!("/v1/{service}/admin/dead-letters");
        let deadline = Instant::now() + SOON;
        while admin.get(&path).await["data"].as_array().unwrap().len() < 2 {
            assert!(Instant::now() < deadline, "no dead letters of {service}");
            sleep(Duration::from_millis(500)).await;
        }
        let redriven = admin
            .send(Method::POST, &format!("{path}/redrive"), &json!({}), 200)
            .await;
        assert_eq!(redriven["redriven"], 2, "{redriven}");
    }
}

/// While the tables do not answer.
async fn refused_for_now(system: &System, people: &People, product: &str) {
    let body = json!({"shipping_address": address(), "payment_token": "pm_card_visa"});
    let order = json!({"customer_id": "me", "items": [{"product_id": product, "quantity": 1}],
        "shipping_address": address(), "payment_token": "pm_card_visa"});
    let token = system.customer(CUSTOMERS[0]).await.unwrap();
    let at = |part| Caller::new(system.url(part), Some(&token));
    let (baskets, orders) = (at(Part::BasketService), at(Part::OrderService));
    // At the services themselves: the gateway would try again, and soon take them for away.
    let read = people.guest.to(Method::GET, &format!("/v1/products/{product}"));
    tokio::join!(
        baskets.keyed("/v1/baskets/me/checkout", "away", &body, 503),
        orders.keyed("/v1/orders", "away", &order, 503),
        answered(read, StatusCode::SERVICE_UNAVAILABLE),
    );
}
