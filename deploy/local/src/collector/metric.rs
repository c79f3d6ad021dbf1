//! Which metrics there are: names, units, kinds and attributes, and none of the figures.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, metric::Data};
use serde::{Deserialize, Serialize};

use super::span::service;

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// As OpenTelemetry writes units; empty where it counts things.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// How it is measured.
    pub kind: MetricKind,
    /// What it is told apart by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub attributes: BTreeSet<String>,
    /// Who tells it.
    pub services: BTreeSet<String>,
}

/// How a metric is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// What is there now.
    Gauge,
    /// How often each size was seen.
    Histogram,
}

pub(super) fn add(known: &mut BTreeMap<String, Metric>, sent: ResourceMetrics) {
    let service = service(sent.resource.as_ref());
    for metric in sent.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
        let Some((kind, attributes)) = metric.data.as_ref().map(shape) else {
            continue;
        };
        let entry = known.entry(metric.name).or_insert_with(|| Metric {
            unit: metric.unit,
            kind,
            attributes: BTreeSet::new(),
            services: BTreeSet::new(),
        });
        entry.attributes.extend(attributes);
        entry.services.insert(service.clone());
    }
}

fn shape(data: &Data) -> (MetricKind, BTreeSet<String>) {
    fn names<'a>(points: impl Iterator<Item = &'a Vec<KeyValue>>) -> BTreeSet<String> {
        points.flatten().map(|attribute| attribute.key.clone()).collect()
    }
    match data {
        Data::Sum(sum) => {
            let kind = if sum.is_monotonic {
                MetricKind::Counter
            } else {
                MetricKind::Gauge
            };
            (kind, names(sum.data_points.iter().map(|point| &point.attributes)))
        }
        Data::Gauge(gauge) => (
            MetricKind::Gauge,
            names(gauge.data_points.iter().map(|point| &point.attributes)),
        ),
        Data::Histogram(histogram) => (
            MetricKind::Histogram,
            names(histogram.data_points.iter().map(|point| &point.attributes)),
        ),
        Data::ExponentialHistogram(histogram) => (
            MetricKind::Histogram,
            names(histogram.data_points.iter().map(|point| &point.attributes)),
        ),
        Data::Summary(summary) => (
            MetricKind::Histogram,
            names(summary.data_points.iter().map(|point| &point.attributes)),
        ),
    }
}
