//! The settings that every service has are in `docs/configuration.md`.

#[test]
fn common_settings_match_configuration_document() {
    shared::testing::settings::assert_common_documented();
}
