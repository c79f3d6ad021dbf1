//! What metrics and their attributes are called where they are stored, and which names and values of a query nobody measures.
//!
//! In Prometheus: <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>, as its OTLP receiver
//! and the collector's exporters do it. Dots become underscores, units are spelt out (those in braces are none), counters end
//! in `_total`, a histogram is `_bucket`, `_sum` and `_count`; `service.name` is `job`, `service.instance.id` is `instance`.

use std::collections::{BTreeMap, BTreeSet};

use deploy_local::collector::{Metric, MetricKind};

use super::query::Dialect;
use crate::metrics::{ASKED, Row};

/// What the list of alarms calls the service that tells something.
const SERVICE: &str = "service";
/// Words of PromQL that are followed by labels.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Its other words that are no names, besides functions, which are followed by a parenthesis.
const WORDS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];

pub(crate) struct Names {
    metrics: BTreeMap<String, Metric>,
}

impl Names {
    pub(crate) fn of(table: Vec<Row>) -> Self {
        Self {
            metrics: table.into_iter().map(|row| (row.name, row.metric)).collect(),
        }
    }

    /// Whether only a Prometheus knows it, which asks for it.
    pub(crate) fn is_asked(&self, metric: &str) -> bool {
        self.metrics
            .get(metric)
            .is_some_and(|about| about.services.contains(ASKED))
    }

    pub(crate) fn kind(&self, metric: &str) -> MetricKind {
        self.metrics
            .get(metric)
            .unwrap_or_else(|| panic!("{metric} is not in the table"))
            .kind
    }

    pub(crate) fn metric(&self, metric: &str, dialect: Dialect) -> String {
        match dialect {
            Dialect::CloudWatch => metric.to_owned(),
            Dialect::Prometheus => in_prometheus(metric, &self.metrics[metric]),
        }
    }

    pub(crate) fn label(&self, attribute: &str, dialect: Dialect) -> String {
        match (dialect, attribute) {
            (Dialect::Prometheus, SERVICE) => "job".to_owned(),
            (Dialect::Prometheus, attribute) => attribute.replace('.', "_"),
            (Dialect::CloudWatch, SERVICE) => "\"@resource.service.name\"".to_owned(),
            (Dialect::CloudWatch, attribute) => format!("\"{attribute}\""),
        }
    }

    /// The series that Prometheus has of a metric, by their names, with the labels that these may have.
    fn stored(&self, dialect: Dialect) -> BTreeMap<String, BTreeSet<String>> {
        let mut stored = BTreeMap::new();
        for (metric, about) in &self.metrics {
            let bare = |attribute: &String| self.label(attribute, dialect).replace('"', "");
            let mut labels: BTreeSet<_> = about.attributes.iter().map(bare).collect();
            let name = self.metric(metric, dialect);
            match dialect {
                Dialect::Prometheus => labels.extend(["job".to_owned(), "instance".to_owned()]),
                Dialect::CloudWatch => {
                    labels.extend(["service.name", "deployment.environment.name"].map(|of| format!("@resource.{of}")));
                }
            }
            match (dialect, about.kind) {
                (Dialect::Prometheus, MetricKind::Histogram) => {
                    stored.extend(["_sum", "_count"].map(|end| (format!("{name}{end}"), labels.clone())));
                    labels.insert("le".to_owned());
                    stored.insert(format!("{name}_bucket"), labels);
                }
                (Dialect::Prometheus | Dialect::CloudWatch, _) => {
                    stored.insert(name, labels);
                }
            }
        }
        stored
    }

    /// The values that a label of a series may have, where the table lists them.
    fn values(&self, stored: &str, label: &str, dialect: Dialect) -> Option<&BTreeSet<String>> {
        let parts = ["", "_bucket", "_sum", "_count"];
        let is_it = |metric: &str| parts.iter().any(|part| self.metric(metric, dialect) + part == stored);
        let (_, about) = self.metrics.iter().find(|(metric, _)| is_it(metric))?;
        let is_of = |attribute: &str| self.label(attribute, dialect).replace('"', "") == label;
        let (_, values) = about.values.iter().find(|(attribute, _)| is_of(attribute))?;
        Some(values)
    }

