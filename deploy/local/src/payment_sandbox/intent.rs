//! A PaymentIntent: the states, and what each call may do in which. Pure: ids and times come in as
//! arguments, and nothing here knows of HTTP or of the journal.
//!
//! | status | confirm | capture | cancel |
//! | --- | --- | --- | --- |
//! | `requires_payment_method`, `requires_confirmation`, `requires_action` | yes | no | yes |
//! | `processing` | busy | busy | busy |
//! | `requires_capture` | no | yes | yes |
//! | `succeeded`, `canceled` | no | no | no |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::charge::{Charge, ChargeState, PaymentError, PaymentErrorKind};
use super::method::{self, AUTHENTICATION_REQUIRED, Behaviour, Decline, Dispute};
use super::refusal::{CANCEL, CAPTURE, CONFIRM, Call, Refusal, UPDATE};

/// A payment as the sandbox keeps it, and as its journal stores it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PaymentIntent {
    pub(super) id: String,
    pub(super) client_secret: String,
    /// Minor units.
    pub(super) amount: i64,
    /// ISO 4217, lower case.
    pub(super) currency: String,
    pub(super) capture_method: CaptureMethod,
    pub(super) status: Status,
    pub(super) description: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) payment_method: Option<String>,
    pub(super) return_url: Option<String>,
    /// One for each attempt that reached the issuer, oldest first.
    pub(super) charges: Vec<Charge>,
    pub(super) last_error: Option<PaymentError>,
    /// Seconds since the epoch, as all times here.
    pub(super) created: i64,
    pub(super) canceled_at: Option<i64>,
    pub(super) cancellation_reason: Option<String>,
}

/// <https://docs.stripe.com/payments/paymentintents/lifecycle>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No method yet, or the last one was refused.
    RequiresPaymentMethod,
    /// Has a method, and waits to be confirmed.
    RequiresConfirmation,
    /// Waits for the cardholder's authentication.
    RequiresAction,
    /// Under way; the answer comes later.
    Processing,
    /// Authorized; waits to be captured.
    RequiresCapture,
    /// Given up, its authorization released. Final.
    Canceled,
    /// Captured. Final.
    Succeeded,
}

impl Status {
    /// The name that Stripe gives it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }
}

/// When the money moves: with the confirmation, or by a call of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CaptureMethod {
    Automatic,
    AutomaticAsync,
    Manual,
}

impl CaptureMethod {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::AutomaticAsync => "automatic_async",
            Self::Manual => "manual",
        }
    }
}

/// What a confirmation brings along.
#[derive(Clone, Debug)]
pub(super) struct Confirmation {
    pub(super) payment_method: Option<String>,
    pub(super) return_url: Option<String>,
    pub(super) cardholder: Cardholder,
}

/// Whether somebody sits there who could authenticate (`off_session`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cardholder {
    Present,
    Absent,
}

/// How far a confirmation came.
#[derive(Debug)]
pub(super) enum Confirmed {
    Authorized,
    Captured,
    NeedsCardholder,
    Processing,
    Declined(PaymentError),
}

/// What the cardholder's authentication came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authentication {
    Passed,
    Failed,
}

impl PaymentIntent {
    /// Tries to authorize. An attempt that the issuer refuses is no [`Refusal`]: it happened, and leaves its traces.
    pub(super) fn confirm(&mut self, with: Confirmation, charge_id: String, now: i64) -> Result<Confirmed, Refusal> {
        self.expect_before_authorization(&CONFIRM)?;
        let token = with
            .payment_method
            .or_else(|| self.payment_method.clone())
            .ok_or(Refusal::UnexpectedState {
                text: "You cannot confirm this PaymentIntent because it's missing a payment method. You can either \
                   update the PaymentIntent with a payment method and then confirm it again, or confirm it again \
                   directly with a payment method.",
            })?;
        let behaviour = &method::find(&token)
            .ok_or(Refusal::UnexpectedState {
                text: "The PaymentMethod of this PaymentIntent does not exist.",
            })?
            .behaviour;
        self.payment_method = Some(token.clone());
        self.last_error = None;
        if with.return_url.is_some() {
            self.return_url = with.return_url;
        }
        Ok(match (behaviour, with.cardholder) {
            (Behaviour::Approve | Behaviour::ApproveThenDispute(_) | Behaviour::Lost, _) => {
                self.authorize(token, charge_id, now)
            }
            (Behaviour::Slow, _) => {
                self.status = Status::Processing;
                Confirmed::Processing
            }
            (Behaviour::Decline(decline), _) => self.decline(decline, token, charge_id, now),
            (Behaviour::Authenticate, Cardholder::Absent) => {
                self.decline(&AUTHENTICATION_REQUIRED, token, charge_id, now)
            }
            (Behaviour::Authenticate, Cardholder::Present) => {
                self.status = Status::RequiresAction;
                Confirmed::NeedsCardholder
            }
        })
    }

