//! Reservations written with the stock of every line, all or nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::contract::Entry;
use shared::ids::{OrderId, ProductId};
use thiserror::Error;

use super::backoff::Backoff;
use super::outbox::{Outbox, Place};
use super::record::reservation::Stored;
use super::record::stock::Footing;
use super::record::{self, Key};
use super::write::{Item, NotWritten, Refusal, Write};
use super::{Store, StoreError};
use crate::domain::reservation::{Hold, Lines, Refused, Reservation, State, Step};
use crate::domain::stock::{CannotMove, Movement, Stock};
use crate::events;

/// Whether the hold is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBefore {
    /// It is.
    No,
    /// The order held it before.
    Yes,
}

/// What asking for a step of a reservation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Stock was moved.
    Made,
    /// It had been before, or there is none to move.
    None,
}

/// A line for which there is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortLine {
    /// Of this product.
    pub product_id: ProductId,
    /// So many were asked for.
    pub requested: u32,
    /// So many can be bought; none of a product that is not there.
    pub available: u32,
}

/// Why nothing was held.
#[derive(Debug, Error)]
pub enum HoldError {
    /// There is not enough for some lines.
    #[error("there is not enough of {} products", .0.len())]
    OutOfStock(Vec<ShortLine>),
    /// There is a reservation that does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The table did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a reservation did not go on.
#[derive(Debug, Error)]
pub enum StepError {
    /// The order never held anything.
    #[error("there is no such reservation")]
    NotFound,
    /// It is closed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The table did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Holds stock for all lines until then, or for none; holds longer what is held already.
    ///
    /// One round trip, 2 (lines + reservation's KB) + 1 WCU. Where a line takes the last piece, two
    /// round trips more: the try that is refused, and the event's clearing. Held before: a second
    /// round trip, of the reservation alone.
    ///
    /// # Errors
    /// See [`HoldError`].
    pub async fn hold(
        &self,
        order_id: OrderId,
        lines: &Lines,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(Reservation, HeldBefore, Option<Outbox>), HoldError> {
        let reservation = Reservation::held(order_id, lines.clone(), until);
        let mut footings = Footings::default();
        let mut backoff = Backoff::default();
        loop {
            let (mut writes, entries) = footings.writes(lines, Movement::hold, now)?;
            let due_at = self.due_at(now);
            writes.push(record::reservation::create(&reservation, &entries, now, due_at)?);
            let mut refusals = match self.transact(writes).await {
                Ok(()) => {
                    let place = Place::Reservation {
                        order_id,
                        held_until: Some(until),
                    };
                    return Ok((reservation, HeldBefore::No, Outbox::of(place, entries)));
                }
                Err(NotWritten::Failed(error)) => return Err(error.into()),
                Err(NotWritten::Refused(refusals)) => refusals,
            };
            match refusals.pop() {
                Some(Refusal::Condition(Some(item))) => {
                    let stored = record::reservation::read(item)?;
                    match self.hold_again(stored, lines, until, now).await? {
                        Some(reservation) => return Ok((reservation, HeldBefore::Yes, None)),
                        None => backoff.next_try()?,
                    }
                }
                // Whether the order holds already is not known, so nothing can be said of the lines.
                Some(Refusal::Conflict) => backoff.pause().await?,
                Some(Refusal::Condition(None) | Refusal::None) | None => {
                    let learnt = footings.learn(lines, Movement::hold, refusals)?;
                    if !learnt.short.is_empty() {
                        return Err(HoldError::OutOfStock(learnt.short));
                    }
                    learnt.wait(&mut backoff).await?;
                }
            }
        }
    }

    /// None if others wrote it meanwhile.
    async fn hold_again(
        &self,
        stored: Stored,
        lines: &Lines,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Reservation>, HoldError> {
        let expires_at = match stored.reservation.hold_again(lines, until)? {
            Hold::Stands => return Ok(Some(stored.reservation)),
            Hold::Extend(until) => until,
        };
        let next = Reservation {
            expires_at: Some(expires_at),
            ..stored.reservation.clone()
        };
        let waiting = stored.waiting.clone();
        let write = record::reservation::advance(&stored, &next, &waiting, now, self.due_at(now))?;
        match self.update(write).await {
            Ok(_) => Ok(Some(next)),
            Err(NotWritten::Refused(_)) => Ok(None),
            Err(NotWritten::Failed(error)) => Err(error.into()),
        }
    }

    /// Makes a hold a sale: the pieces leave the stock.
    ///
    /// Two round trips; 1 RCU per 4 KB of the reservation, 2 (lines + its KB) + 1 WCU. Committed
    /// already: one round trip.
    ///
    /// # Errors
    /// See [`StepError`].
    pub async fn commit(&self, order_id: OrderId, now: Timestamp) -> Result<(Reservation, Change), StepError> {
        let mut backoff = Backoff::default();
        loop {
            let stored = self.reservation(order_id).await?.ok_or(StepError::NotFound)?;
            let state = match stored.reservation.commit()? {
                Step::Stands => return Ok((stored.reservation, Change::None)),
                Step::Go(state) => state,
            };
            if let Some((reservation, _)) = self
                .step(&stored, state, Movement::sell_held, &mut backoff, now)
                .await?
            {
                return Ok((reservation, Change::Made));
            }
        }
    }

    /// Gives back whatever the order holds or has bought. An order without a reservation is left a
    /// tombstone, so that a late hold is refused.
    ///
    /// Two round trips; units as [`Store::commit`]. Where a product comes back into stock, two more.
    /// Given back already: one.
    ///
    /// # Errors
    /// The table did not take it.
    pub async fn release(
        &self,
        order_id: OrderId,
        now: Timestamp,
    ) -> Result<(Reservation, Change, Option<Outbox>), StoreError> {
        let mut backoff = Backoff::default();
        loop {
            let Some(stored) = self.reservation(order_id).await? else {
                let tombstone = Reservation::tombstone(order_id);
                let write = record::reservation::create(&tombstone, &[], now, 0)?;
                match self.transact(vec![write]).await {
                    Ok(()) => return Ok((tombstone, Change::None, None)),
                    Err(NotWritten::Refused(_)) => backoff.pause().await?,
                    Err(NotWritten::Failed(error)) => return Err(error),
                }
                continue;
            };
            if let Some(done) = self.give_back(&stored, &mut backoff, now).await? {
                return Ok(done);
            }
        }
    }

    /// Gives back a hold whose time is over. None if it is not held any more, or held for longer.
    ///
    /// As [`Store::release`].
    ///
    /// # Errors
    /// The table did not take it.
    pub async fn expire(&self, order_id: OrderId, now: Timestamp) -> Result<Option<Option<Outbox>>, StoreError> {
        let mut backoff = Backoff::default();
        loop {
            let stored = self.reservation(order_id).await?;
            let expired =
                stored.filter(|s| s.reservation.state == State::Held && s.reservation.expires_at <= Some(now));
            let Some(stored) = expired else {
                return Ok(None);
            };
            if let Some((_, _, outbox)) = self.give_back(&stored, &mut backoff, now).await? {
                return Ok(Some(outbox));
            }
        }
    }

    async fn give_back(
        &self,
        stored: &Stored,
        backoff: &mut Backoff,
        now: Timestamp,
    ) -> Result<Option<(Reservation, Change, Option<Outbox>)>, StoreError> {
        let (state, movement): (_, fn(u32) -> Movement) = match stored.reservation.release() {
            Step::Stands => return Ok(Some((stored.reservation.clone(), Change::None, None))),
            Step::Go(state @ State::Returned) => (state, Movement::take_back_sold),
            Step::Go(state) => (state, Movement::free_held),
        };
        let done = self.step(stored, state, movement, backoff, now).await?;
        Ok(done.map(|(reservation, outbox)| (reservation, Change::Made, outbox)))
    }

    /// Takes a reservation and the stock of its lines to the next state. None if the reservation was
    /// written by others meanwhile: it is to be read again.
    async fn step(
        &self,
        stored: &Stored,
        state: State,
        movement: fn(u32) -> Movement,
        backoff: &mut Backoff,
        now: Timestamp,
    ) -> Result<Option<(Reservation, Option<Outbox>)>, StoreError> {
        let next = Reservation {
            state,
            ..stored.reservation.clone()
        };
        let lines = &stored.reservation.lines;
        let mut footings = Footings::default();
        loop {
            let (mut writes, mut entries) = footings.writes(lines, movement, now)?;
            entries.splice(0..0, stored.waiting.iter().cloned());
            writes.push(record::reservation::advance(
                stored,
                &next,
                &entries,
                now,
                self.due_at(now),
            )?);
            let mut refusals = match self.transact(writes).await {
                Ok(()) => {
                    let place = Place::Reservation {
                        order_id: next.order_id,
                        held_until: None,
                    };
                    return Ok(Some((next, Outbox::of(place, entries))));
                }
                Err(NotWritten::Failed(error)) => return Err(error),
                Err(NotWritten::Refused(refusals)) => refusals,
            };
            match refusals.pop() {
                Some(Refusal::Condition(_)) => {
                    backoff.next_try()?;
                    return Ok(None);
                }
                Some(Refusal::Conflict) => backoff.pause().await?,
                Some(Refusal::None) | None => {
                    let learnt = footings.learn(lines, movement, refusals)?;
                    if let Some(line) = learnt.short.first() {
                        // Holds and stock contradict each other: nothing a retry could mend.
                        let what = format_args!("{} of {} are not held as reserved", line.requested, line.product_id);
                        return Err(StoreError::fault(what));
                    }
                    learnt.wait(backoff).await?;
                }
            }
        }
    }

    async fn reservation(&self, order_id: OrderId) -> Result<Option<Stored>, StoreError> {
        let item = self.item(&Key::Reservation(order_id)).await?;
        item.map(record::reservation::read).transpose()
    }
}

/// What is known of the lines' stocks: nothing at first, then what refusals told.
#[derive(Default)]
struct Footings(BTreeMap<ProductId, Stock>);

/// What a refused try told.
struct Learnt {
    /// Lines that cannot be: whatever is tried.
    short: Vec<ShortLine>,
    contended: bool,
}

impl Learnt {
    async fn wait(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        if self.contended {
            backoff.pause().await
        } else {
            backoff.next_try()
        }
    }
}

impl Footings {
    /// The stock of every line, moved, with the events of those that cross zero.
    fn writes(
        &self,
        lines: &Lines,
        movement: fn(u32) -> Movement,
        now: Timestamp,
    ) -> Result<(Vec<Write>, Vec<Entry>), StoreError> {
        let mut writes = Vec::with_capacity(lines.len() + 1);
        let mut entries = Vec::new();
        for (product, pieces) in lines.iter() {
            let by = movement(pieces);
            let Some(before) = self.0.get(&product) else {
                writes.push(record::stock::moved(product, by, Footing::Unseen));
                continue;
            };
            writes.push(record::stock::moved(product, by, Footing::Seen(before)));
            let after = before.moved(by).map_err(StoreError::fault)?;
            let (after, crossing) = before.leading_to(after);
            if let Some(crossing) = crossing {
                entries.push(events::of_crossing(product, crossing, &after, now).map_err(StoreError::fault)?);
            }
        }
        Ok((writes, entries))
    }

    /// Takes in why each line was refused. A line whose stock crosses zero is tried on what was seen
    /// of it; any other as if nothing was known, so that unrelated movements don't disturb it.
    fn learn(
        &mut self,
        lines: &Lines,
        movement: fn(u32) -> Movement,
        refusals: Vec<Refusal>,
    ) -> Result<Learnt, StoreError> {
        let mut learnt = Learnt {
            short: Vec::new(),
            contended: false,
        };
        for ((product_id, requested), refusal) in lines.iter().zip(refusals) {
            let short = |available| ShortLine {
                product_id,
                requested,
                available,
            };
            match refusal {
                Refusal::None => {}
                Refusal::Conflict => learnt.contended = true,
                Refusal::Condition(None) => learnt.short.push(short(0)),
                Refusal::Condition(Some(item)) => match self.see(product_id, movement(requested), item)? {
                    Ok(()) => {}
                    Err(CannotMove::Short { available }) => learnt.short.push(short(available)),
                    Err(CannotMove::NotHeld { reserved }) => learnt.short.push(short(reserved)),
                    Err(cannot @ CannotMove::TooMany) => return Err(StoreError::fault(cannot)),
                },
            }
        }
        Ok(learnt)
    }

    fn see(&mut self, product: ProductId, by: Movement, item: Item) -> Result<Result<(), CannotMove>, StoreError> {
        let stock = record::stock::read(item)?;
        let after = match stock.moved(by) {
            Ok(after) => after,
            Err(cannot) => return Ok(Err(cannot)),
        };
        // Only one side of the way is zero, or both stay there: what an unseen write refuses.
        let at_zero = stock.available() == 0 || after.available() == 0;
        if at_zero && by.available() != 0 {
            self.0.insert(product, stock);
        } else {
            self.0.remove(&product);
        }
        Ok(Ok(()))
    }
}
