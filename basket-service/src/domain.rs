//! Baskets and their rules: limits, merging, checking out, giving back. Nothing here knows HTTP, AWS,
//! a clock or chance: times, ids and prices come in as arguments.

mod basket;
mod checkout;
mod id;
mod line;
mod merge;

pub use basket::{Basket, ChangeRefused, LineChange, MAX_LINES};
pub use checkout::{
    BodyHash, Checkout, CheckoutRefused, CheckoutRequest, EventIdentity, Given, Moment, Offer, OrderedLine, Outcome,
    Priced, Repeated, Settled, Standing, UnavailableLine, UnderWay, WhyUnavailable, returned_digest,
};
pub use id::{BasketId, GuestId};
pub use line::{Line, Pieces, Snapshot};
pub use merge::{MergeRefused, MergeStrategy};
