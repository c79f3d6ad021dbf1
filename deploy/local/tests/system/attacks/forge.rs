//! Tokens that ought not to be believed, made with all that an attacker could have, and with the pool's own keys where
//! one wrong thing at a time is to be shown.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

/// What tokens are made with.
pub(crate) struct Forge {
    /// The one that signs the pool's access tokens.
    pool: EncodingKey,
    /// Of the same server, but not of the pool.
    foreign: EncodingKey,
    header: Value,
    claims: Value,
    genuine: String,
    public_pem: String,
    public_der: Vec<u8>,
    modulus: Vec<u8>,
    strangers_modulus: Vec<u8>,
}

impl Forge {
    /// From an admin's genuine token, and the keys that the stand-in for Cognito keeps in its folder.
    pub(crate) fn new(folder: &Path, genuine: &str) -> Self {
        let pems = pems(folder);
        let named = |end: &str| {
            let found = pems.iter().find(|(name, _)| name.ends_with(end));
            found
                .unwrap_or_else(|| panic!("{end} is not among {:?}", pems.keys()))
                .1
        };
        let (pem, foreign) = (named("-access.pem"), named("cognito-rsa-key.pem"));
        let pair = pair(pem);
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let parts: Vec<&str> = genuine.split('.').collect();
        Self {
            pool: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
            foreign: EncodingKey::from_rsa_pem(foreign.as_bytes()).unwrap(),
            header: part(parts[0]),
            claims: part(parts[1]),
            genuine: genuine.to_owned(),
            public_pem: format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                BASE64_STANDARD.encode(public.as_ref())
            ),
            public_der: public.as_ref().to_vec(),
            modulus: modulus(&pair),
            strangers_modulus: modulus(&self::pair(foreign)),
        }
    }

    /// Signed by the pool, with these claims changed; `null` takes one away.
    pub(crate) fn saying(&self, changes: &Value) -> String {
        signed(
            &self.header,
            &changed(&self.claims, changes),
            &self.pool,
            Algorithm::RS256,
        )
    }

    /// Signed by the pool, under this header.
    pub(crate) fn headed(&self, changes: &Value) -> String {
        signed(
            &changed(&self.header, changes),
            &self.claims,
            &self.pool,
            Algorithm::RS256,
        )
    }

    /// Signed by the pool, with another algorithm.
    pub(crate) fn with_algorithm(&self, name: &str, algorithm: Algorithm) -> String {
        signed(
            &changed(&self.header, &json!({"alg": name})),
            &self.claims,
            &self.pool,
            algorithm,
        )
    }

    /// Signed with a key that is none of the pool's, under this header.
    pub(crate) fn by_a_stranger(&self, changes: &Value) -> String {
        signed(
            &changed(&self.header, changes),
            &self.claims,
            &self.foreign,
            Algorithm::RS256,
        )
    }

    /// An HMAC with what everybody knows of the pool as its secret.
    pub(crate) fn confused(&self, secret: &str) -> String {
        let secret = match secret {
            "PEM" => self.public_pem.as_bytes(),
            "DER" => &self.public_der,
            "modulus" => &self.modulus,
            other => other.as_bytes(),
        };
        let header = changed(&self.header, &json!({"alg": "HS256"}));
        signed(
            &header,
            &self.claims,
            &EncodingKey::from_secret(secret),
            Algorithm::HS256,
        )
    }

    /// Unsigned: the header says that no signature is needed.
    pub(crate) fn unsigned(&self, algorithm: &str, signature: &str) -> String {
        let header = changed(&self.header, &json!({"alg": algorithm}));
        format!("{}.{}.{signature}", encoded(&header), encoded(&self.claims))
    }

    /// The genuine one, cut into header, claims and signature.
    pub(crate) fn parts(&self) -> [&str; 3] {
        self.genuine.split('.').collect::<Vec<_>>().try_into().unwrap()
    }

    /// The genuine one's signature under other claims.
    pub(crate) fn tampered(&self, genuine: &str, changes: &Value) -> String {
        let parts: Vec<&str> = genuine.split('.').collect();
        let claims = changed(&part(parts[1]), changes);
        format!("{}.{}.{}", parts[0], encoded(&claims), parts[2])
    }

    /// A JWK of the stranger's, as a header could bring it along.
    pub(crate) fn strangers_jwk(&self) -> Value {
        json!({"kty": "RSA", "alg": "RS256", "kid": "mine", "n": BASE64_URL_SAFE_NO_PAD.encode(&self.strangers_modulus), "e": "AQAB"})
    }
}

/// Whose token it is.
pub(crate) fn subject(token: &str) -> String {
    let claims = part(token.split('.').nth(1).unwrap());
    claims["sub"].as_str().unwrap().to_owned()
}

fn pair(pem: &str) -> KeyPair {
    let der: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    KeyPair::from_pkcs8(&BASE64_STANDARD.decode(der).unwrap()).unwrap()
}

fn modulus(pair: &KeyPair) -> Vec<u8> {
    pair.public_key().modulus().big_endian_without_leading_zero().to_vec()
}

fn part(encoded: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn changed(value: &Value, changes: &Value) -> Value {
    let mut value = value.clone();
    let fields = value.as_object_mut().unwrap();
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), change.clone());
        }
    }
    value
}

fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// Every PEM file below, by its path.
fn pems(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "pem") {
            found.insert(path.display().to_string(), fs::read_to_string(path).unwrap());
        }
    }
    found
}
