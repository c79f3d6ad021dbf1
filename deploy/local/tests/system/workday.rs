//! One day of a whole system, with everything in it that ever happens, and witnesses on every side: which calls to AWS each
//! service made, what it logged, what it exported to the collector. One test runs the day and all checks of it.

mod people;
mod shop;
mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use deploy_local::instance::Folder;
use deploy_local::ports::Wishes;
use deploy_local::relay::{NoAnswer, Onward, Relay};
use deploy_local::system::{Catalog, Options, Progress};
use deploy_local::{Part, System, loopback};
use hyper::Response;
use serde_json::Value;

use self::people::Known;
use crate::harness::{self, Scenes};
use crate::privilege::{self, Call, Statement};
use crate::secrecy;

/// What is known when the day is over.
pub(crate) struct Day {
    /// By service.
    pub(crate) calls: BTreeMap<Part, BTreeSet<Call>>,
    /// By service: what its role may do.
    pub(crate) policies: BTreeMap<Part, Vec<Statement>>,
    /// By who wrote it: logs, access log, mails, spans and metrics, with a line feed for each byte that is no text.
    pub(crate) written: BTreeMap<String, String>,
    /// What nobody may have written.
    pub(crate) known: Known,
}

/// Panics where the day is not as it has to be.
type Check = fn(&Day);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_day_reveals_no_secret_and_uses_each_permission() {
    let day = live().await;
    let checks: [(&str, Check); 5] = [
        (
            "each service may do what it does and nothing else",
            privilege::policies_allow_exactly_the_calls,
        ),
        (
            "a permission taken away or added is noticed",
            privilege::changed_policies_are_noticed,
        ),
        ("written texts are complete", secrecy::written_texts_are_complete),
        ("written texts hold no secret", secrecy::written_texts_hold_no_secret),
        ("planted secrets are found", secrecy::planted_secrets_are_found),
    ];
    let mut scenes = Scenes::default();
    for (name, check) in checks {
        scenes.run(name, async { check(&day) }).await;
    }
    scenes.finish();
}

/// Calls and telemetry on their way, and whether the tables answer at the moment.
#[derive(Default)]
pub(crate) struct Witness {
    calls: Mutex<BTreeMap<Part, BTreeSet<Call>>>,
    exported: Mutex<Vec<u8>>,
    tables_away: AtomicBool,
}

impl Witness {
    /// Has the tables answer nothing, or again.
    pub(crate) fn tables_away(&self, away: bool) {
        self.tables_away.store(away, Ordering::Relaxed);
    }

    async fn pass(&self, onward: Onward, request: hyper::Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        if let Some((part, calls)) = Call::of(&request) {
            let about_tables = calls.iter().any(|call| call.action.starts_with("dynamodb:"));
            if about_tables && self.tables_away.load(Ordering::Relaxed) {
                return Err(NoAnswer);
            }
            self.calls.lock().unwrap().entry(part).or_default().extend(calls);
        }
        onward.pass(request).await
    }

    /// As a collector does.
    fn collect(&self, request: &hyper::Request<Bytes>) -> Response<Bytes> {
        let mut exported = self.exported.lock().unwrap();
        exported.extend_from_slice(request.body());
        exported.push(b'\n');
        Response::new(Bytes::new())
    }
}

async fn live() -> Day {
    let (_temporary, folder) = harness::folder();
    let witness = Arc::new(Witness::default());
    let (mut system, relays) = start(&folder, &witness).await;
    let mut known = Known::of(&system, &folder).await;
    shop::work(&system, &mut known).await;
    troubles::endure(&mut system, &witness, &mut known).await;
    let mut policies = BTreeMap::new();
    for part in Part::SERVICES {
        policies.insert(part, Statement::all_of(&system.url(Part::Ministack), part).await);
    }
    // The last spans and metrics are exported at the stop.
    system.stop().await.unwrap_or_else(|error| panic!("{error:#}"));
    drop(relays);
    let exported = std::mem::take(&mut *witness.exported.lock().unwrap());
    let calls = std::mem::take(&mut *witness.calls.lock().unwrap());
    Day {
        calls,
        policies,
        written: written(&folder, &exported),
        known,
    }
}

async fn start(folder: &Folder, witness: &Arc<Witness>) -> (System, Vec<Relay>) {
    let mut ports = Wishes::any();
    let mut led = async |part: Part| {
        let port = loopback::free_port().unwrap();
        ports.parts.insert(part, port);
        let (witness, onward) = (Arc::clone(witness), Onward::to(port));
        let meet = move |request| {
            let (witness, onward) = (Arc::clone(&witness), onward.clone());
            async move { witness.pass(onward, request).await }
        };
        Relay::start(meet).await.unwrap()
    };
    let (tables, cloud) = (led(Part::Tables).await, led(Part::Ministack).await);
    let collector = {
        let witness = Arc::clone(witness);
        let collect = move |request| {
            let answer = witness.collect(&request);
            async move { Ok(answer) }
        };
        Relay::start(collect).await.unwrap()
    };
    let settings = [
        ("AWS_ENDPOINT_URL_DYNAMODB", tables.url()),
        ("AWS_ENDPOINT_URL", cloud.url()),
        ("AWS_SECRET_ACCESS_KEY", people::AWS_SECRET.to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("LOG_FORMAT", "json".to_owned()),
        // As somebody has it who looks for a fault.
        (
            "LOG_LEVEL",
            "info,shared=debug,product_service=debug,basket_service=debug,order_service=debug".to_owned(),
        ),
        ("CHECKOUT_RETRY_S", "3".to_owned()),
        ("PAYMENT_TIMEOUT_MS", "2000".to_owned()),
        // Time for another token after one that was declined.
        ("PAYMENT_RETRY_S", "2".to_owned()),
    ];
    let options = Options {
        folder: folder.clone(),
        ports,
        binaries: harness::binaries().to_owned(),
        catalog: Catalog::Empty,
        customers: people::CUSTOMERS.map(str::to_owned).to_vec(),
        settings: settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        progress: Progress::Hidden,
    };
    let system = System::start(options).await.unwrap_or_else(|error| panic!("{error:#}"));
    (system, vec![tables, cloud, collector])
}

fn written(folder: &Folder, exported: &[u8]) -> BTreeMap<String, String> {
    let parts = Part::SERVICES.map(Part::name).into_iter();
    let logs = parts.chain([Part::Gateway.name(), "mail"]);
    let logs = logs.map(|name| (name.to_owned(), fs::read(folder.log(name)).unwrap_or_default()));
    let all = logs.chain([("spans and metrics".to_owned(), exported.to_vec())]);
    all.map(|(name, bytes)| (name, text_of(&bytes))).collect()
}

/// What can be read in it: protobuf holds its texts as they are.
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|letter| {
            if letter.is_control() || letter == char::REPLACEMENT_CHARACTER {
                '\n'
            } else {
                letter
            }
        })
        .collect()
}

/// The text at this place of an answer.
pub(crate) fn text<'a>(body: &'a Value, pointer: &str) -> &'a str {
    let found = body.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {pointer} in {body}"))
}
