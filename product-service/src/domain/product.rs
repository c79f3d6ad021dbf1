//! A product: its id from its sku, what a merchant may set, where it stands in lists, what a change
//! of it amounts to.

use deserr::Deserr;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::body::{FieldErrors, Invalid};
use shared::contract::checkout::Acceptance;
use shared::ids::ProductId;
use shared::money::{Currency, Money};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::text::{Attributes, Category, Description, ImageUrl, Name, Sku};

/// The product of a sku, for ever: a UUID v5. That is what makes a sku unique without any look-up.
#[must_use]
pub fn product_id(sku: &Sku) -> ProductId {
    const NAMESPACE: Uuid = Uuid::from_u128(0x2f6f_64d1_8f0b_5d7e_9a43_6c1b_0e52_77a1);
    ProductId::from_uuid(Uuid::new_v5(&NAMESPACE, sku.as_str().as_bytes()))
}

/// A product as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// From its sku.
    pub id: ProductId,
    /// What the merchant has set.
    pub content: Content,
    /// Counts its changes; 1 is the first.
    pub version: u64,
    /// When it was first there.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a merchant sets of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its type's own")]
pub struct Content {
    pub sku: Sku,
    pub name: Name,
    pub description: Option<Description>,
    pub category: Category,
    pub price: Price,
    pub attributes: Attributes,
    pub image_url: Option<ImageUrl>,
    pub acceptance: Acceptance,
    pub state: State,
}

/// Whether a product is sold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Deserr, ToSchema)]
#[serde(rename_all = "snake_case")]
#[deserr(rename_all = lowercase)]
#[schema(as = ProductState)]
pub enum State {
    /// It is listed and can be bought.
    #[default]
    Active,
    /// It is in no list and cannot be bought any more; it is read by its id.
    Archived,
}

/// What one piece costs: not less than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(try_from(Money) = Price::try_from -> NegativePrice, error = FieldErrors)]
pub struct Price(Money);

/// A price below zero.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a price is not below zero, this one is {0}")]
pub struct NegativePrice(Money);

impl Invalid for NegativePrice {
    fn code(&self) -> &'static str {
        "negative_price"
    }
}

impl Price {
    /// The amount and its currency.
    #[must_use]
    pub fn money(self) -> Money {
        self.0
    }

    /// Its currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.0.currency
    }
}

impl TryFrom<Money> for Price {
    type Error = NegativePrice;

    fn try_from(money: Money) -> Result<Self, NegativePrice> {
        if money.amount_minor < 0 {
            Err(NegativePrice(money))
        } else {
            Ok(Self(money))
        }
    }
}

/// Where a product stands in the lists of its category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The category, spelled as it is.
    pub category: String,
    /// Sorts by name, whatever its letters' case.
    pub name_key: String,
}

/// Ends the sorted part of a key. No name holds it, and every character that a name may hold sorts
/// after it, so that a name sorts before its own continuations.
const END: char = '\u{1f}';

/// Bytes of a name that count in sorting. An index key has a limit (1,024 bytes), and a key travels
/// in cursors.
const SORTED_BYTES: usize = 256;

impl Listing {
    /// The listing of a product with this content; none while it is archived.
    #[must_use]
    pub fn of(id: ProductId, content: &Content) -> Option<Self> {
        match content.state {
            State::Active => Some(Self {
                category: content.category.as_str().to_owned(),
                name_key: name_key(&content.name, id),
            }),
            State::Archived => None,
        }
    }
}

/// Names sort by their full case folding (Unicode, section 3.13), so that "straße" and "STRASSE"
/// stand together; the id makes keys unique.
fn name_key(name: &Name, id: ProductId) -> String {
    let folded = caseless::default_case_fold_str(name.as_str());
    let end = folded.floor_char_boundary(SORTED_BYTES);
    format!("{}{END}{id}", folded.get(..end).unwrap_or_default())
}

/// Prices sort as numbers: digits filled up to those of the largest.
#[must_use]
pub fn price_key(price: Price, id: ProductId) -> String {
    format!("{:019}{END}{id}", price.money().amount_minor)
}

