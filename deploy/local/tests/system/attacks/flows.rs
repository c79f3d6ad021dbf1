//! API6: the shop's own steps, out of order or twice. Idempotency keys where they belong, where they do not, in somebody
//! else's hands, and malformed; prices, refunds and states that a client would like to be other than they are.

use serde_json::{Value, json};

use super::stage::{self, ADJUSTMENT_KEY, CHECKOUT_KEY, ORDER_KEY, REFUND_KEY, Stage, address};
use super::table::Owasp::BusinessFlows;
use super::table::{Attack, Caller};

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [
        keyed(stage),
        replayed(stage),
        others_keys(stage),
        unkeyed(stage),
        states(stage),
    ]
    .concat()
}

fn row(name: impl Into<String>, who: &Caller, method: &'static str, path: impl Into<String>) -> Attack {
    Attack::new(BusinessFlows, name, who, method, path)
}

/// The four routes that take a key, as whoever used it first sent them.
fn routes(stage: &Stage) -> [(Attack, &'static str, Value); 4] {
    let Stage {
        victim,
        merchant,
        tea,
        order,
        ..
    } = stage;
    let refunds = format!("/v1/orders/{order}/refunds");
    let adjustments = format!("/v1/products/{tea}/stock/adjustments");
    [
        (
            row("a checkout", victim, "POST", "/v1/baskets/me/checkout"),
            CHECKOUT_KEY,
            Stage::checkout_body(),
        ),
        (
            row("an order", victim, "POST", "/v1/orders"),
            ORDER_KEY,
            stage.order_body(),
        ),
        (row("a refund", merchant, "POST", refunds), REFUND_KEY, stage::refund()),
        (
            row("an adjustment", merchant, "POST", adjustments),
            ADJUSTMENT_KEY,
            stage::adjustment(),
        ),
    ]
}

/// Keys that are none.
fn keyed(stage: &Stage) -> Vec<Attack> {
    let mut rows = Vec::new();
    for (attack, _, body) in routes(stage) {
        let attack = attack.json(&body);
        rows.push(
            attack
                .clone()
                .named("without a key")
                .refused(400, "idempotency_key_required"),
        );
        for (name, key) in [
            ("with an empty key", Vec::new()),
            ("with a key of 256 characters", vec![b'k'; 256]),
            ("with a key of two words", b"two words".to_vec()),
            ("with a key that is no ASCII", "schlüssel".as_bytes().to_vec()),
        ] {
            let attack = attack.clone().named(name).header("idempotency-key", key);
            rows.push(attack.refused(400, "invalid_idempotency_key"));
        }
        let two = attack.named("with two keys").key("one").key("two");
        rows.push(two.refused(400, "invalid_idempotency_key"));
    }
    rows
}

/// The same again is the first answer again; anything else under the key is refused, with what it belongs to.
fn replayed(stage: &Stage) -> Vec<Attack> {
    let statuses = [202, 201, 201, 200];
    let named = [&stage.checkout, &stage.order, &stage.order, &stage.tea];
    let others = [
        json!({"shipping_address": address(), "payment_token": "pm_card_mastercard"}),
        json!({"customer_id": "me", "items": [{"product_id": stage.tea, "quantity": 3}]}),
        json!({"reason": "another scratch"}),
        json!({"delta": 500, "reason": "delivery"}),
    ];
    let mut rows = Vec::new();
    let whole = routes(stage).into_iter().zip(statuses).zip(named).zip(others);
    for ((((attack, key, body), status), of), other) in whole {
        let again = attack
            .clone()
            .named("again, the basket and the world having moved on")
            .key(key)
            .json(&body);
        let again = again.answered(status).with("idempotent-replayed", "true");
        rows.push(if status == 201 && key == REFUND_KEY {
            again
        } else {
            again.says(of.as_str())
        });
        let other = attack
            .named("under a key that was used for another")
            .key(key)
            .json(&other);
        rows.push(
            other
                .refused(409, "idempotency_key_reused")
                .without("idempotent-replayed"),
        );
    }
    rows
}

/// What a service knows of keys after it was killed: all that it knew before.
pub(crate) fn remembered(stage: &Stage) -> Vec<Attack> {
    let replays = replayed(stage).into_iter();
    replays
        .map(|attack| attack.named("after the services were killed"))
        .collect()
}

/// A key is its caller's: in other hands it is a new one, and what it asks for is judged anew.
fn others_keys(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory,
        admin,
        tea,
        order,
        ..
    } = stage;
    let unsold = json!({"customer_id": "me", "items": [{"product_id": stage.archived, "quantity": 1}]});
    let all = json!({"amount": {"amount_minor": 1_000_000, "currency": "USD"}, "reason": "a scratch"});
    vec![
        row(
            "the key of somebody's checkout",
            mallory,
            "POST",
            "/v1/baskets/me/checkout",
        )
        .key(CHECKOUT_KEY)
        .json(&Stage::checkout_body())
        .refused(409, "basket_empty")
        .never_says(&stage.checkout),
        row("the key of somebody's order", mallory, "POST", "/v1/orders")
            .key(ORDER_KEY)
            .json(&unsold)
            .refused(409, "product_unavailable")
            .never_says(order),
        row(
            "the key of another merchant's refund",
            admin,
            "POST",
            format!("/v1/orders/{order}/refunds"),
        )
        .key(REFUND_KEY)
        .json(&all)
        .refused(409, "refund_too_large"),
        row(
            "the key of another merchant's adjustment",
            admin,
            "POST",
            format!("/v1/products/{tea}/stock/adjustments"),
        )
        .key(ADJUSTMENT_KEY)
        .json(&json!({"delta": -1_000_000, "reason": "delivery"}))
        .refused(409, "below_reserved"),
        row(
            "the key of an order for a checkout",
            &stage.victim,
            "POST",
            "/v1/baskets/me/checkout",
        )
        .key(ORDER_KEY)
        .json(&json!({"shipping_address": address(), "expected_total": {"amount_minor": 1, "currency": "USD"}}))
        .refused(409, "price_changed")
        .never_says(order),
        row(
            "the key of a refund for another order",
            &stage.merchant,
            "POST",
            format!("/v1/orders/{}/refunds", stage.waiting),
        )
        .key(REFUND_KEY)
        .json(&stage::refund())
        .refused(409, "invalid_transition"),
    ]
}

