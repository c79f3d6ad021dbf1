//! What the notification topic would send by e-mail, written into a log for people to read.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::stacks::{self, Applied, Template};

/// The log's name beside the parts'.
pub(crate) const LOG: &str = "mail";
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Subscribes a queue to the topic. It is the only template outside `deploy/aws`, since nobody deploys it.
pub(crate) async fn subscribe(
    client: &aws_sdk_cloudformation::Client,
    prefix: &str,
    topic: &str,
) -> anyhow::Result<Applied> {
    let template = Template {
        file: Path::new(env!("CARGO_MANIFEST_DIR")).join("notifications.yaml"),
        name: "local-notifications",
    };
    stacks::apply_one(client, prefix, &template, ("NotificationTopicArn", topic.to_owned())).await
}

/// Moves what comes into the queue to the end of `log`, until it is aborted.
pub(crate) fn deliver(client: Client, queue: String, log: PathBuf) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            if let Err(error) = deliver_some(&client, &queue, &log).await {
                tracing::debug!(%error, "no mail");
                sleep(TRY_AGAIN_AFTER).await;
            }
        }
    })
}

/// What SNS puts into a queue: what an e-mail would be made of.
#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Subject")]
    subject: Option<String>,
    #[serde(rename = "Message")]
    message: String,
    #[serde(rename = "Timestamp")]
    timestamp: String,
}

async fn deliver_some(client: &Client, queue: &str, log: &Path) -> anyhow::Result<()> {
    let request = client
        .receive_message()
        .queue_url(queue)
        .max_number_of_messages(10)
        .wait_time_seconds(20);
    let answer = request
        .send()
        .await
        .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
    for message in answer.messages() {
        let text = message.body().map(readable).unwrap_or_default();
        File::options()
            .create(true)
            .append(true)
            .open(log)?
            .write_all(text.as_bytes())?;
        let receipt = message.receipt_handle().context("a message without a receipt")?;
        let request = client.delete_message().queue_url(queue).receipt_handle(receipt);
        request
            .send()
            .await
            .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
    }
    Ok(())
}

fn readable(body: &str) -> String {
    let Ok(notification) = serde_json::from_str::<Notification>(body) else {
        return format!("{body}\n");
    };
    let subject = notification
        .subject
        .unwrap_or_else(|| "AWS Notification Message".to_owned());
    // An input transformer's text arrives as the JSON string that it is.
    let text = serde_json::from_str::<String>(&notification.message).unwrap_or(notification.message);
    format!("{} [{subject}] {text}\n", notification.timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_a_line_for_people() {
        let body =
            r#"{"Type": "Notification", "Message": "\"Order 7 is confirmed.\"", "Timestamp": "2026-01-02T03:04:05Z"}"#;
        assert_eq!(
            readable(body),
            "2026-01-02T03:04:05Z [AWS Notification Message] Order 7 is confirmed.\n"
        );
    }
}
