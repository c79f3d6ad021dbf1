//! Which metrics there are: names, units, kinds and attributes with their values, and none of the figures.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
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
    /// What these are, where they are texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, BTreeSet<String>>,
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
            values: BTreeMap::new(),
            services: BTreeSet::new(),
        });
        for attribute in attributes {
            entry.attributes.insert(attribute.key.clone());
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            if let Some(Value::StringValue(text)) = value {
                entry
                    .values
                    .entry(attribute.key.clone())
                    .or_default()
                    .insert(text.clone());
            }
        }
        entry.services.insert(service.clone());
    }
}

fn shape(data: &Data) -> (MetricKind, Vec<&KeyValue>) {
    macro_rules! attributes {
        ($data:ident) => {
            $data
                .data_points
                .iter()
                .flat_map(|point| &point.attributes)
                .collect()
        };
    }
    match data {
        Data::Sum(sum) if sum.is_monotonic => (MetricKind::Counter, attributes!(sum)),
        Data::Sum(sum) => (MetricKind::Gauge, attributes!(sum)),
        Data::Gauge(gauge) => (MetricKind::Gauge, attributes!(gauge)),
        Data::Histogram(histogram) => (MetricKind::Histogram, attributes!(histogram)),
        Data::ExponentialHistogram(histogram) => (MetricKind::Histogram, attributes!(histogram)),
        Data::Summary(summary) => (MetricKind::Histogram, attributes!(summary)),
    }
}
