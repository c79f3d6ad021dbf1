//! `dead-letters`: what the services could not process, as a table, and sent again.

use anyhow::{Context, bail};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::console::{print, say};
use crate::instance::Folder;
use crate::loopback;
use crate::part::Part;

/// Who has dead letters, and where the gateway has them.
const OWNERS: [(Part, &str); 2] = [
    (Part::BasketService, "/v1/baskets/admin/dead-letters"),
    (Part::OrderService, "/v1/orders/admin/dead-letters"),
];

/// What is done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To see them.
    Shown,
    /// To see them, and have them handled again.
    Redriven,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Letter>,
    more: bool,
}

#[derive(Deserialize)]
struct Letter {
    message_id: String,
    event: Option<String>,
    order_id: Option<String>,
    first_sent: Option<String>,
    times_received: u32,
    why: String,
    readable: bool,
}

#[derive(Deserialize)]
struct Redriven {
    redriven: u32,
    more: bool,
}

pub(super) async fn run(folder: &Folder, wanted: Wanted) -> anyhow::Result<()> {
    let instance = folder.running()?;
    let token = super::token(folder, "admin").await?;
    let (http, gateway) = (loopback::http()?, instance.url(Part::Gateway)?.to_owned());
    let mut found = Vec::new();
    for (owner, path) in OWNERS {
        let request = http.get(format!("{gateway}{path}")).bearer_auth(&token);
        let list: List = answer(request).await.with_context(|| owner.to_string())?;
        found.push((owner, path, list));
    }
    let lines: Vec<_> = found
        .iter()
        .flat_map(|(owner, _, list)| list.data.iter().map(|letter| line(*owner, letter)))
        .collect();
    if lines.is_empty() {
        print("there are no dead letters");
    } else {
        print(row([
            "SERVICE",
            "MESSAGE",
            "EVENT",
            "ORDER",
            "FIRST SENT",
            "TRIES",
            "READABLE",
            "WHY",
        ]));
        lines.iter().for_each(print);
    }
    for (owner, _, list) in &found {
        if list.more {
            say(format_args!("{owner} may have more"));
        }
    }
    if wanted == Wanted::Redriven {
        for (owner, path, list) in &found {
            if list.data.is_empty() && !list.more {
                continue;
            }
            let request = http.post(format!("{gateway}{path}/redrive")).bearer_auth(&token);
            let sent: Redriven = answer(request.json(&json!({})))
                .await
                .with_context(|| owner.to_string())?;
            say(format_args!("{owner}: {} sent again", sent.redriven));
            if sent.more {
                say(format_args!(
                    "{owner} may have more, or some died again: `{} dead-letters` shows them",
                    folder.command()
                ));
            }
        }
    }
    Ok(())
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<T> {
    let answer = request.send().await?;
    let status = answer.status();
    if status != StatusCode::OK {
        bail!("{status}: {}", answer.text().await?);
    }
    Ok(answer.json().await?)
}

fn line(owner: Part, letter: &Letter) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    // Seconds will do.
    let sent = or_dash(&letter.first_sent);
    let sent = sent.split_once('.').map_or(sent.as_str(), |(seconds, _)| seconds);
    row([
        &owner.to_string(),
        &letter.message_id,
        &or_dash(&letter.event),
        &or_dash(&letter.order_id),
        sent,
        &letter.times_received.to_string(),
        if letter.readable { "yes" } else { "no" },
        &letter.why,
    ])
}

fn row([service, message, event, order, sent, tries, readable, why]: [&str; 8]) -> String {
    format!("{service:<15} {message:<36} {event:<17} {order:<36} {sent:<20} {tries:>5} {readable:<8} {why}")
}
