//! An order's state, taken apart into attributes.

use shared::contract::checkout::Acceptance;
use shared::contract::order::FailureReason;

use super::{StoreError, contradiction, time};
use crate::domain::state::{Phase, Standing, State, Status};

/// A state taken apart.
pub(super) struct StateRecord {
    pub(super) status: Status,
    pub(super) phase: Phase,
    pub(super) standing: Option<Standing>,
    pub(super) reason: Option<FailureReason>,
    pub(super) acceptance: Option<Acceptance>,
    pub(super) answer_by: Option<i64>,
}

impl From<State> for StateRecord {
    fn from(state: State) -> Self {
        let plain = Self {
            status: state.status(),
            phase: state.phase(),
            standing: None,
            reason: None,
            acceptance: None,
            answer_by: None,
        };
        match state {
            State::Pending(acceptance) => Self {
                acceptance: Some(acceptance),
                ..plain
            },
            State::AwaitingAcceptance { answer_by } => Self {
                answer_by: Some(answer_by.as_millisecond()),
                ..plain
            },
            State::Confirming(standing) | State::Cancelling(standing) => Self {
                standing: Some(standing),
                ..plain
            },
            State::Failing(standing, reason) => Self {
                standing: Some(standing),
                reason: Some(reason),
                ..plain
            },
            State::Failed(reason) => Self {
                reason: Some(reason),
                ..plain
            },
            State::Confirmed | State::Shipped | State::Delivered | State::Cancelled => plain,
        }
    }
}

impl TryFrom<StateRecord> for State {
    type Error = StoreError;

    fn try_from(record: StateRecord) -> Result<Self, StoreError> {
        let standing = record
            .standing
            .ok_or_else(|| contradiction("a decision without a standing"));
        let reason = record.reason.ok_or_else(|| contradiction("a failure without a reason"));
        Ok(match (record.phase, record.status) {
            (Phase::Confirming, _) => Self::Confirming(standing?),
            (Phase::Failing, _) => Self::Failing(standing?, reason?),
            (Phase::Cancelling, _) => Self::Cancelling(standing?),
            (Phase::Placed, Status::Pending) => Self::Pending(record.acceptance.unwrap_or_default()),
            (Phase::Placed, Status::AwaitingAcceptance) => Self::AwaitingAcceptance {
                answer_by: time(record.answer_by.ok_or_else(|| contradiction("no time to answer by"))?)?,
            },
            (Phase::Settled, Status::Confirmed) => Self::Confirmed,
            (Phase::Settled, Status::Shipped) => Self::Shipped,
            (Phase::Settled, Status::Delivered) => Self::Delivered,
            (Phase::Settled, Status::Failed) => Self::Failed(reason?),
            (Phase::Settled, Status::Cancelled) => Self::Cancelled,
            (Phase::Placed | Phase::Settled, _) => return Err(contradiction("a phase that its status does not have")),
        })
    }
}
