//! Rows from the source and from the retry lane, up to their reservation.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::DateTime;

use super::{
    DbError, Deliver, Due, EntryKey, Event, Flow, Heading, Lane, Page, Place, Position, Row, STALE, Settled,
    StoreError, Sweep, Ticket, lane_heading,
};
use crate::batch::job::is_lane_run;
use crate::batch::key::{Key, Part};
use crate::batch::source::{Keyed, Moment, Span};
use crate::store::ledger::Verdict;

/// A row that is read and not reserved.
#[derive(Debug)]
struct Unreserved {
    row: Keyed,
    /// It was read after the pass went on at the start of the table.
    wrapped: bool,
    /// Monotonic.
    read_at: Duration,
    /// Number of the reading that found it.
    reading: u64,
}

/// What is read and not reserved, and how far the pass has got.
///
/// A fire's pass is one full turn: from where the sweep stands to the end of the table, then from the start of the
/// table to where it began. So no fire is wasted on an empty rest of a sweep.
#[derive(Debug)]
pub(super) struct Intake {
    /// Rows up to here are handed to the ledger.
    pub(super) taken: Position,
    /// Rows up to here are read.
    read: Position,
    /// Where the pass began.
    origin: Option<Key>,
    /// The pass has been read to its end.
    read_out: bool,
    buffer: VecDeque<Unreserved>,
    reading: bool,
    /// Readings that were begun.
    readings: u64,
    /// Rows that the fire may still take; none: any number.
    budget: Option<u64>,
    page: usize,
    /// Rows of this run that were taken, and not given back.
    count: u64,
    /// Rows that the lane may still put into this page.
    quota: usize,
    /// The lane may have rows that are due.
    lane_open: bool,
}

impl Intake {
    pub(super) fn new(sweep: &Sweep, budget: Option<u64>, page: usize) -> Self {
        let key = |text: &Option<String>| text.as_deref().and_then(Key::decode);
        let taken = Position { cursor: key(&sweep.cursor), wrapped: sweep.wrapped };
        Self {
            read: taken.clone(),
            taken,
            origin: key(&sweep.origin),
            read_out: false,
            buffer: VecDeque::new(),
            reading: false,
            readings: 0,
            budget,
            page,
            count: 0,
            quota: quarter(page),
            lane_open: true,
        }
    }

    /// For a run that takes what is due of the retry lane and reads no page.
    pub(super) fn of_lane(page: usize) -> Self {
        Self { read_out: true, ..Self::new(&Sweep::default(), None, page) }
    }

    /// Nothing more will be taken.
    pub(super) fn is_over(&self) -> bool {
        self.budget == Some(0) || (self.is_exhausted() && !self.lane_open)
    }

    /// The pass is complete.
    pub(super) fn is_exhausted(&self) -> bool {
        self.read_out && self.buffer.is_empty()
    }

    /// Number of the newest reading.
    pub(super) fn newest_reading(&self) -> u64 {
        self.readings
    }

    /// Number of the oldest reading of which a row may still be reserved.
    pub(super) fn oldest_reading(&self) -> u64 {
        let under_way = if self.reading { self.readings } else { u64::MAX };
        self.buffer.front().map_or(under_way, |row| row.reading)
    }

    /// Pages that were begun.
    pub(super) fn pages(&self) -> u64 {
        self.count.div_ceil(self.page as u64)
    }

    /// Forgets rows that are read and not taken. The run takes no more.
    pub(super) fn discard(&mut self) {
        self.drop_buffer();
        self.lane_open = false;
    }

    /// Forgets rows that the fire's pages have no room for.
    pub(super) fn drop_surplus(&mut self) {
        if self.budget == Some(0) {
            self.drop_buffer();
        }
    }

    fn drop_buffer(&mut self) {
        if !self.buffer.is_empty() {
            self.buffer.clear();
            self.read = self.taken.clone();
            self.read_out = false;
        }
    }

    /// Where the next fire begins.
    pub(super) fn resting_place(&self) -> Sweep {
        if !self.is_exhausted() {
            return self.place();
        }
        let cursor = self.origin.as_ref().filter(|_| self.read.wrapped).map(Key::encode);
        Sweep { cursor, ..Sweep::default() }
    }

    /// Where the sweep stands once all is reserved that was handed to the ledger.
    pub(super) fn place(&self) -> Sweep {
        Sweep {
            cursor: self.taken.cursor.as_ref().map(Key::encode),
            origin: self.origin.as_ref().map(Key::encode),
            wrapped: self.taken.wrapped,
            remaining: None,
        }
    }

