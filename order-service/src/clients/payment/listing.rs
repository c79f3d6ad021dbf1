//! All payments, read for reconciliation: the provider's list, newest first, and one by its id. Nothing
//! is changed from here.

use std::collections::HashMap;

use serde::Deserialize;

use super::api::{Fault, Status};
use super::{PaymentClient, PaymentError};
use crate::domain::reconciliation::{Charged, Standing};

/// A page of payments.
#[derive(Debug)]
pub struct PaymentPage {
    /// Newest first.
    pub payments: Vec<Charged>,
    /// Behind which payment the next page begins, if there is one.
    pub next: Option<String>,
}

/// <https://docs.stripe.com/api/payment_intents/list>
#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    status: Status,
    currency: String,
    #[serde(default)]
    amount_received: i64,
    #[serde(default)]
    metadata: HashMap<String, String>,
    /// Expanded: what was refunded stands on the charge.
    #[serde(default)]
    latest_charge: Option<Charge>,
}

/// <https://docs.stripe.com/api/charges/object>
#[derive(Deserialize)]
struct Charge {
    captured: bool,
    amount_refunded: i64,
}

/// The most that the provider gives.
const LIMIT: &str = "100";

impl PaymentClient {
    /// The page behind the payment named, or the first one. One call for each hundred payments.
    ///
    /// # Errors
    /// There is no answer yet.
    pub async fn list(&self, after: Option<&str>) -> Result<PaymentPage, PaymentError> {
        let mut query = vec![("limit", LIMIT), ("expand[]", "data.latest_charge")];
        query.extend(after.map(|id| ("starting_after", id)));
        let list: List = self.api.get("/v1/payment_intents", &query).await?;
        let next = list.data.last().filter(|_| list.has_more).map(|last| last.id.clone());
        Ok(PaymentPage {
            payments: list.data.into_iter().map(Charged::from).collect(),
            next,
        })
    }

    /// The payment of that id as it is now, if there is one.
    ///
    /// # Errors
    /// There is no answer yet.
    pub async fn find(&self, id: &str) -> Result<Option<Charged>, PaymentError> {
        let path = format!("/v1/payment_intents/{id}");
        match self.api.get::<Listed>(&path, &[("expand[]", "latest_charge")]).await {
            Ok(found) => Ok(Some(found.into())),
            Err(Fault::Other(PaymentError::Refused { status: 404, .. })) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }
}

impl From<Listed> for Charged {
    fn from(listed: Listed) -> Self {
        // The release of an authorization shows as a refund of a charge that was not captured.
        let refunded = listed.latest_charge.filter(|charge| charge.captured);
        Self {
            order: listed.metadata.get("order_id").and_then(|id| id.parse().ok()),
            currency: listed.currency.to_uppercase(),
            captured: listed.amount_received,
            refunded: refunded.map_or(0, |charge| charge.amount_refunded),
            standing: match listed.status {
                Status::RequiresCapture => Standing::Authorized,
                Status::Succeeded => Standing::Captured,
                Status::Canceled => Standing::Voided,
                Status::RequiresPaymentMethod
                | Status::RequiresConfirmation
                | Status::RequiresAction
                | Status::Processing
                | Status::Other => Standing::Open,
            },
            id: listed.id,
        }
    }
}
