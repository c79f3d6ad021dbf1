//! Seeded chaos: a whole system of its own, customers who buy, everything going wrong meanwhile, and then the invariants.
//!
//! # What comes from the seed
//!
//! The shop, each customer's purchases with their lines, payments, double clicks and changes of mind; the row of kills with
//! their times; and, for each wire and each operation on it, what the first, the second, the nth call meets. The plan's
//! digest is printed: the same seed, scene and sizes give the same digest, and the same plan.
//!
//! # What does not
//!
//! Which customer's call is the nth. The operating system decides how threads and processes take turns, so the same fault
//! may meet another order in the next run, and how many calls there are differs a little. A seed that found something finds
//! it again by meeting the same things as often, not in the same microsecond.
//!
//! The orders' fates are settled by the services alone: nothing here writes to a table. What a run leaves is judged by
//! [`Verdict`]s, from what services, stock and payment provider tell at the end and what the wires witnessed.

mod bills;
mod bus;
mod disturb;
mod invariants;
mod ledger;
pub(crate) mod patience;
mod plan;
mod proxy;
mod refusals;
mod report;
mod shoppers;
mod tally;
mod weather;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub use self::bills::BillLine;
use self::invariants::Evidence;
pub use self::invariants::Verdict;
use self::ledger::Ledger;
use self::patience::{Counted, Desk, Session};
use self::plan::Plan;
pub use self::plan::Scene;
use self::proxy::Proxy;
pub use self::report::Report;
use self::shoppers::{Bought, Shop, Shopper};
pub(crate) use self::shoppers::{address, money};
use self::tally::Tally;
use self::weather::{Weather, Wire};
use self::world::World;
use crate::console::say;
use crate::dice::Dice;
use crate::instance::Folder;
use crate::ports::{Ports, Wishes};
use crate::system::{Catalog, Options as SystemOptions, Progress};
use crate::{Part, System, loopback, reconcile, users};

/// Users made, and asked, at once.
const SIGN_INS_AT_ONCE: usize = 4;
const JUDGE_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What to do, and to what.
#[derive(Debug, Clone)]
pub struct Options {
    /// What kind of run.
    pub scene: Scene,
    /// Where everything that is decided comes from.
    pub seed: u64,
    /// How many are meant to be made. [`Scene::Bills`] makes its own.
    pub orders: usize,
    /// How many customers make them, each one after the other.
    pub customers: usize,
    /// For how long the product service hangs in [`Scene::Pause`].
    pub pause: Duration,
    /// How long customers, and the judge at the end, wait for something that does not come.
    pub patience: Duration,
    /// Where the system's data are.
    pub folder: Folder,
    /// The folder with the services' binaries.
    pub binaries: PathBuf,
    /// Who is told how far it is.
    pub progress: Progress,
}

/// A run under way: a system with its wires, its goods and its customers.
pub struct Chaos {
    options: Options,
    plan: Arc<Plan>,
    system: System,
    weather: Arc<Weather>,
    ledger: Arc<Ledger>,
    counted: Arc<Counted>,
    tally: Arc<Tally>,
    shop: Arc<Shop>,
    sessions: Vec<Arc<Session>>,
    bought: Vec<Bought>,
    notes: Vec<Verdict>,
    bills: Vec<BillLine>,
    began: Instant,
    took: Duration,
    _wires: Vec<Proxy>,
}

/// Does all of it and judges.
///
/// # Errors
///
/// When it could not be carried out; a broken invariant is no error.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    let scene = options.scene;
    let mut chaos = Chaos::start(options).await?;
    let patience = chaos.options.patience;
    let report = if scene == Scene::Bills {
        chaos.measure().await?
    } else {
        chaos.play().await?;
        chaos.judge(patience).await?
    };
    chaos.stop().await?;
    Ok(report)
}

