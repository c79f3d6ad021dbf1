//! What the product service tells of its catalog and stock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::checkout::Acceptance;
use crate::contract::events;
use crate::ids::ProductId;
use crate::money::Money;

/// A product as its events show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductSnapshot {
    /// The merchant's key.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Its category.
    pub category: String,
    /// Its price.
    pub price: Money,
    /// Whether the merchant wants to be asked.
    #[serde(default)]
    pub acceptance: Acceptance,
}

/// There is a new product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductCreated {
    /// The product.
    pub product_id: ProductId,
    /// As it is.
    pub product: ProductSnapshot,
}

/// A product has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductChanged {
    /// The product.
    pub product_id: ProductId,
    /// As it was.
    pub old: ProductSnapshot,
    /// As it is.
    pub new: ProductSnapshot,
    /// The names of the fields that differ, of those too that the snapshots leave out.
    pub changed: Vec<String>,
}

/// A product is no longer sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductArchived {
    /// The product.
    pub product_id: ProductId,
    /// As it was.
    pub product: ProductSnapshot,
}

/// Nothing is left of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockDepleted {
    /// The product.
    pub product_id: ProductId,
}

/// There is something of a product again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockAvailable {
    /// The product.
    pub product_id: ProductId,
    /// Pieces that can be bought.
    pub available: u32,
}

events!("product-service":
    ProductCreated -> [],
    ProductChanged -> [],
    ProductArchived -> [],
    StockDepleted -> [],
    StockAvailable -> [],
);
