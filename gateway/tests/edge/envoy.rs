//! An Envoy process that ends with its test.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::DEADLINE;

/// Kills it when dropped.
pub(crate) struct Envoy {
    process: Child,
    folder: TempDir,
}

impl Envoy {
    pub(crate) fn start(configuration: &str) -> Self {
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

    pub(crate) fn access_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).unwrap()
    }

    /// Where it listens, once it does.
    pub(crate) async fn ready(&self, client: &Client) -> SocketAddr {
        let started = Instant::now();
        loop {
            match self.listener(client).await {
                Ok(address) => return address,
                Err(error) => assert!(started.elapsed() < DEADLINE, "{error}\n{}", self.log()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Until it has asked each service.
    pub(crate) async fn all_services_are_known_to_be_ready(&self, client: &Client) {
        let started = Instant::now();
        loop {
            let said = self
                .admin(
                    client,
                    "stats?filter=cluster.(products|baskets|orders).membership_healthy",
                )
                .await;
            if said.lines().filter(|line| !line.ends_with(": 0")).count() == 3 {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "{said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What its admin interface answers.
    pub(crate) async fn admin(&self, client: &Client, path: &str) -> String {
        let address = self.admin_address().unwrap();
        let answer = client.get(format!("http://{address}/{path}")).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    fn admin_address(&self) -> io::Result<String> {
        fs::read_to_string(self.folder.path().join("admin"))
    }

    async fn listener(&self, client: &Client) -> Result<SocketAddr, Box<dyn std::error::Error>> {
        let admin = self.admin_address()?;
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
