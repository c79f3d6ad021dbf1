//! Products as they travel: what a client may send, what it gets.

use std::fmt::Display;
use std::str::FromStr;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use shared::body::{FieldErrors, from_value};
use shared::contract::checkout::Acceptance;
use shared::etag::{ETag, IfMatch};
use shared::ids::ProductId;
use shared::money::{Currency, Money};
use shared::problem::FieldError;
use thiserror::Error;
use utoipa::ToSchema;

use crate::catalog::import::Wanted;
use crate::domain::merge_patch::merged;
use crate::domain::product::{Content, Price, Product, State, product_id};
use crate::domain::stock::{OnHand, Stock};
use crate::domain::text::{Attributes, Category, Description, ImageUrl, Name, Sku};
use crate::store::{Expected, ProductWithStock};

/// A product to be created.
#[derive(Debug, deserr::Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(super) struct NewProduct {
    sku: Sku,
    name: Name,
    #[deserr(default)]
    description: Option<Description>,
    category: Category,
    #[schema(value_type = PriceForm)]
    price: Price,
    #[deserr(default)]
    attributes: Option<Attributes>,
    #[deserr(default)]
    image_url: Option<ImageUrl>,
    /// `auto` if absent.
    #[deserr(default)]
    acceptance: Option<Acceptance>,
}

/// A product as it is to be. What is absent is none, but for `state`, which stays as it is.
#[derive(Debug, deserr::Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(super) struct Replacement {
    /// May be sent, but never changes.
    #[deserr(default)]
    sku: Option<Sku>,
    name: Name,
    #[deserr(default)]
    description: Option<Description>,
    category: Category,
    #[schema(value_type = PriceForm)]
    price: Price,
    #[deserr(default)]
    attributes: Option<Attributes>,
    #[deserr(default)]
    image_url: Option<ImageUrl>,
    /// `auto` if absent.
    #[deserr(default)]
    acceptance: Option<Acceptance>,
    #[deserr(default)]
    state: Option<State>,
}

/// Changes of a product by RFC 7396: a null removes, what is absent stays.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only described; a patch is read beside what it changes")]
pub(super) struct ProductPatch {
    /// May be sent, but never changes.
    #[schema(value_type = Sku, required = false)]
    sku: Option<Sku>,
    #[schema(value_type = Name, required = false)]
    name: Option<Name>,
    description: Option<Description>,
    #[schema(value_type = Category, required = false)]
    category: Option<Category>,
    #[schema(value_type = PricePatch, required = false)]
    price: Option<PricePatch>,
    /// A null takes one of them away.
    attributes: Option<BTreeMap<String, Option<String>>>,
    image_url: Option<ImageUrl>,
    acceptance: Option<Acceptance>,
    #[schema(value_type = State, required = false)]
    state: Option<State>,
}

/// A price: an amount that is not below zero, in the shop's currency.
#[derive(Debug, ToSchema)]
#[schema(as = Price)]
#[expect(dead_code, reason = "only described; it is read as the amount that it is")]
pub(super) struct PriceForm {
    #[schema(minimum = 0)]
    amount_minor: i64,
    currency: Currency,
}

/// Changes of a price.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only described; a patch is read beside what it changes")]
pub(super) struct PricePatch {
    #[schema(value_type = i64, required = false, minimum = 0)]
    amount_minor: Option<i64>,
    #[schema(value_type = Currency, required = false)]
    currency: Option<Currency>,
}

/// A line of an import: a product to be created or replaced, and perhaps a count of its stock.
#[derive(Debug, deserr::Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(super) struct ImportRow {
    sku: Sku,
    name: Name,
    #[deserr(default)]
    description: Option<Description>,
    category: Category,
    #[schema(value_type = PriceForm)]
    price: Price,
    #[deserr(default)]
    attributes: Option<Attributes>,
    #[deserr(default)]
    image_url: Option<ImageUrl>,
    /// `auto` if absent.
    #[deserr(default)]
    acceptance: Option<Acceptance>,
    /// The stock stays as it is without one.
    #[deserr(default)]
    on_hand: Option<OnHand>,
}

/// What is wrong with a product that was sent.
#[derive(Debug, Error)]
pub(super) enum WrongBody {
    /// These fields.
    #[error("{} fields are wrong", .0.len())]
    Fields(Vec<FieldError>),
    /// Nothing but the currency, which is not the shop's.
    #[error("the shop has another currency")]
    Currency(FieldError),
}

impl WrongBody {
    fn unless_none(errors: Vec<FieldError>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self::Fields(errors))
        }
    }
}

