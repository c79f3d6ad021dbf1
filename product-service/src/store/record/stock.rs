//! The stock item: the counters, the last adjustments' keys, and its place among what is in stock.
//!
//! `available` is always `on_hand - reserved`, kept because conditions cannot subtract. The index
//! `in_stock` has the item while `stock_category` and `stock_name` are there: while something is
//! available and the product is active. `listed_category` and `listed_name` are what they are then.

use serde::{Deserialize, Serialize};
use shared::ids::ProductId;

use super::super::StoreError;
use super::super::write::{Item, Write};
use super::{Key, optional_text};
use crate::domain::adjustment::{Adjustment, AdjustmentKey};
use crate::domain::product::Listing;
use crate::domain::stock::{Crossing, Movement, OnHand, Stock};

#[derive(Serialize, Deserialize)]
struct StockItem {
    pk: String,
    sk: String,
    on_hand: u32,
    reserved: u32,
    available: u32,
    version: u64,
    #[serde(default)]
    crossings: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listed_category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listed_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stock_category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stock_name: Option<String>,
}

/// The counters of a stock as they lie in the table, whether they agree or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Pieces that lie there.
    pub on_hand: u32,
    /// Pieces of these that are held.
    pub reserved: u32,
    /// Pieces that can be bought.
    pub available: u32,
    /// Counts counts and adjustments.
    pub version: u64,
}

/// What a movement knows of the stock before it is written.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Footing<'a> {
    /// Nothing: it is written if it leaves the stock on the side of zero on which it is.
    Unseen,
    /// This is how it was: it is written if it still is.
    Seen(&'a Stock),
}

/// Of a product that is new.
pub(in super::super) fn create(id: ProductId, stock: &Stock) -> Result<Write, StoreError> {
    let key = Key::Stock(id);
    let listing = stock.listing.clone().map(|l| (l.category, l.name_key));
    let (category, name) = listing.unzip();
    let in_stock = stock.available() > 0;
    let record = StockItem {
        pk: key.pk(),
        sk: super::STOCK.to_owned(),
        on_hand: stock.on_hand(),
        reserved: stock.reserved(),
        available: stock.available(),
        version: stock.version,
        crossings: stock.crossings,
        stock_category: category.clone().filter(|_| in_stock),
        stock_name: name.clone().filter(|_| in_stock),
        listed_category: category,
        listed_name: name,
    };
    let item = serde_dynamo::to_item(record).map_err(StoreError::fault)?;
    Ok(Write::put(item).when("attribute_not_exists(#pk)"))
}

/// Moves the counters. On an unseen footing one write does for all that crosses no zero, and it is
/// refused where it would; the item that refuses it is the footing of the next try.
pub(in super::super) fn moved(id: ProductId, by: Movement, footing: Footing<'_>) -> Write {
    let mut sets = Vec::new();
    for (name, change) in [
        ("on_hand", by.on_hand),
        ("reserved", by.reserved),
        ("available", by.available()),
    ] {
        if change != 0 {
            sets.push(format!("#{name} = #{name} + :{name}"));
        }
    }
    moved_with(id, by, footing, sets)
}

/// A merchant's adjustment: a movement that counts in the version and leaves its key behind, in
/// front of the fifteen before it. Refused where the key is known.
pub(in super::super) fn adjusted(id: ProductId, adjustment: &Adjustment, footing: Footing<'_>) -> Write {
    let by = Movement::adjust(adjustment.delta);
    let key = &adjustment.key;
    let mut sets = vec![
        "#on_hand = #on_hand + :on_hand".to_owned(),
        "#available = #available + :available".to_owned(),
        "#version = #version + :one".to_owned(),
        "#adjusted_for = :reason".to_owned(),
        format!("#{} = :key", slot(0)),
    ];
    // Right sides are read before anything is written: the keys move up by one place.
    for place in 1..Stock::KEYS {
        sets.push(format!("#{} = if_not_exists(#{}, :none)", slot(place), slot(place - 1)));
    }
    let mut write = moved_with(id, by, footing, sets)
        .number("one", 1)
        .text("key", key.stored())
        .text("reason", adjustment.reason.as_str())
        .text("none", "")
        .text("key_part", key.key_part());
    for place in 0..Stock::KEYS {
        write = write.when(&format!("(NOT begins_with(#{}, :key_part))", slot(place)));
    }
    write
}

fn moved_with(id: ProductId, by: Movement, footing: Footing<'_>, mut sets: Vec<String>) -> Write {
    let available = by.available();
    let mut remove = "";
    let crossing = match footing {
        Footing::Unseen => None,
        Footing::Seen(before) => before.moved(by).ok().and_then(|after| before.crossing(&after)),
    };
    match crossing {
        Some(Crossing::Depleted) => remove = " REMOVE #stock_category, #stock_name",
        Some(Crossing::Available) => sets.extend(ENTER_INDEX.map(str::to_owned)),
        None => {}
    }
    if crossing.is_some() {
        sets.push("#crossings = #crossings + :crossed".to_owned());
    }
    let mut write = Write::update(Key::Stock(id).item(), format!("SET {}{remove}", sets.join(", ")));
    if crossing.is_some() {
        write = write.number("crossed", 1);
    }
    for (name, change) in [
        ("on_hand", by.on_hand),
        ("reserved", by.reserved),
        ("available", available),
    ] {
        if change != 0 {
            write = write.number(name, change);
        }
    }
    write = match footing {
        Footing::Seen(before) => seen(write, before),
        Footing::Unseen if available < 0 => write.when("#available > :taken").number("taken", -available),
        Footing::Unseen if available > 0 => write.when("#available > :nothing").number("nothing", 0),
        Footing::Unseen => write,
    };
    if by.reserved < 0 {
        write = write.when("#reserved >= :freed").number("freed", -by.reserved);
    }
    if by.on_hand > 0 {
        let room = i64::from(OnHand::MAX.get()) - by.on_hand;
        write = write.when("#on_hand <= :room").number("room", room);
    }
    write
}

