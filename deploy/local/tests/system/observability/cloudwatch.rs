//! The alarms as a stack of CloudFormation, with a dashboard that shows them.
//!
//! What AWS measures itself is asked of its own metrics; the rest by PromQL of what the services tell, as
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-promql.html> has it.

use serde_json::{Map, Value, json};

use super::alarm::{Alarm, Aws, Severity};
use super::names::Names;
use super::query::Dialect;
use super::yaml;

/// A minute: the shortest period of AWS's own metrics.
const PERIOD_S: u32 = 60;
/// A widget of the dashboard: three in a row of 24.
const WIDGET: (usize, usize) = (8, 6);

pub(crate) fn written(alarms: &[Alarm], names: &Names) -> String {
    let mut resources = Map::new();
    let mut widgets = Vec::new();
    for alarm in alarms {
        let of_aws = alarm.aws.iter().flat_map(|aws| aws.of.keys().map(move |of| (aws, of)));
        let mut made: Vec<_> = of_aws
            .map(|(aws, of)| (logical(alarm, of), metric_alarm(alarm, aws, of)))
            .collect();
        if made.is_empty() {
            let query = alarm.query(names, Dialect::CloudWatch);
            made.extend(query.map(|query| (alarm.name.clone(), promql_alarm(alarm, &query))));
        } else {
            widgets.push(widget(alarm, made.iter().map(|(logical, _)| logical.as_str())));
        }
        resources.extend(made);
    }
    let all: Vec<_> = resources.keys().map(|logical| arn(logical)).collect();
    resources.insert("Dashboard".to_owned(), dashboard(&all, widgets));
    let about = "# Made from ../telemetry/alarms.json by deploy/local/tests/system/observability: UPDATE_CHECKED_IN=1 writes it\n# anew.\n";
    about.to_owned() + &yaml::written(&template(resources))
}

fn template(resources: Map<String, Value>) -> Value {
    let topic = |for_whom: &str| {
        json!({
            "Type": "String",
            "AllowedPattern": "arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+",
            "Description": format!("ARN of the SNS topic that tells {for_whom}."),
        })
    };
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Alarms and a dashboard for the whole system. Deployed last; see README.md.",
        "Parameters": {
            "Prefix": {
                "Type": "String",
                "Default": "commerce",
                "AllowedPattern": "[a-z][a-z0-9-]{0,38}[a-z0-9]",
                "Description": "Prefix of the other stacks: it begins the names of tables and queues, and is the environment that the services' metrics name.",
            },
            "PageTopicArn": topic("whoever is on call, at any hour"),
            "TicketTopicArn": topic("whoever looks on the next working day; it may be the same"),
        },
        "Resources": resources,
    })
}

fn logical(alarm: &Alarm, of: &str) -> String {
    let words = of.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
    alarm.name.clone() + &words.collect::<String>()
}

fn sub(text: impl Into<String>) -> Value {
    json!({"Fn::Sub": text.into()})
}

fn common(alarm: &Alarm, name: &str) -> Map<String, Value> {
    let topic = match alarm.severity {
        Severity::Page => "PageTopicArn",
        Severity::Ticket => "TicketTopicArn",
    };
    let Value::Object(properties) = json!({
        "AlarmName": sub(format!("${{Prefix}}-{name}")),
        "AlarmDescription":
            format!("{}. deploy/telemetry/RUNBOOK.md#{}", alarm.means, alarm.name.to_lowercase()),
        "AlarmActions": [{"Ref": topic}],
        "OKActions": [{"Ref": topic}],
    }) else {
        unreachable!("it is written as one")
    };
    properties
}

fn promql_alarm(alarm: &Alarm, query: &str) -> Value {
    let mut properties = common(alarm, &alarm.name);
    properties.insert("EvaluationInterval".to_owned(), json!(PERIOD_S));
    let criteria = json!({
        "Query": sub(query),
        "PendingPeriod": alarm.for_min * 60,
        "RecoveryPeriod": alarm.for_min * 60,
    });
    properties.insert("EvaluationCriteria".to_owned(), json!({"PromQLCriteria": criteria}));
    json!({"Type": "AWS::CloudWatch::Alarm", "Properties": properties})
}

