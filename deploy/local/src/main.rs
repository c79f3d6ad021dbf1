//! `cargo local`: the whole system on a laptop.

use std::process::ExitCode;

fn main() -> ExitCode {
    deploy_local::cli::main()
}
