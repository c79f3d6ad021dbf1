//! What nobody does to a shop, so that a test can: items changed behind the service's back, and payments
//! made, taken and given back at the provider.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use serde_json::Value;

use crate::harness::Shop;

impl Shop {
    /// Waits until nothing of an order is to be published or done before some deadline.
    pub(crate) async fn at_rest(&self, order: &Value) -> Value {
        let rests = |item: &Value| {
            let decided = item.get("due_at").is_none();
            let waits = item["status"] == "awaiting_acceptance" || item["payment"]["state"] == "action";
            decided || (waits && item["phase"] == "placed" && item.get("outbox").is_none())
        };
        self.item_when(order, "rest", rests).await
    }

    /// Changes an order's item in the table.
    pub(crate) async fn edit(&self, order: &Value, change: impl FnOnce(&mut Value)) {
        let mut item = self.item(order).await.unwrap();
        change(&mut item);
        self.put(&item).await;
    }

    pub(crate) async fn put(&self, item: &Value) {
        self.put_all(std::slice::from_ref(item)).await;
    }

    pub(crate) async fn put_all(&self, items: &[Value]) {
        let table = self.deployment.setting("ORDERS_TABLE").unwrap();
        for some in items.chunks(25) {
            let puts = some.iter().map(|item| {
                let item: HashMap<String, AttributeValue> = serde_dynamo::to_item(item).unwrap();
                let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
                WriteRequest::builder().put_request(put).build()
            });
            let request = self.deployment.dynamodb().batch_write_item();
            let answer = request.request_items(table, puts.collect()).send().await.unwrap();
            assert!(answer.unprocessed_items.unwrap_or_default().is_empty());
        }
    }

    /// A payment in somebody's name that no order of the shop asked for, taken at once.
    pub(crate) async fn pay(&self, order: &Value, amount: i64) {
        let order = order.as_str().unwrap();
        let amount = amount.to_string();
        let fields = [
            ("amount", amount.as_str()),
            ("currency", "usd"),
            ("confirm", "true"),
            ("payment_method", "pm_card_visa"),
            ("payment_method_types[]", "card"),
            ("metadata[order_id]", order),
        ];
        let paid = self.post_form("/v1/payment_intents", &fields).await;
        assert_eq!(paid["status"], "succeeded", "{paid:#}");
    }

    /// A payment that was begun and left.
    pub(crate) async fn open_payment(&self) {
        let fields = [
            ("amount", "500"),
            ("currency", "usd"),
            ("payment_method_types[]", "card"),
        ];
        self.post_form("/v1/payment_intents", &fields).await;
    }

    /// Does that to the payment of an order.
    pub(crate) async fn charge(&self, order: &Value, what: &str) {
        let path = format!("/v1/payment_intents/{}/{what}", self.intent_of(order));
        self.post_form(&path, &[]).await;
    }

    /// Refunds so much of an order's payment.
    pub(crate) async fn refund(&self, order: &Value, amount: i64) {
        let (intent, amount) = (self.intent_of(order), amount.to_string());
        let fields = [("payment_intent", intent.as_str()), ("amount", &amount)];
        self.post_form("/v1/refunds", &fields).await;
    }

    fn intent_of(&self, order: &Value) -> String {
        let intents = self.payments.intents().into_iter();
        let mut of_order = intents.filter(|intent| intent.order_id.as_deref() == order.as_str());
        of_order.next().unwrap().id
    }

    async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let request = self.http().post(format!("{}{path}", self.payments.url()));
        let answer = request
            .bearer_auth("sk_test_sandbox")
            .form(fields)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or(Value::Null);
        assert!(status.is_success(), "{status} {body:#}");
        body
    }
}
