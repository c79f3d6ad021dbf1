//! The document: a product as the merchant set it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::checkout::Acceptance;
use shared::ids::ProductId;
use shared::money::{Currency, Money};

use super::super::StoreError;
use super::super::write::{Item, Write};
use super::Key;
use crate::domain::product::{Content, Listing, Price, Product, State, price_key};
use crate::domain::text::{Attributes, Category, Description, ImageUrl, Name, Sku};

#[derive(Serialize, Deserialize)]
struct Document {
    pk: String,
    sk: String,
    id: ProductId,
    sku: Sku,
    name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<Description>,
    category: Category,
    price_minor: i64,
    currency: Currency,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_url: Option<ImageUrl>,
    #[serde(default)]
    acceptance: Acceptance,
    state: State,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    // The indexes' keys: there while the product is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    catalog_category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    catalog_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    catalog_price: Option<String>,
}

/// A product that must not be there yet.
pub(in super::super) fn create(product: &Product) -> Result<Write, StoreError> {
    Ok(Write::put(item(product)?).when("attribute_not_exists(#pk)"))
}

/// A product in place of that version of it.
pub(in super::super) fn replace(product: &Product, version: u64) -> Result<Write, StoreError> {
    Ok(Write::put(item(product)?)
        .when("#version = :was")
        .number("was", version))
}

/// Reads a document, or an entry of one of the catalog's indexes, which lacks what no list shows.
pub(in super::super) fn read(item: Item) -> Result<Product, StoreError> {
    let record: Document = serde_dynamo::from_item(item).map_err(StoreError::fault)?;
    Product::try_from(record)
}

/// The keys under which an entry of the catalog's indexes is found.
pub(in super::super) struct CatalogKeys {
    pub(in super::super) category: String,
    pub(in super::super) name: String,
    pub(in super::super) price: String,
}

/// Those of a product; none while it is archived.
pub(in super::super) fn catalog_keys(product: &Product) -> Option<CatalogKeys> {
    let listing = Listing::of(product.id, &product.content)?;
    Some(CatalogKeys {
        category: listing.category,
        name: listing.name_key,
        price: price_key(product.content.price, product.id),
    })
}

fn item(product: &Product) -> Result<Item, StoreError> {
    let key = Key::Document(product.id);
    let content = product.content.clone();
    let keys = catalog_keys(product);
    let money = content.price.money();
    let (category, name, price) = match keys {
        Some(keys) => (Some(keys.category), Some(keys.name), Some(keys.price)),
        None => (None, None, None),
    };
    let record = Document {
        pk: key.pk(),
        sk: super::DOCUMENT.to_owned(),
        id: product.id,
        sku: content.sku,
        name: content.name,
        description: content.description,
        category: content.category,
        price_minor: money.amount_minor,
        currency: money.currency,
        attributes: content.attributes,
        image_url: content.image_url,
        acceptance: content.acceptance,
        state: content.state,
        version: product.version,
        created_at: product.created_at,
        updated_at: product.updated_at,
        catalog_category: category,
        catalog_name: name,
        catalog_price: price,
    };
    serde_dynamo::to_item(record).map_err(StoreError::fault)
}

impl TryFrom<Document> for Product {
    type Error = StoreError;

    fn try_from(record: Document) -> Result<Self, StoreError> {
        let price = Price::try_from(Money::new(record.price_minor, record.currency)).map_err(StoreError::fault)?;
        Ok(Self {
            id: record.id,
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
            content: Content {
                sku: record.sku,
                name: record.name,
                description: record.description,
                category: record.category,
                price,
                attributes: record.attributes,
                image_url: record.image_url,
                acceptance: record.acceptance,
                state: record.state,
            },
        })
    }
}
