//! A stand-in for the one route of the product service that is asked, with prices that change and
//! faults at will.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::harness::usd;

/// The products of one test.
pub(crate) struct Catalog {
    server: MockServer,
    shelf: Arc<Mutex<Shelf>>,
}

/// How the product service feels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    Well,
    /// Every answer is a 500.
    Failing,
    /// Every answer is something else than JSON.
    Babbling,
    /// Every answer comes too late.
    Slow,
    /// The first of these many calls fail, then all is well.
    Stumbling(u32),
}

struct Shelf {
    products: HashMap<Uuid, Value>,
    mood: Mood,
    calls: u32,
}

impl Catalog {
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let shelf = Arc::new(Mutex::new(Shelf {
            products: HashMap::new(),
            mood: Mood::Well,
            calls: 0,
        }));
        let answers = Answers(Arc::clone(&shelf));
        Mock::given(method("GET"))
            .and(path("/v1/products"))
            .respond_with(answers)
            .mount(&server)
            .await;
        Self { server, shelf }
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    /// A new product at this price, in minor units.
    pub(crate) fn sells(&self, price: i64) -> Uuid {
        let id = Uuid::new_v4();
        self.put(id, price, "active", 1000);
        id
    }

    /// Says anew what a product is.
    pub(crate) fn put(&self, id: Uuid, price: i64, state: &str, available: i64) {
        let product = json!({
            "id": id, "sku": format!("sku-{price}"), "name": format!("Product at {price}"), "price": usd(price),
            "state": state, "acceptance": "auto", "category": "unknown to us",
            "stock": {"available": available, "in_stock": available > 0, "version": 1},
        });
        self.shelf.lock().unwrap().products.insert(id, product);
    }

    pub(crate) fn feels(&self, mood: Mood) {
        self.shelf.lock().unwrap().mood = mood;
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> u32 {
        self.shelf.lock().unwrap().calls
    }
}

struct Answers(Arc<Mutex<Shelf>>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut shelf = self.0.lock().unwrap();
        shelf.calls += 1;
        let ids = request
            .url
            .query_pairs()
            .find(|(name, _)| name == "ids")
            .unwrap()
            .1
            .into_owned();
        let ids: Vec<Uuid> = ids.split(',').map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() <= 100, "the product service takes a hundred");
        let (there, missing): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| shelf.products.contains_key(id));
        let data: Vec<_> = there.iter().map(|id| shelf.products[id].clone()).collect();
        let well = ResponseTemplate::new(200).set_body_json(json!({"data": data, "missing": missing}));
        match shelf.mood {
            Mood::Well | Mood::Stumbling(0) => well,
            Mood::Failing => ResponseTemplate::new(500),
            Mood::Babbling => ResponseTemplate::new(200).set_body_string("<html>"),
            Mood::Slow => well.set_delay(Duration::from_secs(5)),
            Mood::Stumbling(left) => {
                shelf.mood = Mood::Stumbling(left - 1);
                ResponseTemplate::new(503)
            }
        }
    }
}
