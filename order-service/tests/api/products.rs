//! The product service's three internal routes and its list by id, with real stock arithmetic, on
//! loopback. The real service stands in the whole-system tests.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// A shop's stock, and how the server behaves. Ends with the process.
#[derive(Clone)]
pub(crate) struct Products {
    url: String,
    shop: Arc<Mutex<Shop>>,
}

#[derive(Default)]
struct Shop {
    products: HashMap<Uuid, Product>,
    reservations: HashMap<String, Reservation>,
    /// Every call but those for tokens is answered 503.
    away: bool,
    /// Tokens but this one are refused.
    token: u32,
}

struct Product {
    sku: String,
    price: i64,
    state: &'static str,
    acceptance: &'static str,
    on_hand: i64,
    reserved: i64,
}

struct Reservation {
    lines: Vec<(Uuid, i64)>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Committed,
    Released,
    Returned,
}

/// How much there is of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
}

impl Products {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shop = Arc::new(Mutex::new(Shop::default()));
        let served = web::Data::from(Arc::clone(&shop));
        std::thread::spawn(move || {
            let server = HttpServer::new(move || App::new().app_data(served.clone()).configure(routes));
            let server = server.workers(1).disable_signals().listen(listener).unwrap();
            actix_web::rt::System::new().block_on(server.run())
        });
        Self { url, shop }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A new product of which there is so much.
    pub(crate) fn add(&self, price: i64, on_hand: i64) -> Uuid {
        let id = Uuid::new_v4();
        let product = Product {
            sku: format!("sku-{id}"),
            price,
            state: "active",
            acceptance: "auto",
            on_hand,
            reserved: 0,
        };
        self.shop().products.insert(id, product);
        id
    }

    pub(crate) fn archive(&self, id: Uuid) {
        self.shop().products.get_mut(&id).unwrap().state = "archived";
    }

    pub(crate) fn ask_the_merchant(&self, id: Uuid) {
        self.shop().products.get_mut(&id).unwrap().acceptance = "manual";
    }

    pub(crate) fn price(&self, id: Uuid, price: i64) {
        self.shop().products.get_mut(&id).unwrap().price = price;
    }

    pub(crate) fn go_away(&self) {
        self.shop().away = true;
    }

    pub(crate) fn come_back(&self) {
        self.shop().away = false;
    }

    /// Refuses every token given out so far.
    pub(crate) fn change_tokens(&self) {
        self.shop().token += 1;
    }

    pub(crate) fn stock(&self, id: Uuid) -> Stock {
        let shop = self.shop();
        let product = &shop.products[&id];
        Stock {
            on_hand: product.on_hand,
            reserved: product.reserved,
        }
    }

    pub(crate) fn reservation(&self, order: &str) -> Option<State> {
        self.shop().reservations.get(order).map(|reservation| reservation.state)
    }

    /// A hold that ran out, as the real service's sweeper ends it.
    pub(crate) fn expire(&self, order: &str) {
        let mut shop = self.shop();
        if shop
            .reservations
            .get(order)
            .is_some_and(|reservation| reservation.state == State::Held)
        {
            let _ = shop.release(order);
        }
    }

    fn shop(&self) -> MutexGuard<'_, Shop> {
        self.shop.lock().unwrap()
    }
}

impl Shop {
    fn hold(&mut self, order: &str, lines: Vec<(Uuid, i64)>) -> HttpResponse {
        match self.reservations.get(order) {
            Some(Reservation { state: State::Held, .. }) => {
                return HttpResponse::Ok().json(json!({"order_id": order, "state": "held", "lines": []}));
            }
            Some(_) => return closed(),
            None => {}
        }
        let short: Vec<Value> = lines
            .iter()
            .filter_map(|(id, quantity)| {
                let available = self
                    .products
                    .get(id)
                    .map_or(0, |product| product.on_hand - product.reserved);
                (available < *quantity)
                    .then(|| json!({"product_id": id, "requested": quantity, "available": available}))
            })
            .collect();
        if !short.is_empty() {
            return HttpResponse::Conflict().json(json!({"code": "out_of_stock", "lines": short}));
        }
        for (id, quantity) in &lines {
            self.products.get_mut(id).unwrap().reserved += quantity;
        }
        let state = State::Held;
        self.reservations.insert(order.to_owned(), Reservation { lines, state });
        HttpResponse::Created().json(json!({"order_id": order, "state": "held", "lines": []}))
    }

