//! Every cut of every workflow of the catalog and its stock: the process dies at each of its outgoing
//! calls, before the call arrives, after, and with the call arriving when another process has gone on.
//! Whoever asked asks again, and the end is always the same: the stock right, and each event told.
//!
//! And that this would be noticed if the outbox or a condition were missing.

use std::collections::BTreeSet;
use std::time::Duration;

use deploy_local::EventTap;
use reqwest::StatusCode;
use serde_json::json;
use shared::testing::activity::Pending;
use shared::testing::cuts::Workflow;
use shared::testing::faults::{Faults, Mutation};
use tokio::time::Instant;
use uuid::Uuid;

use crate::harness::{Answer, SOON, Shop, tea, with};

/// What is left: the products' stock and documents, and what was told of them.
#[derive(Debug, PartialEq)]
struct End {
    /// On hand, reserved, available.
    stock: Vec<[i64; 3]>,
    /// Name, state and version of each document.
    documents: Vec<(String, String, i64)>,
    /// Different events by name, sorted.
    told: Vec<String>,
}

/// Events that nobody published are due soon.
const QUICK: [&str; 1] = ["--outbox-due-ms=400"];
/// Upper bound on the time until nothing is due. Only a run that fails waits for it: what a sweeper had leased when it died is
/// due again after a second.
const PATIENCE: Duration = Duration::from_secs(60);

struct Run {
    shop: Shop,
    tap: EventTap,
    faults: Faults,
    /// Whether another process has taken over.
    gone_on: bool,
    products: Vec<String>,
}

impl Run {
    /// A shop with these stocks, whose events have been told.
    async fn prepared(faults: Faults, stocks: &[u32]) -> Self {
        let shop = Shop::open_swept_on_demand(faults.clone(), &QUICK).await;
        let mut products = Vec::new();
        for (number, on_hand) in stocks.iter().enumerate() {
            products.push(shop.product(&format!("TEA-{number}"), *on_hand).await);
        }
        nothing_is_due(&shop).await;
        let tap = shop.deployment.tap().await.unwrap();
        Self {
            shop,
            tap,
            faults,
            gone_on: false,
            products,
        }
    }

    /// Asks again and again until it has come true, of another process where the first one dies.
    async fn ask(
        &mut self,
        what: &str,
        request: impl AsyncFn(&Shop) -> Answer,
        done: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let deadline = Instant::now() + SOON;
        loop {
            let answer = tokio::select! {
                () = self.faults.died(), if !self.gone_on => None,
                answer = request(&self.shop) => Some(answer),
            };
            match answer {
                Some(answer) if done(&answer) => return answer,
                Some(answer) => assert_eq!(answer.status, 503, "{what}: {}", answer.text),
                None => self.goes_on().await,
            }
            assert!(Instant::now() < deadline, "{what}: it never comes true");
        }
    }

    /// Waits until nothing is left to do, with another process where the first one dies.
    async fn rest(&mut self) {
        if !self.gone_on {
            let died = tokio::select! {
                () = self.faults.died() => true,
                () = nothing_is_due(&self.shop) => false,
            };
            if died || self.faults.is_dead() {
                self.goes_on().await;
            }
        }
        nothing_is_due(&self.shop).await;
        self.faults.end();
        self.faults.let_the_late_call_through().await;
        nothing_is_due(&self.shop).await;
    }

    async fn goes_on(&mut self) {
        self.shop.kill();
        self.shop.start(&self.faults.successor(), &QUICK).await;
        self.gone_on = true;
    }

    async fn end(&self) -> End {
        let (mut stock, mut documents) = (Vec::new(), Vec::new());
        for id in &self.products {
            let of = self.shop.stock(id).await;
            stock.push(["on_hand", "reserved", "available"].map(|name| of[name].as_i64().unwrap()));
            let shown = self.shop.get(&format!("/v1/products/{id}")).await.json();
            let text = |name: &str| shown[name].as_str().unwrap().to_owned();
            documents.push((text("name"), text("state"), shown["version"].as_i64().unwrap()));
        }
        let seen = self.tap.seen().await.unwrap();
        let told: BTreeSet<_> = seen
            .iter()
            .map(|event| (event.detail_type.clone(), event.detail["id"].to_string()))
            .collect();
        End {
            stock,
            documents,
            told: told.into_iter().map(|(name, _)| name).collect(),
        }
    }
}

/// Waits until no item carries `due_at`.
async fn nothing_is_due(shop: &Shop) {
    let check = async || {
        let request = shop.deployment.dynamodb().scan().consistent_read(true);
        let request = request.table_name(shop.deployment.setting("PRODUCTS_TABLE").unwrap());
        let items = request.send().await.unwrap().items.unwrap_or_default();
        let due: Vec<_> = items.iter().filter_map(|item| item.get("due_at")).collect();
        if due.is_empty() {
            return Ok(());
        }
        let due_at = due.iter().filter_map(|at| at.as_n().ok()?.parse::<i64>().ok()).min();
        Err(Pending::from_item(
            &json!({"due_at": due_at, "items": format!("{items:?}")}),
        ))
    };
    shop.activity.wait_for("end of all work", PATIENCE, check).await;
}

