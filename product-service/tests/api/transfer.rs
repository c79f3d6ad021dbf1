//! Import and export.

use std::collections::BTreeMap;

use deploy_local::catalog;
use product_service::catalog::import::Import;
use reqwest::{Body, Method, Response};
use serde_json::{Value, json};
use shared::testing::faults::{Fate, Faults};
use shared::testing::is_complete_run;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use crate::harness::{As, Shop, sent, tea, with};

fn rows(all: impl IntoIterator<Item = Value>) -> String {
    all.into_iter().map(|row| format!("{row}\n")).collect()
}

fn results(answers: &[Value]) -> Vec<&str> {
    answers.iter().filter_map(|answer| answer["result"].as_str()).collect()
}

fn summary(answers: &[Value]) -> Value {
    answers.last().unwrap()["summary"].clone()
}

#[tokio::test]
async fn rows_create_change_and_leave_alone() {
    let shop = Shop::open().await;
    let row = |sku: &str, fields: Value| with(tea(sku), fields);
    let first = shop
        .import(&rows([row("A", json!({"on_hand": 3})), row("B", json!({}))]))
        .await;
    assert_eq!(
        first,
        [
            json!({"row": 1, "sku": "A", "result": "created"}),
            json!({"row": 2, "sku": "B", "result": "created"}),
            json!({"summary": {"rows": 2, "created": 2, "updated": 0, "unchanged": 0, "failed": 0, "complete": true}}),
        ]
    );
    let second = shop
        .import(&rows([
            row("A", json!({"on_hand": 3})),
            row("A", json!({})),
            row("B", json!({"on_hand": 2})),
            row("B", json!({"name": "New", "on_hand": 2})),
            row("C", json!({"attributes": {"a": "b"}})),
        ]))
        .await;
    assert_eq!(
        results(&second),
        ["unchanged", "unchanged", "updated", "updated", "created"]
    );
    let listed = shop.get("/v1/products?category=Tea&expand=availability").await.json();
    let stocks: BTreeMap<_, _> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            (
                p["sku"].as_str().unwrap(),
                (p["version"].as_u64(), p["stock"]["available"].as_u64()),
            )
        })
        .collect();
    let expected = [("A", (1, 3)), ("B", (2, 2)), ("C", (1, 0))];
    assert_eq!(stocks, expected.map(|(s, (v, a))| (s, (Some(v), Some(a)))).into());
}

#[tokio::test]
async fn a_bad_row_stops_no_other() {
    let shop = Shop::open().await;
    let held = shop.product("HELD", 5).await;
    shop.hold(Uuid::new_v4(), &[(&held, 4)]).await;
    let long = format!("{{\"sku\": \"LONG\", \"name\": \"{}\"}}", "x".repeat(300 * 1024));
    let lines = [
        tea("A").to_string(),
        "not json".to_owned(),
        String::new(),
        json!({"sku": "B", "name": "", "price": {"amount_minor": -1, "currency": "USD"}}).to_string(),
        long,
        with(tea("EUR"), json!({"price": {"amount_minor": 1, "currency": "EUR"}})).to_string(),
        with(tea("HELD"), json!({"on_hand": 3, "name": "New"})).to_string(),
        "{\"sku\": \"D\", \"sku\": \"E\"}".to_owned(),
        "[1]".to_owned(),
        with(tea("F"), json!({"stock": 1})).to_string(),
        "\u{1}\u{fffd}".to_owned(),
        tea("Z").to_string(),
    ];
    let answers = shop.import(&lines.join("\n")).await;
    let told: Vec<_> = answers
        .iter()
        .filter(|a| a["row"].is_u64())
        .map(|a| {
            (
                a["row"].as_u64().unwrap(),
                a["sku"].as_str(),
                a["code"].as_str().unwrap_or("-"),
            )
        })
        .collect();
    let expected = [
        (1, Some("A"), "-"),
        (2, None, "invalid_json"),
        (4, Some("B"), "invalid_request"),
        (5, None, "line_too_long"),
        (6, Some("EUR"), "currency_not_supported"),
        (7, Some("HELD"), "below_reserved"),
        (8, None, "invalid_json"),
        (9, None, "wrong_type"),
        (10, Some("F"), "unknown_field"),
        (11, None, "invalid_json"),
        (12, Some("Z"), "-"),
    ];
    assert_eq!(told, expected);
    let detail = answers[2]["detail"].as_str().unwrap();
    for part in ["#/name", "#/category", "#/price"] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(
        summary(&answers),
        json!({"rows": 11, "created": 2, "updated": 0, "unchanged": 0, "failed": 9, "complete": true})
    );
    // A row is taken whole or not at all.
    assert_eq!(shop.get(&format!("/v1/products/{held}")).await.json()["version"], 1);
}

