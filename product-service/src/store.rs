//! The products table: one function for each use, and nothing of HTTP or events' bodies.
//!
//! `record` alone knows attribute names and expressions; `write` turns them into calls. Every write
//! is conditional, and what a condition refused is told by the item that refused it, which
//! DynamoDB hands back for nothing.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use jiff::Timestamp;
use thiserror::Error;

mod backoff;
mod due;
mod lists;
mod outbox;
mod products;
mod read;
mod reconciliation;
mod record;
mod reservations;
mod stock;
mod write;

pub use due::{Due, Lease, Left};
pub use lists::{CatalogOrder, CatalogPosition, Internal, ReservationsPage, StockPage, StockPosition, Summary};
pub use outbox::{Outbox, Place};
pub use products::{ChangeError, CreateError, Edit};
pub use read::{Consistency, ProductWithStock};
pub use reconciliation::HeldPosition;
pub use record::stock::Counters;
pub use reservations::{Change, HeldBefore, HoldError, ShortLine, StepError};
pub use stock::{AdjustError, CountError, Expected};

/// The table and the way to it.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
    timing: Timing,
}

/// Times after which a sweeper resumes what others left.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From a write until the sweeper takes over what it left to publish.
    pub outbox_due: Duration,
    /// From a sweeper's lease of an item until another one may lease it.
    pub sweep_lease: Duration,
}

/// The table could not say, or said what cannot be.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be reached, is overloaded, or did not answer in time.
    #[error("the table did not answer")]
    Unavailable(#[source] Cause),
    /// Others were faster again and again.
    #[error("the items were written by others at every try")]
    Contended,
    /// It refused a call as wrong, or an item cannot be read.
    #[error("the table and this service do not understand each other")]
    Fault(#[source] Cause),
    /// Too much waits to be published already.
    #[error("too many events of this product wait to be published")]
    OutboxFull,
}

/// What the SDK or a record said, with its chain.
#[derive(Debug)]
pub struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

impl StoreError {
    fn fault(cause: impl fmt::Display) -> Self {
        Self::Fault(Cause(cause.to_string()))
    }
}

impl<E> From<SdkError<E>> for StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let ours = matches!(error, SdkError::ConstructionFailure(_)) || error.code() == Some("ValidationException");
        let cause = Cause(DisplayErrorContext(&error).to_string());
        if ours {
            Self::Fault(cause)
        } else {
            Self::Unavailable(cause)
        }
    }
}

impl Store {
    /// Builds the store of a table.
    #[must_use]
    pub fn new(client: Client, table: String, timing: Timing) -> Self {
        Self { client, table, timing }
    }

    /// Reads a key that is not there: the table answers. It also opens the connection.
    ///
    /// One round trip, 0.5 RCU.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(record::readiness_key()))
            .send()
            .await?;
        Ok(())
    }
}

/// A time in milliseconds since 1970, as `due_at` has it.
fn millis_after(now: Timestamp, pause: Duration) -> i64 {
    let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_add(pause)
}
