//! Every cut of every workflow of a basket: the process dies at each of its outgoing calls, before the
//! call arrives, after, and with the call arriving when another process has gone on. The customer and
//! the order service ask again, as they do, and the end is always the same.
//!
//! And that this would be noticed if the outbox or a condition were missing.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use deploy_local::EventTap;
use serde_json::{Value, json};
use shared::testing::activity::Pending;
use shared::testing::cuts::Workflow;
use shared::testing::faults::{Faults, Mutation};
use tokio::time::Instant;
use uuid::Uuid;

use crate::harness::{Answer, As, Plan, SOON, Shop, quantities, to_berlin};

/// Upper bound on the time from a request for an order to its answer in the basket. Only a run that fails waits for it:
/// a message that a dead process had received is visible again after 2 s.
const PATIENCE: Duration = Duration::from_secs(60);

const ADA: As<'static> = As::Customer("ada");

/// What the order service answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reply {
    Placed,
    Failed,
    /// Placed, when it has been asked for the second time.
    PlacedLate,
}

/// What is left of a checkout.
#[derive(Debug, PartialEq)]
struct End {
    lines: HashMap<Uuid, u64>,
    /// Where the checkout stands.
    status: Value,
    /// Different events that asked for an order.
    asked: usize,
    /// Whether the same request again is the same checkout.
    replayed: bool,
}

fn plan(faults: &Faults) -> Plan {
    Plan {
        faults: faults.clone(),
        sweeps_on_demand: true,
        ..Plan::default()
    }
    .with("--checkout-retry-s=1")
    .with("--queue-visibility-s=2")
}

/// What a client does: the same request again, for as long as it is told to come again.
async fn until(status: u16, request: impl AsyncFn() -> Answer) -> Answer {
    let deadline = Instant::now() + SOON;
    loop {
        let answer = request().await;
        if answer.status == status {
            return answer;
        }
        answer.refused(503, "unavailable");
        assert!(Instant::now() < deadline, "it never works");
    }
}

/// Does it, and where the process dies meanwhile, does it again with another.
async fn through_a_death<T>(shop: &mut Shop, faults: &Faults, what: impl AsyncFn(&Shop) -> T) -> T {
    let done = tokio::select! {
        () = faults.died() => None,
        done = what(shop) => Some(done),
    };
    match done {
        Some(done) if !faults.is_dead() => done,
        _ => {
            shop.kill();
            shop.start(plan(&faults.successor())).await;
            what(shop).await
        }
    }
}

/// Answers each request for an order that comes, until the basket has the answer. Counts those answered.
///
/// The bus delivers an event before it answers. If the process has published a checkout twice, its queue is empty and no event
/// has arrived, then none will arrive any more: the run fails at once.
async fn order_service(shop: &Shop, tap: &EventTap, reply: Reply, faults: &Faults, answered: &Cell<usize>) {
    let check = async || {
        let item = shop.item("C#ada").await.unwrap();
        if !item.contains_key("under_way") {
            return Ok(());
        }
        let published = faults.answers("PutEvents");
        let events = tap.seen().await.unwrap();
        let requests: Vec<_> = events.iter().filter(|event| event.source == "basket-service").collect();
        let none_will_arrive = published > 1 && requests.is_empty();
        if none_will_arrive {
            shop.drained().await;
        }
        assert!(
            !none_will_arrive,
            "the bus took {published} calls, and no event has arrived"
        );
        let patience = usize::from(reply == Reply::PlacedLate && answered.get() == 0);
        if requests.len() > answered.get() + patience {
            answered.set(requests.len());
            let data = &requests[0].detail["data"];
            let order_id = data["order_id"].as_str().unwrap();
            match reply {
                Reply::Placed | Reply::PlacedLate => shop.answer("OrderPlaced", Shop::placed("ada", order_id)).await,
                Reply::Failed => {
                    let mut failed = Shop::failed("ada", order_id, "declined");
                    failed["lines"] = data["lines"].clone();
                    shop.answer("OrderFailed", failed).await;
                }
            }
        }
        let due_at = item.get("due_at").and_then(|at| at.as_n().ok()?.parse::<i64>().ok());
        Err(Pending::from_item(
            &json!({"answered": answered.get(), "due_at": due_at}),
        ))
    };
    shop.activity.wait_for("answer in the basket", PATIENCE, check).await;
}

