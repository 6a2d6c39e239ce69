// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is looked at, and how: everything that is drawn comes from here.

use std::time::Duration;

use super::filter_line::FilterLine;
use super::history::Histories;
use super::listing::Listing;
use super::listing::Query;
use super::row::Manner;
use super::row::Row;
use super::sample::Sample;
use super::unit::Unit;
use super::view::Column;
use super::view::View;

/// The order of a view's rows.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub column: Column,
    pub is_reversed: bool,
}

/// What a view remembers while another one is looked at.
pub struct Look {
    pub order: Order,
    pub filter: FilterLine,
    /// The row that the cursor is on.
    pub cursor: usize,
    /// Its id, if the cursor has been moved: it stays on it then, wherever that goes.
    pub id: Option<u128>,
    /// The first row on the screen.
    pub top: usize,
}

/// What the program is at.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct State {
    pub view: View,
    looks: [Look; View::ALL.len()],
    pub unit: Unit,
    pub shows_closed: bool,
    pub shows_detail: bool,
    pub shows_help: bool,
    pub is_paused: bool,
    pub interval: Duration,
    /// Why there is nothing newer.
    pub trouble: Option<String>,
    /// Which image of how many, if it is a recording.
    pub recorded: Option<(usize, usize)>,
    /// Whether numbers change by themselves.
    pub is_live: bool,
    pub sample: Sample,
    pub listing: Listing,
    pub histories: Histories,
    /// Rows that there was room for.
    pub page: usize,
}

impl State {
    pub fn new(sample: Sample, view: View) -> Self {
        let look = |view: View| Look {
            order: Order { column: view.first_order(), is_reversed: false },
            filter: FilterLine::default(),
            cursor: 0,
            id: None,
            top: 0,
        };
        let mut state = State {
            view,
            looks: View::ALL.map(look),
            unit: Unit::default(),
            shows_closed: false,
            shows_detail: false,
            shows_help: false,
            is_paused: false,
            interval: Duration::from_secs(1),
            trouble: None,
            recorded: None,
            is_live: true,
            sample: Sample::default(),
            listing: Listing::default(),
            histories: Histories::default(),
            page: 1,
        };
        state.take(sample);
        state
    }

    pub fn look(&self) -> &Look {
        &self.looks[self.view as usize]
    }

    pub fn look_mut(&mut self) -> &mut Look {
        &mut self.looks[self.view as usize]
    }

    /// Shows a newer sample, and gives back the one before.
    pub fn take(&mut self, sample: Sample) -> Sample {
        let before = std::mem::replace(&mut self.sample, sample);
        self.trouble = None;
        if before.loaded() != self.sample.loaded() {
            // Ids mean something else.
            self.histories = Histories::default();
            self.looks.iter_mut().for_each(|look| look.id = None);
        }
        let quality = &self.sample.image.quality;
        self.histories.next([quality.rate_in, quality.rate_out]);
        self.arrange();
        before
    }

    /// Puts the rows in order again, after something has changed.
    pub fn arrange(&mut self) {
        let Look { order, filter, .. } = self.look();
        let query = Query {
            view: self.view,
            filter: filter.filter.clone(),
            column: order.column,
            is_reversed: order.is_reversed,
            shows_closed: self.shows_closed,
        };
        self.listing.arrange(&self.sample, &query);
        self.follow();
        // Somewhat more than what is on the screen, for rows that come and go at its end.
        let (first, count) = (self.look().top, 2 * self.page.max(25));
        let State { listing, sample, histories, view, .. } = self;
        let rows = (first..first + count).map_while(|number| listing.row(sample, *view, number));
        rows.for_each(|row| histories.row(*view, &row));
    }

    /// Leaves the cursor on its row, if it is still there.
    fn follow(&mut self) {
        if let Some(id) = self.look().id {
            match self.listing.find(&self.sample, self.view, id) {
                Some(number) => self.look_mut().cursor = number,
                None => self.look_mut().id = None,
            }
        }
        self.keep_in_sight();
    }

    /// Moves the first row so that the cursor is on the screen.
    pub fn keep_in_sight(&mut self) {
        let (rows, page) = (self.listing.len(), self.page.max(1));
        let look = self.look_mut();
        look.cursor = look.cursor.min(rows.saturating_sub(1));
        look.top = look.top.min(rows.saturating_sub(page)).min(look.cursor);
        look.top = look.top.max((look.cursor + 1).saturating_sub(page));
    }

    /// Moves the cursor, which is on that row from now on.
    pub fn move_to(&mut self, number: usize) {
        let number = number.min(self.listing.len().saturating_sub(1));
        let id = self.listing.row(&self.sample, self.view, number).map(|row| row.id());
        let look = self.look_mut();
        look.cursor = number;
        // At the top it stays there, so that the first is always shown.
        look.id = id.filter(|_| number > 0);
        self.keep_in_sight();
    }

    pub fn show(&mut self, view: View) {
        self.view = view;
        self.arrange();
    }

    /// The row that the cursor is on.
    pub fn row(&self) -> Option<Row<'_>> {
        self.listing.row(&self.sample, self.view, self.look().cursor)
    }

    pub fn manner(&self) -> Manner {
        Manner { unit: self.unit, now_ns: self.sample.image.header.time_ns }
    }

    /// Orders by the next column to that side.
    pub fn order_by_next(&mut self, is_right: bool) {
        let columns: Vec<_> =
            self.view.columns().iter().filter(|column| column.is_order()).copied().collect();
        let current = columns.iter().position(|&column| column == self.look().order.column);
        let current = current.unwrap_or(0);
        let step = if is_right { 1 } else { columns.len() - 1 };
        if let Some(&column) = columns.get((current + step) % columns.len()) {
            self.look_mut().order = Order { column, is_reversed: false };
            self.arrange();
        }
    }
}
