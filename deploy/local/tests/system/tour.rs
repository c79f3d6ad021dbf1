//! The tour in README.md, run as a newcomer would run it.
//!
//! It stands between `<!-- tour: .. -->` and `<!-- tour end -->`. Its `sh` blocks are run one after the other in one
//! shell, in which any failure ends it. A line that ends with `# -> TEXT` is a whole command, whose output holds TEXT.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use deploy_local::system::Catalog;
use deploy_local::{Part, tools};

use crate::harness;

const BEGIN: &str = "<!-- tour:";
const END: &str = "<!-- tour end -->";
const EXPECTED: &str = "# -> ";
/// As the README has it.
const GATEWAY: &str = "http://127.0.0.1:8080";

/// `cargo local` means this test's system; what a command prints is shown if it is not as expected.
const PRELUDE: &str = r#"
set -euo pipefail
cargo() {
  if [ "$1" = local ]; then shift; "$LOCAL" --data "$DATA" "$@"; else command cargo "$@"; fi
}
expect() {
  if ! grep -qF -- "$1" output; then echo "expected: $1"; echo "printed:"; cat output; exit 1; fi >&2
}
trap 'echo "in line $LINENO: $BASH_COMMAND" >&2' ERR
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_of_the_readme_works_as_written() {
    let readme = fs::read_to_string(tools::checkout().join("README.md")).unwrap();
    let tour = script(&readme);
    let (temporary, folder) = harness::folder();
    let system = harness::system(&folder, Catalog::Demo).await;

    let script = format!("{PRELUDE}{}", tour.replace(GATEWAY, &system.url(Part::Gateway)));
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(&script).current_dir(temporary.path());
    bash.env("LOCAL", env!("CARGO_BIN_EXE_local"))
        .env("DATA", folder.path());
    let ran = tokio::task::spawn_blocking(move || bash.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}\n{}\n{}",
        ran.status,
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    system.stop().await.unwrap();
}

/// The tour's blocks as one script, in which each expectation is checked after its line.
fn script(readme: &str) -> String {
    let (_, tour) = readme.split_once(BEGIN).expect("README.md has a tour");
    let (tour, _) = tour.split_once(END).expect("the tour of README.md ends");
    let mut script = String::new();
    for rest in tour.split("```sh\n").skip(1) {
        let (block, _) = rest.split_once("```").expect("a block that ends");
        for line in block.lines() {
            match line.split_once(EXPECTED) {
                None => writeln!(script, "{line}").unwrap(),
                Some((command, expected)) => {
                    let expected = expected.trim().replace('\'', r"'\''");
                    writeln!(script, "{{ {command}\n}} >output; expect '{expected}'").unwrap();
                }
            }
        }
    }
    assert!(script.contains("expect "), "the tour of README.md expects nothing");
    script
}

#[test]
fn a_tour_fails_at_the_first_line_that_does_not_print_what_it_says() {
    let readme = "<!-- tour: -->\n```sh\nNAME=x\necho \"$NAME\"   # -> x\necho b   # -> c\necho never >reached\n```\n<!-- tour end -->";
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{PRELUDE}{}", script(readme));
    let ran = Command::new("bash")
        .arg("-c")
        .arg(script)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(!ran.status.success());
    assert!(
        String::from_utf8_lossy(&ran.stderr).contains("expected: c\nprinted:\nb"),
        "{ran:?}"
    );
    assert!(!folder.path().join("reached").exists());
}
