//! Products to fill a shop with, as rows of the product service's import: a demo catalog of some 300, always the same,
//! and any number of synthetic ones for tests of size.
//!
//! A product of the demo catalog is a family in one of its variants (a coffee in a pack, a mug in a colour); families
//! are tables in the modules below, one for each category. Prices are US dollars. A whole row stays below a kilobyte,
//! its image included, since reading and writing are paid for by the kilobyte.

mod audio;
mod books;
mod coffee;
mod family;
mod games;
mod garden;
mod image;
mod kitchen;
mod office;
mod outdoor;

use serde_json::{Value, json};

use self::family::{Acceptance, Family, Variant};
use self::image::Icon;

/// The demo catalog: `{sku, name, description, category, price, attributes, image_url, acceptance?, on_hand}`.
pub fn rows() -> impl Iterator<Item = Value> {
    CATEGORIES.iter().flat_map(|category| {
        let products = category.families.iter().flat_map(|family| {
            let variants = family.variants.of.iter();
            variants.map(move |variant| (family, variant))
        });
        products.map(|(family, variant)| row(category, family, variant))
    })
}

/// `count` synthetic products: distinct skus (`gen-0000001` ..), spread evenly over the demo's categories.
pub fn generated(count: u32) -> impl Iterator<Item = Value> {
    let categories = CATEGORIES.iter().cycle();
    (1..=count).zip(categories).map(|(number, category)| {
        json!({
            "sku": format!("gen-{number:07}"),
            // Starts with what differs least, so that the names of a page lie close together, as a real shop's do.
            "name": format!("{} sample {number:07}", category.title),
            "description": "A product that stands for many.",
            "category": category.name,
            "price": { "amount_minor": 100 + i64::from(number) * 37 % 50_000, "currency": CURRENCY },
            "attributes": { "batch": (number / 1_000).to_string() },
            "on_hand": number % 50,
        })
    })
}

/// Rows as the import takes them: one JSON object a line.
pub fn ndjson(rows: impl Iterator<Item = Value>) -> impl Iterator<Item = String> {
    rows.map(|row| format!("{row}\n"))
}

const CURRENCY: &str = "USD";

/// A shelf of the shop.
struct Category {
    name: &'static str,
    title: &'static str,
    icon: Icon,
    families: &'static [Family],
}

static CATEGORIES: [Category; 8] = [
    Category {
        name: "coffee",
        title: "Coffee",
        icon: image::BEAN,
        families: &coffee::FAMILIES,
    },
    Category {
        name: "kitchen",
        title: "Kitchen",
        icon: image::CUP,
        families: &kitchen::FAMILIES,
    },
    Category {
        name: "books",
        title: "Book",
        icon: image::BOOK,
        families: &books::FAMILIES,
    },
    Category {
        name: "garden",
        title: "Garden",
        icon: image::LEAF,
        families: &garden::FAMILIES,
    },
    Category {
        name: "office",
        title: "Office",
        icon: image::PEN,
        families: &office::FAMILIES,
    },
    Category {
        name: "audio",
        title: "Audio",
        icon: image::SPEAKER,
        families: &audio::FAMILIES,
    },
    Category {
        name: "outdoor",
        title: "Outdoor",
        icon: image::TENT,
        families: &outdoor::FAMILIES,
    },
    Category {
        name: "games",
        title: "Game",
        icon: image::DIE,
        families: &games::FAMILIES,
    },
];

/// Stock on which docs/tutorial.md, docs/reference-designs.md and the tests depend.
static STOCK_OF_THE_TOUR: [(&str, u64); 4] = [
    ("coffee-ethiopia-250g", 40),
    ("mug-stoneware-blue", 25),
    ("kettle-gooseneck-copper", 1),
    ("grinder-hand-steel", 0),
];

fn row(category: &Category, family: &Family, variant: &Variant) -> Value {
    let sku = joined(family.sku, "-", variant.sku);
    let mut attributes: serde_json::Map<String, Value> = family
        .attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    if !variant.name.is_empty() {
        attributes.insert(family.variants.attribute.to_owned(), json!(variant.name));
    }
    let mut row = json!({
        "sku": sku,
        "name": joined(family.name, ", ", variant.name),
        "description": family.text,
        "category": category.name,
        "price": { "amount_minor": family.price + variant.extra, "currency": CURRENCY },
        "attributes": attributes,
        "image_url": image::url(category.icon, seed(&sku)),
        "on_hand": on_hand(&sku),
    });
    if let (Acceptance::Manual, Some(fields)) = (family.acceptance, row.as_object_mut()) {
        fields.insert("acceptance".to_owned(), json!("manual"));
    }
    row
}

