//! API5: what only others may do. Customers at merchants' and admins' routes, merchants at admins', services at people's,
//! people at services', and the paths and headers by which one would like to be taken for another.

use deploy_local::Part;
use serde_json::{Value, json};

use super::stage::{Stage, address};
use super::table::Owasp::FunctionLevel;
use super::table::{Attack, Caller};

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [
        merchants(stage),
        admins(stage),
        services(stage),
        internal(stage),
        spelled(stage),
        spoofed(stage),
    ]
    .concat()
}

fn row(name: impl Into<String>, who: &Caller, method: &'static str, path: impl Into<String>) -> Attack {
    Attack::new(FunctionLevel, name, who, method, path)
}

/// For merchants, with bodies that would do.
fn for_merchants(stage: &Stage) -> Vec<(&'static str, String, &'static str, String, Option<&'static str>)> {
    let product = format!("/v1/products/{}", stage.coffee);
    let order = |id: &str, action: &str| format!("/v1/orders/{id}/{action}");
    let body = json!({"sku": "coffee", "name": "Taken", "category": "drinks", "price": {"amount_minor": 1, "currency": "USD"}}).to_string();
    let json = "application/json";
    let because = json!({"reason": "x"}).to_string();
    let shipping = json!({"carrier": "DHL", "tracking": "1"}).to_string();
    vec![
        ("POST", "/v1/products".to_owned(), json, body.clone(), None),
        ("PUT", product.clone(), json, body.clone(), None),
        (
            "PATCH",
            product.clone(),
            "application/merge-patch+json",
            json!({"name": "Taken"}).to_string(),
            None,
        ),
        ("DELETE", product.clone(), json, String::new(), None),
        (
            "PUT",
            format!("{product}/stock"),
            json,
            json!({"on_hand": 0}).to_string(),
            None,
        ),
        (
            "POST",
            format!("{product}/stock/adjustments"),
            json,
            json!({"delta": -1, "reason": "x"}).to_string(),
            Some("theft"),
        ),
        (
            "POST",
            "/v1/products/import".to_owned(),
            "application/x-ndjson",
            body,
            None,
        ),
        ("GET", "/v1/products/export".to_owned(), json, String::new(), None),
        ("POST", order(&stage.waiting, "accept"), json, String::new(), None),
        ("POST", order(&stage.waiting, "reject"), json, because.clone(), None),
        ("POST", order(&stage.order, "ship"), json, shipping, None),
        ("POST", order(&stage.order, "deliver"), json, String::new(), None),
        ("POST", order(&stage.order, "refunds"), json, because, Some("theft")),
    ]
}

fn merchants(stage: &Stage) -> Vec<Attack> {
    let mut rows = Vec::new();
    for (method, path, media_type, body, key) in for_merchants(stage) {
        for (who, status, code) in [
            (&stage.nobody, 401, "unauthenticated"),
            (&stage.victim, 403, "forbidden"),
            (&stage.stock_service, 403, "forbidden"),
        ] {
            let attack = row(format!("{} is merchant", who.name), who, method, path.clone());
            let attack = match key {
                Some(key) => attack.key(key),
                None => attack,
            };
            let attack = attack.header("if-match", "*").body(media_type, body.clone());
            rows.push(attack.refused(status, code));
        }
    }
    for status in ["awaiting_acceptance", "confirmed", "shipped"] {
        let list = row(
            "a customer lists what merchants do",
            &stage.victim,
            "GET",
            format!("/v1/orders?status={status}"),
        );
        rows.push(list.refused(403, "forbidden"));
    }
    rows
}

fn admins(stage: &Stage) -> Vec<Attack> {
    let mut rows = Vec::new();
    for (method, path) in [
        ("GET", "/v1/orders/admin/dead-letters"),
        ("POST", "/v1/orders/admin/dead-letters/redrive"),
        ("GET", "/v1/orders/admin/reconciliation"),
        ("GET", "/v1/baskets/admin/dead-letters"),
        ("POST", "/v1/baskets/admin/dead-letters/redrive"),
    ] {
        for (who, status, code) in [
            (&stage.nobody, 401, "unauthenticated"),
            (&stage.mallory, 403, "forbidden"),
            (&stage.merchant, 403, "forbidden"),
            (&stage.read_service, 403, "forbidden"),
        ] {
            let attack = row(format!("{} is admin", who.name), who, method, path);
            rows.push(
                if method == "POST" {
                    attack.json(&json!({}))
                } else {
                    attack
                }
                .refused(status, code),
            );
        }
    }
    rows
}

