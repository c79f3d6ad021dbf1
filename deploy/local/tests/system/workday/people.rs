//! Who shops in the day, and everything about them that nobody may write down: chosen so that none of it stands anywhere
//! by chance.

use std::fs;

use deploy_local::System;
use deploy_local::instance::Folder;
use serde_json::{Value, json};

/// What they sign in as; the user pool makes an e-mail address of it.
pub(crate) const CUSTOMERS: [&str; 2] = ["xantippe-quillfeather", "zebediah-thistlewick"];
/// With which services sign their calls to AWS.
pub(crate) const AWS_SECRET: &str = "wobbles0AWS0secret0access0key";
/// A test number of the card schemes, which belongs to nobody.
pub(crate) const CARD: &str = "4242424242424242";
/// What they browse with.
pub(crate) const AGENT: &str = "Thimblerig/1.0 (Wigglesworth)";
/// In words that people leave behind.
pub(crate) const REASON: &str = "Zebediah Thistlewick of Gloamingmoor said so";
pub(crate) const TRACKING: &str = "TRK-SNICKETFOLD-1";

pub(crate) fn address() -> Value {
    json!({
        "name": "Xantippe Quillfeather", "line1": "47 Wobblesworth Crescent", "line2": "Flat Pennywhistle",
        "city": "Marblethorpe", "postal_code": "QX7-3ZZ", "region": "Umbershire", "country": "GB",
    })
}

/// A text that nobody may write down, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub(crate) what: &'static str,
    pub(crate) text: String,
}

/// All of them, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<Secret>);

impl Known {
    /// What is known of the people and of the system before the day begins.
    pub(crate) async fn of(system: &System, folder: &Folder) -> Self {
        let mut known = Self::default();
        let words = [
            ("a name", "xantippe"),
            ("a name", "quillfeather"),
            ("a postal address", "wobblesworth"),
            ("a postal address", "pennywhistle"),
            ("a postal address", "marblethorpe"),
            ("a postal address", "qx7-3zz"),
            ("a postal address", "umbershire"),
            ("an e-mail address", "@example.com"),
            ("what somebody wrote", "zebediah"),
            ("what somebody wrote", "thistlewick"),
            ("what somebody wrote", "gloamingmoor"),
            ("a tracking number", TRACKING),
            ("the secret of AWS", AWS_SECRET),
            ("a payment token", "pm_card"),
            ("a payment token", "pm_slow"),
            ("a card's number", CARD),
            ("what somebody browses with", "thimblerig"),
            ("what somebody browses with", "wigglesworth"),
            ("an idempotency key", KEY),
        ];
        words.into_iter().for_each(|(what, word)| known.add(what, word));
        let secrets = fs::read(folder.path().join("secrets.json")).unwrap();
        let secrets: Value = serde_json::from_slice(&secrets).unwrap();
        for (_, secret) in secrets.as_object().unwrap() {
            known.add("a secret of the services", secret.as_str().unwrap());
        }
        let client = system.deployment().unwrap().setting("SERVICE_CLIENT_SECRET").unwrap();
        known.add("the services' client secret", client);
        known
    }

    pub(crate) fn add(&mut self, what: &'static str, text: &str) {
        assert!(text.len() >= 6, "{what} {text:?} may stand anywhere by chance");
        self.0.push(Secret {
            what,
            text: text.to_lowercase(),
        });
    }

    /// A token of three pieces, each of which is none of anybody's business. (The first one is the same in all tokens of a key.)
    pub(crate) fn add_token(&mut self, token: &str) {
        token.split('.').filter(|piece| piece.len() >= 12).for_each(|piece| {
            self.add("a piece of a token", piece);
        });
    }

    pub(crate) fn all(&self) -> &[Secret] {
        &self.0
    }
}

/// How all of the day's idempotency keys begin.
pub(crate) const KEY: &str = "key-of-snicketfold-";
