//! Whatever is done in whatever order: the service holds what a few lines of arithmetic say it holds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use basket_service::store::{Answered, Store};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use shared::contract::order::FailureReason;
use shared::ids::{CustomerId, OrderId};
use uuid::Uuid;

use crate::harness::{As, Plan, Shop, quantities, to_berlin, usd};

const PRICES: [i64; 3] = [1, 250, 1999];

#[derive(Clone, Debug)]
enum Step {
    Add(usize, u32),
    Set(usize, u32),
    Remove(usize),
    Empty,
    Merge(Vec<(usize, u32)>, &'static str),
    CheckOut,
    CheckOutAgain,
    Placed,
    Failed,
    LateAnswer,
}

fn step() -> impl Strategy<Value = Step> {
    let product = || 0..PRICES.len();
    let quantity = || prop_oneof![4 => 1_u32..20, 1 => 400_u32..=999];
    let brought = prop::collection::vec((product(), 1_u32..500), 0..3);
    prop_oneof![
        6 => (product(), quantity()).prop_map(|(product, n)| Step::Add(product, n)),
        3 => (product(), 0_u32..=999).prop_map(|(product, n)| Step::Set(product, n)),
        2 => product().prop_map(Step::Remove),
        1 => Just(Step::Empty),
        1 => (brought, prop_oneof![Just("sum"), Just("max")]).prop_map(|(lines, how)| Step::Merge(lines, how)),
        3 => Just(Step::CheckOut),
        1 => Just(Step::CheckOutAgain),
        2 => Just(Step::Placed),
        2 => Just(Step::Failed),
        1 => Just(Step::LateAnswer),
    ]
}

type Lines = HashMap<Uuid, u64>;

/// What a customer's basket must hold.
#[derive(Default)]
struct Model {
    lines: Lines,
    under_way: Option<(OrderId, Lines)>,
    last: Option<(String, Value)>,
    checkouts: u32,
}

struct Run<'a> {
    shop: &'a Shop,
    store: &'a Store,
    products: &'a [Uuid],
    customer: String,
    model: Model,
}

#[test]
fn a_basket_holds_what_arithmetic_says() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (shop, store) = runtime.block_on(async {
        let shop = Shop::open_with(Plan::default().with("--sweep-interval-ms=600000")).await;
        let aws = shop.aws(&shared::outgoing::Outgoing::new().unwrap()).await;
        let store = Store::new(
            aws.dynamodb(),
            shop.deployment.setting("BASKETS_TABLE").unwrap().to_owned(),
        );
        (shop, store)
    });
    let products = PRICES.map(|price| shop.catalog.sells(price));
    let customers = AtomicU32::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&prop::collection::vec(step(), 1..30), |steps| {
        let customer = format!("customer-{}", customers.fetch_add(1, Ordering::Relaxed));
        let mut run = Run {
            shop: &shop,
            store: &store,
            products: &products,
            customer,
            model: Model::default(),
        };
        runtime.block_on(async {
            for step in steps {
                run.take(&step).await;
                run.compare(&step).await;
            }
        });
        Ok(())
    });
    outcome.unwrap();
}

