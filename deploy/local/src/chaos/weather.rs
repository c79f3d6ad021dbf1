//! Which call meets which fault. A call's fate hangs on the seed, the wire, the operation and how many of its kind went
//! before it, and on nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::plan::Scene;
use crate::dice::Dice;

/// Between whom calls are looked at: from the services to what they lean on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Wire {
    /// DynamoDB.
    Tables,
    /// EventBridge, SQS, and the user pool's tokens.
    Cloud,
    /// The payment provider.
    Payments,
    /// The product service.
    Products,
}

impl Wire {
    pub(crate) const ALL: [Self; 4] = [Self::Tables, Self::Cloud, Self::Payments, Self::Products];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tables => "tables",
            Self::Cloud => "cloud",
            Self::Payments => "payments",
            Self::Products => "products",
        }
    }
}

/// What a call meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// It takes longer.
    Delayed,
    /// Busy, says the other side, and has done nothing.
    Throttled,
    /// A failure of its own, says the other side, and has done nothing.
    Failed,
    /// Somebody else is writing the same item, says the table, and has done nothing.
    Conflict,
    /// It never arrives.
    Dropped,
    /// It arrives, and its answer does not.
    AnswerLost,
    /// It arrives twice before it is answered, as after a lost answer and another try.
    Copied,
    /// It is answered, and a copy of it arrives later.
    Echoed,
    /// It is held up until the caller has given up, and arrives then.
    HeldUp,
    /// The bus takes some of the events only, and says so.
    EntriesRefused,
    /// The queue hands the messages out a second time.
    Redelivered,
}

impl Fault {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
            Self::Dropped => "dropped",
            Self::AnswerLost => "answer lost",
            Self::Copied => "copied",
            Self::Echoed => "echoed",
            Self::HeldUp => "held up",
            Self::EntriesRefused => "entries refused",
            Self::Redelivered => "redelivered",
        }
    }
}

/// What is known of a call before it is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) wire: Wire,
    /// Whether it changes anything.
    pub(crate) writes: bool,
    /// A transaction of DynamoDB's.
    pub(crate) transaction: bool,
    /// `PutEvents`.
    pub(crate) publishes: bool,
    /// `ReceiveMessage`.
    pub(crate) receives: bool,
    /// A poll, a sweep or a probe: nothing hangs on it unless it finds something.
    pub(crate) looks_only: bool,
    /// A basket's own item: a line that is set a second late would be its customer's change of mind.
    pub(crate) basket: bool,
}

/// Longer than any caller here waits for one try.
const HOLD_UP: (u64, u64) = (4_200, 6_000);
const DELAY: (u64, u64) = (5, 400);
const ECHO: (u64, u64) = (100, 3_000);

/// Fair or foul, for all wires.
#[derive(Debug)]
pub(crate) struct Weather {
    seed: u64,
    scene: Scene,
    foul: AtomicBool,
}

impl Weather {
    /// Fair at first: nothing goes wrong before [`Weather::turn`].
    pub(crate) fn new(scene: Scene, seed: u64) -> Self {
        Self {
            seed,
            scene,
            foul: AtomicBool::new(false),
        }
    }

    /// Foul, or fair again.
    pub(crate) fn turn(&self, foul: bool) {
        self.foul.store(foul, Ordering::Relaxed);
    }

    pub(crate) fn is_foul(&self) -> bool {
        self.foul.load(Ordering::Relaxed)
    }

    /// What the call of this kind, the `ordinal`th of its operation, meets; and the dice for its details.
    pub(crate) fn over(&self, kind: Kind, operation: &str, ordinal: u64) -> (Option<Fault>, Dice) {
        let mut dice = Dice::of(self.seed, operation, ordinal);
        let mut throw = dice.below(1_000);
        let chances = match self.scene {
            Scene::Storm => storm(kind),
            Scene::Contention if kind.transaction => vec![(300, Fault::Conflict)],
            Scene::Contention | Scene::Pause | Scene::Bills => vec![],
        };
        let met = chances.into_iter().find_map(|(per_mille, fault)| {
            if throw < per_mille {
                return Some(fault);
            }
            throw -= per_mille;
            None
        });
        (met, dice)
    }
}

/// Per mille of the calls of this kind.
fn storm(kind: Kind) -> Vec<(u64, Fault)> {
    let mut chances = vec![
        (25, Fault::Delayed),
        (12, Fault::Throttled),
        (6, Fault::Failed),
        (8, Fault::Dropped),
        (12, Fault::AnswerLost),
    ];
    if kind.publishes {
        chances.push((20, Fault::EntriesRefused));
    }
    if kind.receives {
        chances.push((120, Fault::Redelivered));
    }
    if kind.wire == Wire::Tables && kind.writes {
        chances.push((if kind.transaction { 80 } else { 10 }, Fault::Conflict));
    }
    if kind.writes {
        chances.push((12, Fault::Copied));
        if !kind.basket {
            chances.push((8, Fault::Echoed));
            chances.push((3, Fault::HeldUp));
        }
    }
    chances
}

/// How long a call with this fault takes longer, or comes later.
pub(crate) fn pause(fault: Fault, dice: &mut Dice) -> Duration {
    let (first, last) = match fault {
        Fault::HeldUp => HOLD_UP,
        Fault::Echoed | Fault::Redelivered => ECHO,
        Fault::Delayed => DELAY,
        Fault::Throttled
        | Fault::Failed
        | Fault::Conflict
        | Fault::Dropped
        | Fault::AnswerLost
        | Fault::Copied
        | Fault::EntriesRefused => return Duration::ZERO,
    };
    dice.milliseconds(first, last)
}
