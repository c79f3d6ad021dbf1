//! `cargo local load` on a whole system: what it tells of a sound one, and that a part which is away is told too.

use std::process::Output;

use deploy_local::Part;
use deploy_local::system::Catalog;
use serde_json::Value;

use crate::harness;

const SHORT: [&str; 8] = [
    "load",
    "--users=12",
    "--duration=6s",
    "--pause=100ms",
    "--seed=7",
    "--json",
    "--rate=200",
    "--payment-token=pm_card_visa",
];

#[tokio::test(flavor = "multi_thread")]
async fn users_on_mixed_journeys_meet_no_failure_and_get_what_they_ordered() {
    let (_temporary, folder) = harness::folder();
    let mut system = harness::system(&folder, Catalog::Demo).await;
    let output = harness::run_local(&folder, &SHORT).await;
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let steps = report["steps"].as_array().unwrap();
    for step in [
        "list products",
        "read a product",
        "add a line",
        "read the basket",
        "check out",
        "wait for the order",
    ] {
        let measured = steps.iter().find(|measured| measured["step"] == step);
        let measured = measured.unwrap_or_else(|| panic!("nobody came to {step}: {report:#}"));
        let latencies = &measured["latencies"];
        let of = |name: &str| latencies[name].as_u64().unwrap();
        assert!(of("many") > 0 && of("p50") > 0, "{step}: {latencies}");
        assert!(
            of("p50") <= of("p90") && of("p90") <= of("p99") && of("p99") <= of("max"),
            "{step}: {latencies}"
        );
    }
    assert!(report["orders"]["confirmed"].as_u64().unwrap() > 0, "{report:#}");
    assert!(report["settled"]["many"].as_u64().unwrap() > 0, "{report:#}");

    let expired = folder.path().join("expired");
    std::fs::write(&expired, "no-token-any-more\n").unwrap();
    let with_it = [
        "load",
        "--users=1",
        "--duration=1s",
        "--pause=10ms",
        "--json",
        "--tokens",
    ];
    let output = harness::run_local(&folder, &[with_it.as_slice(), &[expired.to_str().unwrap()]].concat()).await;
    let report = self::report(&output);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let barred = &report["failures"]["list products: 401 unauthenticated"];
    assert!(barred.as_u64().is_some_and(|times| times > 0), "{report:#}");

    system.kill(Part::ProductService).await.unwrap();
    let output = harness::run_local(&folder, &SHORT).await;
    assert_eq!(output.status.code(), Some(2), "there is no catalog: {output:?}");
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "no-token-at-all\n").unwrap();
    let away = [
        "load",
        "--users=1",
        "--duration=1s",
        "--url=http://127.0.0.1:9",
        "--tokens",
        tokens.to_str().unwrap(),
    ];
    let output = harness::run_local(&folder, &away).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("the catalog cannot be read"),
        "{output:?}"
    );
    system.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_under_load_is_told_and_ends_it_with_1() {
    let (_temporary, folder) = harness::folder();
    let mut system = harness::system(&folder, Catalog::Demo).await;
    system.kill(Part::BasketService).await.unwrap();
    let output = harness::run_local(&folder, &SHORT).await;
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let failures = report["failures"].as_object().unwrap();
    assert!(
        failures.keys().any(|what| what.starts_with("add a line: 503")),
        "{report:#}"
    );
    assert!(report["orders"].as_object().unwrap().is_empty(), "{report:#}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("requests failed, 0 orders are wrong"), "{said}");
    system.stop().await.unwrap();
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|fault| panic!("{fault}: {output:?}"))
}