impl Product {
    /// A product that is new.
    #[must_use]
    pub fn new(content: Content, now: Timestamp) -> Self {
        Self {
            id: product_id(&content.sku),
            content,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The product after a change to that content, or none if that changes nothing.
    #[must_use]
    pub fn changed_to(&self, content: Content, now: Timestamp) -> Option<Self> {
        (content != self.content).then(|| Self {
            id: self.id,
            content,
            version: self.version + 1,
            created_at: self.created_at,
            updated_at: now,
        })
    }
}

impl Content {
    /// The names of the fields that differ, as the contract spells them.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let fields = [
            ("name", self.name != other.name),
            ("description", self.description != other.description),
            ("category", self.category != other.category),
            ("price", self.price != other.price),
            ("attributes", self.attributes != other.attributes),
            ("image_url", self.image_url != other.image_url),
            ("acceptance", self.acceptance != other.acceptance),
            ("state", self.state != other.state),
        ];
        fields
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content() -> Content {
        Content {
            sku: "TEA-1".parse().unwrap(),
            name: "Tea".parse().unwrap(),
            description: None,
            category: "Drinks".parse().unwrap(),
            price: Price::try_from(Money::new(399, "USD".parse().unwrap())).unwrap(),
            attributes: Attributes::default(),
            image_url: None,
            acceptance: Acceptance::Auto,
            state: State::Active,
        }
    }

    #[test]
    fn a_sku_has_one_product_for_ever() {
        // Stored products depend on this very figure.
        let id = product_id(&"TEA-1".parse().unwrap());
        assert_eq!(id, product_id(&"TEA-1".parse().unwrap()));
        assert_ne!(id, product_id(&"tea-1".parse().unwrap()));
        assert_eq!(id.to_string(), "81a09dcb-21cd-5779-bab5-887489355edf");
    }

    #[test]
    fn an_archived_product_stands_in_no_list() {
        let id = product_id(&content().sku);
        assert!(Listing::of(id, &content()).is_some());
        let archived = Content {
            state: State::Archived,
            ..content()
        };
        assert_eq!(Listing::of(id, &archived), None);
    }

    #[test]
    fn names_sort_without_regard_to_case() {
        let key = |name: &str| name_key(&name.parse().unwrap(), product_id(&content().sku));
        assert_eq!(key("STRASSE"), key("straße"));
        assert_eq!(key("Éclair"), key("éclair"));
        let mut sorted = vec![key("banana"), key("Apple pie"), key("apple"), key("Cherry")];
        sorted.sort();
        assert_eq!(sorted, [key("apple"), key("Apple pie"), key("banana"), key("Cherry")]);
    }

    #[test]
    fn no_name_makes_a_key_too_long_for_an_index() {
        let longest: Name = "ΐ".repeat(200).parse().unwrap();
        assert!(name_key(&longest, product_id(&content().sku)).len() <= SORTED_BYTES + 37);
    }

    #[test]
    fn a_change_to_the_same_is_none() {
        let now = Timestamp::UNIX_EPOCH;
        let product = Product::new(content(), now);
        assert_eq!(product.changed_to(content(), now), None);
        let dearer = Content {
            price: Price::try_from(Money::new(400, "USD".parse().unwrap())).unwrap(),
            ..content()
        };
        let changed = product.changed_to(dearer.clone(), now).unwrap();
        assert_eq!(changed.version, 2);
        assert_eq!(product.content.differences(&dearer), ["price"]);
    }

    proptest! {
        #[test]
        fn prices_sort_as_numbers(a in 0..i64::MAX, b in 0..i64::MAX) {
            let id = product_id(&content().sku);
            let key = |n| price_key(Price::try_from(Money::new(n, "USD".parse().unwrap())).unwrap(), id);
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        }

        #[test]
        fn no_price_is_below_zero(n: i64) {
            prop_assert_eq!(Price::try_from(Money::new(n, "USD".parse().unwrap())).is_ok(), n >= 0);
        }
    }
}
