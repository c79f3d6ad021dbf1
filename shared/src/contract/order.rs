//! What the order service tells of its orders.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::checkout::Line;
use crate::contract::events;
use crate::ids::{CustomerId, OrderId, ProductId};
use crate::money::Money;

/// The order stands: stock is held and the payment authorized, where there is one. It answers the
/// checkout, if the order came from one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The order, and the checkout that it answers.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// What it costs.
    pub total: Money,
}

/// The order came to nothing. It answers the checkout, if the order came from one and was not placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderFailed {
    /// The order, and the checkout that it answers.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// Why.
    pub reason: FailureReason,
    /// What was short, where the reason is `out_of_stock`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub short: Vec<Shortage>,
    /// What would have been bought, so that a basket can take its lines back in one write, without
    /// reading first which they were. Without them it looks them up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
}

/// Why an order came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// Not enough was left of at least one line.
    OutOfStock,
    /// The payment was refused.
    Declined,
    /// The payment was not completed in time.
    PaymentExpired,
    /// The checkout was too old to become an order at its prices.
    Expired,
    /// The merchant did not take it.
    Rejected,
    /// The merchant did not answer in time.
    AcceptanceExpired,
    /// It was cancelled before it was placed.
    Cancelled,
    /// The idempotency key had made another order already.
    KeyReused,
    /// The checkout asked for what no order may hold.
    Invalid,
    /// One that a later release knows.
    #[serde(other)]
    Other,
}

/// A line of which not enough was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, utoipa::ToSchema)]
pub struct Shortage {
    /// The product.
    pub product_id: ProductId,
    /// Pieces asked for.
    pub requested: u32,
    /// Pieces that were left.
    pub available: u32,
}

/// The order waits for the merchant's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderAwaitingAcceptance {
    /// The order.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// What it costs.
    pub total: Money,
    /// When it fails without an answer.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub answer_by: Timestamp,
}

/// The order is confirmed: its stock is sold and its payment captured, where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// What was bought.
    pub lines: Vec<Line>,
    /// What it costs.
    pub total: Money,
}

/// The merchant did not take the order, or did not answer in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRejected {
    /// The order.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// Why, in the merchant's words.
    pub reason: String,
}

/// The order was cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// Why.
    pub reason: String,
}

/// The order is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderShipped {
    /// The order.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// Who carries it.
    pub carrier: String,
    /// The carrier's number for it.
    pub tracking: String,
}

/// The order has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderDelivered {
    /// The order.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
}

/// Money went back to the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRefunded {
    /// The order.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// This time.
    pub amount: Money,
    /// All in all.
    pub refunded_total: Money,
    /// Why.
    pub reason: String,
}

/// The payment of the order is disputed, or a dispute of it has got on: the customer has had their bank
/// take it back. It is told at each change of `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderDisputed {
    /// The order.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// The provider's id of the dispute.
    pub dispute_id: String,
    /// How much is contested.
    pub amount: Money,
    /// Why, in the provider's word, such as `fraudulent`.
    pub reason: String,
    /// Where it stands.
    pub status: DisputeStatus,
    /// Until when the merchant can answer it at the provider, while that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub respond_by: Option<Timestamp>,
}

/// Where a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// The customer's bank asks; nothing has been taken back yet.
    Inquiry,
    /// The amount has been taken back for now; the merchant may answer, or the bank is deciding.
    Open,
    /// The merchant was right: the amount came back.
    Won,
    /// The customer was right: the amount is theirs.
    Lost,
    /// It ended without anything being taken back.
    Closed,
    /// One that a later release knows.
    #[serde(other)]
    Other,
}

events!("order-service":
    OrderPlaced -> [BasketSettle],
    OrderFailed -> [BasketSettle, Notifications],
    OrderAwaitingAcceptance -> [Notifications],
    OrderConfirmed -> [Notifications],
    OrderRejected -> [Notifications],
    OrderCancelled -> [Notifications],
    OrderShipped -> [Notifications],
    OrderDelivered -> [Notifications],
    OrderRefunded -> [Notifications],
    OrderDisputed -> [Notifications],
);
