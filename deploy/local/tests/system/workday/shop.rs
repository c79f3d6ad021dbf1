//! The ordinary work: a merchant's, guests' and customers', and all that is told of it.

use std::time::Duration;

use deploy_local::{Part, System};
use reqwest::header::USER_AGENT;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::people::{AGENT, CUSTOMERS, KEY, Known, REASON, TRACKING, address};
use super::text;
use crate::harness::{SOON, http, patiently};

/// Somebody with a token, or a guest, at the gateway or at a service itself.
pub(crate) struct Caller {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

impl Caller {
    pub(crate) fn new(base: String, token: Option<&str>) -> Self {
        Self {
            base,
            token: token.map(str::to_owned),
            http: http(),
        }
    }

    pub(crate) fn to(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = request.header(USER_AGENT, AGENT);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        answered(self.to(Method::GET, path), StatusCode::OK).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value, status: u16) -> Value {
        answered(self.to(method, path).json(body), StatusCode::from_u16(status).unwrap()).await
    }

    pub(crate) async fn keyed(&self, path: &str, key: &str, body: &Value, status: u16) -> Value {
        let request = self.to(Method::POST, path).json(body);
        let request = request.header("Idempotency-Key", format!("{KEY}{key}"));
        answered(request, StatusCode::from_u16(status).unwrap()).await
    }

