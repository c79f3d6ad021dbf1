//! API10: events that pretend to come from the payment provider, and true ones that come late, again, or with lies in them.

use deploy_local::payment_sandbox::signature;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::stage::Stage;
use super::table::Attack;
use super::table::Owasp::UnsafeApis;

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [unsigned(stage), lies(stage)].concat()
}

fn row(stage: &Stage, name: &str, body: &str) -> Attack {
    Attack::new(UnsafeApis, name, &stage.nobody, "POST", "/webhooks/stripe").body("application/json", body)
}

fn event(kind: &str, object: &Value) -> String {
    json!({"id": "evt_attack", "object": "event", "type": kind, "data": {"object": object}}).to_string()
}

fn paid(stage: &Stage, order: &str, amount: i64) -> String {
    let intent = json!({
        "id": stage.intent, "object": "payment_intent", "status": "succeeded", "amount_received": amount,
        "metadata": {"order_id": order},
    });
    event("payment_intent.canceled", &intent)
}

fn unsigned(stage: &Stage) -> Vec<Attack> {
    let now = Timestamp::now().as_second();
    let secret = stage.webhook_secret.as_str();
    let body = paid(stage, &stage.waiting, 3998);
    let good = signature(secret, now, &body);
    let (_, tag) = good.split_once(",v1=").unwrap_or_default();
    let refused = |name: &str, header: &str| {
        row(stage, name, &body)
            .header("stripe-signature", header)
            .refused(400, "invalid_signature")
    };
    vec![
        row(stage, "no signature", &body).refused(400, "invalid_signature"),
        refused("an empty signature", ""),
        refused("a signature under a guess", &signature("whsec_guess", now, &body)),
        refused("a signature under no secret", &signature("", now, &body)),
        refused("a signature of another body", &signature(secret, now, "{}")),
        refused("a signature of ten minutes ago", &signature(secret, now - 600, &body)),
        refused("a signature of a year ago", &signature(secret, now - 31_536_000, &body)),
        refused(
            "a signature of ten minutes from now",
            &signature(secret, now + 600, &body),
        ),
        refused("a true signature with a later time", &format!("t={},v1={tag}", now + 1)),
        refused("a true signature with two times", &format!("t={},{good}", now - 600)),
        refused("a true signature without its time", &format!("v1={tag}")),
        refused("a weaker scheme", &format!("t={now},v0={tag}")),
        refused("a true signature cut short", &good[..good.len() - 2]),
        refused("a signature in capitals", &format!("t={now},v1={}", tag.to_uppercase())),
        refused(
            "a hundred signatures",
            &format!("t={now}{}", format!(",v1={tag}").repeat(100)),
        ),
        refused("a time beyond all times", &signature(secret, i64::MAX, &body)),
        row(stage, "an access token for a signature", &body)
            .header(
                "authorization",
                format!("Bearer {}", stage.admin.token.as_deref().unwrap_or_default()),
            )
            .refused(400, "invalid_signature"),
        row(stage, "a signature in the query", &body)
            .at(&format!("/webhooks/stripe?stripe-signature={good}"))
            .refused(400, "invalid_signature"),
    ]
}

/// Whoever knows the secret, or replays what they heard, still changes nothing that the provider does not confirm.
fn lies(stage: &Stage) -> Vec<Attack> {
    let Stage {
        order, waiting, intent, ..
    } = stage;
    let now = Timestamp::now().as_second();
    let told = |name: &str, body: &str| {
        row(stage, name, body).header("stripe-signature", signature(&stage.webhook_secret, now, body))
    };
    let missing = json!({"id": "pi_missing", "object": "payment_intent", "status": "succeeded", "metadata": {"order_id": waiting}});
    let foreign = json!({"id": "pi_missing", "object": "payment_intent", "metadata": {"order_id": "'; DROP TABLE"}});
    let refunded = json!({"id": "ch_1", "object": "charge", "payment_intent": intent, "amount_refunded": 3998, "metadata": {"order_id": order}});
    let dispute =
        json!({"id": "dp_missing", "object": "dispute", "status": "lost", "payment_intent": intent, "amount": 3998});
    let failed =
        json!({"id": intent, "object": "payment_intent", "status": "canceled", "metadata": {"order_id": order}});
    vec![
        told("an event told again", &paid(stage, order, 3998)).answered(200),
        told("the payment of one order for another", &paid(stage, waiting, 3998)).answered(200),
        told("more was paid than was asked", &paid(stage, order, i64::MAX)).answered(200),
        told("a payment that never was", &event("payment_intent.canceled", &missing)).answered(200),
        told("a payment of no order", &event("payment_intent.canceled", &foreign)).answered(200),
        told("a refund that never was", &event("charge.refunded", &refunded)).answered(200),
        told("a dispute that never was", &event("charge.dispute.created", &dispute)).answered(200),
        told(
            "a payment that was cancelled, and was not",
            &event("payment_intent.canceled", &failed),
        )
        .answered(200),
        told(
            "a kind that nobody waits for",
            &event("account.updated", &json!({"id": "acct_1"})),
        )
        .answered(200),
        told("a payment without an id", &event("payment_intent.canceled", &json!({}))).refused(400, "invalid_event"),
        told(
            "an id that is a path",
            &event("payment_intent.canceled", &json!({"id": "../refunds"})),
        )
        .refused(400, "invalid_event"),
        told("an event that is none", "[]").refused(400, "invalid_event"),
        told("an event that is no JSON", "{\"id\": ")
            .refused(400, "invalid_event")
            .never_says("EOF"),
        told("an event in lists in lists", &"[".repeat(50_000)).refused(400, "invalid_event"),
    ]
}
