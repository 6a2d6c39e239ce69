// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is known of a moment: an image, and which fd owns which connection.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;

use mutex_stats::Connection;
use mutex_stats::Fd;
use mutex_stats::Holders;
use mutex_stats::Image;
use mutex_stats::Totals;
use mutex_stats::is_filtered;

/// An image to look around in. It is filled again and again, so that its memory is taken once.
#[derive(Default)]
pub struct Sample {
    pub image: Image,
    /// For each connection the position of its fd.
    owners: Vec<Option<u32>>,
    /// Positions of fds by their ids.
    fds: HashMap<u64, u32, BuildHasherDefault<Scatter>>,
}

impl Sample {
    /// Takes an image, which `fill` reads, in place of the one that is here.
    pub fn read<E>(&mut self, fill: impl FnOnce(&mut Image) -> Result<(), E>) -> Result<(), E> {
        let image = &mut self.image;
        image.connections.clear();
        image.fds.clear();
        image.latency.clear();
        image.drops.clear();
        image.alerts.clear();
        image.untracked.clear();
        fill(image)?;
        self.find_owners();
        Ok(())
    }

    fn find_owners(&mut self) {
        let position = |index: usize| u32::try_from(index).ok();
        let fds = self.image.fds.iter().enumerate();
        self.fds.clear();
        self.fds.extend(fds.filter_map(|(index, fd)| Some((fd.id, position(index)?))));
        let owner = |connection: &Connection| match connection.fd {
            0 => None,
            id => self.fds.get(&id).copied(),
        };
        self.owners.clear();
        self.owners.extend(self.image.connections.iter().map(owner));
    }

    /// The fd that owns the connection at that position.
    pub fn owner(&self, connection: usize) -> Option<&Fd> {
        self.image.fds.get(self.owner_position(connection)?)
    }

    /// Its position.
    pub fn owner_position(&self, connection: usize) -> Option<usize> {
        Some(self.owners.get(connection).copied()?? as usize)
    }

    /// Which load of the module it is of. Its Unix time will not do: the clock can be set.
    pub fn loaded(&self) -> ([u8; 16], u64) {
        let Image { header, status, .. } = &self.image;
        (header.boot_id, header.boottime_ns.wrapping_sub(status.uptime_ns))
    }

    /// Completes and corrects what the kernel says of processes.
    pub fn complete(&mut self, holders: &Holders) {
        self.image.fds.iter_mut().for_each(|fd| holders.complete(fd));
    }

    /// Whether the host's totals are where they have to be, if `sum` is what all connections and
    /// everything else have moved. `None` if the image is of one namespace only.
    pub fn is_balanced(&self, sum: &Totals) -> Option<bool> {
        let Image { header, totals_before, totals_after, .. } = &self.image;
        let flat = |totals: &Totals| {
            totals.fields().map(|(_, traffic)| traffic.fields().map(|(_, number)| number))
        };
        let (before, sum, after) = (flat(totals_before), flat(sum), flat(totals_after));
        let mut all = before.iter().flatten().zip(sum.iter().flatten()).zip(after.iter().flatten());
        let is_between = all.all(|((before, sum), after)| before <= sum && sum <= after);
        (!is_filtered(header)).then_some(is_between)
    }
}

/// Ids count up: multiplying by an odd number scatters them well enough.
#[derive(Default)]
pub struct Scatter(u64);

impl Hasher for Scatter {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut number = [0; 8];
            number.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_ne_bytes(number));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}
