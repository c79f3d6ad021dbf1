//! Orders in a small model of the world: stock, a payment provider, people, time, and workers that die
//! before their effects and after them, come late with what they found, and work from what they read
//! long ago. Whatever happens in whatever order, once everything has come to rest stock and money are
//! right.
//!
//! The model's calls are those of `crate::fulfil`: each is keyed, and the peer's own state decides.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shared::contract::checkout::{Acceptance, PaymentToken};
use shared::money::Money;
use std::time::Duration;
use uuid::Uuid;

use super::properties::{moment, order, usd};
use crate::domain::machine::Input;
use crate::domain::order::{Applied, Order, later};
use crate::domain::payment::{NextAction, PaymentState, Refund, RefundRequest, RefundState};
use crate::domain::state::{Phase, State};
use crate::domain::step::{Step, Terms};

const TERMS: Terms = Terms {
    grace: Duration::from_secs(5),
    payment_retry: Duration::from_secs(20),
    payment_deadline: Duration::from_secs(30),
    acceptance: Duration::from_secs(40),
};

/// What the product service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stock {
    Untouched,
    Held,
    Sold,
    Returned,
}

/// What the provider knows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Intent {
    None,
    Refused,
    NeedsCustomer,
    Authorized,
    Captured,
    Voided,
}

#[derive(Clone, Copy, Debug)]
enum Death {
    None,
    /// Nothing was done.
    BeforeTheEffect,
    /// It was done, and not stored.
    AfterTheEffect,
}

#[derive(Clone, Debug)]
enum Event {
    /// A worker does the next thing.
    Work(Death),
    /// A worker that read the order so many versions ago does what was next then.
    LateWorker(usize, Death),
    Asked(Ask),
    Passes(i64),
    HoldRunsOut,
    CustomerCompletes,
    ProviderGoes,
    ProviderComes,
}

#[derive(Clone, Debug)]
enum Ask {
    Accept,
    Reject,
    Cancel,
    Pay(&'static str),
    Ship,
    Deliver,
    Refund(u128, Option<i64>),
}

struct World {
    stored: Order,
    /// Every version that anybody may have read.
    read: Vec<Order>,
    stock: Stock,
    intent: Intent,
    /// The provider's answers to refunds, by key.
    refunds: BTreeMap<Uuid, Result<i64, ()>>,
    /// What was left when all of it went back.
    rest: Option<i64>,
    provider_is_there: bool,
    second: i64,
}

/// The provider did not answer.
struct Silence;

const TOKENS: [&str; 3] = ["pm_good", "pm_declined", "pm_customer"];

impl World {
    fn new(acceptance: Acceptance, token: &'static str) -> Self {
        let mut stored = order(acceptance);
        stored.payment.token = Some(PaymentToken::try_from(token.to_owned()).unwrap());
        Self {
            read: vec![stored.clone()],
            stored,
            stock: Stock::Untouched,
            intent: Intent::None,
            refunds: BTreeMap::new(),
            rest: None,
            provider_is_there: true,
            second: 0,
        }
    }

    fn total(&self) -> i64 {
        self.stored.total.amount_minor
    }

    fn given_back(&self) -> i64 {
        self.refunds.values().flatten().sum::<i64>() + self.rest.unwrap_or_default()
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Work(death) => self.work(self.stored.clone(), death),
            Event::LateWorker(ago, death) => {
                let at = self.read.len().saturating_sub(1 + ago);
                self.work(self.read[at].clone(), death);
            }
            Event::Asked(ask) => self.asked(ask),
            Event::Passes(seconds) => self.second += seconds,
            Event::HoldRunsOut => {
                if self.stock == Stock::Held {
                    self.stock = Stock::Returned;
                }
            }
            Event::CustomerCompletes => {
                if self.intent == Intent::NeedsCustomer {
                    self.intent = Intent::Authorized;
                }
            }
            Event::ProviderGoes => self.provider_is_there = false,
            Event::ProviderComes => self.provider_is_there = true,
        }
        let taken = if self.intent == Intent::Captured {
            self.total()
        } else {
            0
        };
        assert!(
            self.given_back() <= taken,
            "more went back than was taken: {}",
            self.given_back()
        );
    }

