//! API3: fields that are not the client's to set, in every body.

use serde_json::{Value, json};

use super::stage::{Stage, address};
use super::table::Owasp::PropertyLevel;
use super::table::{Attack, Caller};

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [orders(stage), baskets(stage), products(stage), actions(stage)].concat()
}

fn row(name: String, who: &Caller, method: &'static str, path: impl Into<String>) -> Attack {
    Attack::new(PropertyLevel, name, who, method, path)
}

/// `body` with one field more, which the answer has to name.
fn with(body: &Value, field: &str, value: &Value) -> Value {
    let mut body = body.clone();
    body[field] = value.clone();
    body
}

fn money(minor: i64) -> Value {
    json!({"amount_minor": minor, "currency": "USD"})
}

fn orders(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory, tea, order, ..
    } = stage;
    let body =
        json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
    let place = |name: String, body: &Value| {
        row(name, mallory, "POST", "/v1/orders")
            .key("mass")
            .json(body)
            .refused(400, "invalid_request")
    };
    let mut rows = Vec::new();
    for (field, value) in [
        ("id", json!(order)),
        ("total", money(1)),
        ("subtotal", money(1)),
        ("status", json!("confirmed")),
        ("payment", json!({"state": "captured"})),
        ("adjustments", json!([{"kind": "discount", "amount": money(-1999)}])),
        ("version", json!(0)),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("owner", json!(stage.subject)),
        ("timeline", json!([])),
        ("__proto__", json!({"status": "confirmed"})),
    ] {
        rows.push(place(format!("an order says its {field}"), &with(&body, field, &value)).says(format!("#/{field}")));
    }
    for (field, value) in [
        ("price", money(1)),
        ("unit_price", money(1)),
        ("line_total", money(0)),
        ("name", json!("x")),
    ] {
        let item = with(&body["items"][0], field, &value);
        let pointer = format!("#/items/0/{field}");
        rows.push(
            place(
                format!("an ordered item says its {field}"),
                &with(&body, "items", &json!([item])),
            )
            .says(pointer),
        );
    }
    let several = json!({"Customer_id": "me", "items": [], "total": 1, "status": 2});
    rows.push(
        place("several fields are wrong, and each is named".to_owned(), &several)
            .says("#/total")
            .says("#/status")
            .says("#/Customer_id"),
    );
    rows.push(
        place(
            "a card's number is sent for a token".to_owned(),
            &with(&body, "payment_token", &json!("4242424242424242")),
        )
        .never_says("4242424242424242"),
    );
    rows
}

fn baskets(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory,
        nobody,
        tea,
        guest,
        ..
    } = stage;
    let mut rows = Vec::new();
    let checkout = Stage::checkout_body();
    for (field, value) in [
        ("total", money(1)),
        ("lines", json!([])),
        ("order_id", json!(stage.order)),
        ("customer_id", json!(stage.subject)),
        ("status", json!("ORDERED")),
        ("prices", json!({})),
    ] {
        let attack = row(
            format!("a checkout says its {field}"),
            mallory,
            "POST",
            "/v1/baskets/me/checkout",
        )
        .key("mass");
        rows.push(
            attack
                .json(&with(&checkout, field, &value))
                .refused(400, "invalid_request")
                .says(format!("#/{field}")),
        );
    }
    for (field, value) in [
        ("unit_price", money(1)),
        ("price_when_added", money(1)),
        ("name", json!("free")),
        ("status", json!("ORDERED")),
        ("basket_id", json!(stage.subject)),
    ] {
        let body = json!({"product_id": tea, "quantity": 1});
        let attack = row(
            format!("a line says its {field}"),
            nobody,
            "POST",
            format!("/v1/baskets/{guest}/items"),
        );
        rows.push(
            attack
                .json(&with(&body, field, &value))
                .refused(400, "invalid_request")
                .says(format!("#/{field}")),
        );
    }
    let set = row(
        "a quantity comes with a price".to_owned(),
        mallory,
        "PUT",
        format!("/v1/baskets/me/items/{tea}"),
    );
    rows.push(
        set.json(&json!({"quantity": 1, "unit_price": money(1)}))
            .refused(400, "invalid_request")
            .says("#/unit_price"),
    );
    let merge = row(
        "a merge names another target".to_owned(),
        mallory,
        "POST",
        "/v1/baskets/me/merge",
    );
    rows.push(
        merge
            .json(&json!({"from": guest, "into": stage.subject}))
            .refused(400, "invalid_request")
            .says("#/into"),
    );
    let cased = row(
        "a field is written in another case".to_owned(),
        nobody,
        "POST",
        format!("/v1/baskets/{guest}/items"),
    );
    rows.push(
        cased
            .json(&json!({"Product_Id": tea, "quantity": 1}))
            .refused(400, "invalid_request")
            .says("#/Product_Id"),
    );
    let nested = row(
        "an address holds a price".to_owned(),
        mallory,
        "POST",
        "/v1/baskets/me/checkout",
    )
    .key("mass");
    let priced = with(&address(), "total", &money(1));
    rows.push(
        nested
            .json(&with(&checkout, "shipping_address", &priced))
            .refused(400, "invalid_request")
            .says("#/shipping_address/total"),
    );
    rows
}