fn is(status: u16) -> impl Fn(&Answer) -> bool {
    move |answer| answer.status == status
}

fn untouched() -> (String, String, i64) {
    ("Earl Grey, 100 g".to_owned(), "active".to_owned(), 1)
}

fn names(told: &[&str]) -> Vec<String> {
    told.iter().map(|name| (*name).to_owned()).collect()
}

async fn every_cut<F>(name: &'static str, least_calls: usize, run: impl Fn(Faults) -> F, expected: End)
where
    F: Future<Output = End> + 'static,
{
    let cuts = Workflow::of(name, least_calls).every_cut(run, |end| *end == expected);
    cuts.await.assert_one_end();
}

/// The order takes the last piece of one product and some of another; it is sold, and comes back.
async fn sale(faults: Faults) -> End {
    let mut run = Run::prepared(faults, &[2, 10]).await;
    run.faults.begin();
    let order = Uuid::new_v4();
    let (tea, cup) = (run.products[0].clone(), run.products[1].clone());
    let hold = async |shop: &Shop| shop.hold(order, &[(&tea, 2), (&cup, 3)]).await;
    run.ask("hold", hold, |answer| answer.status.is_success()).await;
    run.ask("commit", async |shop: &Shop| shop.commit(order).await, is(200))
        .await;
    run.rest().await;
    run.end().await
}

fn sold() -> End {
    End {
        stock: vec![[0, 0, 0], [7, 0, 7]],
        documents: vec![untouched(); 2],
        told: names(&["StockDepleted"]),
    }
}

#[tokio::test]
async fn a_sale_survives_a_death_at_each_of_its_calls() {
    every_cut("product, hold and commit", 5, sale, sold()).await;
}

async fn returned(faults: Faults) -> End {
    let mut run = Run::prepared(faults, &[2, 10]).await;
    let order = Uuid::new_v4();
    let (tea, cup) = (run.products[0].clone(), run.products[1].clone());
    assert_eq!(run.shop.hold(order, &[(&tea, 2), (&cup, 3)]).await.status, 201);
    assert_eq!(run.shop.commit(order).await.status, 200);
    nothing_is_due(&run.shop).await;
    run.faults.begin();
    run.ask("release", async |shop: &Shop| shop.release(order).await, is(200))
        .await;
    run.rest().await;
    run.end().await
}

fn came_back() -> End {
    End {
        stock: vec![[2, 0, 2], [10, 0, 10]],
        documents: vec![untouched(); 2],
        told: names(&["StockAvailable", "StockDepleted"]),
    }
}

#[tokio::test]
async fn stock_that_comes_back_survives_a_death_at_each_of_its_calls() {
    every_cut("product, sold and released", 5, returned, came_back()).await;
}

async fn released(faults: Faults) -> End {
    let mut run = Run::prepared(faults, &[2, 10]).await;
    run.faults.begin();
    let order = Uuid::new_v4();
    let (tea, cup) = (run.products[0].clone(), run.products[1].clone());
    let hold = async |shop: &Shop| shop.hold(order, &[(&tea, 2), (&cup, 3)]).await;
    run.ask("hold", hold, |answer| answer.status.is_success()).await;
    run.ask("release", async |shop: &Shop| shop.release(order).await, is(200))
        .await;
    run.rest().await;
    run.end().await
}

#[tokio::test]
async fn a_hold_that_is_released_survives_a_death_at_each_of_its_calls() {
    every_cut("product, hold and release", 8, released, came_back()).await;
}

async fn expired(faults: Faults) -> End {
    let mut run = Run::prepared(faults, &[2, 10]).await;
    let order = Uuid::new_v4();
    let (tea, cup) = (run.products[0].clone(), run.products[1].clone());
    let held = run.shop.hold_for(order, &[(&tea, 2), (&cup, 3)], 1).await;
    assert_eq!(held.status, 201, "{}", held.text);
    run.faults.begin();
    run.rest().await;
    run.end().await
}

#[tokio::test]
async fn a_hold_that_expires_survives_a_death_at_each_of_its_calls() {
    every_cut("product, hold expired", 5, expired, came_back()).await;
}

async fn changed(faults: Faults) -> End {
    let mut run = Run::prepared(faults, &[]).await;
    run.faults.begin();
    // Who asks again finds the sku taken by what they made themselves.
    let made = |answer: &Answer| [StatusCode::CREATED, StatusCode::CONFLICT].contains(&answer.status);
    run.ask(
        "create",
        async |shop: &Shop| shop.post("/v1/products", &tea("TEA-1")).await,
        made,
    )
    .await;
    let list = async |shop: &Shop| shop.internal("/internal/v1/stock?limit=100").await;
    let listed = run.ask("list", list, is(200)).await.json();
    let id = listed["data"][0]["product_id"].as_str().unwrap().to_owned();
    run.products.push(id.clone());
    let path = format!("/v1/products/{id}");
    let new = json!({"name": "New"});
    run.ask(
        "change",
        async |shop: &Shop| shop.patch(&path, "*", &new).await,
        is(200),
    )
    .await;
    run.ask(
        "archive",
        async |shop: &Shop| shop.delete(&path, "*").await,
        |answer| answer.status.is_success(),
    )
    .await;
    run.rest().await;
    run.end().await
}

fn archived() -> End {
    End {
        stock: vec![[0, 0, 0]],
        documents: vec![("New".to_owned(), "archived".to_owned(), 3)],
        told: names(&["ProductArchived", "ProductChanged", "ProductCreated"]),
    }
}

#[tokio::test]
async fn a_product_created_changed_and_archived_survives_a_death_at_each_of_its_calls() {
    every_cut("product, created, changed, archived", 11, changed, archived()).await;
}

async fn counted(faults: Faults) -> End {
    let mut run = Run::prepared(faults, &[0]).await;
    run.faults.begin();
    let id = run.products[0].clone();
    let path = format!("/v1/products/{id}/stock");
    let read = async |shop: &Shop| shop.get(&format!("/v1/products/{id}")).await;
    let tag = run.ask("read", read, is(200)).await.header("etag").to_owned();
    let five = json!({"on_hand": 5});
    // Who counted and heard nothing finds another version then: their own count.
    let count = |answer: &Answer| [StatusCode::OK, StatusCode::PRECONDITION_FAILED].contains(&answer.status);
    run.ask("count", async |shop: &Shop| shop.put(&path, &tag, &five).await, count)
        .await;
    for (key, delta) in [("out", -5), ("in", 3), ("more", 4)] {
        run.ask(key, async |shop: &Shop| shop.adjust(&id, key, delta).await, is(200))
            .await;
    }
    run.rest().await;
    run.end().await
}

#[tokio::test]
async fn stock_counted_and_adjusted_survives_a_death_at_each_of_its_calls() {
    let expected = End {
        stock: vec![[7, 0, 7]],
        documents: vec![untouched()],
        told: names(&["StockAvailable", "StockAvailable", "StockDepleted"]),
    };
    every_cut("product, counted and adjusted", 11, counted, expected).await;
}

/// Of six rows one is as it was, two change, and three are new; one of them fills stock again.
async fn imported(faults: Faults) -> End {
    let mut run = Run::prepared(faults, &[0, 4, 4]).await;
    run.faults.begin();
    let rows: String = [
        with(tea("TEA-0"), json!({"on_hand": 9})),
        tea("TEA-1"),
        with(tea("TEA-2"), json!({"name": "New"})),
        with(tea("TEA-3"), json!({"on_hand": 1})),
        tea("TEA-4"),
        tea("TEA-5"),
    ]
    .iter()
    .map(|row| format!("{row}\n"))
    .collect();
    let complete = |answer: &Answer| {
        answer.status == 200 && answer.lines().last().is_some_and(|last| last["summary"]["failed"] == 0)
    };
    run.ask("import", async |shop: &Shop| shop.try_import(&rows).await, complete)
        .await;
    run.rest().await;
    let page = run.shop.internal("/internal/v1/stock?limit=100").await.json();
    let ids = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["product_id"].as_str().unwrap().to_owned());
    let (known, mut new): (Vec<_>, Vec<_>) = ids.partition(|id| run.products.contains(id));
    assert_eq!(known.len(), 3);
    run.products.append(&mut new);
    let mut end = run.end().await;
    end.stock[3..].sort_unstable();
    end
}