    fn commit(&mut self, order: &str) -> HttpResponse {
        let Some(reservation) = self.reservations.get_mut(order) else {
            return HttpResponse::NotFound().json(json!({"code": "not_found"}));
        };
        match reservation.state {
            State::Held => {
                reservation.state = State::Committed;
                for (id, quantity) in &reservation.lines {
                    let product = self.products.get_mut(id).unwrap();
                    product.reserved -= quantity;
                    product.on_hand -= quantity;
                }
            }
            State::Committed => {}
            State::Released | State::Returned => return closed(),
        }
        HttpResponse::Ok().json(json!({"order_id": order, "state": "committed"}))
    }

    fn release(&mut self, order: &str) -> HttpResponse {
        let reservation = self.reservations.entry(order.to_owned()).or_insert(Reservation {
            lines: vec![],
            state: State::Released,
        });
        let (held, sold) = (reservation.state == State::Held, reservation.state == State::Committed);
        for (id, quantity) in &reservation.lines {
            let product = self.products.get_mut(id).unwrap();
            if held {
                product.reserved -= quantity;
            } else if sold {
                product.on_hand += quantity;
            }
        }
        reservation.state = if sold {
            State::Returned
        } else if held {
            State::Released
        } else {
            reservation.state
        };
        HttpResponse::Ok().json(json!({"order_id": order, "state": "released"}))
    }
}

#[derive(Deserialize)]
struct Hold {
    lines: Vec<HeldLine>,
    expires_in_s: u64,
}

#[derive(Deserialize)]
struct HeldLine {
    product_id: Uuid,
    quantity: i64,
}

type Data = web::Data<Mutex<Shop>>;

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/oauth2/token", web::post().to(token))
        .route("/v1/products", web::get().to(products))
        .route("/internal/v1/reservations/{order}", web::put().to(hold))
        .route("/internal/v1/reservations/{order}/{step}", web::post().to(step));
}

async fn token(shop: Data) -> HttpResponse {
    let token = shop.lock().unwrap().token;
    HttpResponse::Ok().json(json!({"access_token": format!("token-{token}"), "expires_in": 3600}))
}

/// What refuses a call of an internal route, if anything does.
fn at_the_door(shop: &Shop, request: &HttpRequest) -> Option<HttpResponse> {
    if shop.away {
        return Some(HttpResponse::ServiceUnavailable().finish());
    }
    let token = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    (token != Some(&format!("Bearer token-{}", shop.token))).then(|| HttpResponse::Unauthorized().finish())
}

async fn products(shop: Data, query: web::Query<HashMap<String, String>>) -> HttpResponse {
    let shop = shop.lock().unwrap();
    if shop.away {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let ids: Vec<Uuid> = query["ids"].split(',').map(|id| id.parse().unwrap()).collect();
    let found = ids.iter().filter_map(|id| {
        let product = shop.products.get(id)?;
        Some(json!({
            "id": id, "sku": product.sku, "name": "A thing", "category": "things",
            "price": {"amount_minor": product.price, "currency": "USD"},
            "state": product.state, "acceptance": product.acceptance, "version": 1,
        }))
    });
    let found: Vec<_> = found.collect();
    HttpResponse::Ok().json(json!({"data": found, "missing": []}))
}

async fn hold(shop: Data, request: HttpRequest, order: web::Path<String>, body: web::Json<Hold>) -> HttpResponse {
    let mut shop = shop.lock().unwrap();
    if let Some(refusal) = at_the_door(&shop, &request) {
        return refusal;
    }
    assert!(
        body.expires_in_s > 600,
        "a hold lasts longer than all deadlines of its order"
    );
    shop.hold(
        &order,
        body.lines.iter().map(|line| (line.product_id, line.quantity)).collect(),
    )
}

async fn step(shop: Data, request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let mut shop = shop.lock().unwrap();
    if let Some(refusal) = at_the_door(&shop, &request) {
        return refusal;
    }
    match path.1.as_str() {
        "commit" => shop.commit(&path.0),
        "release" => shop.release(&path.0),
        other => panic!("no such step: {other}"),
    }
}

fn closed() -> HttpResponse {
    HttpResponse::Conflict().json(json!({"code": "reservation_closed"}))
}
