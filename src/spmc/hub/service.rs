// SPDX-License-Identifier: MIT OR Apache-2.0
//! The management service: a logical partition inside the SPMC, spoken to by direct requests of 64 bits.
//!
//! Only the coordinator changes anything; a spoke is shown what concerns it. The answer is a response in registers;
//! lists go to the caller's RX buffer.

use ffa_abi::hub::{
    BreakerState, Closed, Control, DEAD_LETTER_RECORD, DeadLetterRecord, Description, EVENT_RECORD, EventKind, HubCall,
    HubError, List, MAX_PARTICIPANTS, OpenWindow, PARTITION_RECORD, PartitionRecord, ROUTE_RECORD, RouteRecord,
    VERSION, WINDOW_RECORD, WindowRecord,
};
use ffa_abi::{Func, PartitionId, Regs};

use super::breaker::State;
use super::dead::Letter;
use super::event::NOBODY;
use super::kept::Kept;
use super::post::Post;
use super::window::{Summary, Terms};
use super::{Event, Hub, Seat};
use crate::mailbox::Mailbox;
use crate::partition::Partition;
use crate::refusal::Refusal;
use crate::routing::End;
use crate::sync::{Mutex, Ordering};
use crate::{Cpu, Port, Spmc};

/// Who asks.
#[derive(Clone, Copy)]
struct Caller<'a> {
    id: PartitionId,
    end: End,
    to: To<'a>,
    coordinates: bool,
}

/// Where lists go.
#[derive(Clone, Copy)]
enum To<'a> {
    /// To the caller's RX buffer.
    Mailbox(&'a Mutex<Mailbox>),
    /// They are kept.
    Kept(&'a Mutex<Kept>),
    /// A VM has no buffer here.
    Nowhere,
}

impl Caller<'_> {
    /// Finds where records are kept: for the Normal world alone, whose RX buffer is a driver's or a hypervisor's.
    fn kept<'h>(&self, hub: &'h Hub) -> Result<&'h Mutex<Kept>, HubError> {
        if self.id == PartitionId::NORMAL_WORLD { Ok(&hub.kept) } else { Err(HubError::NotHere) }
    }

    fn concerns(&self, terms: &Terms) -> bool {
        self.coordinates || terms.participants().contains(&self.end)
    }

    fn concerns_event(&self, event: &Event) -> bool {
        self.coordinates || event.who == self.id || event.other == self.id
    }
}

/// Bytes of the widest record.
const WIDEST: usize = 96;

/// Widens a record, so that lists of all kinds are made by one function.
fn wide<const N: usize>(record: [u8; N]) -> [u8; WIDEST] {
    const { assert!(N <= WIDEST) };
    let mut out = [0; WIDEST];
    out.iter_mut().zip(record).for_each(|(to, byte)| *to = byte);
    out
}

/// What x4 to x7 of the response hold.
type Answer = Result<[u64; 4], HubError>;

impl<P: Port> Spmc<P> {
    /// Serves a direct request of the Normal world.
    pub(super) fn serve_normal(&self, cpu: &Cpu<P>, source: PartitionId, regs: &mut Regs) {
        self.normal.version.settle();
        let primary = source == PartitionId::NORMAL_WORLD;
        let to = if primary { To::Mailbox(&self.normal.mailbox) } else { To::Nowhere };
        self.serve(cpu, source, End::normal(source), to, regs);
    }

    /// Serves a direct request of a partition.
    pub(super) fn serve_partition(&self, cpu: &Cpu<P>, from: &Partition<P>, regs: &mut Regs) {
        from.version.settle();
        self.serve(cpu, from.id(), End::partition(from.index), To::Mailbox(&from.mailbox), regs);
    }

