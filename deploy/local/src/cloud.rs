//! What a service's tests stand on: one [`Cloud`] for the test process, and in it a [`Deployment`] for each test, with
//! its own bus, queues, user pool and tables.

use std::path::PathBuf;
use std::sync::{OnceLock, mpsc};
use std::thread;

use anyhow::Context;
use clap::Parser;
use tempfile::TempDir;
use uuid::Uuid;

use crate::deployment::Deployment;
use crate::ministack::{Ministack, Options, State};
use crate::stacks::{Plan, Stack};
use crate::tables::Tables;

/// What the tests take from the environment.
#[derive(Parser)]
#[command(ignore_errors = true)]
struct Environment {
    /// Where the tables are, instead of in memory: any DynamoDB, or the word `ministack`.
    #[arg(long, env)]
    tables_endpoint: Option<String>,
}

/// Stand-ins for AWS, shared by all tests of a process and gone with it.
pub struct Cloud {
    ministack: String,
    tables: String,
    log: PathBuf,
}

impl Cloud {
    /// This process's cloud, started by the first who asks. May be called from any runtime, or none.
    ///
    /// # Panics
    ///
    /// When it cannot be started: no test that needs it may pass.
    #[expect(
        clippy::panic,
        reason = "only tests call this, and the reason has to reach whoever reads their output"
    )]
    pub fn for_tests() -> &'static Self {
        static CLOUD: OnceLock<Cloud> = OnceLock::new();
        CLOUD.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("the tests' cloud: {error:#}")))
    }

    /// Makes what the templates of these stacks say, under a name of its own, and the platform's in any case.
    ///
    /// # Errors
    ///
    /// When a template is refused; the message names the stack, the resource and the reason.
    pub async fn deploy(&self, stacks: &[Stack]) -> anyhow::Result<Deployment> {
        let plan = Plan {
            prefix: format!("t{}", Uuid::new_v4().simple()),
            endpoint: self.ministack.clone(),
            stacks: stacks.to_vec(),
        };
        Deployment::of(&plan, &self.tables)
            .await
            .with_context(|| format!("deployment for a test (ministack's log: {})", self.log.display()))
    }

    /// Where ministack listens.
    pub fn ministack_url(&self) -> &str {
        &self.ministack
    }

    /// Where the tables are.
    pub fn tables_url(&self) -> &str {
        &self.tables
    }

    /// Starts the parts on a thread and a runtime of their own, since a test's runtime ends with the test.
    fn start() -> anyhow::Result<Self> {
        let (tell, told) = mpsc::channel();
        thread::Builder::new()
            .name("cloud".to_owned())
            .spawn(move || run(&tell))?;
        told.recv().context("the thread ended")?
    }
}

fn run(tell: &mpsc::Sender<anyhow::Result<Cloud>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let parts = runtime.block_on(start())?;
        Ok((runtime, parts))
    });
    match outcome {
        Err(error) => {
            let _ = tell.send(Err(error));
        }
        Ok((runtime, parts)) => {
            let _ = tell.send(Ok(parts.cloud()));
            // Until the process ends.
            runtime.block_on(std::future::pending::<()>());
        }
    }
}

struct Parts {
    ministack: Ministack,
    #[expect(dead_code, reason = "held so that it goes on serving")]
    tables: Option<Tables>,
    tables_url: String,
    folder: TempDir,
}

impl Parts {
    fn cloud(&self) -> Cloud {
        Cloud {
            ministack: self.ministack.url(),
            tables: self.tables_url.clone(),
            log: log(&self.folder),
        }
    }
}

async fn start() -> anyhow::Result<Parts> {
    let folder = tempfile::Builder::new().prefix("ministack-").tempdir()?;
    let options = Options {
        port: None,
        folder: folder.path().to_owned(),
        state: State::Forgotten,
        log: log(&folder),
    };
    let ministack = Ministack::start(&options).await?;
    let (tables, tables_url) = match Environment::parse_from([""]).tables_endpoint.as_deref() {
        None | Some("") => {
            let tables = Tables::in_memory().await?;
            let url = tables.url();
            (Some(tables), url)
        }
        Some("ministack") => (None, ministack.url()),
        Some(elsewhere) => (None, elsewhere.to_owned()),
    };
    Ok(Parts {
        ministack,
        tables,
        tables_url,
        folder,
    })
}

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("ministack.log")
}
