//! API8: methods and media types that are none of a route's, requests that could be read in two ways, and what answers give
//! away.

use serde_json::json;

use super::stage::Stage;
use super::table::Owasp::Misconfiguration;
use super::table::{Attack, Caller};

const FRAMING: &str = "bodies are framed by the protocol there, and by nothing that is written in a header";
const BARE: &str =
    "the service's parser has refused it before there is a request to answer, with no more than the status";

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [
        methods(stage),
        media_types(stage),
        codings(stage),
        framings(stage),
        answers(stage),
    ]
    .concat()
}

fn row(name: impl Into<String>, who: &Caller, method: &'static str, path: impl Into<String>) -> Attack {
    Attack::new(Misconfiguration, name, who, method, path)
}

fn methods(stage: &Stage) -> Vec<Attack> {
    let Stage {
        admin,
        nobody,
        tea,
        order,
        ..
    } = stage;
    let mut rows = Vec::new();
    for (method, path, allowed) in [
        ("TRACE", "/v1/orders", "GET, HEAD, POST"),
        ("TRACE", "/v1/products", "GET, HEAD, POST"),
        ("PUT", "/v1/products", "GET, HEAD, POST"),
        ("DELETE", "/v1/orders", "GET, HEAD, POST"),
        ("PATCH", "/v1/baskets/me", "GET, HEAD, DELETE"),
        ("OPTIONS", "/v1/baskets/me", "GET, HEAD, DELETE"),
        ("PROPFIND", "/v1/orders", "GET, HEAD, POST"),
        ("PURGE", "/v1/products", "GET, HEAD, POST"),
        ("GET", "/v1/baskets/me/checkout", "POST"),
    ] {
        let attack = row(format!("{method} where it is none of the methods"), admin, method, path);
        rows.push(attack.refused(405, "method_not_allowed").with("allow", allowed));
    }
    for (method, path) in [("get", "/v1/orders"), ("X", "/v1/baskets/me/checkout")] {
        let attack = row(format!("{method}, which is no method"), admin, method, path);
        let attack = attack.refused(405, "method_not_allowed");
        rows.push(attack.over_http1(400, "invalid_request"));
    }
    rows.extend([
        row("an import is read", admin, "GET", "/v1/products/import").refused(404, "not_found"),
        row("an order is deleted", admin, "DELETE", format!("/v1/orders/{order}"))
            .refused(405, "method_not_allowed")
            .with("allow", "GET, HEAD"),
        row("an order is patched", admin, "PATCH", format!("/v1/orders/{order}"))
            .body("application/merge-patch+json", r#"{"status":"confirmed"}"#)
            .refused(405, "method_not_allowed"),
        row("stock is deleted", admin, "DELETE", format!("/v1/products/{tea}/stock"))
            .refused(405, "method_not_allowed")
            .with("allow", "PUT"),
        row("nobody asks which methods there are", nobody, "OPTIONS", "/v1/orders")
            .refused(401, "unauthenticated")
            .directly(405, "method_not_allowed"),
        row(
            "a page asks whether it may delete",
            nobody,
            "OPTIONS",
            format!("/v1/products/{tea}"),
        )
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "DELETE")
        .refused(401, "unauthenticated")
        .directly(405, "method_not_allowed")
        .without("access-control-allow-origin")
        .without("access-control-allow-methods"),
        row("a page of another origin reads", nobody, "GET", "/v1/products?limit=1")
            .header("origin", "https://evil.example")
            .answered(200)
            .without("access-control-allow-origin")
            .without("access-control-allow-credentials"),
        row("a page of no origin reads", nobody, "GET", "/v1/products?limit=1")
            .header("origin", "null")
            .answered(200)
            .without("access-control-allow-origin"),
        row("a provider's event is fetched", nobody, "GET", "/webhooks/stripe")
            .refused(404, "not_found")
            .directly(405, "method_not_allowed"),
    ]);
    rows
}

fn media_types(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory, merchant, tea, ..
    } = stage;
    let body = json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}]}).to_string();
    let mut rows = Vec::new();
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "text/json",
        "application/jsonp",
        "application/merge-patch+json",
        "application/x-ndjson",
        "application/json, text/plain",
        "*/*",
        "",
    ] {
        let attack = row(format!("an order as {media_type:?}"), mallory, "POST", "/v1/orders").key("media");
        rows.push(
            attack
                .body(media_type, body.clone())
                .refused(415, "unsupported_media_type"),
        );
    }
    let xml = "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&e;</x>";
    rows.extend([
        row("a product with an entity of a file", merchant, "POST", "/v1/products")
            .body("application/xml", xml)
            .refused(415, "unsupported_media_type")
            .never_says("root:"),
        row("a patch as JSON", merchant, "PATCH", format!("/v1/products/{tea}"))
            .header("if-match", "*")
            .json(&json!({}))
            .refused(415, "unsupported_media_type"),
        row(
            "a patch by operations",
            merchant,
            "PATCH",
            format!("/v1/products/{tea}"),
        )
        .header("if-match", "*")
        .body(
            "application/json-patch+json",
            r#"[{"op":"replace","path":"/version","value":1}]"#,
        )
        .refused(415, "unsupported_media_type"),
        row("an import as JSON", merchant, "POST", "/v1/products/import")
            .json(&json!([]))
            .refused(415, "unsupported_media_type"),
    ]);
    rows
}

