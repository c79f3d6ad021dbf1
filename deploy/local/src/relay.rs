//! A small HTTP server on loopback that stands between two others: whoever starts it says what becomes of each request.
//! What is done to requests, and what is remembered of them, is not its business.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A request of any kind that waits for the other side this long is given up: longer than the longest poll.
const ANSWERS_WITHIN: Duration = Duration::from_secs(40);

/// The connection ends without an answer.
#[derive(Debug)]
pub struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer is given")
    }
}

impl std::error::Error for NoAnswer {}

/// A running relay. It ends, with its connections, when dropped.
pub struct Relay {
    port: u16,
    _stopping: DropGuard,
}

impl Relay {
    /// Starts one on a free port; each request, whole, is answered as `meet` says.
    ///
    /// # Errors
    ///
    /// When there is no port for it.
    pub async fn start<M, A>(meet: M) -> anyhow::Result<Self>
    where
        M: Fn(Request<Bytes>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Response<Bytes>, NoAnswer>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("no port for a relay")?;
        let port = listener.local_addr()?.port();
        let stopping = CancellationToken::new();
        tokio::spawn(
            stopping
                .clone()
                .run_until_cancelled_owned(accept(listener, Arc::new(meet))),
        );
        Ok(Self {
            port,
            _stopping: stopping.drop_guard(),
        })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn accept<M, A>(listener: TcpListener, meet: Arc<M>)
where
    M: Fn(Request<Bytes>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response<Bytes>, NoAnswer>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&meet)));
        }
    }
}

async fn serve<M, A>(stream: TcpStream, meet: Arc<M>)
where
    M: Fn(Request<Bytes>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response<Bytes>, NoAnswer>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let meet = Arc::clone(&meet);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_gone| NoAnswer)?.to_bytes();
            meet(Request::from_parts(parts, body))
                .await
                .map(|answer| answer.map(Full::new))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // It ends with an error wherever no answer is given, which is what was wanted.
    let _ = connection.await;
}

/// The way on from a relay, to a port of this machine.
#[derive(Debug, Clone)]
pub struct Onward {
    port: u16,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Onward {
    /// To whoever listens there when a request comes.
    pub fn to(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .build(connector);
        Self { port, client }
    }

    /// Passes a request on, and comes back with its answer, whole.
    ///
    /// # Errors
    ///
    /// When none comes.
    pub async fn pass(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        let request = self.led_on(request).ok_or(NoAnswer)?;
        let answered = tokio::time::timeout(ANSWERS_WITHIN, async {
            let (mut parts, body) = self.client.request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            for own in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
                parts.headers.remove(own);
            }
            Some(Response::from_parts(parts, body))
        });
        answered.await.ok().flatten().ok_or(NoAnswer)
    }

    fn led_on(&self, request: Request<Bytes>) -> Option<Request<Full<Bytes>>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("http://127.0.0.1:{}{path}", self.port).parse::<Uri>().ok()?;
        let mut request = request.map(Full::new);
        *request.uri_mut() = uri;
        for own in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            request.headers_mut().remove(own);
        }
        Some(request)
    }
}
