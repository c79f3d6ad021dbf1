//! Stands for a service: answers everything with what it was sent, and remembers it.

use std::future;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use actix_web::dev::ServerHandle;
use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Bytes, Data, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

/// A server on loopback.
pub(crate) struct Upstream {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: ServerHandle,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    failures: usize,
    keys: Value,
}

/// Larger than any body that the gateway lets through whole.
const BODY_LIMIT: usize = 1 << 22;

impl Upstream {
    pub(crate) fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Data::new(Arc::clone(&state));
        let (handle, started) = mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(shared.clone())
                        .app_data(Data::new(name))
                        .app_data(PayloadConfig::new(BODY_LIMIT))
                        .route("/readyz", web::get().to(HttpResponse::Ok))
                        .route("/v1/products/import", web::post().to(line_by_line))
                        .route("/v1/orders/{id}/events", web::get().to(events))
                        .route("/v1/orders/admin/reconciliation", web::get().to(reconciliation))
                        .route("/keys", web::get().to(keys))
                        .route("/v1/orders/admin/reconciliation", web::get().to(events))
                        .route("/v1/baskets/me/silence", web::to(silence))
                        .default_service(web::to(echo))
                });
                let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
                handle.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self {
            address,
            state,
            server: started.recv().unwrap(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What arrived so far, health checks apart.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// The only request that arrived.
    pub(crate) fn only(&self) -> Seen {
        let [only] = <[Seen; 1]>::try_from(self.seen()).unwrap();
        only
    }

    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().seen.clear();
    }

    /// Answers the next so many requests with 503.
    pub(crate) fn fail_next(&self, requests: usize) {
        self.state.lock().unwrap().failures = requests;
    }

    /// Answers `/keys` with these from now on.
    pub(crate) fn publish(&self, keys: Value) {
        self.state.lock().unwrap().keys = keys;
    }

    /// Closes its port.
    pub(crate) async fn stop(&self) {
        self.server.stop(false).await;
    }
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

async fn echo(
    request: HttpRequest,
    body: Bytes,
    state: Data<Arc<Mutex<State>>>,
    name: Data<&'static str>,
) -> HttpResponse {
    let answer = json!({
        "service": **name,
        "path": request.uri().to_string(),
        "filling": "x".repeat(2_000),
    });
    let mut state = state.lock().unwrap();
    state.seen.push(Seen {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: request.headers().clone(),
        body,
    });
    if state.failures > 0 {
        state.failures -= 1;
        return HttpResponse::ServiceUnavailable().finish();
    }
    // Names itself, as the gateway must not let it.
    HttpResponse::Ok()
        .insert_header(("etag", "\"7\""))
        .insert_header(("server", "upstream/1.0"))
        .insert_header(("x-powered-by", "tests"))
        .json(answer)
}

/// Answers each chunk with its size, at once.
async fn line_by_line(payload: web::Payload) -> HttpResponse {
    let lines = payload.map(|chunk| chunk.map(|chunk| Bytes::from(format!("{}\n", chunk.len()))));
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines)
}

/// One event, and then nothing.
async fn events() -> HttpResponse {
    let first = stream::once(async { Ok::<_, actix_web::Error>(Bytes::from_static(b"data: first\n\n")) });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(first.chain(stream::pending()))
}

/// One line, and then nothing.
async fn reconciliation() -> HttpResponse {
    let first = stream::once(async { Ok::<_, actix_web::Error>(Bytes::from_static(b"{\"orders\":1}\n")) });
    HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(first.chain(stream::pending()))
}

async fn keys(state: Data<Arc<Mutex<State>>>) -> HttpResponse {
    HttpResponse::Ok().json(&state.lock().unwrap().keys)
}

/// No answer.
async fn silence() -> HttpResponse {
    future::pending().await
}
