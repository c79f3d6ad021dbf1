//! Stopping in order, and in time.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use shared::outgoing::Outgoing;
use shared::server::leave::{Connections, Leave, stop_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What a stop may take.
const WITHIN: Duration = Duration::from_secs(2);

/// A server with a request under way that ends with `go`; whether that gets its answer.
async fn busy(go: &CancellationToken) -> (ServerHandle, JoinHandle<bool>) {
    let (begun, go) = (CancellationToken::new(), go.clone());
    let tell = begun.clone();
    let route = move || {
        let (tell, go) = (tell.clone(), go.clone());
        async move {
            tell.cancel();
            go.cancelled().await;
            HttpResponse::Ok().finish()
        }
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = HttpServer::new(move || App::new().route("/", web::get().to(route.clone())))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(60)
        .listen(listener)
        .unwrap()
        .run();
    let handle = server.handle();
    tokio::spawn(server);
    let http = Outgoing::new().unwrap().http;
    let asking = tokio::spawn(async move { http.get(url).send().await.is_ok_and(|answer| answer.status() == 200) });
    begun.cancelled().await;
    (handle, asking)
}

fn at_once() -> Leave {
    Leave {
        connections: Connections::default(),
        linger: Duration::ZERO,
        shared: false,
    }
}

#[tokio::test]
async fn a_server_finishes_its_requests_while_others_finish_theirs() {
    let go = CancellationToken::new();
    let (server, asking) = busy(&go).await;
    let leaning = async { go.cancel() };
    stop_server(server, leaning, at_once(), Instant::now() + WITHIN)
        .await
        .unwrap();
    assert!(asking.await.unwrap());
}

#[tokio::test]
async fn the_server_and_what_leans_on_it_have_one_deadline_and_not_each_its_own() {
    let (server, asking) = busy(&CancellationToken::new()).await;
    let began = Instant::now();
    let deadline = began + WITHIN;
    stop_server(server, tokio::time::sleep_until(deadline), at_once(), deadline)
        .await
        .unwrap_err();
    assert!(began.elapsed() < 2 * WITHIN, "{:?}", began.elapsed());
    asking.abort();
}

/// A server that counts its connections, and a client that holds one.
async fn held(leave: &Leave) -> (ServerHandle, TcpStream, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = leave.connections.clone();
    let server = HttpServer::new(|| App::new().default_service(web::to(HttpResponse::Ok)))
        .on_connect(move |_, connection| connections.hold(connection))
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
    let handle = server.handle();
    tokio::spawn(server);
    let mut client = TcpStream::connect(address).await.unwrap();
    ask(&mut client).await;
    (handle, client, address)
}

async fn ask(client: &mut TcpStream) {
    client.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    let mut answer = [0; 1024];
    let read = timeout(WITHIN, client.read(&mut answer)).await.unwrap().unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{read} bytes");
}

#[tokio::test]
async fn whoever_holds_a_connection_to_a_shared_socket_is_served_by_it_until_they_let_go() {
    let leave = Leave {
        linger: 4 * WITHIN,
        shared: true,
        ..at_once()
    };
    let (server, mut client, _) = held(&leave).await;
    let stop = stop_server(server, std::future::ready(()), leave, Instant::now() + 8 * WITHIN);
    let stopping = tokio::spawn(stop);
    ask(&mut client).await;
    assert!(!stopping.is_finished());
    drop(client);
    timeout(WITHIN, stopping).await.unwrap().unwrap().unwrap();
}

/// Who balances in front of an address asks now and then whether anybody is there: until they can know, somebody is.
#[tokio::test]
async fn whoever_does_not_know_yet_that_a_server_stops_is_let_in_though_nobody_else_is_there() {
    let linger = WITHIN / 2;
    let leave = Leave { linger, ..at_once() };
    let (server, mut client, address) = held(&leave).await;
    let began = Instant::now();
    let stop = stop_server(server, std::future::ready(()), leave, began + 8 * WITHIN);
    let stopping = tokio::spawn(stop);
    ask(&mut client).await;
    drop(client);
    let mut came = 0;
    while began.elapsed() < linger / 2 {
        ask(&mut TcpStream::connect(address).await.unwrap()).await;
        came += 1;
        tokio::time::sleep(linger / 20).await;
    }
    assert!(came > 0 && !stopping.is_finished());
    timeout(WITHIN, stopping).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() >= linger, "{:?}", began.elapsed());
}
