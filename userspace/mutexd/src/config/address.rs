// SPDX-License-Identifier: MIT OR Apache-2.0

//! Addresses to listen on: one, or a list.

use std::fmt;
use std::net::SocketAddr;

use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error;
use serde::de::SeqAccess;
use serde::de::Visitor;

pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<SocketAddr>, D::Error> {
    input.deserialize_any(OneOrMany)
}

pub fn serialize<S: Serializer>(all: &[SocketAddr], output: S) -> Result<S::Ok, S::Error> {
    match all {
        [one] => one.serialize(output),
        all => all.serialize(output),
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<SocketAddr>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address and a port such as \"127.0.0.1:8787\", or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        address(text).map(|address| vec![address])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let mut addresses = Vec::new();
        while let Some(text) = all.next_element::<String>()? {
            addresses.push(address(&text)?);
        }
        Ok(addresses)
    }
}

fn address<E: Error>(text: &str) -> Result<SocketAddr, E> {
    // Only a port means all addresses, as elsewhere.
    let all = text.strip_prefix(':').map(|port| format!("[::]:{port}"));
    all.as_deref().unwrap_or(text).parse().map_err(|_| {
        E::custom(format!(
            "\"{text}\" is no address and port; write one such as \"127.0.0.1:8787\" or \
             \"[::1]:8787\""
        ))
    })
}
