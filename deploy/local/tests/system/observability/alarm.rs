//! The list of alarms, `deploy/telemetry/alarms.json`.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use super::names::Names;
use super::query::{self, Dialect};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alarm {
    pub(crate) name: String,
    pub(crate) severity: Severity,
    /// One line for whom it wakes.
    pub(crate) means: String,
    /// None where only AWS measures it.
    #[serde(default)]
    pub(crate) condition: Option<Condition>,
    /// AWS's own metrics, which are asked there in the place of ours.
    #[serde(default)]
    pub(crate) aws: Option<Aws>,
    /// What is more than this is wrong.
    pub(crate) threshold: serde_json::Number,
    pub(crate) unit: String,
    /// How far back it looks.
    pub(crate) over_min: u32,
    /// How long it has to be so.
    pub(crate) for_min: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Somebody is woken.
    Page,
    /// Somebody looks on the next working day.
    Ticket,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Condition {
    /// A gauge's highest value.
    Above { of: Series, by: Vec<String> },
    /// How much a counter has grown. A series that was not there before has grown from zero.
    Grown { of: Series, by: Vec<String> },
    /// A histogram's quantile.
    Quantile {
        of: Series,
        quantile: serde_json::Number,
        by: Vec<String>,
    },
    /// A part of the whole, once there is at least that much of the part.
    Share {
        part: Series,
        of: Series,
        by: Vec<String>,
        at_least: u32,
    },
    /// It was told, and is not told now.
    Silent { of: Series, by: Vec<String> },
    /// A counter has not grown while a gauge says that it should: that who counts is up, that there is something to do.
    Stuck { of: Series, up: Series, by: Vec<String> },
    /// One counter has grown and the other has not.
    Unanswered { asked: Series, answered: Series },
}

/// A metric, by the name that the code gives it, and which of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Series {
    pub(crate) metric: String,
    /// Attributes, and the whole of what they are, as a regular expression.
    #[serde(default, rename = "where")]
    pub(crate) only: BTreeMap<String, String>,
    /// Attributes, and what they are not, word by word.
    #[serde(default)]
    pub(crate) except: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Aws {
    pub(crate) namespace: String,
    pub(crate) metrics: Vec<String>,
    pub(crate) statistic: String,
    pub(crate) dimension: String,
    /// Names of resources, without the prefix of the deployment, each with its indexes.
    pub(crate) of: BTreeMap<String, Vec<String>>,
}

impl Alarm {
    pub(crate) fn all() -> Vec<Self> {
        serde_json::from_slice(&fs::read(super::file("deploy/telemetry/alarms.json")).unwrap()).unwrap()
    }

    pub(crate) fn series(&self) -> Vec<&Series> {
        match &self.condition {
            None => Vec::new(),
            Some(
                Condition::Above { of, .. }
                | Condition::Grown { of, .. }
                | Condition::Quantile { of, .. }
                | Condition::Silent { of, .. },
            ) => vec![of],
            Some(Condition::Share { part, of, .. }) => vec![part, of],
            Some(Condition::Stuck { of, up, .. }) => vec![of, up],
            Some(Condition::Unanswered { asked, answered }) => vec![asked, answered],
        }
    }

    /// What answers nothing as long as all is well. None where only AWS measures it, or where nobody collects it there.
    pub(crate) fn query(&self, names: &Names, dialect: Dialect) -> Option<String> {
        let condition = self.condition.as_ref()?;
        if dialect == Dialect::CloudWatch && self.series().iter().any(|series| names.is_asked(&series.metric)) {
            return None;
        }
        Some(query::of(self, condition, names, dialect))
    }
}
