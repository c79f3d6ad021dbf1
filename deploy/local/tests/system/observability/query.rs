//! An alarm's condition as PromQL, for a Prometheus and for CloudWatch.

use deploy_local::collector::MetricKind;

use super::alarm::{Alarm, Condition, Series};
use super::names::Names;

/// Who is asked. Both know PromQL, and have different names for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Names as the OTLP receiver of Prometheus makes them; classic histograms.
    Prometheus,
    /// Names as they were sent, and histograms as a whole.
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-PromQL-Querying.html>
    CloudWatch,
}

pub(super) fn of(alarm: &Alarm, condition: &Condition, names: &Names, dialect: Dialect) -> String {
    let (limit, over) = (&alarm.threshold, format!("{}m", alarm.over_min));
    let asked = Asked { names, dialect, over };
    match condition {
        Condition::Above { of, by } => format!("max{} ({}) > {limit}", asked.by(by), asked.value(of)),
        Condition::Grown { of, by } => asked.grown(of, by, &limit.to_string()),
        Condition::Quantile { of, quantile, by } => {
            format!(
                "histogram_quantile({quantile}, {}) > {limit}",
                asked.distribution(of, by)
            )
        }
        Condition::Share { part, of, by, at_least } => {
            let by = asked.by(by);
            format!(
                "sum{by} ({}) / sum{by} ({}) > {limit} and sum{by} ({}) >= {at_least}",
                asked.counted("rate", part),
                asked.counted("rate", of),
                asked.counted("increase", part)
            )
        }
        Condition::Silent { of, by } => {
            let (by, value, over) = (asked.by(by), asked.value(of), &asked.over);
            format!("group{by} (present_over_time({value}[{over}])) unless group{by} ({value})")
        }
        Condition::Stuck { of, up, by } => {
            let waits = format!("group{} ({} > 0)", asked.by(by), asked.value(up));
            format!("{waits} unless {}", asked.grown(of, by, &limit.to_string()))
        }
        Condition::Unanswered { asked: first, answered } => {
            format!(
                "({}) unless ({})",
                asked.grown(first, &[], "0"),
                asked.grown(answered, &[], "0")
            )
        }
    }
}

/// How much each counter of a selector has grown within a time. `increase` does not see the step from nothing to the first value,
/// which for what seldom happens is all there is, and for each new process some of it: a series of which nothing was told in the
/// hour before has grown by what it is. An hour, lest what was not told for some minutes, as while a collector was replaced,
/// counts as new.
pub(super) fn growth(counter: &str, over: &str) -> String {
    format!(
        "(last_over_time({counter}[{over}]) unless last_over_time({counter}[1h] offset {over})) or increase({counter}[{over}])"
    )
}

struct Asked<'a> {
    names: &'a Names,
    dialect: Dialect,
    over: String,
}

impl Asked<'_> {
    /// ` by (..)`, or nothing where all of it is one.
    fn by(&self, attributes: &[String]) -> String {
        let labels: Vec<_> = attributes
            .iter()
            .map(|name| self.names.label(name, self.dialect))
            .collect();
        match labels.as_slice() {
            [] => String::new(),
            labels => format!(" by ({})", labels.join(", ")),
        }
    }

    fn value(&self, series: &Series) -> String {
        self.selector(series, "")
    }

    /// How often, for a counter or a histogram, by `rate` or `increase`.
    fn counted(&self, function: &str, series: &Series) -> String {
        let over = &self.over;
        match (self.dialect, self.names.kind(&series.metric)) {
            (Dialect::CloudWatch, MetricKind::Histogram) => {
                format!("histogram_count({function}({}[{over}]))", self.value(series))
            }
            (Dialect::Prometheus, MetricKind::Histogram) => {
                format!("{function}({}[{over}])", self.selector(series, "_count"))
            }
            (Dialect::Prometheus | Dialect::CloudWatch, MetricKind::Counter | MetricKind::Gauge) => {
                format!("{function}({}[{over}])", self.value(series))
            }
        }
    }

    fn distribution(&self, series: &Series, by: &[String]) -> String {
        let over = &self.over;
        match self.dialect {
            Dialect::Prometheus => {
                let labels = ["le".to_owned()]
                    .into_iter()
                    .chain(by.iter().cloned())
                    .collect::<Vec<_>>();
                let buckets = self.selector(series, "_bucket");
                format!("sum{} (rate({buckets}[{over}]))", self.by(&labels))
            }
            Dialect::CloudWatch => format!("sum{} (rate({}[{over}]))", self.by(by), self.value(series)),
        }
    }

    fn grown(&self, series: &Series, by: &[String], limit: &str) -> String {
        format!(
            "sum{} ({}) > {limit}",
            self.by(by),
            growth(&self.value(series), &self.over)
        )
    }

    fn selector(&self, series: &Series, suffix: &str) -> String {
        let label = |name: &String| self.names.label(name, self.dialect);
        let quoted = |value: &String| serde_json::to_string(value).unwrap();
        let only = series
            .only
            .iter()
            .map(|(name, value)| format!("{}=~{}", label(name), quoted(value)));
        let except = series.except.iter().flat_map(|(name, values)| {
            let not = move |value| format!("{}!={}", label(name), quoted(value));
            values.iter().map(not)
        });
        let name = self.names.metric(&series.metric, self.dialect);
        match self.dialect {
            Dialect::Prometheus => {
                let matchers: Vec<_> = only.chain(except).collect();
                match matchers.as_slice() {
                    [] => format!("{name}{suffix}"),
                    matchers => format!("{name}{suffix}{{{}}}", matchers.join(", ")),
                }
            }
            Dialect::CloudWatch => {
                // One account may hold several deployments.
                let ours = r#""@resource.deployment.environment.name"="${Prefix}""#.to_owned();
                let matchers: Vec<_> = [format!("\"{name}\""), ours]
                    .into_iter()
                    .chain(only)
                    .chain(except)
                    .collect();
                format!("{{{}}}", matchers.join(", "))
            }
        }
    }
}
