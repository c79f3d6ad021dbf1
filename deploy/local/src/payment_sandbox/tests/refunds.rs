//! Money given back.

use super::{Shop, id_of};

#[tokio::test]
async fn a_payment_is_refunded_in_parts_and_never_beyond_what_was_captured() {
    let shop = Shop::open();
    let path = shop.captured().await;
    let id = path.rsplit('/').next().unwrap().to_owned();
    let refund = async |amount: &str| {
        let form = [
            ("payment_intent", id.as_str()),
            ("amount", amount),
            ("metadata[refund_id]", amount),
        ];
        shop.post("/v1/refunds", &form).await
    };

    let first = refund("1200").await;
    assert_eq!(
        (&first.body["status"], &first.body["amount"]),
        (&"succeeded".into(), &1200.into())
    );
    let too_much = refund("801").await;
    too_much.assert_error(400, "invalid_request_error", ());
    assert_eq!(too_much.body["error"]["param"], "amount");
    assert_eq!(refund("300").await.status, 200);
    let rest = shop
        .post(
            "/v1/refunds",
            &[("payment_intent", &id), ("reason", "requested_by_customer")],
        )
        .await;
    assert_eq!(
        (&rest.body["amount"], &rest.body["reason"]),
        (&500.into(), &"requested_by_customer".into())
    );
    refund("1")
        .await
        .assert_error(400, "invalid_request_error", "charge_already_refunded");

    assert_eq!(shop.only_intent().refunded, 2000);
    let charge = &shop.get(&format!("{path}?expand[]=latest_charge")).await.body["latest_charge"];
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&2000.into(), &true.into())
    );

    let page = shop.get(&format!("/v1/refunds?payment_intent={id}&limit=2")).await.body;
    let amounts: Vec<_> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refund| refund["amount"].as_i64())
        .collect();
    assert_eq!((amounts, &page["has_more"]), (vec![Some(500), Some(300)], &true.into()));
    let next = shop
        .get(&format!(
            "/v1/refunds?payment_intent={id}&limit=2&starting_after={}",
            page["data"][1]["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(
        next.body["data"][0],
        shop.get(&format!("/v1/refunds/{}", id_of(&first))).await.body
    );
}

#[tokio::test]
async fn what_was_not_captured_is_not_refunded() {
    let shop = Shop::open();
    let id = shop.authorized().await.rsplit('/').next().unwrap().to_owned();
    let refused = shop.post("/v1/refunds", &[("payment_intent", &id)]).await;
    refused.assert_error(400, "invalid_request_error", "payment_intent_unexpected_state");
    let unknown = shop.post("/v1/refunds", &[("payment_intent", "pi_none")]).await;
    unknown.assert_error(400, "invalid_request_error", "resource_missing");
    shop.post("/v1/refunds", &[])
        .await
        .assert_error(400, "invalid_request_error", ());
}
