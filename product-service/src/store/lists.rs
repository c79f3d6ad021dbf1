//! Lists: pages of the catalog, of what is in stock, and of everything for reconciliation.
//!
//! Each asks for one entry more than it shows, so that the last page knows that it is the last.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use shared::ids::ProductId;

use super::record::document::CatalogKeys;
use super::record::stock::Counters;
use super::record::{self, Key, product_of};
use super::write::Item;
use super::{Store, StoreError};
use crate::domain::product::{Product, State};
use crate::domain::reservation::Reservation;
use crate::domain::text::Category;

/// A product as lists show it: without description and attributes.
#[derive(Clone, Debug)]
pub struct Summary(pub Product);

/// How a category is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogOrder {
    /// By name, whatever its letters' case.
    Name,
    /// By price, the lowest first.
    Price,
}

/// Behind which product the next page of the catalog begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogPosition {
    id: ProductId,
    category: String,
    key: String,
}

/// Behind which stock the next page of what is in stock begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockPosition {
    id: ProductId,
    key: String,
}

/// A list of everything: of its items' kind, and behind which the next page begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Internal {
    pk: String,
    sk: String,
}

/// A page of stocks.
pub type StockPage = (Vec<(ProductId, Counters)>, Option<Internal>);
/// A page of reservations.
pub type ReservationsPage = (Vec<Reservation>, Option<Internal>);

/// Items that one call of a list of everything looks at, and calls of one page at most: a page may
/// come out short, but it comes.
const LOOKED_AT: i32 = 1000;
const CALLS: u8 = 10;

impl Store {
    /// A page of the whole catalog, in an order that stays the same but means nothing.
    ///
    /// One round trip; 0.5 RCU per 4 KB of what is shown, at any size of the catalog.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn catalog(
        &self,
        limit: u8,
        after: Option<&CatalogPosition>,
    ) -> Result<(Vec<Summary>, Option<CatalogPosition>), StoreError> {
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .index_name(record::CATALOG_BY_NAME)
            .set_exclusive_start_key(after.map(|at| catalog_start(at, "catalog_name")))
            .limit(i32::from(limit) + 1)
            .send()
            .await?;
        catalog_page(answer.items.unwrap_or_default(), limit, CatalogOrder::Name)
    }

    /// A page of a category.
    ///
    /// One round trip; 0.5 RCU per 4 KB of what is shown, at any size of the catalog.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn category(
        &self,
        category: &Category,
        order: CatalogOrder,
        limit: u8,
        after: Option<&CatalogPosition>,
    ) -> Result<(Vec<Summary>, Option<CatalogPosition>), StoreError> {
        let (index, sort) = match order {
            CatalogOrder::Name => (record::CATALOG_BY_NAME, "catalog_name"),
            CatalogOrder::Price => (record::CATALOG_BY_PRICE, "catalog_price"),
        };
        let answer = self
            .of_category(index, "catalog_category", category, limit)
            .set_exclusive_start_key(after.map(|at| catalog_start(at, sort)))
            .send()
            .await?;
        catalog_page(answer.items.unwrap_or_default(), limit, order)
    }

    /// A page of what can be bought of a category, by name.
    ///
    /// Two round trips; 0.5 RCU per 4 KB of keys and 0.5 for each product.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn in_stock(
        &self,
        category: &Category,
        limit: u8,
        after: Option<&StockPosition>,
    ) -> Result<(Vec<Summary>, Option<StockPosition>), StoreError> {
        let start = after.map(|at| {
            let mut start = Key::Stock(at.id).item();
            start.insert("stock_category".to_owned(), AttributeValue::S(category.to_string()));
            start.insert("stock_name".to_owned(), AttributeValue::S(at.key.clone()));
            start
        });
        let answer = self
            .of_category(record::IN_STOCK, "stock_category", category, limit)
            .set_exclusive_start_key(start)
            .send()
            .await?;
        let (entries, more) = cut(answer.items.unwrap_or_default(), limit);
        let mut positions = Vec::with_capacity(entries.len());
        for entry in &entries {
            positions.push(StockPosition {
                id: product_of(entry)?,
                key: record::text(entry, "stock_name")?.to_owned(),
            });
        }
        let ids: Vec<_> = positions.iter().map(|at| at.id).collect();
        let mut documents = self.documents(&ids).await?;
        // An index follows its items after a moment: what was archived just now is left out.
        let listed = ids.iter().filter_map(|id| documents.remove(id));
        let listed = listed.filter(|product| product.content.state == State::Active);
        Ok((listed.map(Summary).collect(), positions.pop().filter(|_| more)))
    }

    /// A page of all stocks, archived products' too: their counters as they lie there, so that those which
    /// contradict each other can be told.
    ///
    /// One round trip for each 1,000 items that it looks at, ten at most: a page may hold fewer than
    /// `limit` and not be the last.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn all_stock(&self, limit: u8, after: Option<Internal>) -> Result<StockPage, StoreError> {
        let (items, next) = self.everything(record::STOCK, limit, after).await?;
        let mut stocks = Vec::with_capacity(items.len());
        for item in items {
            stocks.push((product_of(&item)?, record::stock::counters(item)?));
        }
        Ok((stocks, next))
    }

    /// A page of all reservations, those that are closed too.
    ///
    /// As [`Store::all_stock`].
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn all_reservations(&self, limit: u8, after: Option<Internal>) -> Result<ReservationsPage, StoreError> {
        let (items, next) = self.everything(record::RESERVATION, limit, after).await?;
        let read = |item| record::reservation::read(item).map(|stored| stored.reservation);
        Ok((items.into_iter().map(read).collect::<Result<_, _>>()?, next))
    }

    async fn everything(
        &self,
        kind: &str,
        limit: u8,
        after: Option<Internal>,
    ) -> Result<(Vec<Item>, Option<Internal>), StoreError> {
        let wanted = usize::from(limit);
        let mut found = Vec::new();
        let mut start = after.map(Item::from);
        for _ in 0..CALLS {
            let answer = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                .filter_expression("#sk = :kind")
                .expression_attribute_names("#sk", "sk")
                .expression_attribute_values(":kind", AttributeValue::S(kind.to_owned()))
                .set_exclusive_start_key(start.take())
                .limit(LOOKED_AT)
                .send()
                .await?;
            found.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || found.len() > wanted {
                break;
            }
        }
        if found.len() > wanted {
            found.truncate(wanted);
            start = found.last().cloned();
        }
        let next = start.as_ref().map(Internal::try_from);
        Ok((found, next.transpose()?))
    }

    fn of_category(&self, index: &str, key: &str, category: &Category, limit: u8) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .key_condition_expression("#category = :category")
            .expression_attribute_names("#category", key)
            .expression_attribute_values(":category", AttributeValue::S(category.to_string()))
            .limit(i32::from(limit) + 1)
    }
}

