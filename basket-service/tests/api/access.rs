//! Whose basket is whose: guests by their baskets' ids, customers by their tokens, services not at all.

use reqwest::Method;
use serde_json::{Value, json};
use shared::testing::Issuer;
use uuid::Uuid;

use crate::harness::{As, Shop, to_berlin};

const ADA: As<'static> = As::Customer("ada");

#[tokio::test]
async fn a_guest_uses_a_basket_by_its_id_alone() {
    let shop = Shop::open().await;
    let made = shop.send(As::Nobody, Method::POST, "/v1/baskets", None).await;
    let basket = made.expect(201);
    let id = basket["id"].as_str().unwrap();
    assert_eq!(made.header("location"), Some(format!("/v1/baskets/{id}").as_str()));
    assert!(id.starts_with("g_") && id.len() == 34 && id != shop.guest().await);

    let tea = shop.catalog.sells(100);
    shop.add(As::Nobody, id, tea, 2).await.expect(200);
    shop.set(As::Nobody, id, tea, 5).await.expect(200);
    let read = shop.get(As::Nobody, &format!("/v1/baskets/{id}")).await.expect(200);
    assert_eq!(read["lines"][0]["quantity"], 5);
    shop.delete(As::Nobody, &format!("/v1/baskets/{id}/items/{tea}"))
        .await
        .expect(200);
    let emptied = shop.delete(As::Nobody, &format!("/v1/baskets/{id}")).await.expect(200);
    assert_eq!(emptied["lines"], json!([]));
}

#[tokio::test]
async fn an_id_that_was_never_given_out_is_not_found() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(100);
    let (unknown, line) = ("g_0123456789abcdef0123456789abcdef", Uuid::new_v4());
    let quantity = || Some(json!({"quantity": 1}));
    let adding = |product: Uuid| Some(json!({"product_id": product, "quantity": 1}));
    let attempts: [(Method, String, Option<Value>); 8] = [
        (Method::GET, format!("/v1/baskets/{unknown}"), None),
        (Method::DELETE, format!("/v1/baskets/{unknown}"), None),
        (Method::POST, format!("/v1/baskets/{unknown}/items"), adding(tea)),
        (Method::POST, format!("/v1/baskets/{unknown}/items"), adding(line)),
        (Method::PUT, format!("/v1/baskets/{unknown}/items/{tea}"), quantity()),
        (Method::PUT, format!("/v1/baskets/{unknown}/items/{line}"), quantity()),
        (
            Method::PUT,
            format!("/v1/baskets/{unknown}/items/{tea}"),
            Some(json!({"quantity": 0})),
        ),
        (Method::DELETE, format!("/v1/baskets/{unknown}/items/{tea}"), None),
    ];
    for (method, path, body) in attempts {
        shop.send(As::Nobody, method, &path, body)
            .await
            .refused(404, "not_found");
    }
    for malformed in ["g_", "g_0123", "g_0123456789ABCDEF0123456789ABCDEF"] {
        let path = format!("/v1/baskets/{malformed}");
        shop.get(As::Nobody, &path).await.refused(404, "not_found");
    }
    assert!(
        shop.item(&format!("G#{unknown}")).await.is_none(),
        "nothing may have been made"
    );
}

#[tokio::test]
async fn a_customers_basket_is_there_from_the_beginning() {
    let shop = Shop::open().await;
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(
        (&basket["id"], &basket["lines"], &basket["checkout"]),
        (&json!("ada"), &json!([]), &Value::Null)
    );
    assert_eq!(basket, shop.get(ADA, "/v1/baskets/ada").await.expect(200));
}