    fn serve(&self, cpu: &Cpu<P>, id: PartitionId, end: End, to: To<'_>, regs: &mut Regs) {
        let [_, w1, _, x3, x4, x5, x6, x7, ..] = regs.x;
        let answer = match &self.hub {
            Some(hub) => {
                let caller = Caller { id, end, to, coordinates: hub.coordinator == Some(end) };
                HubCall::decode([x3, x4, x5, x6, x7]).and_then(|call| self.hub_call(hub, cpu, &caller, call))
            }
            // Found there before.
            None => Err(HubError::NotHere),
        };
        let (status, [a, b, c, d]) = match answer {
            Ok(values) => (0, values),
            Err(why) => (why.code() as u64, [0; 4]),
        };
        let ends = (w1 & 0xffff) << 16 | w1 >> 16 & 0xffff;
        regs.set8([Func::DirectResp.id64() as u64, ends, 0, status, a, b, c, d]);
    }

    fn hub_call(&self, hub: &Hub, cpu: &Cpu<P>, caller: &Caller<'_>, call: HubCall) -> Answer {
        if call.changes() && !caller.coordinates {
            return Err(HubError::NotCoordinator);
        }
        let now = self.port.now();
        match call {
            HubCall::Describe => Ok(self.description(hub, caller).encode()),
            HubCall::OpenWindow(asked) => self.open_window(hub, cpu, caller, &asked, now),
            HubCall::CloseWindow(id) => {
                self.sweep(hub, now);
                hub.windows.close(id, Closed::ByCoordinator, now)?;
                self.tell_of_windows(hub);
                Ok([0; 4])
            }
            HubCall::ForgetSummaries => Ok([hub.windows.forget() as u64, 0, 0, 0]),
            HubCall::PurgeDeadLetters => Ok([hub.post.lock().dead.purge(None), 0, 0, 0]),
            HubCall::Control(what, id) => self.control(hub, cpu, what, id, now),
            HubCall::CancelTask(task) => {
                let mut post = hub.post.lock();
                let count = post.cancel(task);
                self.publish(hub, cpu, post);
                Ok([count, 0, 0, 0])
            }
            HubCall::List(list) => self.show(hub, caller, list, now),
            HubCall::Keep(list) => {
                let kept = caller.kept(hub)?;
                self.show(hub, &Caller { to: To::Kept(kept), ..*caller }, list, now)
            }
            HubCall::Fetch(offset) => caller.kept(hub)?.lock().fetch(offset as usize).ok_or(HubError::NoSuchEntry),
        }
    }

    fn show(&self, hub: &Hub, caller: &Caller<'_>, list: List, now: u64) -> Answer {
        self.sweep(hub, now);
        match list {
            List::Windows(from) => {
                let mut item =
                    |n| hub.windows.nth_open(n, |t| caller.concerns(t)).map(|s| wide(self.record_of(&s).encode()));
                self.list(caller, WINDOW_RECORD, from as usize, &mut item)
            }
            List::Summaries(from) => {
                let mut item =
                    |n| hub.windows.nth_summary(n, |t| caller.concerns(t)).map(|s| wide(self.record_of(&s).encode()));
                self.list(caller, WINDOW_RECORD, from as usize, &mut item)
            }
            List::Events(from) => {
                let mut at = from;
                let mut item = |_| {
                    let record = hub.events.lock().from(at, |e| caller.concerns_event(e))?;
                    at = record.sequence.wrapping_add(1);
                    Some(wide(record.encode()))
                };
                self.list(caller, EVENT_RECORD, 0, &mut item)
            }
            List::Partitions(from) => {
                // Before where the list goes to, as ever.
                let post = hub.post.lock();
                let mut item = |n| {
                    let mut seen = self.partitions.iter().filter(|p| self.may_see(hub, caller, p));
                    seen.nth(n).map(|p| wide(self.partition_record(hub, &post, p).encode()))
                };
                self.list(caller, PARTITION_RECORD, from as usize, &mut item)
            }
            List::DeadLetters(from) => {
                let post = hub.post.lock();
                let mut item = |n| self.dead_letter(&post, caller, n).map(|r| wide(r.encode()));
                let (_, evicted) = post.dead.counts();
                self.list(caller, DEAD_LETTER_RECORD, from as usize, &mut item).map(|[a, b, c, _]| [a, b, c, evicted])
            }
            List::DeadLetter(number) => self.read_dead_letter(hub, caller, number),
            List::Routes(from) => {
                let (post, mine) = (hub.post.lock(), Seat::of(caller.end));
                let concerns = |r: &(Seat, Seat, State)| caller.coordinates || r.0 == mine || r.1 == mine;
                let mut routes = post.broken_routes(now).filter(concerns).skip(from as usize);
                let mut item =
                    |_| routes.next().map(|(from, to, state)| wide(self.route_record(from, to, state).encode()));
                self.list(caller, ROUTE_RECORD, from as usize, &mut item)
            }
        }
    }

