//! Alarms and dashboards (`deploy/telemetry`): made from one list each, checked in, and held to what is really measured.

mod alarm;
mod cloudwatch;
mod dashboard;
mod names;
mod query;
mod rules;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use deploy_local::tools;
use shared::testing::assert_checked_in;

use self::alarm::Alarm;
use self::dashboard::Dashboard;
use self::names::Names;
use self::query::Dialect;
use crate::metrics;

fn file(name: &str) -> PathBuf {
    tools::checkout().join(name)
}

#[test]
fn the_alarms_rules_are_those_of_the_list() {
    let rules = rules::written(&Alarm::all(), &Names::of(metrics::table()));
    assert_checked_in(&file("deploy/telemetry/prometheus/alerts.yaml"), &rules);
}

#[test]
fn the_stack_of_alarms_is_that_of_the_list() {
    let stack = cloudwatch::written(&Alarm::all(), &Names::of(metrics::table()));
    assert_checked_in(&file("deploy/aws/observability.yaml"), &stack);
}

#[test]
fn alarms_ask_only_for_what_is_measured() {
    let names = Names::of(metrics::table());
    for alarm in Alarm::all() {
        for dialect in [Dialect::Prometheus, Dialect::CloudWatch] {
            let Some(query) = alarm.query(&names, dialect) else {
                continue;
            };
            let wrong = names.unknown(&query, dialect);
            assert!(wrong.is_empty(), "{}: {wrong:?} in {query}", alarm.name);
        }
    }
}

#[test]
fn a_name_that_nobody_measures_is_noticed() {
    let names = Names::of(metrics::table());
    let known = r#"sum by (job, outcome) (rate(orders_settled_total{outcome="failed", reason!="declined"}[5m])) > 0"#;
    assert_eq!(names.unknown(known, Dialect::Prometheus), Vec::<String>::new());
    for (right, wrong) in [
        ("orders_settled_total", "orders_settled"),
        ("orders_settled_total", "orders_settled_seconds_total"),
        ("orders_settled_total", "orders_closed_total"),
        ("orders_settled_total", "orders_parked_total"),
        ("orders_settled_total", "orders_settle_duration_seconds"),
        ("by (job, outcome)", "by (job, result)"),
        ("{outcome=", "{result="),
        ("reason!=", "cause!="),
        ("\"failed\"", "\"refused\""),
    ] {
        let query = known.replace(right, wrong);
        assert_ne!(query, known);
        assert!(!names.unknown(&query, Dialect::Prometheus).is_empty(), "{query}");
    }
    let known = r#"sum by ("@resource.service.name") (rate({"orders.settled", "outcome"="failed"}[5m]))"#;
    assert_eq!(names.unknown(known, Dialect::CloudWatch), Vec::<String>::new());
    for (right, wrong) in [
        ("orders.settled", "orders.closed"),
        ("outcome", "result"),
        ("failed", "confirmed|refused"),
        ("service.name", "name"),
    ] {
        let query = known.replace(right, wrong);
        assert!(!names.unknown(&query, Dialect::CloudWatch).is_empty(), "{query}");
    }
}

#[test]
fn each_metric_that_an_alarm_leans_on_is_watched_where_it_is_told() {
    let told: BTreeMap<_, _> = metrics::table().into_iter().map(|row| (row.name, row.metric)).collect();
    for alarm in Alarm::all() {
        assert!(!alarm.means.is_empty() && alarm.means.len() < 160, "{}", alarm.name);
        assert!(
            alarm.condition.is_some() || alarm.aws.is_some(),
            "{} asks for nothing",
            alarm.name
        );
        for series in alarm.series() {
            assert!(told.contains_key(&series.metric), "{}: {}", alarm.name, series.metric);
        }
    }
}

#[test]
fn every_alarm_has_its_section_in_the_runbook_and_its_case() {
    let alarms: Vec<_> = Alarm::all().into_iter().map(|alarm| alarm.name).collect();
    let runbook = fs::read_to_string(file("deploy/telemetry/RUNBOOK.md")).unwrap();
    let sections: Vec<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, alarms, "in the order of the list");
    for section in runbook.split("\n## ").skip(1) {
        for part in ["**Means**", "**Look at**", "**Do**", "**Over when**"] {
            assert!(section.contains(part), "{part} is missing: {section}");
        }
    }
    // What fires it, and what does not: `promtool test rules`.
    let cases = fs::read_to_string(file("deploy/telemetry/prometheus/alerts.test.yaml")).unwrap();
    let shown: BTreeSet<_> = cases
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- name: "))
        .collect();
    for alarm in Alarm::all().into_iter().filter(|alarm| alarm.condition.is_some()) {
        for end in ["fires", "stays quiet"] {
            let case = format!("{} {end}", alarm.name);
            assert!(shown.contains(case.as_str()), "{case}: there is no such case");
        }
    }
}

#[test]
fn dashboards_are_those_of_the_list_and_ask_only_for_what_is_measured() {
    let names = Names::of(metrics::table());
    for dashboard in Dashboard::all() {
        for query in dashboard.queries() {
            let wrong = names.unknown(query, Dialect::Prometheus);
            assert!(wrong.is_empty(), "{}: {wrong:?} in {query}", dashboard.title);
        }
        let folder = file("deploy/telemetry/grafana/dashboards");
        assert_checked_in(&folder.join(format!("{}.json", dashboard.uid)), &dashboard.written());
    }
}

#[test]
fn the_runbook_points_at_panels_that_there_are() {
    let dashboards = Dashboard::all();
    let titles: BTreeSet<_> = dashboards.iter().flat_map(Dashboard::titles).collect();
    let runbook = fs::read_to_string(file("deploy/telemetry/RUNBOOK.md")).unwrap();
    for line in runbook.split("**Look at**").skip(1) {
        let line = line.split("**Do**").next().unwrap();
        // *Dashboard*, "panel", "panel"; what else is in quotes is none.
        for part in line.split(';').filter(|part| part.contains('*')) {
            let name = part.split('*').nth(1).unwrap();
            assert!(dashboards.iter().any(|there| there.title == name), "{name} in {part}");
            for panel in part.split('"').skip(1).step_by(2) {
                assert!(titles.contains(panel), "{panel} in {part}");
            }
        }
    }
}

#[test]
fn what_aws_measures_is_asked_of_what_the_stacks_make() {
    let stacks = ["product-service", "basket-service", "order-service"];
    let templates = stacks.map(|stack| fs::read_to_string(file(&format!("deploy/aws/{stack}.yaml"))).unwrap());
    for alarm in Alarm::all() {
        let Some(aws) = alarm.aws else { continue };
        let named_by = match aws.dimension.as_str() {
            "QueueName" => "QueueName",
            "TableName" => "TableName",
            other => panic!("{}: what is called by a {other}?", alarm.name),
        };
        for (name, indexes) in aws.of {
            let made = format!("\n      {named_by}: !Sub \"${{Prefix}}-{name}\"\n");
            let template = templates.iter().find(|template| template.contains(&made));
            let template = template.unwrap_or_else(|| panic!("{}: nobody makes {name}", alarm.name));
            if named_by == "TableName" {
                let there = template.split("- IndexName: ").skip(1);
                let there: BTreeSet<_> = there.map(|rest| rest.lines().next().unwrap()).collect();
                assert_eq!(
                    indexes.iter().map(String::as_str).collect::<BTreeSet<_>>(),
                    there,
                    "{name}"
                );
            }
        }
    }
}
