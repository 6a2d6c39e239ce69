// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which address of a peer is pinged.

use std::net::IpAddr;

use crate::AllowedIp;
use crate::PeerSettings;

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
    /// An allowed IP that names no host (`0.0.0.0/0`, `::/0`) cannot be pinged.
    #[must_use]
    pub fn of(settings: &PeerSettings, allowed_ips: &[AllowedIp], interface: &str) -> Option<Self> {
        if let Some(address) = settings.check_alive_address {
            return Some(Target { address, interface: None });
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
        let settings = PeerSettings {
            check_alive_address: check.map(|text| text.parse().unwrap()),
            ..PeerSettings::default()
        };
        let allowed: Vec<_> = allowed
            .iter()
            .map(|(address, prefix)| AllowedIp {
                address: address.parse().unwrap(),
                prefix: *prefix,
            })
            .collect();
        Target::of(&settings, &allowed, "wg0")
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
}
