//! Documents whose shell blocks are run as a reader would run them.
//!
//! The blocks of a document are between `<!-- tour: .. -->` and `<!-- tour end -->`. Its `sh` blocks are run one after the
//! other in one shell, in which any failure ends the run. A line that ends with `# -> TEXT` is a whole command, whose output
//! contains TEXT.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use deploy_local::system::Catalog;
use deploy_local::{Part, tools};

use crate::harness;

/// Each document and the number of its expectations, so that a block does not leave the markers unnoticed. They run in this
/// order on one system.
const DOCUMENTS: [(&str, usize); 2] = [("docs/tutorial.md", 24), ("docs/reference-designs.md", 27)];
const BEGIN: &str = "<!-- tour:";
const END: &str = "<!-- tour end -->";
const EXPECTED: &str = "# -> ";
/// Address of the gateway in the documents.
const GATEWAY: &str = "http://127.0.0.1:8080";

/// `cargo local` addresses the test's system; the output of a command is printed if it is not as expected.
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
async fn documents_work_as_written() {
    let scripts = DOCUMENTS.map(|(document, expectations)| {
        let text = fs::read_to_string(tools::checkout().join(document)).unwrap();
        let script = script(&text).unwrap_or_else(|fault| panic!("{document}: {fault}"));
        assert_eq!(
            script.matches("; expect '").count(),
            expectations,
            "expectations of {document}"
        );
        (document, script)
    });
    let (temporary, folder) = harness::folder();
    let system = harness::system(&folder, Catalog::Demo).await;
    for (document, script) in scripts {
        let script = script.replace(GATEWAY, &system.url(Part::Gateway));
        let (working, data) = (temporary.path().to_owned(), folder.path().to_owned());
        let ran = tokio::task::spawn_blocking(move || run(&script, &working, &data))
            .await
            .unwrap();
        assert!(
            ran.status.success(),
            "{document}: {}\n{}\n{}",
            ran.status,
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
    system.stop().await.unwrap();
}

fn run(script: &str, working: &Path, data: &Path) -> Output {
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(format!("{PRELUDE}{script}")).current_dir(working);
    bash.env("LOCAL", env!("CARGO_BIN_EXE_local")).env("DATA", data);
    bash.output().unwrap()
}

/// A document's blocks as one script, in which each expectation is checked after its line.
fn script(document: &str) -> Result<String, &'static str> {
    let (_, tour) = document.split_once(BEGIN).ok_or("no begin marker")?;
    let (tour, after) = tour.split_once(END).ok_or("no end marker")?;
    if after.contains(BEGIN) {
        return Err("more than one tour");
    }
    let mut script = String::new();
    for rest in tour.split("```sh\n").skip(1) {
        let (block, _) = rest.split_once("```").ok_or("a block without an end")?;
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
    Ok(script)
}

#[test]
fn script_fails_at_first_line_with_unexpected_output() {
    let document = "<!-- tour: -->\n```sh\nNAME=x\necho \"$NAME\"   # -> x\necho b   # -> c\necho never >reached\n```\n<!-- tour end -->";
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&script(document).unwrap(), folder.path(), folder.path());
    assert!(!ran.status.success());
    assert!(
        String::from_utf8_lossy(&ran.stderr).contains("expected: c\nprinted:\nb"),
        "{ran:?}"
    );
    assert!(!folder.path().join("reached").exists());
}

#[test]
fn document_without_markers_is_refused() {
    assert_eq!(script("```sh\nfalse\n```\n"), Err("no begin marker"));
    assert_eq!(script("<!-- tour: -->\n```sh\ntrue\n```\n"), Err("no end marker"));
    let twice = "<!-- tour: --><!-- tour end --><!-- tour: --><!-- tour end -->";
    assert_eq!(script(twice), Err("more than one tour"));
}
