//! The gateway's configuration for Envoy: one template, and what has to be filled in.
//!
//! Whoever starts Envoy renders it here: the local system, the tests, and by the binary `render-gateway` everybody
//! else. What the gateway does is in `envoy.yaml` and nowhere else; starting and stopping it belongs to its callers.

mod settings;
mod template;

use serde_json::{Value, json};
use url::Url;

use self::settings::Caller;
pub use self::settings::{
    Address, AddressError, Limits, Origin, OriginError, Rate, Sampling, SamplingError, Settings, Tls,
};
use self::template::Template;

const TEMPLATE: &str = include_str!("../envoy.yaml");
const INDEX: &str = include_str!("../index.html");

/// Roots for the certificate of the user pool, where Debian, Ubuntu and Alpine keep them.
const TRUSTED_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// The template names something that [`Settings`] do not give.
    #[error("nothing fills in ${{{0}}} of envoy.yaml")]
    Unfilled(String),
    /// The template has a `${` without its `}`.
    #[error("a placeholder of envoy.yaml is not closed")]
    Unclosed,
    /// The template has an `# if` without its `# end if`, the other way round, or one that is not known.
    #[error("a section of envoy.yaml is not known, or not closed: {0:?}")]
    Section(String),
    /// A limit that would let nobody in.
    #[error("the limit for {0} lets nobody in: both of its numbers have to be at least 1")]
    Rate(&'static str),
    /// No app client, so that no token would ever do.
    #[error("no client id is given, so that no token would be accepted")]
    NoClientId,
    /// Cognito's client ids are letters, digits, `_` and `+`.
    #[error("{0:?} is no client id of a user pool")]
    ClientId(String),
    /// Neither `http` nor `https`, or without a host.
    #[error("{0} cannot be used for {1}")]
    Url(Url, &'static str),
}

/// Envoy's configuration, as YAML.
///
/// With [`Settings::tls`] it refers to the file that [`certificate`] makes.
///
/// # Errors
///
/// When a setting cannot be used, or the template names one that there is not.
pub fn render(settings: &Settings) -> Result<String, RenderError> {
    Template {
        text: TEMPLATE,
        sections: &[
            ("tls", settings.tls.is_some()),
            ("cors", !settings.cors_origins.is_empty()),
        ],
    }
    .filled(&values(settings)?)
}

/// What Envoy reads at [`Tls::secret_file`], as YAML: where certificate and key are, and to look again whenever something
/// is moved into the folder of the certificate. Both are read together, and a pair that does not fit is left alone.
pub fn certificate(tls: &Tls) -> String {
    let folder = tls.certificate_file.parent().unwrap_or(&tls.certificate_file);
    let secret = json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "edge",
        "tls_certificate": {
            "certificate_chain": { "filename": tls.certificate_file },
            "private_key": { "filename": tls.key_file },
            "watched_directory": { "path": folder },
        },
    }] });
    format!("{secret}\n")
}

fn values(settings: &Settings) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let mut values = services(settings)?;
    values.extend(edge(settings)?);
    Ok(values)
}

/// How clients are met.
fn edge(settings: &Settings) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let Limits {
        address,
        subject,
        connections,
        heap_mib,
    } = settings.limits;
    let [address, subject] = [("an address", address), ("a subject", subject)].map(|(of, rate)| rate.checked(of));
    let (address, subject) = (address?, subject?);
    let tls = settings.tls.as_ref();
    // Where TLS ends in front of us, those who came by it are told to stay with it too.
    let hsts = if tls.is_some() || settings.trusted_hops > 0 {
        "max-age=31536000"
    } else {
        ""
    };
    Ok(vec![
        ("LISTEN_HOST", json!(settings.listen.ip())),
        ("LISTEN_PORT", json!(settings.listen.port())),
        ("ADMIN_PORT", json!(settings.admin_port)),
        ("TRUSTED_HOPS", json!(settings.trusted_hops)),
        ("STRICT_TRANSPORT_SECURITY", json!(hsts)),
        ("TLS_SECRET_FILE", json!(tls.map(|tls| &tls.secret_file))),
        (
            "ALT_SVC",
            json!(tls.map(|tls| format!("h3=\":{}\"; ma=86400", tls.public_port))),
        ),
        (
            "CORS_ORIGINS_LIST",
            settings
                .cors_origins
                .iter()
                .map(|origin| json!({ "exact": origin.as_str() }))
                .collect(),
        ),
        ("ADDRESS_PER_S", json!(address.per_second)),
        ("ADDRESS_BURST", json!(address.burst)),
        ("SUBJECT_PER_S", json!(subject.per_second)),
        ("SUBJECT_BURST", json!(subject.burst)),
        ("MAX_CONNECTIONS", json!(connections)),
        ("MAX_HEAP_BYTES", json!(u64::from(heap_mib) << 20)),
        ("INDEX_HTML", json!(INDEX)),
    ])
}

