//! The service as a process: started by its settings alone, stopped by a signal, small however much goes
//! through it.

use std::process::Stdio;

use deploy_local::{Cloud, Deployment, Stack, catalog};
use reqwest::Body;
use serde_json::{Value, json};
use shared::outgoing::Outgoing;
use shared::testing::{CLIENT_ID, Issuer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

const BINARY: &str = env!("CARGO_BIN_EXE_product-service");

fn command() -> Command {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn start(deployment: &Deployment) -> (Child, String) {
    let auth = Issuer::shared().settings();
    let mut command = command();
    command
        .envs(deployment.settings())
        .env("BIND", "127.0.0.1:0")
        .env("WORKERS", "2")
        .env("AUTH_ISSUER", auth.auth_issuer)
        .env("AUTH_JWKS_URL", auth.auth_jwks_url.as_str())
        .env("AUTH_CLIENT_IDS", CLIENT_ID)
        .env("SHOP_CURRENCY", "USD")
        .env("CURSOR_KEYS", "a-key-of-tests-that-has-32-letters-or-more");
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let line: Value = serde_json::from_str(&line).unwrap();
        if let Some(port) = line["port"].as_u64() {
            // Whoever stops reading stops the process that writes.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, format!("http://127.0.0.1:{port}"));
        }
    }
    panic!("it ended before it listened");
}

/// Resident memory in MB.
fn resident(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes / 1024
}

#[tokio::test]
async fn an_import_of_any_length_goes_through_a_small_process() {
    let deployment = Cloud::for_tests().deploy(&[Stack::Product]).await.unwrap();
    let (mut child, url) = start(&deployment).await;
    let http = Outgoing::new().unwrap().http;
    let import = async |rows: u32| {
        let lines = catalog::ndjson(catalog::generated(rows)).map(Ok::<_, std::io::Error>);
        let request = http.post(format!("{url}/v1/products/import"));
        let request = request.bearer_auth(Issuer::shared().merchant());
        let request = request.header("content-type", "application/x-ndjson");
        let request = request.timeout(std::time::Duration::from_secs(300));
        let mut response = request
            .body(Body::wrap_stream(tokio_stream::iter(lines)))
            .send()
            .await
            .unwrap();
        let mut last = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            last = chunk.to_vec();
        }
        let last = String::from_utf8(last).unwrap();
        let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
        last["summary"].clone()
    };
    // Everything that it keeps once is there after the first rows.
    import(500).await;
    let before = resident(&child);
    let rows = 5_000;
    let summary = import(rows).await;
    assert_eq!(
        (&summary["created"], &summary["unchanged"]),
        (&json!(rows - 500), &json!(500))
    );
    let after = resident(&child);
    println!("resident before {before} MB, after {rows} rows {after} MB");
    // All rows at once would be ten times that.
    assert!(after < before + 25, "{before} MB before, {after} MB after");

    let id = child.id().unwrap().to_string();
    Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_setting_that_is_missing_is_named_in_one_line() {
    let mut child = command().env("BIND", "127.0.0.1:0").spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(2));
    assert_eq!(said.lines().count(), 1, "{said}");
    for name in [
        "PRODUCTS_TABLE",
        "EVENT_BUS",
        "CURSOR_KEYS",
        "SHOP_CURRENCY",
        "AUTH_ISSUER",
    ] {
        assert!(said.contains(name), "{said}");
    }
}
