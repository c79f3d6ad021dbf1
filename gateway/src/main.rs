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
    /// Address to listen on.
    #[arg(long, env = "BIND", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Port of Envoy's admin interface on loopback.
    #[arg(long, env, default_value_t = 9901)]
    admin_port: u16,
    #[command(flatten)]
    tls: TlsArguments,
    /// Number of trusted proxies in front, each of which appends to `x-forwarded-for`. With too high a number, clients
    /// choose their own addresses.
    #[arg(long, env, default_value_t = 0)]
    trusted_hops: u32,
    /// Origins that may send requests from a browser, such as `https://shop.example`, separated by commas.
    #[arg(long, env, value_delimiter = ',')]
    cors_origins: Vec<Origin>,
    #[command(flatten)]
    limits: LimitArguments,
    /// Address of the product service, as `host:port`.
    #[arg(long, env, default_value = "127.0.0.1:8081")]
    products: Address,
    /// Address of the basket service, as `host:port`.
    #[arg(long, env, default_value = "127.0.0.1:8082")]
    baskets: Address,
    /// Address of the order service, as `host:port`.
    #[arg(long, env, default_value = "127.0.0.1:8083")]
    orders: Address,
    /// Number of consecutive failures of `/readyz` after which a service is unavailable.
    #[arg(long, env, default_value_t = Settings::AWAY_AFTER, value_parser = clap::value_parser!(u8).range(1..))]
    away_after: u8,
    /// Issuer (`iss`) of the user pool's tokens.
    #[arg(long, env)]
    auth_issuer: String,
    /// App clients whose tokens are accepted, separated by commas.
    #[arg(long, env, value_delimiter = ',', required = true)]
    auth_client_ids: Vec<String>,
    /// Address of the user pool's JWKS. For `https`, root certificates are read from `/etc/ssl/certs/ca-certificates.crt`.
    #[arg(long, env)]
    auth_jwks_url: Url,
    /// OTLP collector, over HTTP, that receives spans. When unset, none are exported.
    #[arg(long, env)]
    otel_exporter_otlp_endpoint: Option<Url>,
    /// Sampler of traces, with the names that the services use.
    #[arg(long, env, default_value = Sampling::USUAL_NAMED.0)]
    otel_traces_sampler: String,
    /// Share of traces, from 0 to 1, for `traceidratio` and `parentbased_traceidratio`.
    #[arg(long, env, default_value = Sampling::USUAL_NAMED.1)]
    otel_traces_sampler_arg: String,
}

/// TLS settings: all of the first three, or none.
#[derive(Args)]
struct TlsArguments {
    /// Certificate chain, as PEM. With it, the gateway serves TLS and HTTP/3; requires the two settings that follow.
    #[arg(long, env, requires = "tls_key_file", requires = "tls_secret_file")]
    tls_certificate_file: Option<PathBuf>,
    /// Key of the certificate, as PEM.
    #[arg(long, env, requires = "tls_certificate_file")]
    tls_key_file: Option<PathBuf>,
    /// File that `render-gateway` writes, by which Envoy finds certificate and key and detects new ones; an absolute path.
    #[arg(long, env, requires = "tls_certificate_file")]
    tls_secret_file: Option<PathBuf>,
    /// UDP port that `alt-svc` announces for HTTP/3. When unset, the port of `BIND`.
    #[arg(long, env, requires = "tls_certificate_file")]
    http3_port: Option<u16>,
}

/// Limits of requests, connections and memory.
#[derive(Args)]
struct LimitArguments {
    /// Sustained rate of requests of one client address, at least 1.
    #[arg(long, env, default_value_t = Limits::USUAL.address.per_second)]
    limit_address_per_s: u32,
    /// Burst of requests of one client address, at least 1.
    #[arg(long, env, default_value_t = Limits::USUAL.address.burst)]
    limit_address_burst: u32,
    /// Sustained rate of requests of one token subject, at least 1.
    #[arg(long, env, default_value_t = Limits::USUAL.subject.per_second)]
    limit_subject_per_s: u32,
    /// Burst of requests of one token subject, at least 1.
    #[arg(long, env, default_value_t = Limits::USUAL.subject.burst)]
    limit_subject_burst: u32,
    /// Limit of open connections of all clients. A further one is closed at once.
    #[arg(long, env, default_value_t = Limits::USUAL.connections)]
    max_connections: u32,
    /// Limit of Envoy's heap. The machine needs more memory than that.
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn settings_match_configuration_document() {
        shared::testing::settings::assert_documented("render-gateway", Arguments::command());
    }
}
