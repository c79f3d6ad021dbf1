//! Data outlive whatever ends the system.

use std::path::Path;
use std::process::Stdio;

use deploy_local::Part;
use deploy_local::instance::{Folder, Instance};
use deploy_local::system::Catalog;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{self, http, patiently};

/// A system started by the command line, stopped at the end of the test whatever its outcome.
struct Detached(Folder);

impl Detached {
    fn up(folder: &Folder, binaries: &Path) -> (Self, Instance) {
        let system = Self(folder.clone());
        let mut up = harness::local(folder);
        up.args(["up", "--detach", "--no-catalog"])
            .args(harness::any_ports())
            .arg("--binaries")
            .arg(binaries);
        let output = up.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let instance = folder.running().unwrap();
        (system, instance)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if self.0.running().is_ok() {
            let _ = harness::local(&self.0).arg("down").output();
        }
        // Also ends what a test left that killed the supervisor and failed before the next start.
        let _ = harness::local(&self.0).args(["reset", "--yes"]).output();
    }
}

fn token(folder: &Folder, user: &str) -> String {
    let output = harness::local(folder).args(["token", user]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn create_product(gateway: &str, token: &str) -> String {
    let body = json!({
        "sku": "survivor", "name": "Survivor", "category": "tests", "price": {"amount_minor": 1999, "currency": "USD"},
    });
    let request = http()
        .post(format!("{gateway}/v1/products"))
        .bearer_auth(token)
        .json(&body);
    let (status, product) = patiently(request).await;
    assert_eq!(status, StatusCode::CREATED, "{product}");
    product["id"].as_str().unwrap().to_owned()
}

async fn name_of(gateway: &str, product: &str) -> Value {
    patiently(http().get(format!("{gateway}/v1/products/{product}")))
        .await
        .1["name"]
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_the_supervisor_was_killed_finds_its_data() {
    let (_temporary, folder) = harness::folder();
    let binaries = harness::binaries();
    let (first, instance) = Detached::up(&folder, binaries);
    let gateway = instance.url(Part::Gateway).unwrap().to_owned();
    let old_token = token(&folder, "merchant");
    let product = create_product(&gateway, &old_token).await;

    instance.supervisor.signal(rustix::process::Signal::KILL);
    while instance.supervisor.is_alive() {
        tokio::task::yield_now().await;
    }
    let (second, instance) = Detached::up(&folder, binaries);
    let gateway = instance.url(Part::Gateway).unwrap();
    assert_eq!(name_of(gateway, &product).await, "Survivor");
    // The same user pool with the same keys: whoever was signed in still is.
    let orders = http()
        .get(format!("{gateway}/v1/orders?customer_id=me"))
        .bearer_auth(old_token);
    assert_eq!(patiently(orders).await.0, StatusCode::OK);
    let down = harness::local(&folder).arg("down").output().unwrap();
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(folder.running().is_err());
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_stop_finds_its_data_and_two_instances_have_their_own() {
    let ((_one, one), (_other, other)) = (harness::folder(), harness::folder());
    let (first, second) = tokio::join!(
        harness::system(&one, Catalog::Empty),
        harness::system(&other, Catalog::Empty)
    );
    let product = create_product(&first.url(Part::Gateway), &first.token("merchant").await.unwrap()).await;
    assert_eq!(name_of(&second.url(Part::Gateway), &product).await, Value::Null);
    first.stop().await.unwrap();

    let again = harness::system(&one, Catalog::Empty).await;
    assert_eq!(name_of(&again.url(Part::Gateway), &product).await, "Survivor");
    again.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_queues_outlive_a_killed_ministack() {
    let (_temporary, folder) = harness::folder();
    let mut system = harness::system(&folder, Catalog::Empty).await;
    let token = system.token("customer").await.unwrap();
    system.kill(Part::Ministack).await.unwrap();
    system.start_part(Part::Ministack).await.unwrap();
    let basket = http().get(format!("{}/v1/baskets/me", system.url(Part::Gateway)));
    assert_eq!(patiently(basket.bearer_auth(token)).await.0, StatusCode::OK);
    let again = system.token("customer").await.unwrap();
    let basket = http().get(format!("{}/v1/baskets/me", system.url(Part::Gateway)));
    assert_eq!(patiently(basket.bearer_auth(again)).await.0, StatusCode::OK);
    system.stop().await.unwrap();
}
