//! What whole orders cost: the units that each table billed, the events that the bus took, the messages and calls between
//! the services; from the first request to the last write, and nothing that somebody only looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::ledger::Bill;
use super::patience::Session;
use super::shoppers::address;
use super::{Chaos, Report};
use crate::loopback::LOOK_EVERY;

/// Nothing more comes once the wires have been silent for so long; sweeps for nothing do not count.
const SILENCE: Duration = Duration::from_millis(2_500);

/// One workflow's bill.
#[derive(Debug, Clone, Serialize)]
pub struct BillLine {
    /// Which.
    pub workflow: &'static str,
    /// By table: round trips, and read and written units in tenths.
    pub tables: BTreeMap<String, TableBill>,
    /// Events that the bus took, by name.
    pub events: BTreeMap<String, u64>,
    /// Messages that the services received.
    pub messages: u64,
    /// Calls to the product service by the other two.
    pub product_calls: u64,
    /// Calls to the payment provider.
    pub payment_calls: u64,
}

/// What one table billed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableBill {
    /// Calls.
    pub round_trips: u64,
    /// In tenths.
    pub read_tenths: u64,
    /// In tenths.
    pub written_tenths: u64,
}

/// What is bought, how, and how it ends.
struct Workflow {
    name: &'static str,
    way: Way,
    /// Places of the plan's goods, one piece each.
    goods: &'static [usize],
    token: Option<&'static str>,
    /// Cancelled once this event has been told.
    cancelled_after: Option<&'static str>,
    /// The event that is the last.
    end: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Basket,
    Direct,
}

const VISA: Option<&str> = Some("pm_card_visa");
/// Of this good there is none.
const SOLD_OUT: usize = 12;

const WORKFLOWS: [Workflow; 8] = [
    Workflow {
        name: "confirmed, one line",
        way: Way::Basket,
        goods: &[0],
        token: VISA,
        cancelled_after: None,
        end: "OrderConfirmed",
    },
    Workflow {
        name: "confirmed, three lines",
        way: Way::Basket,
        goods: &[0, 1, 2],
        token: VISA,
        cancelled_after: None,
        end: "OrderConfirmed",
    },
    Workflow {
        name: "confirmed, without a basket",
        way: Way::Direct,
        goods: &[0],
        token: VISA,
        cancelled_after: None,
        end: "OrderConfirmed",
    },
    Workflow {
        name: "failed: declined",
        way: Way::Basket,
        goods: &[0],
        token: Some("pm_card_chargeDeclined"),
        cancelled_after: None,
        end: "OrderFailed",
    },
    Workflow {
        name: "failed: out of stock",
        way: Way::Basket,
        goods: &[SOLD_OUT],
        token: VISA,
        cancelled_after: None,
        end: "OrderFailed",
    },
    Workflow {
        name: "confirmed, then cancelled",
        way: Way::Basket,
        goods: &[0],
        token: VISA,
        cancelled_after: Some("OrderConfirmed"),
        end: "OrderCancelled",
    },
    Workflow {
        name: "cancelled while the merchant is asked",
        way: Way::Basket,
        goods: &[0],
        token: None,
        cancelled_after: Some("OrderAwaitingAcceptance"),
        end: "OrderCancelled",
    },
    Workflow {
        name: "the same, without a basket",
        way: Way::Direct,
        goods: &[0],
        token: None,
        cancelled_after: Some("OrderAwaitingAcceptance"),
        end: "OrderCancelled",
    },
];

impl Chaos {
    /// Makes an order of each kind, one after the other, and tells what each cost.
    ///
    /// # Errors
    ///
    /// When one does not end as it should.
    pub async fn measure(&mut self) -> anyhow::Result<Report> {
        self.began = Instant::now();
        for workflow in &WORKFLOWS {
            let bill = self.bill(workflow).await.with_context(|| workflow.name.to_owned())?;
            self.bills.push(BillLine::of(workflow.name, &bill));
        }
        self.took = self.began.elapsed();
        Ok(self.report(vec![]))
    }

    async fn bill(&self, workflow: &Workflow) -> anyhow::Result<Bill> {
        let session = self.sessions.first().context("no customer")?;
        let ids: Vec<_> = workflow
            .goods
            .iter()
            .filter_map(|place| self.shop.goods.get(*place))
            .collect();
        let emptied = session.http().delete(format!("{}/v1/baskets/me", self.shop.gateway));
        session.ask(emptied).await?;
        self.silence().await;
        self.ledger.begin_bill();
        let order = match workflow.way {
            Way::Basket => self.through_basket(session, workflow, &ids).await?,
            Way::Direct => self.directly(session, workflow, &ids).await?,
        };
        if let Some(event) = workflow.cancelled_after {
            self.told(&order, event).await?;
            self.silence().await;
            let cancel = session
                .http()
                .post(format!("{}/v1/orders/{order}/cancel", self.shop.gateway));
            let answer = session.ask(cancel.json(&json!({"reason": "measured"}))).await?;
            ensure!(answer.status.is_success(), "not cancelled: {}", answer.body);
        }
        self.told(&order, workflow.end).await?;
        self.silence().await;
        Ok(self.ledger.end_bill())
    }