    /// Metrics that nobody measures, labels that the metrics of the query do not have, and values that these do not have.
    pub(crate) fn unknown(&self, query: &str, dialect: Dialect) -> Vec<String> {
        let stored = self.stored(dialect);
        let named = Named::of(query);
        let labels_of = |metric: &String| stored.get(metric).into_iter().flatten();
        let all: BTreeSet<_> = named
            .selectors
            .iter()
            .flat_map(|(metric, _)| labels_of(metric))
            .collect();
        let mut unknown: Vec<_> = named.grouped.into_iter().filter(|label| !all.contains(label)).collect();
        for (metric, labels) in named.selectors {
            if !stored.contains_key(&metric) {
                unknown.push(metric.clone());
            }
            for (label, wanted) in labels {
                if !labels_of(&metric).any(|there| *there == label) {
                    unknown.push(format!("{metric}{{{label}}}"));
                }
                if let Some(values) = self.values(&metric, &label, dialect) {
                    let foreign = wanted.split('|').filter(|value| !values.contains(*value));
                    unknown.extend(foreign.map(|value| format!("{metric}{{{label}={value}}}")));
                }
            }
        }
        unknown
    }
}

fn in_prometheus(metric: &str, about: &Metric) -> String {
    if about.services.contains(ASKED) {
        return metric.to_owned();
    }
    let mut name = metric.replace('.', "_");
    let unit = match (about.unit.as_str(), about.kind) {
        ("", _) | ("1", MetricKind::Counter | MetricKind::Histogram) => String::new(),
        ("1", MetricKind::Gauge) => "_ratio".to_owned(),
        (braces, _) if braces.starts_with('{') => String::new(),
        ("s", _) => "_seconds".to_owned(),
        ("ms", _) => "_milliseconds".to_owned(),
        ("us", _) => "_microseconds".to_owned(),
        ("By", _) => "_bytes".to_owned(),
        ("%", _) => "_percent".to_owned(),
        (unit, _) => format!("_{unit}"),
    };
    if !name.ends_with(&unit) {
        name.push_str(&unit);
    }
    match about.kind {
        MetricKind::Counter => name + "_total",
        MetricKind::Gauge | MetricKind::Histogram => name,
    }
}

/// The names in a query.
#[derive(Default)]
struct Named {
    /// Each metric with the labels that are looked at, and what these have to be or not to be, `|` between.
    selectors: Vec<(String, Vec<(String, String)>)>,
    /// Labels by which is grouped or matched.
    grouped: Vec<String>,
}

impl Named {
    fn of(query: &str) -> Self {
        let mut named = Self::default();
        let mut tokens = tokens(query).into_iter().peekable();
        while let Some(token) = tokens.next() {
            let follows = tokens.peek().map(String::as_str);
            if token == "{" {
                // Without a name before it, the first text in it is the name.
                named.selectors.push((String::new(), Vec::new()));
                named.matchers(&mut tokens);
            } else if !token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
                continue;
            } else if BEFORE_LABELS.contains(&token.as_str()) {
                let labels = tokens.by_ref().take_while(|token| token != ")");
                let labels = labels.filter(|token| token != "(" && token != ",");
                named.grouped.extend(labels.map(|label| unquoted(&label)));
            } else if follows == Some("(") || WORDS.contains(&token.as_str()) {
                // A function or a word; and an aggregation may have its labels first.
            } else if BEFORE_LABELS.iter().any(|word| follows == Some(*word)) {
            } else {
                named.selectors.push((token, Vec::new()));
                if follows == Some("{") {
                    tokens.next();
                    named.matchers(&mut tokens);
                }
            }
        }
        named
    }

    fn matchers(&mut self, tokens: &mut std::iter::Peekable<std::vec::IntoIter<String>>) {
        let inside: Vec<_> = tokens.by_ref().take_while(|token| token != "}").collect();
        let (name, labels) = self.selectors.last_mut().unwrap();
        for matcher in inside.split(|token| token == ",") {
            match matcher {
                [] => {}
                [quoted] => *name = unquoted(quoted),
                [label, .., value] => labels.push((unquoted(label), unquoted(value))),
            }
        }
    }
}

fn unquoted(token: &str) -> String {
    token.trim_matches('"').to_owned()
}

/// Names, texts and signs; ranges and numbers are left out.
fn tokens(query: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = query.chars().peekable();
    while let Some(first) = rest.next() {
        let mut token = String::from(first);
        if first == '"' {
            while let Some(next) = rest.next() {
                token.push(next);
                match next {
                    '\\' => token.extend(rest.next()),
                    '"' => break,
                    _ => {}
                }
            }
        } else if first == '[' {
            rest.by_ref().find(|next| *next == ']');
            continue;
        } else if first.is_ascii_alphanumeric() || first == '_' {
            while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || "_:.".contains(*next)) {
                token.push(next);
            }
        } else if first == '$' {
            // Grafana's: a range, as after `offset`.
            while rest
                .next_if(|next| next.is_ascii_alphanumeric() || *next == '_')
                .is_some()
            {}
            continue;
        } else if first.is_whitespace() {
            continue;
        }
        tokens.push(token);
    }
    tokens
}