    fn control(&self, hub: &Hub, cpu: &Cpu<P>, what: Control, id: PartitionId, now: u64) -> Answer {
        let end = self.participant(id)?;
        if hub.coordinator == Some(end) {
            return Err(HubError::CoordinatorInWindow);
        }
        let seat = Seat::of(end);
        let mut post = hub.post.lock();
        match what {
            Control::Isolate => post.isolate(seat, now),
            Control::Pause => post.pause(seat, true),
            Control::Resume => post.pause(seat, false),
            Control::Trip => post.trip(seat, now),
            Control::Reset => post.reset(seat),
        }
        self.publish(hub, cpu, post);
        hub.note(Event::about(now, EventKind::Breaker, id, what.text()));
        Ok([0; 4])
    }

    /// Shows the `n`-th dead letter that concerns the caller, by number.
    fn dead_letter(&self, post: &Post, caller: &Caller<'_>, n: usize) -> Option<DeadLetterRecord> {
        let mut below = 0;
        for _ in 0..n {
            below = self.dead_after(post, caller, below)?.number;
        }
        self.dead_after(post, caller, below).map(|l| self.dead_record(l))
    }

    /// Finds the oldest dead letter that concerns the caller after a number.
    fn dead_after<'p>(&self, post: &'p Post, caller: &Caller<'_>, number: u64) -> Option<&'p Letter> {
        let mine = Seat::of(caller.end);
        let concerns = |l: &&Letter| caller.coordinates || l.from == mine || l.to == mine;
        post.dead.list().filter(|l| l.number > number).filter(concerns).min_by_key(|l| l.number)
    }

    fn dead_record(&self, letter: &Letter) -> DeadLetterRecord {
        DeadLetterRecord {
            number: letter.number,
            time: letter.at,
            from: self.id_of(letter.from),
            to: self.id_of(letter.to),
            len: letter.len,
            reason: letter.reason,
            deliveries: letter.deliveries,
            envelope: letter.envelope.encode(),
        }
    }

    fn route_record(&self, from: Seat, to: Seat, state: State) -> RouteRecord {
        let (breaker, until) = match state {
            State::Open { until } => (BreakerState::Open, until),
            State::HalfOpen { probing } => (BreakerState::HalfOpen, probing.unwrap_or(0)),
            State::Isolated => (BreakerState::Isolated, 0),
            State::Closed => (BreakerState::Closed, 0),
        };
        RouteRecord { from: self.id_of(from), to: self.id_of(to), breaker, until }
    }

    /// Writes one dead letter to the caller's RX buffer: its record, then its payload.
    fn read_dead_letter(&self, hub: &Hub, caller: &Caller<'_>, number: u64) -> Answer {
        let post = hub.post.lock();
        let (letter, payload) = post.dead.read(number).ok_or(HubError::NoSuchEntry)?;
        let mine = Seat::of(caller.end);
        if !caller.coordinates && letter.from != mine && letter.to != mine {
            return Err(HubError::Rights);
        }
        let record = self.dead_record(letter).encode();
        let mut mailbox = match caller.to {
            To::Mailbox(mailbox) => mailbox.lock(),
            To::Kept(kept) => {
                let mut kept = kept.lock();
                kept.clear();
                // What does not fit is left away; the record has the length.
                let _ = kept.append(&record) && kept.append(payload);
                return Ok([1, kept.len() as u64, 0, 0]);
            }
            To::Nowhere => return Err(HubError::NoBuffer),
        };
        let mut delivery = mailbox.begin_delivery().map_err(no_delivery)?;
        delivery.append(self.port, &record).map_err(|_| HubError::NoBuffer)?;
        if !payload.is_empty() {
            delivery.append(self.port, payload).map_err(|_| HubError::NoBuffer)?;
        }
        let size = delivery.filled();
        delivery.finish();
        Ok([1, size, 0, 0])
    }

