//! What lets a user in.

use std::time::Duration;

use tokio::time::Instant;

use crate::aws::Cognito;
use crate::users;

/// A local token lasts for an hour.
const TOKEN_IS_OLD: Duration = Duration::from_secs(40 * 60);

/// An access token, and where the next one comes from.
pub(super) enum Pass {
    /// Given, and has to last.
    Token(String),
    /// Got by signing in, and again when it gets old.
    SignedIn(SignedIn),
}

/// Somebody who signs in at a local system's user pool.
pub(super) struct SignedIn {
    cognito: Cognito,
    client_id: String,
    name: String,
    token: String,
    since: Instant,
}

impl SignedIn {
    pub(super) async fn at(cognito: &Cognito, client_id: &str, name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            token: users::sign_in(cognito, client_id, name).await?,
            cognito: cognito.clone(),
            client_id: client_id.to_owned(),
            name: name.to_owned(),
            since: Instant::now(),
        })
    }
}

impl Pass {
    pub(super) fn token(&self) -> &str {
        match self {
            Self::Token(token) => token,
            Self::SignedIn(signed_in) => &signed_in.token,
        }
    }

    /// Signs in again where the token is old.
    pub(super) async fn renew(&mut self) {
        let Self::SignedIn(signed_in) = self else { return };
        if signed_in.since.elapsed() < TOKEN_IS_OLD {
            return;
        }
        // The old one is good for a while; it is tried again before the next journey.
        if let Ok(next) = SignedIn::at(&signed_in.cognito, &signed_in.client_id, &signed_in.name).await {
            *signed_in = next;
        }
    }
}
