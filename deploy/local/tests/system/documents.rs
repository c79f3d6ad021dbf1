//! Links and paths in the repository's documents lead to files and headings that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use deploy_local::tools;
use serde_json::Value;

/// Folders that hold no document of the repository.
const SKIPPED: [&str; 5] = ["target", ".git", ".local", "node_modules", "corpus"];
/// Folders by which a path in a code span begins.
const FOLDERS: [&str; 8] = [
    "product-service/",
    "basket-service/",
    "order-service/",
    "shared/",
    "gateway/",
    "deploy/",
    "docs/",
    ".ci/",
];

#[test]
fn relative_links_lead_to_files_and_headings() {
    let mut documents = Vec::new();
    collect(tools::checkout(), &mut documents);
    let (mut links, mut dead) = (0, Vec::new());
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        for link in targets(&text) {
            links += 1;
            if !exists(document, link) {
                dead.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(
        documents.len() > 10 && links > 50,
        "{} documents, {links} links",
        documents.len()
    );
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn paths_in_code_spans_exist() {
    let checkout = tools::checkout();
    let mut documents = Vec::new();
    collect(checkout, &mut documents);
    let (mut count, mut dead) = (0, Vec::new());
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        for path in paths(&text) {
            count += 1;
            if !checkout.join(path).exists() {
                dead.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(count > 50, "{count} paths");
    assert!(dead.is_empty(), "dead paths:\n{}", dead.join("\n"));
}

fn collect(folder: &Path, documents: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !SKIPPED.contains(&name) {
            collect(&path, documents);
        } else if name.ends_with(".md") {
            documents.push(path);
        }
    }
}

/// Targets of `[text](target)` outside code blocks, without those on the web.
fn targets(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let after = prose.flat_map(|prose| prose.split("](").skip(1));
    let targets = after.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.starts_with("http")).collect()
}

/// Code spans outside code blocks that are a path from the top of the repository, without patterns and commands.
fn paths(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let spans = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let path = |span: &&str| FOLDERS.iter().any(|folder| span.starts_with(folder));
    let plain = |span: &&str| !span.contains(|c: char| c.is_whitespace() || matches!(c, '*' | '<' | '{'));
    spans.filter(path).filter(plain).collect()
}

fn exists(document: &Path, link: &str) -> bool {
    let (file, heading) = link
        .split_once('#')
        .map_or((link, None), |(file, heading)| (file, Some(heading)));
    let file = if file.is_empty() {
        document.to_owned()
    } else {
        document.parent().unwrap().join(file)
    };
    match heading {
        None => file.exists(),
        Some(heading) => fs::read_to_string(file).is_ok_and(|text| anchors(&text).contains(heading)),
    }
}

/// Anchors of a document's headings, as repository hosts derive them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = text.split("```").step_by(2);
    let headings = prose.flat_map(str::lines).filter_map(|line| {
        let title = line.trim_start_matches('#');
        (line.starts_with('#') && title.starts_with(' ')).then_some(title.trim())
    });
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor = |title: &str| {
        title
            .to_lowercase()
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Each alarm has its place among its severity's in the table for operators.
#[test]
fn operations_document_names_every_alarm() {
    let document = fs::read_to_string(tools::checkout().join("docs/operations.md")).unwrap();
    let (_, section) = document.split_once("\n## Alarms\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let alarms = fs::read_to_string(tools::checkout().join("deploy/telemetry/alarms.json")).unwrap();
    let alarms: Value = serde_json::from_str(&alarms).unwrap();
    let field = |alarm: &Value, name: &str| alarm[name].as_str().unwrap().to_owned();
    let alarms = alarms.as_array().unwrap().iter();
    let expected: BTreeSet<_> = alarms
        .map(|alarm| (field(alarm, "severity"), field(alarm, "name")))
        .collect();
    let mut named = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<_> = row.split('|').collect();
        for (severity, cell) in [("page", cells[2]), ("ticket", cells[3])] {
            let names = cell.split('`').skip(1).step_by(2);
            named.extend(names.map(|name| (severity.to_owned(), name.to_owned())));
        }
    }
    assert_eq!(named, expected);
    assert!(section.contains(&format!("The {} alarms", expected.len())));
}

#[test]
fn dead_link_and_missing_heading_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("a.md");
    fs::write(
        &document,
        "# The `first` part\n[b](b.md) [web](https://example.com)\n```\n[code](x)\n```\n",
    )
    .unwrap();
    assert_eq!(targets(&fs::read_to_string(&document).unwrap()), ["b.md"]);
    assert_eq!(paths("`docs/x.md` `docs/*.md` `none` ```docs/y.md```"), ["docs/x.md"]);
    assert!(exists(&document, "#the-first-part"));
    assert!(!exists(&document, "#second-part") && !exists(&document, "b.md"));
}
