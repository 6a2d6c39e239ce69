// SPDX-License-Identifier: MIT OR Apache-2.0

//! Taking results and sessions that are too old out of the database, a bounded number in a transaction.
//!
//! Rows are added in the order of their times, so the old ones are those with the smallest numbers, and a pass ends at the
//! first row that is not old. The exceptions are rows of a clock that was ahead: they are kept until they are old,
//! and are passed over, so that they do not hide old rows behind them.

use rusqlite::Connection;
use rusqlite::Transaction;
use rusqlite::params;

/// Rows that are looked at in a transaction. It keeps other writers waiting for some 10 ms.
const ROWS: u64 = 5000;

/// What is known of the rows that were looked at before.
#[derive(Debug)]
pub(crate) struct Pruner {
    tables: [Table; 2],
}

#[derive(Debug)]
struct Table {
    name: &'static str,
    /// All rows up to this number are of the future, none of them before that time.
    passed: (i64, i64),
}

impl Default for Pruner {
    fn default() -> Self {
        Pruner { tables: ["ping", "session"].map(Table::new) }
    }
}

impl Pruner {
    /// Takes out rows from before `oldest`; whether there may be more of them.
    pub(crate) fn step(
        &mut self,
        connection: &mut Connection,
        oldest: i64,
        now: i64,
    ) -> rusqlite::Result<bool> {
        let transaction = connection.transaction()?;
        let mut more = false;
        for table in &mut self.tables {
            more |= table.step(&transaction, oldest, now)?;
        }
        if !more {
            transaction.execute(
                "DELETE FROM peer WHERE state IS NULL
                 AND NOT EXISTS (SELECT 1 FROM ping WHERE peer = peer.id)
                 AND NOT EXISTS (SELECT 1 FROM session WHERE peer = peer.id)",
                [],
            )?;
        }
        transaction.commit()?;
        Ok(more)
    }
}

impl Table {
    fn new(name: &'static str) -> Self {
        Table { name, passed: (i64::MIN, i64::MAX) }
    }

    fn step(
        &mut self,
        transaction: &Transaction<'_>,
        oldest: i64,
        now: i64,
    ) -> rusqlite::Result<bool> {
        let name = self.name;
        if self.passed.1 < oldest {
            self.passed = Table::new(name).passed;
        }
        let first = self.passed.0;
        let mut query = transaction.prepare_cached(&format!(
            "SELECT id, time_ns FROM {name} WHERE id > ?1 ORDER BY id LIMIT {ROWS}"
        ))?;
        let mut rows = query.query([first])?;
        let (mut seen, mut old, mut more) = (0, None, false);
        while let Some(row) = rows.next()? {
            let (id, time_ns): (i64, i64) = (row.get(0)?, row.get(1)?);
            seen += 1;
            more = seen == ROWS;
            if time_ns < oldest {
                old = Some(id);
            } else if time_ns > now {
                self.passed = (id, self.passed.1.min(time_ns));
            } else {
                more = false;
                break;
            }
        }
        if let Some(last) = old {
            transaction.execute(
                &format!("DELETE FROM {name} WHERE id > ?1 AND id <= ?2 AND time_ns < ?3"),
                params![first, last, oldest],
            )?;
        }
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        connection: Connection,
        pruner: Pruner,
    }

    impl World {
        fn new() -> Self {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(crate::store::SCHEMA).unwrap();
            World { connection, pruner: Pruner::default() }
        }

        fn add(&self, count: u64, time_ns: i64) {
            let sql =
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
                       INSERT INTO ping (peer, time_ns) SELECT 1, ?2 FROM n";
            self.connection.execute(sql, params![i64::try_from(count).unwrap(), time_ns]).unwrap();
        }

        /// Takes out all that is old, and tells how many steps that took.
        fn prune(&mut self, oldest: i64, now: i64) -> u32 {
            let mut steps = 1;
            while self.pruner.step(&mut self.connection, oldest, now).unwrap() {
                steps += 1;
            }
            steps
        }

        fn times(&self) -> Vec<(i64, i64)> {
            let sql = "SELECT time_ns, count(*) FROM ping GROUP BY time_ns";
            let mut query = self.connection.prepare(sql).unwrap();
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        }
    }

    #[test]
    fn all_that_is_old_goes_however_much_it_is() {
        let mut world = World::new();
        world.add(4 * ROWS + 1, 10);
        world.add(3, 20);
        assert_eq!(world.prune(15, 30), 5);
        assert_eq!(world.times(), [(20, 3)]);
        world.add(3, 30);
        assert_eq!(world.prune(25, 40), 1);
        assert_eq!(world.times(), [(30, 3)]);
        assert_eq!(world.prune(35, 40), 1);
        world.add(2, 10);
        assert_eq!(world.prune(35, 40), 1);
        assert_eq!(world.times(), [], "numbers that are used again are looked at again");
    }

    #[test]
    fn rows_of_the_future_hide_nothing_and_go_when_they_are_old() {
        let mut world = World::new();
        world.add(2 * ROWS, 100);
        world.add(ROWS, 10);
        world.add(1, 101);
        world.add(7, 20);
        assert_eq!(world.prune(15, 30), 4);
        let future = i64::try_from(2 * ROWS).unwrap();
        assert_eq!(world.times(), [(20, 7), (100, future), (101, 1)]);
        assert_eq!(world.prune(15, 30), 1, "they are passed over");
        assert_eq!(world.prune(25, 40), 1);
        assert_eq!(world.times(), [(100, future), (101, 1)]);
        world.add(5, 110);
        assert_eq!(world.prune(101, 120), 3);
        assert_eq!(world.times(), [(101, 1), (110, 5)]);
    }

    #[test]
    fn a_peer_without_state_goes_with_its_last_row() {
        let mut world = World::new();
        let sql = "INSERT INTO peer (interface, public_key) VALUES ('wg0', 'a')";
        world.connection.execute(sql, []).unwrap();
        world.add(1, 10);
        let peers = |world: &World| -> i64 {
            let sql = "SELECT count(*) FROM peer";
            world.connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        world.prune(5, 30);
        assert_eq!(peers(&world), 1);
        world.prune(15, 30);
        assert_eq!(peers(&world), 0);
    }
}
