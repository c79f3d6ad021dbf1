//! Checking out, and where a checkout stands.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::{Data, Path};
use actix_web::{FromRequest, HttpRequest, HttpResponse, get, post};
use deserr::Deserr;
use serde::Deserialize;
use shared::address::Address;
use shared::body::{FieldErrors, Json};
use shared::contract::checkout::PaymentToken;
use shared::documented::{Any, OfABody, WithToken};
use shared::idempotency::{Fingerprint, IDEMPOTENT_REPLAYED, IdempotencyKey};
use shared::ids::OrderId;
use shared::money::Money;
use shared::problem::{Problem, ProblemBody};
use tracing::Span;
use utoipa::{IntoParams, ToSchema};

use super::documented::OfABasket;
use super::error;
use super::view::{self, AcceptedBody, ProgressBody};
use super::whose::{MaybeOwn, Own};
use crate::app::State;
use crate::domain::{BodyHash, CheckoutRequest};

/// Where it goes and what pays for it. What it costs is not the client's to say, but it can say what it
/// expects.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[schema(as = CheckOut)]
pub(super) struct CheckOutBody {
    shipping_address: Address,
    /// The payment provider's token, never a card's number. Without it the order is not paid through
    /// the shop, and needs the merchant's acceptance.
    #[deserr(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^(?!(?:[ -]*[0-9]){12}[0-9 -]*$)[!-~]{1,255}$")]
    payment_token: Option<PaymentToken>,
    /// Refuse the checkout when the total is another.
    #[deserr(default)]
    expected_total: Option<Money>,
}

/// Check the caller's basket out.
///
/// Prices are those of this moment; they and the lines are frozen, and the basket is empty. The same
/// request with the same key gets the same answer, for the last ten checkouts.
#[utoipa::path(
    tag = "checkouts",
    params(
        ("basket_id" = String, Path, description = "`me`, or the caller's subject"),
        ("Idempotency-Key" = String, Header, description = "A text of one's own, 1 to 255 visible ASCII characters, the same when the request is repeated"),
    ),
    request_body = CheckOutBody,
    security(("bearerAuth" = [])),
    responses(
        Any, WithToken, OfABasket, OfABody,
        (status = 202, description = "The checkout stands, and an order is asked for", body = AcceptedBody,
            headers(("Location" = String, description = "The order that it becomes"),
                ("Idempotent-Replayed" = Option<String>, description = "`true` where an earlier request made the checkout"))),
        (status = 409, description = "Nothing was checked out, and the basket is as it was. Codes: `basket_empty`, `checkout_in_progress` (`order_id`), `idempotency_key_reused` (`order_id`), `price_changed` (`lines`, `total`, `expected_total`), `product_unavailable` (`unavailable`, `lines`, `total`), `too_many_lines`, `quantity_limit` (`products`), `amount_too_large`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 400, description = "The request cannot be read. Codes: `invalid_request` (`errors` names every wrong field), `invalid_json`, `incomplete_body`, `idempotency_key_required`, `invalid_idempotency_key`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/v1/baskets/{basket_id}/checkout")]
pub(super) async fn check_out(
    state: Data<State>,
    own: Own,
    key: IdempotencyKey,
    body: Json<CheckOutBody>,
) -> Result<HttpResponse, Problem> {
    let order_id = OrderId::derive(&own.0, "checkout", key.as_str());
    Span::current().record("order_id", order_id.to_string());
    let done = state.checkouts.check_out(&own.0, body.0.into_request(order_id)).await;
    let done = done.map_err(error::of_checkout)?;
    let mut accepted = HttpResponse::Accepted();
    accepted.insert_header((header::LOCATION, format!("/v1/orders/{order_id}")));
    if done.replayed {
        accepted.insert_header((IDEMPOTENT_REPLAYED, "true"));
    }
    Ok(accepted.json(view::accepted(&done.checkout)))
}

impl CheckOutBody {
    fn into_request(self, order_id: OrderId) -> CheckoutRequest {
        // Plain texts and numbers: they always are JSON.
        let address = serde_json::to_vec(&self.shipping_address).unwrap_or_default();
        let expected = serde_json::to_vec(&self.expected_total).unwrap_or_default();
        let token = self.payment_token.as_ref().map_or("", PaymentToken::expose);
        let hash = Fingerprint::of(&[&address, token.as_bytes(), &expected]);
        let half = hash.as_str().get(..32).unwrap_or_default();
        CheckoutRequest {
            order_id,
            body: BodyHash(u128::from_str_radix(half, 16).unwrap_or_default()),
            shipping_address: self.shipping_address,
            payment_token: self.payment_token,
            expected_total: self.expected_total,
        }
    }
}

/// Which checkout.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct CheckoutPath {
    /// `me`, or the caller's subject.
    #[expect(dead_code, reason = "`MaybeOwn` reads it; here it is documented")]
    basket_id: String,
    /// The checkout's id, which is its order's.
    order_id: OrderId,
}

/// See where a checkout stands.
///
/// With `Prefer: wait=N` a pending one is answered when it is pending no longer, after N seconds (20 at
/// most) in any case.
#[utoipa::path(
    tag = "checkouts",
    params(
        CheckoutPath,
        ("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer for N seconds at most while it is pending (RFC 7240)"),
    ),
    security(("bearerAuth" = [])),
    responses(
        Any, WithToken, OfABasket,
        (status = 200, description = "Where it stands", body = ProgressBody,
            headers(("Preference-Applied" = Option<String>, description = "`wait=N` as it was applied"))),
    ),
)]
#[get("/v1/baskets/{basket_id}/checkouts/{order_id}")]
pub(super) async fn progress(
    state: Data<State>,
    own: MaybeOwn,
    path: Path<CheckoutPath>,
    wait: Wait,
) -> Result<HttpResponse, Problem> {
    let customer = own.0.ok_or_else(error::no_such_checkout)?;
    let progress = state.checkouts.progress(&customer, path.order_id, wait.for_s()).await;
    let progress = progress.map_err(error::of_store)?.ok_or_else(error::no_such_checkout)?;
    let mut found = HttpResponse::Ok();
    if let Wait(Some(seconds)) = wait {
        found.insert_header((HeaderName::from_static("preference-applied"), format!("wait={seconds}")));
    }
    found.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(found.json(view::progress(&progress)))
}