#[tokio::test]
async fn basket_of_another_customer_answers_like_a_missing_one() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(100);
    shop.add(ADA, "me", tea, 1).await.expect(200);
    let checkout = shop.check_out(ADA, "k", to_berlin()).await.expect(202);
    let order_id = checkout["order_id"].as_str().unwrap();
    let missing_order = Uuid::new_v4().to_string();
    let eve = As::Customer("eve");
    let pairs = [
        (
            Method::GET,
            "/v1/baskets/ada".to_owned(),
            "/v1/baskets/nobody".to_owned(),
            None,
        ),
        (
            Method::DELETE,
            "/v1/baskets/ada".to_owned(),
            "/v1/baskets/nobody".to_owned(),
            None,
        ),
        (
            Method::POST,
            "/v1/baskets/ada/items".to_owned(),
            "/v1/baskets/nobody/items".to_owned(),
            Some(json!({"product_id": tea, "quantity": 1})),
        ),
        (
            Method::GET,
            format!("/v1/baskets/ada/checkouts/{order_id}"),
            format!("/v1/baskets/nobody/checkouts/{missing_order}"),
            None,
        ),
        (
            Method::GET,
            format!("/v1/baskets/me/checkouts/{order_id}"),
            format!("/v1/baskets/me/checkouts/{missing_order}"),
            None,
        ),
    ];
    for (method, theirs, missing, body) in pairs {
        let theirs = shop.send(eve, method.clone(), &theirs, body.clone()).await;
        let missing = shop.send(eve, method, &missing, body).await;
        theirs.refused(404, "not_found");
        assert_eq!(theirs.but_for_its_trace(), missing.but_for_its_trace());
    }
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(basket["checkout"]["order_id"], order_id);
}

#[tokio::test]
async fn checkout_of_another_customers_basket_is_not_found() {
    let shop = Shop::open().await;
    let keyed = |request: reqwest_middleware::RequestBuilder| request.header("idempotency-key", "k");
    for basket in ["ada", "nobody"] {
        let path = format!("/v1/baskets/{basket}/checkout");
        let eve = As::Customer("eve");
        shop.send_with(eve, Method::POST, &path, Some(to_berlin()), keyed)
            .await
            .refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_guest_cannot_check_out() {
    let shop = Shop::open().await;
    let guest = shop.guest().await;
    let tea = shop.catalog.sells(100);
    shop.add(As::Nobody, &guest, tea, 1).await.expect(200);
    let path = format!("/v1/baskets/{guest}/checkout");
    let keyed = |request: reqwest_middleware::RequestBuilder| request.header("idempotency-key", "k");
    let nobody = shop
        .send_with(As::Nobody, Method::POST, &path, Some(to_berlin()), keyed)
        .await;
    nobody.refused(401, "unauthenticated");
    let somebody = shop.send_with(ADA, Method::POST, &path, Some(to_berlin()), keyed).await;
    somebody.refused(403, "customers_only");
    let path = format!("/v1/baskets/{guest}/checkouts/{}", Uuid::new_v4());
    shop.get(As::Nobody, &path).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_customers_basket_needs_a_token_that_holds() {
    let shop = Shop::open().await;
    let issuer = Issuer::shared();
    for path in ["/v1/baskets/me", "/v1/baskets/ada"] {
        shop.get(As::Nobody, path).await.refused(401, "unauthenticated");
    }
    let expired = {
        let mut claims = issuer.claims("ada", &[]);
        claims["exp"] = json!(1_000_000_000);
        issuer.sign(&claims)
    };
    let forged = Issuer::start("key-1").customer("ada");
    for token in ["no token", &expired, &forged] {
        shop.get(As::Token(token), "/v1/baskets/me")
            .await
            .refused(401, "unauthenticated");
    }
    // One that does not hold does not open a guest's basket either.
    let guest = shop.guest().await;
    shop.get(As::Token(&expired), &format!("/v1/baskets/{guest}"))
        .await
        .refused(401, "unauthenticated");
    shop.send(As::Token(&expired), Method::POST, "/v1/baskets", None)
        .await
        .refused(401, "unauthenticated");
    let service = issuer.service("internal/read");
    shop.get(As::Token(&service), "/v1/baskets/me")
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn the_internal_list_is_for_services_that_may_read() {
    let shop = Shop::open().await;
    let issuer = Issuer::shared();
    let path = "/internal/v1/checkouts";
    shop.get(As::Nobody, path).await.refused(401, "unauthenticated");
    for token in [issuer.customer("ada"), issuer.admin(), issuer.service("internal/stock")] {
        shop.get(As::Token(&token), path).await.refused(403, "forbidden");
    }
    let service = issuer.service("internal/read");
    assert_eq!(
        shop.get(As::Token(&service), path).await.expect(200),
        json!({"data": [], "next_cursor": null})
    );
}
