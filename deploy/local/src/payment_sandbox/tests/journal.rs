//! What is left after a stop, or a death.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;

use super::{AUTHORIZE, Shop, until};
use crate::payment_sandbox::{Options, PaymentSandbox, Status};

const CREATE: &str = "/v1/payment_intents";

fn with_journal(path: &Path) -> Options {
    Options {
        state: Some(path.to_owned()),
        slow: Duration::from_secs(600),
        ..Options::default()
    }
}

/// What a process that is killed at this moment leaves behind.
fn as_if_killed(path: &Path) -> std::path::PathBuf {
    let copy = path.with_extension("after-the-death");
    fs::copy(path, &copy).unwrap();
    copy
}

#[tokio::test]
async fn payments_refunds_and_keys_are_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/payments.jsonl");
    let shop = Shop::with(with_journal(&path));
    shop.authorized().await;
    let paid = shop.captured().await;
    let id = paid.rsplit('/').next().unwrap();
    let refund = [("payment_intent", id), ("amount", "700")];
    let refunded = shop.post_keyed("/v1/refunds", &refund, "r").await;
    let before = (
        shop.sandbox.intents(),
        shop.get(CREATE).await.body,
        shop.get("/v1/refunds").await.body,
    );

    let after_death = Shop::with(with_journal(&as_if_killed(&path)));
    shop.sandbox.stop().await;
    let after_stop = Shop::with(with_journal(&path));
    for again in [after_death, after_stop] {
        assert_eq!(
            (
                again.sandbox.intents(),
                again.get(CREATE).await.body,
                again.get("/v1/refunds").await.body
            ),
            before
        );
        let replayed = again.post_keyed("/v1/refunds", &refund, "r").await;
        assert!(replayed.is_replayed());
        assert_eq!(replayed.body, refunded.body);
        again.sandbox.stop().await;
    }
}

#[tokio::test]
async fn a_payment_left_processing_is_finished_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payments.jsonl");
    let shop = Shop::with(with_journal(&path));
    let form = [AUTHORIZE, &[("payment_method", "pm_slow")]].concat();
    let call = shop
        .request(Method::POST, CREATE)
        .form(&form)
        .header("Idempotency-Key", "k")
        .send();
    let call = tokio::spawn(call);
    until("the payment to be there", async || !shop.sandbox.intents().is_empty()).await;
    assert_eq!(shop.only_intent().status, Status::Processing);

    let again = Shop::with(with_journal(&as_if_killed(&path)));
    assert_eq!(again.only_intent().status, Status::RequiresCapture);
    let replayed = again.post_keyed(CREATE, &form, "k").await;
    assert!(replayed.is_replayed());
    assert_eq!(replayed.body["status"], "requires_capture");
    shop.sandbox.stop().await;
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn half_a_line_at_the_end_is_dropped_and_a_spoilt_one_within_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payments.jsonl");
    let shop = Shop::with(with_journal(&path));
    shop.authorized().await;
    let before = shop.sandbox.intents();
    shop.sandbox.stop().await;
    let append = |text: &[u8]| {
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(text)
            .unwrap()
    };

    append(br#"{"intent":{"id":"pi_"#);
    let shop = Shop::with(with_journal(&path));
    assert_eq!(shop.sandbox.intents(), before);
    shop.authorized().await;
    shop.sandbox.stop().await;

    append(b"nonsense\n");
    let error = PaymentSandbox::start(with_journal(&path)).unwrap_err().to_string();
    assert!(error.contains("is not a payment record"), "{error}");
}
