//! Reading and changing baskets, with what their products cost now.

use shared::ids::{CustomerId, ProductId};
use shared::quantity::Quantity;
use thiserror::Error;

use crate::clients::product::{Found, Product, ProductClient, State, Unavailable};
use crate::clock;
use crate::domain::{Basket, BasketId, ChangeRefused, GuestId, LineChange, MergeRefused, MergeStrategy, Snapshot};
use crate::store::{ChangeError, Repeat, SaveBothError, SaveError, Store, StoreError, pause};

/// The baskets and the products in them.
#[derive(Clone)]
pub struct Baskets {
    /// The baskets.
    pub store: Store,
    /// Their products.
    pub products: ProductClient,
}

/// A basket with its products as they are now; without them when the product service is away.
#[derive(Clone, Debug)]
pub struct Priced {
    /// The basket.
    pub basket: Basket,
    /// Those of its products that there are.
    pub products: Option<Found>,
}

/// Why a basket was not read or changed.
#[derive(Debug, Error)]
pub enum BasketError {
    /// It did not take the change, or there is none.
    #[error("the basket was not changed")]
    Refused(#[source] ChangeRefused),
    /// There is no such product, or it is not sold any more.
    #[error("the product is not sold")]
    ProductUnavailable,
    /// A new line needs a name and a price, and nobody knows them.
    #[error("the product is not known")]
    Products(#[from] Unavailable),
    /// The table. For an add it is not known whether it took effect.
    #[error("the basket could not be read or stored")]
    Store(#[from] StoreError),
    /// Others keep changing it.
    #[error("the basket keeps changing")]
    Contended,
}

/// Why a guest basket was not taken over.
#[derive(Debug, Error)]
pub enum MergeError {
    /// There is no such guest basket.
    #[error("there is no such guest basket")]
    NotFound,
    /// The rules do not allow it.
    #[error("the baskets were not merged")]
    Refused(#[from] MergeRefused),
    /// The table. It is not known whether they were merged: the same request again tells.
    #[error("the baskets could not be read or stored")]
    Store(#[from] StoreError),
    /// Others keep changing them.
    #[error("the baskets keep changing")]
    Contended,
}

/// How often a change begins again because the basket changed under it.
const TRIES: u32 = 6;

impl Baskets {
    /// A new basket of a guest. 1 round trip, 1 WCU.
    ///
    /// # Errors
    /// See [`BasketError`].
    pub async fn create_guest(&self, id: GuestId) -> Result<Priced, BasketError> {
        let basket = self.store.create_guest(id, clock::now()).await?;
        Ok(Priced {
            basket,
            products: Some(Found::new()),
        })
    }

    /// The basket, its last change included. 1 round trip, 1 RCU for each 4 KB.
    ///
    /// # Errors
    /// See [`BasketError`].
    pub async fn read(&self, id: &BasketId) -> Result<Priced, BasketError> {
        let basket = self.current(id).await?.1;
        Ok(self.priced(basket).await)
    }

    /// Adds so many of a product to what is there. 1 round trip, 1 WCU for each KB.
    ///
    /// # Errors
    /// See [`BasketError`].
    pub async fn add(&self, id: &BasketId, product: ProductId, quantity: Quantity) -> Result<Priced, BasketError> {
        let found = self.products.recent([product]).await;
        let new = match &found {
            Ok(found) => {
                let Some(snapshot) = snapshot(found.get(&product)) else {
                    // Whether there is such a basket at all comes first.
                    let basket = self.current(id).await?.1;
                    return Err(match basket.merged_into {
                        Some(_) => BasketError::Refused(ChangeRefused::Merged),
                        None => BasketError::ProductUnavailable,
                    });
                };
                Some(snapshot)
            }
            // More of what is there already can be had without asking.
            Err(_away) => None,
        };
        self.change(id, product, &LineChange::Add { quantity, new }, found)
            .await
    }

    /// Makes it so many of a product. 1 round trip, 1 WCU for each KB.
    ///
    /// # Errors
    /// See [`BasketError`].
    pub async fn set(&self, id: &BasketId, product: ProductId, quantity: Quantity) -> Result<Priced, BasketError> {
        let found = self.products.recent([product]).await;
        // What is there already may be set also when it is not sold any more.
        let new = found.as_ref().ok().and_then(|found| snapshot(found.get(&product)));
        self.change(id, product, &LineChange::Set { quantity, new }, found)
            .await
    }

    async fn change(
        &self,
        id: &BasketId,
        product: ProductId,
        change: &LineChange,
        found: Result<Found, Unavailable>,
    ) -> Result<Priced, BasketError> {
        match (self.store.change_line(id, &product, change, clock::now()).await, found) {
            (Ok(basket), Ok(_)) => Ok(self.priced(basket).await),
            // It has just been asked, for as long as it gets.
            (Ok(basket), Err(away)) => {
                tell_of_stale(&away);
                Ok(Priced { basket, products: None })
            }
            (Err(ChangeError::Refused(refusal)), found) => Err(match (refusal.why, found) {
                (ChangeRefused::NoSuchLine, Ok(_)) => BasketError::ProductUnavailable,
                (ChangeRefused::NoSuchLine, Err(away)) => BasketError::Products(away),
                (why, _) => BasketError::Refused(why),
            }),
            (Err(ChangeError::Store(error)), _) => Err(error.into()),
        }
    }

    /// Takes a line out; without such a line the basket is as it should be. 1 round trip, 1 WCU for
    /// each KB.
    ///
    /// # Errors
    /// See [`BasketError`].
    pub async fn remove(&self, id: &BasketId, product: ProductId) -> Result<Priced, BasketError> {
        let basket = match self
            .store
            .change_line(id, &product, &LineChange::Remove, clock::now())
            .await
        {
            Ok(basket) => basket,
            Err(ChangeError::Refused(refusal)) if refusal.why == ChangeRefused::NoSuchLine => refusal.basket,
            Err(ChangeError::Refused(refusal)) => return Err(BasketError::Refused(refusal.why)),
            Err(ChangeError::Store(error)) => return Err(error.into()),
        };
        Ok(self.priced(basket).await)
    }

    /// Takes all lines out; a checkout under way goes on. 2 round trips, 1 RCU for each 4 KB, 1 WCU for
    /// each KB; 1 round trip where there is nothing in it.
    ///
    /// # Errors
    /// See [`BasketError`].
    pub async fn empty(&self, id: &BasketId) -> Result<Priced, BasketError> {
        for tries in 0..TRIES {
            let (stored, basket) = self.current(id).await?;
            if basket.merged_into.is_some() {
                return Err(BasketError::Refused(ChangeRefused::Merged));
            }
            let done = match basket.lines.is_empty() {
                true => Ok(basket),
                false => {
                    self.store
                        .save(stored.as_ref(), basket.emptied(clock::now()), Repeat::Unanswered)
                        .await
                }
            };
            match done {
                Ok(basket) => {
                    return Ok(Priced {
                        basket,
                        products: Some(Found::new()),
                    });
                }
                Err(SaveError::Changed(_)) => pause(tries).await,
                Err(SaveError::Store(error)) => return Err(error.into()),
            }
        }
        Err(BasketError::Contended)
    }

    /// Takes a guest basket over into the customer's, which twice is the same as once. 2 round trips,
    /// 1 RCU for each 4 KB and 2 WCU for each KB of each; 1 round trip where it was done before.
    ///
    /// # Errors
    /// See [`MergeError`].
    pub async fn merge(
        &self,
        owner: &CustomerId,
        from: GuestId,
        strategy: MergeStrategy,
    ) -> Result<Priced, MergeError> {
        let (into, from) = (BasketId::Customer(owner.clone()), BasketId::Guest(from));
        for tries in 0..TRIES {
            let [target, source] = self.store.read_both(&into, &from).await?;
            let now = clock::now();
            let counts = target
                .clone()
                .and_then(|target| target.at(now))
                .unwrap_or(Basket::fresh(into.clone()));
            let Some(guest) = source.clone().and_then(|source| source.at(now)) else {
                return Err(MergeError::NotFound);
            };
            let Some(merged) = counts.take_over(owner, &guest, strategy, now)? else {
                return Ok(self.priced(counts).await);
            };
            let changes = [(target.as_ref(), merged.target), (source.as_ref(), merged.source)];
            match self.store.save_both(changes).await {
                Ok([basket, _]) => return Ok(self.priced(basket).await),
                Err(SaveBothError::Changed) => pause(tries).await,
                Err(SaveBothError::Store(error)) => return Err(error.into()),
            }
        }
        Err(MergeError::Contended)
    }

    /// As it lies in the table, and as it counts now.
    async fn current(&self, id: &BasketId) -> Result<(Option<Basket>, Basket), BasketError> {
        let stored = self.store.read(id).await?;
        let counts = match (&stored, id) {
            (Some(stored), _) => stored.clone().at(clock::now()),
            (None, BasketId::Customer(_)) => Some(Basket::fresh(id.clone())),
            (None, BasketId::Guest(_)) => None,
        };
        counts
            .map(|basket| (stored, basket))
            .ok_or(BasketError::Refused(ChangeRefused::NotFound))
    }

    async fn priced(&self, basket: Basket) -> Priced {
        let products = match basket.lines.is_empty() {
            true => Some(Found::new()),
            false => {
                let found = self.products.recent(basket.lines.keys().copied()).await;
                found.inspect_err(tell_of_stale).ok()
            }
        };
        Priced { basket, products }
    }
}

/// The request does not fail for it: what is shown says that it is not of now.
fn tell_of_stale(away: &Unavailable) {
    tracing::warn!(error = %away, "products could not be asked for: a basket is shown as it was");
}

fn snapshot(product: Option<&Product>) -> Option<Snapshot> {
    let sold = product.filter(|product| product.state == State::Active)?;
    Some(Snapshot {
        name: sold.name.clone(),
        unit_price: sold.price,
        added_at: clock::now(),
    })
}
