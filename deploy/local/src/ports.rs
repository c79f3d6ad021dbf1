//! Which port each part gets.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};

use crate::loopback::listen_anywhere;
use crate::part::Part;

/// Envoy's own port, for its operator.
const USUAL_ADMIN: u16 = 9901;

/// The ports that were asked for. A part that is not named takes its usual one, or a free one where that is taken;
/// save the gateway, whose address people have written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// By part.
    pub parts: BTreeMap<Part, u16>,
    /// Of Envoy's admin interface.
    pub admin: Option<u16>,
}

impl Wishes {
    /// Free ports for everything: what tests take, which start several systems at once.
    pub fn any() -> Self {
        Self {
            parts: Part::ALL.into_iter().map(|part| (part, 0)).collect(),
            admin: Some(0),
        }
    }

    /// Whether they can be had now.
    ///
    /// # Errors
    ///
    /// When a port is taken; the message names it, and the way out.
    pub fn check(&self) -> anyhow::Result<()> {
        Ports::choose(self).map(drop)
    }
}

/// A port for each part.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    parts: BTreeMap<Part, u16>,
    pub(crate) admin: u16,
}

impl Ports {
    /// Chooses them all while holding those already chosen, so that no two are alike.
    pub(crate) fn choose(wishes: &Wishes) -> anyhow::Result<Self> {
        let mut held = Vec::new();
        let mut parts = BTreeMap::new();
        // The gateway first: no other part may take its port.
        for part in Part::ALL.into_iter().rev() {
            let wish = match wishes.parts.get(&part) {
                Some(port) => Wish::This(*port),
                None if part == Part::Gateway => Wish::This(part.usual_port()),
                None => Wish::Rather(part.usual_port()),
            };
            let listener = hold(wish, part.name(), &format!("--{part}-port"))?;
            parts.insert(part, listener.local_addr()?.port());
            held.push(listener);
        }
        let wish = wishes.admin.map_or(Wish::Rather(USUAL_ADMIN), Wish::This);
        let admin = hold(wish, "Envoy's admin interface", "--admin-port")?
            .local_addr()?
            .port();
        Ok(Self { parts, admin })
    }

    /// Wishes for exactly these, for whoever has to know them before the system starts.
    pub(crate) fn as_wishes(&self) -> Wishes {
        Wishes {
            parts: self.parts.clone(),
            admin: Some(self.admin),
        }
    }

    pub(crate) fn of(&self, part: Part) -> u16 {
        self.parts.get(&part).copied().unwrap_or_else(|| part.usual_port())
    }
}

#[derive(Clone, Copy)]
enum Wish {
    This(u16),
    Rather(u16),
}

fn hold(wish: Wish, who: &str, option: &str) -> anyhow::Result<TcpListener> {
    let on = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match wish {
        Wish::This(0) => listen_anywhere(),
        Wish::Rather(port) => on(port).or_else(|_| listen_anywhere()),
        Wish::This(port) => match on(port) {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
                "port {port}, for {who}, is taken: stop what listens there, or choose another with `{option} PORT`"
            ),
            Err(error) => Err(error).with_context(|| format!("port {port}, for {who}, cannot be had")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_whose_usual_port_is_taken_gets_another_and_the_gateway_does_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let wishes = Wishes {
            parts: BTreeMap::from([(Part::Gateway, port)]),
            admin: None,
        };
        let refused = Ports::choose(&wishes).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("port {port}, for gateway, is taken")),
            "{refused}"
        );
        assert!(refused.contains("--gateway-port"), "{refused}");
        let chosen = hold(Wish::Rather(port), "somebody", "").unwrap();
        assert_ne!(chosen.local_addr().unwrap().port(), port);
    }

    #[test]
    fn no_two_parts_get_the_same_port() {
        let ports = Ports::choose(&Wishes::any()).unwrap();
        let mut all: Vec<_> = Part::ALL
            .into_iter()
            .map(|part| ports.of(part))
            .chain([ports.admin])
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), Part::ALL.len() + 1);
    }
}
