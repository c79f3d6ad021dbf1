//! What an update has to say so that one item becomes the other. Attributes that both have alike are
//! left alone, and so are those that neither knows: a later release may have written them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// An update expression with its names and values.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub(super) expression: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Change {
    /// From `before` to `after`.
    pub(super) fn between(
        before: &HashMap<String, AttributeValue>,
        mut after: HashMap<String, AttributeValue>,
    ) -> Self {
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        let (mut sets, mut removes) = (Vec::new(), Vec::new());
        let mut attributes: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
        attributes.sort_unstable();
        attributes.dedup();
        for (n, attribute) in attributes.into_iter().enumerate() {
            let is = after.remove(&attribute);
            if before.get(&attribute) == is.as_ref() {
                continue;
            }
            match is {
                Some(value) => {
                    sets.push(format!("#a{n} = :v{n}"));
                    values.insert(format!(":v{n}"), value);
                }
                None => removes.push(format!("#a{n}")),
            }
            names.insert(format!("#a{n}"), attribute);
        }
        let clauses = [("SET", sets), ("REMOVE", removes)];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        Self {
            expression: clauses
                .map(|(verb, parts)| format!("{verb} {}", parts.join(", ")))
                .collect::<Vec<_>>()
                .join(" "),
            names,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(of: &[(&str, i32)]) -> HashMap<String, AttributeValue> {
        of.iter()
            .map(|(name, n)| ((*name).to_owned(), AttributeValue::N(n.to_string())))
            .collect()
    }

    #[test]
    fn only_what_differs_is_written() {
        let change = Change::between(
            &item(&[("a", 1), ("b", 1), ("c", 1)]),
            item(&[("a", 1), ("b", 2), ("d", 3)]),
        );
        assert_eq!(change.expression, "SET #a1 = :v1, #a3 = :v3 REMOVE #a2");
        assert_eq!(change.names.get("#a2").map(String::as_str), Some("c"));
        assert_eq!(change.values, item(&[(":v1", 2), (":v3", 3)]));
    }
}
