//! What the notification topic would send by e-mail, written where people read it.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::aws::CloudFormation;
use crate::stacks::{self, Applied, Template};

/// The log's name beside the parts'.
pub(crate) const LOG: &str = "mail";
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Subscribes a queue to the topic. It is the only template outside `deploy/aws`, since nobody deploys it.
pub(crate) async fn subscribe(client: &CloudFormation, prefix: &str, topic: &str) -> anyhow::Result<Applied> {
    let template = Template {
        file: Path::new(env!("CARGO_MANIFEST_DIR")).join("notifications.yaml"),
        name: "local-notifications",
    };
    stacks::apply_one(client, prefix, &template, ("NotificationTopicArn", topic.to_owned())).await
}

/// Writes lines to the end of `log`.
pub(crate) fn append_to(log: PathBuf) -> impl FnMut(&str) -> io::Result<()> {
    move |line| {
        let mut file = File::options().create(true).append(true).open(&log)?;
        file.write_all(line.as_bytes())
    }
}

/// Moves what comes into the queue to wherever `write` writes a line, until it is aborted. `tell` hears when that cannot be
/// done, and when it can be again.
pub(crate) fn deliver(
    client: Client,
    queue: String,
    mut write: impl FnMut(&str) -> io::Result<()> + Send + 'static,
    mut tell: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut fails = false;
        loop {
            let taken = take(&client, &queue, |body| Ok(write(&readable(body))?)).await;
            if let Some(news) = news(&mut fails, &taken) {
                tell(&news);
            }
            if taken.is_err() {
                sleep(TRY_AGAIN_AFTER).await;
            }
        }
    })
}

/// The first of several failures, and their end. Each by itself would be a line every other second.
fn news(fails: &mut bool, taken: &anyhow::Result<()>) -> Option<String> {
    let failed = mem::replace(fails, taken.is_err());
    match taken {
        Err(error) if !failed => Some(format!("no mail can be taken, which is tried again: {error:#}")),
        Ok(()) if failed => Some("mail is taken again".to_owned()),
        Ok(()) | Err(_) => None,
    }
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

/// Hands each body that has come to `keep`, and deletes those that were kept.
async fn take(client: &Client, queue: &str, mut keep: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
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
        keep(message.body().unwrap_or_default())?;
        let receipt = message.receipt_handle().context("a message without a receipt")?;
        let request = client.delete_message().queue_url(queue).receipt_handle(receipt);
        request
            .send()
            .await
            .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
    }
    Ok(())
}

/// What the notification topic would send by e-mail, for a test to look at.
pub struct Mailbox {
    client: Client,
    queue: String,
    come: Mutex<Vec<String>>,
}

impl Mailbox {
    pub(crate) fn at(client: Client, queue: String) -> Self {
        Self {
            client,
            queue,
            come: Mutex::default(),
        }
    }

    /// Every text that has come, as soon as `enough` of them have.
    ///
    /// # Errors
    ///
    /// When that is not so `within`; the message tells what did come.
    pub async fn wait_for(&self, within: Duration, enough: impl Fn(&[String]) -> bool) -> anyhow::Result<Vec<String>> {
        let deadline = Instant::now() + within;
        let mut come = self.come.lock().await;
        while !enough(&come) {
            if Instant::now() > deadline {
                bail!("not within {within:?}; came: {come:#?}");
            }
            let keep = |body: &str| {
                come.push(text(body).unwrap_or_else(|| body.to_owned()));
                Ok(())
            };
            // Abandoned at the deadline; what it had been handed comes again.
            let _ = timeout_at(deadline, take(&self.client, &self.queue, keep))
                .await
                .unwrap_or(Ok(()));
        }
        Ok(come.clone())
    }
}

fn readable(body: &str) -> String {
    let Ok(notification) = serde_json::from_str::<Notification>(body) else {
        return format!("{body}\n");
    };
    let (subject, timestamp) = (notification.subject, notification.timestamp);
    let subject = subject.unwrap_or_else(|| "AWS Notification Message".to_owned());
    format!("{timestamp} [{subject}] {}\n", unquoted(notification.message))
}

fn text(body: &str) -> Option<String> {
    let notification = serde_json::from_str::<Notification>(body).ok()?;
    Some(unquoted(notification.message))
}

/// An input transformer's text arrives as the JSON string that it is.
fn unquoted(message: String) -> String {
    serde_json::from_str::<String>(&message).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::{aws, loopback};

    #[tokio::test]
    async fn mail_that_cannot_be_taken_is_told_of() {
        let nobody = format!("http://127.0.0.1:{}", loopback::free_port().unwrap());
        let (client, (tell, mut told)) = (Client::new(&aws::config(&nobody)), mpsc::unbounded_channel());
        let delivering = deliver(
            client,
            format!("{nobody}/mailbox"),
            |_| Ok(()),
            move |news| {
                tell.send(news.to_owned()).unwrap();
            },
        );
        let within = Instant::now() + Duration::from_secs(30);
        let news = timeout_at(within, told.recv()).await.unwrap().unwrap();
        delivering.abort();
        assert!(
            news.starts_with("no mail can be taken, which is tried again: "),
            "{news}"
        );
    }

    #[test]
    fn of_several_failures_the_first_and_the_end_are_told() {
        let (mut fails, failure) = (false, || Err(anyhow!("away")));
        let tries = [Ok(()), failure(), failure(), Ok(()), Ok(())];
        let told: Vec<_> = tries.iter().filter_map(|taken| news(&mut fails, taken)).collect();
        assert_eq!(
            told,
            [
                "no mail can be taken, which is tried again: away",
                "mail is taken again"
            ]
        );
    }

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