fn catalog_page(
    items: Vec<Item>,
    limit: u8,
    order: CatalogOrder,
) -> Result<(Vec<Summary>, Option<CatalogPosition>), StoreError> {
    let (items, more) = cut(items, limit);
    let products = items.into_iter().map(record::document::read);
    let products = products.collect::<Result<Vec<_>, _>>()?;
    let next = products.last().filter(|_| more).and_then(|last| {
        let CatalogKeys { category, name, price } = record::document::catalog_keys(last)?;
        let key = match order {
            CatalogOrder::Name => name,
            CatalogOrder::Price => price,
        };
        Some(CatalogPosition {
            id: last.id,
            category,
            key,
        })
    });
    Ok((products.into_iter().map(Summary).collect(), next))
}

/// As many as a page shows, and whether there are more.
fn cut(mut items: Vec<Item>, limit: u8) -> (Vec<Item>, bool) {
    let shown = usize::from(limit);
    let more = items.len() > shown;
    items.truncate(shown);
    (items, more)
}

fn catalog_start(at: &CatalogPosition, sort: &str) -> Item {
    let mut start = Key::Document(at.id).item();
    start.insert("catalog_category".to_owned(), AttributeValue::S(at.category.clone()));
    start.insert(sort.to_owned(), AttributeValue::S(at.key.clone()));
    start
}

impl From<Internal> for Item {
    fn from(at: Internal) -> Self {
        Self::from([
            ("pk".to_owned(), AttributeValue::S(at.pk)),
            ("sk".to_owned(), AttributeValue::S(at.sk)),
        ])
    }
}

impl TryFrom<&Item> for Internal {
    type Error = StoreError;

    fn try_from(item: &Item) -> Result<Self, StoreError> {
        Ok(Self {
            pk: record::text(item, "pk")?.to_owned(),
            sk: record::text(item, "sk")?.to_owned(),
        })
    }
}
