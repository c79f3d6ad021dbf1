//! `cargo local mixes`: a mix that breaks is named, with what broke. Releases that go together are `.ci/release_compat`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use deploy_local::Part;
use deploy_local::mixes::{self, Options};
use deploy_local::system::Progress;

use crate::harness;

/// A release that is this one but for `settings`, in its product service.
fn release(folder: &Path, settings: &str) {
    for part in Part::SERVICES {
        let settings = if part == Part::ProductService { settings } else { "" };
        let binary = harness::binaries().join(part.name());
        let script = format!("#!/bin/sh\n{settings} exec {}\n", binary.display());
        let file = folder.join(part.name());
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn options(before: &Path) -> (tempfile::TempDir, Options) {
    let (temporary, folder) = harness::folder();
    let options = Options {
        folder,
        before: before.to_owned(),
        now: harness::binaries().to_owned(),
        patience: Duration::from_secs(120),
        progress: Progress::Hidden,
    };
    (temporary, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mix_that_breaks_is_named_with_what_broke() {
    let before = tempfile::tempdir().unwrap();
    release(before.path(), "SHOP_CURRENCY=EUR");
    let (_temporary, options) = options(before.path());
    let error = mixes::run(options).await.unwrap_err();
    let said = format!("{error:#}");
    let mix = "in the mix of product-service before, basket-service now, order-service now: ";
    assert!(said.starts_with(mix), "{said}");
    assert!(said.contains("currency"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_not_there_is_told_before_anything_is_started() {
    let before = tempfile::tempdir().unwrap();
    let (temporary, options) = options(before.path());
    let error = mixes::run(options).await.unwrap_err().to_string();
    assert!(error.contains("product-service has not been built"), "{error}");
    assert!(!temporary.path().join("data").exists());
}
