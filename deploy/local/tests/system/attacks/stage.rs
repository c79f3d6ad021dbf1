//! What there is to be stolen: a victim with a basket, orders and a payment, guests, products, and all who ask for them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use deploy_local::instance::Folder;
use deploy_local::{Part, System};
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::forge::{self, Forge};
use super::table::{Caller, Doors};
use crate::harness::{http, patiently, until};

/// A whole basket: as many distinct products as one may hold.
const LINES: usize = 99;
/// What the victim and the merchant sent under their keys, so that others can send it too.
pub(crate) const ORDER_KEY: &str = "the-victims-order";
pub(crate) const CHECKOUT_KEY: &str = "the-victims-checkout";
pub(crate) const REFUND_KEY: &str = "the-merchants-refund";
pub(crate) const ADJUSTMENT_KEY: &str = "the-merchants-adjustment";

pub(crate) struct Stage {
    pub(crate) gateway: String,
    pub(crate) nobody: Caller,
    pub(crate) victim: Caller,
    /// A customer like any other.
    pub(crate) mallory: Caller,
    pub(crate) merchant: Caller,
    pub(crate) admin: Caller,
    pub(crate) stock_service: Caller,
    pub(crate) read_service: Caller,
    /// Two genuine tokens that are no access tokens.
    pub(crate) id_token: String,
    pub(crate) refresh_token: String,
    pub(crate) forge: Forge,
    pub(crate) webhook_secret: String,
    /// The victim's subject.
    pub(crate) subject: String,
    pub(crate) tea: String,
    pub(crate) coffee: String,
    /// It costs all that an amount can hold.
    pub(crate) dear: String,
    pub(crate) archived: String,
    /// The victim's: confirmed and partly refunded, waiting for the merchant, and from a basket.
    pub(crate) order: String,
    pub(crate) waiting: String,
    pub(crate) checkout: String,
    /// The payment of the first.
    pub(crate) intent: String,
    pub(crate) guest: String,
    pub(crate) merged_guest: String,
    pub(crate) full_guest: String,
    /// Of the victim's list of orders, of all products, of a category by name, of the merchant's list.
    pub(crate) orders_cursor: String,
    pub(crate) products_cursor: String,
    pub(crate) category_cursor: String,
    pub(crate) merchants_cursor: String,
}

impl Stage {
    pub(crate) async fn set(system: &System, folder: &Folder) -> Self {
        let gateway = system.url(Part::Gateway);
        let token = |name, token| Caller {
            name,
            token: Some(token),
        };
        let victim = token("the victim", system.customer("victim").await.unwrap());
        let merchant = token("a merchant", system.token("merchant").await.unwrap());
        let admin = token("an admin", system.token("admin").await.unwrap());
        let (id_token, refresh_token) = other_tokens(system).await;
        let shop = Shop {
            gateway: gateway.clone(),
        };
        let [tea, coffee, dear, archived] = shop.products(&merchant).await;
        let adjust = shop.ask(
            &merchant,
            Method::POST,
            &format!("/v1/products/{tea}/stock/adjustments"),
        );
        expect(
            adjust.header("idempotency-key", ADJUSTMENT_KEY).json(&adjustment()),
            200,
        )
        .await;
        let [order, waiting, checkout] = shop.orders(&victim, &merchant, &tea).await;
        let [guest, merged_guest, full_guest] = shop.guests(&victim, &coffee, &merchant).await;
        let second = shop.ask(&victim, Method::PUT, &format!("/v1/baskets/me/items/{tea}"));
        expect(second.json(&json!({"quantity": 2})), 200).await;
        let payments = system.payments();
        let paid = payments.iter().find(|intent| intent.order_id.as_ref() == Some(&order));
        let secrets: Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("secrets.json")).unwrap()).unwrap();
        Self {
            nobody: Caller {
                name: "nobody",
                token: None,
            },
            mallory: token("another customer", system.customer("mallory").await.unwrap()),
            stock_service: token("a service for stock", service(system, "internal/stock").await),
            read_service: token("a service that reads", service(system, "internal/read").await),
            forge: Forge::new(folder.path(), admin.token.as_deref().unwrap()),
            webhook_secret: secrets["payment_webhook_secret"].as_str().unwrap().to_owned(),
            subject: forge::subject(victim.token.as_deref().unwrap()),
            intent: paid.unwrap().id.clone(),
            orders_cursor: shop.cursor(&victim, "/v1/orders?customer_id=me&limit=1").await,
            products_cursor: shop.cursor(&merchant, "/v1/products?limit=1").await,
            category_cursor: shop.cursor(&merchant, "/v1/products?category=lines&limit=1").await,
            merchants_cursor: shop.cursor(&merchant, "/v1/orders?status=confirmed&limit=1").await,
            gateway,
            victim,
            merchant,
            admin,
            id_token,
            refresh_token,
            tea,
            coffee,
            dear,
            archived,
            order,
            waiting,
            checkout,
            guest,
            merged_guest,
            full_guest,
        }
    }

    /// Everything that nobody but its owner may have changed.
    pub(crate) async fn treasure(&self, system: &System) -> BTreeMap<String, Value> {
        let shop = Shop {
            gateway: self.gateway.clone(),
        };
        let mut found = BTreeMap::new();
        let orders = [&self.order, &self.waiting, &self.checkout].map(|order| format!("/v1/orders/{order}"));
        let own = ["/v1/baskets/me", "/v1/orders?customer_id=me"].map(str::to_owned);
        let products = [&self.tea, &self.coffee, &self.dear, &self.archived].map(|id| format!("/v1/products/{id}"));
        let guests = [&self.guest, &self.merged_guest, &self.full_guest].map(|id| format!("/v1/baskets/{id}"));
        for path in own.into_iter().chain(orders).chain(products).chain(guests) {
            let mut body = expect(shop.ask(&self.victim, Method::GET, &path), 200).await;
            without_moods(&mut body);
            found.insert(path, body);
        }
        let merchants = expect(
            shop.ask(&self.merchant, Method::GET, "/v1/products?category=lines&limit=100"),
            200,
        )
        .await;
        found.insert("the catalog".to_owned(), merchants);
        for (caller, name) in [
            (&self.mallory, "another's orders"),
            (&self.merchant, "the merchant's orders"),
        ] {
            let list = expect(shop.ask(caller, Method::GET, "/v1/orders?customer_id=me"), 200).await;
            found.insert(name.to_owned(), list);
        }
        let payments = format!("{:?}", system.payments());
        found.insert("payments".to_owned(), payments.into());
        found
    }

    /// What the victim sent to check out.
    pub(crate) fn checkout_body() -> Value {
        json!({"shipping_address": address(), "payment_token": "pm_card_visa"})
    }

    /// What the victim sent to order.
    pub(crate) fn order_body(&self) -> Value {
        order_of(&self.tea)
    }
}