impl Chaos {
    /// Starts the system with its wires, stocks the shop, and has the customers sign in. Nothing goes wrong yet.
    ///
    /// # Errors
    ///
    /// When a part does not come up.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        ensure!(options.customers > 0, "nobody would buy anything: --customers is 0");
        let plan = Arc::new(Plan::new(
            options.scene,
            options.seed,
            options.orders,
            options.customers,
        ));
        let weather = Arc::new(Weather::new(options.scene, options.seed));
        let ledger = Arc::new(Ledger::default());
        let ports = Ports::choose(&Wishes::any())?;
        let wires = wires(&ports, &weather, &ledger).await?;
        let system = System::start(SystemOptions {
            folder: options.folder.clone(),
            ports: ports.as_wishes(),
            binaries: options.binaries.clone(),
            catalog: Catalog::Empty,
            customers: (0..plan.customers.len()).map(name).collect(),
            settings: settings(&wires),
            progress: options.progress,
        })
        .await?;
        let tally = Arc::new(Tally::new(options.patience));
        let desk = Desk {
            cognito: system.deployment()?.cognito()?,
            client_id: system.deployment()?.setting("SHOP_CLIENT_ID")?.to_owned(),
            counted: Arc::default(),
            http: loopback::http()?,
            patience: options.patience,
        };
        let merchant = desk.session(
            "merchant".to_owned(),
            system.token("merchant").await?,
            Dice::of(options.seed, "merchant", 0),
        );
        let merchant = Arc::new(merchant);
        let gateway = system.url(Part::Gateway);
        let goods = stock(&gateway, &merchant, &plan).await?;
        let sessions = sign_in(&desk, &plan).await?;
        let shop = Shop {
            gateway,
            plan: Arc::clone(&plan),
            goods,
            merchant,
            tally: Arc::clone(&tally),
        };
        Ok(Self {
            plan,
            system,
            weather,
            ledger,
            counted: desk.counted,
            tally,
            shop: Arc::new(shop),
            sessions,
            bought: Vec::new(),
            notes: Vec::new(),
            bills: Vec::new(),
            began: Instant::now(),
            took: Duration::ZERO,
            _wires: wires.into_values().collect(),
            options,
        })
    }

    /// Lets the customers buy while the weather is foul, and comes back when all of them are done and it is quiet.
    ///
    /// # Errors
    ///
    /// When a part that was killed does not come up again.
    pub async fn play(&mut self) -> anyhow::Result<()> {
        let many: usize = self.plan.purchases().count();
        self.tell(format_args!(
            "seed {}, {}: {many} orders by {} customers; plan {}",
            self.options.seed,
            self.options.scene.name(),
            self.options.customers,
            self.plan.digest()
        ));
        self.began = Instant::now();
        self.weather.turn(true);
        let mut shoppers = JoinSet::new();
        for (number, session) in self.sessions.iter().enumerate() {
            let shopper = Shopper {
                number,
                session: Arc::clone(session),
                shop: Arc::clone(&self.shop),
            };
            shoppers.spawn(shopper.shop());
        }
        self.disturb(&mut shoppers).await?;
        self.weather.turn(false);
        self.took = self.began.elapsed();
        self.tell("quiet: no more faults, everything is up");
        Ok(())
    }

    /// Judges what there is, again and again until all of it holds, or so long.
    ///
    /// # Errors
    ///
    /// When the services cannot be asked.
    pub async fn judge(&self, within: Duration) -> anyhow::Result<Report> {
        let deadline = Instant::now() + within;
        loop {
            let world = World::gather(&self.system, &self.sessions).await?;
            let (told, internal) = (self.ledger.told(), self.counted.internal());
            let evidence = Evidence {
                plan: &self.plan,
                goods: &self.shop.goods,
                bought: &self.bought,
                world: &world,
                told: &told,
                internal: &internal,
            };
            let mut verdicts = evidence.judge();
            verdicts.extend(self.notes.iter().cloned());
            verdicts.push(self.reconciled().await?);
            if verdicts.iter().all(Verdict::holds) || Instant::now() > deadline {
                return Ok(self.report(verdicts));
            }
            sleep(JUDGE_AGAIN_AFTER).await;
        }
    }

    /// What the system's own reconciliation says.
    async fn reconciled(&self) -> anyhow::Result<Verdict> {
        let admin = self.system.token("admin").await?;
        let report = reconcile::run(&self.shop.gateway, &admin, |_| {}).await;
        let report = report.context("the reconciliation")?;
        let mut findings: Vec<_> = report.drifts.iter().map(ToString::to_string).collect();
        if !report.is_clean() && findings.is_empty() {
            findings.push(format!("not completed: {}", report.summary));
        }
        Ok(Verdict {
            name: "reconciliation clean",
            figures: report.summary.counts.to_string(),
            findings,
        })
    }

    /// The system, for a test to look at or to tamper with.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// The ids of the run's products.
    pub fn goods(&self) -> &[String] {
        &self.shop.goods
    }

    /// Stops the system in order.
    ///
    /// # Errors
    ///
    /// When a part had to be killed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.system.stop().await
    }

    fn tell(&self, line: impl std::fmt::Display) {
        if self.options.progress == Progress::Shown {
            say(line);
        }
    }
}

