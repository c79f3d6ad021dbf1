//! Checking out.

use crate::harness::{As, Shop, requested, to_berlin, usd};

const ADA: As<'static> = As::Customer("ada");

#[tokio::test]
async fn a_basket_is_checked_out_and_settled() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(2000));
    shop.add(ADA, "me", tea, 3).await.expect(200);
    shop.add(ADA, "me", pot, 1).await.expect(200);

    let accepted = shop.check_out(ADA, "k1", to_berlin()).await;
    let body = accepted.expect(202);
    assert_eq!((&body["status"], &body["total"]), (&"pending".into(), &usd(2750)));
    let order_id = body["order_id"].as_str().unwrap();
    assert_eq!(
        accepted.header("location"),
        Some(format!("/v1/orders/{order_id}").as_str())
    );

    let event = requested(&tap, order_id).await;
    assert_eq!(
        (event.source.as_str(), event.detail_type.as_str()),
        ("basket-service", "CheckoutRequested")
    );
    assert_eq!(event.detail["data"]["total"], usd(2750));
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(basket["checkout"]["order_id"], order_id);
    assert_eq!(basket["lines"].as_array().unwrap().len(), 0);

    shop.answer("OrderPlaced", Shop::placed("ada", order_id)).await;
    let settled = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!(settled["lines"].as_array().unwrap().len(), 0);
    let path = format!("/v1/baskets/me/checkouts/{order_id}");
    assert_eq!(shop.get(ADA, &path).await.expect(200)["status"], "ordered");
}
