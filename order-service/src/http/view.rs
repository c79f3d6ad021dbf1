//! An order in the forms in which clients see it.

use jiff::Timestamp;
use serde::Serialize;
use shared::address::Address;
use shared::auth::Caller;
use shared::contract::checkout::{Acceptance, Line};
use shared::contract::order::{DisputeStatus, FailureReason, Shortage};
use shared::ids::{CustomerId, OrderId, ProductId};
use shared::money::Money;
use shared::quantity::Quantity;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::dispute::{Dispute, DisputeReason};
use crate::domain::order::{Order, Shipment};
use crate::domain::payment::{NextAction, Payment, PaymentState, PaymentStatus, Refund, RefundState};
use crate::domain::state::{Action, State, Status};
use crate::domain::timeline::{Actor, Change};
use crate::store::Summary;

/// A line of an order, at the price that was agreed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Item {
    /// The product.
    product_id: ProductId,
    /// The merchant's key of it.
    sku: String,
    /// Its name when it was ordered.
    name: String,
    /// How many.
    quantity: Quantity,
    /// For one.
    unit_price: Money,
    /// For all.
    line_total: Money,
    /// Whether the merchant is asked because of it.
    acceptance: Acceptance,
}

/// What changes the total; none yet.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Adjustment {
    /// What it is for.
    #[serde(rename = "type")]
    kind: &'static str,
    /// How much it adds.
    amount: Money,
}

/// An order as it was taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderCreated {
    /// The order.
    pub(super) id: OrderId,
    /// Always `pending`: what becomes of the order shows at its own address.
    status: Status,
    /// Whose it is.
    customer_id: CustomerId,
    /// What was bought.
    items: Vec<Item>,
    /// The sum of all items.
    subtotal: Money,
    /// What changes the total; none yet.
    adjustments: Vec<Adjustment>,
    /// What is paid.
    total: Money,
    /// When it was taken in.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// An order as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderView {
    /// The order.
    id: OrderId,
    /// Where it stands.
    status: Status,
    /// Whose it is.
    customer_id: CustomerId,
    /// What was bought.
    items: Vec<Item>,
    /// The sum of all items.
    subtotal: Money,
    /// What changes the total; none yet.
    adjustments: Vec<Adjustment>,
    /// What is paid.
    total: Money,
    /// Where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_address: Option<Address>,
    /// Its payment.
    payment: PaymentView,
    /// What was given back, or is to be, oldest first. A cancellation gives back what these left.
    refunds: Vec<RefundView>,
    /// Who carries it; null until it is on its way.
    shipment: Option<ShipmentView>,
    /// Why it failed; null as long as it has not.
    failure: Option<Failure>,
    /// When it fails without the merchant's answer; null unless it waits for one.
    #[schema(value_type = Option<String>, format = DateTime)]
    answer_by: Option<Timestamp>,
    /// What the caller can ask of it now.
    actions: Vec<Action>,
    /// Each change, oldest first.
    timeline: Vec<ChangeView>,
    /// When it was taken in.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its status changed last.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// How far an order's payment came.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentView {
    /// How far.
    state: PaymentStatus,
    /// What the customer has to do before it goes on; null unless `requires_action`.
    next_action: Option<NextAction>,
    /// Until when the customer can act or name another token; null where there is nothing to do.
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline: Option<Timestamp>,
    /// What was taken.
    captured: Money,
    /// What went back, by refunds that are `done` or a cancellation.
    refunded: Money,
    /// What the customer's bank took back, or may, oldest first.
    disputes: Vec<DisputeView>,
}

/// A dispute of an order's payment.
#[derive(Debug, Serialize, ToSchema)]
struct DisputeView {
    /// How much is contested.
    amount: Money,
    /// What the customer's bank says.
    reason: DisputeReason,
    /// Where it stands.
    status: DisputeStatus,
    /// Whether refunds can be made all the same.
    refundable: bool,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// Until when the merchant can answer it at the provider; null where there is nothing to answer.
    #[schema(value_type = Option<String>, format = DateTime)]
    respond_by: Option<Timestamp>,
}

/// Money that goes back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refund)]
pub(super) struct RefundView {
    /// The refund; its `Idempotency-Key` made it.
    id: Uuid,
    /// How much.
    amount: Money,
    /// Why.
    reason: String,
    /// How far it came: the provider has not answered, has made it, or will not make it.
    state: RefundState,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Who carries an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Shipment)]
struct ShipmentView {
    /// The carrier.
    carrier: String,
    /// The carrier's number.
    tracking: String,
}

/// Why an order failed.
#[derive(Debug, Serialize, ToSchema)]
struct Failure {
    /// The reason.
    reason: FailureReason,
    /// What was short, where the reason is `out_of_stock`.
    lines: Vec<Shortage>,
}

/// A change of an order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeView {
    /// Where it stood from then on.
    status: Status,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// Who.
    actor: Actor,
    /// Why, if there is more to say.
    reason: Option<String>,
    /// Of the payment, which token that was, counted from 1; of what else the shop carried out by
    /// itself, at which try. Null for what people did.
    attempt: Option<u32>,
    /// The trace in which it happened.
    trace_id: String,
}

