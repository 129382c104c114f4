// SPDX-License-Identifier: MIT OR Apache-2.0
//! The management service: a logical partition inside the SPMC, spoken to by direct requests of 64 bits.
//!
//! Only the coordinator changes anything; a spoke is shown what concerns it. The answer is a response in registers;
//! lists go to the caller's RX buffer.

use ffa_abi::hub::{
    BreakerState, CallCode, Closed, Control, DeadLetterRecord, Description, EventKind, EventRecord, HubError,
    MAX_PARTICIPANTS, OpenWindow, PARTITION_RECORD, PartitionRecord, ROUTE_RECORD, Request, RouteRecord, VERSION,
    WIDEST_RECORD, WindowRecord, Words,
};
use ffa_abi::{Func, PartitionId, Regs};

use super::dead::Letter;
use super::event::NOBODY;
use super::kept::Kept;
use super::post::Post;
use super::window::Terms;
use super::{Event, Hub, Seat};
use crate::mailbox::{Delivery, Mailbox};
use crate::partition::Partition;
use crate::refusal::Refusal;
use crate::routing::End;
use crate::sync::{Mutex, Ordering};
use crate::{Cpu, Port, Spmc, State};

/// Who asks.
struct Caller<'a> {
    id: PartitionId,
    end: End,
    /// Where lists go; a VM has no buffer here.
    mailbox: Option<&'a Mutex<Mailbox>>,
    coordinates: bool,
}

impl Caller<'_> {
    /// Finds where records are kept: for the Normal world alone, whose RX buffer is a driver's or a hypervisor's.
    fn kept<'h>(&self, hub: &'h Hub) -> Result<&'h Mutex<Kept>, HubError> {
        if self.id == PartitionId::NORMAL_WORLD { Ok(&hub.kept) } else { Err(HubError::NotHere) }
    }

    /// Tells whether it is shown what these endpoints take part in.
    #[inline(never)]
    fn sees(&self, ids: &[PartitionId]) -> bool {
        self.coordinates || ids.contains(&self.id)
    }
}

/// A list on its way to its caller.
enum Sheet<'a, 'd> {
    Delivery(&'a mut Delivery<'d>),
    Kept(&'a mut Kept),
}

impl Sheet<'_, '_> {
    /// Adds `len` bytes, or tells that they do not fit.
    fn append<P: Port>(&mut self, port: &P, words: &[u64], len: usize) -> Result<bool, HubError> {
        match self {
            Self::Kept(kept) => Ok(kept.append(words, len)),
            Self::Delivery(delivery) if delivery.room() < len as u64 => Ok(false),
            Self::Delivery(delivery) => {
                delivery.append_words(port, words).map(|()| true).map_err(|_| HubError::NoBuffer)
            }
        }
    }
}

/// A question for a list.
struct Query<'a> {
    hub: &'a Hub,
    post: &'a Post,
    caller: &'a Caller<'a>,
    call: &'a Request,
    now: u64,
}

/// What x4 to x7 of the response hold.
type Answer = [u64; 4];

impl<P: Port> Spmc<P> {
    /// Serves a direct request.
    #[inline(never)]
    pub(super) fn serve(&self, cpu: &Cpu<P>, (id, end): (PartitionId, End), regs: &mut Regs) {
        let from = self.partitions.get(end.row());
        from.map_or(&self.normal.version, |p| &p.version).settle();
        let mailbox = match from {
            Some(p) => Some(&p.mailbox),
            None if id == PartitionId::NORMAL_WORLD => Some(&self.normal.mailbox),
            None => None,
        };
        let [_, w1, _, x3, x4, x5, x6, x7, ..] = regs.x;
        let mut answer = [0; 4];
        let result = match &self.hub {
            Some(hub) => {
                let caller = Caller { id, end, mailbox, coordinates: hub.coordinator == Some(end) };
                self.hub_call(hub, cpu, &caller, &[x3, x4, x5, x6, x7], &mut answer)
            }
            // Found there before.
            None => Err(HubError::NotHere),
        };
        let status = result.map_or_else(|why| why.code().into(), |()| 0);
        let ends = (w1 & 0xffff) << 16 | w1 >> 16 & 0xffff;
        let [a, b, c, d] = answer;
        regs.set8([Func::DirectResp.id64() as u64, ends, 0, status, a, b, c, d]);
    }

