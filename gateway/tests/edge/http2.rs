//! What is different over HTTP/2, and what must not be.

use http::Request;
use serde_json::{Value, json};
use shared::testing::Issuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{DEADLINE, Edge};
use crate::wire::Http2;

const GUEST: &str = "/v1/baskets/g_0123456789abcdef0123456789abcdef";

fn as_problem(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn who_may_what_is_the_same() {
    let edge = Edge::start().await;
    let http2 = Http2::over(edge.connect().await).await;
    let issuer = Issuer::shared();
    let (customer, merchant) = (issuer.customer("customer-1"), issuer.merchant());
    let mut id_token = issuer.claims("customer-1", &["admin"]);
    id_token["token_use"] = json!("id");
    let id_token = issuer.sign(&id_token);
    for (method, path, token, status) in [
        ("GET", "/v1/products", None, 200),
        ("POST", "/v1/products", None, 401),
        ("POST", "/v1/products", Some(&customer), 403),
        ("POST", "/v1/products", Some(&merchant), 200),
        ("GET", "/v1/products", Some(&"nonsense".to_owned()), 401),
        ("GET", "/v1/orders", None, 401),
        ("GET", "/v1/orders", Some(&customer), 200),
        ("GET", "/v1/orders", Some(&id_token), 403),
        ("GET", "/v1/orders/admin/dead-letters", Some(&merchant), 403),
        ("POST", "/v1/orders/1/ship", Some(&customer), 403),
        ("GET", GUEST, None, 200),
        ("GET", "/v1/baskets/me", None, 401),
        ("GET", "/metrics", None, 404),
    ] {
        edge.products.forget();
        edge.baskets.forget();
        edge.orders.forget();
        let mut request = Request::builder().method(method).uri(format!("http://shop{path}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = http2.send(request.body(Vec::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(edge.reached_services(), usize::from(status == 200), "{method} {path}");
        if status != 200 {
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(as_problem(&answer.body)["status"], status);
        }
    }
}

#[tokio::test]
async fn forged_headers_do_not_get_through() {
    let edge = Edge::start().await;
    let http2 = Http2::over(edge.connect().await).await;
    let request = Request::get("http://shop/v1/products")
        .header("x-user-id", "admin")
        .header("x-envoy-original-path", "/internal")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x_user_id", "admin");
    assert_eq!(http2.send(request.body(Vec::new()).unwrap()).await.unwrap().status, 200);
    let seen = edge.products.only();
    for name in ["x-user-id", "x-envoy-original-path", "x_user_id"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
}

/// There is no 431 here: the stream is reset, and the connection goes on.
#[tokio::test]
async fn headers_that_are_too_large_reset_their_stream_only() {
    let edge = Edge::start().await;
    let http2 = Http2::over(edge.connect().await).await;
    let large = Request::get("http://shop/v1/products").header("x-large", "x".repeat(40_000));
    let mut many = Request::get("http://shop/v1/products");
    for number in 0..110 {
        many = many.header(format!("x-{number}"), "1");
    }
    for request in [large, many] {
        let refused = http2.send(request.body(Vec::new()).unwrap()).await;
        assert!(refused.as_ref().is_err_and(h2::Error::is_reset), "{refused:?}");
    }
    assert_eq!(edge.reached_services(), 0);
    assert_eq!(http2.get("/v1/products").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_whether_it_tells_its_length_or_not() {
    let edge = Edge::start().await;
    let http2 = Http2::over(edge.connect().await).await;
    let token = Issuer::shared().customer("customer-1");
    for told in [true, false] {
        let body = vec![b'x'; 256 * 1024 + 1];
        let mut request =
            Request::post("http://shop/v1/baskets/me/items").header("authorization", format!("Bearer {token}"));
        if told {
            request = request.header("content-length", body.len());
        }
        let refused = http2.send(request.body(body).unwrap()).await.unwrap();
        assert_eq!(refused.status, 413);
        assert_eq!(as_problem(&refused.body)["code"], "body_too_large");
    }
    assert_eq!(edge.reached_services(), 0);
}

/// Over HTTP/2 a path is any string, and no client library sends these.
#[tokio::test]
async fn internal_routes_are_unreachable_by_any_path_that_can_be_written() {
    let edge = Edge::start().await;
    for path in [
        "/internal/v1/stock",
        "//internal/v1/stock",
        "internal/v1/stock",
        "http://shop/internal/v1/stock",
        "/v1/products/../../internal/v1/stock",
        "/v1/products/%2e%2e/%2e%2e/internal/v1/stock",
        "/v1/products/..%2f..%2finternal",
        "/v1/products/..\\..\\internal",
        "/v1/products/..;/..;/internal/v1/stock",
        "/v1/products\0/internal",
        "/v1/products /internal",
        "/v1/products\r\nx-user: admin",
        "/v1/products#/internal",
        "",
        "*",
        "?/v1/products",
    ] {
        let status = Raw::open(&edge).await.get(path).await;
        // Those that stay below the products are theirs to refuse; nothing may have become another path.
        for seen in edge.products.seen() {
            assert!(
                seen.path.starts_with("/v1/products"),
                "{path:?} arrived as {:?}",
                seen.path
            );
            assert!(
                !seen.path.contains("/internal") || path.contains(';'),
                "{path:?} arrived as {:?}",
                seen.path
            );
        }
        let refused = matches!(status, Some(400 | 404) | None) || edge.products.seen().len() == 1;
        assert!(refused, "{path:?}: {status:?}");
        edge.products.forget();
        assert_eq!(edge.reached_services(), 0, "{path:?}");
    }
}

#[tokio::test]
async fn what_http_1_says_about_the_connection_is_refused() {
    let edge = Edge::start().await;
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "x-user-id"),
        ("Host", "evil"),
        (":path", "/internal"),
    ] {
        let status = Raw::open(&edge)
            .await
            .get_with("/v1/products", Some((name, value)))
            .await;
        assert!(matches!(status, Some(400) | None), "{name}: {status:?}");
    }
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_again_and_again_end_the_connection() {
    let edge = Edge::start().await;
    let mut flood = Raw::open(&edge).await;
    let mut sent = Vec::new();
    for stream in (1..20_001).step_by(2) {
        sent.extend(Raw::headers(stream, "/v1/products", None));
        // RST_STREAM with CANCEL.
        sent.extend([0, 0, 4, 3, 0]);
        sent.extend(u32::to_be_bytes(stream));
        sent.extend([0, 0, 0, 8]);
    }
    // It may be gone before all is sent.
    let _ = flood.0.write_all(&sent).await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, flood.0.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it goes on");
    assert_eq!(edge.get("/v1/products").send().await.unwrap().status(), 200);
}

/// HTTP/2 frame by frame.
struct Raw(tokio::net::TcpStream);

impl Raw {
    async fn open(edge: &Edge) -> Self {
        let mut stream = edge.connect().await;
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .unwrap();
        Self(stream)
    }

    async fn get(self, path: &str) -> Option<u16> {
        self.get_with(path, None).await
    }

    /// The answer's status, if it has one that HPACK's static table knows; none if the stream or connection is ended.
    async fn get_with(mut self, path: &str, further: Option<(&str, &str)>) -> Option<u16> {
        const HEADERS: u8 = 1;
        const RST_STREAM: u8 = 3;
        const GOAWAY: u8 = 7;
        self.0.write_all(&Self::headers(1, path, further)).await.unwrap();
        loop {
            let mut head = [0; 9];
            let arrived = tokio::time::timeout(DEADLINE, self.0.read_exact(&mut head))
                .await
                .unwrap();
            if arrived.is_err() {
                return None;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.unwrap();
            match (head[3], payload.first()) {
                (HEADERS, Some(0x88)) => return Some(200),
                (HEADERS, Some(0x8c)) => return Some(400),
                (HEADERS, Some(0x8d)) => return Some(404),
                (HEADERS, other) => return Some(u16::from(*other.unwrap())),
                (RST_STREAM | GOAWAY, _) => return None,
                _ => {}
            }
        }
    }

    /// A HEADERS frame that ends its stream, with every header spelt out.
    fn headers(stream: u32, path: &str, further: Option<(&str, &str)>) -> Vec<u8> {
        let usual = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "shop"),
            (":path", path),
        ];
        let mut block = Vec::new();
        for (name, value) in usual.into_iter().chain(further) {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend(text.as_bytes());
            }
        }
        let length = u8::try_from(block.len()).unwrap();
        let mut frame = vec![0, 0, length, 1, 0x5];
        frame.extend(stream.to_be_bytes());
        frame.extend(block);
        frame
    }
}