/// Every other route refuses a key, rather than let somebody believe in it.
fn unkeyed(stage: &Stage) -> Vec<Attack> {
    let Stage {
        victim,
        merchant,
        admin,
        nobody,
        tea,
        order,
        waiting,
        guest,
        ..
    } = stage;
    let product = format!("/v1/products/{tea}");
    let basket = format!("/v1/baskets/{guest}");
    let routes: Vec<(&Caller, &'static str, String)> = vec![
        (nobody, "GET", "/v1/products".to_owned()),
        (nobody, "GET", product.clone()),
        (merchant, "POST", "/v1/products".to_owned()),
        (merchant, "PUT", product.clone()),
        (merchant, "PATCH", product.clone()),
        (merchant, "DELETE", product.clone()),
        (merchant, "PUT", format!("{product}/stock")),
        (merchant, "POST", "/v1/products/import".to_owned()),
        (merchant, "GET", "/v1/products/export".to_owned()),
        (nobody, "POST", "/v1/baskets".to_owned()),
        (nobody, "GET", basket.clone()),
        (nobody, "DELETE", basket.clone()),
        (nobody, "POST", format!("{basket}/items")),
        (nobody, "PUT", format!("{basket}/items/{tea}")),
        (nobody, "DELETE", format!("{basket}/items/{tea}")),
        (victim, "POST", "/v1/baskets/me/merge".to_owned()),
        (victim, "GET", format!("/v1/baskets/me/checkouts/{order}")),
        (admin, "POST", "/v1/baskets/admin/dead-letters/redrive".to_owned()),
        (victim, "GET", "/v1/orders?customer_id=me".to_owned()),
        (victim, "GET", format!("/v1/orders/{order}")),
        (victim, "GET", format!("/v1/orders/{order}/events")),
        (victim, "POST", format!("/v1/orders/{waiting}/cancel")),
        (victim, "POST", format!("/v1/orders/{waiting}/payment")),
        (merchant, "POST", format!("/v1/orders/{waiting}/accept")),
        (merchant, "POST", format!("/v1/orders/{waiting}/reject")),
        (merchant, "POST", format!("/v1/orders/{order}/ship")),
        (merchant, "POST", format!("/v1/orders/{order}/deliver")),
        (admin, "GET", "/v1/orders/admin/reconciliation".to_owned()),
        (nobody, "POST", "/webhooks/stripe".to_owned()),
    ];
    let refused = |(who, method, path): (&Caller, &'static str, String)| {
        row("a key where none belongs", who, method, path)
            .key("stray")
            .refused(400, "idempotency_key_unsupported")
    };
    routes.into_iter().map(refused).collect()
}