#[tokio::test]
async fn an_archived_sku_comes_back() {
    let shop = Shop::open().await;
    let id = shop.product("A", 2).await;
    shop.delete(&format!("/v1/products/{id}"), "*").await;
    let answers = shop.import(&rows([tea("A")])).await;
    assert_eq!(results(&answers), ["updated"]);
    let product = shop.get(&format!("/v1/products/{id}")).await.json();
    assert_eq!(
        (&product["state"], &product["stock"]["available"]),
        (&json!("active"), &json!(2))
    );
}

#[tokio::test]
async fn of_two_rows_with_one_sku_the_later_wins_wherever_they_stand() {
    let shop = Shop::open().await;
    let named = |sku: &str, name: &str| with(tea(sku), json!({"name": name}));
    let mut all = vec![named("A", "first"), named("A", "second"), named("A", "third")];
    // Further ones in later batches.
    all.extend((0..120).map(|n| named(&format!("F-{n}"), "filler")));
    all.push(named("A", "fourth"));
    all.push(named("A", "fourth"));
    all.push(named("A", "fifth"));
    let answers = shop.import(&rows(all)).await;
    let of_a: Vec<_> = answers
        .iter()
        .filter(|a| a["sku"] == "A")
        .map(|a| a["result"].as_str().unwrap())
        .collect();
    assert_eq!(
        of_a,
        ["created", "updated", "updated", "updated", "unchanged", "updated"]
    );
    let rows: Vec<_> = answers.iter().filter_map(|a| a["row"].as_u64()).collect();
    assert_eq!(rows, (1..=126).collect::<Vec<_>>());
    let listed = shop.get("/v1/products?category=Tea&limit=1").await.json();
    assert_eq!(
        (&listed["data"][0]["name"], &listed["data"][0]["version"]),
        (&json!("fifth"), &json!(5))
    );
}