impl NewProduct {
    /// Reads a body; `shop` is the one currency that a price may have.
    pub(super) fn read(body: Value, shop: Currency) -> Result<Content, WrongBody> {
        let new: Self = read(body, shop, Vec::new())?;
        Ok(Content {
            sku: new.sku,
            name: new.name,
            description: new.description,
            category: new.category,
            price: new.price,
            attributes: new.attributes.unwrap_or_default(),
            image_url: new.image_url,
            acceptance: new.acceptance.unwrap_or_default(),
            state: State::Active,
        })
    }
}

impl Replacement {
    /// Reads a body that replaces a product.
    pub(super) fn read(body: Value, shop: Currency) -> Result<Self, WrongBody> {
        read(body, shop, Vec::new())
    }

    /// What the product is then.
    pub(super) fn of(&self, before: &Content) -> Result<Content, WrongBody> {
        if let Some(sku) = &self.sku
            && product_id(sku) != product_id(&before.sku)
        {
            WrongBody::unless_none(vec![FieldError {
                pointer: "#/sku".to_owned(),
                code: "sku_immutable",
                detail: format!("a sku never changes; this product's is {}", before.sku),
            }])?;
        }
        Ok(Content {
            sku: before.sku.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            category: self.category.clone(),
            price: self.price,
            attributes: self.attributes.clone().unwrap_or_default(),
            image_url: self.image_url.clone(),
            acceptance: self.acceptance.unwrap_or_default(),
            state: self.state.unwrap_or(before.state),
        })
    }
}

/// What the product is after a merge patch.
pub(super) fn patched(before: &Content, patch: &Value, shop: Currency) -> Result<Content, WrongBody> {
    let wrong = |pointer: String, code, detail: &str| FieldError {
        pointer,
        code,
        detail: detail.to_owned(),
    };
    let Value::Object(fields) = patch else {
        let error = wrong("#".to_owned(), "wrong_type", "a patch of a product is an object");
        return Err(WrongBody::Fields(vec![error]));
    };
    let target = json!({
        "sku": before.sku,
        "name": before.name,
        "description": before.description,
        "category": before.category,
        "price": before.price.money(),
        "attributes": before.attributes,
        "image_url": before.image_url,
        "acceptance": before.acceptance,
        "state": before.state,
    });
    // Of what a null removes nothing is left for the fields' own rules to refuse.
    let mut errors = Vec::new();
    for (name, _) in fields.iter().filter(|(_, value)| value.is_null()) {
        if target.get(name).is_none() {
            errors.push(wrong(
                format!("#/{name}"),
                "unknown_field",
                "there is no such field here",
            ));
        } else if ["sku", "state"].contains(&name.as_str()) {
            errors.push(wrong(format!("#/{name}"), "required", "this field is required"));
        }
    }
    let replacement: Replacement = read(merged(target, patch.clone()), shop, errors)?;
    replacement.of(before)
}

impl ImportRow {
    /// Reads a line.
    pub(super) fn read(line: Value, shop: Currency) -> Result<Wanted, WrongBody> {
        let row: Self = read(line, shop, Vec::new())?;
        let content = Content {
            sku: row.sku,
            name: row.name,
            description: row.description,
            category: row.category,
            price: row.price,
            attributes: row.attributes.unwrap_or_default(),
            image_url: row.image_url,
            acceptance: row.acceptance.unwrap_or_default(),
            state: State::Active,
        };
        Ok(Wanted {
            content,
            on_hand: row.on_hand,
        })
    }
}

