//! Each kind of difference, made by hand, is named, and nothing else is.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{forget, long_ago, order, reconcile, shop};
use crate::products::State;

#[tokio::test]
async fn a_reservation_that_does_not_fit_its_order_is_named() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let mut expected = Vec::new();

    let sold = order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let (sold_id, lines) = (sold.as_str().unwrap(), [(tea, 2)]);
    shop.products.put_reservation(sold_id, &lines, State::Returned);
    expected.push(("reservation_state".to_owned(), sold_id.to_owned()));

    let other = order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let other = other.as_str().unwrap();
    shop.products.put_reservation(other, &[(tea, 3)], State::Committed);
    expected.push(("reservation_lines".to_owned(), other.to_owned()));

    let failed = order(&shop, &service, tea, Some("pm_card_chargeDeclined"), "failed").await;
    let failed = failed.as_str().unwrap();
    shop.products.put_reservation(failed, &lines, State::Committed);
    expected.push(("reservation_state".to_owned(), failed.to_owned()));

    let nobodys = Uuid::new_v4().to_string();
    shop.products.put_reservation(&nobodys, &lines, State::Committed);
    expected.push(("reservation_without_order".to_owned(), nobodys));

    let waiting = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    let waiting = waiting.as_str().unwrap();
    shop.products.outlast(waiting);
    expected.push(("hold_overdue".to_owned(), waiting.to_owned()));

    expected.sort();
    let told = reconcile(&service).await;
    assert_eq!(told.named(), expected, "{:#?}", told.drifts);
    assert_eq!(told.summary["drifts"], expected.len());
    assert_eq!(told.summary["complete"], true);
    let state = told.drifts.iter().find(|drift| drift["order_id"] == sold).unwrap();
    assert_eq!(
        (&state["expected"], &state["found"]),
        (&json!("committed"), &json!("returned"))
    );
}

#[tokio::test]
async fn a_stock_that_does_not_add_up_is_named() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let more = shop.products.add(500, 100);
    let fewer = shop.products.add(500, 100);
    let astray = shop.products.add(500, 100);
    for product in [tea, more, fewer] {
        order(&shop, &service, product, None, "awaiting_acceptance").await;
    }
    reconcile(&service).await.assert_clean();
    shop.products.reserve_astray(more, 1);
    shop.products.reserve_astray(fewer, -1);
    shop.products.count_astray(astray, 1);
    let told = reconcile(&service).await;
    let mut expected = vec![
        ("reserved_mismatch".to_owned(), more.to_string()),
        ("reserved_mismatch".to_owned(), fewer.to_string()),
        ("stock_inconsistent".to_owned(), astray.to_string()),
    ];
    expected.sort();
    assert_eq!(told.named(), expected, "{:#?}", told.drifts);
    let drift = told.drifts.iter().find(|drift| drift["product_id"] == json!(more));
    assert_eq!(drift.unwrap()["found"], "3 reserved");
}

