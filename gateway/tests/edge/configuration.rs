//! What can be wrong with the settings, and that Envoy takes what comes out of right ones.

use std::net::SocketAddr;
use std::process::Command;

use gateway::{Address, Limits, RenderError, Sampling, SamplingError, Settings, render};

fn settings() -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
        admin_port: 9901,
        tls: None,
        trusted_hops: 0,
        cors_origins: Vec::new(),
        limits: Limits::USUAL,
        products: SocketAddr::from(([127, 0, 0, 1], 8081)).into(),
        baskets: SocketAddr::from(([127, 0, 0, 1], 8082)).into(),
        orders: SocketAddr::from(([127, 0, 0, 1], 8083)).into(),
        away_after: Settings::AWAY_AFTER,
        issuer: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_1".to_owned(),
        client_ids: vec!["shop".to_owned(), "services+1".to_owned()],
        jwks_url: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_1/.well-known/jwks.json"
            .parse()
            .unwrap(),
        collector: None,
        sampling: Sampling::USUAL,
    }
}

#[test]
fn envoy_takes_the_configuration_with_and_without_tls_and_a_collector() {
    let plain = Settings {
        jwks_url: "http://127.0.0.1:8085/pool/.well-known/jwks.json".parse().unwrap(),
        collector: Some("http://collector:4318".parse().unwrap()),
        sampling: Sampling::named("traceidratio", "0.25").unwrap(),
        products: "product-service:8080".parse().unwrap(),
        ..settings()
    };
    let asked = Settings {
        sampling: Sampling::named("parentbased_traceidratio", "0.000001").unwrap(),
        ..plain.clone()
    };
    for settings in [settings(), plain, asked] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("envoy.yaml");
        std::fs::write(&file, render(&settings).unwrap()).unwrap();
        let validated = Command::new(deploy_local::tools::envoy().unwrap())
            .args(["--mode", "validate", "--log-level", "warning", "--config-path"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            validated.status.success(),
            "{}",
            String::from_utf8_lossy(&validated.stderr)
        );
    }
}

#[test]
fn nothing_stays_unfilled() {
    assert!(!render(&settings()).unwrap().contains("${"));
}

#[test]
fn a_setting_stays_a_value_whatever_is_in_it() {
    let issuer = "\"}\nadmin: {x: y} # ${LISTEN_PORT}";
    let rendered = render(&Settings {
        issuer: issuer.to_owned(),
        ..settings()
    })
    .unwrap();
    assert!(rendered.contains(r#"issuer: "\"}\nadmin: {x: y} # ${LISTEN_PORT}""#));
}

#[test]
fn wrong_settings_are_named() {
    let without = Settings {
        client_ids: Vec::new(),
        ..settings()
    };
    assert_eq!(render(&without).unwrap_err(), RenderError::NoClientId);

    let expression = Settings {
        client_ids: vec![".*".to_owned()],
        ..settings()
    };
    assert_eq!(render(&expression).unwrap_err(), RenderError::ClientId(".*".to_owned()));

    let file = Settings {
        jwks_url: "file:///keys.json".parse().unwrap(),
        ..settings()
    };
    assert!(matches!(render(&file).unwrap_err(), RenderError::Url(..)));

    let encrypted = Settings {
        collector: Some("https://collector:4318".parse().unwrap()),
        ..settings()
    };
    assert!(matches!(render(&encrypted).unwrap_err(), RenderError::Url(..)));
}

#[test]
fn samplers_are_those_that_opentelemetry_names() {
    let (name, share) = Sampling::USUAL_NAMED;
    assert_eq!(Sampling::named(name, share), Ok(Sampling::USUAL));
    assert_eq!(Sampling::named("parentbased_always_on", "0.5"), Ok(Sampling::USUAL));
    assert_eq!(Sampling::named("parentbased_traceidratio", "1.0"), Ok(Sampling::USUAL));
    assert_eq!(Sampling::named("traceidratio", "0"), Sampling::named("always_off", "1"));
    for name in ["", "parentbased_", "jaeger_remote", "parentbased_parentbased_always_on"] {
        assert_eq!(Sampling::named(name, "1"), Err(SamplingError::Name(name.to_owned())));
    }
    for share in ["", "1.1", "-0.1", "NaN", "half"] {
        assert_eq!(
            Sampling::named("always_on", share),
            Err(SamplingError::Share(share.to_owned()))
        );
    }
}

#[test]
fn addresses_are_read_as_they_are_written() {
    for text in [
        "127.0.0.1:8081",
        "[::1]:8081",
        "product-service:80",
        "a.b_c-d.internal:65535",
    ] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "host",
        ":80",
        "host:",
        "host:0x50",
        "host:70000",
        "http://host:80",
        "::1:80",
        "a b:80",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}
