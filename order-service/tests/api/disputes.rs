//! Disputes of captured payments: noted, told, shown, and refunds refused as the provider refuses them.

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Service, Shop, customer, merchant};

/// Its disputes, once there are any of that status.
async fn disputed(service: &Service, order: &Value, status: &str) -> Value {
    let wanted = |shown: &Value| shown["payment"]["disputes"][0]["status"] == status;
    service.shows(&customer("ada"), order, wanted).await
}

/// A confirmed order, paid with `token`.
async fn sold(shop: &Shop, token: &str) -> Value {
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some(token));
    shop.publish(&checkout).await;
    shop.event("OrderConfirmed", &checkout["order_id"]).await;
    checkout["order_id"].clone()
}

impl Shop {
    /// The provider's id of the order's dispute.
    async fn dispute(&self, order: &Value) -> String {
        let told = self.event("OrderDisputed", order).await;
        told.detail["data"]["dispute_id"].as_str().unwrap().to_owned()
    }

    /// Answers it as the merchant would in the provider's dashboard.
    async fn answers_dispute(&self, service: &Service, dispute: &str, form: &'static str) {
        let url = format!("{}/v1/disputes/{dispute}", self.payments.url());
        let request = service.http().post(url).bearer_auth("sk_test_sandbox");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}

#[tokio::test]
async fn a_disputed_order_says_so_tells_so_and_is_refunded_no_more() {
    let shop = Shop::open().await;
    let service = shop.start_hearing(&[]);
    let order = sold(&shop, "pm_card_createDispute").await;
    let shown = disputed(&service, &order, "open").await;
    let dispute = &shown["payment"]["disputes"][0];
    assert_eq!(dispute["amount"], json!({"amount_minor": 1000, "currency": "USD"}));
    assert_eq!(dispute["reason"], "fraudulent");
    assert_eq!(dispute["refundable"], false);
    assert!(dispute["opened_at"].is_string() && dispute["respond_by"].is_string());
    assert_eq!(shown["payment"]["state"], "captured");

    let told = shop.event("OrderDisputed", &order).await.detail;
    assert_eq!(told["data"]["amount"], json!({"amount_minor": 1000, "currency": "USD"}));
    assert_eq!(told["data"]["status"], "open");
    assert_eq!(told["data"]["reason"], "fraudulent");
    assert!(told["data"]["respond_by"].is_string());

    shop.settled(&order).await;
    let shown = service.read(&merchant(), &order).await;
    assert_eq!(shown["status"], "confirmed");
    let noted = shown["timeline"].as_array().unwrap().iter();
    let noted: Vec<_> = noted
        .filter(|change| change["reason"].as_str().is_some_and(|why| why.contains("disputed")))
        .collect();
    assert_eq!(noted.len(), 1, "{shown:#}");
    assert_eq!(noted[0]["actor"], "system");
    assert!(
        !shown["actions"].as_array().unwrap().contains(&json!("cancel")),
        "it would have to be refunded"
    );
    let path = format!("/v1/orders/{}/cancel", order.as_str().unwrap());
    let refused = service
        .post(&path, &merchant())
        .json(&json!({"reason": "no"}))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 409);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "payment_disputed");
    assert_eq!(shop.paid(&order), [("succeeded", 1000, 0)]);
}

#[rstest]
#[case("evidence[uncategorized_text]=winning_evidence&submit=true", "won", true)]
#[case("evidence[uncategorized_text]=losing_evidence&submit=true", "lost", false)]
#[tokio::test]
async fn how_a_dispute_ends_is_noted_and_told(
    #[case] answer: &'static str,
    #[case] end: &str,
    #[case] refundable: bool,
) {
    let shop = Shop::open().await;
    let service = shop.start_hearing(&[]);
    let order = sold(&shop, "pm_card_createDisputeProductNotReceived").await;
    let dispute = shop.dispute(&order).await;
    shop.answers_dispute(&service, &dispute, answer).await;
    let shown = disputed(&service, &order, end).await;
    assert_eq!(shown["payment"]["disputes"].as_array().unwrap().len(), 1);
    assert_eq!(shown["payment"]["disputes"][0]["refundable"], refundable);
    assert_eq!(shown["payment"]["disputes"][0]["respond_by"], json!(null));
    shop.settled(&order).await;
    let told = shop.told(&order).await;
    assert_eq!(
        told.iter().filter(|name| *name == "OrderDisputed").count(),
        2,
        "{told:?}"
    );

    // It can be taken back and given back now, or never.
    let path = format!("/v1/orders/{}/cancel", order.as_str().unwrap());
    let cancelled = service
        .post(&path, &merchant())
        .json(&json!({"reason": "no"}))
        .send()
        .await
        .unwrap();
    assert_eq!(cancelled.status().as_u16(), if refundable { 200 } else { 409 });
}

