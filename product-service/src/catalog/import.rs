//! Rows of an import, a batch at a time: read together, written one transaction each.
//!
//! What a row looks like on the wire, and how the answers stream, is `http`'s.

use std::collections::{HashMap, HashSet, VecDeque};

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use shared::ids::ProductId;
use tokio::task::JoinHandle;
use tracing::Instrument;
use utoipa::ToSchema;

use super::{Catalog, TRIES};
use crate::domain::product::{Content, Product, product_id};
use crate::domain::stock::OnHand;
use crate::relay::Relay;
use crate::store::{ChangeError, Consistency, CreateError, Edit, Outbox, ProductWithStock, StoreError};

/// A line of the body, read or not.
#[derive(Clone, Debug)]
pub struct Row {
    /// Counts lines from 1.
    pub number: u64,
    /// The sku, where one could be read.
    pub sku: Option<String>,
    /// What the product is to be, or why that cannot be told.
    pub wanted: Result<Wanted, Failure>,
}

/// What a row asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The product.
    pub content: Content,
    /// A count of its stock; the stock stays as it is without one.
    pub on_hand: Option<OnHand>,
}

/// Why a row was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// What a row came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The sku was new.
    Created,
    /// The product changed.
    Updated,
    /// It is so already.
    Unchanged,
    /// The row was not taken.
    Failed,
}

/// A row's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The row's number.
    pub number: u64,
    /// Its sku, where one could be read.
    pub sku: Option<String>,
    /// What became of it.
    pub outcome: Result<Outcome, Failure>,
}

/// An import under way. What it keeps in memory has a limit, however long the body.
#[derive(Debug)]
pub struct Import {
    catalog: Catalog,
    written: Written,
    away: u32,
    telling: Option<JoinHandle<()>>,
}

/// Writes of a batch that are under way at the same time.
const AT_ONCE: usize = 32;
/// Outboxes that share a call to the bus, which takes ten entries.
const TOLD_TOGETHER: usize = 10;
/// Batches in a row that the table did not answer before an import gives up.
const GIVE_UP: u32 = 3;

impl Import {
    /// Rows of one batch at most: as many products as one batched read has.
    pub const BATCH: usize = 50;

    /// Into that catalog.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self {
            catalog,
            written: Written::default(),
            away: 0,
            telling: None,
        }
    }

    /// Whether the table has been away for so long that going on makes no sense.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.away >= GIVE_UP
    }

    /// Takes in a batch and answers its rows in their order. Of two rows with one sku the second is
    /// looked at when the first is done.
    ///
    /// One round trip for all rows that change nothing, 1 RCU each for items up to 4 KB; two more for
    /// each row that changes something, as [`crate::store::Store::create`] or
    /// [`crate::store::Store::change`].
    pub async fn batch(&mut self, rows: Vec<Row>, now: Timestamp) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(rows.len());
        let mut left = VecDeque::new();
        for row in rows {
            match row.wanted {
                Ok(wanted) => left.push_back((row.number, product_id(&wanted.content.sku), wanted)),
                Err(failure) => answers.push(Answer {
                    number: row.number,
                    sku: row.sku,
                    outcome: Err(failure),
                }),
            }
        }
        let mut unanswered = false;
        while !left.is_empty() {
            let mut wave = Vec::new();
            let mut later = VecDeque::new();
            let mut taken = HashSet::new();
            for (number, id, wanted) in left {
                if taken.insert(id) {
                    wave.push((number, id, wanted));
                } else {
                    later.push_back((number, id, wanted));
                }
            }
            left = later;
            let done = self.wave(wave, now).await;
            unanswered |= done.iter().all(|answer| answer.outcome == Err(away()));
            answers.extend(done);
        }
        self.away = if unanswered { self.away + 1 } else { 0 };
        answers.sort_by_key(|answer| answer.number);
        answers
    }

    /// Rows of different products.
    async fn wave(&mut self, rows: Vec<(u64, ProductId, Wanted)>, now: Timestamp) -> Vec<Answer> {
        let ids: Vec<_> = rows.iter().map(|(_, id, _)| *id).collect();
        let mut found = match self.read(&ids).await {
            Ok(found) => found,
            Err(error) => {
                let failure = failure(&error);
                let failed = |(number, _, wanted): (u64, ProductId, Wanted)| Answer {
                    number,
                    sku: Some(wanted.content.sku.into()),
                    outcome: Err(failure.clone()),
                };
                return rows.into_iter().map(failed).collect();
            }
        };
        let work = rows.into_iter().map(|(number, id, wanted)| {
            let before = found.remove(&id);
            let catalog = &self.catalog;
            async move {
                let sku = Some(wanted.content.sku.as_str().to_owned());
                let (outcome, outbox) = match catalog.upsert(id, before, &wanted, now).await {
                    Ok((outcome, outbox)) => (Ok(outcome), outbox),
                    Err(failure) => (Err(failure), None),
                };
                (id, Answer { number, sku, outcome }, outbox)
            }
        });
        // Collected first: the work borrows the catalog until it is done.
        let done: Vec<_> = stream::iter(work.collect::<Vec<_>>())
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut answers = Vec::with_capacity(done.len());
        let mut outboxes = Vec::new();
        for (id, answer, outbox) in done {
            if answer.outcome != Ok(Outcome::Unchanged) {
                self.written.add(id);
            }
            answers.push(answer);
            outboxes.extend(outbox);
        }
        self.tell(outboxes).await;
        answers
    }

    /// Publishes while the next rows are read and written, one batch's events at a time.
    async fn tell(&mut self, outboxes: Vec<Outbox>) {
        if !outboxes.is_empty() {
            self.told().await;
            self.telling = Some(tokio::spawn(
                tell(self.catalog.relay.clone(), outboxes).in_current_span(),
            ));
        }
    }

    /// Waits until the last rows have been told of, or are left to the sweeper.
    pub async fn told(&mut self) {
        if let Some(telling) = self.telling.take()
            && let Err(error) = telling.await
        {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(error, "telling of imported rows broke off; the sweeper goes on");
        }
    }

    async fn read(&self, ids: &[ProductId]) -> Result<HashMap<ProductId, ProductWithStock>, StoreError> {
        let (own, others): (Vec<_>, Vec<_>) = ids.iter().copied().partition(|id| self.written.has(*id));
        let mut found = self.catalog.store.products(&others, Consistency::Eventual).await?;
        found.extend(self.catalog.store.products(&own, Consistency::Strong).await?);
        Ok(found)
    }
}

