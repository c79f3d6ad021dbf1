//! API7: addresses that we would be made to call, and hosts that we would be taken for.

use serde_json::json;

use super::stage::Stage;
use super::table::Attack;
use super::table::Owasp::RequestForgery;

const ONE_LINE: &str = "a request has no other target there than its path";

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [images(stage), targets(stage)].concat()
}

/// Nothing of ours fetches one, but browsers do.
fn images(stage: &Stage) -> Vec<Attack> {
    let urls = [
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "ftp://example.com/a.png",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "//169.254.169.254/latest/meta-data/",
        "http://",
        "jar:http://example.com!/",
    ];
    let refused = |url: &str| {
        let body = json!({
            "sku": "ssrf", "name": "x", "category": "x", "price": {"amount_minor": 1, "currency": "USD"}, "image_url": url,
        });
        Attack::new(
            RequestForgery,
            format!("an image at {url}"),
            &stage.merchant,
            "POST",
            "/v1/products",
        )
        .json(&body)
        .refused(400, "invalid_request")
        .says("#/image_url")
    };
    urls.into_iter().map(refused).collect()
}

fn targets(stage: &Stage) -> Vec<Attack> {
    let row = |name: &str, path: &str| Attack::new(RequestForgery, name, &stage.nobody, "GET", path);
    let elsewhere = |name: &str, path: &str| row(name, path).refused(404, "not_found").not_over_http2(ONE_LINE);
    vec![
        elsewhere(
            "a proxy to the cloud's metadata",
            "http://169.254.169.254/latest/meta-data/",
        ),
        elsewhere("a proxy to an internal route", "http://127.0.0.1/internal/v1/stock")
            .directly(401, "unauthenticated"),
        elsewhere("a proxy to somebody else", "http://example.com/v1/"),
        row("a host that is the cloud's metadata", "/latest/meta-data/")
            .header("host", "169.254.169.254")
            .refused(404, "not_found"),
        row("a host that does not exist", "/v1/products/missing")
            .header("host", "evil.example")
            .refused(404, "not_found")
            .never_says("evil.example"),
        row("a page of a host that does not exist", "/v1/products?limit=1")
            .header("host", "evil.example")
            .answered(200)
            .never_says("evil.example"),
        row("a host by a header", "/v1/products?limit=1")
            .header("x-forwarded-host", "evil.example")
            .answered(200)
            .never_says("evil.example"),
        row("a path by a header", "/v1/products?limit=1")
            .header("x-original-url", "/internal/v1/stock")
            .answered(200)
            .never_says("reserved"),
        row("a prefix by a header", "/v1/products?limit=1")
            .header("x-forwarded-prefix", "//evil.example")
            .answered(200)
            .never_says("evil.example"),
    ]
}
