//! Taking away what makes the services safe, on the wire: production code knows nothing of it.

use serde_json::{Map, Value, json};

/// A precaution that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Every event is taken, and told to nobody: an outbox that is cleared and not published.
    NothingPublished,
    /// Entries that the bus refused are answered as taken: an outbox that looks at the call alone.
    RefusedEntriesTaken,
    /// Conditions that hold this clause are taken off requests of that operation, those of a
    /// transaction's actions too.
    Unconditional {
        /// Such as `UpdateItem`.
        operation: &'static str,
        /// A part of the condition; empty: any.
        clause: &'static str,
    },
    /// Calls to other services carry no `Idempotency-Key`.
    Unkeyed,
}

impl Mutation {
    /// The request as it goes out under this, where it goes out changed.
    pub(super) fn of_request(self, name: &str, body: &Value) -> Option<Value> {
        let Self::Unconditional { operation, clause } = self else {
            return None;
        };
        if operation != name {
            return None;
        }
        let mut body = body.clone();
        let mut changed = strip(&mut body, clause);
        if let Some(actions) = body.get_mut("TransactItems").and_then(Value::as_array_mut) {
            for kind in ["Put", "Update", "Delete"] {
                for action in actions.iter_mut().filter_map(|action| action.get_mut(kind)) {
                    changed |= strip(action, clause);
                }
            }
        }
        changed.then_some(body)
    }

    /// What is answered without asking anybody.
    pub(super) fn instead_of_asking(self, name: &str, body: &Value) -> Option<Value> {
        (self == Self::NothingPublished && name == "PutEvents").then(|| all_taken(body))
    }

    /// The answer as it is heard under this, where it is heard otherwise.
    pub(super) fn of_answer(self, name: &str, request: &Value, answer: &Value) -> Option<Value> {
        let refused = answer.get("FailedEntryCount").and_then(Value::as_u64).unwrap_or(0) > 0;
        (self == Self::RefusedEntriesTaken && name == "PutEvents" && refused).then(|| all_taken(request))
    }
}

fn all_taken(request: &Value) -> Value {
    let entries = request.get("Entries").and_then(Value::as_array).map_or(0, Vec::len);
    let taken: Vec<_> = (0..entries).map(|n| json!({"EventId": format!("taken-{n}")})).collect();
    json!({"FailedEntryCount": 0, "Entries": taken})
}

/// Takes the condition off a write, and the names and values that only it used: DynamoDB refuses
/// what is not used.
fn strip(write: &mut Value, clause: &str) -> bool {
    let Some(write) = write.as_object_mut() else {
        return false;
    };
    let condition = write.get("ConditionExpression").and_then(Value::as_str);
    if !condition.is_some_and(|condition| condition.contains(clause)) {
        return false;
    }
    write.remove("ConditionExpression");
    let left = write
        .get("UpdateExpression")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let used: Vec<String> = left
        .split(|c: char| !(c.is_ascii_alphanumeric() || "#:_".contains(c)))
        .map(str::to_owned)
        .collect();
    for names in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        prune(write, names, &used);
    }
    true
}

fn prune(write: &mut Map<String, Value>, names: &str, used: &[String]) {
    if let Some(all) = write.get_mut(names).and_then(Value::as_object_mut) {
        all.retain(|name, _| used.contains(name));
        if all.is_empty() {
            write.remove(names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_goes_with_what_only_it_used() {
        let mutation = Mutation::Unconditional {
            operation: "UpdateItem",
            clause: ":was",
        };
        let update = json!({
            "UpdateExpression": "SET #a = :a, #list[0] = :b", "ConditionExpression": "#v = :was",
            "ExpressionAttributeNames": {"#a": "a", "#list": "list", "#v": "version"},
            "ExpressionAttributeValues": {":a": 1, ":b": 2, ":was": 3},
        });
        let stripped = json!({
            "UpdateExpression": "SET #a = :a, #list[0] = :b",
            "ExpressionAttributeNames": {"#a": "a", "#list": "list"},
            "ExpressionAttributeValues": {":a": 1, ":b": 2},
        });
        assert_eq!(mutation.of_request("UpdateItem", &update), Some(stripped));
        assert_eq!(mutation.of_request("PutItem", &update), None);
    }

    #[test]
    fn the_conditions_of_a_transaction_are_its_actions() {
        let mutation = Mutation::Unconditional {
            operation: "TransactWriteItems",
            clause: "",
        };
        let put = json!({"Item": {}, "ConditionExpression": "attribute_not_exists(pk)"});
        let check = json!({"ConditionCheck": {"ConditionExpression": "attribute_exists(pk)"}});
        let body = json!({"TransactItems": [{"Put": put}, check]});
        let stripped = json!({"TransactItems": [{"Put": {"Item": {}}}, check]});
        assert_eq!(mutation.of_request("TransactWriteItems", &body), Some(stripped));
    }
}