    fn description(&self, hub: &Hub, caller: &Caller<'_>) -> Description {
        let (open, summaries, evicted) = hub.windows.totals();
        Description {
            version: VERSION,
            coordinator: hub.coordinator.map_or(NOBODY, |end| self.id_of(Seat::of(end))),
            is_caller: caller.coordinates,
            open_windows: open as u8,
            most_windows: hub.policy.windows as u8,
            summaries: summaries as u16,
            evicted,
            counter_hz: self.port.counter_hz() as u32,
            table_pages: self.port.pages_free() as u32,
            next_event: hub.events.lock().next(),
        }
    }

    fn open_window(&self, hub: &Hub, cpu: &Cpu<P>, caller: &Caller<'_>, asked: &OpenWindow, now: u64) -> Answer {
        let mut ends = [caller.end; MAX_PARTICIPANTS];
        for (to, &id) in ends.iter_mut().zip(asked.participants()) {
            let end = self.participant(id)?;
            if end == caller.end {
                return Err(HubError::CoordinatorInWindow);
            }
            if self.is_out(hub, end) {
                return Err(HubError::ParticipantDown);
            }
            *to = end;
        }
        let lifetime = (asked.lifetime_ms as u64).saturating_mul(self.port.counter_hz()) / 1000;
        let terms = Terms {
            count: asked.count,
            ends,
            direction: asked.direction,
            correlation: asked.correlation,
            purpose: asked.purpose,
            lifetime,
            limit: asked.limit,
        };
        let id = hub.windows.open(&terms, now)?;
        self.appoint(cpu, now.saturating_add(lifetime));
        // One that died or was cut off meanwhile closed its windows before this one was there.
        for &end in terms.participants() {
            if self.is_out(hub, end) {
                hub.windows.close_of(Some(end), Closed::ParticipantDied, now);
            }
        }
        self.tell_of_window(hub, now, EventKind::WindowOpened, (id, &terms), "");
        self.tell_of_windows(hub);
        Ok([id as u64, 0, 0, 0])
    }

    /// Finds an endpoint that can take part in anything here. VMs share a row of the table, so they cannot.
    fn participant(&self, id: PartitionId) -> Result<End, HubError> {
        if !id.is_secure() && id != PartitionId::NORMAL_WORLD {
            return Err(HubError::UnknownParticipant);
        }
        self.end_of(id).map_err(|_| HubError::UnknownParticipant)
    }

    /// Tells whether an endpoint is down or cut off.
    fn is_out(&self, hub: &Hub, end: End) -> bool {
        let down = self.partitions.get(end.row()).is_some_and(|p| p.standing.is_closed());
        down || hub.post.lock().cut() & Seat::of(end).bit() != 0
    }

    /// A spoke sees itself and the coordinator.
    fn may_see(&self, hub: &Hub, caller: &Caller<'_>, p: &Partition<P>) -> bool {
        let end = End::partition(p.index);
        caller.coordinates || end == caller.end || hub.coordinator == Some(end)
    }

    fn record_of(&self, s: &Summary) -> WindowRecord {
        let mut participants = [PartitionId(0); MAX_PARTICIPANTS];
        for (id, end) in participants.iter_mut().zip(s.terms.participants()) {
            *id = self.id_of(Seat::of(*end));
        }
        let passed = s.forward != 0 || s.back != 0;
        WindowRecord {
            id: s.id,
            closed: s.closed.map(|(why, _)| why),
            direction: s.terms.direction,
            count: s.terms.count,
            participants,
            correlation: s.terms.correlation,
            purpose: s.terms.purpose,
            limit: s.terms.limit,
            forward: s.forward,
            back: s.back,
            opened: s.opened,
            lifetime: s.terms.lifetime,
            first: if passed { s.first } else { 0 },
            last: if passed { s.last } else { 0 },
            ended: s.closed.map_or(0, |(_, when)| when),
        }
    }

