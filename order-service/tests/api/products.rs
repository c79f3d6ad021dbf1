//! The product service's internal routes and its list by id, with real stock arithmetic, on loopback. The real service stands in the whole-system tests.

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use jiff::Timestamp;
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
    /// What `available` says beyond the difference of the two.
    astray: i64,
}

struct Reservation {
    lines: Vec<(Uuid, i64)>,
    state: State,
    expires_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Committed,
    Released,
    Returned,
}

const EXPIRES_IN: Duration = Duration::from_secs(7200);

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
            astray: 0,
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

    /// Has so much more reserved than is held.
    pub(crate) fn reserve_astray(&self, id: Uuid, by: i64) {
        self.shop().products.get_mut(&id).unwrap().reserved += by;
    }

    /// Says that so much more is available than is.
    pub(crate) fn count_astray(&self, id: Uuid, by: i64) {
        self.shop().products.get_mut(&id).unwrap().astray += by;
    }

    /// A reservation that no order asked for, or another in the place of an order's; the stock is left alone.
    pub(crate) fn put_reservation(&self, order: &str, lines: &[(Uuid, i64)], state: State) {
        let reservation = Reservation {
            lines: lines.to_vec(),
            state,
            expires_at: Timestamp::now() + EXPIRES_IN,
        };
        self.shop().reservations.insert(order.to_owned(), reservation);
    }

    /// A hold of one piece that is taken, and gone again.
    pub(crate) fn hold_for_a_moment(&self, order: &str, id: Uuid, moment: Duration) {
        assert!(self.shop().hold(order, vec![(id, 1)]).status().is_success());
        std::thread::sleep(moment);
        let mut shop = self.shop();
        let _ = shop.release(order);
        shop.reservations.remove(order);
    }

    /// A hold whose time was over long ago.
    pub(crate) fn outlast(&self, order: &str) {
        self.shop().reservations.get_mut(order).unwrap().expires_at = Timestamp::UNIX_EPOCH;
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
        let reservation = Reservation {
            lines,
            state: State::Held,
            expires_at: Timestamp::now() + EXPIRES_IN,
        };
        self.reservations.insert(order.to_owned(), reservation);
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
            expires_at: Timestamp::now(),
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
        .route("/internal/v1/reservations", web::get().to(reservations))
        .route("/internal/v1/stock", web::get().to(stock))
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

async fn reservations(shop: Data, request: HttpRequest, query: web::Query<HashMap<String, String>>) -> HttpResponse {
    let shop = shop.lock().unwrap();
    if let Some(refusal) = at_the_door(&shop, &request) {
        return refusal;
    }
    let wanted = |reservation: &Reservation| !query.contains_key("state") || reservation.state == State::Held;
    let all: BTreeMap<String, Value> = shop
        .reservations
        .iter()
        .filter(|(_, reservation)| wanted(reservation))
        .map(|(order, reservation)| {
            let lines: Vec<_> = reservation
                .lines
                .iter()
                .map(|(id, quantity)| json!({"product_id": id, "quantity": quantity}))
                .collect();
            let state = format!("{:?}", reservation.state).to_lowercase();
            let shown =
                json!({"order_id": order, "state": state, "lines": lines, "expires_at": reservation.expires_at});
            (order.clone(), shown)
        })
        .collect();
    page(&all, &query)
}

async fn stock(shop: Data, request: HttpRequest, query: web::Query<HashMap<String, String>>) -> HttpResponse {
    let shop = shop.lock().unwrap();
    if let Some(refusal) = at_the_door(&shop, &request) {
        return refusal;
    }
    let all: BTreeMap<String, Value> = shop
        .products
        .iter()
        .map(|(id, product)| {
            let available = product.on_hand - product.reserved + product.astray;
            let shown = json!({
                "product_id": id, "on_hand": product.on_hand, "reserved": product.reserved, "available": available,
                "version": 1,
            });
            (id.to_string(), shown)
        })
        .collect();
    page(&all, &query)
}

/// Those asked for by id, or a page behind the one that the cursor names.
pub(crate) fn page(all: &BTreeMap<String, Value>, query: &HashMap<String, String>) -> HttpResponse {
    if let Some(ids) = query.get("ids") {
        let found: Vec<_> = ids.split(',').filter_map(|id| all.get(id)).collect();
        return HttpResponse::Ok().json(json!({"data": found, "next_cursor": null}));
    }
    let limit: usize = query["limit"].parse().unwrap();
    let after = query.get("cursor").map_or("", String::as_str);
    let rest: Vec<_> = all.iter().filter(|(id, _)| id.as_str() > after).collect();
    let (shown, more) = rest.split_at(rest.len().min(limit));
    let next = shown.last().filter(|_| !more.is_empty()).map(|(id, _)| *id);
    let data: Vec<_> = shown.iter().map(|(_, entry)| *entry).collect();
    HttpResponse::Ok().json(json!({"data": data, "next_cursor": next}))
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
