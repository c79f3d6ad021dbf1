//! What the product service tells: a change of the domain as events of the contract.

use jiff::Timestamp;
use shared::contract::product::{
    ProductArchived, ProductChanged, ProductCreated, ProductSnapshot, StockAvailable, StockDepleted,
};
use shared::contract::{Entry, Envelope, Event};
use shared::ids::ProductId;
use shared::trace;
use uuid::Uuid;

use crate::domain::product::{Product, State};
use crate::domain::stock::{Crossing, Stock};

/// There is a new product, and perhaps stock of it at once.
///
/// # Errors
/// An event is no JSON, which its type's own tests would show first.
pub fn of_new(product: &Product, stock: &Stock, now: Timestamp) -> serde_json::Result<Vec<Entry>> {
    let created = ProductCreated {
        product_id: product.id,
        product: snapshot(product),
    };
    let mut entries = vec![entry(product.id, product.version, now, created)?];
    if stock.available() > 0 {
        entries.push(of_crossing(product.id, Crossing::Available, stock, now)?);
    }
    Ok(entries)
}

/// A product is not what it was. A product that left the catalog tells so in an event of its own.
///
/// # Errors
/// As [`of_new`].
pub fn of_change(old: &Product, new: &Product, now: Timestamp) -> serde_json::Result<Vec<Entry>> {
    let archived = old.content.state == State::Active && new.content.state == State::Archived;
    let mut changed = old.content.differences(&new.content);
    if archived {
        changed.retain(|field| *field != "state");
    }
    let mut entries = Vec::new();
    if !changed.is_empty() {
        let change = ProductChanged {
            product_id: new.id,
            old: snapshot(old),
            new: snapshot(new),
            changed: changed.into_iter().map(str::to_owned).collect(),
        };
        entries.push(entry(new.id, new.version, now, change)?);
    }
    if archived {
        let gone = ProductArchived {
            product_id: new.id,
            product: snapshot(new),
        };
        entries.push(entry(new.id, new.version, now, gone)?);
    }
    Ok(entries)
}

/// The last piece went, or the first came: `after` is the stock since then. Its sequence counts the
/// crossings, since holds don't move a product's version.
///
/// # Errors
/// As [`of_new`].
pub fn of_crossing(
    product_id: ProductId,
    crossing: Crossing,
    after: &Stock,
    now: Timestamp,
) -> serde_json::Result<Entry> {
    match crossing {
        Crossing::Depleted => entry(product_id, after.crossings, now, StockDepleted { product_id }),
        Crossing::Available => {
            let available = after.available();
            entry(
                product_id,
                after.crossings,
                now,
                StockAvailable { product_id, available },
            )
        }
    }
}

fn entry<T: Event>(product: ProductId, sequence: u64, now: Timestamp, data: T) -> serde_json::Result<Entry> {
    let envelope = Envelope {
        id: Uuid::now_v7(),
        version: T::VERSION,
        time: now,
        correlation_id: product.to_string(),
        causation_id: trace::current_trace_id(),
        sequence,
        traceparent: trace::current_traceparent(),
        data,
    };
    Entry::new(&envelope, vec![product.to_string()])
}

fn snapshot(product: &Product) -> ProductSnapshot {
    let content = &product.content;
    ProductSnapshot {
        sku: content.sku.as_str().to_owned(),
        name: content.name.as_str().to_owned(),
        category: content.category.as_str().to_owned(),
        price: content.price.money(),
        acceptance: content.acceptance,
    }
}
