//! Events to the merchant's endpoint: signed by Stripe's scheme (<https://docs.stripe.com/webhooks#verify-manually>),
//! at least once, in no promised order, tried again with growing pauses until it answers 2xx or an hour has passed. A
//! new endpoint is tried at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::desk::Desk;
use super::form::hex;
use crate::loopback;

/// Where events go.
#[derive(Clone)]
pub struct Webhook {
    /// The endpoint, which gets a POST for each event.
    pub url: String,
    /// What the signatures are made with (`whsec_..`).
    pub secret: String,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The `Stripe-Signature` header of a payload: `t=<seconds>,v1=<hex HMAC-SHA256 of "t.payload">`.
pub fn signature(secret: &str, seconds: i64, payload: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{seconds}.{payload}").as_bytes());
    format!("t={seconds},v1={}", hex(tag.as_ref()))
}

/// Something to tell the merchant. The payload is kept as text, so that each try sends the same bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) payload: String,
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a try may take; Stripe's own limit is of this order.
const TIME_OUT: Duration = Duration::from_secs(10);
/// Seconds after which an event is given up.
const TRIED_FOR_S: i64 = 60 * 60;
/// Tries under way at once.
const PARALLEL: usize = 8;

/// Delivers what comes in by the channel until told to stop. What is undelivered then is in the journal.
pub(super) async fn deliver_all(
    desk: Arc<Desk>,
    mut events: mpsc::UnboundedReceiver<Event>,
    stopping: CancellationToken,
) {
    let client = match loopback::http() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "no payment events will be delivered");
            return;
        }
    };
    let slots = Arc::new(Semaphore::new(PARALLEL));
    let deliveries = TaskTracker::new();
    while let Some(Some(event)) = stopping.run_until_cancelled(events.recv()).await {
        let delivery = deliver(desk.clone(), client.clone(), slots.clone(), event);
        let stopping = stopping.clone();
        deliveries.spawn(async move { stopping.run_until_cancelled_owned(delivery).await });
    }
    deliveries.close();
    deliveries.wait().await;
}

async fn deliver(desk: Arc<Desk>, client: reqwest::Client, slots: Arc<Semaphore>, event: Event) {
    let mut pause = FIRST_PAUSE;
    let mut endpoint = desk.webhook_changes();
    loop {
        endpoint.mark_unchanged();
        let Ok(slot) = slots.acquire().await else {
            return;
        };
        let result = post(&client, &desk, &event).await;
        drop(slot);
        let error = match result {
            Ok(()) => break,
            Err(error) => format!("{error:#}"),
        };
        if jiff::Timestamp::now().as_second().saturating_sub(event.created) > TRIED_FOR_S {
            tracing::warn!(event.id, error, "payment event given up");
            break;
        }
        tracing::debug!(event.id, error, "payment event not taken; trying again");
        pause = match tokio::time::timeout(pause, endpoint.changed()).await {
            Ok(_changed) => FIRST_PAUSE,
            Err(_elapsed) => pause.saturating_mul(2).min(LONGEST_PAUSE),
        };
    }
    desk.settle(&event.id);
}

async fn post(client: &reqwest::Client, desk: &Desk, event: &Event) -> anyhow::Result<()> {
    let webhook = desk.webhook().context("no endpoint is configured")?;
    let signature = signature(&webhook.secret, jiff::Timestamp::now().as_second(), &event.payload);
    let response = client
        .post(&webhook.url)
        .header("Content-Type", "application/json; charset=utf-8")
        .header("Stripe-Signature", signature)
        .header("User-Agent", "Stripe/1.0 (payment sandbox)")
        .timeout(TIME_OUT)
        .body(event.payload.clone())
        .send()
        .await?;
    anyhow::ensure!(
        response.status().is_success(),
        "the endpoint answered {}",
        response.status()
    );
    Ok(())
}