/// An order in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderSummary {
    /// The order.
    id: OrderId,
    /// Where it stands.
    status: Status,
    /// Whose it is.
    customer_id: CustomerId,
    /// What is paid.
    total: Money,
    /// Distinct products.
    line_count: u32,
    /// When it was taken in.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its status changed last.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// Who looks at an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Viewer {
    /// Whose it is.
    Customer,
    /// The shop's people.
    Merchant,
    /// The shop's people, whose own it is.
    MerchantWhoseItIs,
}

impl Viewer {
    pub(super) fn of(caller: &Caller, order: &Order) -> Self {
        match (caller.is_merchant(), order.customer == *caller.id()) {
            (true, true) => Self::MerchantWhoseItIs,
            (true, false) => Self::Merchant,
            (false, _) => Self::Customer,
        }
    }

    /// Whether the routes let this viewer ask that.
    pub(super) const fn may_ask(self, action: Action) -> bool {
        match action {
            Action::Cancel => true,
            Action::Pay => matches!(self, Self::Customer | Self::MerchantWhoseItIs),
            Action::Accept | Action::Reject | Action::Ship | Action::Deliver | Action::Refund => {
                matches!(self, Self::Merchant | Self::MerchantWhoseItIs)
            }
        }
    }
}

impl OrderCreated {
    pub(super) fn of(order: &Order) -> Self {
        Self {
            id: order.id,
            status: Status::Pending,
            customer_id: order.customer.clone(),
            items: items(&order.lines),
            subtotal: order.subtotal,
            adjustments: Vec::new(),
            total: order.total,
            created_at: order.created_at,
        }
    }
}

impl OrderView {
    pub(super) fn of(order: &Order, viewer: Viewer) -> Self {
        let actions = order.allows().into_iter().filter(|action| viewer.may_ask(*action));
        Self {
            id: order.id,
            status: order.state.status(),
            customer_id: order.customer.clone(),
            items: items(&order.lines),
            subtotal: order.subtotal,
            adjustments: Vec::new(),
            total: order.total,
            shipping_address: order.address.clone(),
            payment: PaymentView::of(&order.payment, order.total),
            refunds: order.payment.refunds.iter().map(RefundView::of).collect(),
            shipment: order.shipment.as_ref().map(ShipmentView::of),
            failure: match order.state {
                State::Failed(reason) => Some(Failure {
                    reason,
                    lines: order.short.clone(),
                }),
                State::Pending(_)
                | State::AwaitingAcceptance { .. }
                | State::Confirming(_)
                | State::Failing(..)
                | State::Cancelling(_)
                | State::Confirmed
                | State::Shipped
                | State::Delivered
                | State::Cancelled => None,
            },
            answer_by: match order.state {
                State::AwaitingAcceptance { answer_by } => Some(answer_by),
                State::Pending(_)
                | State::Confirming(_)
                | State::Failing(..)
                | State::Cancelling(_)
                | State::Confirmed
                | State::Shipped
                | State::Delivered
                | State::Failed(_)
                | State::Cancelled => None,
            },
            actions: actions.collect(),
            timeline: order.timeline.iter().map(ChangeView::of).collect(),
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

impl PaymentView {
    fn of(payment: &Payment, total: Money) -> Self {
        let (next_action, deadline) = match &payment.state {
            PaymentState::NeedsCustomer { action, until } => (Some(action.clone()), Some(*until)),
            PaymentState::Declined { another_until } => (None, *another_until),
            PaymentState::NotNeeded
            | PaymentState::Open
            | PaymentState::Authorized
            | PaymentState::Captured
            | PaymentState::Voided
            | PaymentState::Returned => (None, None),
        };
        Self {
            state: payment.status(),
            next_action,
            deadline,
            captured: payment.captured(total),
            refunded: payment.refunded(total).unwrap_or(total),
            disputes: payment.disputes.iter().map(DisputeView::of).collect(),
        }
    }
}

impl DisputeView {
    fn of(dispute: &Dispute) -> Self {
        Self {
            amount: dispute.amount,
            reason: dispute.reason.clone(),
            status: dispute.status,
            refundable: dispute.refundable,
            opened_at: dispute.opened_at,
            respond_by: dispute.respond_by,
        }
    }
}

impl RefundView {
    pub(super) fn of(refund: &Refund) -> Self {
        Self {
            id: refund.id,
            amount: refund.amount,
            reason: refund.reason.clone(),
            state: refund.state,
            created_at: refund.at,
        }
    }
}

impl ShipmentView {
    fn of(shipment: &Shipment) -> Self {
        Self {
            carrier: shipment.carrier.clone(),
            tracking: shipment.tracking.clone(),
        }
    }
}

impl ChangeView {
    pub(super) fn of(change: &Change) -> Self {
        Self {
            status: change.status,
            time: change.at,
            actor: change.actor,
            reason: change.reason.clone(),
            attempt: change.attempt,
            trace_id: change.trace_id.clone(),
        }
    }
}

impl From<Summary> for OrderSummary {
    fn from(summary: Summary) -> Self {
        Self {
            id: summary.id,
            status: summary.status,
            customer_id: summary.customer,
            total: summary.total,
            line_count: summary.line_count,
            created_at: summary.created_at,
            updated_at: summary.updated_at,
        }
    }
}

fn items(lines: &[Line]) -> Vec<Item> {
    let item = |line: &Line| Item {
        product_id: line.product_id,
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        // Orders hold no line whose total overflows: their sum was taken when they were placed.
        line_total: line.unit_price.checked_mul(line.quantity).unwrap_or(line.unit_price),
        acceptance: line.acceptance,
    };
    lines.iter().map(item).collect()
}
