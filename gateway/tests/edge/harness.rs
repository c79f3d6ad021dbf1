//! A gateway of its own for each test, with the upstreams it leads to and a client that takes answers as they are.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway::{Limits, Sampling, Settings};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use shared::testing::Issuer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::envoy::Envoy;
use crate::upstream::Upstream;

/// How long anything may take before a test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A running gateway.
pub(crate) struct Edge {
    pub(crate) products: Upstream,
    pub(crate) baskets: Upstream,
    pub(crate) orders: Upstream,
    pub(crate) collector: Upstream,
    address: SocketAddr,
    client: Client,
    envoy: Envoy,
}

/// What a gateway is started with, where a test wants something else than everybody gets.
pub(crate) struct Setup {
    settings: Box<dyn FnOnce(&mut Settings)>,
    text: Box<dyn FnOnce(String) -> String>,
}

/// A problem, as a client gets it.
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) response: http::HeaderMap,
}

impl Edge {
    pub(crate) async fn start() -> Self {
        Setup::usual().start().await
    }

    /// With a configuration that differs where a test could not wait as long as a client has to.
    pub(crate) async fn start_changed(change: impl FnOnce(String) -> String + 'static) -> Self {
        Setup::usual().text(change).start().await
    }

    /// With other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings) + 'static) -> Self {
        Setup::usual().settings(change).start().await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Sends these bytes as they are, and reads until the head of the answer is complete.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, "\r\n\r\n").await
    }

    /// A GET whose path no client tidies up.
    pub(crate) async fn raw_get(&self, path: &str) -> String {
        self.raw(&format!(
            "GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n"
        ))
        .await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// All that reached a service, whichever.
    pub(crate) fn reached_services(&self) -> usize {
        [&self.products, &self.baskets, &self.orders]
            .iter()
            .map(|upstream| upstream.seen().len())
            .sum()
    }

    /// The access log, once it has a line with this in it.
    pub(crate) async fn access_log(&self, awaited: &str) -> String {
        until("the access log", || {
            let lines = self.envoy.access_log();
            lines.contains(awaited).then_some(lines)
        })
        .await
    }
}

impl Setup {
    pub(crate) fn usual() -> Self {
        Self {
            settings: Box::new(|_| ()),
            text: Box::new(|text| text),
        }
    }

    pub(crate) fn settings(self, settings: impl FnOnce(&mut Settings) + 'static) -> Self {
        Self {
            settings: Box::new(settings),
            ..self
        }
    }

    pub(crate) fn text(self, text: impl FnOnce(String) -> String + 'static) -> Self {
        Self {
            text: Box::new(text),
            ..self
        }
    }

    pub(crate) async fn start(self) -> Edge {
        let services = ["products", "baskets", "orders", "collector"].map(Upstream::start);
        let mut settings = settings(&services);
        (self.settings)(&mut settings);
        let configuration = (self.text)(gateway::render(&settings).unwrap());
        if let Some(tls) = &settings.tls {
            std::fs::write(&tls.secret_file, gateway::certificate(tls)).unwrap();
        }
        let envoy = Envoy::start(&configuration);
        let client = client();
        let address = envoy.ready(&client).await;
        let [products, baskets, orders, collector] = services;
        let edge = Edge {
            products,
            baskets,
            orders,
            collector,
            address,
            client,
            envoy,
        };
        edge.envoy.all_services_are_known_to_be_ready(&edge.client).await;
        for upstream in [&edge.products, &edge.baskets, &edge.orders] {
            upstream.forget();
        }
        edge
    }
}

/// A gateway's in front of these, on a free port.
pub(crate) fn settings([products, baskets, orders, collector]: &[Upstream; 4]) -> Settings {
    let issuer = Issuer::shared().settings();
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin_port: 0,
        tls: None,
        trusted_hops: 0,
        cors_origins: Vec::new(),
        limits: Limits::USUAL,
        products: products.address().into(),
        baskets: baskets.address().into(),
        orders: orders.address().into(),
        away_after: Settings::AWAY_AFTER,
        issuer: issuer.auth_issuer,
        client_ids: issuer.auth_client_ids,
        jwks_url: issuer.auth_jwks_url,
        collector: Some(format!("http://{}", collector.address()).parse().unwrap()),
        sampling: Sampling::USUAL,
    }
}

/// Reads an answer that has to be a problem with all that a problem has.
pub(crate) async fn problem(response: Response) -> Problem {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], format!("urn:problem:{}", body["code"].as_str().unwrap()));
    let trace_id = body["trace_id"].as_str().unwrap_or_default();
    assert_eq!(trace_id.len(), 32, "{body}");
    assert_eq!(body["instance"], format!("urn:trace:{trace_id}"));
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    Problem {
        status,
        body,
        response: headers,
    }
}

/// Reads on until this has arrived, and gives back all that has.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + Unpin), awaited: &str) -> String {
    let mut arrived = String::new();
    let reading = async {
        while !arrived.contains(awaited) {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "closed after {arrived:?}");
            arrived.push_str(std::str::from_utf8(bytes.get(..count).unwrap()).unwrap());
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap();
    arrived
}

/// Asks again and again until there is something.
pub(crate) async fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this client stands for the world outside, which tries nothing again"
)]
pub(crate) fn client() -> Client {
    let builder = Client::builder()
        .timeout(DEADLINE)
        .redirect(reqwest::redirect::Policy::none());
    builder.build().unwrap()
}