#[tokio::test]
async fn an_import_sent_again_survives_a_death_at_each_of_its_calls() {
    let changed = |name: &str, version| (name.to_owned(), "active".to_owned(), version);
    let expected = End {
        stock: vec![[9, 0, 9], [4, 0, 4], [4, 0, 4], [0, 0, 0], [0, 0, 0], [1, 0, 1]],
        documents: [vec![untouched(); 2], vec![changed("New", 2)], vec![untouched(); 3]].concat(),
        told: names(&[
            "ProductChanged",
            "ProductCreated",
            "ProductCreated",
            "ProductCreated",
            "StockAvailable",
            "StockAvailable",
        ]),
    };
    every_cut("product, import", 8, imported, expected).await;
}

async fn is_noticed_without<F>(mutation: Mutation, run: impl Fn(Faults) -> F, expected: End)
where
    F: Future<Output = End> + 'static,
{
    let workflow = Workflow::of("product", 5).without(mutation);
    workflow.every_cut(run, |end| *end == expected).await.assert_noticed();
}

#[tokio::test]
async fn an_outbox_that_publishes_nothing_would_be_noticed() {
    is_noticed_without(Mutation::NothingPublished, changed, archived()).await;
}

#[tokio::test]
async fn a_reservation_made_without_its_condition_would_be_noticed() {
    let mutation = Mutation::Unconditional {
        operation: "TransactWriteItems",
        clause: "attribute_not_exists(#pk)",
    };
    is_noticed_without(mutation, sale, sold()).await;
}

#[tokio::test]
async fn a_product_changed_without_its_condition_would_be_noticed() {
    let mutation = Mutation::Unconditional {
        operation: "TransactWriteItems",
        clause: "#version",
    };
    is_noticed_without(mutation, changed, archived()).await;
}
