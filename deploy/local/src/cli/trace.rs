//! `trace`: what happened to an order, hop by hop, as a tree.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use crate::collector::{self, Span};
use crate::console::{millis, print};
use crate::instance::Folder;

/// What is said of a span behind its name, where it has it.
const TOLD: [&str; 3] = ["event", "http.response.status_code", "error.type"];

/// Prints each trace that the order has a part in, oldest first.
pub(super) fn show(folder: &Folder, order: &str) -> anyhow::Result<()> {
    let file = folder.spans();
    if !file.exists() {
        bail!("no spans are kept: start with `{} up --observe`", folder.command());
    }
    let spans = collector::read(&file)?;
    let lines = traces_of(&spans, order);
    if lines.is_empty() {
        bail!("nothing is known of order {order}: it may be older than the last start with --observe");
    }
    lines.iter().for_each(print);
    Ok(())
}

fn traces_of(spans: &[Span], order: &str) -> Vec<String> {
    let about: BTreeSet<_> = spans
        .iter()
        .filter(|span| span.attribute("order_id") == order)
        .map(|span| span.trace_id.as_str())
        .collect();
    let mut traces: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans.iter().filter(|span| about.contains(span.trace_id.as_str())) {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    let began = |spans: &[&Span]| spans.iter().map(|span| span.began_us).min().unwrap_or_default();
    let mut traces: Vec<_> = traces.into_iter().collect();
    traces.sort_by_key(|(_, spans)| began(spans));
    let mut lines = Vec::new();
    for (id, mut spans) in traces {
        spans.sort_by_key(|span| span.began_us);
        lines.push(format!("trace {id}, {} spans", spans.len()));
        lines.push(format!("{:>9} {:>9}", "AT MS", "TOOK MS"));
        let tree = Tree::of(&spans);
        for root in &tree.roots {
            tree.write(root, 0, began(&spans), &mut lines);
        }
    }
    lines
}

struct Tree<'a> {
    roots: Vec<&'a Span>,
    children: BTreeMap<&'a str, Vec<&'a Span>>,
}

impl<'a> Tree<'a> {
    fn of(spans: &[&'a Span]) -> Self {
        let there: BTreeSet<_> = spans.iter().map(|span| span.span_id.as_str()).collect();
        let mut tree = Self {
            roots: Vec::new(),
            children: BTreeMap::new(),
        };
        for span in spans {
            match span.parent_id.as_deref().filter(|parent| there.contains(parent)) {
                Some(parent) => tree.children.entry(parent).or_default().push(span),
                // The first of all, or one whose parent is the client's or was not sampled.
                None => tree.roots.push(span),
            }
        }
        tree
    }

    fn write(&self, span: &Span, depth: usize, began: u64, lines: &mut Vec<String>) {
        let mut line = format!(
            "{:>9} {:>9}  {:indent$}{}: {}",
            millis(span.began_us.saturating_sub(began)),
            millis(span.took_us),
            "",
            span.service,
            span.name,
            indent = depth * 2,
        );
        for name in TOLD {
            let value = span.attribute(name);
            if !value.is_empty() {
                line.push(' ');
                line.push_str(value);
            }
        }
        if span.failed {
            line.push_str("  FAILED");
        }
        lines.push(line);
        for child in self.children.get(span.span_id.as_str()).into_iter().flatten() {
            self.write(child, depth + 1, began, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: Option<&str>, began_us: u64, attributes: &[(&str, &str)]) -> Span {
        Span {
            trace_id: "t1".to_owned(),
            span_id: id.to_owned(),
            parent_id: parent.map(str::to_owned),
            service: "basket-service".to_owned(),
            name: id.to_owned(),
            kind: "internal".to_owned(),
            links: Vec::new(),
            began_us,
            took_us: 1_500,
            failed: id == "c",
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn a_trace_is_a_tree_in_the_order_of_time() {
        let other = Span {
            trace_id: "t2".to_owned(),
            ..span("x", None, 0, &[])
        };
        let spans = [
            span("c", Some("a"), 3_000, &[("http.response.status_code", "503")]),
            span("b", Some("a"), 2_000, &[("order_id", "7")]),
            other,
            span("a", Some("of the client"), 1_000, &[]),
        ];
        let lines = traces_of(&spans, "7");
        assert_eq!(
            lines,
            [
                "trace t1, 3 spans",
                "    AT MS   TOOK MS",
                "      0.0       1.5  basket-service: a",
                "      1.0       1.5    basket-service: b",
                "      2.0       1.5    basket-service: c 503  FAILED",
            ]
        );
        assert!(traces_of(&spans, "8").is_empty());
    }
}
