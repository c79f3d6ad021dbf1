//! Everything that is published on one bus, for a test to look at.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use aws_sdk_eventbridge::types::Target;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, QueueAttributeName};
use shared::contract::Published as Event;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::loopback::LOOK_EVERY;

/// A queue that a rule fills with every event of the bus. Two taps on one bus see each event both.
pub struct EventTap {
    sqs: aws_sdk_sqs::Client,
    queue: String,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    /// How many of them [`EventTap::next`] has handed out.
    handed_out: usize,
}

impl EventTap {
    pub(crate) async fn on(
        eventbridge: &aws_sdk_eventbridge::Client,
        sqs: aws_sdk_sqs::Client,
        bus: &str,
    ) -> anyhow::Result<Self> {
        let name = format!("tap-{}", Uuid::new_v4().simple());
        let made = sqs.create_queue().queue_name(&name).send().await;
        let queue = made
            .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?
            .queue_url
            .context("a queue without an address")?;
        let attributes = sqs
            .get_queue_attributes()
            .queue_url(&queue)
            .attribute_names(QueueAttributeName::QueueArn);
        let arn = attributes
            .send()
            .await
            .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?
            .attributes
            .and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn))
            .context("a queue without an ARN")?;
        let rule = eventbridge.put_rule().name(&name).event_bus_name(bus);
        rule.event_pattern(r#"{"source": [{"prefix": ""}]}"#)
            .send()
            .await
            .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
        let target = Target::builder().id("tap").arn(arn).build()?;
        eventbridge
            .put_targets()
            .rule(&name)
            .event_bus_name(bus)
            .targets(target)
            .send()
            .await
            .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
        Ok(Self {
            sqs,
            queue,
            seen: Mutex::default(),
        })
    }

    /// The queue's address.
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// Reads a queue that a tap has made, from another runtime.
    pub(crate) fn again(sqs: aws_sdk_sqs::Client, queue: String) -> Self {
        Self {
            sqs,
            queue,
            seen: Mutex::default(),
        }
    }

    /// The next event, in the order in which they came, which for a bus is nearly that of their publishing.
    ///
    /// # Errors
    ///
    /// When none comes `within`.
    pub async fn next(&self, within: Duration) -> anyhow::Result<Event> {
        let deadline = Instant::now() + within;
        let mut seen = self.seen.lock().await;
        loop {
            if let Some(event) = seen.events.get(seen.handed_out).cloned() {
                seen.handed_out += 1;
                return Ok(event);
            }
            if Instant::now() > deadline {
                bail!("no further event within {within:?}; seen: {}", seen.names());
            }
            self.look(&mut seen).await?;
        }
    }

    /// The first event that is `wanted`, also among those seen already.
    ///
    /// # Errors
    ///
    /// When none comes `within`; the message names those that did.
    pub async fn wait_for(&self, within: Duration, wanted: impl Fn(&Event) -> bool) -> anyhow::Result<Event> {
        let deadline = Instant::now() + within;
        let mut seen = self.seen.lock().await;
        loop {
            if let Some(event) = seen.events.iter().find(|event| wanted(event)) {
                return Ok(event.clone());
            }
            if Instant::now() > deadline {
                bail!("no such event within {within:?}; seen: {}", seen.names());
            }
            self.look(&mut seen).await?;
        }
    }

    /// Everything that has come so far.
    ///
    /// # Errors
    ///
    /// When the queue cannot be read.
    pub async fn seen(&self) -> anyhow::Result<Vec<Event>> {
        let mut seen = self.seen.lock().await;
        let mut before = None;
        while before != Some(seen.events.len()) {
            before = Some(seen.events.len());
            self.receive(&mut seen).await?;
        }
        Ok(seen.events.clone())
    }

    async fn look(&self, seen: &mut Seen) -> anyhow::Result<()> {
        if self.receive(seen).await? == 0 {
            // Shorter than the stand-in's own long poll, which looks ten times a second.
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn receive(&self, seen: &mut Seen) -> anyhow::Result<usize> {
        let request = self
            .sqs
            .receive_message()
            .queue_url(&self.queue)
            .max_number_of_messages(10);
        let answer = request
            .send()
            .await
            .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
        let messages = answer.messages.unwrap_or_default();
        for message in &messages {
            let body = message.body().context("a message without a body")?;
            seen.events
                .push(serde_json::from_str(body).with_context(|| format!("not an event: {body}"))?);
        }
        self.delete(&messages).await?;
        Ok(messages.len())
    }

    async fn delete(&self, messages: &[Message]) -> anyhow::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut request = self.sqs.delete_message_batch().queue_url(&self.queue);
        for (number, message) in messages.iter().enumerate() {
            let receipt = message.receipt_handle().context("a message without a receipt")?;
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
            request = request.entries(entry.receipt_handle(receipt).build()?);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
        if let Some(failed) = answer.failed().first() {
            bail!("a message was not deleted: {}", failed.code());
        }
        Ok(())
    }
}

impl Seen {
    fn names(&self) -> String {
        let names: Vec<_> = self.events.iter().map(|event| event.detail_type.as_str()).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }
}
