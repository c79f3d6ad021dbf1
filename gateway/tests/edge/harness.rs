//! An Envoy of its own for each test, with the upstreams it leads to and a client that takes answers as they are.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gateway::Settings;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use shared::testing::Issuer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// An Envoy that ends with its test.
struct Envoy {
    process: Child,
    folder: TempDir,
}

/// A problem, as a client gets it.
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) response: http::HeaderMap,
}

impl Edge {
    pub(crate) async fn start() -> Self {
        Self::start_changed(|configuration| configuration).await
    }

    /// With a configuration that differs where a test could not wait as long as a client has to.
    pub(crate) async fn start_changed(change: impl FnOnce(String) -> String) -> Self {
        let issuer = Issuer::shared().settings();
        let [products, baskets, orders, collector] =
            ["products", "baskets", "orders", "collector"].map(Upstream::start);
        let configuration = gateway::render(&Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_port: 0,
            products: products.address().into(),
            baskets: baskets.address().into(),
            orders: orders.address().into(),
            issuer: issuer.auth_issuer,
            client_ids: issuer.auth_client_ids,
            jwks_url: issuer.auth_jwks_url,
            collector: Some(format!("http://{}", collector.address()).parse().unwrap()),
        })
        .unwrap();
        let envoy = Envoy::start(&change(configuration));
        let client = client();
        let address = envoy.ready(&client).await;
        let edge = Self {
            products,
            baskets,
            orders,
            collector,
            address,
            client,
            envoy,
        };
        edge.all_services_are_known_to_be_ready().await;
        edge
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

    /// All that reached a service, whichever.
    pub(crate) fn reached_services(&self) -> usize {
        [&self.products, &self.baskets, &self.orders]
            .iter()
            .map(|upstream| upstream.seen().len())
            .sum()
    }

    /// The access log, once it has a line with this in it.
    pub(crate) async fn access_log(&self, awaited: &str) -> String {
        let log = self.envoy.folder.path().join("access.log");
        until("the access log", || {
            let lines = fs::read_to_string(&log).unwrap();
            lines.contains(awaited).then_some(lines)
        })
        .await
    }

    async fn all_services_are_known_to_be_ready(&self) {
        for path in [
            "/v1/products",
            "/v1/baskets/g_00000000000000000000000000000000",
            "/docs/orders/",
        ] {
            let started = Instant::now();
            while self.get(path).send().await.unwrap().status() != 200 {
                assert!(started.elapsed() < DEADLINE, "{path} is never answered");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        for upstream in [&self.products, &self.baskets, &self.orders] {
            upstream.forget();
        }
    }
}

impl Envoy {
    fn start(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("envoy.yaml"), configuration).unwrap();
        let process = Command::new(deploy_local::tools::envoy().unwrap())
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
            .args(["--file-flush-interval-msec", "50"])
            .arg("--config-path")
            .arg(file("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(file("admin"))
            .stdin(Stdio::null())
            .stdout(File::create(file("access.log")).unwrap())
            .stderr(File::create(file("envoy.log")).unwrap())
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    /// Where it listens, once it does.
    async fn ready(&self, client: &Client) -> SocketAddr {
        let started = Instant::now();
        loop {
            match self.listener(client).await {
                Ok(address) => return address,
                Err(error) => assert!(started.elapsed() < DEADLINE, "{error}\n{}", self.log()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn listener(&self, client: &Client) -> Result<SocketAddr, Box<dyn std::error::Error>> {
        let admin = fs::read_to_string(self.folder.path().join("admin"))?;
        client
            .get(format!("http://{admin}/ready"))
            .send()
            .await?
            .error_for_status()?;
        let listeners: Value = client
            .get(format!("http://{admin}/listeners?format=json"))
            .send()
            .await?
            .json()
            .await?;
        let socket = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
        let port = socket["port_value"]
            .as_u64()
            .ok_or_else(|| io::Error::other("no listener yet"))?;
        Ok(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?)))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("envoy.log")).unwrap_or_default()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Nothing to be done about an Envoy that cannot be ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
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
pub(crate) async fn read_until(stream: &mut TcpStream, awaited: &str) -> String {
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
fn client() -> Client {
    let builder = Client::builder()
        .timeout(DEADLINE)
        .redirect(reqwest::redirect::Policy::none());
    builder.build().unwrap()
}
