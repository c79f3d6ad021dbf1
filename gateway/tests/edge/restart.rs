//! `run-gateway`: one Envoy after the other, and what requests notice of it, which is nothing.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gateway::{Rate, Settings};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use shared::testing::Issuer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::harness::{DEADLINE, client, read_until, settings};
use crate::upstream::Upstream;
use crate::wire::{Certificates, Http2, free_port};

/// A `run-gateway` in front of servers, which ends with its test.
struct Supervised {
    process: Child,
    folder: TempDir,
    address: SocketAddr,
    metrics: SocketAddr,
    settings: Settings,
    services: [Upstream; 4],
}

impl Supervised {
    async fn start() -> Self {
        let supervised = Self::start_with(|_| ()).await;
        let began = Instant::now();
        let url = format!("http://{}/v1/products", supervised.address);
        while client().get(&url).send().await.is_err() {
            assert!(began.elapsed() < DEADLINE, "{}", supervised.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        supervised
    }

    async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let services = ["products", "baskets", "orders", "collector"].map(Upstream::start);
        let mut settings = settings(&services);
        let plenty = Rate {
            per_second: 1_000_000,
            burst: 1_000_000,
        };
        settings.listen = free_port();
        settings.limits.address = plenty;
        settings.limits.subject = plenty;
        change(&mut settings);
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("envoy.yaml"), gateway::render(&settings).unwrap()).unwrap();
        if let Some(tls) = &settings.tls {
            fs::write(&tls.secret_file, gateway::certificate(tls)).unwrap();
        }
        let metrics = free_port();
        let process = Command::new(env!("CARGO_BIN_EXE_run-gateway"))
            .env("METRICS_LISTEN", metrics.to_string())
            .args(["--drain-s", "2", "--linger-s", "4", "--base-id", &own_base_id()])
            .arg("--envoy")
            .arg(deploy_local::tools::envoy().unwrap())
            .arg("--config")
            .arg(file("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(file("admin"))
            .args(["--", "--concurrency", "2", "--log-level", "warning"])
            .stdin(Stdio::null())
            .stdout(File::create(file("access.log")).unwrap())
            .stderr(File::create(file("gateway.log")).unwrap())
            .spawn()
            .unwrap();
        let supervised = Self {
            process,
            folder,
            address: settings.listen,
            metrics,
            settings,
            services,
        };
        supervised.until(|info| info["state"] == "LIVE").await;
        supervised
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("gateway.log")).unwrap()
    }

    /// Waits for the newest Envoy to say this of itself.
    async fn until(&self, wanted: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        loop {
            if let Ok(address) = fs::read_to_string(self.file("admin"))
                && let Ok(answer) = client().get(format!("http://{address}/server_info")).send().await
                && let Ok(info) = answer.json().await
                && wanted(&info)
            {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a Prometheus is told.
    async fn counted(&self) -> String {
        let answer = client()
            .get(format!("http://{}/metrics", self.metrics))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// What its own binary says when it is asked.
    fn is_healthy(&self) -> bool {
        let mut healthcheck = Command::new(env!("CARGO_BIN_EXE_run-gateway"));
        healthcheck
            .arg("healthcheck")
            .env("ADMIN_ADDRESS_PATH", self.file("admin"));
        healthcheck.output().unwrap().status.success()
    }

    /// How many Envoys it has.
    fn envoys(&self) -> usize {
        let pid = self.process.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().count()
    }

    /// Waits until this Envoy serves, and none beside it.
    async fn until_replaced(&self, epoch: u32) {
        self.until(|info| info["state"] == "LIVE" && info["command_line_options"]["restart_epoch"] == epoch)
            .await;
        let began = Instant::now();
        while self.envoys() != 1 {
            assert!(began.elapsed() < DEADLINE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Which no other test has, nor another run of them.
fn own_base_id() -> String {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    (std::process::id() * 8 + TAKEN.fetch_add(1, Ordering::Relaxed)).to_string()
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            // So that it ends its Envoys too, which a kill would leave.
            self.signal(Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

/// Whoever goes on asking until told to stop. Each says how often it was answered, and over how many connections.
struct Load {
    enough: Arc<AtomicBool>,
    callers: Vec<JoinHandle<(usize, usize)>>,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let http1 = (0..4).map(|_| tokio::spawn(http1_caller(address, Arc::clone(&enough))));
        let http2 = (0..4).map(|_| tokio::spawn(http2_caller(address, Arc::clone(&enough))));
        Self {
            callers: http1.chain(http2).collect(),
            enough: Arc::clone(&enough),
        }
    }

    /// Fails if a request of any has.
    async fn stop(self, gateway: &Supervised) -> Vec<(usize, usize)> {
        self.enough.store(true, Ordering::Relaxed);
        let mut answered = Vec::new();
        for caller in self.callers {
            let counts = caller.await;
            assert!(counts.is_ok(), "{counts:?}\n{}", gateway.log());
            answered.extend(counts);
        }
        answered
    }
}

/// Keeps its connection until an answer says that it is the last. Writes are sent by it too, which nobody sends again.
async fn http1_caller(address: SocketAddr, enough: Arc<AtomicBool>) -> (usize, usize) {
    let (mut answered, mut connections) = (0, 0);
    let mut kept: Option<TcpStream> = None;
    while !enough.load(Ordering::Relaxed) {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => {
                connections += 1;
                TcpStream::connect(address).await.unwrap()
            }
        };
        let request = "POST /v1/baskets HTTP/1.1\r\nhost: shop\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answered += 1;
        if !answer.contains("\r\nconnection: close\r\n") {
            kept = Some(stream);
        }
    }
    (answered, connections)
}

/// Keeps its connection until it is told to go away.
async fn http2_caller(address: SocketAddr, enough: Arc<AtomicBool>) -> (usize, usize) {
    let (mut answered, mut connections) = (0, 0);
    let mut kept: Option<Http2> = None;
    while !enough.load(Ordering::Relaxed) {
        let http2 = match kept.take() {
            Some(http2) if http2.is_open().await => http2,
            Some(_) | None => {
                connections += 1;
                Http2::over(TcpStream::connect(address).await.unwrap()).await
            }
        };
        let answer = http2.get("/v1/products").await.unwrap();
        assert_eq!(answer.status, 200);
        answered += 1;
        kept = Some(http2);
    }
    (answered, connections)
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_envoy_under_load_costs_no_request() {
    let gateway = Supervised::start().await;
    let load = Load::on(gateway.address);
    gateway.signal(Signal::HUP);
    gateway.until_replaced(1).await;
    for (answered, connections) in load.stop(&gateway).await {
        assert!(answered > 50, "{answered}");
        assert!(connections >= 2, "it was never sent to the next Envoy");
    }
    let served: usize = gateway.services.iter().map(|service| service.seen().len()).sum();
    assert!(served > 400, "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_it_is_the_same_and_http_3_goes_on_with_the_next() {
    let certificates = Arc::new(Certificates::new());
    let gateway = Supervised::start_with(certificates.apply()).await;
    let (address, enough) = (gateway.address, Arc::new(AtomicBool::new(false)));
    let caller = tokio::spawn({
        let (certificates, enough) = (Arc::clone(&certificates), Arc::clone(&enough));
        async move {
            let mut connections = 0;
            while !enough.load(Ordering::Relaxed) {
                connections += 1;
                let http2 = Http2::over(certificates.connect(address, &["h2"]).await).await;
                while http2.is_open().await && !enough.load(Ordering::Relaxed) {
                    assert_eq!(http2.get("/v1/products").await.unwrap().status, 200);
                }
            }
            connections
        }
    });
    gateway.signal(Signal::HUP);
    gateway.until_replaced(1).await;
    enough.store(true, Ordering::Relaxed);
    assert!(caller.await.unwrap() >= 2, "it was never sent to the next Envoy");
    let (_client, http3) = certificates.http3(address).await;
    let answer = client()
        .get(format!("http://{http3}/v1/products"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn the_next_envoy_goes_by_what_the_file_says_then() {
    let mut gateway = Supervised::start().await;
    for burst in 1..=2 {
        gateway.settings.limits.address = Rate { per_second: 1, burst };
        fs::write(gateway.file("envoy.yaml"), gateway::render(&gateway.settings).unwrap()).unwrap();
        gateway.signal(Signal::HUP);
        gateway.until_replaced(burst).await;
        let url = format!("http://{}/v1/products", gateway.address);
        let answer = client().get(url).send().await.unwrap();
        assert_eq!(answer.headers()["ratelimit-limit"], burst.to_string().as_str());
    }
}

#[tokio::test]
async fn what_clients_get_is_counted_for_a_prometheus_and_for_nobody_else() {
    let gateway = Supervised::start().await;
    let edge = |class: u8, requests: u32| {
        let labels = format!("envoy_response_code_class=\"{class}\",envoy_http_conn_manager_prefix=\"edge\"");
        format!("\nenvoy_http_downstream_rq_xx{{{labels}}} {requests}\n")
    };
    // Clients are not told, which is a request of theirs like any other.
    let asked = client().get(format!("http://{}/metrics", gateway.address)).send();
    assert_eq!(asked.await.unwrap().status(), 404);
    let counted = gateway.counted().await;
    for (class, requests) in [(2, 1), (4, 1), (5, 0)] {
        assert!(counted.contains(&edge(class, requests)), "{class}: {counted}");
    }
    for told in [
        "\nenvoy_cluster_membership_healthy{envoy_cluster_name=\"orders\"} 1\n",
        "\nenvoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"products\"} 1\n",
        "\nenvoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"edge\",le=\"1000\"} ",
        "\nenvoy_server_live{} 1\n",
    ] {
        assert!(counted.contains(told), "{told}: {counted}");
    }
    // What dashboards and alarms ask for.
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/telemetry/metrics.json");
    let table: Vec<Value> = serde_json::from_slice(&fs::read(table).unwrap()).unwrap();
    let ours: Vec<_> = table.iter().filter(|row| row["services"][0] == "gateway").collect();
    assert!(!ours.is_empty());
    for row in ours {
        let (name, kind) = (row["name"].as_str().unwrap(), row["kind"].as_str().unwrap());
        assert!(
            counted.contains(&format!("# TYPE {name} {kind}\n")),
            "{name}: {counted}"
        );
        let series = counted.lines().filter(|line| line.starts_with(name));
        for label in row["attributes"].as_array().unwrap() {
            let label = format!("{}=", label.as_str().unwrap());
            assert!(
                series.clone().any(|line| line.contains(&label)),
                "{name}: {label}: {counted}"
            );
        }
    }
    let lines = counted.lines().filter(|line| !line.starts_with('#')).count();
    assert!(lines < 300, "{lines} series: {counted}");

    let other = client().get(format!("http://{}/quitquitquit", gateway.metrics)).send();
    assert_eq!(other.await.unwrap().status(), 404);
    let posted = client().post(format!("http://{}/metrics", gateway.metrics)).send();
    assert_eq!(posted.await.unwrap().status(), 404);
    gateway.signal(Signal::HUP);
    gateway.until_replaced(1).await;
    // The next one goes on where the one before was.
    let counted = gateway.counted().await;
    assert!(counted.contains(&edge(4, 1)), "{counted}");
}

#[tokio::test]
async fn a_configuration_that_is_wrong_replaces_nothing() {
    let gateway = Supervised::start().await;
    fs::write(gateway.file("envoy.yaml"), "static_resources: 1").unwrap();
    gateway.signal(Signal::HUP);
    let began = Instant::now();
    while !gateway.log().contains("not replaced: ") {
        assert!(began.elapsed() < DEADLINE, "{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let url = format!("http://{}/v1/products", gateway.address);
    assert_eq!(client().get(url).send().await.unwrap().status(), 200);
    assert_eq!(gateway.envoys(), 1);
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_tells_that_it_stops() {
    let mut gateway = Supervised::start().await;
    assert!(gateway.is_healthy());
    let token = Issuer::shared().merchant();
    let mut import = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /v1/products/import HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n\
         content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"
    );
    import.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut import, "1\n").await;
    let mut watched = TcpStream::connect(gateway.address).await.unwrap();
    gateway.signal(Signal::TERM);
    let began = Instant::now();
    loop {
        watched
            .write_all(b"GET /readyz HTTP/1.1\r\nhost: shop\r\n\r\n")
            .await
            .unwrap();
        let ready = read_until(&mut watched, "\r\n\r\n").await;
        if ready.starts_with("HTTP/1.1 503 ") {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "{ready}");
    }
    assert!(
        !gateway.is_healthy(),
        "it is told to send requests to a gateway that stops"
    );
    import.write_all(b"2\r\nbb\r\n0\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    import.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("2\n") && rest.ends_with("0\r\n\r\n"), "{rest:?}");
    assert!(gateway.process.wait().unwrap().success(), "{}", gateway.log());
    assert!(!gateway.is_healthy());
}