    fn asked(&mut self, ask: Ask) {
        let text = || "because".to_owned();
        let input = match ask {
            Ask::Accept => Input::Accept,
            Ask::Reject => Input::Reject { reason: text() },
            Ask::Cancel => Input::Cancel { reason: text() },
            Ask::Pay(token) => Input::Pay(PaymentToken::try_from(token.to_owned()).unwrap()),
            Ask::Ship => Input::Ship {
                carrier: text(),
                tracking: text(),
            },
            Ask::Deliver => Input::Deliver,
            Ask::Refund(id, amount) => Input::Refund(RefundRequest {
                id: Uuid::from_u128(id),
                amount: amount.map(usd),
                reason: text(),
            }),
        };
        if let Ok(Applied::Changed(after)) = self.stored.apply(input, moment(self.second)) {
            self.store(&self.stored.clone(), *after);
        }
    }

    /// One step of a worker that has read `order`.
    fn work(&mut self, order: Order, death: Death) {
        if matches!(death, Death::BeforeTheEffect) {
            return;
        }
        let now = moment(self.second).now;
        let found = match order.step(now, &TERMS) {
            Step::Wait(_) => return,
            Step::Decide(input) => Ok(input),
            Step::Place => self.place(&order),
            Step::LookUpPayment => self.payment_of(&order),
            Step::Confirm => self.confirm(&order),
            Step::Refund(refund) => self.refund(&refund),
            Step::Undo => self.undo(&order),
        };
        if matches!(death, Death::AfterTheEffect) {
            return;
        }
        let after = match found {
            Ok(input) => match order.apply(input, moment(self.second)) {
                Ok(Applied::Changed(after)) => *after,
                Ok(Applied::Unchanged) => bumped(&order),
                Err(refused) => panic!("the saga asks for what cannot be: {refused}"),
            },
            Err(Silence) => {
                let mut after = bumped(&order);
                after.note_silence(now);
                after
            }
        };
        self.store(&order, after);
    }

    /// The one conditional write.
    fn store(&mut self, before: &Order, after: Order) {
        if self.stored.version != before.version {
            return;
        }
        let decided = matches!(after.state, State::Confirming(_)) || self.stored.state.phase() != Phase::Placed;
        assert!(
            self.intent != Intent::Captured || decided,
            "captured before it was decided"
        );
        assert!(self.stock != Stock::Sold || decided, "sold before it was decided");
        assert!(after.sequence >= self.stored.sequence);
        let promised: i64 = after
            .payment
            .refunds
            .iter()
            .filter(|refund| refund.state != RefundState::Refused)
            .map(|refund| refund.amount.amount_minor)
            .sum();
        assert!(
            promised <= after.payment.captured(after.total).amount_minor,
            "more is promised than was taken"
        );
        self.stored = after;
        self.read.push(self.stored.clone());
    }

    fn answering(&self) -> Result<(), Silence> {
        if self.provider_is_there { Ok(()) } else { Err(Silence) }
    }

    fn place(&mut self, order: &Order) -> Result<Input, Silence> {
        match self.stock {
            Stock::Untouched => self.stock = Stock::Held,
            Stock::Held | Stock::Sold => {}
            Stock::Returned => return Ok(Input::HoldLost),
        }
        self.answering()?;
        if matches!(self.intent, Intent::None | Intent::Refused | Intent::NeedsCustomer) {
            let token = order.payment.token.as_ref().unwrap().expose();
            self.intent = match token {
                "pm_good" => Intent::Authorized,
                "pm_declined" => Intent::Refused,
                _ => Intent::NeedsCustomer,
            };
        }
        self.payment_of(order)
    }

