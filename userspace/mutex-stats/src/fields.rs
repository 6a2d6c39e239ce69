// SPDX-License-Identifier: MIT OR Apache-2.0

//! The fields of records by name: what JSON and CSV, and whatever comes later, have in common.
//!
//! Names and order are those of the kernel's text. What is 0 in the image for "none" stays 0.

use std::fmt;

use mutex_core::names::protocol_name;
use mutex_core::text::status_fields;

use crate::Address;
use crate::Alert;
use crate::Connection;
use crate::Direction;
use crate::DropCount;
use crate::Dropped;
use crate::Fd;
use crate::Header;
use crate::HostQuality;
use crate::Latency;
use crate::LatencyBuckets;
use crate::Packet;
use crate::Protocol;
use crate::Quality;
use crate::Status;
use crate::Totals;
use crate::Traffic;
use crate::Untracked;
use crate::records::BootId;
use crate::records::ReasonName;
use crate::records::alert_kind_name;
use crate::records::command_text;
use crate::records::drop_name;
use crate::records::has_endpoints;
use crate::records::is_filtered;
use crate::records::known_uid;
use crate::records::scope_name;
use crate::records::severity_name;
use crate::records::state_name;

/// What a field holds.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A number in base units.
    Integer(u64),
    /// A name out of a set of ours: one word of letters, digits and hyphens.
    Name(&'static str),
    /// An end's address.
    Address(Address),
    /// Something that is written as text.
    Text(&'a dyn fmt::Display),
    /// Yes or no.
    Truth(bool),
    /// Some names out of a set, given as the bits of a connection's flags.
    Flags(u32),
    /// One direction's four counters.
    Traffic(&'a Traffic),
    /// How well something fares. Where there is one level only, its fields stand for themselves.
    Quality(&'a Quality),
    /// Latency. Where there is one level only, its fields are called `latency_`.
    Latency(&'a Latency),
    /// Reasons of drops, with places that are empty.
    DropCounts(&'a [DropCount]),
    /// The samples of an octave's steps. Where there is one level only, they are numbered from 0.
    Samples(&'a [u64]),
    /// There is a value, but nobody knows it.
    Unknown,
}

/// A record with named fields.
pub trait Fields {
    /// Calls `each` with every field's name and value, always the same names in the same order.
    ///
    /// # Errors
    ///
    /// The first that `each` returns.
    fn fields<E>(
        &self,
        each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E>;
}

impl Fields for Header {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        each("time_ns", Value::Integer(self.time_ns))?;
        each("boottime_ns", Value::Integer(self.boottime_ns))?;
        each("loaded_ns", Value::Integer(self.loaded_ns))?;
        each("boot_id", Value::Text(&BootId(self.boot_id)))?;
        each("netns", Value::Integer(self.netns.into()))?;
        each("filtered", Value::Truth(is_filtered(self)))
    }
}

impl Fields for Status {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        status_fields(self)
            .into_iter()
            .try_for_each(|(name, value)| each(name, Value::Integer(value)))
    }
}

impl Fields for Traffic {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // The inherent method of the same name.
        let fields = Traffic::fields(self);
        fields.into_iter().try_for_each(|(name, value)| each(name, Value::Integer(value)))
    }
}

impl Fields for Latency {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let fields = Latency::fields(self);
        fields.into_iter().try_for_each(|(name, value)| each(name, Value::Integer(value)))
    }
}

impl Fields for Quality {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        each("latency", Value::Latency(&self.latency))?;
        let fields = Quality::fields(self);
        fields.into_iter().try_for_each(|(name, value)| each(name, Value::Integer(value)))
    }
}

impl Fields for HostQuality {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        Fields::fields(&self.quality, &mut each)?;
        each("losses", Value::Integer(self.losses()))?;
        each("discards", Value::Integer(self.discards))
    }
}

impl Fields for DropCount {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        each("reason", Value::Integer(self.reason.into()))?;
        each("packets", Value::Integer(self.packets.into()))
    }
}