/// A call to the bus for each few rows, all at the same time: waiting for one after the other would
/// take longer than the rows' own writes.
async fn tell(relay: Relay, outboxes: Vec<Outbox>) {
    let calls: Vec<Vec<_>> = outboxes.chunks(TOLD_TOGETHER).map(<[Outbox]>::to_vec).collect();
    let calls: Vec<_> = calls.into_iter().map(|few| relay.tell(few)).collect();
    stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
}

impl Catalog {
    /// Makes a product what it is wanted to be, from how it was read.
    async fn upsert(
        &self,
        id: ProductId,
        mut before: Option<ProductWithStock>,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Result<(Outcome, Option<Outbox>), Failure> {
        for _ in 0..TRIES {
            let tried = match &before {
                None => self.import_new(wanted, now).await,
                Some(before) => self.import_over(before, wanted, now).await,
            };
            match tried {
                Ok(Some(done)) => return Ok(done),
                // Others were faster: what they left is read anew.
                Ok(None) => {
                    let read = self.store.product(id, Consistency::Strong).await;
                    before = read.map_err(|error| failure(&error))?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(failure(&StoreError::Contended))
    }

    async fn import_new(&self, wanted: &Wanted, now: Timestamp) -> Result<Option<(Outcome, Option<Outbox>)>, Failure> {
        let product = Product::new(wanted.content.clone(), now);
        match self
            .store
            .create(&product, wanted.on_hand.unwrap_or_default(), now)
            .await
        {
            Ok((_, outbox)) => Ok(Some((Outcome::Created, outbox))),
            Err(CreateError::Taken(_)) => Ok(None),
            Err(CreateError::Store(error)) => Err(failure(&error)),
        }
    }

    async fn import_over(
        &self,
        before: &ProductWithStock,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Result<Option<(Outcome, Option<Outbox>)>, Failure> {
        let changed = before.product.changed_to(wanted.content.clone(), now);
        let on_hand = wanted.on_hand.filter(|n| n.get() != before.stock.on_hand());
        if changed.is_none() && on_hand.is_none() {
            return Ok(Some((Outcome::Unchanged, None)));
        }
        let edit = Edit {
            product: changed.unwrap_or_else(|| before.product.clone()),
            on_hand,
        };
        match self.store.change(before, &edit, now).await {
            Ok((_, outbox)) => Ok(Some((Outcome::Updated, outbox))),
            Err(ChangeError::Moved) => Ok(None),
            Err(ChangeError::BelowReserved(below)) => Err(Failure {
                code: "below_reserved",
                detail: below.to_string(),
            }),
            Err(ChangeError::Store(error)) => Err(failure(&error)),
        }
    }
}

fn away() -> Failure {
    Failure {
        code: "unavailable",
        detail: "the row was not stored; send it again".to_owned(),
    }
}

/// The cause is logged here, since the row's answer must not tell it.
fn failure(error: &StoreError) -> Failure {
    let logged: &(dyn std::error::Error + 'static) = error;
    match error {
        StoreError::Unavailable(_) | StoreError::Contended | StoreError::OutboxFull => {
            tracing::warn!(error = logged, "a row was not imported");
            away()
        }
        StoreError::Fault(_) => {
            tracing::error!(error = logged, "a row was not imported");
            Failure {
                code: "internal",
                detail: "this failed through a fault of ours; it has been noted".to_owned(),
            }
        }
    }
}

/// Products that this import wrote of late: an eventually consistent read may not show them yet.
#[derive(Debug, Default)]
struct Written {
    order: VecDeque<ProductId>,
    ids: HashSet<ProductId>,
}

impl Written {
    const MOST: usize = 5_000;

    fn add(&mut self, id: ProductId) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    fn has(&self, id: ProductId) -> bool {
        self.ids.contains(&id)
    }
}
