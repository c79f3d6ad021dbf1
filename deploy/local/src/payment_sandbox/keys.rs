//! Idempotency keys: what was asked first under a key, and what was answered
//! (<https://docs.stripe.com/api/idempotent_requests>).

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::{Fault, KeyUse};

/// How long a key is remembered, in seconds: Stripe promises at least a day.
pub(super) const LIFE_S: i64 = 24 * 60 * 60;

/// A status and a JSON body, as they go out. Text, since many are kept for a day, and a parsed one takes some four times
/// the memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn new(status: u16, body: &Value) -> Self {
        Self {
            status,
            body: body.to_string(),
        }
    }
}

/// A call as far as its key is concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) path: String,
    /// Of the parameters.
    pub(super) fingerprint: String,
}

/// A key that was used, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    pub(super) key: String,
    pub(super) asked: Asked,
    /// The `Request-Id` of the call that used it first.
    pub(super) request_id: String,
    pub(super) created: i64,
    pub(super) outcome: KeyOutcome,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyOutcome {
    /// The payment named is being processed; its end is the answer.
    InFlight {
        intent: String,
        expand_charge: bool,
    },
    Answered(Answer),
}

/// All keys of the last day.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by_key: HashMap<String, KeyRecord>,
    by_age: VecDeque<(i64, String)>,
}

impl Keys {
    /// What was answered under this key before, if it was used at all.
    pub(super) fn find(&self, key: &str, asked: &Asked, now: i64) -> Result<Option<(&Answer, &str)>, Fault> {
        let Some(record) = self.by_key.get(key).filter(|record| !is_over(record.created, now)) else {
            return Ok(None);
        };
        if record.asked.path != asked.path {
            return Err(Fault::key_reused(key, KeyUse::OtherEndpoint(&record.asked.path)));
        }
        if record.asked.fingerprint != asked.fingerprint {
            return Err(Fault::key_reused(key, KeyUse::OtherParameters));
        }
        match &record.outcome {
            KeyOutcome::InFlight { .. } => Err(Fault::key_in_use(key)),
            KeyOutcome::Answered(answer) => Ok(Some((answer, &record.request_id))),
        }
    }

    /// The key whose call waits for this payment, if it had one.
    pub(super) fn waiting_for(&self, intent: &str) -> Option<&KeyRecord> {
        self.by_key
            .values()
            .find(|record| matches!(&record.outcome, KeyOutcome::InFlight { intent: waited, .. } if waited == intent))
    }

    /// Remembers a key, or what came of it, and forgets those whose day is over.
    pub(super) fn put(&mut self, record: KeyRecord) {
        let now = record.created;
        self.by_age.push_back((record.created, record.key.clone()));
        self.by_key.insert(record.key.clone(), record);
        while let Some((_, key)) = self.by_age.pop_front_if(|(created, _)| is_over(*created, now)) {
            // The key may have been used again since.
            if self.by_key.get(&key).is_some_and(|record| is_over(record.created, now)) {
                self.by_key.remove(&key);
            }
        }
    }

    /// Those still remembered, oldest first.
    pub(super) fn live(&self, now: i64) -> impl Iterator<Item = &KeyRecord> {
        let mut records: Vec<&KeyRecord> = self
            .by_key
            .values()
            .filter(|record| !is_over(record.created, now))
            .collect();
        records.sort_by(|one, other| (one.created, &one.key).cmp(&(other.created, &other.key)));
        records.into_iter()
    }
}

fn is_over(created: i64, now: i64) -> bool {
    now.saturating_sub(created) >= LIFE_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_forgotten_after_a_day_and_not_before() {
        let asked = Asked {
            path: "/v1/refunds".to_owned(),
            fingerprint: "a".to_owned(),
        };
        let answer = Answer::new(200, &Value::Null);
        let mut keys = Keys::default();
        keys.put(record("k", &asked, 1_000, answer.clone()));

        assert_eq!(
            keys.find("k", &asked, 1_000 + LIFE_S - 1).unwrap(),
            Some((&answer, "req_1"))
        );
        assert_eq!(keys.find("k", &asked, 1_000 + LIFE_S).unwrap(), None);

        keys.put(record("other", &asked, 1_000 + LIFE_S, answer));
        assert_eq!(
            keys.live(1_000 + LIFE_S)
                .map(|record| record.key.as_str())
                .collect::<Vec<_>>(),
            ["other"]
        );
        assert_eq!(keys.by_key.len(), 1);
    }

    fn record(key: &str, asked: &Asked, created: i64, answer: Answer) -> KeyRecord {
        KeyRecord {
            key: key.to_owned(),
            asked: asked.clone(),
            request_id: "req_1".to_owned(),
            created,
            outcome: KeyOutcome::Answered(answer),
        }
    }
}
