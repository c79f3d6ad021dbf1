//! The service as a process: started by its settings alone, asked for its health, stopped by a signal, small
//! however much goes through it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Output, Stdio};

use deploy_local::{Cloud, Deployment, Stack, catalog};
use reqwest::Body;
use serde_json::{Value, json};
use shared::outgoing::Outgoing;
use shared::testing::{CLIENT_ID, Issuer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

const BINARY: &str = env!("CARGO_BIN_EXE_product-service");

pub(crate) fn command() -> Command {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) fn settings(deployment: &Deployment) -> BTreeMap<String, String> {
    let auth = Issuer::shared().settings();
    let own = [
        ("BIND", "127.0.0.1:0"),
        ("WORKERS", "2"),
        // Nobody balances in front.
        ("LINGER_MS", "0"),
        ("AUTH_ISSUER", &auth.auth_issuer),
        ("AUTH_JWKS_URL", auth.auth_jwks_url.as_str()),
        ("AUTH_CLIENT_IDS", CLIENT_ID),
        ("SHOP_CURRENCY", "USD"),
        ("CURSOR_KEYS", "a-key-of-tests-that-has-32-letters-or-more"),
    ];
    let mut settings: BTreeMap<_, _> = deployment.settings().into_iter().collect();
    settings.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    settings
}

pub(crate) async fn start(command: &mut Command) -> (Child, String) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let line: Value = serde_json::from_str(&line).unwrap();
        if let Some(port) = line["port"].as_u64() {
            // Whoever stops reading stops the process that writes.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, format!("127.0.0.1:{port}"));
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
    let (mut child, address) = start(command().envs(settings(&deployment))).await;
    let http = Outgoing::new().unwrap().http;
    let import = async |rows: u32| {
        let lines = catalog::ndjson(catalog::generated(rows)).map(Ok::<_, std::io::Error>);
        let request = http.post(format!("http://{address}/v1/products/import"));
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

    terminate(&child).await;
    assert!(child.wait().await.unwrap().success());
}

pub(crate) async fn terminate(child: &Child) {
    let id = child.id().unwrap().to_string();
    Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
}

/// What `healthcheck` says, told like that where to ask.
async fn healthcheck(told: impl FnOnce(&mut Command) -> &mut Command) -> (Option<i32>, String) {
    let mut command = command();
    let Output { status, stderr, .. } = told(command.arg("healthcheck")).output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn it_is_asked_for_its_health_by_its_own_binary() {
    let deployment = Cloud::for_tests().deploy(&[Stack::Product]).await.unwrap();
    let (mut well, address) = start(command().envs(settings(&deployment))).await;
    let mut nowhere = settings(&deployment);
    nowhere.insert("PRODUCTS_TABLE".to_owned(), "no-such-table".to_owned());
    let (_ill, of_the_ill) = start(command().envs(nowhere)).await;

    assert_eq!(
        healthcheck(|it| it.env("BIND", &address)).await,
        (Some(0), String::new())
    );
    // As in a container, which listens on every address.
    let everywhere = address.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(healthcheck(|it| it.args(["--bind", &everywhere])).await.0, Some(0));
    let everywhere = address.replace("127.0.0.1", "[::]");
    let (code, said) = healthcheck(|it| it.env("BIND", everywhere)).await;
    assert_eq!(code, Some(1), "it does not listen on IPv6: {said}");
    let (code, said) = healthcheck(|it| it.env("BIND", &of_the_ill)).await;
    assert_eq!((code, said.contains(" 503 ")), (Some(1), true), "{said}");
    assert_eq!(healthcheck(|it| it.env("BIND", "nowhere")).await.0, Some(2));

    terminate(&well).await;
    assert!(well.wait().await.unwrap().success());
    let (code, said) = healthcheck(|it| it.env("BIND", &address)).await;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
}

#[tokio::test]
async fn every_setting_can_be_a_file_and_what_is_given_itself_is_stronger() {
    let deployment = Cloud::for_tests().deploy(&[Stack::Product]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut files = command();
    for (name, value) in settings(&deployment) {
        // The AWS SDK reads its own settings itself, as it is used to.
        if name.starts_with("AWS_") {
            files.env(name, value);
        } else {
            let file = folder.path().join(&name);
            fs::write(&file, format!("{value}\n")).unwrap();
            files.env(format!("{name}_FILE"), file);
        }
    }
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "neither this nor that").unwrap();
    // Each of these would end the start.
    files.env("WORKERS", "2").env("WORKERS_FILE", "/no/such/file");
    files.args(["--log-format", "json", "--log-level=info"]);
    files
        .env("LOG_FORMAT_FILE", &wrong)
        .env("LOG_LEVEL_FILE", "/no/such/file");
    let (_child, address) = start(&mut files).await;
    let asked = folder.path().join("BIND");
    fs::write(&asked, &address).unwrap();
    assert_eq!(
        healthcheck(|it| it.env("BIND_FILE", &asked)).await,
        (Some(0), String::new())
    );

    for (file, named) in [
        (wrong.as_path(), "SHUTDOWN_S"),
        ("/no/such/file".as_ref(), "SHUTDOWN_S_FILE"),
    ] {
        let refused = files.env("SHUTDOWN_S_FILE", file).output().await.unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(named) && said.lines().count() == 1, "{said}");
    }
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
