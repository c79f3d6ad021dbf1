//! The contract is what is checked in.

use std::path::Path;

#[test]
fn the_contract_is_the_one_checked_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = product_service::app::openapi().to_pretty_json().unwrap();
    shared::testing::assert_checked_in(&file, &now);
}