    /// Ends what [`Confirmed::Processing`] began.
    pub(super) fn finish_processing(&mut self, charge_id: String, now: i64) -> Result<Confirmed, Refusal> {
        match (self.status, self.payment_method.clone()) {
            (Status::Processing, Some(token)) => Ok(self.authorize(token, charge_id, now)),
            _ => Err(Refusal::UnexpectedState {
                text: "This PaymentIntent is not being processed.",
            }),
        }
    }

    /// The cardholder's answer to `requires_action`.
    pub(super) fn authenticate(
        &mut self,
        answer: Authentication,
        charge_id: String,
        now: i64,
    ) -> Result<Confirmed, Refusal> {
        let (Status::RequiresAction, Some(token)) = (self.status, self.payment_method.clone()) else {
            return Err(Refusal::UnexpectedState {
                text: "This payment no longer waits for an authentication.",
            });
        };
        match answer {
            Authentication::Passed => Ok(self.authorize(token, charge_id, now)),
            Authentication::Failed => Ok(self.give_up_attempt(PaymentError {
                kind: PaymentErrorKind::InvalidRequestError,
                code: "payment_intent_authentication_failure".to_owned(),
                decline_code: None,
                message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data \
                          or a new PaymentMethod to attempt to fulfill this PaymentIntent again."
                    .to_owned(),
                charge: None,
                payment_method: token,
            })),
        }
    }

    /// Another method, or other words. A method may be exchanged until one is authorized.
    pub(super) fn update(
        &mut self,
        payment_method: Option<String>,
        description: Option<String>,
        metadata: BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        if let Some(token) = payment_method {
            self.expect_before_authorization(&UPDATE)?;
            self.payment_method = Some(token);
            self.status = Status::RequiresConfirmation;
        }
        if description.is_some() {
            self.description = description;
        }
        for (name, value) in metadata {
            // An empty value takes an entry away: https://docs.stripe.com/api/metadata
            if value.is_empty() {
                self.metadata.remove(&name);
            } else {
                self.metadata.insert(name, value);
            }
        }
        Ok(())
    }

    /// Takes the money, all of it or less; what is left of the authorization is released.
    pub(super) fn capture(&mut self, amount: Option<i64>) -> Result<(), Refusal> {
        match self.status {
            Status::RequiresCapture => {}
            Status::Processing => return Err(Refusal::Busy),
            status @ (Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::Canceled
            | Status::Succeeded) => {
                return Err(Refusal::UnexpectedStatus { call: &CAPTURE, status });
            }
        }
        let capturable = self.amount;
        let asked = amount.unwrap_or(capturable);
        if asked > capturable {
            return Err(Refusal::CaptureTooLarge { asked, capturable });
        }
        self.take(asked);
        Ok(())
    }