#[tokio::test]
async fn an_inquiry_takes_nothing_back_and_refuses_no_refund() {
    let shop = Shop::open().await;
    let service = shop.start_hearing(&[]);
    let order = sold(&shop, "pm_card_createDisputeInquiry").await;
    let shown = disputed(&service, &order, "inquiry").await;
    assert_eq!(shown["payment"]["disputes"][0]["refundable"], true);
    let dispute = shop.dispute(&order).await;
    shop.answers_dispute(&service, &dispute, "evidence[uncategorized_text]=winning_evidence")
        .await;
    disputed(&service, &order, "closed").await;
    shop.settled(&order).await;
    let path = format!("/v1/orders/{}/cancel", order.as_str().unwrap());
    let cancelled = service
        .post(&path, &merchant())
        .json(&json!({"reason": "no"}))
        .send()
        .await
        .unwrap();
    assert_eq!(cancelled.status(), 200);
    shop.settled(&order).await;
    assert_eq!(shop.paid(&order), [("succeeded", 1000, 1000)]);
}

#[tokio::test]
async fn an_event_of_a_dispute_that_comes_again_changes_nothing() {
    let shop = Shop::open().await;
    let service = shop.start_hearing(&[]);
    let order = sold(&shop, "pm_card_createDispute").await;
    let dispute = shop.dispute(&order).await;
    let before = shop.settled(&order).await;
    for kind in [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ] {
        // What it says is not believed.
        let lie = json!({"id": dispute, "status": "won", "amount": 1});
        let answer: Value = service.hears(kind, &lie).await.json().await.unwrap();
        assert_eq!(answer["outcome"], "nothing_new");
    }
    assert_eq!(shop.item(&order).await.unwrap(), before);
    assert_eq!(
        shop.told(&order).await,
        ["OrderPlaced", "OrderConfirmed", "OrderDisputed"]
    );
}

#[tokio::test]
async fn a_dispute_during_a_cancellation_ends_it_without_a_refund() {
    let shop = Shop::open().await;
    // Its events do not arrive before the merchant cancels.
    let service = shop.start(&[("PAYMENT_WEBHOOK_SECRET", crate::webhook::SECRET)]);
    let order = sold(&shop, "pm_card_createDispute").await;
    shop.settled(&order).await;
    let path = format!("/v1/orders/{}/cancel", order.as_str().unwrap());
    let cancelled = service
        .post(&path, &merchant())
        .json(&json!({"reason": "no"}))
        .send()
        .await
        .unwrap();
    assert_eq!(cancelled.status(), 200);
    let shown = service.settles(&shop, &merchant(), &order).await;
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(shown["payment"]["state"], "captured", "the dispute decides who has it");
    assert_eq!(shown["payment"]["refunded"]["amount_minor"], 0);
    assert_eq!(shop.paid(&order), [("succeeded", 1000, 0)]);
    assert_eq!(
        shop.told(&order).await,
        ["OrderPlaced", "OrderConfirmed", "OrderCancelled"]
    );

    // It is heard of at last.
    let listed: Value = service
        .http()
        .get(format!("{}/v1/disputes", shop.payments.url()))
        .bearer_auth("sk_test_sandbox")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let answer: Value = service
        .hears("charge.dispute.created", &listed["data"][0])
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(answer["outcome"], "noted");
    let shown = service.settles(&shop, &merchant(), &order).await;
    assert_eq!(shown["payment"]["disputes"][0]["status"], "open");
}
