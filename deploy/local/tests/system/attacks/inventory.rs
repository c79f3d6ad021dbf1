//! API9: routes that are for nobody outside, in every spelling, and those that such systems often have and this one has not.
//!
//! Whoever asks holds a stolen token of a service: were one of these requests to arrive at an internal route, it would be
//! answered. Straight to the service they show that a route has one spelling.

use super::stage::Stage;
use super::table::Attack;
use super::table::Owasp::Inventory;

const URI: &str = "HTTP/2 has no such path";

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [internal(stage), unreadable(stage), old(stage)].concat()
}

fn row(stage: &Stage, path: &str) -> Attack {
    Attack::new(
        Inventory,
        "an internal route in another spelling",
        &stage.read_service,
        "GET",
        path,
    )
}

fn internal(stage: &Stage) -> Vec<Attack> {
    let mut rows: Vec<_> = [
        "/internal/v1/stock",
        "/internal/v1/stock?limit=7",
        "/%69nternal/v1/stock",
    ]
    .map(|path| row(stage, path).refused(404, "not_found").directly_answered(200))
    .into();
    rows.extend(
        [
            "/internal",
            "/internal/",
            "/internal/v1/stock/",
            "//internal/v1/stock",
            "///internal//v1//stock",
            "/./internal/v1/stock",
            "/x/../internal/v1/stock",
            "/v1/../internal/v1/stock",
            "/v1/products/../../internal/v1/stock",
            "/v1/products/..//..//internal/v1/stock",
            "/v1/products/%2e%2e/%2e%2e/internal/v1/stock",
            "/v1/products/.%2E/%2e./internal/v1/stock",
            "/v1/baskets/../../internal/v1/stock",
            "/docs/products/../../internal/v1/stock",
            "/docs/products/%2e%2e/internal/v1/stock",
            "/docs/../internal/v1/stock",
            "/livez/../internal/v1/stock",
            "/webhooks/stripe/../../internal/v1/stock",
            "/INTERNAL/v1/stock",
            "/Internal/v1/stock",
            "/internal/V1/stock",
            "/internal;/v1/stock",
            "/;/internal/v1/stock",
            "/internal./v1/stock",
            "/internal%20/v1/stock",
            "/%2569nternal/v1/stock",
            "/%252e%252e/internal/v1/stock",
            "/v1/internal/v1/stock",
            "/api/internal/v1/stock",
            "/v1/products/..;/internal/v1/stock",
            "/v1/products/....//....//internal/v1/stock",
            "/v1/products/internal/v1/stock",
            "/docs/products/..;/internal/v1/stock",
        ]
        .map(|path| {
            row(stage, path)
                .part(deploy_local::Part::ProductService)
                .refused(404, "not_found")
        }),
    );
    rows
}

/// An escaped slash, a zero, and the like make no path.
fn unreadable(stage: &Stage) -> Vec<Attack> {
    let mut rows: Vec<_> = [
        "/%2finternal/v1/stock",
        "/v1/products/..%2f..%2finternal/v1/stock",
        "/v1/products%2f..%2f..%2finternal",
        "/v1/products/%2e%2e%2f%2e%2e%2finternal/v1/stock",
        "/docs/products/..%2f..%2finternal/v1/stock",
        "/v1/products/..%5c..%5cinternal/v1/stock",
        "/%5cinternal/v1/stock",
        "/%00/internal/v1/stock",
        "/internal%00/v1/stock",
        "/docs/products/..%00/internal/v1/stock",
    ]
    .map(|path| {
        row(stage, path)
            .refused(400, "invalid_request")
            .directly(404, "not_found")
    })
    .into();
    rows.extend(
        [
            "/%c0%af/internal/v1/stock",
            "/v1/products/..\\..\\internal\\v1\\stock",
            "/\\internal/v1/stock",
        ]
        .map(|path| row(stage, path).refused(404, "not_found")),
    );
    let no_path = |path: &str| row(stage, path).not_over_http2(URI);
    rows.extend(
        [
            no_path("http://shop/internal/v1/stock")
                .refused(404, "not_found")
                .directly_answered(200),
            no_path("http://shop//internal/v1/stock").refused(404, "not_found"),
            no_path("http://shop/v1/products/../../internal/v1/stock").refused(404, "not_found"),
            no_path("/internal/v1/stock#/v1/products")
                .refused(400, "invalid_request")
                .directly_answered(200),
            no_path("internal/v1/stock")
                .refused(400, "invalid_request")
                .directly_answered(400),
            no_path("*").refused(400, "invalid_request").directly(404, "not_found"),
        ]
        .map(|attack| attack.not_over_http2(URI)),
    );
    rows
}

fn old(stage: &Stage) -> Vec<Attack> {
    let mut rows: Vec<_> = [
        "/v0/products",
        "/v2/products",
        "/v1",
        "/v1/",
        "/V1/products",
        "/v1/products:batch",
        "/v1/products-old",
        "/api/v1/products",
        "/metrics",
        "/stats",
        "/config_dump",
        "/quitquitquit",
        "/admin",
        "/actuator/env",
        "/debug/pprof/",
        "/graphql",
        "/.env",
        "/.git/config",
        "/server-status",
        "/swagger-ui.html",
        "/webhooks",
        "/webhooks/stripe/test",
        "/webhooks/paypal",
    ]
    .map(|path| {
        Attack::new(Inventory, "a route that is not there", &stage.admin, "GET", path).refused(404, "not_found")
    })
    .into();
    let own = |path: &str| Attack::new(Inventory, "what a service says of itself", &stage.nobody, "GET", path);
    rows.push(own("/openapi.json").refused(404, "not_found").directly_answered(200));
    rows.push(
        own("/docs/products/openapi.json")
            .answered(200)
            .never_says("127.0.0.1")
            .only_through_the_gateway("the gateway maps it to the service's own page"),
    );
    rows
}
