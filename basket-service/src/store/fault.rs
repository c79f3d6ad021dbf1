//! What the table's own failures mean: away or busy, which passes, or a fault of ours, which does not.

use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use thiserror::Error;

use super::Corrupt;
use crate::chain::chain;

/// Why the table could not be asked. Never a sign that something is not there.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No answer, or one that says "not now": trying again later helps. Whether a write took effect is
    /// not known.
    #[error("the table is away or busy: {0}")]
    Unavailable(String),
    /// A transaction was changing the same item: nothing was done, and it passes at once.
    #[error("a transaction is changing the same item: {0}")]
    Contended(String),
    /// The request was refused as wrong: a fault of ours, or of how the table is set up.
    #[error("the table refused a request: {0}")]
    Refused(String),
    /// An item cannot be read.
    #[error("an item cannot be read")]
    Corrupt(#[from] Corrupt),
}

/// Tries of a write that meets a transaction, before the client is asked to come again.
const TRIES: u32 = 6;

/// Tries again, with full jitter, for as long as a transaction is in the way. That is contention: it
/// says nothing about what is stored.
pub(super) async fn past_contention<T, F>(write: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 0;
    loop {
        match write().await {
            Err(StoreError::Contended(_)) if tries < TRIES => {
                tries += 1;
                pause(tries).await;
            }
            done => return done,
        }
    }
}

/// Up to 10 ms, doubled with each try.
pub(crate) async fn pause(tries: u32) {
    let longest = 10_u64.saturating_mul(1 << tries.min(6));
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..=longest))).await;
}

impl StoreError {
    /// Lasting contention, or work left undone.
    pub(super) fn busy(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }
}

/// Codes with which DynamoDB asks to come again later, besides every 5xx.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const BUSY: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "TransactionInProgressException",
    "ReplicatedWriteConflictException",
];

/// It keeps what the error displays, never its `Debug`: that holds the raw answer, and an item of ours
/// can hold an address and a payment token.
pub(super) fn of<E>(error: SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let told = chain(&error);
    if error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("TransactionConflictException") {
        return StoreError::Contended(told);
    }
    let refused = error.as_service_error().is_some_and(|service| {
        let busy = service.code().is_some_and(|code| BUSY.contains(&code));
        let server = error
            .raw_response()
            .is_some_and(|response| response.status().is_server_error());
        !busy && !server
    });
    if refused {
        StoreError::Refused(told)
    } else {
        StoreError::Unavailable(told)
    }
}

pub(super) fn request(fault: BuildError) -> StoreError {
    StoreError::Refused(fault.to_string())
}
