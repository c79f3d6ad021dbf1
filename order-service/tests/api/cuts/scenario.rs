//! One order, its customer and merchant, and processes that die: what a run of a workflow is, and
//! what counts of its end.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use shared::ids::{CustomerId, OrderId};
use shared::testing::activity::{Activity, Pending};
use shared::testing::faults::{Fate, Faults};
use uuid::Uuid;

use crate::harness::{SOON, Service, Shop, customer, merchant};
use crate::products::Stock;

/// How a workflow begins, and what happens beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    /// What pays.
    pub(super) token: &'static str,
    /// Of the ten that there are.
    pub(super) quantity: i64,
    pub(super) settings: &'static [(&'static str, &'static str)],
    pub(super) begins: Begins,
    pub(super) meanwhile: Meanwhile,
    pub(super) others: Others,
    pub(super) bus: Bus,
}

/// What the workflow begins with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begins {
    /// A checkout's event.
    Checkout,
    /// The same, of prices that hold no longer.
    LateCheckout,
    /// `POST /v1/orders`.
    Order,
    /// A request about an order whose status, or payment, has come to that.
    Action(&'static str, Action),
    /// The provider tells what has become of a confirmed order's payment.
    Told,
}

/// Request that changes an existing order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Accept,
    Reject,
    Cancel,
    Ship,
    Deliver,
    /// Of a part of what was paid.
    Refund,
    /// Another token.
    Pay,
}

/// What happens when a process has died.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meanwhile {
    Nothing,
    /// The customer cancels.
    Cancelled,
    /// The product service gives the held stock back.
    HoldExpired,
    /// The customer completes the payment, as soon as they are asked to; the provider tells of it.
    Authenticated,
}

/// Who goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Others {
    /// A process that is started then.
    Later,
    /// One that works on the same table and queue all the time.
    FromTheStart,
}

/// How the bus takes the first events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bus {
    TakesAll,
    /// The call goes well, and the entry does not.
    RefusesAnEntry,
}

/// How an order ended, and what is left of its payment and stock.
#[derive(Debug, PartialEq)]
pub(super) struct End {
    pub(super) status: String,
    /// Whether its last decision has been carried out, and every event published.
    pub(super) settled: bool,
    pub(super) reason: Value,
    /// Status, captured, refunded.
    pub(super) paid: Vec<(&'static str, i64, i64)>,
    pub(super) stock: Stock,
    /// The events by their sequence. One that was published as two different ones stands here twice.
    pub(super) told: Vec<String>,
}

/// Short goes of the process that dies, so that what it leaves is due soon.
const QUICK: [(&str, &str); 1] = [("FAST_PATH_MS", "1500")];
/// Few sweeps beside those at the start of a process and when the test sees that the order is due.
const ON_DEMAND: [(&str, &str); 1] = [("SWEEP_MS", "2000")];
const PRICE: i64 = 500;
const IN_STOCK: i64 = 10;

impl Scenario {
    pub(super) const fn of(begins: Begins) -> Self {
        Self {
            token: "pm_card_visa",
            quantity: 2,
            settings: &[],
            begins,
            meanwhile: Meanwhile::Nothing,
            others: Others::Later,
            bus: Bus::TakesAll,
        }
    }

    /// Runs it in a shop of its own.
    pub(super) async fn run(self, faults: Faults) -> End {
        if self.bus == Bus::RefusesAnEntry {
            let refused = json!({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]});
            faults.on("PutEvents", 1, Fate::Answered(200, refused));
        }
        let shop = Shop::open().await;
        let product = shop.products.add(PRICE, IN_STOCK);
        let run = Run {
            scenario: self,
            checkout: self.checkout(&shop, product),
            shop,
            product,
        };
        let settings = &[&ON_DEMAND, self.settings].concat();
        let quick = [&QUICK, settings.as_slice()].concat();
        let first = run.shop.start_beside(faults.clone(), &quick).await;
        run.prepare(&first).await;
        let beside = match self.others {
            Others::Later => None,
            Others::FromTheStart => Some(run.shop.start_beside(faults.successor(), settings).await),
        };
        faults.begin();
        let (second, ()) = tokio::join!(run.through_a_death(first, beside, &faults, settings), run.customer());
        run.done().await;
        faults.end();
        faults.let_the_late_call_through().await;
        let item = run.shop.settled(run.id()).await;
        drop(second);
        run.end(&item).await
    }

