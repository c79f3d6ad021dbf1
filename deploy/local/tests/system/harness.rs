//! The services' binaries, a system of one test's own, scenes of one test, and requests that are repeated until they are
//! answered.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use deploy_local::instance::Folder;
use deploy_local::ports::Wishes;
use deploy_local::system::{Catalog, Options, Progress};
use deploy_local::{Part, System, loopback, tools};
use futures_util::FutureExt;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long anything may take in a system that is being crashed on a busy machine: a message that a killed consumer was
/// just being handed is hidden for half a minute, and that can happen to it twice.
pub(crate) const SOON: Duration = Duration::from_secs(180);

/// Scenes of one test that run in turn, each to its end or its failure. One test function for all of them holds one slot of
/// libtest; functions that wait for each other, or for a system that they share, would hold several and use one.
#[derive(Default)]
pub(crate) struct Scenes {
    failed: Vec<&'static str>,
}

impl Scenes {
    /// Runs one scene. Its panic ends this scene only.
    pub(crate) async fn run(&mut self, name: &'static str, scene: impl Future<Output = ()>) {
        let began = Instant::now();
        let ended = AssertUnwindSafe(scene).catch_unwind().await;
        let outcome = if ended.is_ok() { "ok" } else { "FAILED" };
        let mut err = io::stderr().lock();
        writeln!(err, "scene {name}: {outcome} after {:.1?}", began.elapsed()).unwrap();
        if ended.is_err() {
            self.failed.push(name);
        }
    }

    /// Fails with the names of all scenes that failed; their messages were printed when they did.
    pub(crate) fn finish(self) {
        assert!(self.failed.is_empty(), "failed scenes: {}", self.failed.join(", "));
    }
}

/// The folder with the services' binaries, as the workspace's tests have them.
pub(crate) fn binaries() -> &'static Path {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let folder = own.ancestors().nth(2).unwrap().to_owned();
        build(folder.file_name().unwrap().to_str().unwrap());
        folder
    })
}

/// Nothing to do after `cargo test --workspace`. Any other choice of packages would choose other features, and compile
/// everything a second time.
fn build(profile: &str) {
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    cargo
        .current_dir(tools::checkout())
        .args(["test", "--workspace", "--no-run", "--quiet"]);
    if profile != "debug" {
        cargo.args(["--profile", profile]);
    }
    assert!(cargo.status().unwrap().success(), "the workspace does not compile");
}

/// A folder for the data of one test, gone with the value.
pub(crate) fn folder() -> (TempDir, Folder) {
    let temporary = tempfile::Builder::new().prefix("local-").tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("data"));
    (temporary, folder)
}

/// A running system with any ports.
pub(crate) async fn system(folder: &Folder, catalog: Catalog) -> System {
    system_with(folder, catalog, BTreeMap::new()).await
}

/// The same, with these settings too.
pub(crate) async fn system_with(folder: &Folder, catalog: Catalog, settings: BTreeMap<String, String>) -> System {
    system_at(folder, catalog, settings, Wishes::any()).await
}

/// The same, on these ports.
pub(crate) async fn system_at(
    folder: &Folder,
    catalog: Catalog,
    mut settings: BTreeMap<String, String>,
    ports: Wishes,
) -> System {
    // Checkouts are asked for again soon, so that a test does not wait for lost messages.
    let soon = settings.entry("CHECKOUT_RETRY_S".to_owned());
    soon.or_insert_with(|| "3".to_owned());
    let options = Options {
        folder: folder.clone(),
        ports,
        binaries: binaries().to_owned(),
        catalog,
        customers: Vec::new(),
        settings,
        progress: Progress::Hidden,
    };
    System::start(options).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Sends a request until it is answered with anything but "come back later", as a patient client does.
///
/// Only for requests that may be repeated. Gives up after [`SOON`], with the last answer.
pub(crate) async fn patiently(request: RequestBuilder) -> (StatusCode, Value) {
    let deadline = Instant::now() + SOON;
    loop {
        let last = match request.try_clone().unwrap().send().await {
            Ok(answer) if !comes_later(answer.status()) => {
                let status = answer.status();
                return (status, answer.json().await.unwrap_or(Value::Null));
            }
            Ok(answer) => format!("{} {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(error) => format!("{error:?}"),
        };
        assert!(Instant::now() < deadline, "no answer within {SOON:?}: {last}");
        sleep(Duration::from_millis(200)).await;
    }
}

fn comes_later(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Asks again and again until the answer is as `wanted`.
pub(crate) async fn until(request: RequestBuilder, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + SOON;
    loop {
        let (status, body) = patiently(request.try_clone().unwrap()).await;
        if status.is_success() && wanted(&body) {
            return body;
        }
        assert!(Instant::now() < deadline, "not {what} within {SOON:?}: {status} {body}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Looks again and again until it is so.
pub(crate) async fn holds(or_else: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !so() {
        assert!(Instant::now() < deadline, "{or_else}, not within {SOON:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn http() -> reqwest::Client {
    loopback::http().unwrap()
}

/// `cargo local`, for this folder.
pub(crate) fn local(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.arg("--data").arg(folder.path());
    command
}

/// What that command does with these arguments.
pub(crate) async fn run_local(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = local(folder);
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap()
}

/// Options of `up` that take no port which another test may want.
pub(crate) fn any_ports() -> impl Iterator<Item = String> {
    let parts = Part::ALL.into_iter().map(|part| format!("--{part}-port=0"));
    parts.chain(["--admin-port=0".to_owned()])
}