/// Plausibly uneven: about one in twenty sold out, as many nearly so.
fn on_hand(sku: &str) -> u64 {
    if let Some((_, fixed)) = STOCK_OF_THE_TOUR.iter().find(|(known, _)| *known == sku) {
        return *fixed;
    }
    let seed = seed(sku);
    match seed % 20 {
        0 => 0,
        1 => 1 + seed / 20 % 3,
        _ => 5 + seed / 20 % 180,
    }
}

/// A number that depends on the sku alone (FNV-1a), and looks like chance.
fn seed(sku: &str) -> u64 {
    let hash = sku.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of FNV vary little between skus that differ in their last letter only.
    hash >> 24
}

fn joined(first: &str, between: &str, second: &str) -> String {
    if second.is_empty() {
        first.to_owned()
    } else {
        format!("{first}{between}{second}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    #[test]
    fn the_demo_catalog_is_a_plausible_shop() {
        let rows: Vec<Value> = rows().collect();
        assert!((280..=340).contains(&rows.len()), "{}", rows.len());
        let skus: HashSet<&str> = rows.iter().map(|row| row["sku"].as_str().unwrap()).collect();
        assert_eq!(skus.len(), rows.len());
        let names: HashSet<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), rows.len());

        let mut sizes: BTreeMap<&str, u32> = BTreeMap::new();
        for row in &rows {
            *sizes.entry(row["category"].as_str().unwrap()).or_default() += 1;
        }
        assert!(
            sizes.len() == 8 && sizes.values().all(|size| (25..=60).contains(size)),
            "{sizes:?}"
        );

        let stock: Vec<u64> = rows.iter().map(|row| row["on_hand"].as_u64().unwrap()).collect();
        assert!((5..=30).contains(&stock.iter().filter(|count| **count == 0).count()));
        assert!((5..=30).contains(&stock.iter().filter(|count| (1..=3).contains(*count)).count()));
        assert!(rows.iter().any(|row| row["acceptance"] == "manual"));
    }

    #[test]
    fn every_row_keeps_the_limits_of_an_import() {
        for row in rows().chain(generated(1_000)) {
            let sku = row["sku"].as_str().unwrap();
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!((1..=64).contains(&sku.len()) && sku.bytes().all(allowed), "{sku}");
            assert!(
                (1..=200).contains(&row["name"].as_str().unwrap().chars().count()),
                "{sku}"
            );
            assert!(row["attributes"].as_object().unwrap().len() <= 50, "{sku}");
            assert!(row["price"]["amount_minor"].as_i64().unwrap() >= 100, "{sku}");
            assert_eq!(row["price"]["currency"], "USD");
            assert!(row.to_string().len() < 1_000, "{sku}: {} bytes", row.to_string().len());
            if let Some(image) = row["image_url"].as_str() {
                assert!(image.starts_with("data:image/svg+xml,%3Csvg"), "{sku}");
                assert!(
                    image
                        .bytes()
                        .all(|byte| byte.is_ascii_graphic() && !b"<>\"#".contains(&byte)),
                    "{sku}: {image}"
                );
            }
        }
    }

    #[test]
    fn the_products_of_the_tour_are_there_in_the_stock_it_counts_on() {
        for (sku, count) in STOCK_OF_THE_TOUR {
            let row = rows()
                .find(|row| row["sku"] == sku)
                .unwrap_or_else(|| panic!("no {sku}"));
            assert_eq!(
                (&row["on_hand"], &row["acceptance"]),
                (&count.into(), &Value::Null),
                "{sku}"
            );
        }
    }

    #[test]
    fn generated_rows_are_as_many_as_asked_for_and_all_different() {
        let skus: HashSet<String> = generated(100_000)
            .map(|row| row["sku"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(skus.len(), 100_000);
        let categories: HashSet<String> = generated(100)
            .map(|row| row["category"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(categories.len(), 8);
    }

    #[test]
    fn rows_are_lines_and_the_same_each_time() {
        let lines: Vec<String> = ndjson(rows()).collect();
        assert_eq!(lines, ndjson(rows()).collect::<Vec<_>>());
        assert!(lines.iter().all(|line| line.find('\n') == Some(line.len() - 1)));
    }
}
