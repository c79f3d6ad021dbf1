//! `render-gateway`: prints Envoy's configuration, for whoever starts Envoy by other means than ours.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Parser;
use gateway::{Address, Settings};
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
    /// The product service, as host:port.
    #[arg(long, env, default_value = "127.0.0.1:8081")]
    products: Address,
    /// The basket service, as host:port.
    #[arg(long, env, default_value = "127.0.0.1:8082")]
    baskets: Address,
    /// The order service, as host:port.
    #[arg(long, env, default_value = "127.0.0.1:8083")]
    orders: Address,
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
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let rendered = gateway::render(&Settings {
        listen: arguments.listen,
        admin_port: arguments.admin_port,
        products: arguments.products,
        baskets: arguments.baskets,
        orders: arguments.orders,
        issuer: arguments.auth_issuer,
        client_ids: arguments.auth_client_ids,
        jwks_url: arguments.auth_jwks_url,
        collector: arguments.otel_exporter_otlp_endpoint,
    })?;
    io::stdout().write_all(rendered.as_bytes())?;
    Ok(())
}
