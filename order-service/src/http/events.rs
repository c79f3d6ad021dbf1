//! `GET /v1/orders/{id}/events`: each change of an order as it happens, as server-sent events.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>
//!
//! An event's id is its change's place on the timeline, counted from 1. A timeline only grows, at its
//! end, and is stored with the order: so any replica can go on after any id, without a loss and without
//! a repeat. (The order's version would not do: what happened between two versions cannot be told later.)

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use futures_util::stream;
use serde::Serialize;
use shared::auth::Caller;
use shared::documented::{Any, WithToken};
use shared::ids::OrderId;
use shared::problem::{Problem, ProblemBody};
use shared::telemetry::chain;
use tokio::sync::broadcast::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::documented::OfAnOrder;
use super::view::ChangeView;
use super::wait::heard_of;
use super::{Desk, error};
use crate::domain::order::Order;
use crate::domain::state::{State, Status};

/// The streams of this process: each costs a place, a read of the table a second, and a connection.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    life: Duration,
    /// Proxies cut a connection that is silent for half a minute, and a client that went away is noticed only by
    /// writing to it.
    heartbeat: Duration,
}

/// The last event of a stream: the order's status changes no more.
#[derive(Serialize)]
struct End {
    status: Status,
}

/// What another replica changed is seen by looking.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const HEARTBEAT: &str = ": still here\n\n";
/// When a client comes back after a stream has ended, in milliseconds.
const COME_BACK: &str = "retry: 1000\n\n";
const LAST_EVENT_ID: &str = "last-event-id";

/// Listen to an order
///
/// Server-sent events. Each `change` is an entry of the order's timeline, its id the entry's place there;
/// the first ones are those after `Last-Event-ID`, or all so far. `end` is the last one, once the order is
/// delivered, failed or cancelled and nothing is left to do about it: whoever has seen all is answered 204
/// from then on, upon which an `EventSource` comes back no more. A stream that ends without it is to be
/// opened again, as an `EventSource` does: it lasts for some minutes at most. Lines that begin with a colon
/// mean nothing. One's own orders; a merchant, anybody's.
#[utoipa::path(
    tag = "orders",
    params(
        ("id" = OrderId, Path, description = "The order"),
        ("Last-Event-ID" = Option<u32>, Header, description = "The id of the last event that was seen"),
    ),
    responses(
        Any, WithToken, OfAnOrder,
        (status = 200, description = "Events: `id`, `event: change`, and as `data` an entry of the timeline as JSON; at last `event: end` with the status", body = ChangeView, content_type = "text/event-stream"),
        (status = 204, description = "All has been seen, and nothing more will come"),
        (status = 400, description = "Not an id of this order's events, or a key. Codes: `invalid_last_event_id`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "A service's token. Code: `forbidden`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Something that this needs is away, or too many listen; try again after `Retry-After`. Code: `unavailable`", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds"))),
    ),
    security(("bearerAuth" = [])),
)]
#[get("/v1/orders/{id}/events")]
pub(crate) async fn order_events(
    desk: web::Data<Desk>,
    caller: Caller,
    id: web::Path<OrderId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Span::current().record("order_id", id.to_string());
    let seen = last_seen(&request)?;
    // Before the first look, so that no change falls between.
    let changes = desk.fulfilment.changes();
    let order = desk.order_for(&caller, &id).await?;
    if seen > order.timeline.len() {
        return Err(error::invalid_last_event_id());
    }
    if seen == order.timeline.len() && is_over(&desk, &order) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let place = desk.streams.place().ok_or_else(error::too_many_streams)?;
    let listener = Listener::to(desk, &order, seen, changes, place);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .streaming(stream::unfold(listener, |mut listener| async move {
            let text = listener.next().await?;
            Some((Ok::<_, Infallible>(Bytes::from(text)), listener))
        })))
}

/// How many changes a client has seen.
fn last_seen(request: &HttpRequest) -> Result<usize, Problem> {
    match request.headers().get(LAST_EVENT_ID) {
        None => Ok(0),
        Some(id) => id
            .to_str()
            .ok()
            .and_then(|id| id.parse::<u32>().ok())
            .and_then(|id| usize::try_from(id).ok())
            .ok_or_else(error::invalid_last_event_id),
    }
}