    /// Asks until it is so. An order of a checkout may not be there yet.
    pub(crate) async fn until(&self, path: &str, pointer: &str, wanted: &str) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            let body = patiently(self.to(Method::GET, path)).await.1;
            if body.pointer(pointer).and_then(Value::as_str) == Some(wanted) {
                return body;
            }
            let over = body["status"] == "failed" || Instant::now() > deadline;
            assert!(!over, "{pointer} is not {wanted}: {body}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// An order by way of the basket.
    pub(crate) async fn check_out(&self, product: &str, payment: &str, key: &str) -> String {
        let line = json!({"product_id": product, "quantity": 1});
        self.send(Method::POST, "/v1/baskets/me/items", &line, 200).await;
        let body = json!({"shipping_address": address(), "payment_token": payment});
        let accepted = self.keyed("/v1/baskets/me/checkout", key, &body, 202).await;
        text(&accepted, "/order_id").to_owned()
    }

    /// Waits until the order has ended so, and its basket is free again.
    pub(crate) async fn ends(&self, order: &str, status: &str) {
        self.until(&format!("/v1/orders/{order}"), "/status", status).await;
        let deadline = Instant::now() + SOON;
        while !self.get("/v1/baskets/me").await["checkout"].is_null() {
            assert!(Instant::now() < deadline, "the basket waits for {order}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The answer's body, if it is of this status.
pub(crate) async fn answered(request: RequestBuilder, status: StatusCode) -> Value {
    let answer = request.send().await.unwrap();
    let (found, url) = (answer.status(), answer.url().clone());
    let body = answer.text().await.unwrap();
    assert_eq!(found, status, "{url}: {body}");
    serde_json::from_str(&body).unwrap_or(Value::Null)
}

/// Those who are in the shop.
pub(crate) struct People {
    pub(crate) merchant: Caller,
    pub(crate) admin: Caller,
    pub(crate) customer: Caller,
    pub(crate) guest: Caller,
}

impl People {
    pub(crate) async fn of(system: &System, known: &mut Known) -> Self {
        let gateway = system.url(Part::Gateway);
        let tokens = [
            system.token("merchant").await.unwrap(),
            system.token("admin").await.unwrap(),
            system.customer(CUSTOMERS[0]).await.unwrap(),
        ];
        tokens.iter().for_each(|token| known.add_token(token));
        let [merchant, admin, customer] = tokens.map(|token| Caller::new(gateway.clone(), Some(&token)));
        Self {
            merchant,
            admin,
            customer,
            guest: Caller::new(gateway, None),
        }
    }
}

/// All of it, once.
pub(crate) async fn work(system: &System, known: &mut Known) {
    let people = People::of(system, known).await;
    let products = catalog(&people).await;
    browse(&people.guest, &products[0], known).await;
    // The merchant's orders do not go through the customer's basket.
    let baskets = async {
        guests(&people, &products[0], known).await;
        checkouts(&people.customer, &products[0]).await;
        payments(&people.customer, &products, known).await;
    };
    tokio::join!(baskets, merchants_actions(&people, &products[0]));
}

fn price(minor: i64) -> Value {
    json!({"amount_minor": minor, "currency": "USD"})
}

/// Products as they come and go: one with plenty, one with a single piece.
async fn catalog(people: &People) -> [String; 2] {
    let merchant = &people.merchant;
    let mut ids = Vec::new();
    for (sku, on_hand) in [("plenty", 1_000), ("single", 1), ("archived", 5)] {
        let body = json!({"sku": sku, "name": sku, "category": "things", "price": price(1999)});
        let made = merchant.send(Method::POST, "/v1/products", &body, 201).await;
        let id = text(&made, "/id").to_owned();
        let count = merchant.to(Method::PUT, &format!("/v1/products/{id}/stock"));
        answered(
            count.header("If-Match", "*").json(&json!({"on_hand": on_hand})),
            StatusCode::OK,
        )
        .await;
        ids.push(id);
    }
    let [plenty, single, archived] = ids.try_into().unwrap();
    let adjustment = json!({"delta": 5, "reason": REASON});
    let path = format!("/v1/products/{plenty}/stock/adjustments");
    merchant.keyed(&path, "adjustment", &adjustment, 200).await;
    merchant.keyed(&path, "adjustment", &adjustment, 200).await;

    let replaced = json!({"name": "Plenty of it", "category": "things", "price": price(1999)});
    let put = merchant.to(Method::PUT, &format!("/v1/products/{plenty}"));
    answered(put.header("If-Match", "*").json(&replaced), StatusCode::OK).await;
    let patch = merchant.to(Method::PATCH, &format!("/v1/products/{plenty}"));
    let patch = patch.header("Content-Type", "application/merge-patch+json");
    let patch = patch
        .header("If-Match", "*")
        .body(json!({"description": "good"}).to_string());
    answered(patch, StatusCode::OK).await;
    let archive = merchant.to(Method::DELETE, &format!("/v1/products/{archived}"));
    answered(archive.header("If-Match", "*"), StatusCode::NO_CONTENT).await;

    let rows = [("imported", 10), ("plenty", 1_005)].map(|(sku, on_hand)| {
        json!({"sku": sku, "name": sku, "category": "things", "price": price(1999), "on_hand": on_hand}).to_string()
    });
    let import = merchant.to(Method::POST, "/v1/products/import");
    let import = import
        .header("Content-Type", "application/x-ndjson")
        .body(rows.join("\n"));
    answered(import, StatusCode::OK).await;
    answered(merchant.to(Method::GET, "/v1/products/export"), StatusCode::OK).await;
    [plenty, single]
}

async fn browse(guest: &Caller, product: &str, known: &mut Known) {
    guest.get(&format!("/v1/products/{product}")).await;
    guest
        .get(&format!("/v1/products?ids={product},{}", uuid::Uuid::new_v4()))
        .await;
    let page = guest.get("/v1/products?limit=1").await;
    let cursor = text(&page, "/next_cursor");
    known.add("a cursor", cursor);
    guest.get(&format!("/v1/products?limit=1&cursor={cursor}")).await;
    for query in ["", "&sort=price", "&in_stock=true", "&expand=availability"] {
        guest.get(&format!("/v1/products?category=things{query}")).await;
    }
}

async fn guests(people: &People, product: &str, known: &mut Known) {
    let guest = &people.guest;
    let basket = guest.send(Method::POST, "/v1/baskets", &json!({}), 201).await;
    let id = text(&basket, "/id");
    known.add("a guest's basket id", id);
    let items = format!("/v1/baskets/{id}/items");
    let line = json!({"product_id": product, "quantity": 2});
    guest.send(Method::POST, &items, &line, 200).await;
    let one = format!("{items}/{product}");
    guest.send(Method::PUT, &one, &json!({"quantity": 3}), 200).await;
    guest.get(&format!("/v1/baskets/{id}")).await;
    let merge = json!({"from": id, "strategy": "sum"});
    let merged = people
        .customer
        .send(Method::POST, "/v1/baskets/me/merge", &merge, 200)
        .await;
    assert_eq!(merged["lines"][0]["quantity"], 3, "{merged}");
    people
        .customer
        .send(Method::POST, "/v1/baskets/me/merge", &merge, 200)
        .await;
    people
        .customer
        .send(
            Method::DELETE,
            &format!("/v1/baskets/me/items/{product}"),
            &json!({}),
            200,
        )
        .await;
    people
        .customer
        .send(Method::DELETE, "/v1/baskets/me", &json!({}), 200)
        .await;
}

async fn checkouts(customer: &Caller, product: &str) {
    let order = customer.check_out(product, "pm_card_visa", "bought").await;
    let body = json!({"shipping_address": address(), "payment_token": "pm_card_visa"});
    let again = customer.keyed("/v1/baskets/me/checkout", "bought", &body, 202).await;
    assert_eq!(text(&again, "/order_id"), order);
    let other = json!({"shipping_address": address(), "payment_token": "pm_card_amex"});
    customer.keyed("/v1/baskets/me/checkout", "bought", &other, 409).await;
    let waited = customer.to(Method::GET, &format!("/v1/baskets/me/checkouts/{order}"));
    answered(waited.header("Prefer", "wait=20"), StatusCode::OK).await;
    customer.ends(&order, "confirmed").await;
    customer.get("/v1/orders?customer_id=me").await;
}

/// Declined, late, waiting for its customer, disputed, and of something that is sold out.
async fn payments(customer: &Caller, [plenty, single]: &[String; 2], known: &mut Known) {
    let declined = customer.check_out(plenty, "pm_card_chargeDeclined", "declined").await;
    customer.ends(&declined, "failed").await;

    let waiting = customer
        .check_out(plenty, "pm_card_authenticationRequired", "waiting")
        .await;
    let path = format!("/v1/orders/{waiting}");
    let shown = customer
        .until(&path, "/payment/next_action/type", "redirect_to_url")
        .await;
    known.add(
        "where a customer proves who they are",
        text(&shown, "/payment/next_action/url"),
    );
    let another = json!({"payment_token": "pm_card_mastercard"});
    customer
        .send(Method::POST, &format!("{path}/payment"), &another, 200)
        .await;
    customer.ends(&waiting, "confirmed").await;

    let disputed = customer.check_out(plenty, "pm_card_createDispute", "disputed").await;
    customer.ends(&disputed, "confirmed").await;
    let late = customer.check_out(plenty, "pm_slow", "late").await;
    customer.ends(&late, "confirmed").await;

    let first = customer.check_out(single, "pm_card_visa", "first").await;
    customer.ends(&first, "confirmed").await;
    let second = customer.check_out(single, "pm_card_visa", "second").await;
    customer.ends(&second, "failed").await;
    // What could not be had came back.
    customer.send(Method::DELETE, "/v1/baskets/me", &json!({}), 200).await;
}

async fn merchants_actions(people: &People, product: &str) {
    let People {
        merchant,
        admin,
        customer,
        ..
    } = people;
    let order = async |key: &str, payment: Option<&str>| {
        let mut body = json!({
            "customer_id": "me", "items": [{"product_id": product, "quantity": 1}], "shipping_address": address(),
        });
        if let Some(payment) = payment {
            body["payment_token"] = json!(payment);
        }
        let made = customer.keyed("/v1/orders", key, &body, 201).await;
        format!("/v1/orders/{}", text(&made, "/id"))
    };
    let because = json!({"reason": REASON});
    let mut asked = Vec::new();
    for (key, action, end) in [
        ("accepted", "accept", "confirmed"),
        ("rejected", "reject", "failed"),
        ("cancelled", "cancel", "cancelled"),
    ] {
        let path = order(key, None).await;
        customer.until(&path, "/status", "awaiting_acceptance").await;
        asked.push((path, action, end));
    }
    merchant.get("/v1/orders?status=awaiting_acceptance").await;
    for (path, action, end) in asked {
        merchant
            .send(Method::POST, &format!("{path}/{action}"), &because, 200)
            .await;
        customer.until(&path, "/status", end).await;
    }
    let path = order("shipped", Some("pm_card_visa")).await;
    customer.until(&path, "/status", "confirmed").await;
    let refund = json!({"amount": price(500), "reason": REASON});
    merchant.keyed(&format!("{path}/refunds"), "refund", &refund, 201).await;
    let shipping = json!({"carrier": "Snicketfold", "tracking": TRACKING});
    merchant
        .send(Method::POST, &format!("{path}/ship"), &shipping, 200)
        .await;
    merchant
        .send(Method::POST, &format!("{path}/deliver"), &json!({}), 200)
        .await;
    customer
        .send(Method::POST, &format!("{path}/cancel"), &because, 409)
        .await;
    let events = customer.to(Method::GET, &format!("{path}/events"));
    answered(events, StatusCode::OK).await;
    let reconciliation = admin.to(Method::GET, "/v1/orders/admin/reconciliation");
    answered(reconciliation, StatusCode::OK).await;
}