    fn payment_of(&self, order: &Order) -> Result<Input, Silence> {
        self.answering()?;
        let now = moment(self.second).now;
        Ok(match self.intent {
            Intent::Authorized | Intent::Captured => Input::Authorized {
                answer_by: later(now, TERMS.acceptance),
            },
            Intent::NeedsCustomer => {
                let action = NextAction {
                    kind: "redirect_to_url".to_owned(),
                    url: None,
                };
                order.needs_customer(action, now, &TERMS)
            }
            Intent::None | Intent::Refused | Intent::Voided => order.declined(now, &TERMS),
        })
    }

    fn confirm(&mut self, _: &Order) -> Result<Input, Silence> {
        match self.stock {
            Stock::Held => self.stock = Stock::Sold,
            Stock::Sold => {}
            Stock::Untouched | Stock::Returned => return Ok(Input::HoldLost),
        }
        self.answering()?;
        match self.intent {
            Intent::Authorized => self.intent = Intent::Captured,
            Intent::Captured => {}
            Intent::None | Intent::Refused | Intent::NeedsCustomer | Intent::Voided => {
                return Ok(Input::CaptureRefused);
            }
        }
        Ok(Input::Fulfilled)
    }

    fn refund(&mut self, refund: &Refund) -> Result<Input, Silence> {
        self.answering()?;
        let left = self.total() - self.given_back();
        let minor = refund.amount.amount_minor;
        // Every seventh is refused for a reason of the provider's own.
        let made = self.intent == Intent::Captured && minor <= left && minor % 7 != 0;
        let answer = self
            .refunds
            .entry(refund.id)
            .or_insert(if made { Ok(minor) } else { Err(()) });
        Ok(match answer {
            Ok(_) => Input::RefundDone(refund.id),
            Err(()) => Input::RefundRefused(refund.id),
        })
    }

    fn undo(&mut self, order: &Order) -> Result<Input, Silence> {
        self.stock = Stock::Returned;
        self.answering()?;
        if self.intent != Intent::Captured {
            self.intent = Intent::Voided;
            return Ok(Input::Undone { refunded: None });
        }
        if self.rest.is_none() {
            self.rest = Some(self.total() - self.given_back());
        }
        let refunded = order.payment.refunded(order.total).unwrap();
        let rest: Money = order.total.checked_sub(refunded).unwrap();
        Ok(Input::Undone { refunded: Some(rest) })
    }

    /// Everybody is there again, and as much time passes as it takes.
    fn comes_to_rest(&mut self) {
        self.provider_is_there = true;
        for _ in 0..200 {
            let now = moment(self.second).now;
            match self.stored.step(now, &TERMS) {
                Step::Wait(None) => return,
                Step::Wait(Some(until)) => self.second = until.as_second().max(self.second + 1),
                Step::LookUpPayment => {
                    self.happens(Event::Work(Death::None));
                    self.second += 1;
                }
                Step::Place | Step::Decide(_) | Step::Confirm | Step::Refund(_) | Step::Undo => {
                    self.happens(Event::Work(Death::None));
                }
            }
        }
        panic!(
            "it never comes to rest: {:?} {:?}",
            self.stored.state, self.stored.payment
        );
    }

