//! What a table of products is made of.

/// Products that differ in one thing only.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) sku: &'static str,
    pub(super) name: &'static str,
    /// Of the variant without extra; minor units.
    pub(super) price: i64,
    pub(super) text: &'static str,
    pub(super) attributes: &'static [(&'static str, &'static str)],
    pub(super) variants: &'static Variants,
    pub(super) acceptance: Acceptance,
}

/// Whether the merchant wants to see each order first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Acceptance {
    Automatic,
    Manual,
}

/// What a family differs in.
#[derive(Debug)]
pub(super) struct Variants {
    pub(super) attribute: &'static str,
    pub(super) of: &'static [Variant],
}

/// What is added to a family's sku, name and price.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) sku: &'static str,
    pub(super) name: &'static str,
    /// Minor units.
    pub(super) extra: i64,
}

pub(super) const fn family(
    sku: &'static str,
    name: &'static str,
    price: i64,
    text: &'static str,
    attributes: &'static [(&'static str, &'static str)],
    variants: &'static Variants,
) -> Family {
    Family {
        sku,
        name,
        price,
        text,
        attributes,
        variants,
        acceptance: Acceptance::Automatic,
    }
}

impl Family {
    /// Dear, or made to order: the merchant accepts each order by hand.
    pub(super) const fn accepted_by_hand(self) -> Self {
        Self {
            acceptance: Acceptance::Manual,
            ..self
        }
    }
}

pub(super) const fn variants(attribute: &'static str, of: &'static [Variant]) -> Variants {
    Variants { attribute, of }
}

pub(super) const fn variant(sku: &'static str, name: &'static str, extra: i64) -> Variant {
    Variant { sku, name, extra }
}

/// A product of which there is one kind only.
pub(super) static SINGLE: Variants = variants("", &[variant("", "", 0)]);
