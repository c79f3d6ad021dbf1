//! Products created and changed: written, then told.

use jiff::Timestamp;
use shared::ids::ProductId;
use thiserror::Error;

use crate::domain::product::{Content, Product};
use crate::domain::stock::OnHand;
use crate::relay::Relay;
use crate::store::{ChangeError, Consistency, CreateError, Edit, Expected, ProductWithStock, Store, StoreError};

pub mod export;
pub mod import;

/// The catalog and its changes.
#[derive(Clone, Debug)]
pub struct Catalog {
    store: Store,
    relay: Relay,
}

/// Why a product was not changed; `W` is what was wrong with what it should become.
#[derive(Debug, Error)]
pub enum EditError<W: std::error::Error> {
    /// There is no such product.
    #[error("there is no such product")]
    NotFound,
    /// It is not as the client has seen it, but so.
    #[error("the product has changed since it was read")]
    Stale(Box<ProductWithStock>),
    /// It cannot become that.
    #[error("what it should become is wrong")]
    Wrong(W),
    /// The table did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tries against others who change the same product.
const TRIES: u32 = 10;

impl Catalog {
    /// Over that table.
    #[must_use]
    pub fn new(store: Store, relay: Relay) -> Self {
        Self { store, relay }
    }

    /// Creates a product without stock.
    ///
    /// Two round trips: see [`Store::create`] and [`Store::forget`].
    ///
    /// # Errors
    /// Its sku is taken, or the table did not take it.
    pub async fn create(&self, content: Content, now: Timestamp) -> Result<ProductWithStock, CreateError> {
        let product = Product::new(content, now);
        let (made, outbox) = self.store.create(&product, OnHand::default(), now).await?;
        self.relay.tell(outbox).await;
        Ok(made)
    }

    /// Changes the product to what `rewrite` makes of it, if it is one of the `expected` versions.
    /// What it is already is not written again.
    ///
    /// Three round trips: an eventually consistent read, [`Store::change`] and [`Store::forget`]; one
    /// more where that read was late.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn edit<W: std::error::Error>(
        &self,
        id: ProductId,
        expected: &Expected,
        now: Timestamp,
        rewrite: impl Fn(&Content) -> Result<Content, W>,
    ) -> Result<ProductWithStock, EditError<W>> {
        // What a late read would refuse, a strong one refuses.
        let mut consistency = Consistency::Eventual;
        for _ in 0..TRIES {
            let late = consistency == Consistency::Eventual;
            let found = self.store.product(id, consistency).await?;
            consistency = Consistency::Strong;
            let before = match found {
                Some(found) => found,
                None if late => continue,
                None => return Err(EditError::NotFound),
            };
            if !expected.has(before.product.version) {
                if late {
                    continue;
                }
                return Err(EditError::Stale(Box::new(before)));
            }
            let content = rewrite(&before.product.content).map_err(EditError::Wrong)?;
            let Some(product) = before.product.changed_to(content, now) else {
                if late {
                    continue;
                }
                return Ok(before);
            };
            let edit = Edit { product, on_hand: None };
            match self.store.change(&before, &edit, now).await {
                Ok((after, outbox)) => {
                    self.relay.tell(outbox).await;
                    return Ok(after);
                }
                Err(ChangeError::Moved) => {}
                Err(ChangeError::Store(error)) => return Err(error.into()),
                Err(ChangeError::BelowReserved(_)) => return Err(StoreError::Contended.into()),
            }
        }
        Err(StoreError::Contended.into())
    }
}
