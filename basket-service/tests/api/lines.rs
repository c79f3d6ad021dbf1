//! Adding, setting and removing, by many at once, up to the limits.

use std::collections::HashMap;

use futures_util::future::join_all;
use uuid::Uuid;

use crate::harness::{As, Shop, quantities, usd};

const ADA: As<'static> = As::Customer("ada");

#[tokio::test]
async fn a_first_add_stores_its_quantity() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(250);
    let basket = shop.add(ADA, "me", tea, 3).await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, 3)]));
    assert_eq!(basket["subtotal"], usd(750));
    assert_eq!(shop.get(ADA, "/v1/baskets/me").await.expect(200), basket);
}

#[tokio::test]
async fn a_hundred_adds_at_once_make_a_hundred() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    let adds = (0..100).map(|_| shop.add(ADA, "me", tea, 1));
    for answer in join_all(adds).await {
        answer.expect(200);
    }
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, 100)]));
    assert_eq!(basket["version"], 100);
}

#[tokio::test]
async fn the_hundredth_product_is_refused() {
    let shop = Shop::open().await;
    let products: Vec<Uuid> = (0..100).map(|n| shop.catalog.sells(n)).collect();
    let answers = join_all(products.iter().map(|product| shop.add(ADA, "me", *product, 1))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].refused(409, "too_many_lines")["limit"], 99);
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    let held = quantities(&basket);
    assert_eq!(held.len(), 99);
    // Of those that are there, more can still be had.
    let there = *held.keys().next().unwrap();
    shop.add(ADA, "me", there, 1).await.expect(200);
}
