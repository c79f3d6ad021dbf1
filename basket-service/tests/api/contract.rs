//! The contract: checked in, complete, and served.

use std::path::Path;
use std::sync::OnceLock;

use actix_web::dev::ResourceDef;
use basket_service::config::Settings;
use clap::CommandFactory;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::harness::{As, Shop};

fn api() -> &'static Value {
    static API: OnceLock<Value> = OnceLock::new();
    API.get_or_init(|| serde_json::to_value(basket_service::http::api()).unwrap())
}

/// Fails where a route of the contract answers with a status that the contract does not name.
#[track_caller]
pub(crate) fn assert_documented(method: &Method, path: &str, status: StatusCode) {
    let path = path.split('?').next().unwrap();
    let paths = api()["paths"].as_object().unwrap();
    let Some((route, item)) = paths
        .iter()
        .find(|(route, _)| ResourceDef::new(route.as_str()).is_match(path))
    else {
        return;
    };
    let method = if method == Method::HEAD {
        "get"
    } else {
        &method.as_str().to_lowercase()
    };
    let Some(operation) = item.get(method) else { return };
    let known = operation["responses"].get(status.as_str()).is_some();
    assert!(
        known,
        "{method} {route} answered {status}, which its contract does not name"
    );
}

#[test]
fn the_contract_is_checked_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    shared::testing::assert_checked_in(&file, &basket_service::http::api().to_pretty_json().unwrap());
}

#[test]
fn settings_match_configuration_document() {
    shared::testing::settings::assert_service_documented("basket-service", Settings::command());
}

#[test]
fn every_operation_says_who_may_and_what_goes_wrong() {
    for (path, item) in api()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{name}");
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/Problem", "{name} {status}");
                assert!(
                    response["description"].as_str().unwrap().contains("Code"),
                    "{name} {status}"
                );
            }
            assert!(responses.contains_key("500") && responses.contains_key("503"), "{name}");
            let holes: Vec<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
            let documented = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = documented.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, holes.len(), "{name}");
            let anonymous = name == "post /v1/baskets";
            assert_eq!(operation.get("security").is_none(), anonymous, "{name}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let text = api().to_string();
    for reference in text.split("\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(api().pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_contract_and_its_reference_are_served() {
    let shop = Shop::open().await;
    assert_eq!(&shop.get(As::Nobody, "/openapi.json").await.expect(200), api());
    let page = shop.get(As::Nobody, "/docs/").await;
    assert!(page.status == 200 && page.text.contains("swagger"), "{}", page.text);
    shop.get(As::Nobody, "/v1/nothing").await.refused(404, "not_found");
}
