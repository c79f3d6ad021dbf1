//! The payment provider: Stripe's PaymentIntents with manual capture.
//!
//! Every POST has an idempotency key made of the order's id and the step, so that repeating it does
//! nothing: <https://docs.stripe.com/api/idempotent_requests>. Keys live for a day; an older payment
//! is looked up by its order's id and never created again.

mod api;
pub mod event;
mod listing;
mod refund;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest_middleware::ClientWithMiddleware;
use secrecy::SecretString;
use shared::contract::checkout::PaymentToken;
use shared::contract::order::DisputeStatus;
use shared::ids::OrderId;
use shared::money::{Money, UnknownCurrency};
use thiserror::Error;
use url::Url;

use self::api::{Api, Fault, Intent, Status};
pub use self::listing::PaymentPage;
pub use self::refund::Refunded;
use crate::domain::amount;
use crate::domain::dispute::Dispute;
use crate::domain::payment::NextAction;

/// Calls the provider.
pub struct PaymentClient {
    api: Api,
    return_url: Option<Url>,
}

/// Which payment, and what the order knows of it.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// What it pays for.
    pub order: &'a OrderId,
    /// How much.
    pub total: Money,
    /// The provider's id, once known.
    pub intent: Option<&'a str>,
    /// When its order began.
    pub since: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// What came of authorizing a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The total can be captured.
    Authorized,
    /// The customer has to act first.
    NeedsCustomer(NextAction),
    /// It was refused, or voided by somebody.
    Declined,
    /// It is too old to be begun.
    TooLate,
}

/// What came of capturing a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The total has been taken.
    Captured,
    /// It cannot be taken any more.
    Refused,
}

/// What came of giving a payment back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenBack {
    /// Nothing was ever taken, and nothing can be from now on.
    Voided,
    /// This much had been taken and has been refunded.
    Refunded(Money),
    /// All of it had been taken, and its dispute decides who has it: the provider refunds nothing beside.
    Contested,
}

/// A definite answer, and the payment's id where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The provider's id of the payment.
    pub intent: Option<String>,
    /// What came of it.
    pub outcome: T,
}

/// A dispute, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// The provider's id of the payment.
    pub intent: String,
    /// The dispute.
    pub dispute: Dispute,
}

/// Why there is no definite answer. Trying again later tells.
#[derive(Debug, Error)]
pub enum PaymentError {
    /// It did not answer, or with a fault of its own: what was asked may have been done or not.
    #[error("the payment provider did not answer")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is still working on this very payment, or on too much else.
    #[error("the payment provider is busy with it")]
    Busy {
        /// How long it wants to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// It refused what it should not have: our key, our parameters. Waiting does not help: somebody has
    /// to look. The order stays as it is, since it says nothing of the payment.
    #[error("the payment provider refused: {status} {code}")]
    Refused {
        /// HTTP.
        status: u16,
        /// The provider's code.
        code: String,
    },
}

/// It has not come to an end.
const BUSY: PaymentError = PaymentError::Busy { retry_after: None };
/// Younger than the provider's keys, which live for 24 hours.
const KEYS_LIVE: SignedDuration = SignedDuration::from_hours(23);

impl PaymentClient {
    /// Calls the provider at `base` with that secret key, waiting for each answer for `timeout`.
    #[must_use]
    pub fn new(
        base: Url,
        http: ClientWithMiddleware,
        key: SecretString,
        timeout: Duration,
        return_url: Option<Url>,
    ) -> Self {
        Self {
            api: Api::new(base, http, key, timeout),
            return_url,
        }
    }

