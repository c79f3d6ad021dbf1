//! The basket service's list of checkouts under way, on loopback. The real service stands in the
//! whole-system tests.

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::products;

/// Checkouts under way. Ends with the process.
pub(crate) struct Baskets {
    url: String,
    under_way: Arc<Mutex<BTreeMap<String, Value>>>,
}

type Data = web::Data<Mutex<BTreeMap<String, Value>>>;

impl Baskets {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let under_way = Arc::new(Mutex::default());
        let served: Data = web::Data::from(Arc::clone(&under_way));
        std::thread::spawn(move || {
            let app = move || {
                let list = web::get().to(list);
                App::new()
                    .app_data(served.clone())
                    .route("/internal/v1/checkouts", list)
            };
            let server = HttpServer::new(app).workers(1).disable_signals();
            actix_web::rt::System::new().block_on(server.listen(listener).unwrap().run())
        });
        Self { url, under_way }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A checkout under way of that order.
    pub(crate) fn check_out(&self, order: &str, valid_until: Timestamp) {
        let checkout = json!({
            "order_id": order, "customer_id": "ada", "total": {"amount_minor": 500, "currency": "USD"},
            "requested_at": "2026-01-01T00:00:00Z", "valid_until": valid_until, "republished": 0,
        });
        self.under_way.lock().unwrap().insert(order.to_owned(), checkout);
    }
}

async fn list(under_way: Data, query: web::Query<HashMap<String, String>>) -> HttpResponse {
    products::page(&under_way.lock().unwrap(), &query)
}
