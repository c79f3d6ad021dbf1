//! What services log: lines that name their trace, a failure once, and in more detail when somebody wants to see more.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deploy_local::collector::{self, Collector, Span};
use deploy_local::instance::Folder;
use deploy_local::ports::Wishes;
use deploy_local::relay::{NoAnswer, Onward, Relay};
use deploy_local::system::Catalog;
use deploy_local::{Part, System, loopback};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::dead_letters::publish;
use crate::harness::{self, SOON, http};

const NOBODYS: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test(flavor = "multi_thread")]
async fn lines_name_their_trace_a_failure_is_told_once_and_levels_change_while_it_runs() {
    let (_temporary, folder) = harness::folder();
    fs::create_dir_all(folder.path()).unwrap();
    let levels = folder.path().join("levels");
    fs::write(&levels, "info\n").unwrap();
    let collector = Collector::start(folder.path().join("spans.ndjson")).unwrap();
    let (mut ports, tables) = (Wishes::any(), Tables::to(loopback::free_port().unwrap()).await);
    ports.parts.insert(Part::Tables, tables.port);
    let settings = [
        ("LOG_FORMAT", "json"),
        ("LOG_LEVEL_FILE", levels.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_DYNAMODB", &tables.relay.url()),
        (collector::ENDPOINT, collector.url()),
        (collector::SPANS_EVERY_MS, "200"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut system = harness::system_at(&folder, Catalog::Empty, BTreeMap::from(settings), ports).await;

    // A message that cannot be read, and requests of which something is away.
    publish(&system, &json!({"order_id": "no id", "lines": "none"}).to_string()).await;
    system.kill(Part::ProductService).await.unwrap();
    let token = system.token("customer").await.unwrap();
    let failing = failing(&system, &token);
    for (number, request) in failing.into_iter().enumerate() {
        let answer = in_trace(request, number).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{number}");
    }
    tables.away.store(true, Ordering::Relaxed);
    let order = http().get(order_of_nobody(&system)).bearer_auth(&token);
    let answer = in_trace(order, FAILING).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    // Why a service is not ready is told too, once, and that it is again.
    until(&folder, "readiness", |line| line["message"] == NOT_READY).await;
    tables.away.store(false, Ordering::Relaxed);
    until(&folder, "readiness again", |line| line["message"] == "ready again").await;
    for number in 0..=FAILING {
        let told = about(&folder, number);
        assert_eq!(told.len(), 1, "{number}: {told:#?}");
        assert_eq!(told[0]["message"], "a request failed");
    }
    errors_have_their_kind(&collector).await;
    // Those who watch over services ask every second, and are in no trace.
    let probes = collector
        .spans()
        .unwrap()
        .into_iter()
        .filter(|span| span.name.ends_with("z"));
    assert_eq!(probes.collect::<Vec<_>>(), Vec::<Span>::new());

    // A refusal is nothing that an operator hears of, unless asked for; then it names its trace too.
    let refused = |number| in_trace(http().get(order_of_nobody(&system)).bearer_auth(&token), number);
    assert_eq!(refused(10).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    fs::write(&levels, "info,shared=debug").unwrap();
    system.hang_up(Part::OrderService).unwrap();
    until(&folder, "new levels", |line| line["levels"] == "info,shared=debug").await;
    assert_eq!(refused(11).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let line = until(&folder, "the refusal", |line| {
        line["message"] == "a request was refused"
    })
    .await;
    assert_eq!(line["trace_id"], trace(11));
    fs::write(&levels, "info,shared=loud").unwrap();
    system.hang_up(Part::OrderService).unwrap();
    let kept = until(&folder, "a refusal of levels", |line| {
        line["message"] == "SIGHUP: the levels stay as they are"
    });
    assert!(kept.await["error"].as_str().unwrap().starts_with("setting LOG_LEVEL: "));

    // The message was tried five times; when it is given up that is told, with why.
    let buried = until(&folder, "the message", |line| {
        line["message"] == "a message is now a dead letter"
    })
    .await;
    assert!(buried["why"].is_string() && buried["tries"] == 5, "{buried}");
    let lines = lines(&folder);
    let of_messages = lines.iter().filter(|line| line["span"]["name"] == "messaging.process");
    let heard: Vec<_> = of_messages.filter(|line| line["level"] != "DEBUG").collect();
    assert_eq!(heard, [&buried]);
    let in_spans: Vec<_> = lines.iter().filter(|line| line.get("span").is_some()).collect();
    assert!(in_spans.len() > FAILING, "{lines:#?}");
    for line in in_spans {
        let long = |name: &str| line[name].as_str().map_or(0, str::len);
        assert_eq!((long("trace_id"), long("span_id")), (32, 16), "{line}");
    }
    system.stop().await.unwrap();
    collector.stop().await;
}

/// The tables as services reach them, which can be away.
struct Tables {
    port: u16,
    relay: Relay,
    away: Arc<AtomicBool>,
}

impl Tables {
    async fn to(port: u16) -> Self {
        let (onward, away) = (Onward::to(port), Arc::new(AtomicBool::new(false)));
        let gone = Arc::clone(&away);
        let meet = move |request| {
            let (onward, gone) = (onward.clone(), gone.load(Ordering::Relaxed));
            async move {
                if gone {
                    return Err(NoAnswer);
                }
                onward.pass(request).await
            }
        };
        let relay = Relay::start(meet).await.unwrap();
        Self { port, relay, away }
    }
}

fn order_of_nobody(system: &System) -> String {
    format!("{}/v1/orders/{NOBODYS}", system.url(Part::OrderService))
}

const NOT_READY: &str = "not ready: something that this needs does not answer";
const FAILING: usize = 2;

/// Requests that need the product service; past the gateway, which would try the second again.
fn failing(system: &System, token: &str) -> [RequestBuilder; FAILING] {
    let (baskets, orders) = (system.url(Part::BasketService), system.url(Part::OrderService));
    let add = http().post(format!("{baskets}/v1/baskets/me/items"));
    let order = http().post(format!("{orders}/v1/orders"));
    [
        add.bearer_auth(token)
            .json(&json!({"product_id": NOBODYS, "quantity": 1})),
        order
            .bearer_auth(token)
            .header("Idempotency-Key", "a-key")
            .json(&json!({
                "customer_id": "me", "items": [{"product_id": NOBODYS, "quantity": 1}],
            })),
    ]
}

fn trace(number: usize) -> String {
    format!("{:032x}", number + 1)
}

fn in_trace(request: RequestBuilder, number: usize) -> RequestBuilder {
    request.header("traceparent", format!("00-{}-00f067aa0ba902b7-01", trace(number)))
}

/// What an operator is told of a request, by whichever service.
fn about(folder: &Folder, number: usize) -> Vec<Value> {
    let mut lines = lines(folder);
    lines.retain(|line| line["trace_id"] == *trace(number) && (line["level"] == "ERROR" || line["level"] == "WARN"));
    lines
}

/// All lines of the services, each an object.
fn lines(folder: &Folder) -> Vec<Value> {
    let mut lines = Vec::new();
    for part in Part::SERVICES {
        let text = fs::read_to_string(folder.log(part.name())).unwrap();
        // The last one may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        lines.extend(
            whole.lines().map(|line| {
                serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{part}: {error}: {line}"))
            }),
        );
    }
    assert!(
        lines
            .iter()
            .all(|line| line["level"].is_string() && line["timestamp"].is_string())
    );
    lines
}

async fn until(folder: &Folder, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = lines(folder).into_iter().find(|line| is(line)) {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} was not told of within {SOON:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// The spans of what failed say so, and how: the request's, and those of its calls, of which each says how often it was tried.
async fn errors_have_their_kind(collector: &Collector) {
    let deadline = Instant::now() + SOON;
    let spans = loop {
        let mut spans = collector.spans().unwrap();
        spans.retain(|span| span.trace_id == trace(0));
        if spans.iter().any(|span| span.kind == "server") || Instant::now() > deadline {
            break spans;
        }
        sleep(Duration::from_millis(200)).await;
    };
    let failed = |kind: &str, of: &str, attribute: &str| -> Vec<String> {
        let called = |span: &&Span| span.kind == kind && span.attribute("rpc.method") == of && span.failed;
        let failed = spans.iter().filter(called);
        failed.map(|span| span.attribute(attribute).to_owned()).collect()
    };
    assert_eq!(failed("server", "", "error.type"), ["unavailable"], "{spans:#?}");
    assert_eq!(failed("client", "", "error.type"), ["connection"; 3], "{spans:#?}");
    assert_eq!(
        failed("client", "", "http.request.resend_count"),
        ["0", "1", "2"],
        "{spans:#?}"
    );
    // More of what is in the basket needs no product; there was nothing.
    let refused = failed("client", "DynamoDB/UpdateItem", "error.type");
    assert_eq!(refused, ["ConditionalCheckFailedException"], "{spans:#?}");
}
