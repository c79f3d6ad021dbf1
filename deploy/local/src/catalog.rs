//! Products to fill a shop with, in the form of the import of the product service: the demo catalog, and any number of
//! generated products for tests of size.

use serde_json::{Value, json};

/// Demo catalog: about 300 products in eight categories, one JSON object a line. Each row is smaller than 1 KB, its image
/// included, since DynamoDB bills by the kilobyte.
pub const DEMO: &str = include_str!("../catalog.ndjson");

/// Categories of the demo catalog, with the word that names a generated product.
const CATEGORIES: [(&str, &str); 8] = [
    ("coffee", "Coffee"),
    ("kitchen", "Kitchen"),
    ("books", "Book"),
    ("garden", "Garden"),
    ("office", "Office"),
    ("audio", "Audio"),
    ("outdoor", "Outdoor"),
    ("games", "Game"),
];

/// Generates `count` products with different skus (`gen-0000001` ..), spread evenly over the categories of the demo
/// catalog.
pub fn generated(count: u32) -> impl Iterator<Item = Value> {
    let categories = CATEGORIES.iter().cycle();
    (1..=count).zip(categories).map(|(number, (category, title))| {
        json!({
            "sku": format!("gen-{number:07}"),
            // Starts with what differs least, so that the names of a page lie close together, as a real shop's do.
            "name": format!("{title} sample {number:07}"),
            "description": "A product that stands for many.",
            "category": category,
            "price": { "amount_minor": 100 + i64::from(number) * 37 % 50_000, "currency": "USD" },
            "attributes": { "batch": (number / 1_000).to_string() },
            "on_hand": number % 50,
        })
    })
}

/// Writes rows as the import takes them: one JSON object a line.
pub fn ndjson(rows: impl Iterator<Item = Value>) -> impl Iterator<Item = String> {
    rows.map(|row| format!("{row}\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    /// Stock that the tutorial and the tests depend on.
    const STOCK_OF_THE_TUTORIAL: [(&str, u64); 4] = [
        ("coffee-ethiopia-250g", 40),
        ("mug-stoneware-blue", 25),
        ("kettle-gooseneck-copper", 1),
        ("grinder-hand-steel", 0),
    ];

    fn demo() -> Vec<Value> {
        DEMO.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn texts<'a>(rows: &'a [Value], field: &str) -> Vec<&'a str> {
        rows.iter().map(|row| row[field].as_str().unwrap()).collect()
    }

    #[test]
    fn demo_catalog_resembles_a_shop() {
        let rows = demo();
        assert!((280..=340).contains(&rows.len()), "{}", rows.len());
        for field in ["sku", "name"] {
            let different: HashSet<&str> = texts(&rows, field).into_iter().collect();
            assert_eq!(different.len(), rows.len(), "{field}");
        }

        let mut sizes: BTreeMap<&str, u32> = BTreeMap::new();
        for category in texts(&rows, "category") {
            *sizes.entry(category).or_default() += 1;
        }
        let names: BTreeMap<&str, u32> = CATEGORIES.iter().map(|(name, _)| (*name, sizes[name])).collect();
        assert_eq!(sizes, names);
        assert!(sizes.values().all(|size| (25..=60).contains(size)), "{sizes:?}");

        let stock: Vec<u64> = rows.iter().map(|row| row["on_hand"].as_u64().unwrap()).collect();
        assert!((5..=30).contains(&stock.iter().filter(|count| **count == 0).count()));
        assert!((5..=30).contains(&stock.iter().filter(|count| (1..=3).contains(*count)).count()));
        assert!(rows.iter().any(|row| row["acceptance"] == "manual"));
    }

    #[test]
    fn every_row_keeps_the_limits_of_an_import() {
        for row in demo().into_iter().chain(generated(1_000)) {
            let sku = row["sku"].as_str().unwrap();
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!((1..=64).contains(&sku.len()) && sku.bytes().all(allowed), "{sku}");
            let name = row["name"].as_str().unwrap();
            assert!((1..=200).contains(&name.chars().count()), "{sku}");
            assert!(row["attributes"].as_object().unwrap().len() <= 50, "{sku}");
            assert!(row["price"]["amount_minor"].as_i64().unwrap() >= 100, "{sku}");
            assert_eq!(row["price"]["currency"], "USD");
            assert!(row.to_string().len() < 1_000, "{sku}: {} bytes", row.to_string().len());
            if let Some(image) = row["image_url"].as_str() {
                let encoded = |byte: u8| byte.is_ascii_graphic() && !b"<>\"#".contains(&byte);
                assert!(image.starts_with("data:image/svg+xml,%3Csvg"), "{sku}");
                assert!(image.bytes().all(encoded), "{sku}: {image}");
            }
        }
    }

    #[test]
    fn products_of_the_tutorial_have_their_stock() {
        let rows = demo();
        for (sku, count) in STOCK_OF_THE_TUTORIAL {
            let row = rows.iter().find(|row| row["sku"] == sku);
            let row = row.unwrap_or_else(|| panic!("no {sku}"));
            let found = (&row["on_hand"], &row["acceptance"]);
            assert_eq!(found, (&count.into(), &Value::Null), "{sku}");
        }
    }

    #[test]
    fn generated_rows_have_different_skus() {
        let rows: Vec<Value> = generated(100_000).collect();
        let skus: HashSet<&str> = texts(&rows, "sku").into_iter().collect();
        assert_eq!(skus.len(), 100_000);
    }

    #[test]
    fn rows_are_written_one_a_line() {
        let lines: Vec<String> = ndjson(generated(100)).collect();
        assert!(lines.iter().all(|line| line.find('\n') == Some(line.len() - 1)));
    }
}
