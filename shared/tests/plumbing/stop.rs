//! Stopping in order, and in time.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use shared::outgoing::Outgoing;
use shared::run::stop_server;
use tokio::task::JoinHandle;
use tokio::time::Instant;
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

#[tokio::test]
async fn a_server_finishes_its_requests_while_others_finish_theirs() {
    let go = CancellationToken::new();
    let (server, asking) = busy(&go).await;
    let leaning = async { go.cancel() };
    stop_server(server, leaning, Instant::now() + WITHIN).await.unwrap();
    assert!(asking.await.unwrap());
}

#[tokio::test]
async fn the_server_and_what_leans_on_it_have_one_deadline_and_not_each_its_own() {
    let (server, asking) = busy(&CancellationToken::new()).await;
    let began = Instant::now();
    let deadline = began + WITHIN;
    stop_server(server, tokio::time::sleep_until(deadline), deadline)
        .await
        .unwrap_err();
    assert!(began.elapsed() < 2 * WITHIN, "{:?}", began.elapsed());
    asking.abort();
}
