//! The alarms as rules of Prometheus.

use serde_json::{Value, json};

use super::alarm::{Alarm, Severity};
use super::names::Names;
use super::query::Dialect;
use super::yaml;

pub(crate) fn written(alarms: &[Alarm], names: &Names) -> String {
    let rules: Vec<_> = alarms.iter().filter_map(|alarm| rule(alarm, names)).collect();
    let about =
        "# Made from ../alarms.json by deploy/local/tests/system/observability: UPDATE_CHECKED_IN=1 writes it anew.\n";
    about.to_owned() + &yaml::written(&json!({"groups": [{"name": "commerce", "rules": rules}]}))
}

fn rule(alarm: &Alarm, names: &Names) -> Option<Value> {
    let query = alarm.query(names, Dialect::Prometheus)?;
    let severity = match alarm.severity {
        Severity::Page => "page",
        Severity::Ticket => "ticket",
    };
    Some(json!({
        "alert": alarm.name,
        "expr": query,
        "for": format!("{}m", alarm.for_min),
        "labels": {"severity": severity},
        "annotations": {
            "summary": alarm.means,
            "value": format!("{{{{ $value }}}} {}", alarm.unit).replace(" 1", ""),
            "runbook": format!("deploy/telemetry/RUNBOOK.md#{}", alarm.name.to_lowercase()),
        },
    }))
}
