// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages with envelopes between TX buffers, the post office and RX buffers.
//!
//! A message is handed out when it is sent, when its receiver releases its RX buffer, acks or waits; and by the hub's
//! timer when it is due again. The timer also lets messages and windows die in time, and is set for the first of all
//! that is to come: while nobody has sent anything, it does not come.

use ffa_abi::envelope::{self, Class, Envelope};
use ffa_abi::hub::{Closed, EventKind};
use ffa_abi::{PartitionId, packed};

use super::breaker::Limits;
use super::log::FRONT;
use super::post::{Admitted, Bounds, Parcel, Post, Untold};
use super::{Event, Hub, Route, Seat};
use crate::mailbox::Mailbox;
use crate::manifest::{HubPolicy, MAX_PARTITIONS};
use crate::partition::Partition;
use crate::refusal::Refusal;
use crate::routing::End;
use crate::signal::Header;
use crate::sync::{Mutex, MutexGuard};
use crate::{Cpu, MemFault, Pa, Port, Space, Spmc};

type Guard<'a> = MutexGuard<'a, Post>;

/// Bytes of the message header as it is delivered: that of v1.2, which an older receiver skips by its offset.
const HEADER: u64 = 40;

/// Returns the bounds of the post office that the manifests ask for. `ticks` are in a millisecond.
pub(super) fn bounds(policy: &HubPolicy, coordinator: Option<End>, ticks: u64) -> Bounds {
    let ticks = ticks.max(1);
    let b = &policy.breaker;
    let strikes = [b.faults, b.missing_acks, b.expiries, b.denials, b.duplicates];
    let cool_down = u64::from(b.cool_down_ms).saturating_mul(ticks);
    Bounds {
        attempts: policy.attempts as u8,
        ack: u64::from(policy.redeliver_ms).saturating_mul(ticks),
        millisecond: ticks,
        high: policy.high_watermark as u8,
        low: policy.low_watermark as u8,
        keys: policy.duplicates as usize,
        dead: policy.dead_letters as usize,
        limits: Limits { strikes, storm: cool_down, cool_down },
        coordinator: coordinator.map(Seat::of),
    }
}

/// Makes room for the queues that the manifests ask for; the Normal world has one where anybody has.
pub(super) fn make_room<P: Port>(post: &mut Post, policy: &HubPolicy, partitions: &[Partition<P>]) -> Option<()> {
    let mut queues = [None; MAX_PARTITIONS + 1];
    let (normal, others) = queues.split_first_mut()?;
    for (queue, p) in others.iter_mut().zip(partitions) {
        if let Some(q) = p.manifest.hub_queue {
            *queue = Some((q.messages, q.bytes));
            *normal = Some((policy.queue_messages as u16, policy.message_bytes as u16));
        }
    }
    post.make_room(queues.get(..=partitions.len())?)
}

fn seat<P: Port>(end: Option<&Partition<P>>) -> Seat {
    end.map_or(Seat::NORMAL, |p| Seat::partition(p.index))
}

impl<P: Port> Spmc<P> {
    /// Tells whether a message to `target` has an envelope: where both ends opted in; the Normal world speaks as
    /// its counterpart does.
    pub(crate) fn is_supervised(
        &self,
        caller: Option<&Partition<P>>,
        target: Option<&Partition<P>>,
    ) -> Result<bool, Refusal> {
        let opted = |p: &Partition<P>| p.manifest.hub_queue.is_some();
        match (caller.map(opted), target.map(opted)) {
            (Some(a), Some(b)) if a != b => Err(Refusal::HubMixed),
            (Some(opted), _) | (None, Some(opted)) => Ok(opted),
            (None, None) => Ok(false),
        }
    }