    /// Does as it is asked. The answer is filled in last, so that it is zero where there is an error.
    fn hub_call(
        &self,
        hub: &Hub,
        cpu: &Cpu<P>,
        caller: &Caller<'_>,
        x: &[u64; 5],
        answer: &mut Answer,
    ) -> Result<(), HubError> {
        let call = &Request::read(x)?;
        let Request { code, what, number, .. } = *call;
        if code.changes() && !caller.coordinates {
            return Err(HubError::NotCoordinator);
        }
        let now = self.port.now();
        let [first, ..] = answer;
        match code {
            CallCode::Describe => *answer = self.description(hub, caller).encode(),
            CallCode::OpenWindow => *first = self.open_window(hub, cpu, caller, &OpenWindow::of(x), now)?.into(),
            CallCode::CloseWindow => {
                self.sweep(hub, now);
                hub.windows.close(number as u32, Closed::ByCoordinator, now)?;
                self.tell_of_windows(hub);
            }
            CallCode::ForgetSummaries => *first = hub.windows.forget() as u64,
            CallCode::PurgeDeadLetters => *first = hub.post.lock().dead.purge(None),
            CallCode::Control => self.control(hub, cpu, what, PartitionId(number as u16), now)?,
            CallCode::CancelTask => {
                let mut post = hub.post.lock();
                *first = post.cancel(number);
                self.publish(hub, cpu, post);
            }
            CallCode::Fetch => {
                *answer = caller.kept(hub)?.lock().fetch(number as usize).ok_or(HubError::NoSuchEntry)?;
            }
            CallCode::Keep
            | CallCode::Windows
            | CallCode::Summaries
            | CallCode::Events
            | CallCode::Partitions
            | CallCode::DeadLetters
            | CallCode::DeadLetter
            | CallCode::Routes => self.show(hub, caller, call, now, answer)?,
        }
        Ok(())
    }

    /// Lists something where the caller wants it. An RX buffer is the caller's afterwards, unless there was nothing to
    /// write.
    #[inline(never)]
    fn show(
        &self,
        hub: &Hub,
        caller: &Caller<'_>,
        call: &Request,
        now: u64,
        answer: &mut Answer,
    ) -> Result<(), HubError> {
        let kept = if call.code == CallCode::Keep { Some(caller.kept(hub)?) } else { None };
        self.sweep(hub, now);
        // Before where the list goes to, and before what is listed, as ever.
        let post = &hub.post.lock();
        let query = Query { hub, post, caller, call, now };
        if call.of == CallCode::DeadLetter {
            let (letter, _) = post.dead.read(call.number).ok_or(HubError::NoSuchEntry)?;
            if !caller.sees(&[self.id_of(letter.from), self.id_of(letter.to)]) {
                return Err(HubError::Rights);
            }
        }
        if let Some(kept) = kept {
            let mut kept = kept.lock();
            kept.clear();
            return self.fill(&query, &mut Sheet::Kept(&mut kept), answer);
        }
        let mut mailbox = caller.mailbox.ok_or(HubError::NoBuffer)?.lock();
        let mut delivery = match mailbox.begin_delivery() {
            Ok(delivery) => delivery,
            Err(Refusal::BufferOwned) => return Err(HubError::BufferBusy),
            // Nothing is mapped.
            Err(_) => return Err(HubError::NoBuffer),
        };
        self.fill(&query, &mut Sheet::Delivery(&mut delivery), answer)?;
        if delivery.filled() > 0 {
            delivery.finish();
        }
        Ok(())
    }

