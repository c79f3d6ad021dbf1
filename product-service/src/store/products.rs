//! Products written: document, stock and outbox together.

use jiff::Timestamp;
use shared::contract::Entry;
use shared::ids::ProductId;
use thiserror::Error;

use super::backoff::Backoff;
use super::outbox::{Outbox, Place};
use super::read::ProductWithStock;
use super::record;
use super::write::{Item, NotWritten, Refusal};
use super::{Store, StoreError};
use crate::domain::product::{Listing, Product};
use crate::domain::stock::{BelowReserved, OnHand, Stock};
use crate::events;

/// Why a product was not created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// Its sku has a product already, perhaps an archived one.
    #[error("the sku has a product")]
    Taken(ProductId),
    /// The table did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a product was not changed.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// It is not as it was read; how it is must be read again.
    #[error("the product was changed by others")]
    Moved,
    /// A count that came with the change is below what is held.
    #[error(transparent)]
    BelowReserved(#[from] BelowReserved),
    /// The table did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What becomes of a product as it was read.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The product afterwards; the same version if only the stock is counted.
    pub product: Product,
    /// A count that comes with it.
    pub on_hand: Option<OnHand>,
}

impl Store {
    /// Creates a product with its stock and its first events.
    ///
    /// One round trip; 9 WCU for items of 1 KB: twice the three of them, and an entry in each of
    /// `catalog_by_name`, `catalog_by_price` and `due`. 1 more if something is in stock.
    ///
    /// # Errors
    /// See [`CreateError`].
    pub async fn create(
        &self,
        product: &Product,
        on_hand: OnHand,
        now: Timestamp,
    ) -> Result<(ProductWithStock, Option<Outbox>), CreateError> {
        let stock = Stock::new(on_hand, Listing::of(product.id, &product.content));
        let entries = events::of_new(product, &stock, now).map_err(StoreError::fault)?;
        let writes = [
            record::document::create(product)?,
            record::stock::create(product.id, &stock)?,
            record::outbox::enqueue(product.id, &entries, self.due_at(now))?,
        ];
        let mut backoff = Backoff::default();
        loop {
            match self.transact(writes.to_vec()).await {
                Ok(()) => break,
                Err(NotWritten::Failed(error)) => return Err(error.into()),
                Err(NotWritten::Refused(refusals)) => match refusals.as_slice() {
                    [Refusal::Condition(_), ..] | [_, Refusal::Condition(_), _] => {
                        return Err(CreateError::Taken(product.id));
                    }
                    [_, _, Refusal::Condition(_)] => return Err(StoreError::OutboxFull.into()),
                    [..] => backoff.pause().await?,
                },
            }
        }
        let made = ProductWithStock {
            product: product.clone(),
            stock,
        };
        Ok((made, Outbox::of(Place::Product(product.id), entries)))
    }

    /// Changes a product, its stock's listing with it where that moves, and tells of it.
    ///
    /// One round trip. For documents of 1 KB 7 to 9 WCU: twice the document and the outbox, 1 or 2 for
    /// each catalog index, 1 in `due`; 2 more if it moves to another place in the lists, and 1 or 2 in
    /// `in_stock` then.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn change(
        &self,
        before: &ProductWithStock,
        edit: &Edit,
        now: Timestamp,
    ) -> Result<(ProductWithStock, Option<Outbox>), ChangeError> {
        let mut backoff = Backoff::default();
        let mut stock_before = before.stock.clone();
        loop {
            let planned = Planned::new(before, &stock_before, edit, now)?;
            let mut writes = Vec::new();
            if planned.document {
                writes.push(record::document::replace(&edit.product, before.product.version)?);
            }
            if planned.stock_moves {
                let id = edit.product.id;
                writes.push(record::stock::replaced(
                    id,
                    &stock_before,
                    &planned.stock,
                    &planned.nonce,
                ));
            }
            if !planned.entries.is_empty() {
                writes.push(record::outbox::enqueue(
                    edit.product.id,
                    &planned.entries,
                    self.due_at(now),
                )?);
            }
            let Err(refused) = self.transact(writes).await else {
                let place = Place::Product(edit.product.id);
                let after = ProductWithStock {
                    product: edit.product.clone(),
                    stock: planned.stock,
                };
                return Ok((after, Outbox::of(place, planned.entries)));
            };
            match planned.why(refused)? {
                Why::Document => return Err(ChangeError::Moved),
                Why::Stock(item) => {
                    stock_before = record::stock::read(item)?;
                    backoff.next_try()?;
                }
                Why::Contention => backoff.pause().await?,
            }
        }
    }
}

/// A change as it is about to be written.
struct Planned {
    document: bool,
    stock_moves: bool,
    stock: Stock,
    entries: Vec<Entry>,
    nonce: String,
}

enum Why {
    Document,
    Stock(Item),
    Contention,
}

impl Planned {
    fn new(before: &ProductWithStock, stock_before: &Stock, edit: &Edit, now: Timestamp) -> Result<Self, ChangeError> {
        let listed = stock_before.relisted(Listing::of(edit.product.id, &edit.product.content));
        let counted = match edit.on_hand {
            Some(on_hand) if on_hand.get() != stock_before.on_hand() => listed.counted(on_hand)?,
            Some(_) | None => listed,
        };
        let (stock, crossing) = stock_before.leading_to(counted);
        let document = edit.product.version != before.product.version;
        let mut entries = Vec::new();
        if document {
            entries = events::of_change(&before.product, &edit.product, now).map_err(StoreError::fault)?;
        }
        if let Some(crossing) = crossing {
            entries.push(events::of_crossing(edit.product.id, crossing, &stock, now).map_err(StoreError::fault)?);
        }
        Ok(Self {
            document,
            stock_moves: stock != *stock_before,
            stock,
            entries,
            nonce: super::stock::nonce(),
        })
    }

    /// Which write was the reason, and what it found.
    fn why(&self, refused: NotWritten) -> Result<Why, StoreError> {
        let refusals = match refused {
            NotWritten::Refused(refusals) => refusals,
            NotWritten::Failed(error) => return Err(error),
        };
        let mut refusals = refusals.into_iter();
        if self.document && matches!(refusals.next(), Some(Refusal::Condition(_))) {
            return Ok(Why::Document);
        }
        if self.stock_moves
            && let Some(Refusal::Condition(found)) = refusals.next()
        {
            let missing = || StoreError::fault("a product without a stock item");
            return found.map(Why::Stock).ok_or_else(missing);
        }
        match refusals.next() {
            Some(Refusal::Condition(_)) => Err(StoreError::OutboxFull),
            Some(Refusal::None | Refusal::Conflict) | None => Ok(Why::Contention),
        }
    }
}