    /// Authorizes the total on what `token` stands for. `attempt` counts the order's tokens.
    ///
    /// # Errors
    /// There is no definite answer yet.
    pub async fn authorize(
        &self,
        of: Of<'_>,
        token: &PaymentToken,
        attempt: u16,
    ) -> Result<Answer<Authorization>, PaymentError> {
        let begun = match self.find_or_begin(of).await? {
            Begun::There(intent) => intent,
            Begun::Refused => return Ok(nowhere(Authorization::Declined)),
            Begun::TooLate => return Ok(nowhere(Authorization::TooLate)),
        };
        if let Some(definite) = begun.settled_before_confirming() {
            return Ok(about(&begun, definite?));
        }
        let mut fields = vec![("payment_method", token.expose().to_owned())];
        fields.extend(self.return_url.as_ref().map(|url| ("return_url", url.to_string())));
        let path = format!("/v1/payment_intents/{}/confirm", begun.id);
        let key = step(of.order, &format!("confirm-{attempt}"));
        match self.api.post::<Intent>(&path, &key, &fields).await {
            Ok(confirmed) => Ok(about(&begun, confirmed.body.authorization()?)),
            Err(Fault::Declined) => Ok(about(&begun, Authorization::Declined)),
            // Somebody was faster: another worker, or a cancel.
            Err(Fault::UnexpectedState | Fault::Stuck) => {
                Ok(about(&begun, self.get(&begun.id).await?.authorization()?))
            }
            Err(Fault::Disputed) => Err(BUSY),
            Err(Fault::Other(error)) => Err(error),
        }
    }

    /// Looks whether the customer has acted.
    ///
    /// # Errors
    /// There is no definite answer yet.
    pub async fn look_up(&self, of: Of<'_>) -> Result<Answer<Authorization>, PaymentError> {
        match self.find_or_begin(of).await? {
            Begun::There(intent) => Ok(about(&intent, intent.authorization()?)),
            Begun::Refused => Ok(nowhere(Authorization::Declined)),
            Begun::TooLate => Ok(nowhere(Authorization::TooLate)),
        }
    }

    /// Takes the total.
    ///
    /// # Errors
    /// There is no definite answer yet.
    pub async fn capture(&self, of: Of<'_>) -> Result<Answer<Capture>, PaymentError> {
        let intent = match of.intent {
            Some(id) => id.to_owned(),
            None => match self.find_or_begin(of).await? {
                Begun::There(intent) => intent.id,
                Begun::Refused | Begun::TooLate => return Ok(nowhere(Capture::Refused)),
            },
        };
        let path = format!("/v1/payment_intents/{intent}/capture");
        let captured = match self.api.post::<Intent>(&path, &step(of.order, "capture"), &[]).await {
            Ok(captured) => captured.body,
            Err(Fault::UnexpectedState | Fault::Stuck | Fault::Disputed) => self.get(&intent).await?,
            Err(Fault::Declined) => return Ok(about_id(intent, Capture::Refused)),
            Err(Fault::Other(error)) => self.final_in_spite_of(error, &intent).await?,
        };
        let outcome = match captured.status {
            Status::Succeeded => Capture::Captured,
            Status::RequiresCapture | Status::Processing | Status::Other => return Err(BUSY),
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::Canceled => Capture::Refused,
        };
        Ok(about_id(intent, outcome))
    }

    /// Voids the payment, or refunds what was taken. One of which nothing is known is begun first, so
    /// that it can be voided: nothing can be authorized under this order any more.
    ///
    /// # Errors
    /// There is no definite answer yet.
    pub async fn give_back(&self, of: Of<'_>) -> Result<Answer<GivenBack>, PaymentError> {
        let intent = match of.intent {
            Some(id) => id.to_owned(),
            None => match self.find_or_begin(of).await? {
                Begun::There(intent) => intent.id,
                Begun::Refused | Begun::TooLate => return Ok(nowhere(GivenBack::Voided)),
            },
        };
        let path = format!("/v1/payment_intents/{intent}/cancel");
        let status = match self.api.post::<Intent>(&path, &step(of.order, "cancel"), &[]).await {
            Ok(cancelled) => cancelled.body.status,
            Err(Fault::UnexpectedState | Fault::Declined | Fault::Stuck | Fault::Disputed) => {
                self.get(&intent).await?.status
            }
            Err(Fault::Other(error)) => self.final_in_spite_of(error, &intent).await?.status,
        };
        match status {
            Status::Canceled => Ok(about_id(intent, GivenBack::Voided)),
            Status::Succeeded => {
                let outcome = self.refund_the_rest(of, &intent).await?;
                Ok(about_id(intent, outcome))
            }
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::RequiresCapture
            | Status::Processing
            | Status::Other => Err(BUSY),
        }
    }

