//! All that a fuzzer has found so far, read once more.

use std::path::Path;

use shared::testing::fuzzing::{TARGETS, cursor, etag, event, idempotency_key, json, money, replay, token};

#[test]
fn all_that_a_fuzzer_has_found_is_read_as_it_should() {
    replay("cursor", cursor);
    replay("etag", etag);
    replay("event", event);
    replay("idempotency_key", idempotency_key);
    replay("json", json);
    replay("money", money);
    replay("token", token);
}

#[test]
fn every_fuzz_target_has_what_it_found_checked_in() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| {
        let entries = std::fs::read_dir(fuzz.join(folder)).unwrap();
        let path = entries.map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = path
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("fuzz_targets"), TARGETS);
    assert_eq!(names("corpus"), TARGETS);
}

/// They are read with every run of the tests, and cloned by everybody.
#[test]
fn the_corpora_stay_small() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folders = std::fs::read_dir(corpus).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let sizes: Vec<_> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.len() < 300, "{} files", sizes.len());
    assert!(
        sizes.iter().sum::<u64>() < 500_000,
        "{} bytes",
        sizes.iter().sum::<u64>()
    );
}
