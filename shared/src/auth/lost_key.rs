//! A pool whose one key nobody has any more, for fuzzing: whatever gets in with another token than the one
//! that it signed was forged.

use super::{AuthSettings, Keys, Verifier};
use crate::outgoing::Outgoing;

use std::collections::HashMap;
use std::time::Instant;

use jsonwebtoken::DecodingKey;
use tokio::sync::{Mutex, RwLock};

/// Of the key that was thrown away, in base64url.
const MODULUS: &str = "nonvx1ItXjZvEeqIiQgFT0kMEni7ZS39QS41qoMnR9GbIkLM5v9XVGogVz1ySaswhMpS9elJra19kqTdmPj2t6S4AADM9hndeggG\
     qfSzX3AnhUL3-ooXu7UiM-ouh3xZtdFVjnKcmhDlT5FahXd3z_xPwxfYphV2I4QBUsKFVyLisswHl5by0BboLjKFibtde1Q6vsxo\
     DZMxbC0_9AxK8wo5YIrQ6AmBpUBDzVTMVP9PwJNd9AEDaLTujgsDGWPCIaP8tlFmcNPfPKFBWt8BTNZ1foCzIErVugq1E4yU1aww\
     Of-47cbReTEPKHpzwBDyIsRZBzsESsVaH-0wxBxNWw";
const EXPONENT: &str = "AQAB";

/// What it signed before: the access token of `a-customer`, of the group `merchant`, good until 2100.
const SIGNED: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6Imxvc3QiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhLWN1c3RvbWVyIiwiaXNzIjoiaHR0cHM6L\
     y9wb29sLmV4YW1wbGUiLCJjbGllbnRfaWQiOiJzaG9wLWNsaWVudCIsInRva2VuX3VzZSI6ImFjY2VzcyIsImV4cCI6NDEwMjQ0N\
     DgwMCwiY29nbml0bzpncm91cHMiOlsibWVyY2hhbnQiXX0.Zsx4QdUEZ_s3fSqnou5ZpDSlccham_BLboZU6s-5uFfSEszz38egu\
     lwDMSfCk4ekK09wGqqncBEEFWmSZU_xWdcPHK2LTk8Z7Uq8teJvX9c9XPMVPFBoo12eRmjItvl2QLviQ5Y-SQj7bH2npNmjx1k28\
     epg88Xy1v_UaH2F4LsKrnkusWUMzbE1eD_nIkCtj5xcI-YqyA-XdNYC60lx5T4z6B2veNN5yfCTy6CPXLBnfsDEoKF5OFeWJkToK\
     iXCPsMvO-kFA84FEnV_CSEX8UPLaWzvJ-zunPDPJDQJFApnAlwwCmCg_9v-2DH-42GlTY3wtx2my42O9dzAokAbWA";

impl Verifier {
    /// One that believes the lost key alone and never asks for others, and the one token that the key
    /// signed.
    ///
    /// # Panics
    /// Never: the parts are constant.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "constant parts")]
    pub fn of_a_lost_key() -> (Self, &'static str) {
        let key = DecodingKey::from_rsa_components(MODULUS, EXPONENT).unwrap();
        let settings = AuthSettings {
            auth_issuer: "https://pool.example".to_owned(),
            auth_jwks_url: "http://127.0.0.1:9/jwks.json".parse().unwrap(),
            auth_client_ids: vec!["shop-client".to_owned()],
        };
        let keys = Keys {
            by_id: HashMap::from([("lost".to_owned(), key)]),
            // Nothing is as old as that, so they are never fetched.
            fetched: Instant::now().checked_add(std::time::Duration::from_hours(24 * 365)),
        };
        let verifier = Self {
            settings,
            http: Outgoing::new().unwrap().http,
            keys: RwLock::new(keys.into()),
            fetching: Mutex::default(),
        };
        (verifier, SIGNED)
    }
}