    async fn refund_the_rest(&self, of: Of<'_>, intent: &str) -> Result<GivenBack, PaymentError> {
        let fields = [("payment_intent", intent.to_owned())];
        let key = step(of.order, "refund-rest");
        match self.api.post::<api::Refund>("/v1/refunds", &key, &fields).await {
            Ok(refund) => amount::from_provider(refund.body.amount, of.total.currency)
                .map(GivenBack::Refunded)
                .ok_or_else(|| PaymentError::Unknown("it refunded more than there is".into())),
            // All of it has gone back already.
            Err(Fault::UnexpectedState) => Ok(GivenBack::Refunded(Money::zero(of.total.currency))),
            Err(Fault::Disputed) => Ok(GivenBack::Contested),
            Err(Fault::Declined | Fault::Stuck) => Err(BUSY),
            Err(Fault::Other(error)) => Err(error),
        }
    }

    /// Which order a payment is for, as we wrote to it when it was begun. `None`: the provider knows no
    /// such payment, or it is none of ours.
    ///
    /// # Errors
    /// There is no definite answer yet.
    pub async fn order_of(&self, intent: &str) -> Result<Option<OrderId>, PaymentError> {
        let found = match self.get(intent).await {
            Ok(intent) => intent,
            Err(error) => return unless_missing(error),
        };
        let named = found.metadata.and_then(|metadata| metadata.order_id);
        Ok(named.and_then(|id| id.parse().ok()))
    }

    /// A dispute as it stands now. `None`: the provider knows none of that id, or it is of no payment
    /// that we could have made.
    ///
    /// # Errors
    /// There is no definite answer yet.
    pub async fn dispute(&self, id: &str) -> Result<Option<Contested>, PaymentError> {
        let path = format!("/v1/disputes/{id}");
        match self.api.get::<api::Dispute>(&path, &[]).await {
            Ok(dispute) => dispute.contested(),
            Err(fault) => unless_missing(fault.into()),
        }
    }

    /// A refusal in words that are not known can be of a payment that is done with. Then that is the
    /// answer, and else the refusal.
    async fn final_in_spite_of(&self, error: PaymentError, intent: &str) -> Result<Intent, PaymentError> {
        let PaymentError::Refused { status: 400, .. } = error else {
            return Err(error);
        };
        let intent = self.get(intent).await?;
        match intent.status {
            Status::Succeeded | Status::Canceled => Ok(intent),
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::Processing
            | Status::RequiresCapture
            | Status::Other => Err(error),
        }
    }

    /// The payment as it stands now; begun, where that can be done under the order's own key.
    async fn find_or_begin(&self, of: Of<'_>) -> Result<Begun, PaymentError> {
        if let Some(id) = of.intent {
            return self.get(id).await.map(Begun::There);
        }
        if of.now.duration_since(of.since) > KEYS_LIVE {
            let query = format!("metadata['order_id']:'{}'", of.order);
            let found = self
                .api
                .get::<api::Found>("/v1/payment_intents/search", &[("query", &query)])
                .await;
            let found = found.map_err(PaymentError::from)?.data.into_iter().next();
            return Ok(found.map_or(Begun::TooLate, Begun::There));
        }
        let Some(amount) = amount::to_provider(of.total) else {
            return Ok(Begun::Refused);
        };
        let fields = [
            ("amount", amount.to_string()),
            ("currency", of.total.currency.code().to_lowercase()),
            ("capture_method", "manual".to_owned()),
            ("payment_method_types[]", "card".to_owned()),
            ("metadata[order_id]", of.order.to_string()),
        ];
        match self
            .api
            .post::<Intent>("/v1/payment_intents", &step(of.order, "create"), &fields)
            .await
        {
            // The first answer again: much may have happened to the payment since.
            Ok(created) if created.replayed => self.get(&created.body.id).await.map(Begun::There),
            Ok(created) => Ok(Begun::There(created.body)),
            Err(Fault::Declined) => Ok(Begun::Refused),
            Err(Fault::UnexpectedState | Fault::Stuck | Fault::Disputed) => Err(BUSY),
            Err(Fault::Other(error)) => Err(error),
        }
    }

