//! Refunds of captured payments, whole or in parts.
//!
//! Each has a key of its own at the provider, and its id in the metadata: once keys are forgotten, a
//! refund is looked for among those of its payment before it is made.

use super::api::{self, Fault};
use super::{Answer, BUSY, Begun, KEYS_LIVE, Of, PaymentClient, PaymentError, about_id, nowhere, step};
use crate::domain::amount;
use crate::domain::payment::Refund;

/// What came of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refunded {
    /// The money is on its way back, and cannot be stopped.
    Done,
    /// The provider will not make it.
    Refused,
}

/// As many as the provider lists at once, and more than an order has.
const LISTED: &str = "100";

impl PaymentClient {
    /// Makes a refund of what was captured.
    ///
    /// # Errors
    /// There is no definite answer yet.
    pub async fn refund(&self, of: Of<'_>, refund: &Refund) -> Result<Answer<Refunded>, PaymentError> {
        let intent = match of.intent {
            Some(id) => id.to_owned(),
            None => match self.find_or_begin(of).await? {
                Begun::There(intent) => intent.id,
                Begun::Refused | Begun::TooLate => return Ok(nowhere(Refunded::Refused)),
            },
        };
        // Once keys are forgotten, making it again would make another one.
        let forgotten = of.now.duration_since(refund.at) > KEYS_LIVE;
        let before = if forgotten {
            self.made_before(&intent, refund).await?
        } else {
            None
        };
        let made = match before {
            Some(made) => Some(made),
            None => match self.make(of, &intent, refund).await? {
                Made::Here(made) => Some(made),
                // It may refuse because this very refund left nothing to give back.
                Made::Refused => self.made_before(&intent, refund).await?,
            },
        };
        let Some(made) = made else {
            return Ok(about_id(intent, Refunded::Refused));
        };
        let outcome = match made.status {
            api::RefundStatus::Succeeded => Refunded::Done,
            api::RefundStatus::Failed | api::RefundStatus::Canceled => Refunded::Refused,
            api::RefundStatus::Pending | api::RefundStatus::RequiresAction | api::RefundStatus::Other => {
                return Err(BUSY);
            }
        };
        Ok(about_id(intent, outcome))
    }

    /// The refund, looked for among those of its payment.
    async fn made_before(&self, intent: &str, refund: &Refund) -> Result<Option<api::Refund>, PaymentError> {
        let query = [("payment_intent", intent), ("limit", LISTED)];
        let made = self.api.get::<api::Refunds>("/v1/refunds", &query).await?;
        let id = refund.id.to_string();
        let mut made = made.data.into_iter();
        Ok(made.find(|made| made.metadata.refund_id.as_deref() == Some(id.as_str())))
    }

    async fn make(&self, of: Of<'_>, intent: &str, refund: &Refund) -> Result<Made, PaymentError> {
        // Nothing is left of an amount that is finer than the provider counts.
        let Some(amount) = amount::to_provider(refund.amount).filter(|amount| *amount > 0) else {
            return Ok(Made::Refused);
        };
        let fields = [
            ("payment_intent", intent.to_owned()),
            ("amount", amount.to_string()),
            ("metadata[order_id]", of.order.to_string()),
            ("metadata[refund_id]", refund.id.to_string()),
        ];
        let key = step(of.order, &format!("refund-{}", refund.id));
        match self.api.post::<api::Refund>("/v1/refunds", &key, &fields).await {
            // The first answer again: it may have gone through, or been sent back, since.
            Ok(made) if made.replayed => {
                let path = format!("/v1/refunds/{}", made.body.id);
                Ok(Made::Here(self.api.get(&path, &[]).await?))
            }
            Ok(made) => Ok(Made::Here(made.body)),
            Err(Fault::Declined | Fault::UnexpectedState | Fault::Disputed) => Ok(Made::Refused),
            Err(Fault::Stuck) => self.made_before(intent, refund).await?.map(Made::Here).ok_or(BUSY),
            // Such as more than is left of the charge, where somebody refunded it by hand.
            Err(Fault::Other(PaymentError::Refused { status: 400, .. })) => Ok(Made::Refused),
            Err(Fault::Other(error)) => Err(error),
        }
    }
}

/// What the provider said to the wish for a refund.
enum Made {
    Here(api::Refund),
    Refused,
}
