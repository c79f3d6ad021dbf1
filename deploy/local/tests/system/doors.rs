//! A door before a service of which there is one: replacing it costs those who come nothing but a moment.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use deploy_local::doors::{Door, HOLDS_FOR};
use deploy_local::loopback::free_port;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::harness::http;

const CLIENTS: usize = 10;
const REPLACEMENTS: usize = 3;

/// A service of the kind that is behind doors: when it stops it says so at /readyz, lets in who comes for a while, answers each
/// request as the last one of its connection, and ends.
struct Service {
    server: ServerHandle,
    stopping: Arc<AtomicBool>,
}

impl Service {
    fn start(port: u16) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopping);
        let app = move || {
            let (ready, answers) = (Arc::clone(&seen), Arc::clone(&seen));
            let ready = move || {
                let stopping = ready.load(Ordering::SeqCst);
                async move {
                    if stopping {
                        HttpResponse::ServiceUnavailable()
                    } else {
                        HttpResponse::Ok()
                    }
                    .finish()
                }
            };
            let answer = move || {
                let mut answer = HttpResponse::Created();
                if answers.load(Ordering::SeqCst) {
                    answer.force_close();
                }
                async move {
                    sleep(Duration::from_millis(5)).await;
                    answer.finish()
                }
            };
            App::new()
                .route("/readyz", web::get().to(ready))
                .route("/", web::post().to(answer))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let server = HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap();
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            server: handle,
            stopping,
        }
    }

    async fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Its LINGER_MS.
        sleep(Duration::from_millis(700)).await;
        self.server.stop(true).await;
    }
}

async fn before(port: u16) -> Door {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Door::before(format!("127.0.0.1:{port}"), anywhere).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_a_service_is_replaced_with_nobody_beside_it_waits_and_is_answered() {
    let port = free_port().unwrap();
    let mut service = Service::start(port);
    let door = before(port).await;
    let url = format!("http://{}/", door.address());
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let clients = (0..CLIENTS).map(|_| async {
        let http = http();
        while !over.load(Ordering::SeqCst) {
            // A write without a key: nobody may send it twice.
            let answer = http.post(&url).send().await.unwrap();
            assert_eq!(answer.status(), 201);
            answered.fetch_add(1, Ordering::SeqCst);
        }
    });
    let replacing = async {
        for _ in 0..REPLACEMENTS {
            let before = answered.load(Ordering::SeqCst);
            while answered.load(Ordering::SeqCst) < before + 10 * CLIENTS {
                sleep(Duration::from_millis(5)).await;
            }
            service.stop().await;
            let at_the_end = answered.load(Ordering::SeqCst);
            sleep(Duration::from_millis(500)).await;
            assert_eq!(
                answered.load(Ordering::SeqCst),
                at_the_end,
                "somebody answers beside it"
            );
            service = Service::start(port);
        }
        over.store(true, Ordering::SeqCst);
        service
    };
    let (service, _) = tokio::join!(replacing, join_all(clients));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_to_a_door_that_was_shut_for_long_is_sent_away_at_once() {
    let door = before(free_port().unwrap()).await;
    let url = format!("http://{}/", door.address());
    let came = Instant::now();
    http().post(&url).send().await.unwrap_err();
    assert!(
        came.elapsed() + Duration::from_secs(1) > HOLDS_FOR,
        "{:?}",
        came.elapsed()
    );
    let came = Instant::now();
    http().post(&url).send().await.unwrap_err();
    assert!(came.elapsed() < HOLDS_FOR / 4, "{:?}", came.elapsed());
}

/// Is ready, and takes requests: the first one kills it before it answers, its successor answers the others.
async fn dies_of_the_first(listener: tokio::net::TcpListener, taken: Arc<AtomicUsize>) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let read = client.read(&mut head).await.unwrap();
        if head[..read].starts_with(b"POST") && taken.fetch_add(1, Ordering::SeqCst) == 0 {
            continue;
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        // Who asks whether it is ready may be gone by now.
        let _ = client.write_all(answer).await;
    }
}

/// Else an order without a key would be made twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_took_before_it_died_is_not_sent_to_its_successor() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let door = before(listener.local_addr().unwrap().port()).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let service = tokio::spawn(dies_of_the_first(listener, Arc::clone(&taken)));
    let url = format!("http://{}/", door.address());
    http().post(&url).send().await.unwrap_err();
    assert_eq!(http().post(&url).send().await.unwrap().status(), 200);
    assert_eq!(taken.load(Ordering::SeqCst), 2, "each request is taken once");
    service.abort();
}