/// A service's token opens the internal routes alone.
fn services(stage: &Stage) -> Vec<Attack> {
    let Stage {
        read_service,
        stock_service,
        order,
        ..
    } = stage;
    let forbidden =
        |who: &Caller, method, path: &str| row("a service is a person", who, method, path).refused(403, "forbidden");
    vec![
        forbidden(read_service, "GET", "/v1/orders?customer_id=me"),
        forbidden(read_service, "GET", &format!("/v1/orders/{order}")),
        forbidden(read_service, "GET", &format!("/v1/orders/{order}/events")),
        forbidden(read_service, "GET", "/v1/baskets/me"),
        forbidden(read_service, "GET", &format!("/v1/baskets/{}", stage.guest)),
        forbidden(stock_service, "POST", "/v1/baskets"),
        forbidden(stock_service, "POST", &format!("/v1/orders/{order}/cancel")).json(&json!({"reason": "x"})),
        forbidden(stock_service, "POST", "/v1/orders")
            .key("theft")
            .json(&stage.order_body()),
        forbidden(stock_service, "POST", "/v1/baskets/me/checkout")
            .key("theft")
            .json(&Stage::checkout_body()),
    ]
}

/// Straight to a service, from within the private network.
fn internal(stage: &Stage) -> Vec<Attack> {
    let hold = format!("/internal/v1/reservations/{}", stage.order);
    let lines = json!({"lines": [{"product_id": stage.tea, "quantity": 999}], "expires_in_s": 60});
    let routes: [(&str, String, Option<Value>, Part, &Caller); 6] = [
        (
            "GET",
            "/internal/v1/stock".to_owned(),
            None,
            Part::ProductService,
            &stage.stock_service,
        ),
        (
            "GET",
            "/internal/v1/reservations".to_owned(),
            None,
            Part::ProductService,
            &stage.stock_service,
        ),
        (
            "PUT",
            hold.clone(),
            Some(lines),
            Part::ProductService,
            &stage.read_service,
        ),
        (
            "POST",
            format!("{hold}/commit"),
            None,
            Part::ProductService,
            &stage.read_service,
        ),
        (
            "POST",
            format!("{hold}/release"),
            None,
            Part::ProductService,
            &stage.read_service,
        ),
        (
            "GET",
            "/internal/v1/checkouts".to_owned(),
            None,
            Part::BasketService,
            &stage.stock_service,
        ),
    ];
    let mut rows = Vec::new();
    for (method, path, body, part, other_scope) in routes {
        for (who, status, code) in [
            (&stage.nobody, 401, "unauthenticated"),
            (&stage.mallory, 403, "forbidden"),
            (&stage.merchant, 403, "forbidden"),
            (&stage.admin, 403, "forbidden"),
            (other_scope, 403, "forbidden"),
        ] {
            let attack = row(format!("{} is another service", who.name), who, method, path.clone()).part(part);
            let attack = match &body {
                Some(body) => attack.json(body),
                None => attack,
            };
            rows.push(attack.refused(404, "not_found").directly(status, code));
        }
    }
    rows
}