    /// Accepts a message or an ack from the caller's TX buffer, and hands out what can be handed out after it.
    #[inline(never)]
    pub(crate) fn send_supervised(
        &self,
        hub: &Hub,
        cpu: &mut Cpu<P>,
        (caller, target): (Option<&Partition<P>>, Option<&Partition<P>>),
        header: &Header,
        delay: bool,
    ) -> Result<(), Refusal> {
        let (from, to) = (seat(caller), seat(target));
        let now = self.port.now();
        let mut post = hub.post.lock();
        let result = self.take_in((hub, &mut post), caller, (from, to), header, now);
        // An ack makes room for the caller's next message, any other message is for its receiver.
        let mut delivered = 0;
        if let Ok(class) = result {
            let settles = matches!(class, Class::Ack | Class::Nack);
            let (next, other) = if settles { (from, to) } else { (to, from) };
            delivered = self.hand_next(&mut post, next, now);
            if post.has_news(other) {
                // The request to slow down, or the leave to go on.
                delivered |= self.hand_next(&mut post, other, now);
            }
        }
        self.end_of_event(hub, cpu, post, delivered, delay);
        result.map(|_| ())
    }

    /// Copies a message from its sender's TX buffer: each byte once, while the buffer cannot be unmapped.
    fn take_in(
        &self,
        (hub, post): (&Hub, &mut Post),
        caller: Option<&Partition<P>>,
        (from, to): (Seat, Seat),
        header: &Header,
        now: u64,
    ) -> Result<Class, Refusal> {
        let mailbox = caller.map_or(&self.normal.mailbox, |p| &p.mailbox).lock();
        let pair = mailbox.pair().ok_or(Refusal::BufferNotMapped)?;
        let len = (header.size as usize).checked_sub(envelope::SIZE).ok_or(Refusal::Envelope)?;
        header.check_end(&pair)?;
        let at = pair.tx.checked_add(header.offset.into()).ok_or(Refusal::MessageHeader)?;
        let mut words = [0; envelope::WORDS];
        self.port.read_words(pair.space, at, &mut words).map_err(|_| Refusal::BufferFault)?;
        let e = Envelope::from_words(words).map_err(|_| Refusal::Envelope)?;
        if matches!(e.class, Class::Ack | Class::Nack) {
            post.settle(from, to, &e, now)?;
            return Ok(e.class);
        }
        // An ack needs no route: it names what was delivered to its sender. Breakers are the post office's business.
        let (source, target) = (from.end(), to.end());
        let route =
            if self.routing.policy_allows(source, target) { Route::OPEN } else { hub.pass(source, target, now)? };
        let at = at.checked_add(envelope::SIZE as u64).ok_or(Refusal::MessageHeader);
        match at.and_then(|at| self.accept(post, (from, to), header, (pair.space, at), (&e, len), now)) {
            Ok(true) => Ok(e.class),
            // What was accepted before counts once.
            Ok(false) => {
                self.turned_back(route, Refusal::QueueFull);
                Ok(e.class)
            }
            Err(why) => Err(self.turned_back(route, why)),
        }
    }

    /// Copies the payload of a message to its place in the post office, and accepts it; false if it was before.
    #[inline]
    fn accept(
        &self,
        post: &mut Post,
        (from, to): (Seat, Seat),
        header: &Header,
        (space, at): (Space, Pa),
        (e, len): (&Envelope, usize),
        now: u64,
    ) -> Result<bool, Refusal> {
        let Admitted::Place(place) = post.admit(from, to, e, len, now)? else { return Ok(false) };
        let words = post.words(to, place, len).and_then(|words| words.split_first_chunk_mut::<FRONT>());
        let (front, payload) = words.ok_or(Refusal::MessageLength)?;
        let [_, _, _, u0, u1, ..] = front;
        [*u0, *u1] = header.uuid();
        self.read_payload(space, at, payload, len).map_err(|_| Refusal::BufferFault)?;
        post.commit(from, to, place, e, len, now);
        Ok(true)
    }

    /// Copies `len` bytes into as many words as they need, and no byte more.
    fn read_payload(&self, space: Space, at: Pa, words: &mut [u64], len: usize) -> Result<(), MemFault> {
        let Some((whole, rest)) = words.split_at_mut_checked(len / 8) else { return Err(MemFault) };
        if !whole.is_empty() {
            self.port.read_words(space, at, whole)?;
        }
        if let [last] = rest {
            let mut bytes = [0; 8];
            let at = at.checked_add(len as u64 & !7).ok_or(MemFault)?;
            self.port.read(space, at, bytes.get_mut(..len % 8).unwrap_or_default())?;
            *last = u64::from_le_bytes(bytes);
        }
        Ok(())
    }

