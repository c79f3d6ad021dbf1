//! Update expressions, built up clause by clause. Which attributes there are is not known here.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Update};

use super::record::Item;

/// One update with its condition. Names and values get the shortest placeholders there are, since an
/// expression may have 4 KB and a large basket has hundreds of them.
#[derive(Debug, Default)]
pub(super) struct Expression {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    delete: Vec<String>,
    conditions: Vec<String>,
}

impl Expression {
    /// The placeholder of a path: one name, or several that lead into maps.
    pub(super) fn path(&mut self, names: &[&str]) -> String {
        let mut placeholders = Vec::new();
        for name in names {
            let next = format!("#{}", self.names.len());
            placeholders.push(self.names.entry((*name).to_owned()).or_insert(next).clone());
        }
        placeholders.join(".")
    }

    /// The placeholder of a value.
    pub(super) fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    pub(super) fn set(&mut self, names: &[&str], value: AttributeValue) {
        let (path, value) = (self.path(names), self.value(value));
        self.set.push(format!("{path}={value}"));
    }

    /// Sets it unless `unless` is there, to whose value it is set otherwise.
    pub(super) fn set_unless(&mut self, names: &[&str], unless: &[&str], value: AttributeValue) {
        let (path, unless, value) = (self.path(names), self.path(unless), self.value(value));
        self.set.push(format!("{path}=if_not_exists({unless},{value})"));
    }

    pub(super) fn add(&mut self, name: &str, value: AttributeValue) {
        let (path, value) = (self.path(&[name]), self.value(value));
        self.add.push(format!("{path} {value}"));
    }

    pub(super) fn delete(&mut self, name: &str, value: AttributeValue) {
        let (path, value) = (self.path(&[name]), self.value(value));
        self.delete.push(format!("{path} {value}"));
    }

    pub(super) fn remove(&mut self, name: &str) {
        let path = self.path(&[name]);
        self.remove.push(path);
    }

    /// All conditions have to hold.
    pub(super) fn only_if(&mut self, condition: String) {
        self.conditions.push(format!("({condition})"));
    }

    /// Makes `after` of `before`, which both tell all that they know of an item; what they do not know
    /// stays as it is.
    pub(super) fn difference(&mut self, before: &Item, after: Item) {
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            self.remove(name);
        }
        for (name, value) in after {
            if before.get(&name) != Some(&value) {
                self.set(&[&name], value);
            }
        }
    }

    fn update(&self) -> String {
        let clauses = [
            ("SET ", &self.set),
            ("REMOVE ", &self.remove),
            ("ADD ", &self.add),
            ("DELETE ", &self.delete),
        ];
        let clauses = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<_> = clauses
            .map(|(verb, parts)| format!("{verb}{}", parts.join(",")))
            .collect();
        clauses.join(" ")
    }

    #[cfg(test)]
    pub(super) fn longest(&self) -> usize {
        self.update().len().max(self.conditions.join(" AND ").len())
    }

    fn placeholders(&self) -> HashMap<String, String> {
        self.names
            .iter()
            .map(|(name, placeholder)| (placeholder.clone(), name.clone()))
            .collect()
    }

    pub(super) fn into_request(self, request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        request
            .update_expression(self.update())
            .set_condition_expression((!self.conditions.is_empty()).then(|| self.conditions.join(" AND ")))
            .set_expression_attribute_names(Some(self.placeholders()))
            .set_expression_attribute_values((!self.values.is_empty()).then_some(self.values))
    }

    /// As one action of a transaction; table and key are still to be named.
    pub(super) fn into_action(self) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        Update::builder()
            .update_expression(self.update())
            .set_condition_expression((!self.conditions.is_empty()).then(|| self.conditions.join(" AND ")))
            .set_expression_attribute_names(Some(self.placeholders()))
            .set_expression_attribute_values((!self.values.is_empty()).then_some(self.values))
    }
}
