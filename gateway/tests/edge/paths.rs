//! Which paths lead where, in every spelling.

use serde_json::json;
use shared::testing::Issuer;

use crate::harness::{Edge, problem};

#[tokio::test]
async fn each_prefix_leads_to_its_service_and_no_other_path_to_any() {
    let edge = Edge::start().await;
    let token = Issuer::shared().admin();
    for (path, service, arrives_as) in [
        ("/v1/products?limit=2", "products", "/v1/products?limit=2"),
        ("/v1/baskets/me", "baskets", "/v1/baskets/me"),
        ("/v1/orders/1", "orders", "/v1/orders/1"),
        ("/docs/products/", "products", "/docs/"),
        ("/docs/baskets/swagger-ui.css", "baskets", "/docs/swagger-ui.css"),
        ("/docs/orders/openapi.json", "orders", "/docs/openapi.json"),
    ] {
        let answer: serde_json::Value = edge
            .get(path)
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(
            (&answer["service"], &answer["path"]),
            (&json!(service), &json!(arrives_as)),
            "{path}"
        );
    }
    let so_far = edge.reached_services();
    for path in [
        "/v1",
        "/v1/",
        "/v1/products-evil",
        "/v1/products:x",
        "/V1/products",
        "/v2/products",
        "/docs/",
        "/webhooks",
        "/webhooks/stripe",
        "/webhooks/stripe/x",
        "/metrics",
        "/openapi.json",
        "/stats",
        "/config_dump",
    ] {
        let unknown = problem(edge.get(path).send().await.unwrap()).await;
        assert_eq!(
            (unknown.status, &unknown.body["code"]),
            (404, &json!("not_found")),
            "{path}"
        );
    }
    assert_eq!(edge.reached_services(), so_far);
}

#[tokio::test]
async fn internal_routes_are_unreachable_in_any_spelling() {
    let edge = Edge::start().await;
    for path in [
        "/internal",
        "/internal/v1/stock",
        "//internal/v1/stock",
        "/./internal/v1/stock",
        "/v1/products/../../internal/v1/stock",
        "/v1/products/..//..//internal/v1/stock",
        "/v1/products/%2e%2e/%2e%2e/internal/v1/stock",
        "/v1/products/.%2E/%2e./internal/v1/stock",
        "/v1/products/..%2f..%2finternal/v1/stock",
        "/v1/products%2f..%2f..%2finternal",
        "/v1/products/..%5c..%5cinternal/v1/stock",
        "/v1/products/..\\..\\internal\\v1\\stock",
        "/%69nternal/v1/stock",
        "/docs/products/../../internal/v1/stock",
        "/docs/products/..%2f..%2finternal/v1/stock",
        "/docs/products/%2e%2e/internal/v1/stock",
        "/INTERNAL/v1/stock",
        "/Internal/v1/stock",
        "/internal;/v1/stock",
        "/;/internal/v1/stock",
        "/internal/v1/stock?x=/v1/products",
        "/internal/v1/stock#/v1/products",
        "/%2finternal/v1/stock",
        "/%5cinternal/v1/stock",
        "/\\internal/v1/stock",
        "/%00/internal/v1/stock",
        "/internal%00/v1/stock",
        "/%c0%af/internal/v1/stock",
        "/v1/../internal/v1/stock",
        "/v1/products/%2e%2e%2f%2e%2e%2finternal/v1/stock",
        "/v1/products/....//....//internal/v1/stock",
        "/docs/products/%2e%2e%2f%2e%2e/internal/v1/stock",
        "/docs/products/..%00/internal/v1/stock",
        "/docs/products/..;/internal/v1/stock",
        "/docs/../internal/v1/stock",
        "/livez/../internal/v1/stock",
        "/webhooks/stripe/../../internal/v1/stock",
        "http://shop/internal/v1/stock",
        "http://shop//internal/v1/stock",
        "http://127.0.0.1:8081/internal/v1/stock",
        "http://shop/v1/products/../../internal/v1/stock",
        "internal/v1/stock",
        "*",
    ] {
        let answer = edge.raw_get(path).await;
        let status = answer.split(' ').nth(1).unwrap();
        for service in [&edge.products, &edge.baskets, &edge.orders] {
            // What stays below a prefix that leads somewhere is a name there, and no way out.
            for seen in service.seen() {
                let within = ["/v1/products/", "/docs/"]
                    .iter()
                    .any(|prefix| seen.path.starts_with(prefix));
                assert!(within && !seen.path.contains("/../"), "{path} arrived as {}", seen.path);
                assert_eq!(status, "200");
            }
            if service.seen().is_empty() {
                continue;
            }
            assert!(path.contains("..;") || path.contains("...."), "{path}");
            service.forget();
        }
        assert!(matches!(status, "400" | "404") || status == "200", "{path}: {answer}");
    }
}

#[tokio::test]
async fn the_front_page_leads_to_every_reference() {
    let edge = Edge::start().await;
    let page = edge.get("/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    for service in ["products", "baskets", "orders"] {
        assert!(page.contains(&format!("href=\"docs/{service}/\"")));
        let without_slash = edge.get(&format!("/docs/{service}")).send().await.unwrap();
        assert_eq!(without_slash.status(), 301);
        let location = without_slash.headers()["location"].to_str().unwrap();
        assert!(location.ends_with(&format!("/docs/{service}/")), "{location}");
    }
}

#[tokio::test]
async fn the_gateway_tells_of_its_own_health() {
    let edge = Edge::start().await;
    edge.products.stop().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(edge.get(path).send().await.unwrap().status(), 200, "{path}");
    }
}
