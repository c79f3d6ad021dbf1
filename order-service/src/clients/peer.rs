//! Reading another service's internal routes, page by page. What must not be repeated is not called
//! from here.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use reqwest_middleware::ClientWithMiddleware;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::outgoing::Resent;
use shared::service_token::ServiceToken;
use thiserror::Error;
use url::Url;

use crate::clients::pause_before;

/// Reads from one service.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) base: Url,
    pub(super) http: ClientWithMiddleware,
    pub(super) token: Arc<ServiceToken>,
    pub(super) timeout: Duration,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Paged<T> {
    /// The entries.
    pub data: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

impl<T> Paged<T> {
    pub(super) fn map<U>(self, entry: impl FnMut(T) -> U) -> Paged<U> {
        Paged {
            data: self.data.into_iter().map(entry).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

/// Why a list could not be read.
#[derive(Debug, Error)]
pub enum PeerError {
    /// It did not answer, or not now.
    #[error("the {peer} service did not answer")]
    Unavailable {
        /// Which.
        peer: &'static str,
        /// Why.
        #[source]
        fault: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refused what it should not have: another release, or our token.
    #[error("the {peer} service refused: {status} {code}")]
    Refused {
        /// Which.
        peer: &'static str,
        /// HTTP.
        status: StatusCode,
        /// The problem's code.
        code: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: String,
}

/// Tries of one call.
const ATTEMPTS: u32 = 4;
/// Entries of a page: the most that the services give.
const LIMIT: &str = "100";

impl Peer {
    /// The page that `cursor` leads to, or the first one, of the list at `path`.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        which: &[(&str, &str)],
        cursor: Option<&str>,
    ) -> Result<Paged<T>, PeerError> {
        let mut url = self.at(path, which);
        url.query_pairs_mut().append_pair("limit", LIMIT);
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        self.read(&url).await
    }

    /// Those entries of the list at `path` that have these ids; 100 ids at most.
    pub(super) async fn by_ids<T: DeserializeOwned>(&self, path: &str, ids: &[String]) -> Result<Vec<T>, PeerError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let url = self.at(path, &[("ids", &ids.join(","))]);
        let page: Paged<T> = self.read(&url).await?;
        Ok(page.data)
    }

    fn at(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    async fn read<T: DeserializeOwned>(&self, url: &Url) -> Result<T, PeerError> {
        let answer = self.get(url).await?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(|fault| self.unavailable(fault));
        }
        let refusal: Refusal = answer.json().await.unwrap_or_default();
        Err(PeerError::Refused {
            peer: self.name,
            status,
            code: refusal.code,
        })
    }

    /// Tries until there is an answer that says something. A token that is refused is renewed once.
    async fn get(&self, url: &Url) -> Result<Response, PeerError> {
        let mut attempt = 1;
        let mut renewed = false;
        loop {
            let token = self.token.get().await.map_err(|fault| self.unavailable(fault))?;
            let request = self.http.get(url.clone()).bearer_auth(token.expose_secret());
            let request = request.with_extension(Resent(attempt - 1));
            let fault: Box<dyn std::error::Error + Send + Sync> = match request.timeout(self.timeout).send().await {
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED && !renewed => {
                    self.token.renew().await;
                    renewed = true;
                    continue;
                }
                Ok(answer) if !is_transient(answer.status()) => return Ok(answer),
                Ok(answer) => format!("it answered {}", answer.status()).into(),
                Err(fault) => fault.into(),
            };
            if attempt == ATTEMPTS {
                return Err(self.unavailable(fault));
            }
            pause_before(attempt).await;
            attempt += 1;
        }
    }

    fn unavailable(&self, fault: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PeerError {
        PeerError::Unavailable {
            peer: self.name,
            fault: fault.into(),
        }
    }
}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}
