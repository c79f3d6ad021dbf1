//! What a run is going to do, all of it thrown before it begins: what is in the shop, what each customer does, when what
//! is killed. Which of two things that happen at once comes first is not in it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dice::Dice;
use crate::part::Part;

/// What kind of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scene {
    /// Everything at once: faults on every wire, kills, lost messages
    Storm,
    /// The product service hangs for a while, and nothing else goes wrong
    Pause,
    /// Everybody after the same few pieces, with conflicts in three of ten transactions
    Contention,
    /// Nothing goes wrong: what whole orders cost
    Bills,
}

impl Scene {
    /// As it is asked for.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Storm => "storm",
            Self::Pause => "pause",
            Self::Contention => "contention",
            Self::Bills => "bills",
        }
    }
}

/// A product of the run's shop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Good {
    pub(crate) sku: String,
    /// In minor units.
    pub(crate) price: i64,
    /// Pieces at the start.
    pub(crate) on_hand: u32,
}

/// How many of which, by the good's place in [`Plan::goods`].
pub(crate) type Lines = BTreeMap<usize, u32>;

/// By which way an order comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    /// Through the customer's basket.
    Basket,
    /// `POST /v1/orders`.
    Direct,
}

/// How it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Payment {
    Approved,
    Declined,
    /// The provider takes longer than anybody waits.
    Slow,
    /// The provider's answer never comes.
    Lost,
    /// Not through us: the merchant is asked, and says yes.
    OnAccount,
    /// Not through us: the merchant is asked, and says no.
    Rejected,
}

impl Payment {
    /// The sandbox's test token, if there is one.
    pub(crate) const fn token(self) -> Option<&'static str> {
        match self {
            Self::Approved => Some("pm_card_visa"),
            Self::Declined => Some("pm_card_chargeDeclined"),
            Self::Slow => Some("pm_slow"),
            Self::Lost => Some("pm_lost"),
            Self::OnAccount | Self::Rejected => None,
        }
    }
}

/// Who cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Canceller {
    Customer,
    Merchant,
}

/// One order, as its customer means it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Purchase {
    pub(crate) route: Route,
    pub(crate) lines: Lines,
    pub(crate) payment: Payment,
    /// Two requests with one key at the same moment, as a double click sends them.
    pub(crate) twice: bool,
    /// Cancelled so long after it was accepted.
    pub(crate) cancelled: Option<(Canceller, Duration)>,
}

/// Something that is done to the system, so long after the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kill {
    pub(crate) after: Duration,
    pub(crate) part: Part,
    /// How long it stays away.
    pub(crate) down: Duration,
}

/// A whole run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) scene: Scene,
    pub(crate) seed: u64,
    pub(crate) goods: Vec<Good>,
    /// Each customer's purchases, one after the other.
    pub(crate) customers: Vec<Vec<Purchase>>,
}

/// Enough of each that nobody goes without.
const PLENTY: u32 = 1_000_000;
const PLENTIFUL: usize = 12;
const SCARCE: usize = 4;
/// Of what is wanted of a scarce product, so much is there.
const SCARCE_PER_MILLE: u64 = 600;
/// Pieces that everybody is after in [`Scene::Contention`].
const CONTENDED: u32 = 50;
/// Product, basket and order service: how often in a row of kills each comes.
const KILLED: [(u64, Part); 3] = [
    (3, Part::ProductService),
    (3, Part::BasketService),
    (4, Part::OrderService),
];

impl Plan {
    pub(crate) fn new(scene: Scene, seed: u64, orders: usize, customers: usize) -> Self {
        let mut bought = vec![Vec::new(); customers];
        for number in 0..orders {
            let mut dice = Dice::of(seed, "purchase", u64::try_from(number).unwrap_or(u64::MAX));
            let purchase = match scene {
                Scene::Storm => storm(&mut dice),
                Scene::Pause => pause(&mut dice),
                Scene::Contention => simple([(0, 1)].into()),
                Scene::Bills => continue,
            };
            let customer = number.checked_rem(customers).and_then(|place| bought.get_mut(place));
            customer
                .into_iter()
                .for_each(|customer| customer.push(purchase.clone()));
        }
        let mut plan = Self {
            scene,
            seed,
            goods: Vec::new(),
            customers: bought,
        };
        plan.goods = plan.stocked();
        plan
    }

    /// What is in the shop: of scarce goods less than is wanted.
    fn stocked(&self) -> Vec<Good> {
        if self.scene == Scene::Contention {
            return vec![good("contended", 0, 1_999, CONTENDED)];
        }
        let plentiful = (0..PLENTIFUL).map(|place| good("plentiful", place, 500 + 137 * number(place), PLENTY));
        let scarce = (PLENTIFUL..PLENTIFUL + SCARCE).map(|place| {
            let wanted: u64 = self.purchases().map(|purchase| pieces(&purchase.lines, place)).sum();
            let there = u32::try_from(wanted * SCARCE_PER_MILLE / 1_000).unwrap_or(PLENTY);
            good("scarce", place, 2_000 + 91 * number(place), there)
        });
        plentiful.chain(scarce).collect()
    }

    /// Every purchase of everybody.
    pub(crate) fn purchases(&self) -> impl Iterator<Item = &Purchase> {
        self.customers.iter().flatten()
    }

    /// What these cost, in minor units.
    pub(crate) fn total(&self, lines: &Lines) -> i64 {
        let line = |(place, quantity): (&usize, &u32)| {
            self.goods
                .get(*place)
                .map_or(0, |good| good.price * i64::from(*quantity))
        };
        lines.iter().map(line).sum()
    }

