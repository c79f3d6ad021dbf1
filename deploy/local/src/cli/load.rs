//! `load`: many users at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use jiff::SignedDuration;
use uuid::Uuid;

use crate::instance::Folder;
use crate::load::{self, Options, Report, Users};
use crate::part::Part;
use crate::system::Progress;
use crate::users;

/// What to do.
#[derive(Debug, Args)]
pub(super) struct Load {
    /// How many users at once
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    users: u32,
    /// For how long they begin new journeys, such as 60s or 5m; what they have begun is seen through
    #[arg(long, default_value = "30s", value_parser = duration)]
    duration: Duration,
    /// A shop elsewhere [default: the one that runs here]
    #[arg(long, value_name = "URL", requires = "tokens")]
    url: Option<String>,
    /// A file with an access token for each user, one a line [default: customers of the shop here, who sign in]
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// A user's pause between two steps, give or take half of it
    #[arg(long, default_value = "500ms", value_parser = duration)]
    pause: Duration,
    /// Requests a second at the most, all users together [default: as many as they make]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// What pays for orders; the default works with test keys only
    #[arg(long, default_value = "pm_card_visa", conflicts_with = "look_only")]
    payment_token: String,
    /// Nobody checks out
    #[arg(long)]
    look_only: bool,
    /// Where everything that users decide comes from [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// Print the outcome on standard output as JSON
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let no = |why: String| format!("{why}: say 500ms, 60s or 5m");
    let parsed: SignedDuration = text.parse().map_err(|fault: jiff::Error| no(fault.to_string()))?;
    Duration::try_from(parsed).map_err(|fault| no(fault.to_string()))
}

/// Success where nothing failed, 1 where something did or no order came to its end that was to, 2 where it could not be carried out.
pub(super) async fn run(folder: &Folder, asked: Load) -> ExitCode {
    let json = asked.json;
    super::concluded(carry_out(folder, asked).await, Report::holds, json)
}

async fn carry_out(folder: &Folder, asked: Load) -> anyhow::Result<Report> {
    let many = usize::try_from(asked.users)?;
    let users = match &asked.tokens {
        Some(file) => Users::Tokens(tokens(file, many)?),
        None => customers(folder, many).await?,
    };
    let url = match asked.url {
        Some(url) => url,
        None => folder.running()?.url(Part::Gateway)?.to_owned(),
    };
    load::run(Options {
        url,
        users,
        duration: asked.duration,
        pause: asked.pause,
        rate: asked.rate,
        payment_token: (!asked.look_only).then_some(asked.payment_token),
        seed: asked.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 >> 16),
        progress: Progress::Shown,
    })
    .await
}

/// Each user has a basket of their own, so each needs a token of their own.
fn tokens(file: &Path, many: usize) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let tokens: Vec<_> = lines.map(str::to_owned).take(many).collect();
    ensure!(
        tokens.len() == many,
        "{} has {} tokens for {many} users: add some, or say --users {}",
        file.display(),
        tokens.len(),
        tokens.len()
    );
    Ok(tokens)
}

/// Customers of the shop here, made at the first run.
async fn customers(folder: &Folder, many: usize) -> anyhow::Result<Users> {
    let (cognito, pool) = super::user_pool(folder)?;
    let names: Vec<_> = (1..=many).map(|number| format!("load-{number}")).collect();
    users::make_customers(&cognito, &pool.id, &names).await?;
    Ok(Users::SignIn {
        cognito,
        client_id: pool.client_id,
        names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["60", "soon", "-5s", ""] {
            assert!(duration(wrong).unwrap_err().contains("say 500ms, 60s or 5m"), "{wrong}");
        }
    }

    #[test]
    fn tokens_that_are_too_few_are_not_shared() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n\n two \n").unwrap();
        assert_eq!(tokens(file.path(), 2).unwrap(), ["one", "two"]);
        let refused = tokens(file.path(), 3).unwrap_err().to_string();
        assert!(refused.contains("2 tokens for 3 users"), "{refused}");
    }
}