    /// Lists all that there is and that fits, or one dead letter with its payload.
    #[inline(never)]
    fn fill(&self, query: &Query<'_>, sheet: &mut Sheet<'_, '_>, answer: &mut Answer) -> Result<(), HubError> {
        let Request { of: list, number, .. } = *query.call;
        let size = match list {
            CallCode::Partitions => PARTITION_RECORD,
            CallCode::Routes => ROUTE_RECORD,
            // Windows, events and dead letters.
            _ => WIDEST_RECORD,
        };
        // Events and dead letters have numbers, others are counted.
        let numbered = matches!(list, CallCode::Events | CallCode::DeadLetter);
        let (mut at, mut skip) = if numbered { (number, 0) } else { (0, number) };
        let (mut count, mut more, mut record) = (0, false, Words::default());
        while let Some((next, seen)) = self.item(query, at, &mut record) {
            at = next;
            if !seen {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            more = !sheet.append(self.port, record.get(..size / 8).unwrap_or_default(), size)?;
            if more {
                break;
            }
            count += 1;
            if list == CallCode::DeadLetter
                && let Some((letter, payload)) = query.post.dead.read(number)
            {
                let whole = sheet.append(self.port, payload, letter.len.into())?;
                if !whole && let Sheet::Delivery(_) = sheet {
                    return Err(HubError::NoBuffer);
                }
                // A payload that cannot be kept is left away; the record has its length.
                *answer = [1, size as u64 + if whole { letter.len.into() } else { 0 }, 0, 0];
                return Ok(());
            }
        }
        let evicted = if list == CallCode::DeadLetters { query.post.dead.counts().1 } else { 0 };
        *answer = [count, size as u64, more.into(), evicted];
        Ok(())
    }

    /// Writes the record of what a list has at a place, or behind it: a number of an event or a dead letter, else an
    /// index. Returns where what follows is looked for, and whether the caller may see this.
    #[inline(never)]
    fn item(&self, query: &Query<'_>, at: u64, record: &mut Words) -> Option<(u64, bool)> {
        let Query { hub, post, caller, call, now } = *query;
        let index = at as usize;
        record.fill(0);
        let (found, seen) = match call.of {
            CallCode::Events => {
                let (r, text) = hub.events.lock().from(at)?;
                r.write(record);
                EventRecord::write_text(record, text);
                (r.sequence, caller.sees(&[r.who, r.other]))
            }
            CallCode::Partitions => {
                let p = self.partitions.get(index)?;
                let r = self.partition_record(hub, post, p, now);
                r.write(record, p.identity.name.as_bytes());
                (at, r.flags & PartitionRecord::COORDINATOR != 0 || caller.sees(&[r.id]))
            }
            CallCode::DeadLetters | CallCode::DeadLetter => {
                let r = self.dead_record(post.dead.from(at)?);
                r.write(record);
                (r.number, caller.sees(&[r.from, r.to]))
            }
            CallCode::Routes => {
                let (n, from, to, (breaker, until)) = post.broken_route(index, now)?;
                let r = RouteRecord { from: self.id_of(from), to: self.id_of(to), breaker, until };
                r.write(record);
                (n as u64, caller.sees(&[r.from, r.to]))
            }
            // Open windows, or summaries: nothing else is asked for.
            _ => {
                let mut seen = false;
                hub.windows.nth(index, call.of == CallCode::Windows, &mut |r| {
                    r.write(record);
                    seen = caller.sees(r.participants());
                })?;
                (at, seen)
            }
        };
        Some((found.wrapping_add(1), seen))
    }

    fn control(&self, hub: &Hub, cpu: &Cpu<P>, what: Control, id: PartitionId, now: u64) -> Result<(), HubError> {
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
        hub.note_about(now, EventKind::Breaker, id, what.text());
        Ok(())
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
            envelope: letter.envelope.to_words(),
        }
    }