    async fn through_basket(&self, session: &Session, workflow: &Workflow, ids: &[&String]) -> anyhow::Result<String> {
        let basket = format!("{}/v1/baskets/me", self.shop.gateway);
        for id in ids {
            let add = session.http().post(format!("{basket}/items"));
            let answer = session.ask(add.json(&json!({"product_id": id, "quantity": 1}))).await?;
            ensure!(answer.status.is_success(), "not added: {}", answer.body);
        }
        let body = with_token(json!({"shipping_address": address()}), workflow.token);
        let request = session.http().post(format!("{basket}/checkout")).json(&body);
        let answer = session
            .ask(request.header("Idempotency-Key", workflow.name.replace(' ', "-")))
            .await?;
        Ok(answer
            .text("/order_id")
            .with_context(|| answer.body.to_string())?
            .to_owned())
    }

    async fn directly(&self, session: &Session, workflow: &Workflow, ids: &[&String]) -> anyhow::Result<String> {
        let items: Vec<_> = ids.iter().map(|id| json!({"product_id": id, "quantity": 1})).collect();
        let body = json!({"customer_id": "me", "items": items, "shipping_address": address()});
        let body = with_token(body, workflow.token);
        let request = session
            .http()
            .post(format!("{}/v1/orders", self.shop.gateway))
            .json(&body);
        let answer = session
            .ask(request.header("Idempotency-Key", workflow.name.replace(' ', "-")))
            .await?;
        Ok(answer.text("/id").with_context(|| answer.body.to_string())?.to_owned())
    }

    /// Waits until the bus has taken this event of the order.
    async fn told(&self, order: &str, event: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            let told = self.ledger.told();
            let of_order = told.get(order);
            if of_order.is_some_and(|events| events.contains_key(event)) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{event} has not been told of {order}, but {of_order:?}"
            );
            sleep(LOOK_EVERY).await;
        }
    }

    async fn silence(&self) {
        while self.ledger.silent_for() < SILENCE {
            sleep(LOOK_EVERY).await;
        }
    }
}

fn with_token(mut body: Value, token: Option<&str>) -> Value {
    if let (Some(token), Some(body)) = (token, body.as_object_mut()) {
        body.insert("payment_token".to_owned(), json!(token));
    }
    body
}

impl BillLine {
    fn of(workflow: &'static str, bill: &Bill) -> Self {
        let calls_to = |start: &str| -> u64 {
            let calls = bill.calls.iter().filter(|(operation, _)| operation.starts_with(start));
            calls.map(|(_, many)| many).sum()
        };
        let mut tables: BTreeMap<String, TableBill> = BTreeMap::new();
        for (operation, many) in &bill.calls {
            if let Some((_, table)) = operation.strip_prefix("DynamoDB").and_then(|rest| rest.split_once(' ')) {
                tables.entry(table.to_owned()).or_default().round_trips += many;
            }
        }
        for (table, units) in &bill.read_tenths {
            tables.entry(table.clone()).or_default().read_tenths += units;
        }
        for (table, units) in &bill.written_tenths {
            tables.entry(table.clone()).or_default().written_tenths += units;
        }
        Self {
            workflow,
            tables,
            events: bill.events.clone(),
            messages: bill.messages,
            product_calls: calls_to("GET /v1/products") + calls_to("PUT /internal") + calls_to("POST /internal"),
            payment_calls: calls_to("POST /v1/payment_intents")
                + calls_to("GET /v1/payment_intents")
                + calls_to("POST /v1/refunds"),
        }
    }

    /// The bills as one table.
    pub(super) fn write_all(bills: &[Self], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: BTreeSet<_> = bills.iter().flat_map(|bill| bill.tables.keys()).collect();
        write!(f, "| workflow |")?;
        for table in &tables {
            write!(f, " {table}: RT, RCU, WCU |")?;
        }
        writeln!(f, " events | messages | product calls | payment calls |")?;
        writeln!(f, "|{}", " --- |".repeat(tables.len() + 5))?;
        for bill in bills {
            write!(f, "| {} |", bill.workflow)?;
            for table in &tables {
                let of = bill.tables.get(*table).cloned().unwrap_or_default();
                write!(
                    f,
                    " {}, {}, {} |",
                    of.round_trips,
                    units(of.read_tenths),
                    units(of.written_tenths)
                )?;
            }
            let events: u64 = bill.events.values().sum();
            writeln!(
                f,
                " {events} | {} | {} | {} |",
                bill.messages, bill.product_calls, bill.payment_calls
            )?;
        }
        Ok(())
    }
}

fn units(tenths: u64) -> String {
    match (tenths / 10, tenths % 10) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part}"),
    }
}