    fn box_of(&self, seat: Seat) -> Option<(&Mutex<Mailbox>, PartitionId)> {
        match seat.index() {
            None => Some((&self.normal.mailbox, PartitionId::NORMAL_WORLD)),
            Some(index) => self.partitions.get(index).map(|p| (&p.mailbox, p.id())),
        }
    }

    /// Hands an endpoint its next message, if it has one and its RX buffer is free. Returns its bit if it did.
    fn hand_next(&self, post: &mut Post, to: Seat, now: u64) -> u32 {
        if !post.has_work(to) {
            return 0;
        }
        let Some((mailbox, id)) = self.box_of(to) else { return 0 };
        let mut mailbox = mailbox.lock();
        let free = mailbox.pair().is_some() && !mailbox.rx_is_with_consumer();
        let parcel = post.hand_out(to, free, now);
        // A buffer that faults or is too small: the message counts as delivered, and as one whose ack was lost.
        let handed = parcel.is_some_and(|parcel| !free || self.put(&mut mailbox, post, to, id, parcel).is_ok());
        post.look_again(to, now);
        if handed { to.bit() } else { 0 }
    }

    fn put(
        &self,
        mailbox: &mut Mailbox,
        post: &mut Post,
        to: Seat,
        id: PartitionId,
        parcel: Parcel,
    ) -> Result<(), Refusal> {
        let Parcel { from, place, len, mut envelope } = parcel;
        let mut control = [0; FRONT];
        let (sender, words) = match from {
            Some(seat) => (self.id_of(seat), post.words(to, place, len).ok_or(Refusal::MessageLength)?),
            None => {
                // A control message names an endpoint: by its identifier outside of the post office.
                envelope.correlation = self.id_of(Seat(envelope.correlation as u8)).0.into();
                (self.id, &mut control[..])
            }
        };
        if let Some([flags, ends, size, _, _, rest @ ..]) = words.first_chunk_mut::<FRONT>() {
            *flags = 0;
            *ends = HEADER | u64::from(sender.0) << 48 | u64::from(id.0) << 32;
            *size = (envelope::SIZE + len) as u64;
            *rest = envelope.to_words();
        }
        let mut delivery = mailbox.begin_delivery()?;
        delivery.append_words(self.port, words)?;
        delivery.finish();
        Ok(())
    }

    /// Tells those that got something, with no lock held but the notifications'.
    fn end_of_event(&self, hub: &Hub, cpu: &mut Cpu<P>, post: Guard<'_>, mut delivered: u32, delay: bool) {
        self.publish(hub, cpu, post);
        if delivered == 0 {
            return;
        }
        let mut all = self.notifications.lock();
        while let Some(seat) = Seat::pop(&mut delivered) {
            if let Some((_, id)) = self.box_of(seat) {
                self.tell_of_message(cpu, &mut all, id, delay);
            }
        }
    }

    /// Gives the lock back, says whose breaker is not closed and whose has just tripped, and sets the timer.
    pub(super) fn publish(&self, hub: &Hub, cpu: &Cpu<P>, mut post: Guard<'_>) {
        let untold = post.take_untold();
        if untold != Untold::default() {
            self.record(hub, &post, &untold);
        }
        if post.was_cut() {
            self.routing.cut(Seat::ends(post.cut()));
        }
        let appointment = post.appointment();
        drop(post);
        if let Some(at) = appointment {
            self.appoint(cpu, at);
        }
    }