/// Whether its status can change no more, and nothing is left to do that would show.
fn is_over(desk: &Desk, order: &Order) -> bool {
    let ended = match order.state {
        State::Delivered | State::Failed(_) | State::Cancelled => true,
        State::Pending(_)
        | State::AwaitingAcceptance { .. }
        | State::Confirming(_)
        | State::Failing(..)
        | State::Cancelling(_)
        | State::Confirmed
        | State::Shipped => false,
    };
    ended && desk.fulfilment.rests(order)
}

impl Streams {
    /// At most so many at once, each for so long, and silent no longer than the heartbeat.
    pub(crate) fn new(at_most: u16, life: Duration, heartbeat: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_most.into())),
            life,
            heartbeat,
        }
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}

/// A client that listens to an order. It is dropped with its connection, and does nothing by itself.
struct Listener {
    desk: web::Data<Desk>,
    id: OrderId,
    /// Changes that have been told.
    told: usize,
    /// What is to be said next.
    ready: String,
    changes: Receiver<OrderId>,
    next_look: Instant,
    next_heartbeat: Instant,
    ends: Instant,
    /// The order's end has been told.
    over: bool,
    /// The table did not answer the last time.
    blind: bool,
    _place: OwnedSemaphorePermit,
}

/// How an order is looked at.
enum Look {
    /// As it is: it is known to have changed.
    Strongly,
    /// At half the price, perhaps as it was a moment ago: it will be looked at again.
    Eventually,
}

impl Listener {
    fn to(
        desk: web::Data<Desk>,
        order: &Order,
        seen: usize,
        changes: Receiver<OrderId>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let now = Instant::now();
        let mut listener = Self {
            id: order.id,
            told: seen,
            ready: COME_BACK.to_owned(),
            changes,
            next_look: now + LOOK_EVERY,
            next_heartbeat: now + desk.streams.heartbeat,
            ends: now + desk.streams.life,
            over: false,
            blind: false,
            desk,
            _place: place,
        };
        listener.tell(order);
        listener
    }

    /// What is said next; `None` ends the stream. One call at a time; it may be dropped at any point.
    async fn next(&mut self) -> Option<String> {
        loop {
            if !self.ready.is_empty() {
                self.next_heartbeat = Instant::now() + self.desk.streams.heartbeat;
                return Some(std::mem::take(&mut self.ready));
            }
            if self.over {
                return None;
            }
            let look = tokio::select! {
                () = self.desk.stopping.cancelled() => return None,
                () = sleep_until(self.ends) => return None,
                // One that fell behind hears at once: then it is time to look, too.
                () = heard_of(&mut self.changes, self.id) => Look::Strongly,
                () = sleep_until(self.next_look) => Look::Eventually,
                () = sleep_until(self.next_heartbeat) => {
                    HEARTBEAT.clone_into(&mut self.ready);
                    continue;
                }
            };
            self.look(look).await;
            self.next_look = Instant::now() + LOOK_EVERY;
        }
    }

    /// 1 round trip; half an RCU for each 4 KB, or a whole one where it is known to have changed.
    async fn look(&mut self, look: Look) {
        let store = self.desk.store();
        let found = match look {
            Look::Strongly => store.read(&self.id).await,
            Look::Eventually => store.glance(&self.id).await,
        };
        match found {
            Ok(order) => {
                self.blind = false;
                if let Some(order) = order {
                    self.tell(&order);
                }
            }
            // The stream goes on: to a client that listens, an answer of 503 to its next try would be the end.
            Err(fault) if !self.blind => {
                self.blind = true;
                tracing::warn!(order_id = %self.id, error = chain(&fault), "an order that is listened to cannot be read");
            }
            Err(_still) => {}
        }
    }

    /// Puts into words what has not been told.
    fn tell(&mut self, order: &Order) {
        for change in order.timeline.iter().skip(self.told) {
            self.told += 1;
            let id = format!("id: {}\nevent: change\n", self.told);
            self.say(&id, &ChangeView::of(change));
        }
        // One that was read as it was a moment ago may know less than was told.
        if self.told == order.timeline.len() && is_over(&self.desk, order) {
            let status = order.state.status();
            self.say("event: end\n", &End { status });
            self.over = true;
        }
    }

    fn say(&mut self, head: &str, data: &impl Serialize) {
        // JSON has no line breaks but those between its own signs, of which there are none here.
        match serde_json::to_string(data) {
            Ok(data) => self.ready.push_str(&format!("{head}data: {data}\n\n")),
            Err(fault) => tracing::error!(error = %fault, "a change cannot be written"),
        }
    }
}
