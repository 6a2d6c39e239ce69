// SPDX-License-Identifier: MIT OR Apache-2.0

//! The records with the largest of something, in memory that does not grow with the number of records.

use std::cmp::Reverse;

/// Keeps so many records with the largest keys; of equal ones those with the smallest ids.
#[derive(Debug)]
pub struct Best<T> {
    most: usize,
    kept: Vec<(Reverse<u64>, u64, T)>,
    /// What is larger than this is not among them any more.
    bound: Option<(Reverse<u64>, u64)>,
}

impl<T> Best<T> {
    pub fn new(most: usize) -> Self {
        Best { most, kept: Vec::new(), bound: None }
    }

    pub fn add(&mut self, key: u64, id: u64, record: impl FnOnce() -> T) {
        let place = (Reverse(key), id);
        if self.most == 0 || self.bound.is_some_and(|bound| place >= bound) {
            return;
        }
        self.kept.push((place.0, place.1, record()));
        if self.kept.len() >= 2 * self.most + 64 {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.kept.sort_unstable_by_key(|(key, id, _)| (*key, *id));
        self.kept.truncate(self.most);
        if self.kept.len() == self.most {
            self.bound = self.kept.last().map(|(key, id, _)| (*key, *id));
        }
    }

    /// The records, the largest first.
    pub fn into_records(mut self) -> Vec<T> {
        self.forget();
        self.kept.into_iter().map(|(_, _, record)| record).collect()
    }

    /// What is kept so far.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.kept.iter().map(|(_, _, record)| record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_in_their_order() {
        // Every number up to a prime comes once, in an order that has nothing to do with them.
        let prime = 10_007;
        for most in [0, 1, 7, 500] {
            let mut best = Best::new(most);
            for number in (1..prime).map(|step| step * 5 % prime) {
                best.add(number / 2, number, || number);
                assert!(best.kept.len() <= 2 * most + 64);
            }
            let mut all: Vec<u64> = (1..prime).collect();
            all.sort_by_key(|number| (Reverse(number / 2), *number));
            all.truncate(most);
            assert_eq!(best.into_records(), all);
        }
    }
}
