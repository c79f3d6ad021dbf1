//! The order service's answers to checkouts, from the queue `basket-settle`. Each checkout gets one;
//! it may come twice, late, or for a checkout that is over, and then changes nothing.

use shared::contract::Delivery;
use shared::contract::order::{OrderFailed, OrderPlaced};
use shared::ids::OrderId;
use shared::queue::{Outcome, Why};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::clock;
use crate::events;
use crate::store::{Answered, Store, StoreError};

/// Stores the answers.
#[derive(Clone)]
pub struct Settlement {
    /// The baskets.
    pub store: Store,
    /// Who waits for answers.
    pub notices: Notices,
}

/// Tells those who wait in this process that an answer came. One that is missed costs a second.
#[derive(Clone, Debug)]
pub struct Notices(broadcast::Sender<OrderId>);

/// Hears of answers from the moment it was made.
#[derive(Debug)]
pub struct Notice(broadcast::Receiver<OrderId>);

/// Answers that one who waits may lag behind.
const BACKLOG: usize = 256;

/// An answer, as this queue brings it.
enum Answer {
    Placed(OrderPlaced),
    Failed(OrderFailed),
}

/// Whether a message is an answer that can be read; for looking at dead letters.
///
/// # Errors
/// Why not.
pub fn readable(delivery: &Delivery) -> Result<(), Why> {
    read(delivery).map(|_answer| ())
}

fn read(delivery: &Delivery) -> Result<Answer, Why> {
    if let Some(event) = delivery.read::<OrderPlaced>() {
        return Ok(Answer::Placed(event?.data));
    }
    if let Some(event) = delivery.read::<OrderFailed>() {
        return Ok(Answer::Failed(event?.data));
    }
    Err(Why::from("this queue is for OrderPlaced and OrderFailed alone"))
}

impl Settlement {
    /// Handles one message. Where this dies, the message comes again, and finds either the checkout
    /// still under way or nothing to do.
    pub async fn handle(&self, delivery: Delivery) -> Outcome {
        let answer = match read(&delivery) {
            Ok(answer) => answer,
            Err(why) => {
                // Told when it is given up.
                tracing::debug!(event = delivery.detail_type, source = delivery.source, why = %why, "an answer cannot be read");
                return Outcome::Unreadable(why);
            }
        };
        let order_id = answer.order_id();
        tracing::Span::current().record("order_id", order_id.to_string());
        match self.store(answer).await {
            Ok(Answered::Settled) => {
                self.notices.tell(order_id);
                Outcome::Done
            }
            Ok(Answered::Nothing) => Outcome::Done,
            Err(error) => {
                let why = why(&error);
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::debug!(error, "an answer could not be stored; it comes again");
                Outcome::Again(why)
            }
        }
    }

    async fn store(&self, answer: Answer) -> Result<Answered, StoreError> {
        match answer {
            Answer::Placed(placed) => {
                self.store
                    .settle(&placed.customer_id, placed.order_id, clock::now())
                    .await
            }
            Answer::Failed(failed) => {
                let lines = events::returned(failed.lines);
                let (customer, order_id) = (&failed.customer_id, failed.order_id);
                self.store
                    .give_back(customer, order_id, failed.reason, lines, clock::now())
                    .await
            }
        }
    }
}

impl Answer {
    fn order_id(&self) -> OrderId {
        match self {
            Self::Placed(placed) => placed.order_id,
            Self::Failed(failed) => failed.order_id,
        }
    }
}

fn why(error: &StoreError) -> Why {
    let words = match error {
        StoreError::Unavailable(_) => "the baskets table did not answer",
        StoreError::Contended(_) => "the basket was changed by others each time",
        StoreError::Refused(_) => "the baskets table refused the write",
        StoreError::Corrupt(_) => "the basket's item cannot be read",
    };
    Why::of(words, error)
}

impl Default for Notices {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Notices {
    /// Hears of every answer from now on.
    #[must_use]
    pub fn listen(&self) -> Notice {
        Notice(self.0.subscribe())
    }

    fn tell(&self, order_id: OrderId) {
        // The error says that nobody waits.
        let _ = self.0.send(order_id);
    }
}

impl Notice {
    /// Returns when that checkout may have been answered.
    pub async fn of(&mut self, order_id: OrderId) {
        loop {
            match self.0.recv().await {
                Ok(answered) if answered != order_id => {}
                // It may have been among those that were missed.
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
