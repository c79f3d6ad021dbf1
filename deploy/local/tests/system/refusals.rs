//! What a start says when it cannot be: one line each, which says what to do.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::harness;

fn error_line(output: &Output) -> String {
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    let mut errors = said.lines().filter(|line| line.starts_with("error: "));
    let line = errors.next().unwrap_or_else(|| panic!("no error in: {said}"));
    assert_eq!(errors.next(), None, "more than one error in: {said}");
    assert_eq!(
        said.lines().last(),
        Some(line),
        "something follows the error in: {said}"
    );
    line.to_owned()
}

/// A folder with a service that cannot start, so that no test here needs a real one.
fn broken_services(folder: &std::path::Path) {
    for service in ["product-service", "basket-service", "order-service"] {
        let file = folder.join(service);
        fs::write(&file, "#!/bin/sh\necho 'error: BIND: not an address' >&2\nexit 2\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn up(temporary: &tempfile::TempDir, folder: &deploy_local::instance::Folder) -> Command {
    let binaries = temporary.path().join("binaries");
    fs::create_dir_all(&binaries).unwrap();
    broken_services(&binaries);
    let mut up = harness::local(folder);
    up.arg("up").arg("--binaries").arg(binaries);
    up
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let (temporary, folder) = harness::folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let line = error_line(
        &up(&temporary, &folder)
            .args(["--gateway-port", &port.to_string()])
            .output()
            .unwrap(),
    );
    assert!(
        line.contains(&format!("port {port}")) && line.contains("--gateway-port"),
        "{line}"
    );
}

#[test]
fn a_python_that_is_missing_is_named_with_its_package() {
    let (temporary, folder) = harness::folder();
    let mut up = up(&temporary, &folder);
    up.args(harness::any_ports())
        .env("LOCAL_TOOLS", temporary.path().join("tools"))
        .env("PATH", temporary.path());
    let line = error_line(&up.output().unwrap());
    assert!(
        line.contains("Python 3.10") && line.contains("apt install python3"),
        "{line}"
    );
}

#[test]
fn a_python_without_its_environments_is_told_what_to_install() {
    let (temporary, folder) = harness::folder();
    let python = temporary.path().join("python3");
    let debian = "#!/bin/sh\n[ \"$1\" = -c ] && exit 0\necho 'ensurepip is not available.'\nexit 1\n";
    fs::write(&python, debian).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let mut up = up(&temporary, &folder);
    up.args(harness::any_ports())
        .env("LOCAL_TOOLS", temporary.path().join("tools"))
        .env("PATH", temporary.path());
    let line = error_line(&up.output().unwrap());
    assert!(line.contains("apt install python3-venv"), "{line}");
}

#[test]
fn a_service_that_ends_at_its_start_is_named_with_its_last_words() {
    let (temporary, folder) = harness::folder();
    let line = error_line(&up(&temporary, &folder).args(harness::any_ports()).output().unwrap());
    assert!(line.contains("-service ended (exit status: 2)"), "{line}");
    assert!(line.contains("BIND: not an address"), "{line}");
    assert!(line.contains("-service.log"), "{line}");
}

#[test]
fn verbs_that_need_a_running_system_say_how_to_start_it() {
    let (_temporary, folder) = harness::folder();
    for verb in [vec!["status"], vec!["down"], vec!["token", "customer"]] {
        let line = error_line(&harness::local(&folder).args(&verb).output().unwrap());
        assert!(
            line.contains("nothing runs") && line.contains(" up`"),
            "{verb:?}: {line}"
        );
    }
}