/// Where requests, keys and spans are sent to.
fn services(settings: &Settings) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let (jwks_address, jwks_transport) = jwks(&settings.jwks_url)?;
    let (collector_address, tracer) = tracer(settings.collector.as_ref(), settings.sampling)?;
    Ok(vec![
        ("PRODUCTS_HOST", json!(settings.products.host)),
        ("PRODUCTS_PORT", json!(settings.products.port)),
        ("BASKETS_HOST", json!(settings.baskets.host)),
        ("BASKETS_PORT", json!(settings.baskets.port)),
        ("ORDERS_HOST", json!(settings.orders.host)),
        ("ORDERS_PORT", json!(settings.orders.port)),
        ("AWAY_AFTER", json!(settings.away_after)),
        ("ISSUER", json!(settings.issuer)),
        ("CLIENT_IDS", json!(one_of(&settings.client_ids)?)),
        ("JWKS_URL", json!(settings.jwks_url.as_str())),
        ("JWKS_HOST", json!(jwks_address.host)),
        ("JWKS_PORT", json!(jwks_address.port)),
        ("JWKS_TRANSPORT_SOCKET_MAPPING", jwks_transport),
        ("COLLECTOR_HOST", json!(collector_address.host)),
        ("COLLECTOR_PORT", json!(collector_address.port)),
        ("TRACER_MAPPING", tracer),
    ])
}

/// A regular expression that matches these ids and nothing else.
fn one_of(client_ids: &[String]) -> Result<String, RenderError> {
    if client_ids.is_empty() {
        return Err(RenderError::NoClientId);
    }
    for id in client_ids {
        let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-');
        if id.is_empty() || !id.chars().all(usual) {
            return Err(RenderError::ClientId(id.clone()));
        }
    }
    Ok(client_ids.join("|").replace('+', "\\+"))
}

fn jwks(url: &Url) -> Result<(Address, Value), RenderError> {
    let unusable = || RenderError::Url(url.clone(), "the keys of the user pool");
    let address = Address::of(url).ok_or_else(unusable)?;
    let transport = match url.scheme() {
        "http" => json!({
            "name": "envoy.transport_sockets.raw_buffer",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
            },
        }),
        "https" => json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": address.host,
                // A chain alone proves nothing about whose it is: the name is compared too.
                "auto_sni_san_validation": true,
                "common_tls_context": {
                    "validation_context": { "trusted_ca": { "filename": TRUSTED_ROOTS } },
                },
            },
        }),
        _ => return Err(unusable()),
    };
    Ok((address, transport))
}

/// Envoy's tracer must have somewhere to send spans to. With nowhere, none is sampled: trace ids are still made, passed
/// on and logged.
fn tracer(collector: Option<&Url>, sampling: Sampling) -> Result<(Address, Value), RenderError> {
    let (address, base, sampling) = match collector {
        Some(url) => {
            let address = Address::of(url).filter(|_| url.scheme() == "http").ok_or_else(|| {
                RenderError::Url(url.clone(), "the collector of spans; it has to be http://host:port")
            })?;
            (address, url.as_str().trim_end_matches('/'), sampling)
        }
        None => (
            Address {
                host: "127.0.0.1".to_owned(),
                port: 4318,
            },
            "http://127.0.0.1:4318",
            Sampling {
                caller: Caller::IsNotAsked,
                millionths: 0,
            },
        ),
    };
    let tracer = json!({
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": "gateway",
        "http_service": {
            "http_uri": { "uri": format!("{base}/v1/traces"), "cluster": "collector", "timeout": "2s" },
        },
        "sampler": sampler(sampling),
    });
    Ok((address, tracer))
}

fn sampler(sampling: Sampling) -> Value {
    let of_its_own = json!({
        "name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig",
            "sampling_percentage": { "numerator": sampling.millionths, "denominator": "MILLION" },
        },
    });
    match sampling.caller {
        Caller::IsNotAsked => of_its_own,
        Caller::Decides => json!({
            "name": "envoy.tracers.opentelemetry.samplers.parent_based",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig",
                "wrapped_sampler": of_its_own,
            },
        }),
    }
}
