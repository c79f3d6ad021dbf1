//! Every cut of every workflow of an order: the process dies at each of its outgoing calls, before the
//! call arrives, after, and with the call arriving when another process has gone on. Always the same
//! end: one order, one payment, the stock right, and each event told, as one.
//!
//! And that this would be noticed if the outbox, a condition or an idempotency key were missing.

mod scenario;

use serde_json::{Value, json};
use shared::testing::cuts::Workflow;
use shared::testing::faults::{Faults, Mutation};

use self::scenario::{Action, Begins, Bus, End, Meanwhile, Others, Scenario};
use crate::products::Stock;
use crate::webhook::SECRETS;

const CHECKOUT: Scenario = Scenario::of(Begins::Checkout);
const ORDER: Scenario = Scenario::of(Begins::Order);
const MANUAL: (&str, &str) = ("ORDER_ACCEPTANCE", "manual");

fn end(status: &str, reason: Value, paid: &[(&'static str, i64, i64)], on_hand: i64, told: &[&str]) -> End {
    End {
        status: status.to_owned(),
        settled: true,
        reason,
        paid: paid.to_vec(),
        stock: Stock { on_hand, reserved: 0 },
        told: told.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn confirmed() -> End {
    let told = ["OrderPlaced", "OrderConfirmed"];
    end("confirmed", Value::Null, &[("succeeded", 1000, 0)], 8, &told)
}

fn failed(reason: &str) -> End {
    end("failed", json!(reason), &[("canceled", 0, 0)], 10, &["OrderFailed"])
}

async fn every_cut(name: &'static str, least_calls: usize, scenario: Scenario, expected: End) {
    let cuts = Workflow::of(name, least_calls).every_cut(|faults| scenario.run(faults), |end| *end == expected);
    cuts.await.assert_one_end();
}

#[tokio::test]
async fn a_checkout_survives_a_death_at_each_of_its_calls() {
    every_cut("checkout, confirmed", 12, CHECKOUT, confirmed()).await;
}

#[tokio::test]
async fn an_order_without_a_basket_survives_a_death_at_each_of_its_calls() {
    every_cut("order, confirmed", 11, ORDER, confirmed()).await;
}

#[tokio::test]
async fn a_death_beside_another_worker_changes_nothing() {
    let beside = Scenario {
        others: Others::FromTheStart,
        ..ORDER
    };
    every_cut("order, beside another worker", 11, beside, confirmed()).await;
}

#[tokio::test]
async fn an_order_for_more_than_there_is_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        quantity: 12,
        ..CHECKOUT
    };
    every_cut("checkout, out of stock", 9, scenario, failed("out_of_stock")).await;
}

#[tokio::test]
async fn a_declined_order_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        token: "pm_card_chargeDeclined",
        ..CHECKOUT
    };
    every_cut("checkout, declined", 11, scenario, failed("declined")).await;
}

#[tokio::test]
async fn a_checkout_that_comes_too_late_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario::of(Begins::LateCheckout);
    let expected = end("failed", json!("expired"), &[], 10, &["OrderFailed"]);
    every_cut("checkout, expired", 4, scenario, expected).await;
}

#[tokio::test]
async fn a_payment_that_needs_its_customer_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        token: "pm_card_authenticationRequired",
        meanwhile: Meanwhile::Authenticated,
        settings: &[SECRETS],
        ..CHECKOUT
    };
    every_cut("checkout, authenticated", 14, scenario, confirmed()).await;
}

#[tokio::test]
async fn a_payment_that_is_never_completed_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        token: "pm_card_authenticationRequired",
        settings: &[("PAYMENT_DEADLINE_S", "1"), ("RETRY_MS", "600")],
        ..CHECKOUT
    };
    every_cut("checkout, payment deadline", 11, scenario, failed("payment_expired")).await;
}

