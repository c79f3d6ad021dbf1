//! Events at the merchant's endpoint.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::Value;

use super::{AUTHORIZE, Shop, until};
use crate::payment_sandbox::{Options, Webhook, signature};

const SECRET: &str = "whsec_test";

/// An endpoint that keeps what it gets, and answers as it is told to: first these statuses, then 200.
struct Endpoint {
    url: String,
    received: Arc<Mutex<Vec<(String, String)>>>,
    server: ServerHandle,
}

impl Endpoint {
    fn open(first: &[u16]) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::from(first.to_vec())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhooks/stripe", listener.local_addr().unwrap());
        let state = web::Data::new((received.clone(), answers));
        let server = HttpServer::new(move || App::new().app_data(state.clone()).default_service(web::to(receive)))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            url,
            received,
            server: handle,
        }
    }

    fn webhook(&self) -> Webhook {
        Webhook {
            url: self.url.clone(),
            secret: SECRET.to_owned(),
        }
    }

    fn events(&self) -> Vec<Value> {
        self.received
            .lock()
            .unwrap()
            .iter()
            .map(|(_, payload)| serde_json::from_str(payload).unwrap())
            .collect()
    }

    fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<_> = self
            .events()
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds
    }

    async fn expect(&self, mut kinds: Vec<&str>) {
        kinds.sort();
        until(&format!("{kinds:?}"), async || self.kinds().len() >= kinds.len()).await;
        assert_eq!(self.kinds(), kinds);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

type Received = (Arc<Mutex<Vec<(String, String)>>>, Arc<Mutex<VecDeque<u16>>>);

async fn receive(request: HttpRequest, payload: String, state: web::Data<Received>) -> HttpResponse {
    let signature = request
        .headers()
        .get("stripe-signature")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    state.0.lock().unwrap().push((signature, payload));
    let status = state.1.lock().unwrap().pop_front().unwrap_or(200);
    HttpResponse::new(StatusCode::from_u16(status).unwrap())
}

#[tokio::test]
async fn every_change_is_told_with_a_signature_that_verifies() {
    let endpoint = Endpoint::open(&[]);
    let shop = Shop::with(Options {
        webhook: Some(endpoint.webhook()),
        ..Options::default()
    });
    let paid = shop.captured().await;
    shop.post("/v1/refunds", &[("payment_intent", paid.rsplit('/').next().unwrap())])
        .await;
    let given_up = shop.authorized().await;
    shop.post(&format!("{given_up}/cancel"), &[]).await;
    shop.pay_by("pm_card_chargeDeclined").await;
    let disputed = super::path_of(&shop.pay_by("pm_card_createDispute").await);
    shop.post(&format!("{disputed}/capture"), &[]).await;
    let dispute = shop.get("/v1/disputes").await.body["data"][0]["id"].clone();
    let dispute = format!("/v1/disputes/{}", dispute.as_str().unwrap());
    shop.post(&dispute, &[("submit", "true")]).await;
    shop.post(&format!("{dispute}/close"), &[]).await;
    shop.pay_by("pm_card_authenticationRequired").await;

    endpoint
        .expect(vec![
            "payment_intent.amount_capturable_updated",
            "payment_intent.succeeded",
            "charge.refunded",
            "payment_intent.amount_capturable_updated",
            "payment_intent.canceled",
            "charge.refunded",
            "payment_intent.payment_failed",
            "payment_intent.amount_capturable_updated",
            "payment_intent.succeeded",
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "payment_intent.requires_action",
        ])
        .await;
    for (header, payload) in endpoint.received.lock().unwrap().iter() {
        let seconds: i64 = header
            .strip_prefix("t=")
            .unwrap()
            .split_once(',')
            .unwrap()
            .0
            .parse()
            .unwrap();
        assert_eq!(*header, signature(SECRET, seconds, payload));
        assert!((jiff::Timestamp::now().as_second() - seconds).abs() < 60);
    }
    for event in endpoint.events() {
        assert_eq!(event["object"], "event");
        let object = &event["data"]["object"];
        let kind = event["type"].as_str().unwrap();
        assert!(
            kind.starts_with(object["object"].as_str().unwrap()) || object["object"] == "dispute",
            "{kind}"
        );
        assert!(
            object["object"] == "dispute" || object["metadata"]["order_id"] == "order-1",
            "{event}"
        );
    }
}

#[test]
fn the_signature_is_the_hmac_of_time_and_payload() {
    // printf '1492774577.{}' | openssl dgst -sha256 -hmac whsec_test
    let expected = "t=1492774577,v1=0d0602f6611bd2252dd4b74b58a4528355a7380639a15e6cc21e3059d56d5b8b";
    assert_eq!(signature(SECRET, 1_492_774_577, "{}"), expected);
}

#[tokio::test]
async fn an_endpoint_that_fails_gets_the_same_event_again() {
    let endpoint = Endpoint::open(&[500, 503]);
    let shop = Shop::open();
    shop.sandbox.deliver_to(endpoint.webhook());
    shop.post_keyed("/v1/payment_intents", AUTHORIZE, "the-key").await;
    until("three tries", async || endpoint.events().len() == 3).await;
    let events = endpoint.events();
    assert!(events.iter().all(|event| *event == events[0]));
    assert_eq!(events[0]["request"]["idempotency_key"], "the-key");
}

/// Else who mends an endpoint waits for what is left of a pause that has grown.
#[tokio::test]
async fn a_new_endpoint_gets_what_the_old_one_did_not_take_at_once() {
    let refusing = Endpoint::open(&[500; 100]);
    let shop = Shop::with(Options {
        webhook: Some(refusing.webhook()),
        ..Options::default()
    });
    shop.authorized().await;
    // The pause after the fifth try is 3.2 s.
    until("five tries", async || refusing.events().len() == 5).await;
    let endpoint = Endpoint::open(&[]);
    shop.sandbox.deliver_to(endpoint.webhook());
    let taken = async || !endpoint.events().is_empty();
    tokio::time::timeout(Duration::from_millis(2_500), until("the event", taken))
        .await
        .expect("it waits for the end of the pause");
}

#[tokio::test]
async fn an_event_that_was_not_delivered_is_sent_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let state = Some(folder.path().join("payments.jsonl"));
    let nobody = Webhook {
        url: "http://127.0.0.1:9/".to_owned(),
        secret: SECRET.to_owned(),
    };
    let shop = Shop::with(Options {
        webhook: Some(nobody),
        state: state.clone(),
        ..Options::default()
    });
    shop.authorized().await;
    shop.sandbox.stop().await;

    let endpoint = Endpoint::open(&[]);
    let again = Options {
        webhook: Some(endpoint.webhook()),
        state: state.clone(),
        ..Options::default()
    };
    let shop = Shop::with(again.clone());
    endpoint.expect(vec!["payment_intent.amount_capturable_updated"]).await;
    until("the event to be settled", async || {
        shop.sandbox.desk.read(|ledger| ledger.undelivered.is_empty())
    })
    .await;
    shop.sandbox.stop().await;

    let shop = Shop::with(again);
    shop.captured().await;
    until("the next events", async || endpoint.kinds().len() >= 3).await;
    assert_eq!(
        endpoint.kinds().len(),
        3,
        "the first was sent a second time: {:?}",
        endpoint.kinds()
    );
}
