//! `provisioner`: what the containers of the compose file need beside the services.

use std::process::ExitCode;

fn main() -> ExitCode {
    deploy_local::containers::main()
}
