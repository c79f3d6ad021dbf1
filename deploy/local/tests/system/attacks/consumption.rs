//! API4: bodies that are too large, too deep or no JSON, numbers at and beyond their edges, and lists, texts, headers and
//! queries without end.

use deploy_local::Part;
use serde_json::{Value, json};

use super::stage::{Stage, address};
use super::table::Owasp::Consumption;
use super::table::{Attack, Caller};

const JSON: &str = "application/json";
const MAX_BODY: usize = 256 * 1024;

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [
        sizes(stage),
        syntax(stage),
        quantities(stage),
        numbers(stage),
        texts(stage),
        lists(stage),
        floods(stage),
    ]
    .concat()
}

fn row(name: impl Into<String>, who: &Caller, method: &'static str, path: impl Into<String>) -> Attack {
    Attack::new(Consumption, name, who, method, path)
}

fn items(stage: &Stage) -> String {
    format!("/v1/baskets/{}/items", stage.guest)
}

fn sizes(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory,
        merchant,
        nobody,
        tea,
        ..
    } = stage;
    let padding = " ".repeat(MAX_BODY + 1);
    let too_large = |name: &str, who: &Caller, method, path: &str| {
        row(name, who, method, path)
            .body(JSON, padding.clone())
            .refused(413, "body_too_large")
    };
    let chunked = |bytes: usize| {
        let size = format!("{bytes:x}\r\n");
        [size.as_bytes(), " ".repeat(bytes).as_bytes(), b"\r\n0\r\n\r\n"].concat()
    };
    let a_million = |line: &str| line.repeat(1_000_000);
    vec![
        too_large("a large order", mallory, "POST", "/v1/orders").key("large"),
        too_large("a large checkout", mallory, "POST", "/v1/baskets/me/checkout").key("large"),
        too_large("a large line", nobody, "POST", &items(stage)),
        too_large(
            "a large quantity",
            mallory,
            "PUT",
            &format!("/v1/baskets/me/items/{tea}"),
        ),
        too_large("a large product", merchant, "POST", "/v1/products"),
        too_large(
            "a large refund",
            merchant,
            "POST",
            &format!("/v1/orders/{}/refunds", stage.order),
        )
        .key("large"),
        too_large("a large event of the provider", nobody, "POST", "/webhooks/stripe"),
        row("a large patch", merchant, "PATCH", format!("/v1/products/{tea}"))
            .header("if-match", "*")
            .body("application/merge-patch+json", padding.clone())
            .refused(413, "body_too_large"),
        row("a large body that does not say so", mallory, "POST", "/v1/orders")
            .key("large")
            .header("transfer-encoding", "chunked")
            .body(JSON, chunked(MAX_BODY + 1))
            .refused(413, "body_too_large")
            .not_over_http2("bodies have no other form there"),
        row("a million items", mallory, "POST", "/v1/orders")
            .key("large")
            .body(
                JSON,
                format!(r#"{{"customer_id":"me","items":[{}{{}}]}}"#, a_million("{},")),
            )
            .refused(413, "body_too_large"),
        row("a million empty lines", merchant, "POST", "/v1/products/import")
            .body("application/x-ndjson", a_million("\n"))
            .answered(200)
            .says(r#""failed":0,"rows":0"#)
            .patiently(),
        row(
            "a line of an import that is too long",
            merchant,
            "POST",
            "/v1/products/import",
        )
        .body("application/x-ndjson", format!("{}\n{{}}\n", "x".repeat(MAX_BODY + 1)))
        .answered(200)
        .says("line_too_long")
        .says(r#""failed":2"#),
        row(
            "a thousand lines that are no products",
            merchant,
            "POST",
            "/v1/products/import",
        )
        .body("application/x-ndjson", "[[[[{\n".repeat(1000))
        .answered(200)
        .says(r#""failed":1000"#),
    ]
}

fn syntax(stage: &Stage) -> Vec<Attack> {
    let (mallory, nobody, tea) = (&stage.mallory, &stage.nobody, &stage.tea);
    let invalid = |name: &str, body: Vec<u8>| {
        row(name, nobody, "POST", items(stage))
            .body(JSON, body)
            .refused(400, "invalid_json")
    };
    let text = |name: &str, body: String| invalid(name, body.into_bytes());
    let good = json!({"product_id": tea, "quantity": 1}).to_string();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let with_bytes = |bytes: &[u8]| [br#"{"product_id": ""#, bytes, br#"", "quantity": 1}"#].concat();
    vec![
        text("lists in lists", "[".repeat(100_000)),
        text(
            "lists in lists, closed",
            format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        ),
        text("objects in objects", r#"{"a":"#.repeat(40_000)),
        text(
            "lists in a field",
            format!(r#"{{"quantity":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000)),
        ),
        invalid("bytes that are no UTF-8", with_bytes(b"\xff\xfe")),
        invalid("a slash in two bytes", with_bytes(b"\xc0\xaf")),
        invalid("half a character", with_bytes(b"\xe2\x82")),
        text(
            "half of a pair",
            r#"{"product_id": "\ud800", "quantity": 1}"#.to_owned(),
        ),
        invalid("a mark of the byte order", [b"\xef\xbb\xbf", good.as_bytes()].concat()),
        invalid("UTF-16", utf16),
        text(
            "a key given twice",
            format!(r#"{{"product_id": "{tea}", "quantity": 1, "quantity": 999}}"#),
        ),
        text(
            "a key given twice, once escaped",
            format!(r#"{{"product_id": "{tea}", "quantity": 1, "\u0071uantity": 999}}"#),
        ),
        text("two bodies", format!("{good}{good}")),
        text("something after the body", format!("{good},")),
        text("a comment", format!("/* {good} */ {good}")),
        text(
            "a comma too many",
            format!(r#"{{"product_id": "{tea}", "quantity": 1,}}"#),
        ),
        text("single quotes", format!("{{'product_id': '{tea}', 'quantity': 1}}")),
        text("NaN", format!(r#"{{"product_id": "{tea}", "quantity": NaN}}"#)),
        text(
            "Infinity",
            format!(r#"{{"product_id": "{tea}", "quantity": Infinity}}"#),
        ),
        text(
            "a number beyond all floats",
            format!(r#"{{"product_id": "{tea}", "quantity": 1e400}}"#),
        ),
        text(
            "a number in hexadecimal",
            format!(r#"{{"product_id": "{tea}", "quantity": 0x10}}"#),
        ),
        text(
            "a number that begins with nothing",
            format!(r#"{{"product_id": "{tea}", "quantity": 01}}"#),
        ),
        text(
            "a number with a plus",
            format!(r#"{{"product_id": "{tea}", "quantity": +1}}"#),
        ),
        text(
            "a tab in a text",
            format!("{{\"product_id\": \"{tea}\t\", \"quantity\": 1}}"),
        ),
        text("no body", String::new()),
        text("half a body", good[..good.len() / 2].to_owned()),
        row("a key given twice in an order", mallory, "POST", "/v1/orders")
            .key("twice")
            .body(
                JSON,
                format!(
                    r#"{{"customer_id": "me", "customer_id": "{}", "items": []}}"#,
                    stage.subject
                ),
            )
            .refused(400, "invalid_json"),
        row("a key given twice deep inside", mallory, "POST", "/v1/orders")
            .key("twice")
            .body(
                JSON,
                format!(
                    r#"{{"customer_id": "me", "items": [{{"product_id": "{tea}", "quantity": 1, "quantity": 2}}]}}"#
                ),
            )
            .refused(400, "invalid_json"),
        row("an event that is no JSON, unsigned", nobody, "POST", "/webhooks/stripe")
            .body(JSON, "{")
            .refused(400, "invalid_signature"),
    ]
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

fn lists(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory,
        nobody,
        full_guest,
        tea,
        guest,
        ..
    } = stage;
    let invalid = |name: &str, path: String| row(name, nobody, "GET", path).refused(400, "invalid_request");
    let ids = |count: u32| {
        (0..count)
            .map(|n| format!("0198c2f3-0000-7000-8000-{n:012}"))
            .collect::<Vec<_>>()
    };
    let items: Vec<_> = ids(100)
        .into_iter()
        .map(|id| json!({"product_id": id, "quantity": 1}))
        .collect();
    let same: Vec<_> = (0..2000).map(|_| json!({"product_id": tea, "quantity": 1})).collect();
    let mut rows: Vec<_> = [
        "0",
        "101",
        "-1",
        "1e1",
        "1.5",
        "",
        "%20",
        "999999999999999999999",
        "ten",
        "%00",
        "10%0a",
    ]
    .into_iter()
    .map(|limit| invalid(&format!("a page of {limit:?}"), format!("/v1/products?limit={limit}")))
    .collect();
    rows.extend([
        row(
            "a page of 101 orders",
            mallory,
            "GET",
            "/v1/orders?customer_id=me&limit=101",
        )
        .refused(400, "invalid_request"),
        invalid(
            "101 products at once",
            format!("/v1/products?ids={}", ids(101).join(",")),
        ),
        invalid("products by no id", "/v1/products?ids=".to_owned()),
        invalid("a limit given twice", "/v1/products?limit=1&limit=100".to_owned()),
        invalid("a parameter that is none", "/v1/products?debug=true".to_owned()),
        invalid("a table's condition", "/v1/products?filter=price%20%3C%200".to_owned()),
        invalid("a list in brackets", "/v1/products?category[]=drinks".to_owned()),
        invalid(
            "a sort by what is not shown",
            "/v1/products?category=drinks&sort=cost".to_owned(),
        ),
        invalid(
            "what is in stock of everything",
            "/v1/products?in_stock=true".to_owned(),
        ),
        row("100 products in an order", mallory, "POST", "/v1/orders")
            .key("lists")
            .json(&json!({"customer_id": "me", "items": items}))
            .refused(400, "invalid_request")
            .says("too_many_lines"),
        row("2,000 times one product in an order", mallory, "POST", "/v1/orders")
            .key("lists")
            .json(&json!({"customer_id": "me", "items": same}))
            .refused(400, "invalid_request"),
        row("nothing in an order", mallory, "POST", "/v1/orders")
            .key("lists")
            .json(&json!({"customer_id": "me", "items": []}))
            .refused(400, "invalid_request")
            .says("#/items"),
        row(
            "a hundredth product in a basket",
            nobody,
            "POST",
            format!("/v1/baskets/{full_guest}/items"),
        )
        .json(&json!({"product_id": tea, "quantity": 1}))
        .refused(409, "too_many_lines"),
        row(
            "a hundredth product in a basket, set",
            nobody,
            "PUT",
            format!("/v1/baskets/{full_guest}/items/{tea}"),
        )
        .json(&json!({"quantity": 1}))
        .refused(409, "too_many_lines"),
        row(
            "a full basket is merged beside other lines",
            &stage.victim,
            "POST",
            "/v1/baskets/me/merge",
        )
        .json(&json!({"from": full_guest}))
        .refused(409, "too_many_lines"),
        row(
            "a product that is not sold any more",
            nobody,
            "POST",
            format!("/v1/baskets/{guest}/items"),
        )
        .json(&json!({"product_id": stage.archived, "quantity": 1}))
        .refused(409, "product_unavailable"),
        row(
            "a product that never was",
            nobody,
            "POST",
            format!("/v1/baskets/{guest}/items"),
        )
        .json(&json!({"product_id": stage.order, "quantity": 1}))
        .refused(409, "product_unavailable"),
        row("an order of what is not sold any more", mallory, "POST", "/v1/orders")
            .key("lists")
            .json(&json!({"customer_id": "me", "items": [{"product_id": stage.archived, "quantity": 1}]}))
            .refused(409, "product_unavailable"),
    ]);
    rows
}

fn floods(stage: &Stage) -> Vec<Attack> {
    const RESET: &str = "there the stream is reset, which the gateway's own tests hold";
    let Stage { nobody, mallory, .. } = stage;
    let query: String = (0..1500).map(|n| format!("p{n}=1&")).collect();
    let fields: serde_json::Map<String, Value> = (0..5000).map(|n| (format!("f{n}"), json!(n))).collect();
    let mut many = row("110 headers", nobody, "GET", "/v1/products");
    for number in 0..110 {
        many = many.header(&format!("x-{number}"), "1");
    }
    let mut large = row("headers of 48 KiB", nobody, "GET", "/v1/products");
    for number in 0..12 {
        large = large.header(&format!("x-{number}"), "x".repeat(4096));
    }
    vec![
        many.refused(431, "headers_too_large")
            .not_over_http2(RESET)
            .directly_answered(431),
        large
            .refused(431, "headers_too_large")
            .not_over_http2(RESET)
            .directly_answered(200),
        row(
            "a query of 1,500 parameters",
            nobody,
            "GET",
            format!("/v1/products?{query}"),
        )
        .refused(400, "invalid_request"),
        row(
            "a path of 20,000 characters",
            nobody,
            "GET",
            format!("/v1/products/{}", "x".repeat(20_000)),
        )
        .refused(404, "not_found"),
        row(
            "a path of 5,000 segments",
            nobody,
            "GET",
            format!("/v1/products{}", "/x".repeat(5000)),
        )
        .refused(404, "not_found"),
        row("5,000 fields that are none", mallory, "POST", "/v1/orders")
            .key("floods")
            .body(JSON, Value::from(fields).to_string())
            .refused(400, "invalid_request")
            .says("#/f4999"),
        row(
            "a thousand ETags",
            nobody,
            "GET",
            format!("/v1/products/{}", stage.coffee),
        )
        .header("if-none-match", vec!["\"x\""; 1000].join(","))
        .answered(200),
        row("a thousand ranges", nobody, "GET", "/v1/products")
            .header("range", format!("bytes={}", vec!["0-1"; 1000].join(",")))
            .answered(200),
        row(
            "a wait of years",
            mallory,
            "GET",
            format!("/v1/baskets/me/checkouts/{}", stage.order),
        )
        .header("prefer", "wait=18446744073709551616")
        .refused(404, "not_found"),
    ]
}
