//! Lists of the catalog.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Shop};

fn row(sku: &str, name: &str, category: &str, minor: i64, on_hand: u32) -> String {
    let row = json!({
        "sku": sku, "name": name, "category": category, "on_hand": on_hand,
        "price": {"amount_minor": minor, "currency": "USD"},
    });
    format!("{row}\n")
}

/// Twenty-five teas, every second in stock, and three coffees.
async fn stocked() -> Shop {
    let shop = Shop::open().await;
    let mut rows: String = (0..25)
        .map(|n| {
            let name = if n % 2 == 0 { "Tea" } else { "TEA" };
            row(
                &format!("T-{n}"),
                &format!("{name} {n:02}"),
                "Tea",
                1000 - i64::from(n),
                n % 2,
            )
        })
        .collect();
    rows += &(0..3)
        .map(|n| row(&format!("C-{n}"), "Coffee", "Coffee", 5, 1))
        .collect::<String>();
    let answers = shop.import(&rows).await;
    assert_eq!(answers[28]["summary"]["created"], 28, "{:?}", answers[28]);
    shop
}

fn skus(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let data = body["data"].as_array().unwrap_or_else(|| panic!("{}", answer.text));
    data.iter().map(|p| p["sku"].as_str().unwrap().to_owned()).collect()
}

/// Follows the Link header to the end; the skus of each page.
async fn pages(shop: &Shop, first: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut next = first.to_owned();
    loop {
        let page = shop.get(&next).await;
        all.push(skus(&page));
        let link = page.header("link");
        let Some(address) = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")) else {
            assert_eq!((link, &page.json()["next_cursor"]), ("", &Value::Null));
            return all;
        };
        assert!(page.json()["next_cursor"].is_string());
        next = address.to_owned();
    }
}

#[tokio::test]
async fn a_category_is_listed_by_name_without_regard_to_case() {
    let shop = stocked().await;
    let pages = pages(&shop, "/v1/products?category=Tea&limit=10").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    let expected: Vec<_> = (0..25).map(|n| format!("T-{n}")).collect();
    assert_eq!(pages.concat(), expected);
}

#[tokio::test]
async fn a_category_is_listed_by_price_from_the_lowest() {
    let shop = stocked().await;
    let pages = pages(&shop, "/v1/products?category=Tea&sort=price&limit=25").await;
    let expected: Vec<_> = (0..25).rev().map(|n| format!("T-{n}")).collect();
    // As many as a page holds are the last page.
    assert_eq!(pages, [expected]);
}

#[tokio::test]
async fn the_whole_catalog_is_listed_once_in_an_order_that_stays() {
    let shop = stocked().await;
    let one = pages(&shop, "/v1/products?limit=7").await;
    assert_eq!(one.iter().map(Vec::len).collect::<Vec<_>>(), [7, 7, 7, 7]);
    assert_eq!(one, pages(&shop, "/v1/products?limit=7").await);
    let mut all = one.concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 28);
}

#[tokio::test]
async fn pages_of_what_is_in_stock_are_full() {
    let shop = stocked().await;
    let pages = pages(&shop, "/v1/products?category=Tea&in_stock=true&limit=5").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 2]);
    let expected: Vec<_> = (0..25).filter(|n| n % 2 == 1).map(|n| format!("T-{n}")).collect();
    assert_eq!(pages.concat(), expected);
    // Without the filter and with its opposite it is the whole category.
    assert_eq!(
        skus(&shop.get("/v1/products?category=Tea&in_stock=false&limit=100").await).len(),
        25
    );
}

#[tokio::test]
async fn availability_is_told_where_it_is_asked_for() {
    let shop = stocked().await;
    for list in [
        "category=Tea",
        "category=Tea&sort=price",
        "category=Tea&in_stock=true",
        "limit=100",
    ] {
        let plain = shop.get(&format!("/v1/products?{list}")).await.json();
        let expanded = shop
            .get(&format!("/v1/products?{list}&expand=availability"))
            .await
            .json();
        for (plain, expanded) in plain["data"]
            .as_array()
            .unwrap()
            .iter()
            .zip(expanded["data"].as_array().unwrap())
        {
            assert!(plain.get("stock").is_none());
            assert_eq!(plain["id"], expanded["id"]);
            let sku = expanded["sku"].as_str().unwrap();
            let there = sku.starts_with('C') || sku[2..].parse::<u64>().unwrap() % 2 == 1;
            assert_eq!(expanded["stock"]["in_stock"], there, "{sku}");
            assert_eq!(expanded["stock"]["available"], u64::from(there), "{sku}");
        }
    }
}

