//! Who is calling: access tokens of the user pool, checked in every service, with or without the
//! gateway in front.
//!
//! A token is RS256-signed by a key of the pool's JWKS, and its `iss`, `client_id`, `token_use`,
//! `exp` and `nbf` hold. (Cognito's access tokens carry `client_id` and no `aud`.) There is no
//! switch to turn this off.

#[cfg(feature = "testing")]
mod lost_key;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use clap::Args;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest_middleware::ClientWithMiddleware;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::{Mutex, RwLock};
use url::Url;

use crate::ids::CustomerId;
use crate::problem::Problem;

/// Issuer and clients whose tokens are accepted.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Identity")]
pub struct AuthSettings {
    /// Issuer (`iss`) of the user pool's tokens.
    #[arg(long, env = "AUTH_ISSUER")]
    pub auth_issuer: String,
    /// Address of the user pool's JWKS.
    #[arg(long, env = "AUTH_JWKS_URL")]
    pub auth_jwks_url: Url,
    /// App clients whose tokens are accepted, separated by commas.
    #[arg(long, env = "AUTH_CLIENT_IDS", value_delimiter = ',', required = true)]
    pub auth_client_ids: Vec<String>,
}

/// Checks access tokens. One for the process; it keeps the pool's keys.
pub struct Verifier {
    settings: AuthSettings,
    http: ClientWithMiddleware,
    keys: RwLock<Arc<Keys>>,
    /// Held while fetching, so that a burst of unknown key ids asks once. When it failed last.
    fetching: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, DecodingKey>,
    /// `None`: never fetched.
    fetched: Option<Instant>,
}

/// Keys are asked for again after this long even when all tokens are known.
const REFRESH: Duration = Duration::from_secs(300);
/// An unknown key id makes us ask, but not more often than this: anybody can make up key ids.
const COOL_DOWN: Duration = Duration::from_secs(5);
/// After a failure nobody asks for so long: requests that queued up behind it would each wait in turn.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Clocks of the pool and ours may differ by this much, in seconds.
const LEEWAY_S: u64 = 5;

/// Why a token was not believed.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The token does not hold; the reason is for the log and for tests, the client learns none.
    #[error("the access token does not hold: {0}")]
    Refused(&'static str),
    /// No key could be had, so nothing can be said about any token.
    #[error("the user pool's keys cannot be fetched")]
    KeysUnavailable(#[source] FetchError),
}

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The pool did not answer with keys.
    #[error(transparent)]
    Http(#[from] reqwest_middleware::Error),
    /// It did not a moment ago.
    #[error("they could not be fetched a moment ago")]
    Paused,
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Refused(_) => {
                Problem::unauthenticated("the access token is missing, expired or not of this shop").because(error)
            }
            AuthError::KeysUnavailable(_) => Problem::unavailable(error),
        }
    }
}

/// What a token says, once it is believed.
#[derive(Clone, Debug, Deserialize)]
struct Claims {
    sub: CustomerId,
    client_id: String,
    token_use: String,
    #[serde(default, rename = "cognito:groups")]
    groups: Vec<String>,
    #[serde(default)]
    scope: String,
}

impl Verifier {
    /// Nothing is fetched before the first token comes.
    #[must_use]
    pub fn new(settings: AuthSettings, http: ClientWithMiddleware) -> Self {
        Self {
            settings,
            http,
            keys: RwLock::default(),
            fetching: Mutex::default(),
        }
    }

    async fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        let refused = |why| move |_fault| AuthError::Refused(why);
        let header = jsonwebtoken::decode_header(token).map_err(refused("it is not a JWT"))?;
        // Before any key is looked for: no `none`, no HMAC with a public key as its secret.
        if header.alg != Algorithm::RS256 {
            return Err(AuthError::Refused("it is not signed with RS256"));
        }
        // What has to be understood (RFC 7515, section 4.1.11) is not: the pool says nothing of the kind.
        if header.crit.is_some() {
            return Err(AuthError::Refused(
                "its header asks for something that is not known here",
            ));
        }
        let id = header.kid.ok_or(AuthError::Refused("it names no key"))?;
        let keys = self.keys_for(&id).await?;
        let key = keys
            .by_id
            .get(&id)
            .ok_or(AuthError::Refused("its key is not the pool's"))?;

        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.set_issuer(&[&self.settings.auth_issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        let claims: Claims = jsonwebtoken::decode(token, key, &validation)
            .map_err(refused("its signature, issuer, times or claims are wrong"))?
            .claims;
        if claims.token_use != "access" {
            return Err(AuthError::Refused("it is no access token"));
        }
        if !self.settings.auth_client_ids.contains(&claims.client_id) {
            return Err(AuthError::Refused("its app client is not taken here"));
        }
        Ok(claims)
    }

    /// The pool's keys, fetched where they are old or lack this one.
    async fn keys_for(&self, id: &str) -> Result<Arc<Keys>, AuthError> {
        let known = self.keys.read().await.clone();
        if known.serves(id) {
            return Ok(known);
        }
        let mut failed = self.fetching.lock().await;
        let known = self.keys.read().await.clone();
        if known.serves(id) {
            return Ok(known);
        }
        let fetched = match *failed {
            Some(at) if at.elapsed() < PAUSE_AFTER_FAILURE => Err(FetchError::Paused),
            Some(_) | None => self.fetch().await.map_err(FetchError::from),
        };
        *failed = match &fetched {
            Ok(_) => None,
            Err(FetchError::Paused) => *failed,
            Err(FetchError::Http(_)) => Some(Instant::now()),
        };
        match fetched {
            Ok(fresh) => {
                let fresh = Arc::new(fresh);
                *self.keys.write().await = Arc::clone(&fresh);
                Ok(fresh)
            }
            // Old keys still prove what they signed.
            Err(fault) if known.by_id.contains_key(id) => {
                tracing::warn!(error = %fault, "the user pool's keys could not be refreshed; going on with those known");
                Ok(known)
            }
            Err(fault) => Err(AuthError::KeysUnavailable(fault)),
        }
    }

    /// Fetches the keys where that has never been done. Extractors run side by side and the first to
    /// fail answers: with the keys at hand, a wrong token is refused before a wrong body.
    pub async fn warm(&self) {
        if self.keys.read().await.fetched.is_none() {
            // Whoever needs the keys is told that there are none.
            let _ = self.keys_for("").await;
        }
    }

    async fn fetch(&self) -> Result<Keys, reqwest_middleware::Error> {
        let request = self
            .http
            .get(self.settings.auth_jwks_url.clone())
            .timeout(FETCH_TIMEOUT);
        let set: JwkSet = request.send().await?.error_for_status()?.json().await?;
        let usable =
            |jwk: &jsonwebtoken::jwk::Jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?));
        Ok(Keys {
            by_id: set.keys.iter().filter_map(usable).collect(),
            fetched: Some(Instant::now()),
        })
    }
}