    /// Records what has happened to messages; who was cut off loses its windows.
    #[cold]
    fn record(&self, hub: &Hub, post: &Post, untold: &Untold) {
        let now = self.port.now();
        for (mut set, kind, text) in [
            (untold.full, EventKind::Queue, packed!("its senders are asked to slow down")),
            (untold.drained, EventKind::Queue, packed!("its senders may go on")),
            (untold.tripped, EventKind::Breaker, packed!("cut off")),
        ] {
            while let Some(seat) = Seat::pop(&mut set) {
                let id = self.id_of(seat);
                hub.note_about(now, kind, id, text);
                if kind == EventKind::Breaker {
                    hub.windows.close_of(Some(seat.end()), Closed::Breaker, now);
                    self.port.log(format_args!("hub: {id} is cut off: its breaker tripped"));
                }
            }
        }
        let (last, _) = post.dead.counts();
        for number in last.saturating_sub(untold.dead)..last {
            let Some((letter, _)) = post.dead.read(number + 1) else { continue };
            let (who, other, detail) = (self.id_of(letter.to), self.id_of(letter.from), letter.number as u32);
            let (kind, text) = (EventKind::DeadLetter, letter.reason.text());
            hub.note(Event { time: now, kind, who, other, detail, status: 0, text });
        }
        self.tell_of_windows(hub);
    }

    /// Closes the windows that are over, and records that they and others are closed.
    pub(super) fn sweep(&self, hub: &Hub, now: u64) {
        hub.windows.sweep(now);
        self.tell_of_windows(hub);
    }

    /// Records which windows have been closed.
    pub(super) fn tell_of_windows(&self, hub: &Hub) {
        while let Some(event) = hub.windows.next_untold() {
            hub.note(event);
        }
    }

    /// Returns the identifier of an endpoint.
    pub(super) fn id_of(&self, seat: Seat) -> PartitionId {
        self.box_of(seat).map_or(self.id, |(_, id)| id)
    }

    /// Looks after everybody: what is due is handed out again, what is over ends, breakers cool down.
    #[cold]
    pub(crate) fn look_after_hub(&self, cpu: &mut Cpu<P>) {
        let Some(hub) = &self.hub else { return };
        let now = self.port.now();
        self.sweep(hub, now);
        let end = hub.windows.next_end();
        if end != u64::MAX {
            self.appoint(cpu, end);
        }
        let (seats, cooled) = {
            let mut post = hub.post.lock();
            (post.seats(), post.keep_appointment(now))
        };
        for seat in seats {
            if cooled & seat.bit() != 0 {
                hub.note_about(now, EventKind::Breaker, self.id_of(seat), packed!("one message may try"));
            }
            self.deliver_to(hub, cpu, seat);
        }
    }

    /// Hands an endpoint that released its RX buffer the next message.
    #[inline]
    pub(crate) fn deliver_next(&self, cpu: &mut Cpu<P>, caller: Option<&Partition<P>>) {
        if let Some(hub) = &self.hub {
            self.deliver_to(hub, cpu, seat(caller));
        }
    }

    #[inline(never)]
    fn deliver_to(&self, hub: &Hub, cpu: &mut Cpu<P>, seat: Seat) {
        let now = self.port.now();
        let mut post = hub.post.lock();
        let delivered = self.hand_next(&mut post, seat, now);
        self.end_of_event(hub, cpu, post, delivered, false);
    }

    /// Gives the RX buffer of a partition that waits back (DEN0077A, "Buffer ownership"), and hands it the next
    /// message. The buffer stays the partition's if it holds a message that is not acked and may still be: whoever
    /// delivered it had no way to know that its receiver was about to wait. It stays, too, where the partition retains
    /// it.
    #[inline]
    pub(crate) fn wait_releases(&self, cpu: &mut Cpu<P>, partition: &Partition<P>, retains: bool) {
        let Some(hub) = self.hub.as_ref().filter(|_| partition.manifest.hub_queue.is_some()) else {
            if !retains {
                partition.mailbox.lock().release_if_owned();
            }
            return;
        };
        if !retains && !hub.post.lock().is_with(seat(Some(partition)), self.port.now()) {
            partition.mailbox.lock().release_if_owned();
        }
        self.deliver_to(hub, cpu, seat(Some(partition)));
    }

    /// Notes that a partition was aborted: what it was handed is handed out again when it is back.
    pub(crate) fn hub_death(&self, cpu: &Cpu<P>, partition: &Partition<P>) {
        let Some(hub) = &self.hub else { return };
        let now = self.port.now();
        hub.partition_died(partition, now);
        self.tell_of_windows(hub);
        let mut post = hub.post.lock();
        post.died(seat(Some(partition)), now);
        self.publish(hub, cpu, post);
    }
}
