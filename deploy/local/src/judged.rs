//! Everything that was published on a test's bus, judged when the test is over.

use std::thread;

use anyhow::anyhow;

use crate::aws;
use crate::event_tap::EventTap;
use shared::contract::Published as Event;

/// Says what is wrong with the events that went over a bus.
pub trait Judge: Fn(&[Event]) -> Vec<String> + Send + Sync + 'static {}

impl<F: Fn(&[Event]) -> Vec<String> + Send + Sync + 'static> Judge for F {}

/// A tap's queue, read to its end when this is dropped.
pub(crate) struct Judged {
    endpoint: String,
    queue: String,
    judge: Box<dyn Judge>,
}

impl Judged {
    pub(crate) fn new(endpoint: String, queue: String, judge: impl Judge) -> Self {
        let judge = Box::new(judge);
        Self { endpoint, queue, judge }
    }

    /// On a thread and a runtime of its own: the test's cannot be waited for where it runs.
    fn events(&self) -> anyhow::Result<Vec<Event>> {
        let read = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let sqs = aws_sdk_sqs::Client::new(&aws::config(&self.endpoint));
                EventTap::again(sqs, self.queue.clone()).seen().await
            })
        };
        thread::scope(|scope| scope.spawn(read).join()).map_err(|_panicked| anyhow!("the thread panicked"))?
    }
}

impl Drop for Judged {
    #[expect(
        clippy::panic,
        clippy::print_stderr,
        reason = "only tests have one, and this is how they fail"
    )]
    fn drop(&mut self) {
        let faults = match self.events() {
            Ok(events) => (self.judge)(&events),
            Err(error) => vec![format!("what was published cannot be read: {error:#}")],
        };
        if faults.is_empty() {
            return;
        }
        let told = format!("what was published is not as the contract says:\n{}", faults.join("\n"));
        if thread::panicking() {
            eprintln!("{told}");
        } else {
            panic!("{told}");
        }
    }
}