    /// Room that the fire's pages leave.
    fn room(&self) -> usize {
        self.budget.map_or(usize::MAX, |budget| usize::try_from(budget).unwrap_or(usize::MAX))
    }

    /// How many of so many rows to come this run may still take.
    pub(super) fn of_these(&self, rows: u64) -> u64 {
        self.budget.map_or(rows, |budget| budget.min(rows))
    }

    fn spend(&mut self, rows: usize) {
        let rows = rows as u64;
        let page = self.count / self.page as u64;
        self.count += rows;
        if let Some(budget) = &mut self.budget {
            *budget = budget.saturating_sub(rows);
        }
        if self.count / self.page as u64 > page {
            self.quota = quarter(self.page);
            self.lane_open = true;
        }
    }

    /// Rows that the ledger refused do not count.
    pub(super) fn give_back(&mut self, rows: usize) {
        self.count = self.count.saturating_sub(rows as u64);
        if let Some(budget) = &mut self.budget {
            *budget += rows as u64;
        }
    }

    /// What to ask the lane for, when `room` rows fit the window.
    fn lane_request(&self, room: usize) -> usize {
        if !self.lane_open {
            return 0;
        }
        // Rows that nobody else waits behind may fill the page.
        let quota = if self.is_exhausted() { self.page } else { self.quota };
        quota.min(room).min(self.room())
    }

    fn span(&self) -> Span {
        let Position { cursor, wrapped } = &self.read;
        Span { after: cursor.clone(), until: if *wrapped { self.origin.clone() } else { None } }
    }

    fn take_page(&mut self, page: Page, read_at: Duration) {
        self.reading = false;
        if let Some(last) = page.rows.last() {
            self.read.cursor = Some(last.key.clone());
        }
        let (wrapped, reading) = (self.read.wrapped, self.readings);
        let rows = page.rows.into_iter().map(|row| Unreserved { row, wrapped, read_at, reading });
        self.buffer.extend(rows);
        if page.more {
            return;
        }
        if self.origin.is_some() && !self.read.wrapped {
            self.read = Position { cursor: None, wrapped: true };
        } else {
            self.read_out = true;
            self.lane_open = true;
        }
    }

    /// Forgets rows that have waited too long; they are read again.
    fn drop_stale(&mut self, now: Duration) {
        let stale = |row: &Unreserved| now.saturating_sub(row.read_at) > STALE;
        if !self.reading && self.buffer.front().is_some_and(stale) {
            self.drop_buffer();
        }
    }
}

/// The share of a page that the retry lane may have.
fn quarter(page: usize) -> usize {
    (page / 4).max(1)
}

