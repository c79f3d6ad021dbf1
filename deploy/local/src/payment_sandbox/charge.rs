//! What came of the attempts to pay: charges, why they failed, what was given back of them, and disputes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One attempt that reached the issuer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) state: ChargeState,
    pub(super) payment_method: String,
    /// Minor units taken from the card.
    pub(super) captured: i64,
    /// Minor units given back by refunds; a release of what was never captured does not count here.
    pub(super) refunded: i64,
    /// The id of its dispute, if there is one.
    pub(super) dispute: Option<String>,
    pub(super) failure: Option<PaymentError>,
    pub(super) created: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChargeState {
    Failed,
    Authorized,
    Captured,
    Released,
}

/// Why the last attempt came to nothing: `last_payment_error`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PaymentError {
    pub(super) kind: PaymentErrorKind,
    pub(super) code: String,
    pub(super) decline_code: Option<String>,
    pub(super) message: String,
    pub(super) charge: Option<String>,
    pub(super) payment_method: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PaymentErrorKind {
    CardError,
    InvalidRequestError,
}

/// The cardholder has their bank take a charge back: <https://docs.stripe.com/disputes>.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) charge: String,
    pub(super) payment_intent: String,
    /// Minor units.
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) reason: String,
    pub(super) status: DisputeStatus,
    pub(super) created: i64,
    /// When the merchant's time to answer ends.
    pub(super) due_by: i64,
}

/// <https://docs.stripe.com/api/disputes/object#dispute_object-status>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DisputeStatus {
    WarningNeedsResponse,
    WarningUnderReview,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
}

impl DisputeStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningUnderReview => "warning_under_review",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    /// Whether the merchant still gets refunds of the charge made: as long as nothing has been taken back, and once it
    /// has been given again.
    pub(super) fn is_charge_refundable(self) -> bool {
        match self {
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed | Self::Won => true,
            Self::NeedsResponse | Self::UnderReview | Self::Lost => false,
        }
    }

    pub(super) fn is_final(self) -> bool {
        match self {
            Self::WarningClosed | Self::Won | Self::Lost => true,
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::NeedsResponse | Self::UnderReview => false,
        }
    }
}

/// Captured money given back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) payment_intent: String,
    pub(super) charge: String,
    /// Minor units.
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) reason: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created: i64,
}
