//! One product of a basket.

use jiff::Timestamp;
use shared::money::Money;
use shared::quantity::{Quantity, QuantityOutOfRange};

/// A line of a basket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How many.
    pub pieces: Pieces,
    /// What it looked like when it was added.
    pub snapshot: Snapshot,
}

/// What a product looked like when it was put into the basket: shown when the product service is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its price for one.
    pub unit_price: Money,
    /// When.
    pub added_at: Timestamp,
}

/// How many pieces a basket's line has. A checkout that failed gives its lines back even above what
/// one line may hold, which is why this is no [`Quantity`] until it is checked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pieces(u32);

impl Pieces {
    /// As stored; none for zero, which is no line.
    #[must_use]
    pub fn new(pieces: u32) -> Option<Self> {
        (pieces > 0).then_some(Self(pieces))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// This price, so many times; none when that is more than an amount can hold.
    #[must_use]
    pub fn times(self, unit_price: Money) -> Option<Money> {
        let amount = unit_price.amount_minor.checked_mul(i64::from(self.0))?;
        Some(Money::new(amount, unit_price.currency))
    }
}

impl From<Quantity> for Pieces {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.get().into())
    }
}

impl TryFrom<Pieces> for Quantity {
    type Error = QuantityOutOfRange;

    fn try_from(pieces: Pieces) -> Result<Self, QuantityOutOfRange> {
        Self::try_from(i64::from(pieces.0))
    }
}
