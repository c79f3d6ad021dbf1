//! What the tests of every service need: a user pool's stand-in that signs any claims, so that
//! forged, expired and foreign tokens can be sent too (the whole-system tests use a real pool), files
//! held against the code, processes that can be killed, and faults between them and everything else.

pub mod activity;
pub mod cards;
pub mod conformance;
pub mod cuts;
pub mod faults;
pub mod fuzzing;
#[cfg(test)]
pub(crate) mod measured;
pub mod process;
pub mod schema;
pub mod settings;

use std::net::TcpListener;
use std::path::Path;
use std::sync::OnceLock;

use actix_web::{App, HttpResponse, HttpServer, web};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use url::Url;

use crate::auth::AuthSettings;
use crate::config::{self, TelemetrySettings};
use crate::telemetry::{self, Telemetry};

/// Sets up telemetry that sends nothing, since trace ids exist only where it is set up; once for the process.
///
/// # Panics
/// It cannot be set up.
#[expect(clippy::panic, reason = "that is how a test fails")]
pub fn telemetry(service: &'static str) {
    #[derive(clap::Parser)]
    struct Quiet {
        #[command(flatten)]
        telemetry: TelemetrySettings,
    }
    static ONCE: OnceLock<Telemetry> = OnceLock::new();
    ONCE.get_or_init(|| {
        let arguments = [service, "--log-level=off"].map(Into::into).to_vec();
        let settings = config::try_parse::<Quiet>(arguments).unwrap_or_else(|refused| panic!("{refused}"));
        telemetry::init(service, "0", &settings.telemetry).unwrap_or_else(|error| panic!("{error:#}"))
    });
}

/// Whether files that are made from code and checked in are to be written anew: `UPDATE_CHECKED_IN=1`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
pub fn rewrites_checked_in() -> bool {
    std::env::var("UPDATE_CHECKED_IN").is_ok_and(|v| v == "1")
}

/// Returns whether `COMPLETE=1` selects the complete form of the tests, as the nightly run does: the sizes, durations and
/// time-outs of production. The default form checks the same rules with smaller ones.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
pub fn is_complete_run() -> bool {
    std::env::var("COMPLETE").is_ok_and(|v| v == "1")
}

/// Holds `now` against a file that is made from code and checked in, or rewrites the file where
/// `UPDATE_CHECKED_IN=1` asks for it.
///
/// # Panics
/// They differ, or the file cannot be read or written.
#[expect(clippy::panic, reason = "that is how a test fails")]
pub fn assert_checked_in(file: &Path, now: &str) {
    let now = format!("{}\n", now.trim_end());
    if rewrites_checked_in() {
        std::fs::write(file, &now).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
    let then = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    if then != now {
        let line = 1 + then.lines().zip(now.lines()).take_while(|(a, b)| a == b).count();
        panic!(
            "{} line {line}: the code says otherwise; run with UPDATE_CHECKED_IN=1 and look at the change",
            file.display()
        );
    }
}

/// The app client whose tokens the settings of [`Issuer::settings`] take.
pub const CLIENT_ID: &str = "shop-client";

/// Signs access tokens and publishes its keys on loopback, for as long as the process lives.
#[derive(Debug)]
pub struct Issuer {
    url: Url,
    key: EncodingKey,
    key_id: &'static str,
}

impl Issuer {
    /// The one of this test process: a key takes a while to make.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Issuer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start("key-1"))
    }

    /// Another one, with a key of its own: what it signs, others must refuse.
    ///
    /// # Panics
    /// No key can be made, or nothing can listen on loopback.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test cannot go on without it")]
    pub fn start(key_id: &'static str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(pkcs8.as_ref())
        );
        let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let public = pair.public_key();
        let jwks = json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id,
            "n": encoded(public.modulus().big_endian_without_leading_zero()),
            "e": encoded(public.exponent().big_endian_without_leading_zero()),
        }]});
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        std::thread::spawn(move || {
            let server = HttpServer::new(move || {
                let jwks = jwks.clone();
                App::new().route(
                    "/jwks.json",
                    web::get().to(move || std::future::ready(HttpResponse::Ok().json(jwks.clone()))),
                )
            });
            actix_web::rt::System::new().block_on(server.workers(1).disable_signals().listen(listener).unwrap().run())
        });
        Self {
            url,
            key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
            key_id,
        }
    }

    /// Settings of a service that believes this issuer.
    ///
    /// # Panics
    /// Never: the parts are constant.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "constant parts")]
    pub fn settings(&self) -> AuthSettings {
        AuthSettings {
            auth_issuer: self.url.to_string(),
            auth_jwks_url: self.url.join("jwks.json").unwrap(),
            auth_client_ids: vec![CLIENT_ID.to_owned()],
        }
    }

    /// Claims of a customer's valid access token, to be changed at will.
    #[must_use]
    pub fn claims(&self, subject: &str, groups: &[&str]) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({
            "sub": subject, "iss": self.url.as_str(), "client_id": CLIENT_ID, "token_use": "access",
            "iat": now, "exp": now + 3600, "cognito:groups": groups, "username": subject,
        })
    }

    /// A token with these claims.
    ///
    /// # Panics
    /// They cannot be signed.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test cannot go on without it")]
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(self.key_id.to_owned()),
            ..Header::new(Algorithm::RS256)
        };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// A customer's token.
    #[must_use]
    pub fn customer(&self, subject: &str) -> String {
        self.sign(&self.claims(subject, &[]))
    }

    /// A merchant's token.
    #[must_use]
    pub fn merchant(&self) -> String {
        self.sign(&self.claims("the-merchant", &["merchant"]))
    }

    /// An admin's token.
    #[must_use]
    pub fn admin(&self) -> String {
        self.sign(&self.claims("the-admin", &["admin"]))
    }

    /// A token of one of our services, with these scopes (`internal/stock`, `internal/read`).
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "indexing a JSON value to write adds the key")]
    pub fn service(&self, scopes: &str) -> String {
        let mut claims = self.claims(CLIENT_ID, &[]);
        claims["scope"] = json!(scopes);
        self.sign(&claims)
    }
}
