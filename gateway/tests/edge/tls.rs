//! TLS, the protocols over it, and certificates that change.

use std::time::{Duration, Instant};

use http::Request;
use serde_json::Value;
use shared::testing::Issuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{DEADLINE, Edge, Setup, read_until};
use crate::wire::{Certificates, Http2};

async fn edge(certificates: &Certificates) -> Edge {
    Setup::usual().settings(certificates.apply()).start().await
}

#[tokio::test]
async fn http_1_and_2_are_spoken_over_tls_and_tell_of_http_3() {
    let certificates = Certificates::new();
    let edge = edge(&certificates).await;

    let mut stream = certificates.connect(edge.address(), &["http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    stream
        .write_all(b"GET /v1/products HTTP/1.1\r\nhost: shop\r\n\r\n")
        .await
        .unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\r\nalt-svc: h3=\":443\"; ma=86400\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nstrict-transport-security: max-age=31536000\r\n"),
        "{answer}"
    );

    let stream = certificates.connect(edge.address(), &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let answer = Http2::over(stream).await.get("/v1/products").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["alt-svc"], "h3=\":443\"; ma=86400");
    for seen in edge.products.seen() {
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    }
}

#[tokio::test]
async fn plain_http_is_not_spoken_where_tls_is() {
    let certificates = Certificates::new();
    let edge = edge(&certificates).await;
    let mut stream = edge.connect().await;
    stream
        .write_all(b"GET /v1/products HTTP/1.1\r\nhost: shop\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said))
        .await
        .unwrap();
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    assert_eq!(edge.reached_services(), 0);
}

/// No library that is well kept still offers it, so the first message is written by hand.
#[tokio::test]
async fn tls_before_1_2_is_refused() {
    const ALERT: u8 = 21;
    const PROTOCOL_VERSION: u8 = 70;
    let certificates = Certificates::new();
    let edge = edge(&certificates).await;
    for minor in [1, 2] {
        // The suites are ECDHE with AES-128-CBC and SHA-1, by ECDSA and RSA; groups and point formats are the usual ones.
        let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0];
        let body = [
            &[3, minor][..],
            &[7; 32],
            &[0, 0, 4, 0xc0, 0x09, 0xc0, 0x13, 1, 0, 0, 14],
            &extensions,
        ]
        .concat();
        let length = u8::try_from(body.len()).unwrap();
        let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
        let mut stream = edge.connect().await;
        stream.write_all(&hello).await.unwrap();
        let mut alert = [0; 7];
        tokio::time::timeout(DEADLINE, stream.read_exact(&mut alert))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((alert[0], alert[6]), (ALERT, PROTOCOL_VERSION), "TLS 1.{}", minor - 1);
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_not_waited_for() {
    let certificates = Certificates::new();
    let edge = Setup::usual()
        .settings(certificates.apply())
        .text(|text| {
            text.replace(
                "transport_socket_connect_timeout: 10s",
                "transport_socket_connect_timeout: 0.2s",
            )
        })
        .start()
        .await;
    let mut stream = edge.connect().await;
    let closed = tokio::time::timeout(DEADLINE, stream.read(&mut [0])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let mut certificates = Certificates::new();
    let edge = edge(&certificates).await;
    let mut before = certificates.connect(edge.address(), &["http/1.1"]).await;
    let renewed = certificates.renew();
    let began = Instant::now();
    loop {
        let stream = certificates.connect(edge.address(), &["http/1.1"]).await;
        let shown = stream.get_ref().1.peer_certificates().unwrap().first().unwrap().clone();
        if shown == renewed {
            break;
        }
        assert!(began.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Over QUIC too: this client trusts the renewed one alone.
    let (_client, http3) = certificates.http3(edge.address()).await;
    let answer = crate::harness::client()
        .get(format!("http://{http3}/v1/products"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    // And whoever was there stays.
    before
        .write_all(b"GET /v1/products HTTP/1.1\r\nhost: shop\r\n\r\n")
        .await
        .unwrap();
    assert!(read_until(&mut before, "\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

/// What goes out as HTTP/1.1 here comes in as HTTP/3 there.
#[tokio::test]
async fn http_3_has_the_same_rules() {
    let certificates = Certificates::new();
    let edge = edge(&certificates).await;
    let (_client, http3) = certificates.http3(edge.address()).await;
    let client = crate::harness::client();
    let to = |path: &str| format!("http://{http3}{path}");
    let token = Issuer::shared().customer("customer-1");

    let read = client
        .get(to("/v1/products"))
        .header("x-user-id", "admin")
        .send()
        .await
        .unwrap();
    assert_eq!(read.status(), 200);
    assert_eq!(read.headers()["etag"], "\"7\"");
    assert_eq!(edge.products.only().header("x-user-id"), None);
    edge.products.forget();

    let refused = client.get(to("/v1/orders")).send().await.unwrap();
    assert_eq!(crate::harness::problem(refused).await.status, 401);
    let refused = client
        .get(to("/v1/orders/admin/dead-letters"))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 403);
    for path in ["/internal/v1/stock", "/docs/products/%2e%2e/internal", "//internal"] {
        let refused = client.get(to(path)).bearer_auth(&token).send().await.unwrap();
        assert_eq!(refused.status(), 404, "{path}");
    }
    let large = client
        .post(to("/v1/baskets/me/items"))
        .bearer_auth(&token)
        .body(vec![b'x'; 256 * 1024 + 1]);
    let refused = large.send().await.unwrap();
    let status = refused.status();
    let body: Value = refused.json().await.unwrap();
    assert_eq!((status.as_u16(), &body["code"]), (413, &Value::from("body_too_large")));
    assert_eq!(edge.reached_services(), 0);

    let created = client
        .post(to("/v1/baskets/me/items"))
        .bearer_auth(&token)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), 200);
    assert_eq!(edge.baskets.only().body.as_ref(), b"{}");
    let log = edge.access_log("\"http.route\":\"orders-read\"").await;
    assert!(log.contains("\"network.protocol\":\"HTTP/3\""), "{log}");
}

#[tokio::test]
async fn a_request_of_a_customer_over_http_2_and_tls_reaches_the_service_as_it_is() {
    let certificates = Certificates::new();
    let edge = edge(&certificates).await;
    let http2 = Http2::over(certificates.connect(edge.address(), &["h2"]).await).await;
    let token = Issuer::shared().customer("customer-1");
    let request = Request::post("https://shop/v1/orders?dry=1")
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", "key-1");
    let answer = http2.send(request.body(b"{\"a\":1}".to_vec()).unwrap()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let seen = edge.orders.only();
    assert_eq!(
        (seen.path.as_str(), seen.body.as_ref()),
        ("/v1/orders?dry=1", b"{\"a\":1}".as_slice())
    );
    assert_eq!(seen.header("idempotency-key"), Some("key-1"));
}
