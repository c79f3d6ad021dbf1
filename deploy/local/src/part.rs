//! The parts that a local system consists of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of the system, in the order in which they are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The tables: dynoxide, inside the process that started the system.
    Tables,
    /// Bus, queues, topics and user pool: ministack.
    Ministack,
    /// The payment provider: a sandbox inside the process that started the system.
    Payments,
    /// The product service.
    ProductService,
    /// The basket service.
    BasketService,
    /// The order service.
    OrderService,
    /// The gateway: Envoy.
    Gateway,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Tables,
        Self::Ministack,
        Self::Payments,
        Self::ProductService,
        Self::BasketService,
        Self::OrderService,
        Self::Gateway,
    ];

    /// Those that are built here and run as processes of their own.
    pub const SERVICES: [Self; 3] = [Self::ProductService, Self::BasketService, Self::OrderService];

    /// What it is called in messages, logs and on the command line; a service's is also its package's and binary's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tables => "tables",
            Self::Ministack => "ministack",
            Self::Payments => "payments",
            Self::ProductService => "product-service",
            Self::BasketService => "basket-service",
            Self::OrderService => "order-service",
            Self::Gateway => "gateway",
        }
    }

    /// The port that it takes if nobody else has it.
    pub const fn usual_port(self) -> u16 {
        match self {
            Self::Gateway => 8080,
            Self::ProductService => 8081,
            Self::BasketService => 8082,
            Self::OrderService => 8083,
            Self::Tables => 8084,
            Self::Ministack => 8085,
            Self::Payments => 8086,
        }
    }

    /// What answers with a success while it is well.
    pub const fn health_path(self) -> &'static str {
        match self {
            Self::ProductService | Self::BasketService | Self::OrderService => "/readyz",
            Self::Ministack => "/_ministack/health",
            Self::Payments => "/livez",
            Self::Gateway | Self::Tables => "/",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