    async fn get(&self, id: &str) -> Result<Intent, PaymentError> {
        let path = format!("/v1/payment_intents/{id}");
        self.api.get(&path, &[]).await.map_err(PaymentError::from)
    }
}

/// What the provider does not know is an answer, too.
fn unless_missing<T>(error: PaymentError) -> Result<Option<T>, PaymentError> {
    match error {
        PaymentError::Refused { status: 404, .. } => Ok(None),
        PaymentError::Refused { .. } | PaymentError::Unknown(_) | PaymentError::Busy { .. } => Err(error),
    }
}

impl api::Dispute {
    fn contested(self) -> Result<Option<Contested>, PaymentError> {
        let Some(intent) = self.payment_intent else {
            return Ok(None);
        };
        let unreadable = |what: &'static str| PaymentError::Unknown(what.into());
        let currency = self.currency.to_uppercase().parse();
        let currency = currency.map_err(|fault: UnknownCurrency| PaymentError::Unknown(fault.into()))?;
        let amount = amount::from_provider(self.amount, currency);
        let time = |second| Timestamp::from_second(second).ok();
        let status = match self.status {
            api::DisputeStatus::WarningNeedsResponse | api::DisputeStatus::WarningUnderReview => DisputeStatus::Inquiry,
            // One that a later version of the API knows has not come to an end that we know of.
            api::DisputeStatus::NeedsResponse | api::DisputeStatus::UnderReview | api::DisputeStatus::Other => {
                DisputeStatus::Open
            }
            api::DisputeStatus::Won => DisputeStatus::Won,
            api::DisputeStatus::Lost => DisputeStatus::Lost,
            api::DisputeStatus::WarningClosed | api::DisputeStatus::Prevented => DisputeStatus::Closed,
        };
        let waits_for_us = matches!(
            self.status,
            api::DisputeStatus::WarningNeedsResponse | api::DisputeStatus::NeedsResponse
        );
        let due_by = self.evidence_details.and_then(|details| details.due_by);
        Ok(Some(Contested {
            intent,
            dispute: Dispute {
                id: self.id,
                amount: amount.ok_or_else(|| unreadable("a dispute of more than there is"))?,
                reason: self.reason.into(),
                status,
                refundable: self.is_charge_refundable,
                opened_at: time(self.created).ok_or_else(|| unreadable("a dispute of no time"))?,
                respond_by: due_by.filter(|_| waits_for_us).and_then(time),
            },
        }))
    }
}

/// Whether there is a payment.
enum Begun {
    There(Intent),
    /// The provider takes no payment of that amount.
    Refused,
    /// There is none, and none is begun any more.
    TooLate,
}

impl Intent {
    /// What there is to say without confirming; `None`: it has to be confirmed.
    fn settled_before_confirming(&self) -> Option<Result<Authorization, PaymentError>> {
        match self.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => None,
            Status::Processing | Status::RequiresCapture | Status::Succeeded | Status::Canceled | Status::Other => {
                Some(self.authorization())
            }
        }
    }

    /// How far the authorization came.
    fn authorization(&self) -> Result<Authorization, PaymentError> {
        match self.status {
            Status::RequiresCapture | Status::Succeeded => Ok(Authorization::Authorized),
            Status::RequiresAction => Ok(Authorization::NeedsCustomer(self.next_action())),
            Status::RequiresPaymentMethod | Status::Canceled => Ok(Authorization::Declined),
            Status::RequiresConfirmation | Status::Processing | Status::Other => Err(BUSY),
        }
    }

    fn next_action(&self) -> NextAction {
        let action = self.next_action.as_ref();
        NextAction {
            kind: action.map_or_else(|| "unknown".to_owned(), |action| action.kind.clone()),
            url: action
                .and_then(|action| action.redirect_to_url.as_ref())
                .map(|to| to.url.clone()),
        }
    }
}

impl From<Fault> for PaymentError {
    /// Of a call that only looks, which nothing declines.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Other(error) => error,
            Fault::Declined | Fault::UnexpectedState | Fault::Stuck | Fault::Disputed => BUSY,
        }
    }
}

fn step(order: &OrderId, step: &str) -> String {
    format!("order-{order}-{step}")
}

fn nowhere<T>(outcome: T) -> Answer<T> {
    Answer { intent: None, outcome }
}

fn about<T>(intent: &Intent, outcome: T) -> Answer<T> {
    about_id(intent.id.clone(), outcome)
}

fn about_id<T>(id: String, outcome: T) -> Answer<T> {
    Answer {
        intent: Some(id),
        outcome,
    }
}