impl Run<'_> {
    async fn take(&mut self, step: &Step) {
        let who = self.customer.clone();
        let who = As::Customer(&who);
        match step {
            Step::Add(product, n) => {
                let product = self.products[*product];
                let sum = self.model.lines.get(&product).unwrap_or(&0) + u64::from(*n);
                let answer = self.shop.add(who, "me", product, *n).await;
                if sum > 999 {
                    answer.refused(409, "quantity_limit");
                } else {
                    answer.expect(200);
                    self.model.lines.insert(product, sum);
                }
            }
            Step::Set(product, n) => {
                let product = self.products[*product];
                self.shop.set(who, "me", product, *n).await.expect(200);
                self.model.lines.insert(product, (*n).into());
            }
            Step::Remove(product) => {
                let product = self.products[*product];
                let path = format!("/v1/baskets/me/items/{product}");
                self.shop.delete(who, &path).await.expect(200);
                self.model.lines.remove(&product);
            }
            Step::Empty => {
                self.shop.delete(who, "/v1/baskets/me").await.expect(200);
                self.model.lines.clear();
            }
            Step::Merge(brought, how) => self.merge(who, brought, how).await,
            Step::CheckOut => self.check_out(who).await,
            Step::CheckOutAgain => {
                if let Some((key, first)) = &self.model.last {
                    assert_eq!(self.shop.check_out(who, key, to_berlin()).await.expect(202), *first);
                }
            }
            Step::Placed => self.answer(true).await,
            Step::Failed => self.answer(false).await,
            Step::LateAnswer => {
                let (customer, order_id) = (self.customer_id(), OrderId::from_uuid(Uuid::new_v4()));
                let late = self.store.settle(&customer, order_id, Timestamp::now()).await.unwrap();
                assert_eq!(late, Answered::Nothing);
            }
        }
        self.model.lines.retain(|_, n| *n > 0);
    }

    async fn merge(&mut self, who: As<'_>, brought: &[(usize, u32)], how: &str) {
        let guest = self.shop.guest().await;
        let mut held = Lines::new();
        for (product, n) in brought {
            let product = self.products[*product];
            self.shop.add(As::Nobody, &guest, product, *n).await.expect(200);
            *held.entry(product).or_default() += u64::from(*n);
        }
        let together = held.iter().map(|(product, n)| {
            let own = self.model.lines.get(product).copied().unwrap_or(0);
            (*product, if how == "sum" { own + n } else { own.max(*n) }, own)
        });
        let together: Vec<_> = together.collect();
        let body = json!({"from": guest, "strategy": how});
        let merged = self
            .shop
            .send(who, Method::POST, "/v1/baskets/me/merge", Some(body))
            .await;
        if together.iter().any(|(_, n, own)| *n > 999 && n != own) {
            merged.refused(409, "quantity_limit");
        } else {
            merged.expect(200);
            self.model
                .lines
                .extend(together.into_iter().map(|(product, n, _)| (product, n)));
        }
    }

    async fn check_out(&mut self, who: As<'_>) {
        self.model.checkouts += 1;
        let key = format!("key-{}", self.model.checkouts);
        let answer = self.shop.check_out(who, &key, to_berlin()).await;
        if self.model.under_way.is_some() {
            answer.refused(409, "checkout_in_progress");
        } else if self.model.lines.is_empty() {
            answer.refused(409, "basket_empty");
        } else if self.model.lines.values().any(|n| *n > 999) {
            answer.refused(409, "quantity_limit");
        } else {
            let body = answer.expect(202);
            assert_eq!(body["total"], self.worth(&self.model.lines));
            let order_id = body["order_id"].as_str().unwrap().parse().unwrap();
            self.model.under_way = Some((order_id, std::mem::take(&mut self.model.lines)));
            self.model.last = Some((key, body));
        }
    }

    async fn answer(&mut self, placed: bool) {
        let Some((order_id, lines)) = self.model.under_way.take() else {
            return;
        };
        let (customer, now) = (self.customer_id(), Timestamp::now());
        for expected in [Answered::Settled, Answered::Nothing] {
            let answered = if placed {
                self.store.settle(&customer, order_id, now).await
            } else {
                self.store
                    .give_back(&customer, order_id, FailureReason::OutOfStock, Vec::new(), now)
                    .await
            };
            assert_eq!(answered.unwrap(), expected);
        }
        if !placed {
            for (product, n) in lines {
                *self.model.lines.entry(product).or_default() += n;
            }
        }
    }

    async fn compare(&self, step: &Step) {
        let basket = self
            .shop
            .get(As::Customer(&self.customer), "/v1/baskets/me")
            .await
            .expect(200);
        assert_eq!(quantities(&basket), self.model.lines, "after {step:?}");
        assert_eq!(basket["subtotal"], self.worth(&self.model.lines), "after {step:?}");
        let under_way = self.model.under_way.as_ref().map(|(order_id, _)| json!(order_id));
        assert_eq!(
            basket["checkout"]["order_id"],
            under_way.unwrap_or(Value::Null),
            "after {step:?}"
        );
    }

    fn worth(&self, lines: &Lines) -> Value {
        let price = |product: &Uuid| PRICES[self.products.iter().position(|known| known == product).unwrap()];
        usd(lines
            .iter()
            .map(|(product, n)| price(product) * i64::try_from(*n).unwrap())
            .sum())
    }

    fn customer_id(&self) -> CustomerId {
        self.customer.parse().unwrap()
    }
}