    fn check_at_rest(&self) {
        let order = &self.stored;
        let refunded = order.payment.refunded(order.total).unwrap().amount_minor;
        let captured = order.payment.captured(order.total).amount_minor;
        assert!(captured == self.total() || captured == 0);
        assert!(refunded <= captured);
        match order.state {
            State::Confirmed | State::Shipped | State::Delivered => {
                assert_eq!(self.stock, Stock::Sold);
                assert_eq!(self.intent, Intent::Captured);
                assert_eq!(order.payment.state, PaymentState::Captured);
                assert_eq!(refunded, self.given_back(), "the order knows what went back");
            }
            State::Failed(_) | State::Cancelled => {
                assert!(
                    !matches!(self.stock, Stock::Held | Stock::Sold),
                    "{:?} is kept",
                    self.stock
                );
                match self.intent {
                    Intent::Captured => assert_eq!(self.given_back(), self.total(), "all of it goes back"),
                    Intent::Voided => assert_eq!(self.given_back(), 0),
                    Intent::None | Intent::Refused | Intent::NeedsCustomer | Intent::Authorized => {
                        panic!("the payment can still come to something: {:?}", self.intent)
                    }
                }
                assert_eq!(refunded, captured, "the order knows that all went back");
            }
            State::Pending(_)
            | State::AwaitingAcceptance { .. }
            | State::Confirming(_)
            | State::Failing(..)
            | State::Cancelling(_) => panic!("{:?} is no end", order.state),
        }
        assert_eq!(order.payment.next_refund(), None, "every refund has its answer");
        assert!(order.answer.is_some(), "its checkout is answered");
        let sequences: Vec<_> = order.outbox.iter().map(|event| event.sequence).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
        let answers = order
            .outbox
            .iter()
            .filter(|event| Some(event.id) == order.answer.as_ref().map(|one| one.id));
        assert_eq!(answers.count(), 1);
    }
}

/// A write that says nothing but that it was looked at.
fn bumped(order: &Order) -> Order {
    let mut after = order.clone();
    after.version += 1;
    after.attempts += 1;
    after
}

fn any_event() -> impl Strategy<Value = Event> {
    let death = || {
        prop_oneof![
            6 => Just(Death::None),
            1 => Just(Death::BeforeTheEffect),
            2 => Just(Death::AfterTheEffect),
        ]
    };
    prop_oneof![
        8 => death().prop_map(Event::Work),
        4 => (0_usize..8, death()).prop_map(|(ago, death)| Event::LateWorker(ago, death)),
        6 => any_ask().prop_map(Event::Asked),
        3 => (1_i64..25).prop_map(Event::Passes),
        1 => Just(Event::HoldRunsOut),
        1 => Just(Event::CustomerCompletes),
        1 => Just(Event::ProviderGoes),
        2 => Just(Event::ProviderComes),
    ]
}

fn any_ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        2 => Just(Ask::Accept),
        1 => Just(Ask::Reject),
        1 => Just(Ask::Cancel),
        3 => prop::sample::select(TOKENS.to_vec()).prop_map(Ask::Pay),
        1 => Just(Ask::Ship),
        1 => Just(Ask::Deliver),
        4 => (0_u128..6, prop::option::of(1_i64..700)).prop_map(|(id, amount)| Ask::Refund(id, amount)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What takes long to get to is begun with.
    #[test]
    fn whatever_comes_after_it_was_confirmed_stock_and_money_are_right_in_the_end(
        events in prop::collection::vec(any_event(), 0..30),
    ) {
        let mut world = World::new(Acceptance::Auto, "pm_good");
        world.happens(Event::Passes(6));
        world.happens(Event::Work(Death::None));
        world.happens(Event::Work(Death::None));
        assert_eq!(world.stored.state, State::Confirmed);
        for event in events {
            world.happens(event);
        }
        world.comes_to_rest();
        world.check_at_rest();
    }

    #[test]
    fn whoever_dies_or_comes_late_stock_and_money_are_right_in_the_end(
        manual: bool,
        token in prop::sample::select(TOKENS.to_vec()),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let acceptance = if manual { Acceptance::Manual } else { Acceptance::Auto };
        let mut world = World::new(acceptance, token);
        for event in events {
            world.happens(event);
        }
        world.comes_to_rest();
        world.check_at_rest();
        // Whoever still works from what they once read changes nothing any more.
        for ago in 0..world.read.len() {
            world.happens(Event::LateWorker(ago, Death::None));
        }
        world.comes_to_rest();
        world.check_at_rest();
    }
}
