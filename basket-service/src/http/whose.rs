//! Whose basket a path names, and whether the caller may use it. Somebody else's is answered like one
//! that does not exist, and nothing is read for it.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use shared::auth::{Caller, MaybeCaller};
use shared::ids::CustomerId;
use shared::problem::Problem;

use super::error;
use crate::domain::{BasketId, GuestId};

/// A basket that the caller may use: their own (`me` or their subject), or a guest's whose id they know.
pub(super) struct Usable(pub(super) BasketId);

/// The caller's own basket; a guest's is refused.
pub(super) struct Own(pub(super) CustomerId);

/// The caller's own basket, or none where the path names a guest's, which has no checkouts.
pub(super) struct MaybeOwn(pub(super) Option<CustomerId>);

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

enum Named {
    Guest(GuestId),
    Customer(String),
}

impl FromRequest for Usable {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (named, caller) = (named(req), MaybeCaller::from_request(req, payload));
        Box::pin(async move {
            match (named, caller.await?.0) {
                (Named::Guest(id), _) => Ok(Self(BasketId::Guest(id))),
                (Named::Customer(name), Some(caller)) => Ok(Self(BasketId::Customer(own(&name, &caller)?))),
                // A guest's id that cannot have been given out.
                (Named::Customer(name), None) if name.starts_with("g_") => Err(error::no_such_basket()),
                (Named::Customer(_), None) => Err(error::token_required()),
            }
        })
    }
}

impl FromRequest for Own {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (named, caller) = (named(req), Caller::from_request(req, payload));
        Box::pin(async move {
            match (caller.await?, named) {
                (caller, Named::Customer(name)) => Ok(Self(own(&name, &caller)?)),
                (_, Named::Guest(_)) => Err(error::customers_only()),
            }
        })
    }
}

impl FromRequest for MaybeOwn {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let usable = Usable::from_request(req, payload);
        Box::pin(async move {
            Ok(Self(match usable.await?.0 {
                BasketId::Customer(id) => Some(id),
                BasketId::Guest(_) => None,
            }))
        })
    }
}

fn named(req: &HttpRequest) -> Named {
    let name = req.match_info().get("basket_id").unwrap_or_default();
    match name.parse() {
        Ok(guest) => Named::Guest(guest),
        Err(_customer) => Named::Customer(name.to_owned()),
    }
}

fn own(name: &str, caller: &Caller) -> Result<CustomerId, Problem> {
    if name == "me" || name == caller.id().as_str() {
        Ok(caller.id().clone())
    } else {
        Err(error::no_such_basket())
    }
}
