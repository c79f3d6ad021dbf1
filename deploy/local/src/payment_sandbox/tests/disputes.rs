//! Charges that cardholders contest.

use super::{Response, Shop, path_of};
use crate::payment_sandbox::Options;

impl Shop {
    /// A captured payment by a method that disputes; its path, and its dispute.
    async fn disputed(&self, method: &str) -> (String, Response) {
        let path = path_of(&self.pay_by(method).await);
        self.post(&format!("{path}/capture"), &[]).await;
        let intent = path.rsplit('/').next().unwrap();
        let listed = self.get(&format!("/v1/disputes?payment_intent={intent}")).await.body;
        assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
        let id = listed["data"][0]["id"].as_str().unwrap();
        let dispute = self.get(&format!("/v1/disputes/{id}")).await;
        assert_eq!(dispute.body, listed["data"][0]);
        (path, dispute)
    }

    async fn refund(&self, payment: &str) -> Response {
        let intent = payment.rsplit('/').next().unwrap();
        self.post("/v1/refunds", &[("payment_intent", intent)]).await
    }
}

fn path(dispute: &Response) -> String {
    format!("/v1/disputes/{}", dispute.body["id"].as_str().unwrap())
}

const EVIDENCE: &str = "evidence[uncategorized_text]";

#[tokio::test]
async fn a_disputed_charge_is_refunded_only_once_the_dispute_is_won() {
    let shop = Shop::open();
    let (payment, dispute) = shop.disputed("pm_card_createDispute").await;
    assert_eq!(dispute.body["status"], "needs_response");
    assert_eq!(dispute.body["amount"], 2000);
    assert_eq!(dispute.body["is_charge_refundable"], false);
    shop.refund(&payment)
        .await
        .assert_error(400, "invalid_request_error", "charge_disputed");
    let answered = shop
        .post(&path(&dispute), &[(EVIDENCE, "I sent it"), ("submit", "true")])
        .await;
    assert_eq!(answered.body["status"], "under_review");
    let won = shop.post(&path(&dispute), &[(EVIDENCE, "winning_evidence")]).await;
    assert_eq!(won.body["status"], "won");
    assert_eq!(shop.refund(&payment).await.status, 200);
    shop.post(&path(&dispute), &[(EVIDENCE, "losing_evidence")])
        .await
        .assert_error(400, "invalid_request_error", ());
}

#[tokio::test]
async fn a_dispute_is_lost_by_bad_evidence_or_by_giving_in() {
    let shop = Shop::open();
    for evidence in [Some("losing_evidence"), None] {
        let (payment, dispute) = shop.disputed("pm_card_createDisputeProductNotReceived").await;
        assert_eq!(dispute.body["reason"], "product_not_received");
        let lost = match evidence {
            Some(text) => shop.post(&path(&dispute), &[(EVIDENCE, text)]).await,
            None => shop.post(&format!("{}/close", path(&dispute)), &[]).await,
        };
        assert_eq!(lost.body["status"], "lost");
        shop.refund(&payment)
            .await
            .assert_error(400, "invalid_request_error", "charge_disputed");
    }
}

#[tokio::test]
async fn an_inquiry_stops_no_refund_until_it_becomes_a_dispute() {
    let shop = Shop::open();
    let (payment, dispute) = shop.disputed("pm_card_createDisputeInquiry").await;
    assert_eq!(dispute.body["status"], "warning_needs_response");
    assert_eq!(dispute.body["is_charge_refundable"], true);
    let escalated = shop.post(&path(&dispute), &[(EVIDENCE, "losing_evidence")]).await;
    assert_eq!(escalated.body["status"], "needs_response");
    shop.refund(&payment)
        .await
        .assert_error(400, "invalid_request_error", "charge_disputed");

    let (payment, dispute) = shop.disputed("pm_card_createDisputeInquiry").await;
    let closed = shop.post(&path(&dispute), &[(EVIDENCE, "winning_evidence")]).await;
    assert_eq!(closed.body["status"], "warning_closed");
    assert_eq!(shop.refund(&payment).await.status, 200);
}

#[tokio::test]
async fn disputes_are_there_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        state: Some(folder.path().join("payments")),
        ..Options::default()
    };
    let shop = Shop::with(options.clone());
    let (payment, dispute) = shop.disputed("pm_card_createDispute").await;
    shop.post(&path(&dispute), &[(EVIDENCE, "losing_evidence")]).await;
    shop.sandbox.stop().await;
    let shop = Shop::with(options);
    assert_eq!(shop.get(&path(&dispute)).await.body["status"], "lost");
    shop.refund(&payment)
        .await
        .assert_error(400, "invalid_request_error", "charge_disputed");
}

#[tokio::test]
async fn a_dispute_that_is_not_there_is_not_found() {
    let shop = Shop::open();
    shop.get("/v1/disputes/dp_1")
        .await
        .assert_error(404, "invalid_request_error", "resource_missing");
    let none = shop.post("/v1/disputes/dp_1/close", &[]).await;
    none.assert_error(404, "invalid_request_error", "resource_missing");
}