/// A body is read as it is: nothing is unpacked, so nothing can burst.
fn codings(stage: &Stage) -> Vec<Attack> {
    // `gzip -9` of 10 MiB of spaces begins like this.
    let bomb = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03".to_vec(), vec![0; 10_000]].concat();
    let good = json!({"customer_id": "me", "items": [{"product_id": stage.archived, "quantity": 1}]}).to_string();
    let coded = |name: &str, coding: &str, body: Vec<u8>| {
        row(name, &stage.mallory, "POST", "/v1/orders")
            .key("codings")
            .header("content-encoding", coding)
            .body("application/json", body)
            .refused(415, "unsupported_media_type")
    };
    vec![
        coded("a packed body", "gzip", bomb.clone()),
        coded("a packed body by another coding", "br", bomb.clone()),
        coded("a body packed twice", "gzip, gzip", bomb.clone()),
        coded("a body that says that it is packed", "deflate", good.into_bytes()),
        row("a packed import", &stage.merchant, "POST", "/v1/products/import")
            .header("content-encoding", "gzip")
            .body("application/x-ndjson", bomb)
            .refused(415, "unsupported_media_type"),
    ]
}

/// If two servers in a row saw different requests in the same bytes, one could hide in another.
fn framings(stage: &Stage) -> Vec<Attack> {
    let token = stage.mallory.token.as_deref().unwrap_or_default();
    let post = format!("POST /v1/baskets/me/items HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n");
    let hidden = format!("DELETE /v1/products/{} HTTP/1.1\r\nhost: shop\r\n\r\n", stage.tea);
    let raw = |name: &str, rest: String| {
        let attack = row(name, &stage.mallory, "POST", "/v1/baskets/me/items").raw(format!("{post}{rest}"));
        attack
            .refused(400, "invalid_request")
            .not_over_http2(FRAMING)
            .directly_answered(400)
    };
    vec![
        raw(
            "both lengths",
            format!("content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        raw(
            "both lengths, the other way around",
            format!("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        raw(
            "two lengths",
            format!("content-length: 0\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
        ),
        raw("a length with a sign", "content-length: +4\r\n\r\nabcd".to_owned()),
        raw("a length below nothing", "content-length: -1\r\n\r\n".to_owned()),
        raw("a list of lengths", "content-length: 4, 5\r\n\r\nabcd".to_owned()),
        raw(
            "a length beyond all numbers",
            "content-length: 99999999999999999999\r\n\r\n".to_owned(),
        ),
        raw(
            "another transfer coding",
            "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        raw(
            "chunked, then something else",
            "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        raw(
            "chunked behind a tab",
            format!("transfer-encoding:\tchunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        raw(
            "a chunk size that is none",
            "transfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz\r\n\r\n".to_owned(),
        ),
        raw(
            "a chunk size without end",
            format!(
                "transfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n{}\r\n",
                "f".repeat(20)
            ),
        ),
        raw("a space before the colon", "content-length : 4\r\n\r\nabcd".to_owned()),
        raw("a header without a name", ": 1\r\n\r\n".to_owned()),
        raw("a zero in a header", "x-a: 1\0\r\n\r\n".to_owned()),
        row("a request without a version", &stage.nobody, "GET", "/v1/products")
            .raw("GET /v1/products\r\n\r\n")
            .refused(400, "invalid_request")
            .not_over_http2(FRAMING)
            .directly_answered(400),
        row("a path with a space", &stage.nobody, "GET", "/v1/products")
            .raw("GET /v1/products /internal HTTP/1.1\r\nhost: shop\r\n\r\n")
            .refused(400, "invalid_request")
            .not_over_http2(FRAMING)
            .directly_answered(400),
        row("a tunnel to a service", &stage.nobody, "CONNECT", "product-service:80")
            .raw("CONNECT product-service:80 HTTP/1.1\r\nhost: product-service:80\r\n\r\n")
            .refused(403, "forbidden")
            .not_over_http2("the gateway's own tests hold it")
            .only_through_the_gateway(BARE),
    ]
}

fn answers(stage: &Stage) -> Vec<Attack> {
    let Stage { nobody, mallory, .. } = stage;
    const UPGRADE: &str = "there is no other protocol to go on in there";
    vec![
        row(
            "a connection is to be a web socket",
            nobody,
            "GET",
            "/v1/products?limit=1",
        )
        .header("connection", "upgrade, close")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
        .header("sec-websocket-version", "13")
        .refused(403, "forbidden")
        .not_over_http2(UPGRADE)
        .directly_answered(200),
        row("a connection is to be HTTP/2", nobody, "GET", "/v1/products?limit=1")
            .header("connection", "upgrade, http2-settings, close")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAMAAABkAAQAAP__")
            .answered(200)
            .not_over_http2(UPGRADE),
        row("a trace goes on that is none", nobody, "GET", "/v1/products/missing")
            .header("traceparent", "00-<script>-x-01")
            .refused(404, "not_found")
            .never_says("<script>"),
        row("a path is a script", nobody, "GET", "/v1/products/%3Cscript%3Ealert(1)")
            .refused(404, "not_found")
            .never_says("<script>"),
        row(
            "a parameter is a script",
            nobody,
            "GET",
            "/v1/products?limit=%3Cscript%3E",
        )
        .refused(400, "invalid_request")
        .never_says("<script>"),
        row(
            "a header is broken in two by its value",
            nobody,
            "GET",
            "/v1/products?cursor=x%0d%0aset-cookie:a=b",
        )
        .refused(400, "invalid_cursor")
        .without("set-cookie"),
        row(
            "somebody's page is to be cached",
            mallory,
            "GET",
            format!("/v1/orders/{}/x.css", stage.order),
        )
        .refused(404, "not_found"),
        row(
            "an order is to be cached",
            mallory,
            "GET",
            format!("/v1/orders/{}/.css", stage.order),
        )
        .refused(404, "not_found"),
    ]
}
