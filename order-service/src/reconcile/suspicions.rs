//! What did not agree at the first look, and has to be looked at again before it is named.

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::{OrderId, ProductId};

use crate::domain::reconciliation::Checkout;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Suspicions {
    pub(super) orders: BTreeSet<OrderId>,
    /// By the provider's ids.
    pub(super) payments: BTreeSet<String>,
    pub(super) products: BTreeSet<ProductId>,
    pub(super) checkouts: BTreeMap<OrderId, Checkout>,
}

/// As many as are kept before they are looked at.
const MOST: usize = 500;

impl Suspicions {
    pub(super) fn len(&self) -> usize {
        self.orders.len() + self.payments.len() + self.products.len() + self.checkouts.len()
    }

    /// Whether they have to be looked at before there are more. A page adds a hundred at most.
    pub(super) fn are_many(&self) -> bool {
        self.len() >= MOST
    }
}