#[tokio::test]
async fn a_payment_that_does_not_fit_its_order_is_named() {
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let asked = shop.products.add(500, 100);
    let mut expected = Vec::new();
    let mut expect = |kind: &str, order: &Value| {
        expected.push((kind.to_owned(), order.as_str().unwrap().to_owned()));
    };
    let paid = async || order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let authorized = async || order(&shop, &service, asked, Some("pm_card_visa"), "awaiting_acceptance").await;

    // Money without an order.
    let nobodys = json!(Uuid::new_v4());
    shop.pay(&nobodys, 700).await;
    expect("payment_without_order", &nobodys);

    // A second payment of an order.
    let twice = paid().await;
    shop.pay(&twice, 1_000).await;
    expect("payment_unexpected", &twice);

    // A payment of an order that is paid on delivery.
    let unpaid = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    shop.pay(&unpaid, 1_000).await;
    expect("payment_unexpected", &unpaid);

    // A confirmed order whose payment was never captured.
    let uncaptured = authorized().await;
    shop.edit(&uncaptured, |item| {
        item["status"] = json!("confirmed");
        item["phase"] = json!("settled");
        item["payment"]["state"] = json!("captured");
        forget(item, &["due_at", "due_shard", "answer_by"]);
    })
    .await;
    shop.products
        .put_reservation(uncaptured.as_str().unwrap(), &[(asked, 2)], State::Committed);
    shop.products.reserve_astray(asked, -2);
    expect("payment_not_captured", &uncaptured);

    // A confirmed order whose payment the provider does not know: another's twin.
    let twin = paid().await;
    let mut item = shop.item(&twin).await.unwrap();
    let missing = json!(Uuid::new_v4());
    item["id"] = missing.clone();
    item["pk"] = json!(format!("ORDER#{}", missing.as_str().unwrap()));
    item["payment"]["intent"] = json!("pi_gone");
    shop.put(&item).await;
    shop.products
        .put_reservation(missing.as_str().unwrap(), &[(tea, 2)], State::Committed);
    expect("payment_missing", &missing);

    // Another amount than the order's.
    let dearer = paid().await;
    shop.edit(&dearer, |item| item["total_minor"] = json!(1_001)).await;
    expect("payment_amount", &dearer);

    // Captured before anybody decided.
    let hasty = authorized().await;
    shop.charge(&hasty, "capture").await;
    expect("payment_too_early", &hasty);

    // Refunded behind the order's back.
    let refunded = paid().await;
    shop.refund(&refunded, 100).await;
    expect("refund_mismatch", &refunded);

    // Cancelled, and its money kept.
    let kept = paid().await;
    shop.edit(&kept, |item| {
        item["status"] = json!("cancelled");
        item["payment"]["state"] = json!("returned");
    })
    .await;
    shop.products
        .put_reservation(kept.as_str().unwrap(), &[(tea, 2)], State::Returned);
    expect("payment_not_returned", &kept);

    // Cancelled, and its payment can still be captured.
    let held = authorized().await;
    shop.edit(&held, |item| {
        item["status"] = json!("cancelled");
        item["phase"] = json!("settled");
        item["payment"]["state"] = json!("voided");
        forget(item, &["due_at", "due_shard", "answer_by"]);
    })
    .await;
    shop.products.expire(held.as_str().unwrap());
    expect("payment_not_voided", &held);

    expected.sort();
    let told = reconcile(&service).await;
    assert_eq!(told.named(), expected, "{:#?}", told.drifts);
    assert_eq!(told.summary["complete"], true);
}

#[tokio::test]
async fn what_is_left_undone_for_long_is_named() {
    let (shop, baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let paid = async || order(&shop, &service, tea, Some("pm_card_visa"), "confirmed").await;
    let ago = json!(long_ago().as_millisecond());

    let answered = paid().await;
    shop.edit(&answered, |item| item["answer"]["at"] = ago.clone()).await;
    baskets.check_out(answered.as_str().unwrap(), long_ago());
    let orderless = json!(Uuid::new_v4());
    baskets.check_out(orderless.as_str().unwrap(), long_ago());

    // Without its shard no sweeper finds it.
    let overdue = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    shop.edit(&overdue, |item| {
        item["due_at"] = ago.clone();
        forget(item, &["due_shard"]);
    })
    .await;
    let forgotten = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    shop.edit(&forgotten, |item| forget(item, &["due_at", "due_shard"]))
        .await;
    let untold = paid().await;
    shop.edit(&untold, |item| {
        let mut event = item["answer"].clone();
        event["at"] = ago.clone();
        item["outbox"] = json!([event]);
    })
    .await;

    let mut expected: Vec<_> = [
        ("checkout_not_settled", &answered),
        ("checkout_without_order", &orderless),
        ("order_overdue", &overdue),
        ("order_forgotten", &forgotten),
        ("outbox_overdue", &untold),
    ]
    .map(|(kind, order)| (kind.to_owned(), order.as_str().unwrap().to_owned()))
    .into();
    expected.sort();
    let told = reconcile(&service).await;
    assert_eq!(told.named(), expected, "{:#?}", told.drifts);
}