#[tokio::test]
async fn an_accepted_order_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        settings: &[MANUAL],
        ..Scenario::of(Begins::Action("awaiting_acceptance", Action::Accept))
    };
    let told = ["OrderPlaced", "OrderAwaitingAcceptance", "OrderConfirmed"];
    let expected = end("confirmed", Value::Null, &[("succeeded", 1000, 0)], 8, &told);
    every_cut("accept", 6, scenario, expected).await;
}

fn turned_down(reason: &str) -> End {
    let told = ["OrderPlaced", "OrderAwaitingAcceptance", "OrderRejected"];
    end("failed", json!(reason), &[("canceled", 0, 0)], 10, &told)
}

#[tokio::test]
async fn a_rejected_order_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        settings: &[MANUAL],
        ..Scenario::of(Begins::Action("awaiting_acceptance", Action::Reject))
    };
    every_cut("reject", 6, scenario, turned_down("rejected")).await;
}

#[tokio::test]
async fn an_order_that_nobody_accepts_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        settings: &[MANUAL, ("ACCEPTANCE_DEADLINE_S", "1")],
        ..CHECKOUT
    };
    every_cut(
        "checkout, acceptance deadline",
        14,
        scenario,
        turned_down("acceptance_expired"),
    )
    .await;
}

#[tokio::test]
async fn an_order_cancelled_before_anything_was_done_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        settings: &[("ORDER_GRACE_S", "600")],
        ..Scenario::of(Begins::Action("pending", Action::Cancel))
    };
    let told = ["OrderFailed", "OrderCancelled"];
    let expected = end("cancelled", Value::Null, &[("canceled", 0, 0)], 10, &told);
    every_cut("cancel, before confirmation", 7, scenario, expected).await;
}

#[tokio::test]
async fn a_confirmed_order_that_is_cancelled_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario::of(Begins::Action("confirmed", Action::Cancel));
    let told = ["OrderPlaced", "OrderConfirmed", "OrderRefunded", "OrderCancelled"];
    let expected = end("cancelled", Value::Null, &[("succeeded", 1000, 1000)], 10, &told);
    every_cut("cancel, with a refund", 8, scenario, expected).await;
}

#[tokio::test]
async fn a_part_that_is_refunded_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario::of(Begins::Action("confirmed", Action::Refund));
    let told = ["OrderPlaced", "OrderConfirmed", "OrderRefunded"];
    let expected = end("confirmed", Value::Null, &[("succeeded", 1000, 300)], 8, &told);
    every_cut("refund, in part", 5, scenario, expected).await;
}

#[tokio::test]
async fn an_order_that_is_shipped_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario::of(Begins::Action("confirmed", Action::Ship));
    let told = ["OrderPlaced", "OrderConfirmed", "OrderShipped"];
    let expected = end("shipped", Value::Null, &[("succeeded", 1000, 0)], 8, &told);
    every_cut("ship", 4, scenario, expected).await;
}

#[tokio::test]
async fn an_order_that_is_delivered_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario::of(Begins::Action("shipped", Action::Deliver));
    let told = ["OrderPlaced", "OrderConfirmed", "OrderShipped", "OrderDelivered"];
    let expected = end("delivered", Value::Null, &[("succeeded", 1000, 0)], 8, &told);
    every_cut("deliver", 4, scenario, expected).await;
}

#[tokio::test]
async fn another_payment_token_survives_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        token: "pm_card_chargeDeclined",
        settings: &[("PAYMENT_RETRY_S", "600")],
        ..Scenario::of(Begins::Action("declined", Action::Pay))
    };
    every_cut("pay with another token", 8, scenario, confirmed()).await;
}

#[tokio::test]
async fn a_dispute_survives_a_death_at_each_call_that_noting_it_takes() {
    let scenario = Scenario {
        token: "pm_card_createDispute",
        settings: &[SECRETS],
        ..Scenario::of(Begins::Told)
    };
    let told = ["OrderPlaced", "OrderConfirmed", "OrderDisputed"];
    let expected = end("confirmed", Value::Null, &[("succeeded", 1000, 0)], 8, &told);
    every_cut("disputed", 5, scenario, expected).await;
}

