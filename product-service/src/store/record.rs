//! Attribute names, keys and expressions of the table: nowhere else are they known.
//!
//! | item | pk | sk |
//! | --- | --- | --- |
//! | document | `PRODUCT#<id>` | `PRODUCT` |
//! | stock | `PRODUCT#<id>` | `STOCK` |
//! | outbox | `PRODUCT#<id>` | `OUTBOX` |
//! | reservation | `RESERVATION#<order id>` | `RESERVATION` |
//!
//! An older and a newer release read these items too: an attribute is only ever added, and read as
//! absent where it is.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::ids::{OrderId, ProductId};

use super::StoreError;
use super::write::Item;

pub(super) mod document;
pub(super) mod outbox;
pub(super) mod reservation;
pub(super) mod stock;

/// Sort key of a document.
pub(super) const DOCUMENT: &str = "PRODUCT";
/// Sort key of a stock.
pub(super) const STOCK: &str = "STOCK";
/// Sort key of what is to be published of a product.
pub(super) const OUTBOX: &str = "OUTBOX";
/// Sort key of a reservation.
pub(super) const RESERVATION: &str = "RESERVATION";

const PRODUCT_PREFIX: &str = "PRODUCT#";
const RESERVATION_PREFIX: &str = "RESERVATION#";

/// The index over active documents by name.
pub(super) const CATALOG_BY_NAME: &str = "catalog_by_name";
/// The index over active documents by price.
pub(super) const CATALOG_BY_PRICE: &str = "catalog_by_price";
/// The index over stocks with something available.
pub(super) const IN_STOCK: &str = "in_stock";
/// The index over items with something left to do.
pub(super) const DUE: &str = "due";

/// Which item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A product's document.
    Document(ProductId),
    /// Its stock.
    Stock(ProductId),
    /// Its unpublished events.
    Outbox(ProductId),
    /// An order's reservation.
    Reservation(OrderId),
}

impl Key {
    /// The partition key.
    pub(super) fn pk(&self) -> String {
        match self {
            Self::Document(id) | Self::Stock(id) | Self::Outbox(id) => format!("{PRODUCT_PREFIX}{id}"),
            Self::Reservation(id) => format!("{RESERVATION_PREFIX}{id}"),
        }
    }

    fn sk(&self) -> &'static str {
        match self {
            Self::Document(_) => DOCUMENT,
            Self::Stock(_) => STOCK,
            Self::Outbox(_) => OUTBOX,
            Self::Reservation(_) => RESERVATION,
        }
    }

    /// As the table takes it.
    pub(super) fn item(&self) -> Item {
        key_item(self.pk(), self.sk())
    }

    /// Of an item, or of an entry of an index.
    pub(super) fn of(item: &Item) -> Result<Self, StoreError> {
        let (pk, sk) = (text(item, "pk")?, text(item, "sk")?);
        let unknown = || StoreError::fault(format_args!("an item of an unknown kind: {pk} {sk}"));
        let id = |prefix| pk.strip_prefix(prefix).ok_or_else(unknown);
        let product = || id(PRODUCT_PREFIX)?.parse::<ProductId>().map_err(StoreError::fault);
        match sk {
            DOCUMENT => Ok(Self::Document(product()?)),
            STOCK => Ok(Self::Stock(product()?)),
            OUTBOX => Ok(Self::Outbox(product()?)),
            RESERVATION => Ok(Self::Reservation(
                id(RESERVATION_PREFIX)?.parse().map_err(StoreError::fault)?,
            )),
            _ => Err(unknown()),
        }
    }
}

/// A key that never is there.
pub(super) fn readiness_key() -> Item {
    key_item("READINESS".to_owned(), "READINESS")
}

fn key_item(pk: String, sk: &str) -> Item {
    Item::from([
        ("pk".to_owned(), AttributeValue::S(pk)),
        ("sk".to_owned(), AttributeValue::S(sk.to_owned())),
    ])
}

/// A text that has to be there.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, StoreError> {
    optional_text(item, name).ok_or_else(|| StoreError::fault(format_args!("an item without {name}")))
}

/// A text that may be there.
pub(super) fn optional_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// Of which product an item is.
pub(super) fn product_of(item: &Item) -> Result<ProductId, StoreError> {
    match Key::of(item)? {
        Key::Document(id) | Key::Stock(id) | Key::Outbox(id) => Ok(id),
        Key::Reservation(id) => Err(StoreError::fault(format_args!(
            "{} is no product",
            OrderId::to_string(&id)
        ))),
    }
}

/// `due_shard` of the item with that key.
fn due_shard(key: &Key) -> u8 {
    shared::due::shard_of(&key.pk())
}
