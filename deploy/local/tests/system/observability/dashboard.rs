//! Dashboards as Grafana reads them, from the short form in `deploy/telemetry/dashboards.json`.
//!
//! A query there may say `grown(COUNTER[RANGE])`, for how much each series has grown, in the place of `increase`, which does not
//! see what a series begins with; as the alarms have it. What Grafana gets is PromQL.
//!
//! Grafana's classic model:
//! <https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/>.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use serde_json::{Value, json};

use super::query;

/// Of the 24 columns of a dashboard, and in its rows.
const PANEL: (usize, usize) = (8, 8);
/// The model that this is written in; Grafana brings older ones up to its own.
const SCHEMA: u32 = 39;
/// What the variable `$service` chooses from: every service tells this one.
const EVERY_SERVICE: &str = "process_memory_usage_bytes";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dashboard {
    /// The name of its file, and in its address.
    pub(crate) uid: String,
    pub(crate) title: String,
    /// Whether one chooses the services that it shows.
    per_service: bool,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    title: String,
    #[serde(default)]
    tells: String,
    kind: Kind,
    /// As Grafana names units.
    unit: String,
    /// By their legends.
    queries: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    BarGauge,
    TimeSeries,
}

impl Dashboard {
    pub(crate) fn all() -> Vec<Self> {
        let list = fs::read(super::file("deploy/telemetry/dashboards.json")).unwrap();
        let mut dashboards: Vec<Self> = serde_json::from_slice(&list).unwrap();
        let rows = dashboards.iter_mut().flat_map(|dashboard| &mut dashboard.rows);
        for query in rows
            .flat_map(|row| &mut row.panels)
            .flat_map(|panel| panel.queries.values_mut())
        {
            *query = in_promql(query);
        }
        dashboards
    }

    fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    pub(crate) fn titles(&self) -> impl Iterator<Item = &str> {
        self.panels().map(|panel| panel.title.as_str())
    }

    pub(crate) fn queries(&self) -> impl Iterator<Item = &str> {
        let asked = self.panels().flat_map(|panel| panel.queries.values());
        let choice = self.per_service.then_some(EVERY_SERVICE);
        asked.map(String::as_str).chain(choice)
    }

    /// In the form of the file that Grafana reads.
    pub(crate) fn written(&self) -> String {
        let mut panels = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            }));
            for (n, panel) in row.panels.iter().enumerate() {
                let (width, height) = PANEL;
                let place = json!({"x": n % 3 * width, "y": y + 1 + n / 3 * height, "w": width, "h": height});
                panels.push(panel.written(panels.len() + 1, place));
            }
            y += 1 + row.panels.len().div_ceil(3) * PANEL.1;
        }
        let variables: Vec<_> = self.per_service.then(service).into_iter().collect();
        let dashboard = sorted(json!({
            "uid": self.uid,
            "title": self.title,
            "tags": ["commerce"],
            "schemaVersion": SCHEMA,
            "editable": false,
            "graphTooltip": 1,
            "refresh": "30s",
            "timezone": "browser",
            "time": {"from": "now-1h", "to": "now"},
            "annotations": {"list": []},
            "links": [{
                "type": "dashboards", "title": "Others", "tags": ["commerce"], "asDropdown": false, "keepTime": true,
                "icon": "external link", "includeVars": false, "targetBlank": false, "tooltip": "",
            }],
            "templating": {"list": variables},
            "panels": panels,
        }));
        serde_json::to_string_pretty(&dashboard).unwrap()
    }
}

impl Panel {
    fn written(&self, id: usize, place: Value) -> Value {
        let (kind, options, instant) = match self.kind {
            Kind::BarGauge => {
                let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
                let options = json!({"orientation": "horizontal", "displayMode": "basic", "reduceOptions": last});
                ("bargauge", options, true)
            }
            Kind::TimeSeries => {
                let legend = json!({"displayMode": "list", "placement": "bottom", "showLegend": true});
                (
                    "timeseries",
                    json!({"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}),
                    false,
                )
            }
        };
        let target = |(refers, (legend, query)): (char, (&String, &String))| {
            json!({
                "refId": refers, "datasource": source(), "expr": query, "legendFormat": legend,
                "instant": instant, "range": !instant,
            })
        };
        let targets: Vec<_> = ('A'..='Z').zip(&self.queries).map(target).collect();
        json!({
            "id": id, "type": kind, "title": self.title, "description": self.tells, "gridPos": place, "datasource": source(),
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "options": options, "targets": targets,
        })
    }
}

/// Without `grown(..)`; see the module.
fn in_promql(query: &str) -> String {
    let mut parts = query.split("grown(");
    let mut written = parts.next().unwrap().to_owned();
    for part in parts {
        let (counter, rest) = part.split_once(')').unwrap_or_else(|| panic!("{query}"));
        let (counter, range) = counter
            .split_once('[')
            .unwrap_or_else(|| panic!("{query}: grown within what time?"));
        let range = range.strip_suffix(']').unwrap_or_else(|| panic!("{query}"));
        written.push_str(&format!("({}){rest}", query::growth(counter, range)));
    }
    written
}

/// As `deploy/telemetry/grafana/provisioning` names it.
fn source() -> Value {
    json!({"type": "prometheus", "uid": "prometheus"})
}

fn service() -> Value {
    json!({
        "name": "service", "label": "Service", "type": "query", "datasource": source(),
        "query": {"query": format!("label_values({EVERY_SERVICE}, job)"), "refId": "service"},
        "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}

/// Whether `serde_json` keeps the order depends on what else is built.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            json!(fields)
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
