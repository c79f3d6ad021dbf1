//! The catalog read from end to end, a page at a time.

use futures_util::Stream;
use futures_util::stream;

use super::Catalog;
use crate::domain::product::State;
use crate::store::{CatalogPosition, Consistency, ProductWithStock, StoreError};

/// As many products as one batched read has.
const PAGE: u8 = 50;

impl Catalog {
    /// All active products in pages of up to 50, in the order of the unconditional list. What changes
    /// meanwhile may be seen as it was or as it is.
    ///
    /// Two round trips a page; 1 RCU for each product of up to 4 KB and 0.5 per 4 KB of the index.
    pub fn export(self) -> impl Stream<Item = Result<Vec<ProductWithStock>, StoreError>> {
        stream::try_unfold(Next::Page(None), move |next| {
            let catalog = self.clone();
            async move {
                let Next::Page(after) = next else {
                    return Ok(None);
                };
                let (products, position) = catalog.page(after).await?;
                let next = position.map_or(Next::End, |position| Next::Page(Some(position)));
                Ok(Some((products, next)))
            }
        })
    }

    async fn page(
        &self,
        after: Option<CatalogPosition>,
    ) -> Result<(Vec<ProductWithStock>, Option<CatalogPosition>), StoreError> {
        let (listed, position) = self.store.catalog(PAGE, after.as_ref()).await?;
        let ids: Vec<_> = listed.iter().map(|summary| summary.0.id).collect();
        let mut found = self.store.products(&ids, Consistency::Eventual).await?;
        let active = ids.iter().filter_map(|id| found.remove(id));
        let active = active.filter(|found| found.product.content.state == State::Active);
        Ok((active.collect(), position))
    }
}

enum Next {
    Page(Option<CatalogPosition>),
    End,
}