/// Spellings of paths by which a route's rule would not be found, but the route would.
fn spelled(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory, nobody, order, ..
    } = stage;
    let forbidden =
        |path: String| row("an admin's path in another spelling", mallory, "GET", path).refused(403, "forbidden");
    let ship = |rest: &str| {
        let attack = row(
            "a merchant's path in another spelling",
            mallory,
            "POST",
            format!("/v1/orders/{order}/{rest}"),
        );
        attack.json(&json!({"carrier": "DHL", "tracking": "1"}))
    };
    let export = |path: &str| row("the export in another spelling", nobody, "GET", path);
    vec![
        forbidden("/v1/orders/%61dmin/dead-letters".to_owned()),
        forbidden("/v1/orders//admin/dead-letters".to_owned()).directly(404, "not_found"),
        forbidden("/v1/orders/./admin/dead-letters".to_owned()).directly(404, "not_found"),
        forbidden("/v1/orders/x/../admin/dead-letters".to_owned()).directly(404, "not_found"),
        forbidden("/v1/baskets/me/%2e%2e/admin/dead-letters".to_owned()).directly(404, "not_found"),
        forbidden("/v1/orders/admin/dead-letters?x=/v1/products".to_owned()),
        forbidden("/v1/orders/admin/dead-letters/".to_owned()).directly(404, "not_found"),
        forbidden("/v1/orders/ADMIN/dead-letters".to_owned()).refused(404, "not_found"),
        forbidden("/v1/orders/admin;x=y/dead-letters".to_owned()).refused(404, "not_found"),
        forbidden("/v1/orders/admin%2fdead-letters".to_owned())
            .refused(400, "invalid_request")
            .directly(404, "not_found"),
        forbidden("/v1/orders/admin%5cdead-letters".to_owned())
            .refused(400, "invalid_request")
            .directly(404, "not_found"),
        forbidden("/v1/orders/%2561dmin/dead-letters".to_owned()).refused(404, "not_found"),
        ship("%73hip").refused(403, "forbidden"),
        ship("/ship").refused(403, "forbidden").directly(404, "not_found"),
        ship("./ship").refused(403, "forbidden").directly(404, "not_found"),
        ship("ship?as=customer").refused(403, "forbidden"),
        ship("ship/").refused(404, "not_found"),
        ship("SHIP").refused(404, "not_found"),
        ship("ship;x").refused(404, "not_found"),
        ship("ship%20").refused(404, "not_found"),
        ship("cancel/../ship")
            .refused(403, "forbidden")
            .directly(404, "not_found"),
        export("/v1/products/%65xport").refused(401, "unauthenticated"),
        export("/v1/products//export")
            .refused(401, "unauthenticated")
            .directly(404, "not_found"),
        export("/v1/products/x/../export")
            .refused(401, "unauthenticated")
            .directly(404, "not_found"),
        export("/v1/products/export?with=on_hand").refused(401, "unauthenticated"),
        export("/v1/products/export/").refused(404, "not_found"),
        export("/v1/products/Export").refused(404, "not_found"),
        export("/v1/products/export;x").refused(404, "not_found"),
        row("the export is looked at", nobody, "HEAD", "/v1/products/export").refused(401, "unauthenticated"),
    ]
}

/// Headers that other systems believe.
fn spoofed(stage: &Stage) -> Vec<Attack> {
    let Stage {
        nobody,
        mallory,
        subject,
        ..
    } = stage;
    let mut rows = Vec::new();
    for (header, value) in [
        ("x-user-id", subject.as_str()),
        ("x-user", subject),
        ("x-customer-id", subject),
        ("x-forwarded-user", subject),
        ("x-auth-request-user", subject),
        ("x-amzn-oidc-identity", subject),
        ("x-amzn-oidc-data", "e30.e30.e30"),
        ("x-jwt-payload", "eyJzdWIiOiJhZG1pbiJ9"),
        ("x-authenticated-userid", subject),
        ("remote-user", subject),
        ("x-remote-user", subject),
        ("x_user_id", subject),
        ("x-envoy-external-address", "127.0.0.1"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-client-cert", "Subject=\"CN=order-service\""),
    ] {
        let attack = row(format!("{header} says who it is"), nobody, "GET", "/v1/baskets/me");
        rows.push(
            attack
                .header(header, value)
                .refused(401, "unauthenticated")
                .never_says(subject),
        );
    }
    for (header, value) in [
        ("x-role", "admin"),
        ("x-roles", "admin"),
        ("x-groups", "admin,merchant"),
        ("x-scope", "internal/read"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;by=10.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-envoy-original-path", "/v1/orders?customer_id=me"),
        ("x-original-url", "/v1/orders?customer_id=me"),
        ("x-rewrite-url", "/v1/orders?customer_id=me"),
    ] {
        let attack = row(
            format!("{header} says what may be done"),
            mallory,
            "GET",
            "/v1/orders/admin/dead-letters",
        );
        rows.push(attack.header(header, value).refused(403, "forbidden"));
    }
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let attack = row(
            format!("{header} says DELETE"),
            nobody,
            "GET",
            format!("/v1/products/{}", stage.coffee),
        );
        rows.push(attack.header(header, "DELETE").answered(200).says("coffee"));
    }
    let query = row("the query says DELETE", nobody, "GET", "/v1/products?_method=DELETE");
    rows.push(query.refused(400, "invalid_request"));
    let hosts = row(
        "the host is an internal one",
        mallory,
        "GET",
        "/v1/orders/admin/dead-letters",
    );
    rows.push(hosts.header("host", "order-service.internal").refused(403, "forbidden"));
    let body = json!({"customer_id": "me", "items": [{"product_id": stage.tea, "quantity": 1}], "shipping_address": address(), "roles": ["merchant"]});
    rows.push(
        row("a body says what may be done", mallory, "POST", "/v1/orders")
            .key("theft")
            .json(&body)
            .refused(400, "invalid_request"),
    );
    rows
}