impl<A: Deliver> Flow<'_, A> {
    /// Reads the next page while there is still something to deliver.
    pub(super) fn launch_reading(&mut self) {
        let intake = &mut self.intake;
        intake.drop_stale(self.job.clock.monotonic());
        let plenty = intake.buffer.len() >= self.job.settings.window.min(intake.room());
        if self.stop.is_some() || intake.reading || intake.read_out || plenty {
            return;
        }
        intake.reading = true;
        intake.readings += 1;
        let span = intake.span();
        let sweep_begins = span.after.is_none();
        let limit = intake.page;
        let (source, moment, clock) = (self.job.source.clone(), self.moment(), self.job.clock.clone());
        self.workers.spawn(async move {
            let read_at = clock.monotonic();
            let page = async {
                let page = source.page(span, limit, moment).await?;
                let count = if !sweep_begins {
                    None
                } else if page.more {
                    Some(source.count(moment).await?)
                } else {
                    Some(page.rows.len() as u64)
                };
                Ok((page, count))
            };
            Event::Page(read_at, page.await)
        });
    }

    pub(super) fn page_read(&mut self, read_at: Duration, page: Result<(Page, Option<u64>), DbError>) {
        match page {
            Ok((page, count)) => {
                if count.is_some() {
                    self.account.remaining = count;
                }
                self.intake.take_page(page, read_at);
            }
            Err(error) => {
                self.intake.reading = false;
                self.fail(format!("the source could not be read: {error}"));
            }
        }
    }

    /// The next rows to reserve: as many as window and pages leave room for.
    pub(super) fn next_reservations(&mut self, room: usize) -> Vec<Ticket> {
        if self.stop.is_some() {
            return Vec::new();
        }
        let count = room.min(self.intake.room()).min(self.intake.buffer.len());
        let rows: Vec<Unreserved> = self.intake.buffer.drain(..count).collect();
        self.intake.spend(count);
        rows.into_iter().map(|row| self.ticket(row)).collect()
    }

    fn ticket(&mut self, Unreserved { row: Keyed { key, row }, wrapped, read_at, .. }: Unreserved) -> Ticket {
        self.intake.taken = Position { cursor: Some(key.clone()), wrapped };
        Ticket {
            entry: EntryKey { scope: self.scope.id, key: key.encode() },
            reservation: self.job.ledger.new_id(),
            attempts: 0,
            doubtful: false,
            fire_time: self.fire.fire_time,
            lane: Lane::Sweep(self.intake.taken.clone()),
            key,
            row,
            read_at,
        }
    }

    /// Reserves rows of the retry lane if a page begins; false: there is nothing to do.
    pub(super) fn launch_lane(&mut self, room: usize) -> bool {
        let asked = if self.stop.is_some() { 0 } else { self.intake.lane_request(room) };
        if asked == 0 {
            return false;
        }
        self.in_ledger = asked;
        let (ledger, now) = (self.job.ledger.clone(), self.job.clock.now());
        let run = (self.scope.id, self.scope.run, !is_lane_run(self.fire));
        self.workers.spawn(async move { Event::Lane(asked, ledger.take_due(run, now, asked).await) });
        true
    }

    pub(super) fn lane_taken(&mut self, asked: usize, due: Result<Vec<Due>, StoreError>) {
        self.stepping = false;
        self.in_ledger = 0;
        let due = match due {
            Ok(due) => due,
            Err(error) => {
                self.broken = Some(error.to_string());
                return;
            }
        };
        self.intake.quota = self.intake.quota.saturating_sub(due.len());
        self.intake.lane_open = due.len() == asked && self.stop.is_none();
        self.intake.spend(due.len());
        let mut tickets = Vec::with_capacity(due.len());
        for due in due {
            if due.own {
                self.account.take_out(lane_heading(due.doubtful));
            } else {
                self.account.selected += 1;
            }
            // What cannot be read as a key is not in the table either; the look-up will say so.
            let key = Key::decode(&due.entry.key).unwrap_or_else(|| Part::Text(due.entry.key.clone()).into());
            tickets.push(Ticket {
                entry: due.entry,
                key,
                reservation: due.reservation,
                attempts: due.attempts,
                doubtful: due.doubtful,
                fire_time: DateTime::from_timestamp(due.fire_time, 0).unwrap_or(self.fire.fire_time),
                lane: Lane::Retry { own: due.own },
                row: Row { columns: [].into(), values: Vec::new() },
                read_at: Duration::ZERO,
            });
        }
        self.look_up(tickets, Place::Back);
    }

    /// What is ready has waited too long, and is read again.
    pub(super) fn read_ready_again(&mut self) {
        let tickets: Vec<Ticket> = std::mem::take(&mut self.ready).into();
        self.in_second_look = tickets.len();
        self.look_up(tickets, Place::Front);
    }

    fn look_up(&mut self, tickets: Vec<Ticket>, place: Place) {
        if tickets.is_empty() {
            return;
        }
        self.in_look_up += tickets.len();
        let (source, clock) = (self.job.source.clone(), self.job.clock.clone());
        let moment = self.moment();
        self.workers.spawn(async move {
            let read_at = clock.monotonic();
            let mut rows = Vec::with_capacity(tickets.len());
            for group in tickets.chunk_by(|one, other| one.fire_time == other.fire_time) {
                let keys = group.iter().map(|ticket| ticket.key.clone()).collect();
                let moment = Moment { fire_time: group[0].fire_time, ..moment };
                match source.again(keys, moment).await {
                    Ok(found) => rows.extend(found),
                    Err(error) => return Event::Again(read_at, place, tickets, Err(error)),
                }
            }
            Event::Again(read_at, place, tickets, Ok(rows))
        });
    }

    pub(super) fn read_again(
        &mut self,
        read_at: Duration,
        place: Place,
        tickets: Vec<Ticket>,
        rows: Result<Vec<Option<Row>>, DbError>,
    ) {
        self.in_look_up -= tickets.len();
        let reserved_since = match place {
            Place::Front => {
                self.in_second_look = 0;
                std::mem::take(&mut self.ready)
            }
            Place::Back => VecDeque::new(),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                self.fail(format!("the source could not be read: {error}"));
                self.ready.extend(tickets);
                self.ready.extend(reserved_since);
                return;
            }
        };
        for (mut ticket, row) in tickets.into_iter().zip(rows) {
            if let Some(row) = row {
                ticket.row = row;
                ticket.read_at = read_at;
                self.ready.push_back(ticket);
            } else {
                let record = ticket.record(Verdict::Gone);
                self.settled.push(Settled { record, heading: Some(Heading::Vanished), mark: None });
            }
        }
        self.ready.extend(reserved_since);
    }
}