fn products(stage: &Stage) -> Vec<Attack> {
    let Stage { merchant, tea, .. } = stage;
    let body = json!({"sku": "mass", "name": "Mass", "category": "drinks", "price": money(1)});
    let path = format!("/v1/products/{tea}");
    let mut rows = Vec::new();
    for (field, value) in [
        ("id", json!(tea)),
        ("version", json!(99)),
        ("stock", json!({"available": 5})),
        ("on_hand", json!(5)),
        ("created_at", json!("2020-01-01T00:00:00Z")),
    ] {
        let create = row(format!("a product says its {field}"), merchant, "POST", "/v1/products");
        rows.push(
            create
                .json(&with(&body, field, &value))
                .refused(400, "invalid_request")
                .says(format!("#/{field}")),
        );
        let patch = row(
            format!("a product's {field} is patched"),
            merchant,
            "PATCH",
            path.as_str(),
        )
        .header("if-match", "*");
        let patch = patch.body("application/merge-patch+json", json!({field: value}).to_string());
        rows.push(patch.refused(400, "invalid_request").says(format!("#/{field}")));
    }
    let patch = |name: &str, body: Value| {
        let patch = row(name.to_owned(), merchant, "PATCH", path.as_str()).header("if-match", "*");
        patch
            .body("application/merge-patch+json", body.to_string())
            .refused(400, "invalid_request")
    };
    rows.push(patch("a sku is changed", json!({"sku": "other"})).says("sku_immutable"));
    rows.push(patch("a sku is removed", json!({"sku": null})));
    rows.push(patch("a state is invented", json!({"state": "free"})));
    rows.push(patch("a field that never was is removed", json!({"constructor": null})));
    rows.push(patch("a product is patched by a list", json!([])));
    let stock = |name: &str, body: Value| {
        let count = row(name.to_owned(), merchant, "PUT", format!("{path}/stock")).header("if-match", "*");
        count.json(&body).refused(400, "invalid_request")
    };
    rows.push(stock("what is reserved is counted", json!({"on_hand": 1000, "reserved": 0})).says("#/reserved"));
    rows.push(stock("what is available is counted", json!({"on_hand": 1000, "available": 9})).says("#/available"));
    let adjust = row(
        "an adjustment names its product".to_owned(),
        merchant,
        "POST",
        format!("{path}/stock/adjustments"),
    );
    let adjustment = json!({"delta": 1, "reason": "x", "product_id": stage.coffee});
    rows.push(
        adjust
            .key("mass")
            .json(&adjustment)
            .refused(400, "invalid_request")
            .says("#/product_id"),
    );
    rows
}

fn actions(stage: &Stage) -> Vec<Attack> {
    let Stage {
        victim,
        merchant,
        waiting,
        order,
        ..
    } = stage;
    let of = |name: &str, who: &Caller, action: &str, body: Value| {
        let attack = row(name.to_owned(), who, "POST", format!("/v1/orders/{waiting}/{action}"));
        attack.json(&body).refused(400, "invalid_request")
    };
    let refund = row(
        "a refund says that it is done".to_owned(),
        merchant,
        "POST",
        format!("/v1/orders/{order}/refunds"),
    );
    vec![
        of(
            "a cancellation says its refund",
            victim,
            "cancel",
            json!({"reason": "x", "refund": money(1)}),
        )
        .says("#/refund"),
        of(
            "a cancellation says who asks",
            victim,
            "cancel",
            json!({"reason": "x", "actor": "merchant"}),
        )
        .says("#/actor"),
        of(
            "another token comes with an amount",
            victim,
            "payment",
            json!({"payment_token": "pm_card_visa", "amount": money(1)}),
        )
        .says("#/amount"),
        of(
            "a rejection says its status",
            merchant,
            "reject",
            json!({"reason": "x", "status": "confirmed"}),
        )
        .says("#/status"),
        of(
            "a shipment says when",
            merchant,
            "ship",
            json!({"carrier": "DHL", "tracking": "1", "shipped_at": "2020-01-01T00:00:00Z"}),
        )
        .says("#/shipped_at"),
        refund
            .key("mass")
            .json(&json!({"reason": "x", "state": "done", "id": order}))
            .refused(400, "invalid_request")
            .says("#/state")
            .says("#/id"),
    ]
}
