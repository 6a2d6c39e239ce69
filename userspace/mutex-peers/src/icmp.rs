// SPDX-License-Identifier: MIT OR Apache-2.0

//! Echo requests over IPv4 and IPv6.
//!
//! The kernel gives a socket for echo requests to who is in `net.ipv4.ping_group_range`, without any
//! capability; where it does not, a raw socket does, with `CAP_NET_RAW`. Each ping has a socket of its own, which is
//! connected, so that nobody else's packets wake it, and a payload of its own, so that no answer is taken for another's.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV6;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::Target;

/// Who pings.
pub trait Pinger: Send + Sync + 'static {
    /// Pings once: the round trip, or an error if nobody answers in that time. `index` is the number of
    /// the target's interface.
    fn ping<'a>(
        &'a self,
        target: &'a Target,
        index: u32,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = io::Result<Duration>> + Send + 'a>>;

    /// Whether pings can be made at all: if not, why.
    ///
    /// # Errors
    ///
    /// What forbids it.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Pings with real packets.
#[derive(Debug)]
pub struct Icmp {
    sequence: AtomicU64,
    /// What tells this process's packets from others'.
    secret: u64,
}

/// The payload: as much as `ping` sends.
const PAYLOAD: usize = 56;
const HEADER: usize = 8;

impl Default for Icmp {
    fn default() -> Self {
        use std::hash::BuildHasher;
        Icmp {
            sequence: AtomicU64::new(0),
            secret: std::hash::RandomState::new().hash_one(std::process::id()),
        }
    }
}

impl Pinger for Icmp {
    fn ping<'a>(
        &'a self,
        target: &'a Target,
        index: u32,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = io::Result<Duration>> + Send + 'a>> {
        Box::pin(async move {
            let number = self.sequence.fetch_add(1, Ordering::Relaxed);
            match timeout(patience, self.ping_once(target, index, number)).await {
                Ok(result) => result,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }

    fn check(&self) -> io::Result<()> {
        // A machine may have no IPv6; what it has decides then.
        open(false).or_else(|error| open(true).map_err(|_| error)).map(drop)
    }
}

impl Icmp {
    async fn ping_once(&self, target: &Target, index: u32, number: u64) -> io::Result<Duration> {
        let is_v6 = target.address.is_ipv6();
        let (socket, is_raw) = open(is_v6)?;
        if let Some(interface) = &target.interface {
            // Two interfaces may have peers of the same address. Where the kernel does not let us say which one we mean,
            // its routes decide.
            let _ = socket.bind_device(Some(interface.as_bytes()));
        }
        let address = match target.address {
            IpAddr::V6(address) if is_link_local(&address) => {
                SocketAddrV6::new(address, 0, 0, index).into()
            }
            address => SocketAddr::new(address, 0),
        };
        socket.connect(&address.into())?;
        socket.set_nonblocking(true)?;
        let request = self.request(is_v6, number);
        // To send and to receive it is a datagram socket like others.
        let socket = UdpSocket::from_std(socket.into())?;
        let began = Instant::now();
        socket.send(&request).await?;
        let mut buffer = [0; 1500];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let took = began.elapsed();
            if is_answer(&buffer[..length], is_v6, is_raw, &request) {
                return Ok(took);
            }
        }
    }

    /// An echo request. Its identifier, and for IPv6 its checksum, are the kernel's to fill in; for a raw
    /// socket of IPv4 they have to be right.
    fn request(&self, is_v6: bool, number: u64) -> [u8; HEADER + PAYLOAD] {
        let mut packet = [0; HEADER + PAYLOAD];
        packet[0] = if is_v6 { 128 } else { 8 };
        packet[4..6].copy_from_slice(&self.secret.to_be_bytes()[..2]);
        packet[6..8].copy_from_slice(&number.to_be_bytes()[6..]);
        packet[8..16].copy_from_slice(&self.secret.to_be_bytes());
        packet[16..24].copy_from_slice(&number.to_be_bytes());
        if !is_v6 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }
}

/// A socket for echo requests, and whether it is a raw one.
fn open(is_v6: bool) -> io::Result<(Socket, bool)> {
    let (domain, protocol) =
        if is_v6 { (Domain::IPV6, Protocol::ICMPV6) } else { (Domain::IPV4, Protocol::ICMPV4) };
    match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => Ok((socket, false)),
        Err(refused) => match Socket::new(domain, Type::RAW, Some(protocol)) {
            Ok(socket) => Ok((socket, true)),
            Err(_) => Err(refused),
        },
    }
}

/// Whether a packet answers the request: type, sequence and payload are right, and the identifier of a raw
/// socket's; the kernel has looked at the other's.
fn is_answer(packet: &[u8], is_v6: bool, is_raw: bool, request: &[u8]) -> bool {
    let mut packet = packet;
    if is_raw && !is_v6 {
        // It comes with its IP header.
        let header = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
        packet = packet.get(header..).unwrap_or_default();
    }
    packet.len() == request.len()
        && packet[0] == if is_v6 { 129 } else { 0 }
        && packet[1] == 0
        && (!is_raw || packet[4..6] == request[4..6])
        && packet[6..] == request[6..]
}

fn is_link_local(address: &Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

fn checksum(packet: &[u8]) -> u16 {
    let mut sum: u32 = packet
        .chunks(2)
        .map(|pair| (u32::from(pair[0]) << 8) | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_internet() {
        let packet = Icmp::default().request(false, 7);
        assert_eq!(checksum(&packet), 0, "with its checksum, a packet's sum is nothing");
        assert_eq!(checksum(&[0x45, 0, 0, 0x73]), !(0x4573));
    }

    #[test]
    fn only_the_answer_is_taken_for_it() {
        let icmp = Icmp::default();
        for (is_v6, kind) in [(false, 0), (true, 129)] {
            let request = icmp.request(is_v6, 1);
            let mut answer = request;
            answer[0] = kind;
            assert!(is_answer(&answer, is_v6, false, &request));
            assert!(!is_answer(&request, is_v6, false, &request), "that is the request itself");
            assert!(!is_answer(&answer[..HEADER], is_v6, false, &request));
            assert!(!is_answer(&[], is_v6, true, &request));
            let mut other = icmp.request(is_v6, 2);
            other[0] = kind;
            assert!(!is_answer(&other, is_v6, false, &request));
            answer[4] ^= 1;
            assert!(is_answer(&answer, is_v6, false, &request), "the identifier is the kernel's");
            assert!(!is_answer(&answer, is_v6, true, &request));
        }
        let request = icmp.request(false, 1);
        let mut raw = vec![0x45; 20];
        raw.extend(request);
        raw[20] = 0;
        assert!(is_answer(&raw, false, true, &request));
    }

    #[tokio::test]
    async fn this_host_answers_itself() {
        let icmp = Icmp::default();
        if icmp.check().is_err() {
            // Whether somebody may ping depends on the machine; the scenarios are run where one may.
            return;
        }
        for address in ["127.0.0.1", "::1"] {
            let target = Target { address: address.parse().unwrap(), interface: None };
            if let Err(error) = icmp.ping(&target, 0, Duration::from_secs(30)).await {
                assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{address}: {error}");
            }
        }
    }
}