impl Fields for Dropped {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = drop_name(self);
        each("reason", Value::Integer(self.reason.into()))?;
        each("name", name.as_ref().map_or(Value::Unknown, |text| Value::Text(text)))?;
        each("packets", Value::Integer(self.packets))?;
        each("losses", Value::Integer(self.losses()))?;
        each("discards", Value::Integer(self.discards))
    }
}

impl Fields for LatencyBuckets {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let scope = u8::try_from(self.scope).map_or("unknown", scope_name);
        each("scope", Value::Name(scope))?;
        each("id", Value::Integer(self.id))?;
        each("octave", Value::Integer(self.octave.into()))?;
        each("samples", Value::Samples(&self.samples))
    }
}

impl Fields for Alert {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let local = Address { family: self.family, address: self.local_address };
        let remote = Address { family: self.family, address: self.remote_address };
        let number = Protocol(self.protocol);
        let command = command_text(&self.command);
        let known = |is_known, value| if is_known { value } else { Value::Unknown };
        each("number", Value::Integer(self.number))?;
        each("time_ns", Value::Integer(self.time_ns))?;
        each("severity", Value::Name(severity_name(self.severity)))?;
        each("kind", Value::Name(alert_kind_name(self.kind)))?;
        each("scope", Value::Name(scope_name(self.scope)))?;
        each("subject", Value::Integer(self.subject))?;
        each("threshold", Value::Integer(self.threshold))?;
        each("value", Value::Integer(self.value))?;
        each("netns", Value::Integer(self.netns.into()))?;
        each("family", Value::Integer(self.family.into()))?;
        each("protocol", known(self.family != 0, protocol(&number)))?;
        each("local_address", known(has_endpoints(self), Value::Address(local)))?;
        each("local_port", Value::Integer(self.local_port.into()))?;
        each("remote_address", known(has_endpoints(self), Value::Address(remote)))?;
        each("remote_port", Value::Integer(self.remote_port.into()))?;
        each("pid", Value::Integer(self.pid.into()))?;
        each("command", command.as_ref().map_or(Value::Unknown, |text| Value::Text(text)))
    }
}

impl Fields for Packet {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let address = |address| Address { family: self.family, address };
        let direction = Direction::ALL.get(usize::from(self.direction)).copied();
        let name = direction.map(|direction| Totals::ZERO.fields()[direction as usize].0);
        each("connection", Value::Integer(self.connection))?;
        each("direction", name.as_ref().map_or(Value::Unknown, |name| Value::Text(name)))?;
        each("netns", Value::Integer(self.netns.into()))?;
        each("protocol", Value::Text(&Protocol(self.protocol)))?;
        each("local_address", Value::Text(&address(self.local_address)))?;
        each("local_port", Value::Integer(self.local_port.into()))?;
        each("remote_address", Value::Text(&address(self.remote_address)))?;
        each("remote_port", Value::Integer(self.remote_port.into()))?;
        each("interface", Value::Integer(self.interface.into()))?;
        each("family", Value::Integer(self.family.into()))?;
        each("packets", Value::Integer(self.packets.into()))?;
        each("bytes", Value::Integer(self.bytes))?;
        each("payload", Value::Integer(self.payload))
    }
}

impl Fields for Totals {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let fields = Totals::fields(self);
        fields.into_iter().try_for_each(|(name, traffic)| each(name, Value::Traffic(traffic)))
    }
}

impl Fields for Untracked {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        each("reason", Value::Text(&ReasonName(self.reason)))?;
        Fields::fields(&self.totals, each)
    }
}