    fn checkout(self, shop: &Shop, product: Uuid) -> Value {
        let mut checkout = shop.checkout(&[(product, self.quantity, PRICE)], Some(self.token));
        if matches!(self.begins, Begins::LateCheckout) {
            checkout["valid_until"] = json!(jiff::Timestamp::now() - Duration::from_secs(1));
        }
        if matches!(self.begins, Begins::Order) {
            let ada: CustomerId = "ada".parse().unwrap();
            checkout["order_id"] = json!(OrderId::derive(&ada, "orders", KEY));
        }
        checkout
    }
}

const KEY: &str = "a-key";

/// What tells a client to come again.
const BUSY: &[u16] = &[408, 503];

/// The first answer that is something else.
async fn until_not(
    again: &[u16],
    activity: &Activity,
    request: impl AsyncFn() -> reqwest::Response,
) -> reqwest::Response {
    let check = async || {
        let answer = request().await;
        if again.contains(&answer.status().as_u16()) {
            Err(Pending::new(answer))
        } else {
            Ok(answer)
        }
    };
    activity.wait_for("answer that is final", SOON, check).await
}

struct Run {
    scenario: Scenario,
    shop: Shop,
    product: Uuid,
    checkout: Value,
}

impl Run {
    fn id(&self) -> &Value {
        &self.checkout["order_id"]
    }

    /// Brings the order to where the workflow begins.
    async fn prepare(&self, service: &Service) {
        if matches!(self.scenario.meanwhile, Meanwhile::Authenticated) {
            self.shop.told_by_provider(&service.url);
        }
        let wanted = match self.scenario.begins {
            Begins::Checkout | Begins::LateCheckout | Begins::Order => return,
            Begins::Action(wanted, _) => wanted,
            Begins::Told => {
                // Nobody takes anything there: it keeps what it has to tell.
                self.shop.told_by_provider("http://127.0.0.1:9");
                "confirmed"
            }
        };
        self.shop.publish(&self.checkout).await;
        self.shop.queue_is_empty().await;
        if wanted == "shipped" {
            self.comes_to("confirmed").await;
            self.act(service, Action::Ship).await;
        }
        self.comes_to(wanted).await;
    }

    /// Waits until the order's status or payment is that, and all of it is told.
    async fn comes_to(&self, wanted: &str) {
        let rests = |item: &Value| {
            let there = item["status"] == wanted || item["payment"]["state"] == wanted;
            let at_rest =
                item["phase"] == "settled" || ["placed", "awaiting_acceptance"].iter().any(|p| item["phase"] == *p);
            there && at_rest && item.get("outbox").is_none()
        };
        self.shop.item_when(self.id(), wanted, rests).await;
    }

    /// Begins the workflow, and where the process dies has another one go on. Comes back with who is
    /// left.
    async fn through_a_death(
        &self,
        first: Service,
        beside: Option<Service>,
        faults: &Faults,
        settings: &[(&str, &str)],
    ) -> Vec<Service> {
        tokio::select! {
            () = faults.died() => {}
            () = async {
                self.trigger(&first).await;
                self.done().await;
                self.shop.queue_is_empty().await;
            } => {}
        }
        if !faults.is_dead() {
            return [Some(first), beside].into_iter().flatten().collect();
        }
        first.kill();
        if matches!(self.scenario.meanwhile, Meanwhile::HoldExpired) {
            self.shop.products.expire(self.id().as_str().unwrap());
        }
        let second = match beside {
            Some(beside) => beside,
            None => self.shop.start_beside(faults.successor(), settings).await,
        };
        if matches!(self.scenario.meanwhile, Meanwhile::Authenticated) {
            self.shop.told_by_provider(&second.url);
        }
        self.trigger_again(&second).await;
        if matches!(self.scenario.meanwhile, Meanwhile::Cancelled) {
            second
                .shows(&customer("ada"), self.id(), |order| order["id"] == *self.id())
                .await;
            self.act(&second, Action::Cancel).await;
        }
        vec![second]
    }

    async fn trigger(&self, service: &Service) {
        match self.scenario.begins {
            Begins::Checkout | Begins::LateCheckout => self.shop.publish(&self.checkout).await,
            Begins::Order => self.order(service).await,
            Begins::Action(_, action) => self.act(service, action).await,
            Begins::Told => self.shop.told_by_provider(&service.url),
        }
    }

