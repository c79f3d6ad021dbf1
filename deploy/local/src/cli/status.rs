//! `status`: each part, its process, whether it answers, and its memory.

use std::time::Duration;

use futures_util::future::join_all;

use crate::console::print;
use crate::instance::{Folder, Running};
use crate::loopback;
use crate::part::Part;

const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn show(folder: &Folder) -> anyhow::Result<()> {
    let instance = folder.running()?;
    let http = loopback::http()?;
    print(format_args!(
        "{:<16} {:>8} {:<24} {:<10} {:>8}",
        "PART", "PID", "ADDRESS", "STATE", "MEMORY"
    ));
    let parts = Part::ALL.into_iter().map(|part| {
        let (http, running) = (http.clone(), instance.parts.get(&part));
        async move { line(part, running, &http).await }
    });
    for line in join_all(parts).await {
        print(line);
    }
    print("tables and payments are inside the process that runs `up`, and share its memory");
    Ok(())
}

async fn line(part: Part, running: Option<&Running>, http: &reqwest::Client) -> String {
    let Some(running) = running.filter(|running| running.process.is_alive()) else {
        return format!("{part:<16} {:>8} {:<24} {:<10} {:>8}", "-", "-", "ended", "-");
    };
    let url = format!("{}{}", running.url, part.health_path());
    let answer = http.get(url).timeout(ANSWERS_WITHIN).send().await;
    let state = match answer {
        Ok(answer) if answer.status().is_success() => "ready",
        Ok(_) => "not ready",
        Err(_) => "no answer",
    };
    let memory = running
        .process
        .resident_bytes()
        .map_or_else(|| "-".to_owned(), megabytes);
    format!(
        "{part:<16} {:>8} {:<24} {state:<10} {memory:>8}",
        running.process.pid, running.url
    )
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}
