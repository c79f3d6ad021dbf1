//! HTTP/1.1 as only attackers write it.

use crate::harness::{Edge, problem};
use reqwest::Method;

/// If two servers in a row saw different requests in the same bytes, one could hide in another.
#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused() {
    let edge = Edge::start().await;
    let smuggled = "GET /internal HTTP/1.1\r\nx: y";
    for (what, request) in [
        (
            "both lengths",
            format!("content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "two lengths",
            format!("content-length: 0\r\ncontent-length: 26\r\n\r\n{smuggled}"),
        ),
        ("a signed length", "content-length: +4\r\n\r\nabcd".to_owned()),
        ("a list of lengths", "content-length: 4, 5\r\n\r\nabcd".to_owned()),
        (
            "another coding",
            "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "chunked twice",
            "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "chunked, then not",
            "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        ("a space before the colon", "content-length : 4\r\n\r\nabcd".to_owned()),
        ("a zero byte", "x-a: 1\0\r\n\r\n".to_owned()),
        ("a header without a name", ": 1\r\n\r\n".to_owned()),
        ("a second host", "host: evil\r\n\r\n".to_owned()),
        (
            "a chunk size that is none",
            "transfer-encoding: chunked\r\n\r\nzz\r\n\r\n".to_owned(),
        ),
        (
            "a chunk size without end",
            format!("transfer-encoding: chunked\r\n\r\n{}\r\n", "f".repeat(20)),
        ),
    ] {
        let answer = edge
            .raw(&format!("POST /v1/baskets HTTP/1.1\r\nhost: shop\r\n{request}"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{what}: {answer}");
    }
    assert_eq!(edge.reached_services(), 0);
}

/// Envoy puts a folded one together, and leaves out a return that ends no line.
#[tokio::test]
async fn a_header_that_is_broken_in_two_stays_one_header() {
    let edge = Edge::start().await;
    for (broken, whole) in [
        ("x-a: 1\r\n x-user: admin", "1 x-user: admin"),
        ("x-a: 1\rx-user: admin", "1x-user: admin"),
    ] {
        let request = format!("POST /v1/baskets HTTP/1.1\r\nhost: shop\r\n{broken}\r\ncontent-length: 0\r\n\r\n");
        assert!(edge.raw(&request).await.starts_with("HTTP/1.1 200 "), "{broken:?}");
        let seen = edge.baskets.only();
        assert_eq!(
            (seen.header("x-a"), seen.header("x-user")),
            (Some(whole), None),
            "{broken:?}"
        );
        edge.baskets.forget();
    }
}

#[tokio::test]
async fn no_method_is_a_way_around() {
    let edge = Edge::start().await;
    for method in ["TRACE", "OPTIONS", "PROPFIND", "get", "DELETE", "PURGE"] {
        let refused = edge
            .request(Method::from_bytes(method.as_bytes()).unwrap(), "/v1/products")
            .send()
            .await
            .unwrap();
        assert!(matches!(refused.status().as_u16(), 400 | 401), "{method}: {refused:?}");
    }
    for request in [
        "CONNECT products:80 HTTP/1.1\r\nhost: products:80\r\n\r\n",
        "CONNECT /internal HTTP/1.1\r\nhost: shop\r\n\r\n",
        "GET /v1/products HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "GET /v1/products HTTP/0.9\r\n\r\n",
        "GET /v1/products HTTP/1.0\r\n\r\n",
        "GET /v1/products\r\n\r\n",
    ] {
        let answer = edge.raw(request).await;
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        assert!((400..500).contains(&status), "{request}: {answer}");
    }
    let overridden = edge
        .get("/v1/products")
        .header("x-http-method-override", "DELETE")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (overridden.status().as_u16(), edge.products.only().method.as_str()),
        (200, "GET")
    );
    let refused = edge.request(Method::DELETE, "/v1/products/1").send().await.unwrap();
    assert_eq!(problem(refused).await.status, 401);
}