/// Steps that the state does not allow, and what a client expects of prices.
fn states(stage: &Stage) -> Vec<Attack> {
    let Stage {
        victim,
        merchant,
        mallory,
        order,
        waiting,
        tea,
        ..
    } = stage;
    let of = |name: &str, who: &Caller, path: String, body: Value| {
        row(name, who, "POST", path)
            .json(&body)
            .refused(409, "invalid_transition")
            .says("allowed")
    };
    let lower = json!({"shipping_address": address(), "payment_token": "pm_card_visa", "expected_total": {"amount_minor": 1, "currency": "USD"}});
    vec![
        of(
            "an order is delivered before it ships",
            merchant,
            format!("/v1/orders/{order}/deliver"),
            json!({}),
        ),
        of(
            "an order ships before it is accepted",
            merchant,
            format!("/v1/orders/{waiting}/ship"),
            json!({"carrier": "DHL", "tracking": "1"}),
        ),
        of(
            "an order is accepted after it was confirmed",
            merchant,
            format!("/v1/orders/{order}/reject"),
            json!({"reason": "x"}),
        ),
        // As what is done already is answered, and nothing is taken twice: the payments are compared at the end.
        row(
            "what was paid is paid again",
            victim,
            "POST",
            format!("/v1/orders/{order}/payment"),
        )
        .json(&json!({"payment_token": "pm_card_mastercard"}))
        .answered(200),
        row(
            "what was never paid is refunded",
            merchant,
            "POST",
            format!("/v1/orders/{waiting}/refunds"),
        )
        .key("states")
        .json(&stage::refund())
        .refused(409, "invalid_transition"),
        row("a checkout for a cent", victim, "POST", "/v1/baskets/me/checkout")
            .key("states")
            .json(&lower)
            .refused(409, "price_changed")
            .says("3998"),
        row(
            "a checkout in another currency",
            victim,
            "POST",
            "/v1/baskets/me/checkout",
        )
        .key("states")
        .json(&json!({"shipping_address": address(), "expected_total": {"amount_minor": 3998, "currency": "JPY"}}))
        .refused(409, "price_changed"),
        row("a checkout of nothing", mallory, "POST", "/v1/baskets/me/checkout")
            .key("states")
            .json(&Stage::checkout_body())
            .refused(409, "basket_empty"),
        row(
            "a product is replaced unread",
            merchant,
            "PUT",
            format!("/v1/products/{tea}"),
        )
        .json(&json!({"name": "x", "category": "x", "price": {"amount_minor": 1, "currency": "USD"}}))
        .refused(428, "precondition_required"),
        row(
            "a product is replaced as it was",
            merchant,
            "PUT",
            format!("/v1/products/{tea}"),
        )
        .header("if-match", "\"0.0.0\"")
        .json(&json!({"name": "x", "category": "x", "price": {"amount_minor": 1, "currency": "USD"}}))
        .refused(412, "precondition_failed"),
        row(
            "stock is counted unread",
            merchant,
            "PUT",
            format!("/v1/products/{tea}/stock"),
        )
        .json(&json!({"on_hand": 0}))
        .refused(428, "precondition_required"),
        row("a sku is taken twice", merchant, "POST", "/v1/products")
            .json(&json!({"sku": "tea", "name": "x", "category": "x", "price": {"amount_minor": 1, "currency": "USD"}}))
            .refused(409, "sku_taken"),
        row("a price in another currency", merchant, "POST", "/v1/products")
            .json(&json!({"sku": "yen", "name": "x", "category": "x", "price": {"amount_minor": 1, "currency": "JPY"}}))
            .refused(400, "currency_not_supported"),
    ]
}