    /// What the basket service, or a client that got no answer, does.
    async fn trigger_again(&self, service: &Service) {
        match self.scenario.begins {
            Begins::Checkout | Begins::LateCheckout => self.shop.publish_until_taken(&self.checkout).await,
            Begins::Order | Begins::Action(..) | Begins::Told => self.trigger(service).await,
        }
    }

    /// Waits until nothing is left to do, and what the provider has to tell is known.
    async fn done(&self) {
        let done = |item: &Value| {
            let disputed = item["payment"].get("disputes").is_some();
            item.get("due_at").is_none() && (disputed || !matches!(self.scenario.begins, Begins::Told))
        };
        self.shop.item_when(self.id(), "end of all work", done).await;
    }

    async fn order(&self, service: &Service) {
        let items = json!([{"product_id": self.product, "quantity": self.scenario.quantity}]);
        let body = json!({"customer_id": "me", "items": items, "payment_token": self.scenario.token});
        let request = async || service.try_order(&customer("ada"), KEY, &body).await;
        let answer = until_not(BUSY, &self.shop.activity, request).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 201, "{text}");
        let order: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(order["id"], *self.id());
    }

    async fn act(&self, service: &Service, action: Action) {
        let because = json!({"reason": "no more"});
        let (verb, caller, body) = match action {
            Action::Accept => ("accept", merchant(), None),
            Action::Reject => ("reject", merchant(), Some(because)),
            Action::Cancel => ("cancel", customer("ada"), Some(because)),
            Action::Ship => (
                "ship",
                merchant(),
                Some(json!({"carrier": "DHL", "tracking": "JD0001"})),
            ),
            Action::Deliver => ("deliver", merchant(), None),
            Action::Pay => (
                "payment",
                customer("ada"),
                Some(json!({"payment_token": "pm_card_visa"})),
            ),
            Action::Refund => {
                let part = json!({"amount_minor": 300, "currency": "USD"});
                (
                    "refunds",
                    merchant(),
                    Some(json!({"amount": part, "reason": "scratched"})),
                )
            }
        };
        let path = format!("/v1/orders/{}/{verb}", self.id().as_str().unwrap());
        let request = || {
            let request = service.post(&path, &caller);
            let request = match action {
                Action::Refund => request.header("idempotency-key", KEY),
                Action::Accept | Action::Reject | Action::Cancel | Action::Ship | Action::Deliver | Action::Pay => {
                    request
                }
            };
            match &body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let again = match action {
            // The first try may be with the provider still.
            Action::Refund => &[408, 409, 503],
            Action::Accept | Action::Reject | Action::Cancel | Action::Ship | Action::Deliver | Action::Pay => BUSY,
        };
        let send = async || request().send().await.unwrap();
        let answer = until_not(again, &self.shop.activity, send).await;
        let status = answer.status();
        assert!(status.is_success(), "{verb}: {status} {}", answer.text().await.unwrap());
    }

    /// Completes the payment as soon as the order shows how.
    async fn customer(&self) {
        if !matches!(self.scenario.meanwhile, Meanwhile::Authenticated) {
            return;
        }
        let requested = |item: &Value| item["payment"]["action"]["url"].is_string();
        let item = self
            .shop
            .item_when(self.id(), "request to the customer", requested)
            .await;
        let url = item["payment"]["action"]["url"].as_str().unwrap();
        let answer = self.shop.browse(url, "outcome=complete").await;
        assert!(answer.status().is_success() || answer.status().is_redirection());
    }

    async fn end(&self, item: &Value) -> End {
        let seen = self.shop.tap.seen().await.unwrap();
        let told: BTreeSet<_> = seen
            .into_iter()
            .filter(|event| event.source == "order-service" && event.detail["data"]["order_id"] == *self.id())
            .map(|event| {
                let envelope = &event.detail;
                let sequence = envelope["sequence"].as_u64().unwrap();
                (
                    sequence,
                    event.detail_type,
                    envelope["id"].to_string(),
                    envelope["time"].to_string(),
                )
            })
            .collect();
        End {
            status: item["status"].as_str().unwrap().to_owned(),
            settled: item["phase"] == "settled" && item.get("outbox").is_none(),
            reason: item["reason"].clone(),
            paid: self.shop.paid(self.id()),
            stock: self.shop.products.stock(self.product),
            told: told.into_iter().map(|(_, name, ..)| name).collect(),
        }
    }
}
