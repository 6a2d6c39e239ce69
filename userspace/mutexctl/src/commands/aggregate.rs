// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl aggregate`.

use std::io;

use mutex_stats::Aggregate;
use mutex_stats::Block;
use mutex_stats::Cell;
use mutex_stats::Direction;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Group;
use mutex_stats::Header;
use mutex_stats::Key;
use mutex_stats::Of;
use mutex_stats::OwnedConnection;
use mutex_stats::Part;
use mutex_stats::Selection;
use mutex_stats::Totals;
use mutex_stats::Visitor;
use mutex_stats::formats::RowNames;

use super::list;
use crate::cells::Cells;
use crate::cli::AggregateArgs;
use crate::failure::Failure;
use crate::source::Sink;
use crate::source::Source;
use crate::target::Target;

/// Columns after the keys.
const NUMBERS: [&str; 14] = [
    "connections",
    "sent_packets",
    "sent_bytes",
    "received_packets",
    "received_bytes",
    "forwarded_sent_packets",
    "forwarded_sent_bytes",
    "forwarded_received_packets",
    "forwarded_received_bytes",
    "retransmitted_packets",
    "drops",
    "rate_in",
    "rate_out",
    "losses",
];

pub fn run(source: &Source, args: &AggregateArgs) -> Result<(), Failure> {
    let keys = Key::list(&args.by).map_err(Failure::usage)?;
    let filter = Filter::parse(&args.filter.join(" "), Filtered::Connections);
    let filter = filter.map_err(Failure::usage)?;
    let mut aggregate = Aggregate::by(&keys);
    if aggregate.asks_for_owner() || filter.asks_for_owner() {
        let is_whole = filter.is_empty();
        let mut selection = Selection::connections(filter, list::holders(source));
        source.visit(&mut selection, Sink::Memory)?;
        if is_whole {
            aggregate.closed(selection.closed(), 0);
            selection.untracked().iter().for_each(|untracked| aggregate.untracked(untracked));
        }
        selection.into_connections(None, None).iter().for_each(|one| aggregate.add(one));
    } else {
        let mut adding = Adding { aggregate, filter };
        source.visit(&mut adding, Sink::Memory)?;
        aggregate = adding.aggregate;
    }

    let groups = aggregate.into_groups();
    let groups = match args.top {
        Some(top) => with_rest(groups, top),
        None => groups,
    };
    let mut columns: Vec<String> = vec!["of".into()];
    columns.extend(keys.iter().map(|key| key.name().into()));
    columns.extend(NUMBERS.map(String::from));
    let mut rows: Vec<_> = groups.iter().map(|group| row(group, keys.len())).collect();
    rows.push(total(&groups, keys.len()));
    let names = RowNames { list: "groups", one: "group" };
    let target = Target::new(args.output.output.as_deref());
    Cells { names, columns, rows }.write(args.format, &target)
}

/// Adds connections up as the image streams by.
struct Adding {
    aggregate: Aggregate,
    filter: Filter,
}

impl Visitor for Adding {
    fn header(&mut self, _: &Header, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        // What belongs to no listed connection belongs to no filter either.
        let is_whole = self.filter.is_empty();
        match block.part() {
            Part::Connections(records) => records
                .filter(|connection| self.filter.connection(connection, None))
                .for_each(|connection| {
                    self.aggregate.add(&OwnedConnection { connection, owner: None });
                }),
            Part::Closed(totals) if is_whole => self.aggregate.closed(&totals, 0),
            Part::Untracked(mut records) if is_whole => {
                records.by_ref().for_each(|untracked| self.aggregate.untracked(&untracked));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first groups, and one that is all others of connections, so that the sum stays.
fn with_rest(groups: Vec<Group>, top: usize) -> Vec<Group> {
    let is_listed = |group: &Group| matches!(group.of, Of::Connections(_));
    let (mut listed, others): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(is_listed);
    if listed.len() > top {
        let rest = listed.split_off(top);
        listed.extend(sum(&rest, Of::Connections(Vec::new())));
    }
    listed.extend(others);
    listed
}

fn sum(groups: &[Group], of: Of) -> Option<Group> {
    let mut all = groups.iter().cloned();
    let mut sum = Group { of, ..all.next()? };
    for group in all {
        sum.connections += group.connections;
        sum.totals.add(&group.totals);
        sum.retransmitted_packets += group.retransmitted_packets;
        sum.drops += group.drops;
        sum.losses += group.losses;
        sum.rate_in = sum.rate_in.saturating_add(group.rate_in);
        sum.rate_out = sum.rate_out.saturating_add(group.rate_out);
    }
    Some(sum)
}

fn row(group: &Group, keys: usize) -> Vec<Cell> {
    let word = |text: &str| Cell::Text(text.into());
    let (of, mut cells) = match &group.of {
        Of::Connections(cells) if cells.is_empty() => (word("other"), Vec::new()),
        Of::Connections(cells) => (word("connections"), cells.clone()),
        Of::Closed => (word("closed"), Vec::new()),
        Of::Untracked(reason) => (Cell::Text(format!("untracked {reason}")), Vec::new()),
    };
    cells.resize(keys, Cell::Unknown);
    cells.insert(0, of);
    cells.extend(numbers(group).map(Cell::Integer));
    cells
}

fn numbers(group: &Group) -> [u64; 14] {
    let of = |direction| *Totals::of(&group.totals, direction);
    let [sent, received, forwarded_sent, forwarded_received] = Direction::ALL.map(of);
    [
        group.connections,
        sent.packets,
        sent.bytes,
        received.packets,
        received.bytes,
        forwarded_sent.packets,
        forwarded_sent.bytes,
        forwarded_received.packets,
        forwarded_received.bytes,
        group.retransmitted_packets,
        group.drops,
        group.rate_in,
        group.rate_out,
        group.losses,
    ]
}

/// The last row: what all groups have together.
fn total(groups: &[Group], keys: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::Text("total".into())];
    cells.resize(keys + 1, Cell::Unknown);
    let sum = sum(groups, Of::Closed);
    cells.extend(sum.map_or([0; 14], |sum| numbers(&sum)).map(Cell::Integer));
    cells
}