/// What the customer of this number signs in as.
fn name(number: usize) -> String {
    format!("shopper-{number}")
}

/// One for each thing that the services lean on.
async fn wires(ports: &Ports, weather: &Arc<Weather>, ledger: &Arc<Ledger>) -> anyhow::Result<BTreeMap<Wire, Proxy>> {
    let mut wires = BTreeMap::new();
    for wire in Wire::ALL {
        let port = ports.of(match wire {
            Wire::Tables => Part::Tables,
            Wire::Cloud => Part::Ministack,
            Wire::Payments => Part::Payments,
            Wire::Products => Part::ProductService,
        });
        let proxy = Proxy::start(wire, port, Arc::clone(weather), Arc::clone(ledger)).await?;
        wires.insert(wire, proxy);
    }
    Ok(wires)
}

/// Leads the services over the wires, and has them try again sooner than a shop would: a run is to meet many faults, and
/// not to wait for each.
fn settings(wires: &BTreeMap<Wire, Proxy>) -> BTreeMap<String, String> {
    let to = |wire: Wire| wires.get(&wire).map(Proxy::url).unwrap_or_default();
    let settings = [
        ("AWS_ENDPOINT_URL_DYNAMODB", to(Wire::Tables)),
        ("AWS_ENDPOINT_URL", to(Wire::Cloud)),
        ("PAYMENT_URL", to(Wire::Payments)),
        ("PRODUCT_SERVICE_URL", to(Wire::Products)),
        ("CHECKOUT_RETRY_S", "5".to_owned()),
        ("SWEEP_INTERVAL_MS", "1000".to_owned()),
        ("OUTBOX_DUE_MS", "5000".to_owned()),
        ("FAST_PATH_MS", "8000".to_owned()),
        ("RETRY_MS", "500".to_owned()),
        ("PAYMENT_TIMEOUT_MS", "3000".to_owned()),
        // More than the services' own: with everything on one machine a service that is only busy is not to be taken for one
        // that is away, whose work is then done over and over.
        ("PRODUCT_ATTEMPT_TIMEOUT_MS", "3000".to_owned()),
        ("PRODUCT_CALL_TIMEOUT_MS", "8000".to_owned()),
        ("PRODUCT_TIMEOUT_MS", "4000".to_owned()),
    ];
    settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Puts the plan's goods into the shop, and says under which ids.
async fn stock(gateway: &str, merchant: &Session, plan: &Plan) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for good in &plan.goods {
        let body = json!({
            "sku": good.sku, "name": good.sku, "category": "chaos", "price": shoppers::money(good.price),
        });
        let create = merchant.http().post(format!("{gateway}/v1/products")).json(&body);
        let product = merchant.ask(create).await?;
        ensure!(
            product.status == StatusCode::CREATED,
            "{} was not created: {}",
            good.sku,
            product.body
        );
        let id = product.text("/id").context("a product without an id")?.to_owned();
        let count = merchant.http().put(format!("{gateway}/v1/products/{id}/stock"));
        let count = count.header("If-Match", "*").json(&json!({"on_hand": good.on_hand}));
        let counted = merchant.ask(count).await?;
        ensure!(
            counted.status.is_success(),
            "{} was not counted: {}",
            good.sku,
            counted.body
        );
        ids.push(id);
    }
    Ok(ids)
}

async fn sign_in(desk: &Desk, plan: &Plan) -> anyhow::Result<Vec<Arc<Session>>> {
    let customers = stream::iter(0..plan.customers.len()).map(|number| async move {
        let name = name(number);
        let token = users::sign_in(&desk.cognito, &desk.client_id, &name).await?;
        let dice = Dice::of(plan.seed, "patience", u64::try_from(number).unwrap_or(0));
        anyhow::Ok(Arc::new(desk.session(name, token, dice)))
    });
    customers.buffered(SIGN_INS_AT_ONCE).try_collect().await
}