/// How long the client is ready to wait: the preference `wait` of RFC 7240, section 4.3. One that
/// cannot be read is ignored, as the RFC says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(Option<u8>);

const LONGEST_WAIT_S: u64 = 20;

impl Wait {
    fn for_s(self) -> Duration {
        Duration::from_secs(self.0.unwrap_or_default().into())
    }

    fn read<'a>(prefer: impl Iterator<Item = &'a str>) -> Self {
        let preferences = prefer.flat_map(|value| value.split([',', ';']));
        let waits = preferences.filter_map(|one| one.trim().split_once('='));
        let mut waits = waits.filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
        let seconds: Option<u64> = waits.next().and_then(|(_, n)| n.trim().trim_matches('"').parse().ok());
        Self(seconds.and_then(|n| u8::try_from(n.min(LONGEST_WAIT_S)).ok()))
    }
}

impl FromRequest for Wait {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let prefer = req.headers().get_all(HeaderName::from_static("prefer"));
        ready(Ok(Self::read(prefer.filter_map(|value| value.to_str().ok()))))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("wait=5", Some(5))]
    #[case("respond-async, wait=7", Some(7))]
    #[case("Wait = \"3\"", Some(3))]
    #[case("wait=100000", Some(20))]
    #[case("wait=-1", None)]
    #[case("wait", None)]
    #[case("", None)]
    fn a_preference_to_wait_is_read_and_bounded(#[case] sent: &str, #[case] seconds: Option<u8>) {
        assert_eq!(Wait::read([sent].into_iter()), Wait(seconds));
    }
}