async fn next_line(response: &mut Response, kept: &mut String) -> Value {
    loop {
        if let Some((line, rest)) = kept.clone().split_once('\n') {
            *kept = rest.to_owned();
            return serde_json::from_str(line).unwrap();
        }
        let chunk = tokio::time::timeout(crate::harness::SOON, response.chunk())
            .await
            .unwrap()
            .unwrap();
        kept.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
}

#[tokio::test]
async fn answers_come_while_rows_are_still_being_sent() {
    let shop = Shop::open().await;
    let (send, lines) = mpsc::channel::<String>(1);
    let body = Body::wrap_stream(ReceiverStream::new(lines).map(Ok::<_, std::io::Error>));
    let request = shop.request(As::Merchant, Method::POST, "/v1/products/import");
    let request = request.header("content-type", "application/x-ndjson").body(body);
    let asked = tokio::spawn(request.send());
    send.send(rows([tea("A")])).await.unwrap();
    let mut response = asked.await.unwrap().unwrap();
    let mut kept = String::new();
    for sku in ["A", "B", "C"] {
        // Half a line at a time; "A" is under way.
        if sku != "A" {
            let line = rows([tea(sku)]);
            let (half, rest) = line.split_at(20);
            send.send(half.to_owned()).await.unwrap();
            send.send(rest.to_owned()).await.unwrap();
        }
        let answer = next_line(&mut response, &mut kept).await;
        assert_eq!((&answer["sku"], &answer["result"]), (&json!(sku), &json!("created")));
    }
    drop(send);
    assert_eq!(next_line(&mut response, &mut kept).await["summary"]["created"], 3);
}

#[tokio::test]
async fn rows_that_change_nothing_cost_a_fiftieth_of_a_round_trip() {
    let faults = Faults::none();
    let shop = Shop::open_with(faults.clone(), &["--sweep-every-ms=600000"]).await;
    let rows = if is_complete_run() { 1_000 } else { 500 };
    let body: String = catalog::ndjson(catalog::generated(rows)).collect();
    assert_eq!(summary(&shop.import(&body).await)["created"], rows);
    let operations = [
        "BatchGetItem",
        "GetItem",
        "Query",
        "UpdateItem",
        "TransactWriteItems",
        "DeleteItem",
        "PutEvents",
    ];
    let count = || operations.map(|operation| faults.calls(operation));
    let before = count();
    assert_eq!(summary(&shop.import(&body).await)["unchanged"], rows);
    let calls: Vec<_> = count()
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    // One for each fifty, and a few more where a batch had to wait for lines.
    let batches = u64::from(rows / 50);
    assert!((batches..=batches * 6 / 5).contains(&calls[0]), "{calls:?}");
    assert_eq!(calls[1..], [0; 6]);
}

/// 300 rows cross the same limits as thousands, which the complete run has.
#[tokio::test]
async fn a_catalog_of_many_batches_goes_in_and_comes_out() {
    let faults = Faults::none();
    let shop = Shop::open_with(faults.clone(), &[]).await;
    let count = if is_complete_run() { 2_000 } else { 300 };
    let batches = u64::try_from(count / Import::BATCH).unwrap();
    let rows = || catalog::generated(count.try_into().unwrap());
    let body: String = catalog::ndjson(rows()).collect();
    assert!(batches > 5, "several batches of an import, and pages of an export");
    // The server hands on 32 KiB of a body at most before its reader takes them.
    assert!(body.len() > 32 * 1024, "more than one chunk of a body: {}", body.len());
    let answers = shop.import(&body).await;
    assert_eq!(answers.len(), count + 1);
    assert_eq!(summary(&answers)["created"], count);
    assert!(faults.calls("BatchGetItem") >= batches, "read a batch at a time");

    let export = |query: &'static str| {
        let path = format!("/v1/products/export{query}");
        sent(shop.request(As::Merchant, Method::GET, &path))
    };
    let exported = export("?with=on_hand").await;
    assert!(faults.calls("Scan") >= batches, "read a page at a time");
    assert_eq!(exported.header("content-type"), "application/x-ndjson");
    let mut found: Vec<_> = exported.lines();
    found.sort_by(|a, b| a["sku"].as_str().cmp(&b["sku"].as_str()));
    let expected: Vec<_> = rows().map(|row| with(row, json!({"acceptance": "auto"}))).collect();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected);
    // What comes out goes in again and changes nothing.
    assert_eq!(summary(&shop.import(&exported.text).await)["unchanged"], count);
    let plain = export("").await;
    assert!(plain.lines().iter().all(|row| row.get("on_hand").is_none()));
}

#[tokio::test]
async fn archived_products_are_not_exported() {
    let shop = Shop::open().await;
    let id = shop.product("A", 1).await;
    shop.product("B", 1).await;
    shop.delete(&format!("/v1/products/{id}"), "*").await;
    let exported = sent(shop.request(As::Merchant, Method::GET, "/v1/products/export")).await;
    let skus: Vec<_> = exported.lines().iter().map(|row| row["sku"].clone()).collect();
    assert_eq!(skus, ["B"]);
}

#[tokio::test]
async fn a_row_that_meets_others_is_tried_again() {
    let faults = Faults::when(|call| {
        let write = call.name == "TransactWriteItems";
        if write && call.number % 3 == 0 {
            Fate::Conflict
        } else {
            Fate::Passes
        }
    });
    let shop = Shop::open_with(faults, &[]).await;
    let all = (0..40).map(|n| tea(&format!("T-{n}")));
    assert_eq!(summary(&shop.import(&rows(all)).await)["created"], 40);
}

#[tokio::test]
async fn an_import_gives_up_when_the_table_is_away_and_says_so() {
    let faults = Faults::when(|call| match call.name {
        "BatchGetItem" => Fate::Failed,
        _ => Fate::Passes,
    });
    let shop = Shop::open_with(faults, &[]).await;
    let all = (0..500).map(|n| tea(&format!("T-{n}")));
    let answers = shop.import(&rows(all)).await;
    let summary = summary(&answers);
    assert_eq!(summary["complete"], false);
    assert_eq!(summary["rows"], summary["failed"]);
    assert!(summary["rows"].as_u64().unwrap() < 500);
    assert_eq!(answers[0]["code"], "unavailable");
}

#[tokio::test]
async fn the_demo_catalog_is_taken_whole() {
    let shop = Shop::open().await;
    let answers = shop.import(catalog::DEMO).await;
    let failed: Vec<_> = answers.iter().filter(|a| a["result"] == "failed").collect();
    assert!(failed.is_empty(), "{failed:?}");
}
