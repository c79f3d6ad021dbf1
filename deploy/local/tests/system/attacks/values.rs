//! API4: numbers at and beyond their edges, and texts without end.

use deploy_local::Part;
use serde_json::{Value, json};

use super::consumption::{JSON, items, row};
use super::stage::{Stage, address};
use super::table::Attack;

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [quantities(stage), numbers(stage), texts(stage)].concat()
}

fn quantities(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory, nobody, tea, ..
    } = stage;
    let mut rows = Vec::new();
    for quantity in [
        json!(0),
        json!(-1),
        json!(1000),
        json!(65_537),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.5),
        json!(1.0),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!("1"),
        json!(""),
        json!(true),
        json!(null),
        json!([1]),
        json!({"value": 1}),
    ] {
        let add = row(format!("{quantity} pieces are added"), nobody, "POST", items(stage));
        rows.push(
            add.json(&json!({"product_id": tea, "quantity": quantity}))
                .refused(400, "invalid_request")
                .says("#/quantity"),
        );
        let place = row(format!("{quantity} pieces are ordered"), mallory, "POST", "/v1/orders").key("edges");
        let body = json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": quantity}]});
        rows.push(
            place
                .json(&body)
                .refused(400, "invalid_request")
                .says("#/items/0/quantity"),
        );
    }
    for quantity in [json!(-1), json!(1000), json!(1e3), json!("0"), json!(null)] {
        let set = row(
            format!("{quantity} pieces are set"),
            mallory,
            "PUT",
            format!("/v1/baskets/me/items/{tea}"),
        );
        rows.push(set.json(&json!({"quantity": quantity})).refused(400, "invalid_request"));
    }
    let exact = row("a number between two integers", nobody, "POST", items(stage));
    let exact = exact.body(
        JSON,
        format!(r#"{{"product_id": "{tea}", "quantity": 1.0000000000000000001}}"#),
    );
    rows.push(exact.refused(400, "invalid_request"));
    let large = row("an integer beyond all integers", nobody, "POST", items(stage));
    let large = large.body(
        JSON,
        format!(r#"{{"product_id": "{tea}", "quantity": 18446744073709551616}}"#),
    );
    rows.push(large.refused(400, "invalid_request"));
    let more = row(
        "more of a line than fits beside what is there",
        nobody,
        "POST",
        items(stage),
    );
    rows.push(
        more.json(&json!({"product_id": stage.coffee, "quantity": 997}))
            .refused(409, "quantity_limit"),
    );
    rows
}

fn numbers(stage: &Stage) -> Vec<Attack> {
    let Stage {
        merchant,
        mallory,
        victim,
        tea,
        dear,
        order,
        ..
    } = stage;
    let price = |name: &str, amount: Value| {
        let body =
            json!({"sku": "edges", "name": "x", "category": "x", "price": {"amount_minor": amount, "currency": "USD"}});
        row(name, merchant, "POST", "/v1/products")
            .json(&body)
            .refused(400, "invalid_request")
    };
    let count = |name: &str, on_hand: Value| {
        let count = row(name, merchant, "PUT", format!("/v1/products/{tea}/stock")).header("if-match", "*");
        count.json(&json!({"on_hand": on_hand})).refused(400, "invalid_request")
    };
    let adjust = |name: &str, delta: Value| {
        let adjust = row(name, merchant, "POST", format!("/v1/products/{tea}/stock/adjustments")).key("edges");
        adjust
            .json(&json!({"delta": delta, "reason": "x"}))
            .refused(400, "invalid_request")
    };
    let refund = |name: &str, amount: Value| {
        let refund = row(name, merchant, "POST", format!("/v1/orders/{order}/refunds")).key("edges");
        refund
            .json(&json!({"amount": amount, "reason": "x"}))
            .refused(400, "invalid_request")
    };
    let of = |minor: Value, currency: &str| json!({"amount_minor": minor, "currency": currency});
    let hold = |name: &str, body: Value| {
        let id = "0198c2f3-0000-7000-8000-0000000000ff";
        let hold = row(
            name,
            &stage.stock_service,
            "PUT",
            format!("/internal/v1/reservations/{id}"),
        );
        let hold = hold
            .part(Part::ProductService)
            .json(&body)
            .refused(400, "invalid_request");
        hold.only_directly("the gateway routes none of it, which has rows of its own")
    };
    let line = json!([{"product_id": tea, "quantity": 1}]);
    let dear = json!({"customer_id": "me", "items": [{"product_id": dear, "quantity": 2}]});
    vec![
        price("a negative price", json!(-1)),
        price("the lowest of all prices", json!(i64::MIN)),
        price("a price beyond all prices", json!(u64::MAX)),
        price("a price with a fraction", json!(19.99)),
        price("a price as a text", json!("1999")),
        price("a price of 1e308", json!(1e308)),
        count("a negative count", json!(-1)),
        count("a count beyond all counts", json!(u64::MAX)),
        count("the largest of all counts", json!(i64::MAX)),
        count("half a piece", json!(0.5)),
        adjust("the lowest of all deltas", json!(i64::MIN)),
        adjust("the largest of all deltas", json!(i64::MAX)),
        adjust("a delta of nothing", json!(0)),
        adjust("a delta with a fraction", json!(0.1)),
        refund("a refund of nothing", of(json!(0), "USD")),
        refund("a refund of less than nothing", of(json!(-100), "USD")),
        refund("a refund of the lowest of all amounts", of(json!(i64::MIN), "USD")),
        refund("a refund in another currency", of(json!(1), "EUR")),
        refund("a refund in no currency", of(json!(1), "XXQ")),
        refund("a refund in a currency in small letters", of(json!(1), "usd")),
        refund("a refund as a number", json!(100)),
        row(
            "more is refunded than was paid",
            merchant,
            "POST",
            format!("/v1/orders/{order}/refunds"),
        )
        .key("edges")
        .json(&json!({"amount": of(json!(i64::MAX), "USD"), "reason": "x"}))
        .refused(409, "refund_too_large"),
        row("an order's total overflows", mallory, "POST", "/v1/orders")
            .key("edges")
            .json(&dear)
            .refused(400, "invalid_request")
            .says("amount_too_large"),
        row(
            "an expected total beyond all totals",
            victim,
            "POST",
            "/v1/baskets/me/checkout",
        )
        .key("edges")
        .json(&json!({"shipping_address": address(), "expected_total": of(json!(u64::MAX), "USD")}))
        .refused(400, "invalid_request"),
        hold(
            "stock is held for ever",
            json!({"lines": line, "expires_in_s": i64::MAX}),
        ),
        hold(
            "stock is held for less than no time",
            json!({"lines": line, "expires_in_s": -1}),
        ),
        hold("nothing is held", json!({"lines": [], "expires_in_s": 60})),
        hold(
            "less than nothing is held",
            json!({"lines": [{"product_id": tea, "quantity": -5}], "expires_in_s": 60}),
        ),
    ]
}

fn texts(stage: &Stage) -> Vec<Attack> {
    let Stage {
        merchant,
        mallory,
        victim,
        ..
    } = stage;
    let product = |name: &str, field: &str, value: Value| {
        let mut body =
            json!({"sku": "texts", "name": "x", "category": "x", "price": {"amount_minor": 1, "currency": "USD"}});
        body[field] = value;
        row(name, merchant, "POST", "/v1/products")
            .json(&body)
            .refused(400, "invalid_request")
            .says(format!("#/{field}"))
    };
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("a{n}"), json!("v"))).collect();
    let ship_to = |name: &str, field: &str, value: Value| {
        let mut to = address();
        to[field] = value;
        let body = json!({"shipping_address": to});
        let attack = row(name, victim, "POST", "/v1/baskets/me/checkout")
            .key("texts")
            .json(&body);
        attack
            .refused(400, "invalid_request")
            .says(format!("#/shipping_address/{field}"))
    };
    let token = |name: &str, token: &str| {
        let body =
            json!({"customer_id": "me", "items": [{"product_id": stage.tea, "quantity": 1}], "payment_token": token});
        row(name, mallory, "POST", "/v1/orders")
            .key("texts")
            .json(&body)
            .refused(400, "invalid_request")
            .says("#/payment_token")
    };
    vec![
        product("a name of 201 characters", "name", json!("x".repeat(201))),
        product("a name of spaces", "name", json!("   ")),
        product("a name with a line's end", "name", json!("a\r\nset-cookie: b=c")),
        product("a name with a zero", "name", json!("a\u{0}b")),
        product("a description of 8,193 bytes", "description", json!("x".repeat(8193))),
        product("51 attributes", "attributes", json!(many)),
        product(
            "an attribute's value of 10,000 characters",
            "attributes",
            json!({"a": "v".repeat(10_000)}),
        ),
        product("an attribute that is an object", "attributes", json!({"a": {"b": "c"}})),
        product("a sku of 65 characters", "sku", json!("x".repeat(65))),
        product("a sku that is a path", "sku", json!("../../stock")),
        product("a sku with a table's separator", "sku", json!("PRODUCT#1")),
        product("a category of 101 characters", "category", json!("x".repeat(101))),
        ship_to("an address of 100,000 characters", "line1", json!("x".repeat(100_000))),
        ship_to("an address with control characters", "name", json!("a\u{1b}[2Jb")),
        ship_to("a country that is none", "country", json!("XX")),
        ship_to("a country in small letters", "country", json!("us")),
        token("a payment token of 256 characters", &"x".repeat(256)),
        token("a payment token of nothing", ""),
        token(
            "a payment token with a line's end",
            "pm_card_visa\r\nidempotency-key: x",
        ),
        row(
            "a reason of 10,000 characters",
            victim,
            "POST",
            format!("/v1/orders/{}/cancel", stage.waiting),
        )
        .json(&json!({"reason": "x".repeat(10_000)}))
        .refused(400, "invalid_request"),
    ]
}
