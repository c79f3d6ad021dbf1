//! What users make of a shop whose answers are written down.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;

/// The answer to the nth such request, from 0; none: the usual one.
type Instead = fn(&str, usize) -> Option<HttpResponse>;

const CHECK_OUT: &str = "POST /v1/baskets/me/checkout";
const LONG: Duration = Duration::from_secs(60);

/// A shop that sells as much tea as anybody wants, unless it is to say something else.
struct Scripted {
    instead: Instead,
    asked: Mutex<Vec<(String, Instant)>>,
}

impl Scripted {
    fn of(instead: Instead) -> Arc<Self> {
        let asked = Mutex::new(Vec::new());
        Arc::new(Self { instead, asked })
    }

    /// When that was asked.
    fn asked(&self, what: &str) -> Vec<Instant> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|(asked, _)| asked == what)
            .map(|(_, when)| *when)
            .collect()
    }

    fn answer(&self, what: &str) -> HttpResponse {
        let nth = self.asked(what).len();
        self.asked.lock().unwrap().push((what.to_owned(), Instant::now()));
        (self.instead)(what, nth).unwrap_or_else(|| self.usual(what))
    }

    fn usual(&self, what: &str) -> HttpResponse {
        let price = json!({"amount_minor": 500, "currency": "USD"});
        let tea = json!([{"product_id": "tea", "quantity": 1}]);
        let order = |number: usize| json!({"id": format!("order-{number}")});
        let sold = self.asked(CHECK_OUT).len();
        let body: Value = match what {
            "GET /v1/products" => json!({"data": [{"id": "tea", "stock": {"in_stock": true}}]}),
            "GET /v1/baskets/me" => json!({"lines": tea, "subtotal": price}),
            CHECK_OUT => json!({"order_id": format!("order-{sold}")}),
            "GET /v1/orders" => json!({"data": (1..=sold).rev().map(order).collect::<Vec<_>>()}),
            order if order.starts_with("GET /v1/orders/") => {
                json!({"status": "confirmed", "items": tea, "total": price})
            }
            _ => json!({}),
        };
        HttpResponse::Ok().json(body)
    }

    /// Has one customer buy there for a moment.
    async fn visited(self: &Arc<Self>) -> Report {
        let shop = Arc::clone(self);
        let server = HttpServer::new(move || {
            let shop = Arc::clone(&shop);
            let answer = move |request: HttpRequest| {
                let answer = shop.answer(&format!("{} {}", request.method(), request.path()));
                async move { answer }
            };
            App::new().default_service(web::to(answer))
        });
        let server = server
            .workers(1)
            .disable_signals()
            .bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        let visit = run(Options {
            url,
            users: Users::Tokens(vec!["a token".to_owned()]),
            duration: Duration::from_millis(500),
            pause: Duration::ZERO,
            rate: Some(1_000),
            payment_token: Some("pm_card_visa".to_owned()),
            seed: 1,
            progress: Progress::Hidden,
        });
        let report = timeout(LONG, visit).await.unwrap().unwrap();
        handle.stop(false).await;
        report
    }
}

fn limited(for_s: u64) -> HttpResponse {
    let mut answer = HttpResponse::TooManyRequests();
    answer.insert_header(("Retry-After", for_s.to_string()));
    answer.json(json!({"code": "rate_limited"}))
}

#[tokio::test]
async fn who_buys_what_there_is_is_content() {
    let report = Scripted::of(|_, _| None).visited().await;
    assert!(report.holds() && report.orders["confirmed"] > 0, "{report}");
    let (all, first) = (report.answers, &report.steps[0]);
    assert!(
        first.latencies.many < all && first.per_second < report.per_second,
        "{report}"
    );
    assert!(
        format!("{report}").contains(" a second (at most 1000), up to 1 at once, 0.0% of them 429\n"),
        "{report}"
    );
}

#[tokio::test]
async fn who_is_told_when_to_come_again_waits_for_so_long_once() {
    let shop = Scripted::of(|what, nth| (what == CHECK_OUT && nth == 0).then(|| limited(2)));
    let report = shop.visited().await;
    assert_eq!((report.limited, report.refusals["check out: 429 rate_limited"]), (1, 1));
    let tries = shop.asked(CHECK_OUT);
    let waited = tries[1] - tries[0];
    assert!((1_900..3_900).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test]
async fn who_is_not_let_in_any_more_does_not_go_on_looking() {
    let shop = Scripted::of(|what, _| {
        let barred = what.starts_with("GET /v1/orders/");
        barred.then(|| HttpResponse::Unauthorized().json(json!({"code": "unauthenticated"})))
    });
    let report = shop.visited().await;
    assert!(!report.holds() && report.orders.contains_key("unseen"), "{report}");
    assert!(
        report.failures["wait for the order: 401 unauthenticated"] > 0,
        "{report}"
    );
    let told = "was unseen when its customer was not let in any more";
    assert!(report.unknown.iter().any(|what| what.contains(told)), "{report}");
}

#[tokio::test]
async fn that_nobody_got_what_they_came_for_is_told_though_nothing_failed() {
    let shop =
        Scripted::of(|what, _| (what == CHECK_OUT).then(|| HttpResponse::Conflict().json(json!({"code": "no"}))));
    let report = shop.visited().await;
    assert!(report.failures.is_empty() && report.wrong.is_empty(), "{report}");
    assert!(!report.holds(), "{report}");
    assert_eq!(report.unknown, ["how an order ends: no order came to its end"]);
}