    fn partition_record(&self, hub: &Hub, post: &Post, p: &Partition<P>) -> PartitionRecord {
        let end = End::partition(p.index);
        let mut states = [0u8; 8];
        for context in p.contexts() {
            if let Some(count) = states.get_mut(state_number(context.state())) {
                *count = count.saturating_add(1);
            }
        }
        let mut flags = 0;
        flags |= if hub.coordinator == Some(end) { PartitionRecord::COORDINATOR } else { 0 };
        flags |= if p.standing.is_closed() { PartitionRecord::DOWN } else { 0 };
        let (queued, unacknowledged, breaker) = self.post_state(post, Seat::of(end));
        let mut record = PartitionRecord {
            id: p.id(),
            flags,
            contexts: p.contexts().len() as u8,
            states,
            windows: hub.windows.count_of(end),
            queued,
            unacknowledged,
            refusals: hub.refusals.get(end.row()).map_or(0, |n| n.load(Ordering::Relaxed)),
            breaker,
            name: [0; 31],
        };
        record.set_name(&p.identity.name);
        record
    }

    /// Returns the messages that wait for an endpoint, those of them that it has been handed, and its breaker.
    fn post_state(&self, post: &Post, seat: Seat) -> (u16, u16, BreakerState) {
        let Some(spoke) = post.spoke(seat) else { return (0, 0, BreakerState::Closed) };
        let queued = spoke.inbox.as_ref().map_or(0, |i| i.queue.len());
        let now = self.port.now();
        let breaker = match self.route_record(seat, seat, spoke.breaker.state_at(now)).breaker {
            BreakerState::Closed if spoke.paused => BreakerState::Paused,
            state => state,
        };
        (queued, post.is_with(seat, now).into(), breaker)
    }

    /// Fills the caller's RX buffer, or what is kept, with records of `size` bytes from index `from` on. The buffer is
    /// the caller's afterwards, unless there was none to write.
    fn list(
        &self,
        caller: &Caller<'_>,
        size: usize,
        from: usize,
        item: &mut dyn FnMut(usize) -> Option<[u8; WIDEST]>,
    ) -> Answer {
        let (mut count, mut more) = (0usize, false);
        let mut mailbox = match caller.to {
            To::Mailbox(mailbox) => mailbox.lock(),
            To::Kept(kept) => {
                let mut kept = kept.lock();
                kept.clear();
                while let Some(record) = item(from.saturating_add(count)) {
                    more = !kept.append(record.get(..size).unwrap_or_default());
                    if more {
                        break;
                    }
                    count += 1;
                }
                return Ok([count as u64, size as u64, more as u64, 0]);
            }
            To::Nowhere => return Err(HubError::NoBuffer),
        };
        let mut delivery = mailbox.begin_delivery().map_err(no_delivery)?;
        while let Some(record) = item(from.saturating_add(count)) {
            if delivery.room() < size as u64 {
                more = true;
                break;
            }
            let record = record.get(..size).unwrap_or_default();
            delivery.append(self.port, record).map_err(|_| HubError::NoBuffer)?;
            count += 1;
        }
        if count > 0 {
            delivery.finish();
        }
        Ok([count as u64, size as u64, more as u64, 0])
    }
}

fn no_delivery(why: Refusal) -> HubError {
    match why {
        Refusal::BufferOwned => HubError::BufferBusy,
        // Nothing is mapped.
        _ => HubError::NoBuffer,
    }
}

/// Numbers the states as [`PartitionRecord::states`] counts them.
fn state_number(state: crate::State) -> usize {
    use crate::State;
    match state {
        State::Reset => 0,
        State::Starting => 1,
        State::Idle => 2,
        State::Running => 3,
        State::Blocked => 4,
        State::Preempted | State::Suspended => 5,
        State::Aborted => 6,
        State::Stopped => 7,
    }
}