    /// Gives the payment up, and the authorization back. Says whether there was one.
    pub(super) fn cancel(&mut self, reason: Option<String>, now: i64) -> Result<Released, Refusal> {
        let released = match self.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => Released::Nothing,
            Status::RequiresCapture => Released::Authorization,
            Status::Processing => return Err(Refusal::Busy),
            status @ (Status::Canceled | Status::Succeeded) => {
                return Err(Refusal::UnexpectedStatus { call: &CANCEL, status });
            }
        };
        if released == Released::Authorization
            && let Some(charge) = self.charges.last_mut()
        {
            charge.state = ChargeState::Released;
        }
        self.status = Status::Canceled;
        self.canceled_at = Some(now);
        self.cancellation_reason = reason;
        Ok(released)
    }

    /// Gives captured money back; all that is left unless an amount is named. Answers the amount and the charge.
    pub(super) fn refund(&mut self, amount: Option<i64>) -> Result<(i64, String), Refusal> {
        let charge = self
            .charges
            .last_mut()
            .filter(|charge| charge.state == ChargeState::Captured)
            .ok_or(Refusal::UnexpectedState {
                text: "This PaymentIntent does not have a successful charge to refund.",
            })?;
        let left = charge.captured.saturating_sub(charge.refunded);
        if left == 0 {
            return Err(Refusal::AlreadyRefunded {
                charge: charge.id.clone(),
            });
        }
        let asked = amount.unwrap_or(left);
        if asked > left {
            return Err(Refusal::RefundTooLarge { asked, left });
        }
        charge.refunded = charge.refunded.saturating_add(asked);
        Ok((asked, charge.id.clone()))
    }

    /// The cardholder contests the latest charge, if its method is one that does; says how.
    pub(super) fn dispute(&mut self, dispute_id: String) -> Option<(&Charge, &'static Dispute)> {
        let charge = self.charges.last_mut()?;
        let how = match method::find(&charge.payment_method)?.behaviour {
            Behaviour::ApproveThenDispute(ref how) => how,
            Behaviour::Approve
            | Behaviour::Decline(_)
            | Behaviour::Authenticate
            | Behaviour::Slow
            | Behaviour::Lost => return None,
        };
        if charge.state != ChargeState::Captured {
            return None;
        }
        charge.dispute = Some(dispute_id);
        Some((charge, how))
    }

    pub(super) fn latest_charge(&self) -> Option<&Charge> {
        self.charges.last()
    }

    /// Minor units that a capture could take now.
    pub(super) fn capturable(&self) -> i64 {
        if self.status == Status::RequiresCapture {
            self.amount
        } else {
            0
        }
    }

    /// Minor units taken.
    pub(super) fn captured(&self) -> i64 {
        self.latest_charge().map_or(0, |charge| charge.captured)
    }

    /// Minor units given back after they were taken.
    pub(super) fn refunded(&self) -> i64 {
        self.latest_charge().map_or(0, |charge| charge.refunded)
    }

    fn expect_before_authorization(&self, call: &'static Call) -> Result<(), Refusal> {
        match self.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => Ok(()),
            Status::Processing => Err(Refusal::Busy),
            status @ (Status::RequiresCapture | Status::Canceled | Status::Succeeded) => {
                Err(Refusal::UnexpectedStatus { call, status })
            }
        }
    }

    fn authorize(&mut self, token: String, charge_id: String, now: i64) -> Confirmed {
        self.charges.push(Charge {
            id: charge_id,
            state: ChargeState::Authorized,
            payment_method: token,
            captured: 0,
            refunded: 0,
            dispute: None,
            failure: None,
            created: now,
        });
        self.status = Status::RequiresCapture;
        match self.capture_method {
            CaptureMethod::Manual => Confirmed::Authorized,
            CaptureMethod::Automatic | CaptureMethod::AutomaticAsync => {
                self.take(self.amount);
                Confirmed::Captured
            }
        }
    }

    fn take(&mut self, amount: i64) {
        if let Some(charge) = self.charges.last_mut() {
            charge.state = ChargeState::Captured;
            charge.captured = amount;
        }
        self.status = Status::Succeeded;
    }

    fn decline(&mut self, decline: &Decline, token: String, charge_id: String, now: i64) -> Confirmed {
        let error = PaymentError {
            kind: PaymentErrorKind::CardError,
            code: decline.code.to_owned(),
            decline_code: Some(decline.decline_code.to_owned()),
            message: decline.message.to_owned(),
            charge: Some(charge_id.clone()),
            payment_method: token.clone(),
        };
        self.charges.push(Charge {
            id: charge_id,
            state: ChargeState::Failed,
            payment_method: token,
            captured: 0,
            refunded: 0,
            dispute: None,
            failure: Some(error.clone()),
            created: now,
        });
        self.give_up_attempt(error)
    }

    fn give_up_attempt(&mut self, error: PaymentError) -> Confirmed {
        self.status = Status::RequiresPaymentMethod;
        self.payment_method = None;
        self.last_error = Some(error.clone());
        Confirmed::Declined(error)
    }
}

/// What a cancellation gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Released {
    Nothing,
    Authorization,
}