impl Keys {
    fn serves(&self, id: &str) -> bool {
        let age = self.fetched.map(|at| at.elapsed());
        match (self.by_id.contains_key(id), age) {
            (_, None) => false,
            (true, Some(age)) => age < REFRESH,
            (false, Some(age)) => age < COOL_DOWN,
        }
    }
}

/// Whoever sent a request with a valid access token and is a person: a customer, who may be a
/// merchant or an admin as well. A service's token is refused here with 403.
#[derive(Clone, Debug)]
pub struct Caller {
    subject: CustomerId,
    merchant: bool,
    admin: bool,
}

impl Caller {
    /// The token's `sub`.
    #[must_use]
    pub fn id(&self) -> &CustomerId {
        &self.subject
    }

    /// Whether they may do what a merchant may: of the group `merchant` or `admin`.
    #[must_use]
    pub fn is_merchant(&self) -> bool {
        self.merchant || self.admin
    }
}

/// A caller, or nobody in particular. A token that is there and does not hold is still a 401.
#[derive(Clone, Debug)]
pub struct MaybeCaller(pub Option<Caller>);

/// A caller of the group `merchant` or `admin`; others get 403.
#[derive(Clone, Debug)]
pub struct Merchant(pub Caller);

/// A caller of the group `admin`; others get 403.
#[derive(Clone, Debug)]
pub struct Admin(pub Caller);

/// One of our services, allowed to hold and release stock (scope `internal/stock`).
#[derive(Clone, Copy, Debug)]
pub struct StockService;

/// One of our services, allowed to read everything (scope `internal/read`).
#[derive(Clone, Copy, Debug)]
pub struct ReadService;

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

fn claims(req: &HttpRequest) -> impl Future<Output = Result<Option<Claims>, Problem>> + use<> {
    let verifier = req.app_data::<web::Data<Verifier>>().cloned();
    let sent: Vec<_> = req.headers().get_all(header::AUTHORIZATION).cloned().collect();
    async move {
        let token = match sent.as_slice() {
            [] => return Ok(None),
            [one] => bearer(one).ok_or(AuthError::Refused("it is no bearer token"))?,
            _ => return Err(AuthError::Refused("there are several").into()),
        };
        let verifier = verifier.ok_or_else(|| Problem::internal(std::io::Error::other("no verifier in the app")))?;
        Ok(Some(verifier.verify(token).await?))
    }
}

fn bearer(value: &header::HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl TryFrom<Claims> for Caller {
    type Error = Problem;

    fn try_from(claims: Claims) -> Result<Self, Problem> {
        if claims.scope.split(' ').any(|scope| scope.starts_with("internal/")) {
            return Err(Problem::forbidden("a service's token opens the internal routes alone"));
        }
        let of = |group: &str| claims.groups.iter().any(|g| g == group);
        Ok(Self {
            merchant: of("merchant"),
            admin: of("admin"),
            subject: claims.sub,
        })
    }
}

impl FromRequest for MaybeCaller {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let claims = claims(req);
        Box::pin(async move { Ok(Self(claims.await?.map(Caller::try_from).transpose()?)) })
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let claims = claims(req);
        Box::pin(async move { required(claims.await?)?.try_into() })
    }
}

impl FromRequest for Merchant {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(req, payload);
        Box::pin(async move {
            let caller = caller.await?;
            if caller.is_merchant() {
                Ok(Self(caller))
            } else {
                Err(Problem::forbidden("this is for merchants"))
            }
        })
    }
}

impl FromRequest for Admin {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(req, payload);
        Box::pin(async move {
            let caller = caller.await?;
            if caller.admin {
                Ok(Self(caller))
            } else {
                Err(Problem::forbidden("this is for admins"))
            }
        })
    }
}

impl FromRequest for StockService {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let claims = claims(req);
        Box::pin(async move { with_scope(&required(claims.await?)?, "internal/stock").map(|()| Self) })
    }
}

impl FromRequest for ReadService {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let claims = claims(req);
        Box::pin(async move { with_scope(&required(claims.await?)?, "internal/read").map(|()| Self) })
    }
}

fn required(claims: Option<Claims>) -> Result<Claims, Problem> {
    claims.ok_or_else(|| Problem::unauthenticated("send an access token: Authorization: Bearer ..."))
}

fn with_scope(claims: &Claims, scope: &str) -> Result<(), Problem> {
    if claims.scope.split(' ').any(|s| s == scope) {
        Ok(())
    } else {
        Err(Problem::forbidden(format!("this needs the scope {scope}")))
    }
}
