//! `up --detach`: the same as `up` in a process that outlives the terminal, watched until it is ready.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::bail;
use tokio::time::sleep;

use super::{Up, up};
use crate::console::say;
use crate::instance::Folder;
use crate::loopback::LOOK_EVERY;

/// The supervisor's own log.
const LOG: &str = "up";

pub(super) async fn up(folder: &Folder, options: Up) -> anyhow::Result<()> {
    let began = Instant::now();
    up::check(folder, &options.wishes()).await?;
    // Here rather than there, for cargo's progress is for a terminal.
    let binaries = up::binaries(options.binaries.as_deref(), options.release).await?;
    fs::create_dir_all(folder.logs())?;
    let log = folder.log(LOG);
    let output = File::create(&log)?;
    let mut supervisor = Command::new(std::env::current_exe()?)
        .arg("--data")
        .arg(folder.path())
        .args(["up", "--supervisor", "--binaries"])
        .arg(binaries)
        .args(arguments(&options))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let mut said = File::open(&log)?;
    loop {
        show_new(&mut said)?;
        if let Some(status) = supervisor.try_wait()? {
            show_new(&mut said)?;
            bail!(
                "it ended before it was ready ({status}); what it said is above, and in {}",
                log.display()
            );
        }
        if folder
            .running()
            .is_ok_and(|instance| instance.ready && instance.supervisor.pid == supervisor.id())
        {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    show_new(&mut said)?;
    up::welcome(folder, began).await
}

/// What is to be said again to the supervisor.
fn arguments(options: &Up) -> Vec<String> {
    let mut arguments = Vec::new();
    for (part, port) in options.wishes().parts {
        arguments.extend([format!("--{part}-port"), port.to_string()]);
    }
    if let Some(port) = options.ports.admin_port {
        arguments.extend(["--admin-port".to_owned(), port.to_string()]);
    }
    for (name, value) in &options.settings {
        arguments.extend(["--set".to_owned(), format!("{name}={value}")]);
    }
    for (given, flag) in [(options.no_catalog, "--no-catalog"), (options.observe, "--observe")] {
        if given {
            arguments.push(flag.to_owned());
        }
    }
    arguments
}

fn show_new(log: &mut File) -> anyhow::Result<()> {
    let mut new = Vec::new();
    log.read_to_end(&mut new)?;
    if !new.is_empty() {
        say(String::from_utf8_lossy(&new).trim_end_matches('\n'));
    }
    Ok(())
}
