//! Least privilege: what the services call on a whole day against what their roles may, both ways.
//!
//! Which permission a call takes is as AWS documents it: of a transaction, those of its writes
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>), of an index, its own
//! resource, of SQS' batches, that of the single call
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html>).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use deploy_local::{Part, aws};
use hyper::Request;
use hyper::header::AUTHORIZATION;
use serde_json::Value;

use crate::harness::http;
use crate::workday::Day;

const ACCOUNT: &str = "000000000000";
/// What a policy may allow though no day has it, and why.
const RARE: [(&str, &str, &str); 0] = [];

/// One use of a permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    /// As policies name it: `dynamodb:GetItem`.
    pub(crate) action: String,
    /// An ARN.
    pub(crate) resource: String,
    /// What conditions may ask for.
    pub(crate) context: BTreeMap<String, String>,
}

impl Call {
    /// Whose call it is, and what it takes. Nothing where it is no signed call: tokens and keys of the user pool.
    pub(crate) fn of(request: &Request<Bytes>) -> Option<(Part, Vec<Self>)> {
        let signature = request.headers().get(AUTHORIZATION)?.to_str().unwrap();
        let (_, credential) = signature.split_once("Credential=")?;
        let key = credential.split('/').next().unwrap();
        let part = Part::SERVICES.into_iter().find(|part| part.name() == key);
        let part = part.unwrap_or_else(|| panic!("{key} is no service"));
        let target = request.headers()["x-amz-target"].to_str().unwrap();
        let (service, operation) = target.split_once('.').unwrap();
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let calls = match service {
            "DynamoDB_20120810" => of_tables(operation, &body),
            "AmazonSQS" => vec![of_queues(operation, &body)],
            "AWSEvents" => of_buses(operation, &body),
            other => panic!("{part} calls {other}, of which nothing is known here"),
        };
        Some((part, calls))
    }

    fn new(action: impl Into<String>, resource: String) -> Self {
        Self {
            action: action.into(),
            resource,
            context: BTreeMap::new(),
        }
    }
}

fn of_tables(operation: &str, body: &Value) -> Vec<Call> {
    let arn = |table: &str| format!("arn:aws:dynamodb:{}:{ACCOUNT}:table/{table}", aws::REGION);
    let one = |value: &Value| arn(value["TableName"].as_str().unwrap());
    match operation {
        "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" => {
            vec![Call::new(format!("dynamodb:{operation}"), one(body))]
        }
        "Query" | "Scan" => {
            let index = body["IndexName"].as_str();
            let index = index.map(|index| format!("/index/{index}")).unwrap_or_default();
            vec![Call::new(
                format!("dynamodb:{operation}"),
                format!("{}{index}", one(body)),
            )]
        }
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().keys();
            tables
                .map(|table| Call::new("dynamodb:BatchGetItem", arn(table)))
                .collect()
        }
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().unwrap().iter();
            items
                .map(|item| {
                    let (kind, write) = item.as_object().unwrap().iter().next().unwrap();
                    let action = match kind.as_str() {
                        "ConditionCheck" => "ConditionCheckItem".to_owned(),
                        kind @ ("Put" | "Update" | "Delete") => format!("{kind}Item"),
                        other => panic!("{other} is no write of a transaction"),
                    };
                    Call::new(format!("dynamodb:{action}"), one(write))
                })
                .collect()
        }
        other => panic!("which permission does {other} take?"),
    }
}

fn of_queues(operation: &str, body: &Value) -> Call {
    let queue = body["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap();
    let arn = format!("arn:aws:sqs:{}:{ACCOUNT}:{queue}", aws::REGION);
    let action = match operation {
        "ReceiveMessage" | "SendMessage" | "DeleteMessage" | "ChangeMessageVisibility" | "GetQueueAttributes" => {
            operation
        }
        "ChangeMessageVisibilityBatch" => "ChangeMessageVisibility",
        other => panic!("which permission does {other} take?"),
    };
    Call::new(format!("sqs:{action}"), arn)
}

fn of_buses(operation: &str, body: &Value) -> Vec<Call> {
    assert_eq!(operation, "PutEvents", "which permission does it take?");
    let entries = body["Entries"].as_array().unwrap().iter();
    entries
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            let bus = text("EventBusName");
            let arn = format!("arn:aws:events:{}:{ACCOUNT}:event-bus/{bus}", aws::REGION);
            Call {
                context: BTreeMap::from([("events:source".to_owned(), text("Source"))]),
                ..Call::new("events:PutEvents", arn)
            }
        })
        .collect()
}

/// One statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    sid: String,
    actions: Vec<String>,
    resources: Vec<String>,
    /// What is asked for, word by word.
    equal: BTreeMap<String, String>,
}

impl Statement {
    /// Those of a service's policy, as CloudFormation made it of the template, its references resolved.
    pub(crate) async fn all_of(ministack: &str, part: Part) -> Vec<Self> {
        let arn = format!("arn:aws:iam::{ACCOUNT}:policy/commerce-{part}-{}", aws::REGION);
        let ask = http().post(ministack).header(
            "Authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential=test/20260101/{}/iam/aws4_request, SignedHeaders=host, Signature=00",
                aws::REGION
            ),
        );
        let form = [
            ("Action", "GetPolicyVersion"),
            ("Version", "2010-05-08"),
            ("PolicyArn", &arn),
            ("VersionId", "v1"),
        ];
        let said = ask.form(&form).send().await.unwrap().text().await.unwrap();
        let document = said.split_once("<Document>").and_then(|(_, rest)| rest.split_once('<'));
        let (document, _) = document.unwrap_or_else(|| panic!("no policy {arn}: {said}"));
        let decoded = reqwest::Url::parse(&format!("http://127.0.0.1/?document={document}")).unwrap();
        let (_, decoded) = decoded.query_pairs().next().unwrap();
        let policy: Value = serde_json::from_str(&decoded).unwrap();
        policy["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .map(Self::parse)
            .collect()
    }

