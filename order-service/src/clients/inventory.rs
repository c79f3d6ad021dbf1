//! The product service's stocks and reservations, read for reconciliation. What the saga asks of it is
//! `product`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest_middleware::ClientWithMiddleware;
use serde::Deserialize;
use shared::ids::{OrderId, ProductId};
use shared::service_token::ServiceToken;
use url::Url;

use crate::clients::peer::{Paged, Peer, PeerError};
use crate::domain::reconciliation::{Counters, Hold, Reservation};

/// Reads stocks and reservations.
pub struct InventoryClient(Peer);

#[derive(Deserialize)]
struct ReservationBody {
    order_id: OrderId,
    state: Hold,
    lines: Vec<LineBody>,
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct LineBody {
    product_id: ProductId,
    quantity: u64,
}

#[derive(Deserialize)]
struct CountersBody {
    product_id: ProductId,
    on_hand: u64,
    reserved: u64,
    available: u64,
}

const RESERVATIONS: &str = "/internal/v1/reservations";
const STOCK: &str = "/internal/v1/stock";

impl InventoryClient {
    /// Reads from the service at `base` as whom `token` says, waiting for each page for `timeout`.
    #[must_use]
    pub fn new(base: Url, http: ClientWithMiddleware, token: Arc<ServiceToken>, timeout: Duration) -> Self {
        Self(Peer {
            name: "product",
            base,
            http,
            token,
            timeout,
        })
    }

    /// A page of all reservations.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn reservations(&self, cursor: Option<&str>) -> Result<Paged<Reservation>, PeerError> {
        let page = self.0.page::<ReservationBody>(RESERVATIONS, &[], cursor).await?;
        Ok(page.map(Reservation::from))
    }

    /// A page of those that hold something now.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn held(&self, cursor: Option<&str>) -> Result<Paged<Reservation>, PeerError> {
        let held = [("state", "held")];
        let page = self.0.page::<ReservationBody>(RESERVATIONS, &held, cursor).await?;
        Ok(page.map(Reservation::from))
    }

    /// The reservations of these orders that there are, as they are now; 100 at most.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn reservations_of(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Reservation>, PeerError> {
        let ids: Vec<_> = orders.iter().map(OrderId::to_string).collect();
        let found = self.0.by_ids::<ReservationBody>(RESERVATIONS, &ids).await?;
        Ok(found.into_iter().map(|body| (body.order_id, body.into())).collect())
    }

    /// A page of all stocks.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn stocks(&self, cursor: Option<&str>) -> Result<Paged<Counters>, PeerError> {
        let page = self.0.page::<CountersBody>(STOCK, &[], cursor).await?;
        Ok(page.map(Counters::from))
    }

    /// The stocks of these products that there are, as they are now; 100 at most.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn stocks_of(&self, products: &[ProductId]) -> Result<BTreeMap<ProductId, Counters>, PeerError> {
        let ids: Vec<_> = products.iter().map(ProductId::to_string).collect();
        let found = self.0.by_ids::<CountersBody>(STOCK, &ids).await?;
        Ok(found.into_iter().map(|body| (body.product_id, body.into())).collect())
    }
}

impl From<ReservationBody> for Reservation {
    fn from(body: ReservationBody) -> Self {
        let lines = body.lines.into_iter().map(|line| (line.product_id, line.quantity));
        Self {
            order: body.order_id,
            hold: body.state,
            lines: lines.collect(),
            expires_at: body.expires_at,
        }
    }
}

impl From<CountersBody> for Counters {
    fn from(body: CountersBody) -> Self {
        Self {
            product: body.product_id,
            on_hand: body.on_hand,
            reserved: body.reserved,
            available: body.available,
        }
    }
}