#[tokio::test]
async fn products_are_read_by_id_with_the_missing_ones_named() {
    let shop = Shop::open().await;
    let (a, b) = (shop.product("A", 4).await, shop.product("B", 0).await);
    shop.delete(&format!("/v1/products/{b}"), "*").await;
    let missing = Uuid::new_v4();
    let answer = shop.get(&format!("/v1/products?ids={b},{missing},{a},{b}")).await;
    let body = answer.json();
    assert_eq!(skus(&answer), ["B", "A"]);
    assert_eq!(body["missing"], json!([missing]));
    assert_eq!(body["data"][0]["state"], "archived");
    assert_eq!(
        body["data"][1]["stock"],
        json!({"available": 4, "in_stock": true, "version": 2})
    );
    assert_eq!(
        body["data"][1]["price"],
        json!({"amount_minor": 799, "currency": "USD"})
    );

    let many: Vec<_> = (0..100).map(|_| Uuid::new_v4().to_string()).collect();
    let none = shop.get(&format!("/v1/products?ids={}", many.join(","))).await;
    assert_eq!(none.json()["missing"].as_array().unwrap().len(), 100);
    let more = shop
        .get(&format!("/v1/products?ids={},{missing}", many.join(",")))
        .await;
    assert_eq!(more.wrong_fields(), [("?ids".to_owned(), "too_many_ids".to_owned())]);
    let malformed = shop.get(&format!("/v1/products?ids={a},x")).await;
    assert_eq!(malformed.wrong_fields(), [("?ids".to_owned(), "invalid_id".to_owned())]);
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused_with_every_reason() {
    let shop = Shop::open().await;
    for (query, expected) in [
        ("sort=price", vec![("?sort", "needs_category")]),
        (
            "in_stock=true&sort=name",
            vec![("?in_stock", "needs_category"), ("?sort", "needs_category")],
        ),
        (
            "category=Tea&in_stock=true&sort=price",
            vec![("?sort", "unsupported_sort")],
        ),
        (
            "category=&in_stock=yes&sort=size&expand=all&limit=0&page=2",
            vec![
                ("?category", "invalid_category"),
                ("?expand", "unknown_value"),
                ("?in_stock", "unknown_value"),
                ("?limit", "invalid_limit"),
                ("?page", "unknown_field"),
                ("?sort", "unknown_value"),
            ],
        ),
        ("limit=101", vec![("?limit", "invalid_limit")]),
        ("limit=-1", vec![("?limit", "invalid_limit")]),
        ("limit=ten", vec![("?limit", "invalid_limit")]),
        ("category=a&category=b", vec![("?category", "repeated_parameter")]),
        (
            "ids=67e55044-10b1-426f-9247-bb680e5fe0c8&limit=5&category=Tea",
            vec![("?category", "not_with_ids"), ("?limit", "not_with_ids")],
        ),
    ] {
        let answer = shop.get(&format!("/v1/products?{query}")).await;
        assert_eq!(answer.problem(), (400, "invalid_request".to_owned()), "{query}");
        let expected: Vec<_> = expected
            .iter()
            .map(|(p, c)| ((*p).to_owned(), (*c).to_owned()))
            .collect();
        assert_eq!(answer.wrong_fields(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_alone() {
    let shop = stocked().await;
    let page = shop.get("/v1/products?category=Tea&limit=2").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    // The size of the page may change, and what is shown.
    let next = shop
        .get(&format!(
            "/v1/products?category=Tea&limit=1&expand=availability&cursor={cursor}"
        ))
        .await;
    assert_eq!(skus(&next), ["T-2"]);
    let mut altered = cursor.to_owned();
    let last = if altered.pop() == Some('A') { 'B' } else { 'A' };
    altered.push(last);
    for list in [
        format!("category=Coffee&cursor={cursor}"),
        format!("category=Tea&sort=price&cursor={cursor}"),
        format!("category=Tea&in_stock=true&cursor={cursor}"),
        format!("cursor={cursor}"),
        format!("category=Tea&cursor={altered}"),
        "category=Tea&cursor=".to_owned(),
        "category=Tea&cursor=nonsense".to_owned(),
    ] {
        let answer = shop.get(&format!("/v1/products?{list}")).await;
        assert_eq!(answer.problem(), (400, "invalid_cursor".to_owned()), "{list}");
    }
}

#[tokio::test]
async fn a_categorys_name_leads_nowhere_else() {
    let shop = Shop::open().await;
    let names = [
        "Tea",
        "tea",
        "Tea/..",
        "Tea#",
        "Tea?sort=price",
        "../Tea",
        "T%65a",
        "Tea\u{1f375}",
    ];
    let rows: String = names
        .iter()
        .enumerate()
        .map(|(n, name)| row(&format!("S-{n}"), "n", name, 1, 1))
        .collect();
    shop.import(&rows).await;
    for (n, name) in names.iter().enumerate() {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("category", name)
            .finish();
        for list in [
            query.clone(),
            format!("{query}&in_stock=true"),
            format!("{query}&sort=price"),
        ] {
            let answer = shop.get(&format!("/v1/products?{list}")).await;
            assert_eq!(skus(&answer), [format!("S-{n}")], "{name}");
        }
    }
}

#[tokio::test]
async fn a_category_that_nobody_uses_is_empty() {
    let shop = Shop::open().await;
    let answer = shop.get("/v1/products?category=Nothing").await;
    assert_eq!(answer.json(), json!({"data": [], "next_cursor": null}));
}
