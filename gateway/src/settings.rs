//! What differs from one gateway to the next, and how it is written.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::RenderError;

/// What differs from one gateway to the next.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients come in. Port 0 takes a free one, which Envoy's admin interface then tells at `/listeners`; with
    /// [`Settings::tls`] TCP and UDP would get different ones.
    pub listen: SocketAddr,
    /// The port of Envoy's admin interface, on loopback. Port 0 takes a free one, which Envoy writes into the file
    /// of `--admin-address-path`.
    pub admin_port: u16,
    /// TLS with HTTP/1.1, 2 and 3. Without it plain HTTP/1.1 and 2, for a load balancer that ends TLS in front, or a
    /// laptop.
    pub tls: Option<Tls>,
    /// How many proxies of ours are in front, each adding to `x-forwarded-for` whom it saw. With 0 the client is the
    /// connection's other end; with too many, clients choose their own addresses.
    pub trusted_hops: u32,
    /// The pages that may call from a browser. None, unless named.
    pub cors_origins: Vec<Origin>,
    /// How much at once.
    pub limits: Limits,
    /// The product service.
    pub products: Address,
    /// The basket service.
    pub baskets: Address,
    /// The order service.
    pub orders: Address,
    /// A service counts as away when `/readyz` failed so many times in a row; it is asked each second.
    pub away_after: u8,
    /// The `iss` of the user pool's tokens.
    pub issuer: String,
    /// The app clients whose access tokens are taken for a customer's or merchant's.
    pub client_ids: Vec<String>,
    /// The user pool's keys, by `http` or `https`.
    pub jwks_url: Url,
    /// Where spans go: the base address of an OTLP collector that speaks HTTP, as in `OTEL_EXPORTER_OTLP_ENDPOINT`.
    /// Without it trace ids are made and passed on, but no span is sent.
    pub collector: Option<Url>,
    /// Which traces it is told of.
    pub sampling: Sampling,
}

/// Which traces are told of, by the names that OpenTelemetry has for it (`OTEL_TRACES_SAMPLER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Whether a caller's own decision counts.
    pub(crate) caller: Caller,
    /// Of a million traces that begin here.
    pub(crate) millionths: u32,
}

/// Whether a caller's decision counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Decides,
    IsNotAsked,
}

/// Not a way of sampling.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SamplingError {
    /// The name.
    #[error(
        "{0:?} is no sampler: there are always_on, always_off, traceidratio, and the same with parentbased_ in front"
    )]
    Name(String),
    /// The share.
    #[error("{0:?} is no share: it has to be a number from 0 to 1")]
    Share(String),
}

impl Sampling {
    /// All that begin here, and of those that a caller began the ones that it tells of itself.
    pub const USUAL: Self = Self {
        caller: Caller::Decides,
        millionths: 1_000_000,
    };

    /// What [`Sampling::USUAL`] is called: the name, and the share.
    pub const USUAL_NAMED: (&str, &str) = ("parentbased_always_on", "1");

    /// By the sampler's name and, for ratios, the share.
    ///
    /// # Errors
    ///
    /// There is no such sampler, or the share is none.
    pub fn named(name: &str, share: &str) -> Result<Self, SamplingError> {
        let share = millionths(share).ok_or_else(|| SamplingError::Share(share.to_owned()))?;
        let (caller, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (Caller::Decides, root),
            None => (Caller::IsNotAsked, name),
        };
        let millionths = match root {
            "always_on" => 1_000_000,
            "always_off" => 0,
            "traceidratio" => share,
            _ => return Err(SamplingError::Name(name.to_owned())),
        };
        Ok(Self { caller, millionths })
    }
}

fn millionths(share: &str) -> Option<u32> {
    let share: f64 = share.parse().ok().filter(|share| (0.0..=1.0).contains(share))?;
    #[expect(
        clippy::float_arithmetic,
        clippy::as_conversions,
        reason = "the setting is a float by its standard; from here on it is whole millionths, at most a million"
    )]
    Some((share * 1_000_000.0).round() as u32)
}

/// A certificate by its files, which may change while Envoy runs: both are read again when a file is moved into the
/// certificate's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, as PEM, the gateway's own certificate first.
    pub certificate_file: PathBuf,
    /// Its key, as PEM.
    pub key_file: PathBuf,
    /// Where Envoy finds what [`crate::certificate`] makes.
    pub secret_file: PathBuf,
    /// The UDP port by which clients reach HTTP/3, as they are told.
    pub public_port: u16,
}

/// How much at once, in one Envoy; several count each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one IPv4 address, or one IPv6 network of 64 bits.
    pub address: Rate,
    /// Of one token's subject.
    pub subject: Rate,
    /// Open connections of all clients; a further one is closed at once.
    pub connections: u32,
    /// What Envoy may allocate, in MiB. From 80 % on it gives things up, from 95 % on it refuses requests.
    pub heap_mib: u32,
}

/// A bucket of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many come in again each second.
    pub per_second: u32,
    /// How many it holds: so many at once, from whoever was quiet before.
    pub burst: u32,
}

/// A page's origin: scheme, host and port as browsers send them, such as `https://shop.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Not of the form `host:port`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not of the form host:port")]
pub struct AddressError(String);

/// Not an origin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no origin: it has to be like https://shop.example, without a path, and `*` is none")]
pub struct OriginError(String);

impl Settings {
    /// Soon enough for a replica that stops: it lets requests in for longer.
    pub const AWAY_AFTER: u8 = 3;
}

impl Limits {
    /// For a shop's clients, people and programs alike, on a machine with 1 GiB for the gateway.
    pub const USUAL: Self = Self {
        address: Rate {
            per_second: 100,
            burst: 300,
        },
        subject: Rate {
            per_second: 10,
            burst: 50,
        },
        connections: 10_000,
        heap_mib: 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Rate {
    pub(crate) fn checked(self, of: &'static str) -> Result<Self, RenderError> {
        if self.per_second == 0 || self.burst == 0 {
            return Err(RenderError::Rate(of));
        }
        Ok(self)
    }
}

impl Origin {
    /// As browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = text.parse::<Url>().ok();
        let origin = url
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(|url| url.origin().ascii_serialization());
        match origin {
            // A path, another spelling, or an asterisk would never match what browsers send.
            Some(origin) if origin == text && !text.contains('*') => Ok(Self(origin)),
            Some(_) | None => Err(OriginError(text.to_owned())),
        }
    }
}

impl Address {
    pub(crate) fn of(url: &Url) -> Option<Self> {
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
