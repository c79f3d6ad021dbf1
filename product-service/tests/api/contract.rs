//! The contract and the documented settings are those of the code.

use std::path::Path;

use clap::CommandFactory;
use product_service::config::Settings;

#[test]
fn the_contract_is_the_one_checked_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = product_service::app::openapi().to_pretty_json().unwrap();
    shared::testing::assert_checked_in(&file, &now);
}

#[test]
fn settings_match_configuration_document() {
    shared::testing::settings::assert_service_documented("product-service", Settings::command());
}
