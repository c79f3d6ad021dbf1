//! Tokens for calls from service to service: OAuth 2.0 client credentials (RFC 6749, section 4.4).

use std::time::{Duration, Instant};

use clap::Args;
use reqwest_middleware::ClientWithMiddleware;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

/// Credentials with which this service calls the others.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Calls to other services")]
pub struct ServiceTokenSettings {
    /// Token endpoint of the user pool.
    #[arg(long, env = "AUTH_TOKEN_URL")]
    pub auth_token_url: Url,
    /// App client of the services.
    #[arg(long, env = "SERVICE_CLIENT_ID")]
    pub service_client_id: String,
    /// Secret of the app client `SERVICE_CLIENT_ID`.
    #[arg(long, env = "SERVICE_CLIENT_SECRET", hide_env_values = true)]
    pub service_client_secret: SecretString,
}

/// Keeps one token and renews it before it expires. Concurrent callers wait for one request.
pub struct ServiceToken {
    settings: ServiceTokenSettings,
    http: ClientWithMiddleware,
    current: Mutex<Option<Token>>,
}

struct Token {
    text: SecretString,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

const TIMEOUT: Duration = Duration::from_secs(3);
/// A token is renewed this long before it ends, so that none expires on its way.
const MARGIN: Duration = Duration::from_secs(60);

impl ServiceToken {
    /// Nothing is fetched before the first call.
    #[must_use]
    pub fn new(settings: ServiceTokenSettings, http: ClientWithMiddleware) -> Self {
        Self {
            settings,
            http,
            current: Mutex::default(),
        }
    }

    /// A token that holds for a minute at least.
    ///
    /// # Errors
    /// The token endpoint cannot be reached, or refuses the client.
    pub async fn get(&self) -> Result<SecretString, reqwest_middleware::Error> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.renew_at > Instant::now()) {
            return Ok(token.text.clone());
        }
        let answer: Answer = self
            .http
            .post(self.settings.auth_token_url.clone())
            .timeout(TIMEOUT)
            .basic_auth(
                &self.settings.service_client_id,
                Some(self.settings.service_client_secret.expose_secret()),
            )
            .form(&[
                ("grant_type", "client_credentials"),
                ("client_id", &self.settings.service_client_id),
                ("scope", "internal/stock internal/read"),
            ])
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let lifetime = Duration::from_secs(answer.expires_in).saturating_sub(MARGIN);
        let text = SecretString::from(answer.access_token);
        *current = Some(Token {
            text: text.clone(),
            renew_at: Instant::now() + lifetime,
        });
        Ok(text)
    }

    /// Forgets the token: the other side has refused it, as after a change of keys.
    pub async fn renew(&self) {
        *self.current.lock().await = None;
    }
}
