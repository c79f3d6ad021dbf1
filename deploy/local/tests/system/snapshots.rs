//! ministack in its container: what is left of it when it is killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use deploy_local::{aws, loopback, tools};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Duration, Instant, sleep};

use crate::harness::{SOON, http};

/// What its image runs, and its address.
async fn start(state: &Path) -> (Child, String) {
    let port = loopback::free_port().unwrap();
    let folder = state.display().to_string();
    // As in the Dockerfile.
    let settings = BTreeMap::from([
        ("BIND_HOST", "127.0.0.1".to_owned()),
        ("MINISTACK_HOST", "127.0.0.1".to_owned()),
        ("GATEWAY_PORT", port.to_string()),
        ("PERSIST_STATE", "1".to_owned()),
        ("STATE_DIR", folder.clone()),
        ("S3_DATA_DIR", format!("{folder}/s3")),
        ("HOME", folder),
        ("LOG_LEVEL", "WARNING".to_owned()),
        ("IOT_MTLS_ENABLED", "0".to_owned()),
        ("SFTP_ENABLED", "0".to_owned()),
        ("DOCKER_HOST", "unix:///nonexistent".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("SNAPSHOT_SECONDS", "0.3".to_owned()),
    ]);
    let ministack = Command::new(tools::ministack().unwrap())
        .arg(tools::checkout().join("deploy/docker/run-ministack.py"))
        .env_clear()
        .envs(settings)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let health = format!("{url}/_ministack/health");
    until("ministack answers", async || http().get(&health).send().await.is_ok()).await;
    (ministack, url)
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A service's part of the last snapshot.
fn part(state: &Path, service: &str) -> PathBuf {
    state.join("now").join(format!("{service}.json"))
}

async fn written(state: &Path, service: &str, what: &str) {
    let path = part(state, service);
    until(what, async || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains(what))
    })
    .await;
}

async fn queues(url: &str) -> Vec<String> {
    let sqs = aws_sdk_sqs::Client::new(&aws::config(url));
    let urls = sqs.list_queues().send().await.unwrap().queue_urls.unwrap_or_default();
    let mut names: Vec<_> = urls
        .iter()
        .filter_map(|url| url.rsplit('/').next())
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ministack_that_is_killed_comes_back_as_it_was_a_moment_ago() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let (mut ministack, url) = start(state).await;
    let sqs = aws_sdk_sqs::Client::new(&aws::config(&url));
    sqs.create_queue().queue_name("orders").send().await.unwrap();
    written(state, "sqs", "orders").await;
    let file = fs::metadata(part(state, "sqs")).unwrap().ino();
    let bus = aws_sdk_eventbridge::Client::new(&aws::config(&url));
    bus.create_event_bus().name("shop").send().await.unwrap();
    written(state, "eventbridge", "shop").await;
    let same = fs::metadata(part(state, "sqs")).unwrap().ino();
    assert_eq!(file, same, "what did not change was written again");
    ministack.kill().await.unwrap();

    let (mut ministack, url) = start(state).await;
    assert_eq!(queues(&url).await, ["orders"]);
    let sqs = aws_sdk_sqs::Client::new(&aws::config(&url));
    sqs.create_queue().queue_name("payments").send().await.unwrap();
    let pid = Pid::from_raw(i32::try_from(ministack.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(ministack.wait().await.unwrap().success());
    written(state, "sqs", "payments").await;

    // As it was written before there were snapshots.
    let snapshot = state.join("now").canonicalize().unwrap();
    for file in fs::read_dir(&snapshot).unwrap().map(Result::unwrap) {
        fs::rename(file.path(), state.join(file.file_name())).unwrap();
    }
    fs::remove_file(state.join("now")).unwrap();
    fs::remove_dir(&snapshot).unwrap();
    let (mut ministack, url) = start(state).await;
    assert_eq!(queues(&url).await, ["orders", "payments"]);
    ministack.kill().await.unwrap();
}
