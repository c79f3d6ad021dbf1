//! The whole system as one value: its parts started in order, reached, crashed, started again, and stopped in order.

mod bring_up;
mod steps;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, select_all};
use rustix::process::Signal;
use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::console::say;
use crate::deployment::Deployment;
use crate::instance::{Folder, Instance, Running, Secrets, Taken};
use crate::ministack::{self, Ministack};
use crate::part::Part;
use crate::payment_sandbox::PaymentSandbox;
use crate::ports::{Ports, Wishes};
use crate::process::Process;
use crate::processes::Identity;
use crate::service::{self, Entrance, Surroundings};
use crate::tables::Tables;
use crate::users::User;
use crate::{edge, loopback, users};

pub use self::steps::Progress;
use self::steps::Steps;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// What a system is made from.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its data are.
    pub folder: Folder,
    /// Where its parts listen.
    pub ports: Wishes,
    /// The folder with the services' binaries.
    pub binaries: PathBuf,
    /// What is in the shop at first.
    pub catalog: Catalog,
    /// Further customers, beside the demo users: written down with them, so that ministack knows them after a crash too.
    pub customers: Vec<String>,
    /// Settings for the services beside, and stronger than, those that are derived.
    pub settings: BTreeMap<String, String>,
    /// Who is told how far it is.
    pub progress: Progress,
}

/// What is in the shop at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catalog {
    /// The demo catalog, once.
    Demo,
    /// Nothing.
    Empty,
}

/// A running system. Dropping it ends its parts without order, as a crash would; [`System::stop`] is the way.
pub struct System {
    options: Options,
    taken: Taken,
    instance: Instance,
    ports: Ports,
    secrets: Secrets,
    steps: Steps,
    http: reqwest::Client,
    tables: Option<Tables>,
    ministack: Option<Ministack>,
    payments: Option<PaymentSandbox>,
    deployment: Option<Deployment>,
    processes: BTreeMap<Part, Process>,
    /// Where the binaries of services are that were replaced by others.
    replaced_by: BTreeMap<Part, PathBuf>,
    /// On which the services listen, for as long as they run.
    sockets: BTreeMap<Part, TcpListener>,
    mail: Option<JoinHandle<()>>,
}

