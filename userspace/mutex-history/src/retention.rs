// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is too old, or too much.

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;

use crate::database::Database;
use crate::database::integer;
use crate::database::natural;
use crate::error::Result;
use crate::settings::Settings;
use crate::settings::nanoseconds;

/// Rows of the host that go at a time when there is too much.
const ROWS: i64 = 256;
/// How often that is done after one snapshot; the rest waits for the next.
const ROUNDS: usize = 32;
/// Pages that are given back to the file system after a snapshot.
const PAGES: i64 = 1024;

/// Steps of the tiers, each with that of the next coarser one, whose rows its own end with.
fn steps(settings: &Settings) -> Vec<(u64, u64, u64)> {
    let step = |place: usize| settings.tiers.get(place).map(|tier| nanoseconds(tier.step));
    let of = |place: usize, keep| {
        let own = step(place).unwrap_or(0);
        (own, step(place + 1).unwrap_or(own).max(1), keep)
    };
    let tiers = settings.tiers.iter().enumerate();
    tiers.map(|(place, tier)| of(place, nanoseconds(tier.keep))).collect()
}

/// Removes what is too old.
pub(crate) fn by_age(database: &mut Database, settings: &Settings, now_ns: u64) -> Result<u64> {
    let mut removed = 0;
    for (step, coarser, keep) in steps(settings) {
        let until = now_ns.saturating_sub(keep) / coarser * coarser;
        if until > complete_from(database.connection(), step)? {
            removed += remove(database, step, until)?;
        }
    }
    let longest = settings.tiers.iter().map(|tier| nanoseconds(tier.keep)).max().unwrap_or(0);
    let oldest = integer(now_ns.saturating_sub(longest));
    for table in ["alert", "finding"] {
        let connection = database.connection();
        let sql = format!("DELETE FROM {table} WHERE time_ns < ?");
        removed += connection.prepare_cached(&sql)?.execute([oldest])? as u64;
        // The numbers of rows grow as they come, and have no gaps but at their beginning.
        let sql = format!("DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?");
        let most = integer(settings.max_alerts);
        removed += connection.prepare_cached(&sql)?.execute([most])? as u64;
    }
    Ok(removed)
}

/// Removes the oldest of the finest tier until the database is no larger than it may be.
pub(crate) fn by_size(database: &mut Database, settings: &Settings) -> Result<u64> {
    let mut removed = 0;
    let steps = steps(settings);
    for _ in 0..ROUNDS {
        if database.used_bytes()? <= settings.max_bytes {
            break;
        }
        let mut round = 0;
        for &(step, coarser, _) in &steps {
            let sql =
                "SELECT time_ns FROM host WHERE step_ns = ? ORDER BY time_ns LIMIT 1 OFFSET ?";
            let mut statement = database.connection().prepare_cached(sql)?;
            let mut at = |place: i64| -> Result<Option<i64>> {
                let time = statement.query_row(params![integer(step), place], |row| row.get(0));
                Ok(time.optional()?)
            };
            // The last row stays.
            let many = match at(ROWS)? {
                Some(time) => Some(time),
                None => at(1)?.and(at(0)?),
            };
            drop(statement);
            if let Some(time) = many {
                let until = natural(time).div_ceil(coarser).saturating_mul(coarser);
                // Of a row that is there, at least one goes.
                round = remove(database, step, until.max(natural(time) + 1))?;
                break;
            }
        }
        if round == 0 {
            break;
        }
        removed += round;
    }
    let sql = format!("PRAGMA incremental_vacuum({PAGES})");
    let mut statement = database.connection().prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(removed)
}

fn complete_from(connection: &Connection, step: u64) -> Result<u64> {
    let sql = "SELECT complete_from_ns FROM tier WHERE step_ns = ?";
    let from = connection.prepare_cached(sql)?.query_row([integer(step)], |row| row.get(0));
    Ok(from.optional()?.map_or(0, natural))
}

/// Removes what a tier has of before `until`, a row of the next tier's.
fn remove(database: &mut Database, step: u64, until: u64) -> Result<u64> {
    let begin = database.begin()?;
    // The row of a snapshot has the time of its end.
    let before = if step == 0 { "time_ns <= ?" } else { "time_ns < ?" };
    let mut removed = 0;
    for table in ["host", "groups"] {
        let sql = format!("DELETE FROM {table} WHERE step_ns = ? AND {before}");
        removed += begin.prepare_cached(&sql)?.execute([integer(step), integer(until)])? as u64;
    }
    let sql = "UPDATE tier SET complete_from_ns = max(complete_from_ns, ?) WHERE step_ns = ?";
    begin.prepare_cached(sql)?.execute([integer(until), integer(step)])?;
    begin.commit()?;
    Ok(removed)
}
