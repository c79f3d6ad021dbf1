//! Building the services, and where their binaries are.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::part::Part;
use crate::tools;

/// How well, and for how long, the services are optimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build, and shared with the tests.
    Dev,
    /// As they are shipped.
    Release,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

/// Builds the services, with cargo's own progress on standard error, and returns the folder of their binaries.
///
/// # Errors
///
/// When they do not compile.
pub async fn services(profile: Profile) -> anyhow::Result<PathBuf> {
    // The one that runs us, if one does: rustup's choice of toolchain is made there.
    let cargo = env::vars_os()
        .find(|(name, _)| name == "CARGO")
        .map_or_else(|| "cargo".into(), |(_, cargo)| cargo);
    let mut command = Command::new(cargo);
    command
        .current_dir(tools::checkout())
        .args(["build", "--profile", profile.name()])
        .stdin(Stdio::null());
    for service in Part::SERVICES {
        command.args(["--package", service.name()]);
    }
    if profile == Profile::Dev {
        // This package has been built so already. Named together with the services, all get the same features of what
        // they share, and nothing is compiled twice.
        command.args(["--package", env!("CARGO_PKG_NAME")]);
    }
    // What cargo tells the program that it runs is not for the next cargo: build scripts that watch it would run again.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    let status = command
        .env_remove("CARGO_MANIFEST_DIR")
        .kill_on_drop(true)
        .status()
        .await
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the services do not compile: see above");
    }
    beside_this(profile)
}

/// The folder of this profile's binaries, in the target folder that this process's own binary is in.
fn beside_this(profile: Profile) -> anyhow::Result<PathBuf> {
    let own = env::current_exe()?;
    let target = own.ancestors().nth(2).context("not started from a target folder")?;
    Ok(target.join(match profile {
        // The one profile whose folder has another name.
        Profile::Dev => "debug",
        Profile::Release => "release",
    }))
}
