//! Stock counted and adjusted by the merchant.

use jiff::Timestamp;
use shared::ids::ProductId;
use thiserror::Error;
use uuid::Uuid;

use super::backoff::Backoff;
use super::outbox::{Outbox, Place};
use super::record;
use super::record::stock::{Footing, is_own};
use super::write::{NotWritten, Refusal, Write};
use super::{Store, StoreError};
use crate::domain::adjustment::{Adjustment, KnownKey};
use crate::domain::stock::{BelowReserved, CannotMove, OnHand, Stock};
use crate::events;

/// The stock versions that a count may write over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// One of these.
    Versions(Vec<u64>),
}

impl Expected {
    /// Whether that version is one of them.
    #[must_use]
    pub fn has(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }

    fn versions(&self) -> Option<&[u64]> {
        match self {
            Self::Any => None,
            Self::Versions(versions) => Some(versions),
        }
    }
}

/// Why a count was not taken.
#[derive(Debug, Error)]
pub enum CountError {
    /// There is no such product.
    #[error("there is no such product")]
    NotFound,
    /// The stock is not as the client has seen it, but so.
    #[error("the stock has changed since it was read")]
    Stale(Box<Stock>),
    /// More is held than was counted.
    #[error(transparent)]
    BelowReserved(#[from] BelowReserved),
    /// The table did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why stock was not adjusted.
#[derive(Debug, Error)]
pub enum AdjustError {
    /// There is no such product.
    #[error("there is no such product")]
    NotFound,
    /// The key was used for it already, and the stock is so now.
    #[error("this adjustment was made already")]
    Replayed(Box<Stock>),
    /// The key was used for another adjustment.
    #[error("the key was used for another adjustment")]
    KeyReused,
    /// Less would be left than is held, or more than a stock may have.
    #[error(transparent)]
    CannotMove(#[from] CannotMove),
    /// The table did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tells one write from all others, so that it knows itself again when its answer was lost.
pub(super) fn nonce() -> String {
    Uuid::new_v4().simple().to_string().chars().take(12).collect()
}

impl Store {
    /// Sets what lies in stock.
    ///
    /// One round trip, 1 WCU (2 if the item is above 1 KB). Two round trips more where it empties the
    /// stock or fills it again: the try that is refused, and the events' clearing.
    ///
    /// # Errors
    /// See [`CountError`].
    pub async fn count(
        &self,
        id: ProductId,
        on_hand: OnHand,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<(Stock, Option<Outbox>), CountError> {
        let nonce = nonce();
        let mut backoff = Backoff::default();
        let mut write = record::stock::counted(id, on_hand, expected.versions(), &nonce);
        loop {
            let refusal = match self.update(write.clone()).await {
                Ok(item) => return Ok((record::stock::read(item)?, None)),
                Err(refused) => sole(refused)?,
            };
            let before = match refusal {
                Refusal::Condition(None) => return Err(CountError::NotFound),
                Refusal::Condition(Some(item)) if is_own(&item, &nonce) => {
                    return Ok((record::stock::read(item)?, None));
                }
                Refusal::Condition(Some(item)) => record::stock::read(item)?,
                Refusal::Conflict | Refusal::None => {
                    backoff.pause().await?;
                    continue;
                }
            };
            if !expected.has(before.version) {
                return Err(CountError::Stale(Box::new(before)));
            }
            let (after, crossing) = before.leading_to(before.counted(on_hand)?);
            write = record::stock::replaced(id, &before, &after, &nonce);
            if let Some(crossing) = crossing {
                let event = events::of_crossing(id, crossing, &after, now).map_err(StoreError::fault)?;
                let outbox = Outbox::of(Place::Product(id), vec![event]);
                match self.cross(id, write.clone(), &outbox, now).await? {
                    Crossed::Done => return Ok((after, outbox)),
                    Crossed::Refused => backoff.next_try()?,
                    Crossed::Contended => backoff.pause().await?,
                }
                // From the beginning: how the stock is now, only a refusal tells.
                write = record::stock::counted(id, on_hand, expected.versions(), &nonce);
            } else {
                backoff.next_try()?;
            }
        }
    }

    /// Changes what lies in stock by a delta, once for each key.
    ///
    /// One round trip, 1 WCU (2 if the item is above 1 KB). Two round trips more where it empties the
    /// stock or fills it again.
    ///
    /// # Errors
    /// See [`AdjustError`].
    pub async fn adjust(
        &self,
        id: ProductId,
        adjustment: &Adjustment,
        now: Timestamp,
    ) -> Result<(Stock, Option<Outbox>), AdjustError> {
        let mut backoff = Backoff::default();
        loop {
            let unseen = record::stock::adjusted(id, adjustment, Footing::Unseen);
            let refusal = match self.update(unseen).await {
                Ok(item) => return Ok((record::stock::read(item)?, None)),
                Err(refused) => sole(refused)?,
            };
            let before = match refusal {
                Refusal::Condition(None) => return Err(AdjustError::NotFound),
                Refusal::Condition(Some(item)) => record::stock::read(item)?,
                Refusal::Conflict | Refusal::None => {
                    backoff.pause().await?;
                    continue;
                }
            };
            match before.knows(&adjustment.key) {
                KnownKey::Same => return Err(AdjustError::Replayed(Box::new(before))),
                KnownKey::Reused => return Err(AdjustError::KeyReused),
                KnownKey::No => {}
            }
            let (after, crossing) = before.leading_to(before.adjusted(adjustment.delta)?);
            let seen = record::stock::adjusted(id, adjustment, Footing::Seen(&before));
            let event = crossing.map(|crossing| events::of_crossing(id, crossing, &after, now));
            let event = event.transpose().map_err(StoreError::fault)?;
            let outbox = Outbox::of(Place::Product(id), event.into_iter().collect());
            match self.cross(id, seen, &outbox, now).await? {
                Crossed::Done => return Ok((after, outbox)),
                Crossed::Refused => backoff.next_try()?,
                Crossed::Contended => backoff.pause().await?,
            }
        }
    }

    /// Writes a stock that crosses zero, with the event of it.
    async fn cross(
        &self,
        id: ProductId,
        write: Write,
        outbox: &Option<Outbox>,
        now: Timestamp,
    ) -> Result<Crossed, StoreError> {
        let mut writes = vec![write];
        if let Some(outbox) = outbox {
            writes.push(record::outbox::enqueue(id, &outbox.entries, self.due_at(now))?);
        }
        match self.transact(writes).await {
            Ok(()) => Ok(Crossed::Done),
            Err(NotWritten::Failed(error)) => Err(error),
            Err(NotWritten::Refused(refusals)) => match refusals.as_slice() {
                [Refusal::Condition(_), ..] => Ok(Crossed::Refused),
                [_, Refusal::Condition(_)] => Err(StoreError::OutboxFull),
                [..] => Ok(Crossed::Contended),
            },
        }
    }
}

enum Crossed {
    Done,
    Refused,
    Contended,
}

/// The reason of a write that was alone.
fn sole(refused: NotWritten) -> Result<Refusal, StoreError> {
    match refused {
        NotWritten::Refused(refusals) => Ok(refusals.into_iter().next().unwrap_or(Refusal::Conflict)),
        NotWritten::Failed(error) => Err(error),
    }
}
