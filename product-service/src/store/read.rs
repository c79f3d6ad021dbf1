//! Reading items by their keys.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use shared::ids::ProductId;

use super::backoff::Backoff;
use super::record::{self, Key};
use super::write::Item;
use super::{Store, StoreError};
use crate::domain::product::Product;
use crate::domain::stock::Stock;

/// Whether a read sees every write that was answered before it. That costs twice the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// It may be a moment late.
    Eventual,
    /// It is not.
    Strong,
}

/// A product with what there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductWithStock {
    /// The product.
    pub product: Product,
    /// Its stock.
    pub stock: Stock,
}

/// Keys of one call at most, by DynamoDB's limit.
const BATCH: usize = 100;

impl Store {
    /// A product with its stock; none if there is no such product.
    ///
    /// One round trip; 0.5 RCU per 4 KB of both, twice that if strong.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn product(
        &self,
        id: ProductId,
        consistency: Consistency,
    ) -> Result<Option<ProductWithStock>, StoreError> {
        // The outbox sorts before the document and is left out.
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk >= :document")
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_names("#sk", "sk")
            .expression_attribute_values(":pk", AttributeValue::S(Key::Document(id).pk()))
            .expression_attribute_values(":document", AttributeValue::S(record::DOCUMENT.to_owned()))
            .consistent_read(consistency == Consistency::Strong)
            .limit(2)
            .send()
            .await?;
        let mut found = Found::default();
        for item in answer.items.unwrap_or_default() {
            found.take(item)?;
        }
        found.product(id)
    }

    /// Products with their stock, by id; those that are missing are left out.
    ///
    /// One round trip per 50; 0.5 RCU per 4 KB of document and of stock each, twice that if strong.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn products(
        &self,
        ids: &[ProductId],
        consistency: Consistency,
    ) -> Result<HashMap<ProductId, ProductWithStock>, StoreError> {
        let keys = ids.iter().flat_map(|id| [Key::Document(*id), Key::Stock(*id)]);
        let mut found = self.items(keys.collect(), consistency).await?;
        let mut products = HashMap::with_capacity(ids.len());
        for id in ids {
            if let Some(product) = found.product(*id)? {
                products.insert(*id, product);
            }
        }
        Ok(products)
    }

    /// Documents alone, by id. One round trip per 100; 0.5 RCU per 4 KB of each.
    pub(super) async fn documents(&self, ids: &[ProductId]) -> Result<HashMap<ProductId, Product>, StoreError> {
        let keys = ids.iter().map(|id| Key::Document(*id)).collect();
        Ok(self.items(keys, Consistency::Eventual).await?.documents)
    }

    /// Stocks alone, by id.
    ///
    /// One round trip per 100; 0.5 RCU each.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn stocks(&self, ids: &[ProductId]) -> Result<HashMap<ProductId, Stock>, StoreError> {
        let keys = ids.iter().map(|id| Key::Stock(*id)).collect();
        Ok(self.items(keys, Consistency::Eventual).await?.stocks)
    }

    /// An item by its key, strongly. One round trip; 1 RCU per 4 KB.
    pub(super) async fn item(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table);
        let request = request.set_key(Some(key.item())).consistent_read(true);
        Ok(request.send().await?.item)
    }

    async fn items(&self, keys: Vec<Key>, consistency: Consistency) -> Result<Found, StoreError> {
        let mut found = Found::default();
        for item in self.raw_items(keys, consistency).await? {
            found.take(item)?;
        }
        Ok(found)
    }

    /// Those of these items that there are, in no order. One round trip per 100.
    pub(super) async fn raw_items(
        &self,
        mut keys: Vec<Key>,
        consistency: Consistency,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut backoff = Backoff::default();
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(BATCH));
            let asked = KeysAndAttributes::builder()
                .set_keys(Some(keys.iter().map(Key::item).collect()))
                .consistent_read(consistency == Consistency::Strong)
                .build()
                .map_err(StoreError::fault)?;
            let request = self.client.batch_get_item();
            let answer = request.request_items(&self.table, asked).send().await?;
            found.extend(answer.responses.unwrap_or_default().into_values().flatten());
            // What DynamoDB had no capacity left for is asked for again.
            keys = rest;
            let left = answer.unprocessed_keys.unwrap_or_default();
            if !left.is_empty() {
                for key in left.values().flat_map(KeysAndAttributes::keys) {
                    keys.push(Key::of(key)?);
                }
                backoff.pause().await?;
            }
        }
        Ok(found)
    }
}

#[derive(Default)]
struct Found {
    documents: HashMap<ProductId, Product>,
    stocks: HashMap<ProductId, Stock>,
}

impl Found {
    fn take(&mut self, item: Item) -> Result<(), StoreError> {
        match Key::of(&item)? {
            Key::Document(id) => {
                self.documents.insert(id, record::document::read(item)?);
            }
            Key::Stock(id) => {
                self.stocks.insert(id, record::stock::read(item)?);
            }
            Key::Outbox(_) | Key::Reservation(_) => {}
        }
        Ok(())
    }

    fn product(&mut self, id: ProductId) -> Result<Option<ProductWithStock>, StoreError> {
        match (self.documents.remove(&id), self.stocks.remove(&id)) {
            (Some(product), Some(stock)) => Ok(Some(ProductWithStock { product, stock })),
            (None, None) => Ok(None),
            // They are made in one transaction and never deleted; read one by one, the second may be
            // newer than the first.
            (None, Some(_)) => Ok(None),
            (Some(_), None) => Err(StoreError::fault(format_args!("{id} has no stock item"))),
        }
    }
}