    fn description(&self, hub: &Hub, caller: &Caller<'_>) -> Description {
        let (open, summaries, evicted) = hub.windows.totals();
        Description {
            version: VERSION,
            coordinator: hub.coordinator.map_or(NOBODY, |end| self.id_of(Seat::of(end))),
            is_caller: caller.coordinates,
            open_windows: open as u8,
            most_windows: hub.windows.most() as u8,
            summaries: summaries as u16,
            evicted,
            counter_hz: self.port.counter_hz() as u32,
            table_pages: self.port.pages_free() as u32,
            next_event: hub.events.lock().next(),
        }
    }

    /// Opens a window. Returns its identifier.
    fn open_window(
        &self,
        hub: &Hub,
        cpu: &Cpu<P>,
        caller: &Caller<'_>,
        asked: &OpenWindow,
        now: u64,
    ) -> Result<u32, HubError> {
        // The counter's frequency is that of a register of 32 bits.
        let lifetime = u64::from(asked.lifetime_ms) * (self.port.counter_hz() & 0xffff_ffff) / 1000;
        let mut terms = Terms { record: WindowRecord::of(asked, lifetime), ends: [caller.end; MAX_PARTICIPANTS] };
        for (to, &id) in terms.ends.iter_mut().zip(terms.record.participants()) {
            let end = self.participant(id)?;
            if end == caller.end {
                return Err(HubError::CoordinatorInWindow);
            }
            if self.is_out(hub, end) {
                return Err(HubError::ParticipantDown);
            }
            *to = end;
        }
        let id = hub.windows.open(&mut terms, now)?;
        self.appoint(cpu, now.saturating_add(lifetime));
        // One that died or was cut off meanwhile closed its windows before this one was there.
        for &end in terms.participants() {
            if self.is_out(hub, end) {
                hub.windows.close_of(Some(end), Closed::ParticipantDied, now);
            }
        }
        hub.note(Event::of_window(&terms.record));
        self.tell_of_windows(hub);
        Ok(id)
    }

    /// Finds an endpoint that can take part in anything here. VMs share a row of the table, so they cannot.
    fn participant(&self, id: PartitionId) -> Result<End, HubError> {
        if !id.is_secure() && id != PartitionId::NORMAL_WORLD {
            return Err(HubError::UnknownParticipant);
        }
        self.end_of(id).ok_or(HubError::UnknownParticipant)
    }

    /// Tells whether an endpoint is down or cut off.
    fn is_out(&self, hub: &Hub, end: End) -> bool {
        let down = self.partitions.get(end.row()).is_some_and(|p| p.standing.is_closed());
        down || hub.post.lock().cut() & Seat::of(end).bit() != 0
    }

    /// Describes a partition, but for its name.
    fn partition_record(&self, hub: &Hub, post: &Post, p: &Partition<P>, now: u64) -> PartitionRecord {
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
        let (queued, unacknowledged, breaker) = self.post_state(post, Seat::of(end), now);
        PartitionRecord {
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
        }
    }

    /// Returns the messages that wait for an endpoint, those of them that it has been handed, and its breaker.
    fn post_state(&self, post: &Post, seat: Seat, now: u64) -> (u16, u16, BreakerState) {
        let Some(spoke) = post.spoke(seat) else { return (0, 0, BreakerState::Closed) };
        let queued = spoke.inbox.queue.len();
        let breaker = match spoke.breaker.state_at(now) {
            (BreakerState::Closed, _) if spoke.paused => BreakerState::Paused,
            (state, _) => state,
        };
        (queued, post.is_with(seat, now).into(), breaker)
    }
}

/// Numbers the states as [`PartitionRecord::states`] counts them.
fn state_number(state: State) -> usize {
    match state {
        // Off the CPU in the middle of its work, wherever in its chain.
        State::Suspended => State::Preempted as usize,
        state => state as usize,
    }
}