impl System {
    /// Starts everything, and comes back when all of it answers.
    ///
    /// # Errors
    ///
    /// When a part cannot be started or ends; what has been started by then is stopped again.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let mut system = Self::nothing_yet(options).await?;
        match system.bring_up().await {
            Ok(()) => Ok(system),
            Err(error) => {
                // The first reason is the one to tell.
                let _ = system.stop().await;
                Err(error)
            }
        }
    }

    async fn nothing_yet(options: Options) -> anyhow::Result<Self> {
        let taken = options.folder.take().await?;
        let own = Identity::own().context("this process cannot see itself")?;
        Ok(Self {
            ports: Ports::choose(&options.ports)?,
            secrets: taken.secrets()?,
            steps: Steps::new(options.progress),
            http: loopback::http()?,
            instance: Instance {
                supervisor: own,
                ready: false,
                user_pool: None,
                parts: BTreeMap::new(),
            },
            options,
            taken,
            tables: None,
            ministack: None,
            payments: None,
            deployment: None,
            processes: BTreeMap::new(),
            replaced_by: BTreeMap::new(),
            sockets: BTreeMap::new(),
            mail: None,
        })
    }

    /// Where a part listens.
    pub fn url(&self, part: Part) -> String {
        format!("http://127.0.0.1:{}", self.ports.of(part))
    }

    /// Its data folder.
    pub fn folder(&self) -> &Folder {
        self.taken.folder()
    }

    /// The stacks, and clients for the stand-ins.
    ///
    /// # Errors
    ///
    /// Never once it has been started.
    pub fn deployment(&self) -> anyhow::Result<&Deployment> {
        self.deployment.as_ref().context("the stacks have not been made yet")
    }

    /// An access token of one of [`users::USERS`].
    ///
    /// # Errors
    ///
    /// When there is no such user, or ministack does not run.
    pub async fn token(&self, user: &str) -> anyhow::Result<String> {
        let deployment = self.deployment()?;
        users::token(&deployment.cognito()?, deployment.setting("SHOP_CLIENT_ID")?, user).await
    }

    /// An access token of a further customer, who is made if need be.
    ///
    /// # Errors
    ///
    /// When ministack does not run.
    pub async fn customer(&self, name: &str) -> anyhow::Result<String> {
        let deployment = self.deployment()?;
        let cognito = deployment.cognito()?;
        users::make_one(
            &cognito,
            deployment.setting("USER_POOL_ID")?,
            &User { name, group: None },
        )
        .await?;
        users::sign_in(&cognito, deployment.setting("SHOP_CLIENT_ID")?, name).await
    }

    /// Every payment that the sandbox knows, oldest first.
    pub fn payments(&self) -> Vec<crate::payment_sandbox::Intent> {
        self.payments.as_ref().map(PaymentSandbox::intents).unwrap_or_default()
    }

    /// Ends a part as SIGKILL does.
    ///
    /// # Errors
    ///
    /// When it does not run, or is no process of its own.
    pub async fn kill(&mut self, part: Part) -> anyhow::Result<()> {
        self.forget(part)?;
        // Whoever comes now is refused, as by a machine on which nobody listens.
        self.sockets.remove(&part);
        if part == Part::Ministack {
            return self.ministack.take().context("ministack does not run")?.kill().await;
        }
        match self.processes.remove(&part) {
            Some(process) => process.kill().await,
            None => bail!("{part} does not run as a process of its own"),
        }
    }

    /// Starts a part that has ended, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub async fn start_part(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Ministack => self.start_ministack().await,
            Part::Gateway => self.start_gateway().await,
            Part::ProductService | Part::BasketService | Part::OrderService => {
                self.spawn_service(part)?;
                self.wait_for(part).await
            }
            Part::Tables | Part::Payments => bail!("{part} runs as long as the system does"),
        }
    }

    /// Puts a new process in the place of a service without a request lost: it is started beside the one before, on the same
    /// socket; once it serves, that one is asked to stop, finishes what it has, and is waited for.
    ///
    /// # Errors
    ///
    /// When the new one does not come up, and the one before goes on; or when that one does not stop well.
    pub async fn replace(&mut self, part: Part) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let told = folder.path().join("ready");
        let ready = UnixDatagram::bind(&told)?;
        let mut next = self.new_process(part, Some(told))?;
        let mut said = [0; 64];
        tokio::select! {
            ended = next.ended() => bail!("the new {part} ended ({})", ended?),
            heard = timeout(READY_WITHIN, ready.recv(&mut said)) => {
                heard.with_context(|| format!("the new {part} did not come up"))??;
            }
        }
        self.note(part, next.identity().clone())?;
        match self.processes.insert(part, next) {
            Some(before) => before.stop(service::STOPS_WITHIN).await,
            None => Ok(()),
        }
    }

    /// The same with the binary of another release, in this folder; the part is started from there from now on.
    ///
    /// # Errors
    ///
    /// As those of [`System::replace`].
    pub async fn replace_by(&mut self, part: Part, binaries: PathBuf) -> anyhow::Result<()> {
        self.replaced_by.insert(part, binaries);
        self.replace(part).await
    }

    /// Has a part hang, as a machine does that has no time for it: it holds its connections and answers nothing.
    ///
    /// # Errors
    ///
    /// When it does not run, or is no process of its own.
    pub fn pause(&self, part: Part) -> anyhow::Result<()> {
        self.signal(part, Signal::STOP)
    }

    /// Has a part that hangs go on.
    ///
    /// # Errors
    ///
    /// When it does not run, or is no process of its own.
    pub fn resume(&self, part: Part) -> anyhow::Result<()> {
        self.signal(part, Signal::CONT)
    }

    /// Has a service read again what it reads while it runs: the levels of its log.
    ///
    /// # Errors
    ///
    /// When it does not run, or is no process of its own.
    pub fn hang_up(&self, part: Part) -> anyhow::Result<()> {
        self.signal(part, Signal::HUP)
    }

    fn signal(&self, part: Part, signal: Signal) -> anyhow::Result<()> {
        let process = self.processes.get(&part);
        let process = process.with_context(|| format!("{part} does not run as a process of its own"))?;
        process.identity().signal(signal);
        Ok(())
    }

    /// Waits until a part ends by itself, and says which, and how. It is then left out.
    pub async fn ended(&mut self) -> (Part, String) {
        let Self {
            processes, ministack, ..
        } = self;
        type End<'a> = BoxFuture<'a, (Part, std::io::Result<ExitStatus>)>;
        let of_process = processes.iter_mut().map(|(part, process)| -> End<'_> {
            let part = *part;
            async move { (part, process.ended().await) }.boxed()
        });
        let of_ministack = ministack
            .iter_mut()
            .map(|ministack| -> End<'_> { async { (Part::Ministack, ministack.ended().await) }.boxed() });
        let mut ends: Vec<_> = of_process.chain(of_ministack).collect();
        if ends.is_empty() {
            ends.push(std::future::pending().boxed());
        }
        let ((part, status), _, others) = select_all(ends).await;
        drop(others);
        self.processes.remove(&part);
        self.sockets.remove(&part);
        if part == Part::Ministack {
            self.ministack = None;
        }
        let _ = self.forget(part);
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        (
            part,
            crate::process::ended_message(part, &how, &self.folder().log(part.name())),
        )
    }

    /// Stops everything in order: the gateway once nothing is under way, the services, what they lean on, the tables.
    ///
    /// # Errors
    ///
    /// The first part that had to be killed or ended badly; the others are stopped all the same.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        if let Some(gateway) = self.processes.remove(&Part::Gateway) {
            outcomes.push(edge::stop(gateway, self.ports.admin).await);
        }
        let services = std::mem::take(&mut self.processes);
        let services = services
            .into_values()
            .map(|process| process.stop(service::STOPS_WITHIN));
        outcomes.extend(join_all(services).await);
        if let Some(mail) = self.mail.take() {
            mail.abort();
        }
        if let Some(ministack) = self.ministack.take() {
            outcomes.push(ministack.stop().await);
        }
        if let Some(payments) = self.payments.take() {
            payments.stop().await;
        }
        if let Some(tables) = self.tables.take() {
            tables.stop().await;
        }
        self.taken.clear()?;
        outcomes.into_iter().collect()
    }

    fn ministack_options(&self) -> ministack::Options {
        ministack::Options {
            port: Some(self.ports.of(Part::Ministack)),
            folder: self.folder().ministack(),
            state: ministack::State::Kept,
            log: self.folder().log(Part::Ministack.name()),
        }
    }

    async fn start_ministack(&mut self) -> anyhow::Result<()> {
        let ministack = Ministack::start(&self.ministack_options()).await?;
        self.note(Part::Ministack, ministack.identity().clone())?;
        self.ministack = Some(ministack);
        Ok(())
    }

    fn spawn_service(&mut self, part: Part) -> anyhow::Result<()> {
        let process = self.new_process(part, None)?;
        self.note(part, process.identity().clone())?;
        self.processes.insert(part, process);
        Ok(())
    }

    fn new_process(&mut self, part: Part, told: Option<PathBuf>) -> anyhow::Result<Process> {
        let socket = match self.sockets.entry(part) {
            Entry::Occupied(held) => held.get().try_clone()?,
            Entry::Vacant(place) => {
                let port = self.ports.of(part);
                let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
                let socket = socket.with_context(|| format!("{part} cannot listen on port {port}"))?;
                place.insert(socket).try_clone()?
            }
        };
        let surroundings = Surroundings {
            deployment: self.deployment()?,
            ports: &self.ports,
            secrets: &self.secrets,
            own: &self.options.settings,
        };
        let entrance = Entrance { socket, told };
        let binaries = self.replaced_by.get(&part).unwrap_or(&self.options.binaries);
        service::start(part, binaries, self.folder(), &surroundings, entrance)
    }

    async fn start_gateway(&mut self) -> anyhow::Result<()> {
        let process = edge::start(self.folder(), &self.ports, self.deployment()?, &self.options.settings).await?;
        self.note(Part::Gateway, process.identity().clone())?;
        self.processes.insert(Part::Gateway, process);
        self.wait_for(Part::Gateway).await
    }

    async fn wait_for(&mut self, part: Part) -> anyhow::Result<()> {
        let url = format!("{}{}", self.url(part), part.health_path());
        let log = self.folder().log(part.name());
        let process = self
            .processes
            .get_mut(&part)
            .with_context(|| format!("{part} does not run"))?;
        loopback::wait_for_success(&self.http, &url, READY_WITHIN, || process.still_runs())
            .await
            .with_context(|| format!("{part} did not come up (its log: {})", log.display()))
    }

    /// Writes down that a part runs.
    fn note(&mut self, part: Part, process: Identity) -> anyhow::Result<()> {
        let url = self.url(part);
        self.instance.parts.insert(part, Running { process, url });
        self.taken.write(&self.instance)
    }

    /// Writes down that a part does not run.
    fn forget(&mut self, part: Part) -> anyhow::Result<()> {
        self.instance.parts.remove(&part);
        self.taken.write(&self.instance)
    }

    fn tell(&self, line: impl std::fmt::Display) {
        if self.options.progress == Progress::Shown {
            say(line);
        }
    }
}
