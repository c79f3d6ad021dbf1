//! The product service: what is sold at which price, and the stock held for orders. Every call is
//! keyed by the order's id, so that repeating it does nothing.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::contract::checkout::{Acceptance, Line};
use shared::contract::order::Shortage;
use shared::ids::{OrderId, ProductId};
use shared::money::Money;
use shared::outgoing::Resent;
use shared::quantity::Quantity;
use shared::service_token::ServiceToken;
use thiserror::Error;
use url::Url;

use crate::clients::pause_before;

/// Calls the product service.
pub struct ProductClient {
    base: Url,
    http: ClientWithMiddleware,
    token: ServiceToken,
    timeout: Duration,
}

/// What became of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// All of it is held.
    Held,
    /// Nothing is held: not enough is left of these.
    Short(Vec<Shortage>),
    /// It was given back before, so nothing can be held under this order any more.
    Closed,
}

/// What became of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The stock is sold.
    Sold,
    /// It was given back before.
    Closed,
}

/// A product as an order needs it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Product {
    /// Which.
    pub id: ProductId,
    /// The merchant's key.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Its price now.
    pub price: Money,
    /// Whether it is sold.
    pub state: ProductState,
    /// Whether the merchant wants to be asked.
    #[serde(default)]
    pub acceptance: Acceptance,
}

/// Whether a product is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductState {
    /// It is.
    Active,
    /// Not any more, or in some way that a later release knows.
    #[serde(other)]
    Archived,
}

/// Why there is no answer that the saga could go on with.
#[derive(Debug, Error)]
pub enum ProductError {
    /// It did not answer, or not now.
    #[error("the product service did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused what it should not have.
    #[error("the product service refused: {status} {code}")]
    Refused {
        /// HTTP.
        status: StatusCode,
        /// The problem's code.
        code: String,
    },
}

#[derive(Serialize)]
struct Hold<'a> {
    lines: Vec<HeldLine<'a>>,
    expires_in_s: u64,
}

#[derive(Serialize)]
struct HeldLine<'a> {
    product_id: &'a ProductId,
    quantity: Quantity,
}

#[derive(Deserialize)]
struct Products {
    data: Vec<Product>,
}

/// What matters of a problem.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: String,
    lines: Vec<Shortage>,
}

/// Tries of one call.
const ATTEMPTS: u32 = 3;

impl ProductClient {
    /// Calls the service at `base` as whom `token` says, waiting for each answer for `timeout`.
    #[must_use]
    pub fn new(base: Url, http: ClientWithMiddleware, token: ServiceToken, timeout: Duration) -> Self {
        Self {
            base,
            http,
            token,
            timeout,
        }
    }

    /// Holds the stock of all lines, or of none.
    ///
    /// # Errors
    /// There was no answer; it may be held or not, and asking again tells.
    pub async fn reserve(&self, order: &OrderId, lines: &[Line], hold_for: Duration) -> Result<Reserved, ProductError> {
        let lines = lines.iter().map(|line| HeldLine {
            product_id: &line.product_id,
            quantity: line.quantity,
        });
        let hold = Hold {
            lines: lines.collect(),
            expires_in_s: hold_for.as_secs(),
        };
        let url = self.internal(order, "");
        let answer = self
            .call_inside(|http| http.request(Method::PUT, url.clone()).json(&hold))
            .await?;
        if answer.status().is_success() {
            return Ok(Reserved::Held);
        }
        let status = answer.status();
        let refusal: Refusal = answer.json().await.unwrap_or_default();
        match (status, refusal.code.as_str()) {
            (StatusCode::CONFLICT, "out_of_stock") => Ok(Reserved::Short(refusal.lines)),
            (StatusCode::CONFLICT, "reservation_closed") => Ok(Reserved::Closed),
            _ => Err(ProductError::Refused {
                status,
                code: refusal.code,
            }),
        }
    }

    /// Makes the hold a sale.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn commit(&self, order: &OrderId) -> Result<Committed, ProductError> {
        let url = self.internal(order, "/commit");
        let answer = self.call_inside(|http| http.request(Method::POST, url.clone())).await?;
        if answer.status().is_success() {
            return Ok(Committed::Sold);
        }
        let status = answer.status();
        let refusal: Refusal = answer.json().await.unwrap_or_default();
        match (status, refusal.code.as_str()) {
            (StatusCode::CONFLICT, "reservation_closed") => Ok(Committed::Closed),
            _ => Err(ProductError::Refused {
                status,
                code: refusal.code,
            }),
        }
    }

    /// Gives back whatever is held or sold; and where nothing is, refuses a late hold from then on.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn release(&self, order: &OrderId) -> Result<(), ProductError> {
        let url = self.internal(order, "/release");
        let answer = self.call_inside(|http| http.request(Method::POST, url.clone())).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let status = answer.status();
        let refusal: Refusal = answer.json().await.unwrap_or_default();
        Err(ProductError::Refused {
            status,
            code: refusal.code,
        })
    }

    /// Those of these products that there are, archived ones too.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn products(&self, ids: &[ProductId]) -> Result<Vec<Product>, ProductError> {
        let ids: Vec<_> = ids.iter().map(ProductId::to_string).collect();
        let mut url = self.at("/v1/products");
        url.query_pairs_mut().append_pair("ids", &ids.join(","));
        let answer = self.call(|http| http.get(url.clone())).await?;
        let found: Products = read(answer).await?;
        Ok(found.data)
    }

    fn internal(&self, order: &OrderId, what: &str) -> Url {
        self.at(&format!("/internal/v1/reservations/{order}{what}"))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// A call of an internal route. A token that is refused is renewed once.
    async fn call_inside(
        &self,
        request: impl Fn(&ClientWithMiddleware) -> RequestBuilder,
    ) -> Result<Response, ProductError> {
        let mut renewed = false;
        loop {
            let token = self.token.get().await;
            let token = token.map_err(|fault| ProductError::Unavailable(fault.into()))?;
            let answer = self
                .call(|http| request(http).bearer_auth(token.expose_secret()))
                .await?;
            if answer.status() != StatusCode::UNAUTHORIZED || renewed {
                return Ok(answer);
            }
            self.token.renew().await;
            renewed = true;
        }
    }

    /// Tries until there is an answer that says something.
    async fn call(&self, request: impl Fn(&ClientWithMiddleware) -> RequestBuilder) -> Result<Response, ProductError> {
        let mut attempt = 1;
        loop {
            let sent = request(&self.http)
                .with_extension(Resent(attempt - 1))
                .timeout(self.timeout)
                .send()
                .await;
            let fault: Box<dyn std::error::Error + Send + Sync> = match sent {
                Ok(answer) if !is_transient(answer.status()) => return Ok(answer),
                Ok(answer) => format!("it answered {}", answer.status()).into(),
                Err(fault) => fault.into(),
            };
            if attempt == ATTEMPTS {
                return Err(ProductError::Unavailable(fault));
            }
            pause_before(attempt).await;
            attempt += 1;
        }
    }
}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, ProductError> {
    let status = answer.status();
    if !status.is_success() {
        let refusal: Refusal = answer.json().await.unwrap_or_default();
        return Err(ProductError::Refused {
            status,
            code: refusal.code,
        });
    }
    answer
        .json()
        .await
        .map_err(|fault| ProductError::Unavailable(fault.into()))
}
