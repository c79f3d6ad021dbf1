//! `Prefer: wait=N` (RFC 7240): holding an answer until an order is decided.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderValue};
use shared::ids::OrderId;
use shared::problem::Problem;
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, timeout_at};

use super::{Desk, error};
use crate::domain::order::Order;
use crate::domain::state::Status;

/// Longer than this nobody is kept waiting, in seconds.
const LONGEST_S: u64 = 20;
/// What another replica changed is seen by looking.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a client is ready to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    seconds: u64,
}

impl Wait {
    /// The `wait` among the request's preferences. One that cannot be read is none: a preference is no
    /// demand.
    pub(super) fn asked_for(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
        let mut preferences = texts.flat_map(|text| text.split([',', ';']));
        let seconds = preferences.find_map(|one| {
            let (name, value) = one.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim()
                .eq_ignore_ascii_case("wait")
                .then(|| value.parse::<u64>().ok())?
        })?;
        Some(Self {
            seconds: seconds.min(LONGEST_S),
        })
    }

    /// What to tell of it.
    pub(super) fn applied(self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("wait={}", self.seconds)).ok()
    }
}

/// The order as soon as it is no longer pending, or as it is when the time is over or the service stops.
pub(super) async fn until_decided(
    desk: &Desk,
    mut order: Order,
    wait: Wait,
    mut changes: Receiver<OrderId>,
) -> Result<Order, Problem> {
    let deadline = Instant::now() + Duration::from_secs(wait.seconds);
    while order.state.status() == Status::Pending && Instant::now() < deadline && !desk.stopping.is_cancelled() {
        let next_look = deadline.min(Instant::now() + LOOK_EVERY);
        // A receiver that fell behind ends at once: then it is time to look, too.
        tokio::select! {
            _ = timeout_at(next_look, heard_of(&mut changes, order.id)) => {}
            () = desk.stopping.cancelled() => {}
        }
        order = desk
            .store()
            .read(&order.id)
            .await
            .map_err(error::store)?
            .ok_or_else(error::no_such_order)?;
    }
    Ok(order)
}

/// Comes back when an order has changed here, or may have.
pub(super) async fn heard_of(changes: &mut Receiver<OrderId>, order: OrderId) {
    while let Ok(changed) = changes.recv().await {
        if changed == order {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("wait=5", Some(5))]
    #[case("respond-async, wait=5", Some(5))]
    #[case("Wait = \"7\"", Some(7))]
    #[case("wait=100", Some(20))]
    #[case("wait=-1", None)]
    #[case("wait", None)]
    #[case("return=minimal", None)]
    fn a_wait_is_read_among_other_preferences(#[case] header: &'static str, #[case] seconds: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static(header));
        assert_eq!(Wait::asked_for(&headers).map(|wait| wait.seconds), seconds);
    }
}