impl Fields for Connection {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let address = |address| Value::Address(Address { family: self.family, address });
        each("id", Value::Integer(self.id))?;
        each("netns", Value::Integer(self.netns.into()))?;
        each("protocol", protocol(&Protocol(self.protocol)))?;
        each("local_address", address(self.local_address))?;
        each("local_port", Value::Integer(self.local_port.into()))?;
        each("remote_address", address(self.remote_address))?;
        each("remote_port", Value::Integer(self.remote_port.into()))?;
        each("scope", Value::Integer(self.scope.into()))?;
        each("state", Value::Name(state_name(self.state)))?;
        each("flags", Value::Flags(self.flags))?;
        each("fd", Value::Integer(self.fd))?;
        each("uid", uid(self.uid))?;
        each("cgroup", Value::Integer(self.cgroup))?;
        each("in_interface", Value::Integer(self.in_interface.into()))?;
        each("out_interface", Value::Integer(self.out_interface.into()))?;
        each("first_seen_ns", Value::Integer(self.first_seen_ns))?;
        each("last_seen_ns", Value::Integer(self.last_seen_ns))?;
        each("closed_ns", Value::Integer(self.closed_ns))?;
        each("family", Value::Integer(self.family.into()))?;
        each("sent", Value::Traffic(&self.sent))?;
        each("received", Value::Traffic(&self.received))?;
        each("quality", Value::Quality(&self.quality))?;
        each("drop_reasons", Value::DropCounts(&self.drop_reasons))?;
        each("losses", Value::Integer(self.losses()))?;
        each("discards", Value::Integer(self.discards))
    }
}

impl Fields for Fd {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let command = command_text(&self.command);
        each("id", Value::Integer(self.id))?;
        each("inode", Value::Integer(self.inode))?;
        each("netns", Value::Integer(self.netns.into()))?;
        each("family", Value::Integer(self.family.into()))?;
        each("protocol", protocol(&Protocol(self.protocol)))?;
        each("pid", Value::Integer(self.pid.into()))?;
        each("command", command.as_ref().map_or(Value::Unknown, |text| Value::Text(text)))?;
        each("uid", uid(self.uid))?;
        each("cgroup", Value::Integer(self.cgroup))?;
        each("first_seen_ns", Value::Integer(self.first_seen_ns))?;
        each("closed_ns", Value::Integer(self.closed_ns))?;
        each("active_connections", Value::Integer(self.active_connections))?;
        each("total_connections", Value::Integer(self.total_connections))?;
        each("sent", Value::Traffic(&self.sent))?;
        each("received", Value::Traffic(&self.received))?;
        each("quality", Value::Quality(&self.quality))?;
        each("losses", Value::Integer(self.losses()))?;
        each("discards", Value::Integer(self.discards))
    }
}

fn protocol(number: &Protocol) -> Value<'_> {
    protocol_name(number.0).map_or(Value::Text(number), Value::Name)
}

fn uid(uid: u32) -> Value<'static> {
    known_uid(uid).map_or(Value::Unknown, |uid| Value::Integer(uid.into()))
}

/// Calls `each` with the name of every flat column: what has fields of its own is taken apart.
pub(crate) fn columns<T: Fields + Default, E>(
    mut each: impl FnMut(fmt::Arguments<'_>) -> Result<(), E>,
) -> Result<(), E> {
    T::default().fields(|name, value| match value {
        Value::Traffic(traffic) => traffic
            .fields()
            .into_iter()
            .try_for_each(|(counter, _)| each(format_args!("{name}_{counter}"))),
        Value::Quality(quality) => quality.columns(|name, _| each(name)),
        Value::Latency(latency) => latency
            .fields()
            .into_iter()
            .try_for_each(|(counter, _)| each(format_args!("{name}_{counter}"))),
        Value::Samples(samples) => {
            (0..samples.len()).try_for_each(|step| each(format_args!("{name}_{step}")))
        }
        _ => each(format_args!("{name}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutex_core::text;

    fn names<T: Fields + Default>() -> String {
        let mut names = Vec::new();
        let Ok(()) = columns::<T, std::convert::Infallible>(|name| {
            names.push(name.to_string());
            Ok(())
        });
        names.join(" ")
    }

    fn kernel(write: fn(&mut String) -> fmt::Result) -> String {
        let mut header = String::new();
        write(&mut header).expect("a string takes everything");
        header.lines().nth(1).expect("the second line names the columns").to_owned()
    }

    #[test]
    fn names_and_order_are_those_of_the_kernels_text() {
        assert_eq!(names::<Connection>(), kernel(text::connections_header));
        assert_eq!(names::<Fd>(), kernel(text::fds_header));
    }
}
