// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which address of a peer is pinged.

use std::net::IpAddr;

use crate::AllowedIp;

/// What to ping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The address.
    pub address: IpAddr,
    /// The interface to go through. An address that somebody chose may be anywhere, so it has none.
    pub interface: Option<String>,
}

impl Target {
    /// The address that was set for the check, else the first allowed IP without its prefix, else none.
    ///
    /// An allowed IP that names no host (`0.0.0.0/0`, `::/0`) cannot be pinged. An address that another node chose
    /// (`elsewhere`) is pinged only if it is one of the peer's own, and through the tunnel: other nodes cannot have this
    /// host send packets to anybody else.
    #[must_use]
    pub fn of(
        check: Option<IpAddr>,
        elsewhere: bool,
        allowed_ips: &[AllowedIp],
        interface: &str,
    ) -> Option<Self> {
        match check {
            Some(address) if !elsewhere => return Some(Target { address, interface: None }),
            Some(address) if allowed_ips.iter().any(|one| one.names(address)) => {
                return Some(Target { address, interface: Some(interface.to_owned()) });
            }
            _ => {}
        }
        let first = allowed_ips.first()?;
        (!first.address.is_unspecified())
            .then(|| Target { address: first.address, interface: Some(interface.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(check: Option<&str>, allowed: &[(&str, u8)]) -> Option<(String, bool)> {
        said(check, false, allowed)
    }

    fn said(
        check: Option<&str>,
        elsewhere: bool,
        allowed: &[(&str, u8)],
    ) -> Option<(String, bool)> {
        let check = check.map(|text| text.parse().unwrap());
        let allowed: Vec<_> = allowed
            .iter()
            .map(|(address, prefix)| AllowedIp {
                address: address.parse().unwrap(),
                prefix: *prefix,
            })
            .collect();
        Target::of(check, elsewhere, &allowed, "wg0")
            .map(|target| (target.address.to_string(), target.interface.is_some()))
    }

    #[test]
    fn the_explicit_address_goes_first_then_the_first_allowed_ip_then_none() {
        let allowed = [("10.8.0.2", 32), ("fd08::2", 128)];
        assert_eq!(target(Some("192.0.2.1"), &allowed), Some(("192.0.2.1".to_owned(), false)));
        assert_eq!(target(Some("192.0.2.1"), &[]), Some(("192.0.2.1".to_owned(), false)));
        assert_eq!(target(None, &allowed), Some(("10.8.0.2".to_owned(), true)));
        assert_eq!(target(None, &[("10.8.1.0", 24)]), Some(("10.8.1.0".to_owned(), true)));
        assert_eq!(target(None, &allowed[1..]), Some(("fd08::2".to_owned(), true)));
        assert_eq!(target(None, &[]), None);
        assert_eq!(target(None, &[("0.0.0.0", 0)]), None);
    }

    #[test]
    fn other_nodes_choose_among_the_addresses_of_the_peer() {
        let allowed = [("10.8.0.2", 32), ("10.9.0.0", 16), ("fd08::", 64), ("0.0.0.0", 0)];
        let first = Some(("10.8.0.2".to_owned(), true));
        for (check, wanted) in [
            ("10.9.255.7", Some(("10.9.255.7".to_owned(), true))),
            ("fd08::ffff", Some(("fd08::ffff".to_owned(), true))),
            ("192.0.2.1", first.clone()),
            ("fd08:0:0:1::1", first.clone()),
            ("::ffff:10.9.0.1", first),
        ] {
            assert_eq!(said(Some(check), true, &allowed), wanted, "{check}");
        }
        assert_eq!(said(Some("192.0.2.1"), true, &[]), None);
        assert_eq!(said(Some("192.0.2.1"), true, &[("0.0.0.0", 0)]), None);
    }
}
