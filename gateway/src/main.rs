//! `render-gateway`: prints Envoy's configuration, for whoever starts Envoy by other means than ours.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser};
use gateway::{Address, Limits, Origin, Rate, Sampling, Settings, Tls};
use url::Url;

/// Prints the gateway's configuration for Envoy.
#[derive(Parser)]
#[command(name = "render-gateway")]
struct Arguments {
    /// Where clients come in.
    #[arg(long, env = "BIND", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Port of Envoy's admin interface, on loopback.
    #[arg(long, env, default_value_t = 9901)]
    admin_port: u16,
    #[command(flatten)]
    tls: TlsArguments,
    /// How many proxies of ours are in front, each adding to x-forwarded-for.
    #[arg(long, env, default_value_t = 0)]
    trusted_hops: u32,
    /// Pages that may call from a browser, such as `https://shop.example`, with commas between.
    #[arg(long, env, value_delimiter = ',')]
    cors_origins: Vec<Origin>,
    #[command(flatten)]
    limits: LimitArguments,
    /// The product service, as host:port.
    #[arg(long, env, default_value = "127.0.0.1:8081")]
    products: Address,
    /// The basket service, as host:port.
    #[arg(long, env, default_value = "127.0.0.1:8082")]
    baskets: Address,
    /// The order service, as host:port.
    #[arg(long, env, default_value = "127.0.0.1:8083")]
    orders: Address,
    /// A service counts as away when /readyz failed so many times in a row.
    #[arg(long, env, default_value_t = Settings::AWAY_AFTER, value_parser = clap::value_parser!(u8).range(1..))]
    away_after: u8,
    /// The `iss` of the user pool's tokens.
    #[arg(long, env)]
    auth_issuer: String,
    /// App clients whose tokens are accepted, with commas between.
    #[arg(long, env, value_delimiter = ',', required = true)]
    auth_client_ids: Vec<String>,
    /// The keys of the user pool.
    #[arg(long, env)]
    auth_jwks_url: Url,
    /// An OTLP collector that speaks HTTP.
    #[arg(long, env)]
    otel_exporter_otlp_endpoint: Option<Url>,
    /// Which traces it is told of.
    #[arg(long, env, default_value = Sampling::USUAL_NAMED.0)]
    otel_traces_sampler: String,
    /// The share, from 0 to 1, for samplers that are called a ratio.
    #[arg(long, env, default_value = Sampling::USUAL_NAMED.1)]
    otel_traces_sampler_arg: String,
}

/// TLS, all of it or nothing.
#[derive(Args)]
struct TlsArguments {
    /// The certificate's chain, as PEM; with it the gateway speaks TLS, and HTTP/3.
    #[arg(long, env, requires = "tls_key_file", requires = "tls_secret_file")]
    tls_certificate_file: Option<PathBuf>,
    /// The certificate's key, as PEM.
    #[arg(long, env, requires = "tls_certificate_file")]
    tls_key_file: Option<PathBuf>,
    /// Where to write the file by which Envoy finds the two, and notices new ones.
    #[arg(long, env, requires = "tls_certificate_file")]
    tls_secret_file: Option<PathBuf>,
    /// The UDP port that clients are told for HTTP/3, unless it is the one listened on.
    #[arg(long, env, requires = "tls_certificate_file")]
    http3_port: Option<u16>,
}

/// What is too much.
#[derive(Args)]
struct LimitArguments {
    /// Requests a second of one address, in the long run.
    #[arg(long, env, default_value_t = Limits::USUAL.address.per_second)]
    limit_address_per_s: u32,
    /// Requests at once of one address.
    #[arg(long, env, default_value_t = Limits::USUAL.address.burst)]
    limit_address_burst: u32,
    /// Requests a second of one token's subject, in the long run.
    #[arg(long, env, default_value_t = Limits::USUAL.subject.per_second)]
    limit_subject_per_s: u32,
    /// Requests at once of one token's subject.
    #[arg(long, env, default_value_t = Limits::USUAL.subject.burst)]
    limit_subject_burst: u32,
    /// Open connections of all clients together.
    #[arg(long, env, default_value_t = Limits::USUAL.connections)]
    max_connections: u32,
    /// What Envoy may allocate, in MiB.
    #[arg(long, env, default_value_t = Limits::USUAL.heap_mib)]
    max_heap_mib: u32,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let tls = arguments.tls.tls(arguments.listen.port());
    let rendered = gateway::render(&Settings {
        listen: arguments.listen,
        admin_port: arguments.admin_port,
        tls: tls.clone(),
        trusted_hops: arguments.trusted_hops,
        cors_origins: arguments.cors_origins,
        limits: arguments.limits.limits(),
        products: arguments.products,
        baskets: arguments.baskets,
        orders: arguments.orders,
        away_after: arguments.away_after,
        issuer: arguments.auth_issuer,
        client_ids: arguments.auth_client_ids,
        jwks_url: arguments.auth_jwks_url,
        collector: arguments.otel_exporter_otlp_endpoint,
        sampling: Sampling::named(&arguments.otel_traces_sampler, &arguments.otel_traces_sampler_arg)
            .context("OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG")?,
    })?;
    if let Some(tls) = tls {
        let file = &tls.secret_file;
        fs::write(file, gateway::certificate(&tls)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    io::stdout().write_all(rendered.as_bytes())?;
    Ok(())
}

impl TlsArguments {
    fn tls(self, listen_port: u16) -> Option<Tls> {
        // Clap takes all three or none.
        Some(Tls {
            certificate_file: self.tls_certificate_file?,
            key_file: self.tls_key_file?,
            secret_file: self.tls_secret_file?,
            public_port: self.http3_port.unwrap_or(listen_port),
        })
    }
}

impl LimitArguments {
    fn limits(&self) -> Limits {
        Limits {
            address: Rate {
                per_second: self.limit_address_per_s,
                burst: self.limit_address_burst,
            },
            subject: Rate {
                per_second: self.limit_subject_per_s,
                burst: self.limit_subject_burst,
            },
            connections: self.max_connections,
            heap_mib: self.max_heap_mib,
        }
    }
}