    /// Anything beyond what is understood here fails.
    fn parse(statement: &Value) -> Self {
        let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
        let unknown: Vec<_> = statement.as_object().unwrap().keys().collect();
        assert!(
            unknown.iter().all(|name| known.contains(&name.as_str())),
            "{unknown:?} in {statement}"
        );
        assert_eq!(statement["Effect"], "Allow", "{statement}");
        let texts = |value: &Value| {
            let many = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let texts = many.iter().map(|one| one.as_str().unwrap().to_owned());
            texts.collect::<Vec<_>>()
        };
        let mut equal = BTreeMap::new();
        for (operator, asked) in statement["Condition"].as_object().into_iter().flatten() {
            assert_eq!(operator, "StringEquals", "{statement}");
            let asked = asked.as_object().unwrap().iter();
            equal.extend(asked.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())));
        }
        Self {
            sid: statement["Sid"].as_str().unwrap().to_owned(),
            actions: texts(&statement["Action"]),
            resources: texts(&statement["Resource"]),
            equal,
        }
    }

    fn allows(&self, call: &Call) -> bool {
        self.actions.contains(&call.action)
            && self.resources.contains(&call.resource)
            && self
                .equal
                .iter()
                .all(|(key, value)| call.context.get(key) == Some(value))
    }

    /// Each action with each resource.
    fn grants(&self) -> impl Iterator<Item = (&String, &String)> {
        let with_all = |action| self.resources.iter().map(move |resource| (action, resource));
        self.actions.iter().flat_map(with_all)
    }
}

/// Everything that is wrong between what a service calls and what it may.
fn faults(part: Part, calls: &BTreeSet<Call>, policy: &[Statement]) -> Vec<String> {
    let mut faults = Vec::new();
    for call in calls {
        if !policy.iter().any(|statement| statement.allows(call)) {
            let Call {
                action,
                resource,
                context,
            } = call;
            faults.push(format!("{part} calls {action} on {resource} {context:?} and may not"));
        }
    }
    let mut granted = BTreeSet::new();
    for statement in policy {
        let sid = &statement.sid;
        for (action, resource) in statement.grants() {
            if [action, resource].iter().any(|text| text.contains(['*', '?'])) {
                faults.push(format!("{sid} of {part} allows anything: {action} on {resource}"));
            }
            if !granted.insert((action, resource)) {
                faults.push(format!("{sid} of {part} allows once more: {action} on {resource}"));
            }
            let used = calls
                .iter()
                .any(|call| statement.allows(call) && (&call.action, &call.resource) == (action, resource));
            let rare = RARE
                .iter()
                .any(|(rare, end, _)| *rare == action.as_str() && resource.ends_with(end));
            if !used && !rare {
                faults.push(format!(
                    "{sid} of {part} allows what is never called: {action} on {resource}"
                ));
            }
            if action == "events:PutEvents" && !statement.equal.contains_key("events:source") {
                faults.push(format!("{sid} of {part} lets it speak in another's name"));
            }
        }
    }
    faults
}

pub(crate) fn policies_allow_exactly_the_calls(day: &Day) {
    for part in Part::SERVICES {
        let found = faults(part, &day.calls[&part], &day.policies[&part]);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

pub(crate) fn changed_policies_are_noticed(day: &Day) {
    let mut changed = 0;
    let mut noticed = |part, policy: &[Statement], what: &str| {
        changed += 1;
        let found = faults(part, &day.calls[&part], policy);
        assert!(
            found.iter().any(|fault| fault.contains(what)),
            "not {what:?}: {found:?}"
        );
    };
    for part in Part::SERVICES {
        let policy = &day.policies[&part];
        for (at, statement) in policy.iter().enumerate() {
            let with = |change: &dyn Fn(&mut Statement)| {
                let mut policy = policy.clone();
                change(&mut policy[at]);
                policy
            };
            let mut without = policy.clone();
            without.remove(at);
            noticed(part, &without, "and may not");
            for action in &statement.actions {
                let less = with(&|statement| statement.actions.retain(|one| one != action));
                noticed(part, &less, &format!("calls {action} on"));
            }
            for resource in &statement.resources {
                let less = with(&|statement| statement.resources.retain(|one| one != resource));
                noticed(part, &less, &format!("on {resource} "));
                let other = with(&|statement| statement.resources.push(format!("{resource}-of-others")));
                noticed(part, &other, "allows what is never called");
            }
            let action = statement.actions[0].clone();
            let (service, _) = action.split_once(':').unwrap();
            let more = with(&|statement| statement.actions.push(format!("{service}:DeleteTable")));
            noticed(part, &more, "allows what is never called");
            let any = with(&|statement| statement.actions.push(format!("{service}:*")));
            noticed(part, &any, "allows anything");
            let twice: Vec<_> = policy.iter().cloned().chain([statement.clone()]).collect();
            noticed(part, &twice, "allows once more");
            for key in statement.equal.keys() {
                let stricter = with(&|statement| drop(statement.equal.insert(key.clone(), "somebody-else".to_owned())));
                noticed(part, &stricter, "and may not");
                let looser = with(&|statement| drop(statement.equal.remove(key)));
                noticed(part, &looser, "in another's name");
            }
        }
    }
    assert!(changed > 100, "{changed} changes");
}
