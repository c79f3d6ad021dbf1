//! The basket service's checkouts under way, read for reconciliation.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest_middleware::ClientWithMiddleware;
use serde::Deserialize;
use shared::ids::OrderId;
use shared::service_token::ServiceToken;
use url::Url;

use crate::clients::peer::{Paged, Peer, PeerError};
use crate::domain::reconciliation::Checkout;

/// Reads checkouts under way.
pub struct BasketClient(Peer);

#[derive(Deserialize)]
struct CheckoutBody {
    order_id: OrderId,
    valid_until: Timestamp,
}

impl BasketClient {
    /// Reads from the service at `base` as whom `token` says, waiting for each page for `timeout`.
    #[must_use]
    pub fn new(base: Url, http: ClientWithMiddleware, token: Arc<ServiceToken>, timeout: Duration) -> Self {
        Self(Peer {
            name: "basket",
            base,
            http,
            token,
            timeout,
        })
    }

    /// A page of them.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn checkouts(&self, cursor: Option<&str>) -> Result<Paged<Checkout>, PeerError> {
        let page = self
            .0
            .page::<CheckoutBody>("/internal/v1/checkouts", &[], cursor)
            .await?;
        Ok(page.map(|body| Checkout {
            order: body.order_id,
            valid_until: body.valid_until,
        }))
    }
}
