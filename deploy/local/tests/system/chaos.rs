//! The chaos run, short and with fixed seeds: the storm, each scene, and that a broken invariant is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use deploy_local::Part;
use deploy_local::chaos::{self, Chaos, Options, Report, Scene};
use deploy_local::instance::Folder;
use deploy_local::system::Progress;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::harness::{self, SOON, http};

/// Each of these keeps a machine busy by itself.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

fn options(scene: Scene, orders: usize, customers: usize) -> (TempDir, Options) {
    let (temporary, folder) = harness::folder();
    let options = Options {
        scene,
        seed: 20_261_120,
        orders,
        customers,
        pause: Duration::from_secs(8),
        patience: SOON,
        folder,
        binaries: harness::binaries().to_owned(),
        progress: Progress::Hidden,
    };
    (temporary, options)
}

async fn run(scene: Scene, orders: usize, customers: usize) -> Report {
    let (_temporary, options) = options(scene, orders, customers);
    let report = chaos::run(options).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(report.holds(), "{report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_orders_through_a_storm_are_neither_lost_nor_doubled_nor_oversold() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let report = run(Scene::Storm, 60, 10).await;
    // It was a storm, and not a calm that proves nothing.
    let ended: usize = report.outcomes.values().sum();
    assert_eq!(ended, 60, "{report}");
    assert!(
        report.outcomes["confirmed"] > 20 && report.outcomes["failed"] > 0,
        "{report}"
    );
    assert!(report.faults.values().sum::<u64>() > 100, "{report}");
    let done = &report.disturbances;
    assert!(done["queues emptied"] == 1 && done["ministack killed"] == 1, "{report}");
    let kills: usize = Part::SERVICES
        .iter()
        .filter_map(|part| done.get(&format!("{part} killed")))
        .sum();
    assert!(kills >= 3, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_service_that_hangs_delays_orders_and_fails_none_and_baskets_stay_readable() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let report = run(Scene::Pause, 40, 10).await;
    assert_eq!(
        report.outcomes,
        BTreeMap::from([("confirmed".to_owned(), 40)]),
        "{report}"
    );
    assert!(
        report.verdicts.iter().any(|verdict| verdict.name == "baskets readable"),
        "{report}"
    );
    assert!(report.seconds >= 8, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_customers_after_fifty_pieces_get_exactly_fifty() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let report = run(Scene::Contention, 200, 200).await;
    let wanted = [("confirmed", 50), ("failed", 150)].map(|(what, many)| (what.to_owned(), many));
    assert_eq!(report.outcomes, BTreeMap::from(wanted), "{report}");
    assert!(report.faults["tables: conflict"] > 50, "{report}");
}

/// Round trips, and read and written units in tenths, of a table.
type Budget = (u64, u64, u64);

/// What whole orders may cost, by workflow: their baskets, the order, the products, and the events. The sums of the
/// steps' own budgets, with a look at the order for each event of the payment provider.
const BUDGETS: [(&str, Budget, Budget, Budget, u64); 8] = [
    ("confirmed, one line", (4, 10, 50), (5, 5, 120), (5, 30, 100), 3),
    ("confirmed, three lines", (6, 10, 90), (5, 5, 120), (7, 70, 180), 3),
    ("confirmed, without a basket", (1, 0, 0), (5, 5, 120), (4, 20, 100), 2),
    ("failed: declined", (4, 10, 70), (6, 10, 100), (5, 30, 100), 2),
    ("failed: out of stock", (4, 10, 70), (5, 5, 100), (5, 30, 20), 2),
    ("confirmed, then cancelled", (4, 10, 80), (9, 15, 220), (7, 40, 140), 5),
    (
        "cancelled while the merchant is asked",
        (4, 10, 80),
        (7, 10, 220),
        (5, 30, 100),
        4,
    ),
    ("the same, without a basket", (1, 0, 0), (7, 10, 220), (4, 20, 100), 3),
];

#[tokio::test(flavor = "multi_thread")]
async fn whole_orders_cost_no_more_than_their_budgets() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (_temporary, options) = options(Scene::Bills, 0, 1);
    let report = chaos::run(options).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(report.bills.len(), BUDGETS.len(), "{report}");
    for (workflow, baskets, orders, products, events) in BUDGETS {
        let bill = report.bills.iter().find(|bill| bill.workflow == workflow).unwrap();
        for (table, most) in [("baskets", baskets), ("orders", orders), ("products", products)] {
            let billed = bill.tables.iter().find(|(name, _)| name.ends_with(table)).unwrap().1;
            let within =
                billed.round_trips <= most.0 && billed.read_tenths <= most.1 && billed.written_tenths <= most.2;
            assert!(within, "{workflow}, {table}: {billed:?}, and not {most:?}\n{report}");
        }
        assert_eq!(bill.events.values().sum::<u64>(), events, "{workflow}\n{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_ordered_is_noticed() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (_temporary, options) = options(Scene::Contention, 4, 2);
    let folder = options.folder.clone();
    let mut chaos = Chaos::start(options).await.unwrap_or_else(|error| panic!("{error:#}"));
    chaos.play().await.unwrap_or_else(|error| panic!("{error:#}"));
    let report = chaos.judge(SOON).await.unwrap();
    assert!(report.holds(), "{report}");

    let gateway = chaos.system().url(Part::Gateway);
    capture(&chaos.system().url(Part::Payments), &folder).await;
    lose_a_piece(
        &gateway,
        &chaos.goods()[0],
        &chaos.system().token("merchant").await.unwrap(),
    )
    .await;
    order(
        &gateway,
        &chaos.goods()[0],
        &chaos.system().customer("shopper-0").await.unwrap(),
    )
    .await;
    let report = chaos.judge(Duration::ZERO).await.unwrap();
    assert!(!report.holds(), "{report}");
    let broken: Vec<_> = report
        .verdicts
        .iter()
        .filter(|verdict| !verdict.holds())
        .map(|verdict| verdict.name)
        .collect();
    for name in ["0 doubled", "0 oversold", "0 charged without an order or a refund"] {
        assert!(broken.contains(&name), "{name} is not among {broken:?}: {report}");
    }
    assert!(report.to_string().contains("BROKEN"), "{report}");
    chaos.stop().await.unwrap();
}

/// A payment that belongs to no order.
async fn capture(payments: &str, folder: &Folder) {
    let secrets: Value =
        serde_json::from_slice(&fs::read(Path::new(folder.path()).join("secrets.json")).unwrap()).unwrap();
    let form = [
        ("amount", "1999"),
        ("currency", "usd"),
        ("payment_method", "pm_card_visa"),
        ("confirm", "true"),
        ("payment_method_types[]", "card"),
    ];
    let create = http().post(format!("{payments}/v1/payment_intents")).form(&form);
    let answer = create
        .bearer_auth(secrets["payment_key"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{body}");
}

/// A count that finds one piece less than there is.
async fn lose_a_piece(gateway: &str, product: &str, merchant: &str) {
    let url = format!("{gateway}/v1/products/{product}");
    let found: Value = http().get(&url).send().await.unwrap().json().await.unwrap();
    let on_hand = found["stock"]["available"].as_u64().unwrap() - 1;
    let count = http()
        .put(format!("{url}/stock"))
        .bearer_auth(merchant)
        .header("If-Match", "*");
    let counted = count.json(&json!({"on_hand": on_hand})).send().await.unwrap();
    assert!(counted.status().is_success(), "{counted:?}");
}

/// An order that the run knows nothing of.
async fn order(gateway: &str, product: &str, customer: &str) {
    let body = json!({
        "customer_id": "me",
        "items": [{"product_id": product, "quantity": 1}],
        "payment_token": "pm_card_visa",
        "shipping_address": {"name": "A", "line1": "1 Main Street", "city": "S", "postal_code": "1", "country": "US"},
    });
    let create = http().post(format!("{gateway}/v1/orders")).bearer_auth(customer);
    let created = create
        .header("Idempotency-Key", "behind-your-back")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
}