/// Every wrong field at once, and the currency with them: what a currency should be is no rule of
/// the field alone.
fn read<T: deserr::Deserr<FieldErrors>>(
    body: Value,
    shop: Currency,
    mut errors: Vec<FieldError>,
) -> Result<T, WrongBody> {
    let currency = body.pointer("/price/currency").and_then(Value::as_str);
    let foreign = currency
        .and_then(|code| code.parse::<Currency>().ok())
        .filter(|currency| *currency != shop)
        .map(|currency| FieldError {
            pointer: "#/price/currency".to_owned(),
            code: "currency_not_supported",
            detail: format!("this shop's currency is {shop}, not {currency}"),
        });
    match (from_value::<T>(body), foreign) {
        (Ok(read), None) => WrongBody::unless_none(errors).map(|()| read),
        (Ok(_), Some(foreign)) if errors.is_empty() => Err(WrongBody::Currency(foreign)),
        (Ok(_), Some(foreign)) => {
            errors.push(foreign);
            Err(WrongBody::Fields(errors))
        }
        (Err(others), foreign) => {
            errors.extend(others.into_vec());
            errors.extend(foreign);
            Err(WrongBody::Fields(errors))
        }
    }
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub(super) struct ProductView {
    id: ProductId,
    sku: Sku,
    name: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Description>,
    category: Category,
    price: Money,
    attributes: Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<ImageUrl>,
    /// Whether the merchant is asked before an order with it is confirmed.
    acceptance: Acceptance,
    state: State,
    /// Of the document: the first part of the ETag.
    version: u64,
    stock: Availability,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A product as lists show it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProductSummary {
    id: ProductId,
    sku: Sku,
    name: Name,
    category: Category,
    price: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<ImageUrl>,
    acceptance: Acceptance,
    state: State,
    version: u64,
    /// With `expand=availability`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stock: Option<Availability>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What there is of a product.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Availability {
    /// Pieces that can be bought.
    available: u32,
    /// Whether there are any.
    in_stock: bool,
    /// Of the stock, moved by counts and adjustments: the second part of the ETag.
    version: u64,
}

/// A stock as its merchant sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StockView {
    /// Whose.
    pub(super) product_id: ProductId,
    /// Pieces that lie there.
    pub(super) on_hand: u32,
    /// Pieces of these that are held for orders.
    pub(super) reserved: u32,
    /// Pieces that can be bought.
    pub(super) available: u32,
    /// Whether there are any.
    pub(super) in_stock: bool,
    /// Moved by counts and adjustments.
    pub(super) version: u64,
}

impl From<&Stock> for Availability {
    fn from(stock: &Stock) -> Self {
        Self {
            available: stock.available(),
            in_stock: stock.available() > 0,
            version: stock.version,
        }
    }
}

impl From<ProductWithStock> for ProductView {
    fn from(found: ProductWithStock) -> Self {
        let stock = Availability::from(&found.stock);
        let Product {
            id,
            content,
            version,
            created_at,
            updated_at,
        } = found.product;
        Self {
            id,
            sku: content.sku,
            name: content.name,
            description: content.description,
            category: content.category,
            price: content.price.money(),
            attributes: content.attributes,
            image_url: content.image_url,
            acceptance: content.acceptance,
            state: content.state,
            version,
            stock,
            created_at,
            updated_at,
        }
    }
}

impl ProductSummary {
    pub(super) fn new(product: Product, stock: Option<&Stock>) -> Self {
        let content = product.content;
        Self {
            id: product.id,
            sku: content.sku,
            name: content.name,
            category: content.category,
            price: content.price.money(),
            image_url: content.image_url,
            acceptance: content.acceptance,
            state: content.state,
            version: product.version,
            stock: stock.map(Availability::from),
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

impl StockView {
    pub(super) fn new(product_id: ProductId, stock: &Stock) -> Self {
        Self {
            product_id,
            on_hand: stock.on_hand(),
            reserved: stock.reserved(),
            available: stock.available(),
            in_stock: stock.available() > 0,
            version: stock.version,
        }
    }
}

/// The tag of a product: document version, stock version, available pieces.
pub(super) fn etag(found: &ProductWithStock) -> ETag {
    let stock = &found.stock;
    ETag::new(format_args!(
        "{}.{}.{}",
        found.product.version,
        stock.version,
        stock.available()
    ))
}

/// The part of a product's tag that an `If-Match` is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// The document's version.
    Document,
    /// The stock's version.
    Stock,
}

impl Part {
    /// The versions that a client has seen. A tag that is none of ours matches nothing.
    pub(super) fn expected(self, condition: IfMatch) -> Expected {
        let version = |tag: ETag| {
            let mut parts = tag.as_str().split('.');
            let (document, stock, available) = (parts.next()?, parts.next()?, parts.next()?);
            let ours = parts.next().is_none() && as_written::<u32>(available).is_some();
            let (document, stock) = (as_written(document)?, as_written(stock)?);
            ours.then_some(match self {
                Self::Document => document,
                Self::Stock => stock,
            })
        };
        match condition {
            IfMatch::Any => Expected::Any,
            IfMatch::Tags(tags) => Expected::Versions(tags.into_iter().filter_map(version).take(MOST_TAGS).collect()),
        }
    }
}

/// A number in the one way in which it is written here: `+1` and `01` are other tags than `1`.
fn as_written<T: FromStr + Display>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

/// As many values as a condition may compare with.
const MOST_TAGS: usize = 50;
