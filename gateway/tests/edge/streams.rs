//! What passes through as it comes, and the protocols spoken.

use shared::testing::Issuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{DEADLINE, Edge, read_until};

#[tokio::test]
async fn an_import_is_answered_row_by_row_while_it_is_still_being_sent() {
    let edge = Edge::start().await;
    let token = Issuer::shared().merchant();
    let mut stream = edge.connect().await;
    let head = format!(
        "POST /v1/products/import HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n\
         accept-encoding: gzip\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for row in ["a", "bb", "ccc"] {
        stream
            .write_all(format!("{:x}\r\n{row}\r\n", row.len()).as_bytes())
            .await
            .unwrap();
        read_until(&mut stream, &format!("{}\n", row.len())).await;
    }
}

#[tokio::test]
async fn an_import_has_no_limit_on_its_body() {
    let edge = Edge::start().await;
    let body = vec![b'x'; 3 * 1024 * 1024];
    let sent = body.len();
    let answer = edge
        .post("/v1/products/import")
        .bearer_auth(Issuer::shared().merchant())
        .body(body);
    let lines = answer
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
        .text()
        .await
        .unwrap();
    let arrived: usize = lines.lines().map(|line| line.parse::<usize>().unwrap()).sum();
    assert_eq!(arrived, sent);
}

#[tokio::test]
async fn what_is_streamed_arrives_before_the_stream_ends() {
    let edge = Edge::start().await;
    let token = Issuer::shared().admin();
    for (path, first) in [
        ("/v1/orders/1/events", "data: first\n\n"),
        ("/v1/orders/admin/reconciliation", "{\"orders\":1}\n"),
    ] {
        let mut stream = edge.connect().await;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n\
             accept-encoding: gzip\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let arrived = read_until(&mut stream, first).await;
        assert!(!arrived.contains("content-encoding"), "{arrived}");
    }
}

#[tokio::test]
async fn what_is_streamed_outlives_the_time_that_other_answers_have() {
    let edge = Edge::start_changed(|text| {
        let short = text
            .replace("timeout: 15s", "timeout: 0.2s")
            .replace("timeout: 25s", "timeout: 0.2s");
        short.replace("stream_idle_timeout: 60s", "stream_idle_timeout: 0.2s")
    })
    .await;
    let token = Issuer::shared().admin();
    let mut streams = Vec::new();
    for path in ["/v1/orders/1/events", "/v1/orders/admin/reconciliation"] {
        let mut stream = edge.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, "\n").await;
        streams.push(stream);
    }
    // Another request of the same age is given up meanwhile.
    let silence = edge
        .post("/v1/baskets/me/silence")
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(silence.status(), 504);
    for stream in &streams {
        let mut byte = [0];
        let ended = loop {
            match stream.try_read(&mut byte) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != std::io::ErrorKind::WouldBlock,
            }
        };
        assert!(!ended, "it was cut");
    }
}

#[tokio::test]
async fn http_2_is_spoken_to_those_who_begin_with_it() {
    const SETTINGS: u8 = 4;
    let edge = Edge::start().await;
    let mut stream = edge.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.unwrap();
    let mut frame = [0; 9];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut frame))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(frame[3], SETTINGS);
}