/// A count on an unseen footing: written if something is available before and after. `versions` are
/// those the client may have seen, or none where any will do. `nonce` tells this very write.
pub(in super::super) fn counted(id: ProductId, on_hand: OnHand, versions: Option<&[u64]>, nonce: &str) -> Write {
    let set = "SET #on_hand = :counted, #available = :counted - #reserved, #version = #version + :one, #nonce = :nonce";
    let mut write = Write::update(Key::Stock(id).item(), set)
        .when("#reserved < :counted")
        .when("#available > :nothing")
        .number("counted", on_hand.get())
        .number("nothing", 0)
        .number("one", 1)
        .text("nonce", nonce);
    if let Some(versions) = versions {
        // No version is 0: where the client names none that could be, none matches.
        let versions = if versions.is_empty() { &[0] } else { versions };
        let mut names = Vec::new();
        for (n, version) in versions.iter().enumerate() {
            write = write.number(&format!("version{n}"), *version);
            names.push(format!(":version{n}"));
        }
        write = write.when(&format!("#version IN ({})", names.join(", ")));
    }
    write
}

/// `after` in place of a stock that is still as it was `before`, for whatever changes counters and
/// listing together.
pub(in super::super) fn replaced(id: ProductId, before: &Stock, after: &Stock, nonce: &str) -> Write {
    let mut sets = vec![
        "#on_hand = :on_hand".to_owned(),
        "#available = :available".to_owned(),
        "#version = :version".to_owned(),
        "#crossings = :crossings".to_owned(),
        "#nonce = :nonce".to_owned(),
    ];
    let mut removes = Vec::new();
    match &after.listing {
        Some(_) => {
            sets.extend(["#listed_category = :category", "#listed_name = :name"].map(str::to_owned));
            if after.available() > 0 {
                sets.extend(["#stock_category = :category", "#stock_name = :name"].map(str::to_owned));
            } else {
                removes.extend(["#stock_category", "#stock_name"]);
            }
        }
        None => removes.extend(["#listed_category", "#listed_name", "#stock_category", "#stock_name"]),
    }
    let remove = if removes.is_empty() {
        String::new()
    } else {
        format!(" REMOVE {}", removes.join(", "))
    };
    let mut write = Write::update(Key::Stock(id).item(), format!("SET {}{remove}", sets.join(", ")))
        .number("on_hand", after.on_hand())
        .number("available", after.available())
        .number("version", after.version)
        .number("crossings", after.crossings)
        .text("nonce", nonce);
    if let Some(listing) = &after.listing {
        write = write
            .text("category", &listing.category)
            .text("name", &listing.name_key);
    }
    seen(write, before)
        .when("#version = :version_seen")
        .when("#reserved = :reserved_seen")
        .number("version_seen", before.version)
        .number("reserved_seen", before.reserved())
}

/// Whether the item was last written by the count with this nonce.
pub(in super::super) fn is_own(item: &Item, nonce: &str) -> bool {
    optional_text(item, "nonce") == Some(nonce)
}

/// Reads a stock.
pub(in super::super) fn read(item: Item) -> Result<Stock, StoreError> {
    let adjustments = (0..Stock::KEYS)
        .filter_map(|place| optional_text(&item, &slot(place)))
        .filter_map(AdjustmentKey::from_stored)
        .collect();
    let record: StockItem = serde_dynamo::from_item(item).map_err(StoreError::fault)?;
    let listing = record.listed_category.zip(record.listed_name);
    let mut stock = Stock::default();
    stock.version = record.version;
    stock.crossings = record.crossings;
    stock.listing = listing.map(|(category, name_key)| Listing { category, name_key });
    stock.adjustments = adjustments;
    let read = stock.with_counters(record.on_hand, record.reserved);
    read.filter(|stock| stock.available() == record.available)
        .ok_or_else(|| StoreError::fault(format_args!("the counters of {} contradict each other", record.pk)))
}

/// Reads the counters alone, where [`read`] refuses those that contradict each other.
pub(in super::super) fn counters(item: Item) -> Result<Counters, StoreError> {
    let record: StockItem = serde_dynamo::from_item(item).map_err(StoreError::fault)?;
    Ok(Counters {
        on_hand: record.on_hand,
        reserved: record.reserved,
        available: record.available,
        version: record.version,
    })
}

const ENTER_INDEX: [&str; 2] = ["#stock_category = #listed_category", "#stock_name = #listed_name"];

fn seen(write: Write, before: &Stock) -> Write {
    let listed = match &before.listing {
        Some(_) => "attribute_exists(#listed_name)",
        None => "attribute_not_exists(#listed_name)",
    };
    write
        .when("#available = :available_seen")
        .when("#crossings = :crossings_seen")
        .when(listed)
        .number("available_seen", before.available())
        .number("crossings_seen", before.crossings)
}

/// Attributes of the keys, from the newest: `k0` to `k15`.
fn slot(place: usize) -> String {
    format!("k{place}")
}
