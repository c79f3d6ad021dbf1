//! Changing one line: one conditional update, so that a hundred at once come out as a hundred.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use shared::aws::retry_only_if_answered;
use shared::ids::ProductId;
use shared::quantity::Quantity;
use thiserror::Error;

use super::expression::Expression;
use super::fault::past_contention;
use super::record::{EXPIRES, IDS, MERGED_INTO, PK, TTL, UNDER_WAY, VERSION, number};
use super::{Item, Repeat, SaveError, Store, StoreError, fault, record};
use crate::domain::{Basket, BasketId, ChangeRefused, Line, LineChange, MAX_LINES, Snapshot};

/// A change that the basket did not take, and the basket.
#[derive(Debug, Error)]
#[error("{why}")]
pub struct Refusal {
    /// Why not.
    pub why: ChangeRefused,
    /// As it stands; there is none where `why` says that it was not found.
    pub basket: Basket,
}

/// Why a line was not changed.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The basket did not take it.
    #[error("the basket did not take the change")]
    Refused(#[source] Box<Refusal>),
    /// The table. For an add it is not known whether it took effect.
    #[error("the basket could not be changed")]
    Store(#[from] StoreError),
}

/// How often an expired basket is tried to be replaced while others do the same.
const TRIES: usize = 5;

impl Store {
    /// Changes one line and gives the basket after it. 1 round trip, 1 WCU for each KB; 2 round trips
    /// where a basket had expired and is replaced.
    ///
    /// An add is never sent twice unless the table said that it did nothing.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn change_line(
        &self,
        id: &BasketId,
        product: &ProductId,
        change: &LineChange,
        now: Timestamp,
    ) -> Result<Basket, ChangeError> {
        for _ in 0..TRIES {
            let stored = match past_contention(|| self.try_change(id, product, change, now)).await? {
                Tried::Changed(basket) => return Ok(basket),
                Tried::Refused(stored) => stored,
            };
            let refused = |why, basket| Err(ChangeError::Refused(Box::new(Refusal { why, basket })));
            let counts = match (&stored, id) {
                (Some(stored), _) => stored.clone().at(now),
                (None, BasketId::Customer(_)) => Some(Basket::fresh(id.clone())),
                (None, BasketId::Guest(_)) => None,
            };
            let Some(basket) = counts else {
                return refused(ChangeRefused::NotFound, Basket::fresh(id.clone()));
            };
            if let Some(why) = change.refusal(&basket, product) {
                return refused(why, basket);
            }
            // The basket would take it: it has expired, or has changed since the refusal.
            let Some(expired) = stored.filter(|stored| stored.has_expired(now)) else {
                continue;
            };
            let Some(replacing) = first_line(basket, product, change, now) else {
                continue;
            };
            match self.save(Some(&expired), replacing, Repeat::Refused).await {
                Ok(basket) => return Ok(basket),
                Err(SaveError::Changed(_)) => {}
                Err(SaveError::Store(error)) => return Err(error.into()),
            }
        }
        Err(StoreError::busy("a basket keeps changing").into())
    }

    async fn try_change(
        &self,
        id: &BasketId,
        product: &ProductId,
        change: &LineChange,
        now: Timestamp,
    ) -> Result<Tried, StoreError> {
        let request = update(id, product, change, now)?.into_request(self.client.update_item());
        let request = request
            .table_name(&self.table)
            .key(PK, record::text(record::key(id)))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = match change {
            LineChange::Add { .. } => {
                request
                    .customize()
                    .config_override(retry_only_if_answered())
                    .send()
                    .await
            }
            LineChange::Set { .. } | LineChange::Remove => request.send().await,
        };
        let basket = |item: Item| record::from_item(item);
        match answer {
            Ok(answer) => Ok(Tried::Changed(basket(answer.attributes.unwrap_or_default())?)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Tried::Refused(refused.item().cloned().map(basket).transpose()?))
                }
                Some(_) | None => Err(fault::of(error)),
            },
        }
    }
}

enum Tried {
    Changed(Basket),
    Refused(Option<Basket>),
}

/// The whole rule of [`LineChange::refusal`], and the expiry, as one condition.
fn update(id: &BasketId, product: &ProductId, change: &LineChange, now: Timestamp) -> Result<Expression, StoreError> {
    let mut update = Expression::default();
    let (count, shown) = (record::quantity_of(product), record::snapshot_of(product));
    match change {
        LineChange::Add { quantity, new } => {
            update.add(&count, number(quantity.get()));
            // Conditions have no arithmetic: what is there may be as much as is left beside this.
            let room = update.value(number(Quantity::MAX.get() - quantity.get()));
            let there = update.path(&[&count]);
            match new {
                Some(_) => update.only_if(format!("attribute_not_exists({there}) OR {there}<={room}")),
                // A comparison with what is not there does not hold.
                None => update.only_if(format!("{there}<={room}")),
            }
            new_line(&mut update, product, &shown, new.as_ref())?;
        }
        LineChange::Set { quantity, new } => {
            update.set(&[&count], number(quantity.get()));
            if new.is_none() {
                let there = update.path(&[&count]);
                update.only_if(format!("attribute_exists({there})"));
            }
            new_line(&mut update, product, &shown, new.as_ref())?;
        }
        LineChange::Remove => {
            let there = update.path(&[&count]);
            update.only_if(format!("attribute_exists({there})"));
            update.remove(&count);
            update.remove(&shown);
            update.delete(IDS, record::ids([product]));
        }
    }
    update.add(VERSION, number(1));
    update.set_unless(&[TTL], &[UNDER_WAY, EXPIRES], number(id.expiry(now).as_second()));
    let (ttl, now) = (update.path(&[TTL]), update.value(number(now.as_second())));
    update.only_if(format!("attribute_not_exists({ttl}) OR {ttl}>{now}"));
    let merged = update.path(&[MERGED_INTO]);
    update.only_if(format!("attribute_not_exists({merged})"));
    if let BasketId::Guest(_) = id {
        let key = update.path(&[PK]);
        update.only_if(format!("attribute_exists({key})"));
    }
    Ok(update)
}

fn new_line(
    update: &mut Expression,
    product: &ProductId,
    shown: &str,
    new: Option<&Snapshot>,
) -> Result<(), StoreError> {
    let Some(snapshot) = new else { return Ok(()) };
    update.set_unless(&[shown], &[shown], record::snapshot(snapshot)?);
    update.add(IDS, record::ids([product]));
    let (ids, one, limit) = (update.path(&[IDS]), record::text(product), number(MAX_LINES));
    let (one, limit) = (update.value(one), update.value(limit));
    update.only_if(format!(
        "attribute_not_exists({ids}) OR contains({ids},{one}) OR size({ids})<{limit}"
    ));
    Ok(())
}

/// An expired basket's place, taken by a fresh one with this line.
fn first_line(mut basket: Basket, product: &ProductId, change: &LineChange, now: Timestamp) -> Option<Basket> {
    let (quantity, snapshot) = match change {
        LineChange::Add { quantity, new } | LineChange::Set { quantity, new } => (*quantity, new.clone()?),
        LineChange::Remove => return None,
    };
    basket = basket.emptied(now);
    basket.lines.insert(
        *product,
        Line {
            pieces: quantity.into(),
            snapshot,
        },
    );
    Some(basket)
}