/// A checkout from its request to its answer.
async fn checkout(faults: Faults, reply: Reply) -> (End, HashMap<Uuid, u64>) {
    let mut shop = Shop::open_with(plan(&faults)).await;
    let tap = shop.deployment.tap().await.unwrap();
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(100));
    shop.add(ADA, "me", tea, 3).await.expect(200);
    shop.add(ADA, "me", pot, 1).await.expect(200);

    faults.begin();
    let check_out = async |shop: &Shop| until(202, async || shop.check_out(ADA, "key", to_berlin()).await).await;
    let accepted = through_a_death(&mut shop, &faults, check_out).await.body();
    let answered = Cell::new(0);
    let heard = tokio::select! {
        () = faults.died() => false,
        () = async {
            order_service(&shop, &tap, reply, &faults, &answered).await;
            shop.drained().await;
        } => true,
    };
    if !heard || faults.is_dead() {
        shop.kill();
        shop.start(plan(&faults.successor())).await;
        order_service(&shop, &tap, reply, &faults, &answered).await;
    }
    faults.end();
    faults.let_the_late_call_through().await;

    let order_id = accepted["order_id"].as_str().unwrap();
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    let progress = shop
        .get(ADA, &format!("/v1/baskets/me/checkouts/{order_id}"))
        .await
        .expect(200);
    let again = shop.check_out(ADA, "key", to_berlin()).await;
    let events = tap.seen().await.unwrap();
    let asked: BTreeSet<_> = events
        .iter()
        .filter(|event| event.source == "basket-service")
        .map(|event| event.detail.to_string())
        .collect();
    let end = End {
        lines: quantities(&basket),
        status: progress["status"].clone(),
        asked: asked.len(),
        replayed: again.status == 202 && again.body() == accepted,
    };
    (end, HashMap::from([(tea, 3), (pot, 1)]))
}

fn fine(reply: Reply, (end, lines): &(End, HashMap<Uuid, u64>)) -> bool {
    let (left, status) = match reply {
        Reply::Placed | Reply::PlacedLate => (HashMap::new(), "ordered"),
        Reply::Failed => (lines.clone(), "failed"),
    };
    let expected = End {
        lines: left,
        status: json!(status),
        asked: 1,
        replayed: true,
    };
    *end == expected
}

async fn every_cut(name: &'static str, least_calls: usize, reply: Reply) {
    let cuts = Workflow::of(name, least_calls).every_cut(|faults| checkout(faults, reply), |end| fine(reply, end));
    cuts.await.assert_one_end();
}

#[tokio::test]
async fn a_settled_checkout_survives_a_death_at_each_of_its_calls() {
    every_cut("basket, settled", 6, Reply::Placed).await;
}

#[tokio::test]
async fn a_checkout_given_back_survives_a_death_at_each_of_its_calls() {
    every_cut("basket, given back", 6, Reply::Failed).await;
}

#[tokio::test]
async fn a_checkout_asked_for_again_survives_a_death_at_each_of_its_calls() {
    every_cut("basket, asked for again", 9, Reply::PlacedLate).await;
}

/// A guest's basket taken over; the lines of the basket that it went into, and whether it is merged.
async fn merge(faults: Faults) -> (Vec<u64>, Value) {
    let mut shop = Shop::open_with(plan(&faults)).await;
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(100));
    shop.add(ADA, "me", tea, 3).await.expect(200);
    let guest = shop.guest().await;
    shop.add(As::Nobody, &guest, tea, 2).await.expect(200);
    shop.add(As::Nobody, &guest, pot, 1).await.expect(200);

    faults.begin();
    let body = json!({"from": guest, "strategy": "sum"});
    let merge =
        async |shop: &Shop| until(200, async || shop.post(ADA, "/v1/baskets/me/merge", body.clone()).await).await;
    through_a_death(&mut shop, &faults, merge).await;
    faults.end();
    // What the customer does then is not undone by what comes late.
    until(200, async || shop.set(ADA, "me", pot, 4).await).await;
    faults.let_the_late_call_through().await;

    let lines = quantities(&shop.get(ADA, "/v1/baskets/me").await.expect(200));
    let source = shop.get(As::Nobody, &format!("/v1/baskets/{guest}")).await.expect(200);
    (vec![lines[&tea], lines[&pot]], source["state"].clone())
}

#[tokio::test]
async fn a_merge_survives_a_death_at_each_of_its_calls() {
    let merged = (vec![5, 4], json!("merged"));
    let cuts = Workflow::of("basket, merged", 2).every_cut(merge, |end| *end == merged);
    cuts.await.assert_one_end();
}

async fn checkout_is_noticed_without(mutation: Mutation) {
    let workflow = Workflow::of("basket, settled", 6).without(mutation);
    let cuts = workflow.every_cut(|faults| checkout(faults, Reply::Placed), |end| fine(Reply::Placed, end));
    cuts.await.assert_noticed();
}

#[tokio::test]
async fn an_outbox_that_publishes_nothing_would_be_noticed() {
    checkout_is_noticed_without(Mutation::NothingPublished).await;
}

#[tokio::test]
async fn a_checkout_stored_without_its_condition_would_be_noticed() {
    let mutation = Mutation::Unconditional {
        operation: "UpdateItem",
        clause: "",
    };
    checkout_is_noticed_without(mutation).await;
}

#[tokio::test]
async fn a_merge_stored_without_its_conditions_would_be_noticed() {
    let mutation = Mutation::Unconditional {
        operation: "TransactWriteItems",
        clause: "",
    };
    let merged = (vec![5, 4], json!("merged"));
    let cuts = Workflow::of("basket, merged", 2)
        .without(mutation)
        .every_cut(merge, |end| *end == merged);
    cuts.await.assert_noticed();
}
