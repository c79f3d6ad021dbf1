//! API4: bodies that are too large, too deep or no JSON, and lists, headers and queries without end.

use serde_json::{Value, json};

use super::stage::Stage;
use super::table::Owasp::Consumption;
use super::table::{Attack, Caller};

pub(super) const JSON: &str = "application/json";
const MAX_BODY: usize = 256 * 1024;

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [sizes(stage), syntax(stage), lists(stage), floods(stage)].concat()
}

pub(super) fn row(name: impl Into<String>, who: &Caller, method: &'static str, path: impl Into<String>) -> Attack {
    Attack::new(Consumption, name, who, method, path)
}

pub(super) fn items(stage: &Stage) -> String {
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