#[tokio::test]
async fn an_order_can_be_cancelled_after_a_death_at_each_of_its_calls() {
    let scenario = Scenario {
        meanwhile: Meanwhile::Cancelled,
        ..CHECKOUT
    };
    let fine = |ended: &End| {
        let given_back = matches!(ended.paid.as_slice(), [("canceled", 0, 0) | ("succeeded", 1000, 1000)]);
        let undone = ended.status == "cancelled" && ended.stock == NOTHING_SOLD && given_back;
        // Uncut, nobody cancels.
        ended.settled && (*ended == confirmed() || undone) && answered_once(ended)
    };
    let cuts = Workflow::of("checkout, cancelled at each call", 12);
    cuts.every_cut(|faults| scenario.run(faults), fine)
        .await
        .assert_one_end();
}

#[tokio::test]
async fn an_order_whose_hold_runs_out_after_a_death_is_confirmed_or_undone() {
    let scenario = Scenario {
        meanwhile: Meanwhile::HoldExpired,
        ..CHECKOUT
    };
    let fine = |ended: &End| {
        let undone = ended.settled
            && ended.status == "failed"
            && ended.reason == "expired"
            && ended.paid == [("canceled", 0, 0)]
            && ended.stock == NOTHING_SOLD;
        let told = |name: &str| ended.told.iter().filter(|told| *told == name).count();
        // Where it was placed before the stock was gone, both are told.
        *ended == confirmed() || (undone && told("OrderFailed") == 1 && told("OrderPlaced") <= 1)
    };
    let cuts = Workflow::of("checkout, hold gone at each call", 12);
    cuts.every_cut(|faults| scenario.run(faults), fine)
        .await
        .assert_one_end();
}

const NOTHING_SOLD: Stock = Stock {
    on_hand: 10,
    reserved: 0,
};

/// `OrderPlaced`, or else `OrderFailed`, and not both.
fn answered_once(ended: &End) -> bool {
    let answers = ended
        .told
        .iter()
        .filter(|name| ["OrderPlaced", "OrderFailed"].contains(&name.as_str()));
    answers.count() == 1
}

async fn is_noticed_without(mutation: Mutation, scenario: Scenario, expected: End) {
    let workflow = Workflow::of("checkout, confirmed", 12).without(mutation);
    let cuts = workflow.every_cut(|faults| scenario.run(faults), |end| *end == expected);
    cuts.await.assert_noticed();
}

#[tokio::test]
async fn an_outbox_that_publishes_nothing_would_be_noticed() {
    is_noticed_without(Mutation::NothingPublished, CHECKOUT, confirmed()).await;
}

#[tokio::test]
async fn an_outbox_that_does_not_look_at_each_entry_would_be_noticed() {
    let scenario = Scenario {
        bus: Bus::RefusesAnEntry,
        ..CHECKOUT
    };
    assert_eq!(scenario.run(Faults::none()).await, confirmed());
    is_noticed_without(Mutation::RefusedEntriesTaken, scenario, confirmed()).await;
}

#[tokio::test]
async fn an_order_created_without_its_condition_would_be_noticed() {
    let mutation = Mutation::Unconditional {
        operation: "PutItem",
        clause: "attribute_not_exists",
    };
    is_noticed_without(mutation, CHECKOUT, confirmed()).await;
}

#[tokio::test]
async fn an_order_advanced_without_its_condition_would_be_noticed() {
    let mutation = Mutation::Unconditional {
        operation: "UpdateItem",
        clause: ":decided_from",
    };
    is_noticed_without(mutation, CHECKOUT, confirmed()).await;
}

#[tokio::test]
async fn payments_without_idempotency_keys_would_be_noticed() {
    is_noticed_without(Mutation::Unkeyed, CHECKOUT, confirmed()).await;
}
