//! The gateway's configuration for Envoy: one template, and what has to be filled in.
//!
//! Whoever starts Envoy renders it here: the local system, the tests, and by the binary `render-gateway` everybody
//! else. What the gateway does is in `envoy.yaml` and nowhere else; starting and stopping it belongs to its callers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde_json::{Value, json};
use url::Url;

const TEMPLATE: &str = include_str!("../envoy.yaml");
const INDEX: &str = include_str!("../index.html");

/// Roots for the certificate of the user pool, where Debian, Ubuntu and Alpine keep them.
const TRUSTED_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What differs from one gateway to the next.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients come in. Port 0 takes a free one, which Envoy's admin interface then tells at `/listeners`.
    pub listen: SocketAddr,
    /// The port of Envoy's admin interface, on loopback. Port 0 takes a free one, which Envoy writes into the file
    /// of `--admin-address-path`.
    pub admin_port: u16,
    /// The product service.
    pub products: Address,
    /// The basket service.
    pub baskets: Address,
    /// The order service.
    pub orders: Address,
    /// The `iss` of the user pool's tokens.
    pub issuer: String,
    /// The app clients whose access tokens are taken for a customer's or merchant's.
    pub client_ids: Vec<String>,
    /// The user pool's keys, by `http` or `https`.
    pub jwks_url: Url,
    /// Where spans go: the base address of an OTLP collector that speaks HTTP, as in `OTEL_EXPORTER_OTLP_ENDPOINT`.
    /// Without it trace ids are made and passed on, but no span is sent.
    pub collector: Option<Url>,
}

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// The template names something that [`Settings`] do not give.
    #[error("nothing fills in ${{{0}}} of envoy.yaml")]
    Unfilled(String),
    /// The template has a `${` without its `}`.
    #[error("a placeholder of envoy.yaml is not closed")]
    Unclosed,
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

/// Not of the form `host:port`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not of the form host:port")]
pub struct AddressError(String);

/// Envoy's configuration, as YAML.
///
/// # Errors
///
/// When a setting cannot be used, or the template names one that there is not.
pub fn render(settings: &Settings) -> Result<String, RenderError> {
    let values = values(settings)?;
    let mut rendered = String::with_capacity(TEMPLATE.len() + INDEX.len());
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or(RenderError::Unclosed)?;
        let (_, value) = values
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| RenderError::Unfilled(name.to_owned()))?;
        rendered.push_str(before);
        // JSON is YAML too, whatever the value holds.
        rendered.push_str(&value.to_string());
        rest = after;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

fn values(settings: &Settings) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let (jwks_address, jwks_transport) = jwks(&settings.jwks_url)?;
    let (collector_address, tracer) = tracer(settings.collector.as_ref())?;
    Ok(vec![
        ("LISTEN_HOST", json!(settings.listen.ip())),
        ("LISTEN_PORT", json!(settings.listen.port())),
        ("ADMIN_PORT", json!(settings.admin_port)),
        ("PRODUCTS_HOST", json!(settings.products.host)),
        ("PRODUCTS_PORT", json!(settings.products.port)),
        ("BASKETS_HOST", json!(settings.baskets.host)),
        ("BASKETS_PORT", json!(settings.baskets.port)),
        ("ORDERS_HOST", json!(settings.orders.host)),
        ("ORDERS_PORT", json!(settings.orders.port)),
        ("ISSUER", json!(settings.issuer)),
        ("CLIENT_IDS", json!(one_of(&settings.client_ids)?)),
        ("JWKS_URL", json!(settings.jwks_url.as_str())),
        ("JWKS_HOST", json!(jwks_address.host)),
        ("JWKS_PORT", json!(jwks_address.port)),
        ("JWKS_TRANSPORT_SOCKET_MAPPING", jwks_transport),
        ("COLLECTOR_HOST", json!(collector_address.host)),
        ("COLLECTOR_PORT", json!(collector_address.port)),
        ("TRACER_MAPPING", tracer),
        ("INDEX_HTML", json!(INDEX)),
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
fn tracer(collector: Option<&Url>) -> Result<(Address, Value), RenderError> {
    let (address, base, sampled_percent) = match collector {
        Some(url) => {
            let address = Address::of(url).filter(|_| url.scheme() == "http").ok_or_else(|| {
                RenderError::Url(url.clone(), "the collector of spans; it has to be http://host:port")
            })?;
            (address, url.as_str().trim_end_matches('/'), 100)
        }
        None => (
            Address {
                host: "127.0.0.1".to_owned(),
                port: 4318,
            },
            "http://127.0.0.1:4318",
            0,
        ),
    };
    let tracer = json!({
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": "gateway",
        "http_service": {
            "http_uri": { "uri": format!("{base}/v1/traces"), "cluster": "collector", "timeout": "2s" },
        },
        "sampler": {
            "name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig",
                "sampling_percentage": { "numerator": sampled_percent },
            },
        },
    });
    Ok((address, tracer))
}

impl Address {
    fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self {
            host,
            port: url.port_or_known_default()?,
        })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let not_one = || AddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(not_one)?;
        let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        match port.parse() {
            Ok(port) if !host.is_empty() && host.chars().all(usual) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            Ok(_) | Err(_) => Err(not_one()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            Ok(IpAddr::V4(_)) | Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