/// Of one resource; with several metrics, or indexes, of their sum.
fn metric_alarm(alarm: &Alarm, aws: &Aws, of: &str) -> Value {
    let mut properties = common(alarm, &format!("{}-{of}", alarm.name));
    let (period_s, periods, enough) = periods(alarm, aws);
    for (name, value) in [
        ("ComparisonOperator", json!("GreaterThanThreshold")),
        ("Threshold", json!(alarm.threshold)),
        ("EvaluationPeriods", json!(periods)),
        ("DatapointsToAlarm", json!(enough)),
        ("TreatMissingData", json!("notBreaching")),
    ] {
        properties.insert(name.to_owned(), value);
    }
    let whole = json!([{"Name": aws.dimension, "Value": sub(format!("${{Prefix}}-{of}"))}]);
    let indexes = aws.of[of].iter().map(|index| {
        let mut dimensions = whole.clone();
        let list = dimensions.as_array_mut().unwrap();
        list.push(json!({"Name": "GlobalSecondaryIndexName", "Value": index}));
        dimensions
    });
    let dimensions: Vec<_> = [whole.clone()].into_iter().chain(indexes).collect();
    if let ([metric], [dimensions]) = (aws.metrics.as_slice(), dimensions.as_slice()) {
        for (name, value) in [
            ("Namespace", json!(aws.namespace)),
            ("MetricName", json!(metric)),
            ("Dimensions", dimensions.clone()),
            ("Statistic", json!(aws.statistic)),
            ("Period", json!(period_s)),
        ] {
            properties.insert(name.to_owned(), value);
        }
    } else {
        properties.insert("Metrics".to_owned(), sum(aws, &dimensions, period_s));
    }
    json!({"Type": "AWS::CloudWatch::Alarm", "Properties": properties})
}

/// How long each period is, in seconds, how many are looked at, and in how many of them it has to be so.
///
/// What happens is summed over as long as the alarm looks back: calls that are throttled now and then count too. What is measured
/// each minute stands for that minute; one in five may be missing, as SQS's do now and then.
fn periods(alarm: &Alarm, aws: &Aws) -> (u32, u32, u32) {
    match aws.statistic.as_str() {
        "Sum" => {
            let periods = alarm.for_min.div_ceil(alarm.over_min).max(1);
            (alarm.over_min * PERIOD_S, periods, periods)
        }
        "Maximum" => {
            let periods = alarm.for_min.max(1);
            (PERIOD_S, periods, periods - periods / 5)
        }
        other => panic!("{}: what is {other} over several minutes?", alarm.name),
    }
}

/// An alarm takes ten metrics at most.
fn sum(aws: &Aws, dimensions: &[Value], period_s: u32) -> Value {
    let each = dimensions
        .iter()
        .flat_map(|of| aws.metrics.iter().map(move |metric| (of, metric)));
    let mut metrics: Vec<_> = each
        .enumerate()
        .map(|(n, (of, metric))| {
            json!({
                "Id": format!("m{n}"),
                "ReturnData": false,
                "MetricStat": {
                    "Metric": {"Namespace": aws.namespace, "MetricName": metric, "Dimensions": of},
                    "Period": period_s,
                    "Stat": aws.statistic,
                },
            })
        })
        .collect();
    assert!(metrics.len() <= 10, "an alarm takes ten metrics at most");
    let filled: Vec<_> = (0..metrics.len()).map(|n| format!("FILL(m{n}, 0)")).collect();
    metrics.push(json!({"Id": "all", "Label": "all of them", "Expression": filled.join(" + ")}));
    json!(metrics)
}

fn arn(logical: &str) -> String {
    format!("${{{logical}.Arn}}")
}

/// What AWS measures, as its alarms see it.
fn widget<'a>(alarm: &Alarm, alarms: impl Iterator<Item = &'a str>) -> Vec<Value> {
    let graph = |logical: &str| {
        json!({
            "type": "metric",
            "properties": {
                "title": format!("{}: {}", alarm.name, alarm.means),
                "annotations": {"alarms": [arn(logical)]},
                "view": "timeSeries",
            },
        })
    };
    alarms.map(graph).collect()
}

fn dashboard(alarms: &[String], widgets: Vec<Vec<Value>>) -> Value {
    let (width, height) = WIDGET;
    let mut body = vec![json!({
        "type": "alarm", "x": 0, "y": 0, "width": 24, "height": height,
        "properties": {"title": "Alarms, what is wrong first", "alarms": alarms, "sortBy": "stateUpdatedTimestamp"},
    })];
    for (n, mut widget) in widgets.into_iter().flatten().enumerate() {
        let place = [
            ("x", n % 3 * width),
            ("y", height + n / 3 * height),
            ("width", width),
            ("height", height),
        ];
        let fields = widget.as_object_mut().unwrap();
        fields.extend(place.map(|(name, value)| (name.to_owned(), json!(value))));
        body.push(widget);
    }
    json!({
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {
            "DashboardName": {"Ref": "Prefix"},
            "DashboardBody": sub(json!({"widgets": body}).to_string()),
        },
    })
}