/// Where the ways lead in this system.
pub(crate) fn doors(system: &System) -> Doors {
    let at = |part| -> SocketAddr { system.url(part).trim_start_matches("http://").parse().unwrap() };
    Doors {
        gateway: at(Part::Gateway),
        services: Part::SERVICES.into_iter().map(|part| (part, at(part))).collect(),
    }
}

pub(crate) fn address() -> Value {
    json!({"name": "A Victim", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345", "country": "US"})
}

pub(crate) fn refund() -> Value {
    json!({"amount": {"amount_minor": 100, "currency": "USD"}, "reason": "a scratch"})
}

pub(crate) fn adjustment() -> Value {
    json!({"delta": 5, "reason": "delivery"})
}

fn order_of(product: &str) -> Value {
    json!({
        "customer_id": "me", "items": [{"product_id": product, "quantity": 2}],
        "shipping_address": address(), "payment_token": "pm_card_visa",
    })
}

/// The shop, as those who have something in it use it.
struct Shop {
    gateway: String,
}

impl Shop {
    fn ask(&self, who: &Caller, method: Method, path: &str) -> RequestBuilder {
        let request = http().request(method, format!("{}{path}", self.gateway));
        match &who.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn products(&self, merchant: &Caller) -> [String; 4] {
        let row = |sku: &str, category: &str, minor: i64| {
            let price = json!({"amount_minor": minor, "currency": "USD"});
            json!({"sku": sku, "name": sku, "category": category, "price": price, "on_hand": 1000})
        };
        let mut rows = vec![row("tea", "drinks", 1999), row("coffee", "drinks", 999)];
        rows.extend([row("dear", "jewels", i64::MAX), row("archived", "attic", 100)]);
        rows.extend((0..LINES).map(|line| row(&format!("line-{line}"), "lines", 100)));
        let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let import = self.ask(merchant, Method::POST, "/v1/products/import");
        let answer = import
            .header("content-type", "application/x-ndjson")
            .body(rows)
            .send()
            .await
            .unwrap();
        let said = answer.text().await.unwrap();
        assert!(said.contains(r#""failed":0"#), "{said}");
        let mut ids = BTreeMap::new();
        for category in ["drinks", "jewels", "attic"] {
            let list = expect(
                self.ask(merchant, Method::GET, &format!("/v1/products?category={category}")),
                200,
            )
            .await;
            for product in list["data"].as_array().unwrap() {
                ids.insert(text(&product["sku"]), text(&product["id"]));
            }
        }
        let ids = ["tea", "coffee", "dear", "archived"].map(|sku| ids[sku].clone());
        let archive = self.ask(merchant, Method::DELETE, &format!("/v1/products/{}", ids[3]));
        expect(archive.header("if-match", "*"), 204).await;
        ids
    }

    async fn orders(&self, victim: &Caller, merchant: &Caller, tea: &str) -> [String; 3] {
        let place = |key: &str, body: Value| {
            expect(
                self.ask(victim, Method::POST, "/v1/orders")
                    .header("idempotency-key", key)
                    .json(&body),
                201,
            )
        };
        let mut unpaid = order_of(tea);
        unpaid.as_object_mut().unwrap().remove("payment_token");
        let put = self.ask(victim, Method::PUT, &format!("/v1/baskets/me/items/{tea}"));
        expect(put.json(&json!({"quantity": 1})), 200).await;
        let check_out = self.ask(victim, Method::POST, "/v1/baskets/me/checkout");
        let check_out = check_out
            .header("idempotency-key", CHECKOUT_KEY)
            .json(&Stage::checkout_body());
        let (order, waiting, checkout) = tokio::join!(
            place(ORDER_KEY, order_of(tea)),
            place("unpaid", unpaid),
            expect(check_out, 202)
        );
        let ids = [text(&order["id"]), text(&waiting["id"]), text(&checkout["order_id"])];
        let settle = ids
            .iter()
            .zip(["confirmed", "awaiting_acceptance", "confirmed"])
            .map(|(id, status)| {
                let look = self.ask(victim, Method::GET, &format!("/v1/orders/{id}"));
                until(look, status, move |order| order["status"] == status)
            });
        join_all(settle).await;
        let basket = self.ask(victim, Method::GET, "/v1/baskets/me");
        until(basket, "settled", |basket| basket["checkout"].is_null()).await;
        let back = self.ask(merchant, Method::POST, &format!("/v1/orders/{}/refunds", ids[0]));
        expect(back.header("idempotency-key", REFUND_KEY).json(&refund()), 201).await;
        ids
    }

    /// One with something in it, one that was merged into the victim's, and a full one.
    async fn guests(&self, victim: &Caller, coffee: &str, merchant: &Caller) -> [String; 3] {
        let nobody = Caller {
            name: "nobody",
            token: None,
        };
        let make = || async { text(&expect(self.ask(&nobody, Method::POST, "/v1/baskets"), 201).await["id"]) };
        let ids = [make().await, make().await, make().await];
        let add = self.ask(&nobody, Method::POST, &format!("/v1/baskets/{}/items", ids[0]));
        expect(add.json(&json!({"product_id": coffee, "quantity": 3})), 200).await;
        let merge = self
            .ask(victim, Method::POST, "/v1/baskets/me/merge")
            .json(&json!({"from": ids[1]}));
        expect(merge, 200).await;
        let list = expect(
            self.ask(merchant, Method::GET, "/v1/products?category=lines&limit=100"),
            200,
        )
        .await;
        let products = list["data"].as_array().unwrap();
        assert_eq!(products.len(), LINES);
        for some in products.chunks(10) {
            join_all(some.iter().map(|product| {
                let add = self.ask(&nobody, Method::POST, &format!("/v1/baskets/{}/items", ids[2]));
                expect(add.json(&json!({"product_id": product["id"], "quantity": 1})), 200)
            }))
            .await;
        }
        ids
    }

    async fn cursor(&self, who: &Caller, list: &str) -> String {
        let page = expect(self.ask(who, Method::GET, list), 200).await;
        text(&page["next_cursor"])
    }
}

async fn expect(request: RequestBuilder, status: u16) -> Value {
    let (got, body) = patiently(request).await;
    assert_eq!(got, StatusCode::from_u16(status).unwrap(), "{body}");
    body
}

/// What a basket says of products may be of a moment ago, while the product service is busy.
fn without_moods(body: &mut Value) {
    let Some(fields) = body.as_object_mut() else { return };
    fields.remove("stale");
    let lines = fields.get_mut("lines").and_then(Value::as_array_mut);
    for line in lines.into_iter().flatten().filter_map(Value::as_object_mut) {
        line.remove("availability");
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// An id token and a refresh token of somebody who has signed in.
async fn other_tokens(system: &System) -> (String, String) {
    const PASSWORD: &str = "of somebody who tries";
    system.customer("signed-in").await.unwrap();
    let deployment = system.deployment().unwrap();
    let user_pool = deployment.cognito().unwrap();
    let setting = |name| deployment.setting(name).unwrap();
    let named = user_pool.set_password(setting("USER_POOL_ID"), "signed-in", PASSWORD);
    named.await.unwrap();
    let tokens = user_pool.sign_in(setting("SHOP_CLIENT_ID"), "signed-in", PASSWORD);
    let tokens = tokens.await.unwrap();
    (tokens.id_token, tokens.refresh_token)
}

/// A token by client credentials.
async fn service(system: &System, scope: &str) -> String {
    let deployment = system.deployment().unwrap();
    let setting = |name| deployment.setting(name).unwrap();
    let request = http().post(setting("AUTH_TOKEN_URL"));
    let request = request.basic_auth(setting("SERVICE_CLIENT_ID"), Some(setting("SERVICE_CLIENT_SECRET")));
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    let answer: Value = request.form(&form).send().await.unwrap().json().await.unwrap();
    text(&answer["access_token"])
}
