//! Why a payment does not do what a call asks, in Stripe's words.

use thiserror::Error;

use super::intent::Status;

/// A call that the payment's state does not allow. The texts are Stripe's.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error(
        "You cannot {} this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the \
         following statuses may be {}: {}.",
        .call.verb, .status.as_str(), .call.participle, .call.allowed
    )]
    UnexpectedStatus { call: &'static Call, status: Status },
    #[error("{text}")]
    UnexpectedState { text: &'static str },
    #[error(
        "This object cannot be accessed right now because another API request or Stripe process is currently \
         accessing it. If you see this error intermittently, retry the request."
    )]
    Busy,
    #[error(
        "The amount to capture ({asked}) is greater than the amount you can capture for this payment ({capturable})."
    )]
    CaptureTooLarge { asked: i64, capturable: i64 },
    #[error("Refund amount ({asked}) is greater than unrefunded amount on charge ({left}).")]
    RefundTooLarge { asked: i64, left: i64 },
    #[error("Charge {charge} has already been refunded.")]
    AlreadyRefunded { charge: String },
    #[error("Charge {charge} has been charged back; cannot issue a refund.")]
    Disputed { charge: String },
    #[error("This dispute is already closed.")]
    DisputeClosed,
}

/// The words of a refusal by status.
#[derive(Debug)]
pub(super) struct Call {
    verb: &'static str,
    participle: &'static str,
    allowed: &'static str,
}

const BEFORE_AUTHORIZATION: &str = "requires_payment_method, requires_confirmation, requires_action";
pub(super) static CONFIRM: Call = Call {
    verb: "confirm",
    participle: "confirmed",
    allowed: BEFORE_AUTHORIZATION,
};
pub(super) static UPDATE: Call = Call {
    verb: "update",
    participle: "updated",
    allowed: BEFORE_AUTHORIZATION,
};
pub(super) static CAPTURE: Call = Call {
    verb: "capture",
    participle: "captured",
    allowed: "requires_capture",
};
pub(super) static CANCEL: Call = Call {
    verb: "cancel",
    participle: "canceled",
    allowed: "requires_payment_method, requires_capture, requires_confirmation, requires_action",
};