    /// The row of kills, without an end.
    pub(crate) fn kills(&self) -> impl Iterator<Item = Kill> + use<> {
        let mut dice = Dice::of(self.seed, "kills", 0);
        std::iter::repeat_with(move || Kill {
            after: dice.milliseconds(800, 3_500),
            part: dice.weighed(&KILLED).unwrap_or(Part::OrderService),
            down: dice.milliseconds(0, 1_200),
        })
    }

    /// A short text that is the same for the same plan and, but for chance, for no other.
    pub(crate) fn digest(&self) -> String {
        use std::hash::{Hash, Hasher};
        // FNV-1a: the standard library's may change between releases.
        struct Digest(u64);
        impl Hasher for Digest {
            fn finish(&self) -> u64 {
                self.0
            }
            fn write(&mut self, bytes: &[u8]) {
                for byte in bytes {
                    self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
        let mut digest = Digest(0xcbf2_9ce4_8422_2325);
        (self.scene.name(), &self.goods, &self.customers).hash(&mut digest);
        self.kills().take(100).for_each(|kill| kill.hash(&mut digest));
        format!("{:016x}", digest.finish())
    }
}

fn number(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(0)
}

fn good(kind: &str, place: usize, price: i64, on_hand: u32) -> Good {
    Good {
        sku: format!("{kind}-{place:02}"),
        price,
        on_hand,
    }
}

fn pieces(lines: &Lines, place: usize) -> u64 {
    lines.get(&place).copied().map_or(0, u64::from)
}

fn simple(lines: Lines) -> Purchase {
    Purchase {
        route: Route::Basket,
        lines,
        payment: Payment::Approved,
        twice: false,
        cancelled: None,
    }
}

/// Nothing but what succeeds: the pause is the only reason for anything to be late.
fn pause(dice: &mut Dice) -> Purchase {
    let mut purchase = simple(lines(dice, false));
    if dice.chance(300) {
        purchase.route = Route::Direct;
    }
    purchase
}

fn storm(dice: &mut Dice) -> Purchase {
    let route = if dice.chance(800) { Route::Basket } else { Route::Direct };
    let (on_account, rejected) = match route {
        // A basket's checkout may go without a token as well.
        Route::Basket => (20, 10),
        Route::Direct => (120, 60),
    };
    let payments = [
        (700, Payment::Approved),
        (110, Payment::Declined),
        (40, Payment::Slow),
        (60, Payment::Lost),
        (on_account, Payment::OnAccount),
        (rejected, Payment::Rejected),
    ];
    let cancellers = [(2, Canceller::Customer), (1, Canceller::Merchant)];
    let scarce = dice.chance(200);
    Purchase {
        route,
        lines: lines(dice, scarce),
        payment: dice.weighed(&payments).unwrap_or(Payment::Approved),
        twice: dice.chance(80),
        cancelled: dice.chance(120).then(|| {
            let who = dice.weighed(&cancellers).unwrap_or(Canceller::Customer);
            (who, dice.milliseconds(0, 4_000))
        }),
    }
}

/// One to four different goods, one of them perhaps scarce.
fn lines(dice: &mut Dice, scarce: bool) -> Lines {
    let mut lines: Lines = (0..dice.between(1, 3))
        .map(|_| (place(dice, 0, PLENTIFUL), quantity(dice)))
        .collect();
    if scarce {
        lines.insert(place(dice, PLENTIFUL, SCARCE), quantity(dice));
    }
    lines
}

fn place(dice: &mut Dice, first: usize, many: usize) -> usize {
    let throw = dice.below(u64::try_from(many).unwrap_or(0));
    first + usize::try_from(throw).unwrap_or(0)
}

fn quantity(dice: &mut Dice) -> u32 {
    u32::try_from(dice.between(1, 4)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_plan() {
        let of = |seed| Plan::new(Scene::Storm, seed, 500, 20);
        assert_eq!(of(42).digest(), of(42).digest());
        assert_eq!(of(42).customers, of(42).customers);
        assert_ne!(of(42).digest(), of(43).digest());
    }

    /// Whoever changes what is thrown makes old seeds say something else: that is to be seen.
    #[test]
    fn a_seed_says_the_same_in_every_build() {
        assert_eq!(Plan::new(Scene::Storm, 42, 500, 20).digest(), "cb677e6068d6ad3e");
    }

    #[test]
    fn a_storm_has_something_of_everything() {
        let plan = Plan::new(Scene::Storm, 42, 1_000, 20);
        assert_eq!(plan.purchases().count(), 1_000);
        for payment in [
            Payment::Approved,
            Payment::Declined,
            Payment::Slow,
            Payment::Lost,
            Payment::OnAccount,
            Payment::Rejected,
        ] {
            let many = plan.purchases().filter(|purchase| purchase.payment == payment).count();
            assert!(many > 10, "{payment:?}: {many}");
        }
        for (place, good) in plan.goods.iter().enumerate().skip(PLENTIFUL) {
            let wanted: u64 = plan.purchases().map(|purchase| pieces(&purchase.lines, place)).sum();
            assert!(
                u64::from(good.on_hand) < wanted && good.on_hand > 0,
                "{good:?} of {wanted}"
            );
        }
        assert!(plan.purchases().any(|purchase| purchase.twice));
        assert!(plan.purchases().any(|purchase| purchase.lines.len() > 2));
        let of = |who| {
            plan.purchases()
                .filter_map(|purchase| purchase.cancelled)
                .any(|(by, _)| by == who)
        };
        assert!(of(Canceller::Customer) && of(Canceller::Merchant));
        let killed: Vec<_> = plan.kills().take(30).map(|kill| kill.part).collect();
        assert!(Part::SERVICES.iter().all(|part| killed.contains(part)));
    }
}
