// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the management service lists: records of a fixed size.

use core::fmt;
use core::ops::Range;

use super::{
    BreakerState, Closed, DEAD_LETTER_RECORD, DeadReason, Direction, EVENT_RECORD, EventKind, MAX_PARTICIPANTS,
    OpenWindow, PARTITION_RECORD, ROUTE_RECORD, WIDEST_RECORD, WINDOW_RECORD,
};
use crate::lines::Line;
use crate::{PartitionId, Uuid, envelope};

/// The bytes of any record, eight at a time, with zeroes behind a narrower one.
pub type Words = [u64; WIDEST_RECORD / 8];

/// Packs four numbers into a word, the first one lowest.
const fn pack([a, b, c, d]: [u16; 4]) -> u64 {
    a as u64 | (b as u64) << 16 | (c as u64) << 32 | (d as u64) << 48
}

/// Puts a byte where there is a zero.
#[inline(never)]
fn put(words: &mut Words, at: usize, byte: u8) {
    if let Some(word) = words.get_mut(at / 8) {
        *word |= u64::from(byte) << (at % 8 * 8);
    }
}

/// Writes the words of a record of `N` bytes.
fn bytes_of<const N: usize>(words: &Words) -> [u8; N] {
    let mut out = [0; N];
    let (pieces, _) = out.as_chunks_mut::<8>();
    for (piece, word) in pieces.iter_mut().zip(words) {
        *piece = word.to_le_bytes();
    }
    out
}

/// Copies a text, cut to what fits, with zeroes behind it.
fn set(to: &mut [u8], text: &str) {
    to.fill(0);
    to.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
}

/// Reads fields of a record one behind the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes().map(|[b]| b)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }
}

/// Shows a window, open or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowRecord {
    /// Its id.
    pub id: u32,
    /// Why it was closed; `None` while it is open.
    pub closed: Option<Closed>,
    /// Who may send.
    pub direction: Direction,
    /// How many of `participants` count.
    pub count: u8,
    /// Who takes part.
    pub participants: [PartitionId; MAX_PARTICIPANTS],
    /// What the coordinator calls the work.
    pub correlation: u64,
    /// The service that the work belongs to.
    pub purpose: Uuid,
    /// How many messages may pass.
    pub limit: u16,
    /// Messages from the first participant.
    pub forward: u16,
    /// Messages from the others.
    pub back: u16,
    /// When it was opened, in ticks of the generic counter.
    pub opened: u64,
    /// Ticks that it lasts.
    pub lifetime: u64,
    /// When the first message passed; 0 if none did.
    pub first: u64,
    /// When the last message passed; 0 if none did.
    pub last: u64,
    /// When it was closed; 0 while it is open.
    pub ended: u64,
}

impl WindowRecord {
    /// Describes a window that was asked for, before anything happens in it, with its lifetime in ticks.
    pub fn of(asked: &OpenWindow, lifetime: u64) -> Self {
        Self {
            id: 0,
            closed: None,
            direction: asked.direction,
            count: asked.count,
            participants: asked.participants,
            correlation: asked.correlation,
            purpose: asked.purpose,
            limit: asked.limit,
            forward: 0,
            back: 0,
            opened: 0,
            lifetime,
            first: 0,
            last: 0,
            ended: 0,
        }
    }

    /// Returns those who take part.
    pub fn participants(&self) -> &[PartitionId] {
        self.participants.get(..self.count.into()).unwrap_or_default()
    }

    /// Writes the record.
    pub fn encode(&self) -> [u8; WINDOW_RECORD] {
        let mut words = Words::default();
        self.write(&mut words);
        bytes_of(&words)
    }

    /// Writes the record where there are zeroes, eight bytes at a time.
    #[inline]
    pub fn write(&self, words: &mut Words) {
        let closed = self.closed.map_or(0, Closed::code);
        let kind = u32::from_le_bytes([closed, self.direction.code(), self.count, 0]);
        let (low, high) = self.purpose.pair();
        let [a, b, c, d] = self.participants;
        *words = [
            u64::from(self.id) | u64::from(kind) << 32,
            pack([a.0, b.0, c.0, d.0]),
            self.correlation,
            low,
            high,
            pack([self.limit, self.forward, self.back, 0]),
            self.opened,
            self.lifetime,
            self.first,
            self.last,
            self.ended,
            0,
        ];
    }

    /// Reads a record; `None` if a field means nothing.
    pub fn decode(bytes: &[u8; WINDOW_RECORD]) -> Option<Self> {
        let mut r = Reader(bytes);
        let id = r.u32()?;
        let closed = match r.u8()? {
            0 => None,
            code => Some(Closed::from_code(code.into())?),
        };
        let direction = Direction::from_code(r.u8()?.into())?;
        let count = r.u8()?;
        if r.u8()? != 0 || !(2..=MAX_PARTICIPANTS as u8).contains(&count) {
            return None;
        }
        let participants = [r.u16()?, r.u16()?, r.u16()?, r.u16()?].map(PartitionId);
        let (correlation, purpose) = (r.u64()?, Uuid(r.bytes()?));
        let (limit, forward, back) = (r.u16()?, r.u16()?, r.u16()?);
        if r.u16()? != 0 {
            return None;
        }
        let (opened, lifetime, first, last, ended) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?, r.u64()?);
        Some(Self {
            id,
            closed,
            direction,
            count,
            participants,
            correlation,
            purpose,
            limit,
            forward,
            back,
            opened,
            lifetime,
            first,
            last,
            ended,
        })
    }
}

/// Shows a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    /// Its identifier.
    pub id: PartitionId,
    /// Its role and standing: see the constants.
    pub flags: u8,
    /// Execution contexts.
    pub contexts: u8,
    /// How many of them are Reset, Starting, Idle, Running, Blocked, Preempted, Aborted, Stopped.
    pub states: [u8; 8],
    /// Open windows that it takes part in.
    pub windows: u16,
    /// Messages that wait for it.
    pub queued: u16,
    /// Messages that were delivered to it and not acknowledged.
    pub unacknowledged: u16,
    /// Refusals of what it asked for, since boot.
    pub refusals: u32,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Its name, zeroes behind it.
    pub name: [u8; 31],
}

impl PartitionRecord {
    /// It is the coordinator.
    pub const COORDINATOR: u8 = 1 << 0;
    /// It was aborted and is not back.
    pub const DOWN: u8 = 1 << 1;

    /// Writes the record.
    pub fn encode(&self) -> [u8; PARTITION_RECORD] {
        let mut words = Words::default();
        self.write(&mut words, &self.name);
        bytes_of(&words)
    }

    /// Writes the record where there are zeroes, with this name.
    #[inline]
    pub fn write(&self, words: &mut Words, name: &[u8]) {
        let kind = u16::from_le_bytes([self.flags, self.contexts]);
        let [front, states, counts, ..] = words;
        *front = pack([self.id.0, kind, 0, 0]) | u64::from(self.refusals) << 32;
        *states = u64::from_le_bytes(self.states);
        *counts = pack([self.windows, self.queued, self.unacknowledged, self.breaker.code().into()]);
        (23..54).zip(name).for_each(|(at, &byte)| put(words, at, byte));
    }

    /// Reads a record.
    pub fn decode(bytes: &[u8; PARTITION_RECORD]) -> Option<Self> {
        let mut r = Reader(bytes);
        let (id, flags, contexts, refusals) = (PartitionId(r.u16()?), r.u8()?, r.u8()?, r.u32()?);
        let (states, windows, queued, unacknowledged) = (r.bytes()?, r.u16()?, r.u16()?, r.u16()?);
        let (breaker, name) = (BreakerState::from_code(r.u8()?.into())?, r.bytes()?);
        Some(Self { id, flags, contexts, states, windows, queued, unacknowledged, refusals, breaker, name })
    }

    /// Copies a name, cut to what fits.
    pub fn set_name(&mut self, name: &str) {
        set(&mut self.name, name);
    }
}

/// Shows the breaker of a route that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRecord {
    /// Who sends.
    pub from: PartitionId,
    /// Who receives.
    pub to: PartitionId,
    /// Its breaker.
    pub breaker: BreakerState,
    /// When one message may try, in ticks of the generic counter; 0 where none is waited for.
    pub until: u64,
}

impl RouteRecord {
    /// Writes the record.
    pub fn encode(&self) -> [u8; ROUTE_RECORD] {
        let mut words = Words::default();
        self.write(&mut words);
        bytes_of(&words)
    }

    /// Writes the record where there are zeroes, eight bytes at a time.
    #[inline]
    pub fn write(&self, words: &mut Words) {
        let [front, until, ..] = words;
        *front = pack([self.from.0, self.to.0, self.breaker.code().into(), 0]);
        *until = self.until;
    }

    /// Reads a record; `None` if a field means nothing.
    pub fn decode(bytes: &[u8; ROUTE_RECORD]) -> Option<Self> {
        let mut r = Reader(bytes);
        let (from, to) = (PartitionId(r.u16()?), PartitionId(r.u16()?));
        let breaker = BreakerState::from_code(r.u8()?.into())?;
        (r.bytes::<3>()? == [0; 3]).then_some(Self { from, to, breaker, until: r.u64()? })
    }
}

/// Tells of something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Counts events from 1 on.
    pub sequence: u64,
    /// When, in ticks of the generic counter.
    pub time: u64,
    /// What it is about.
    pub kind: EventKind,
    /// Whom it is about: the caller that was refused, the partition that died.
    pub who: PartitionId,
    /// Whom the call named, 0xffff if nobody.
    pub other: PartitionId,
    /// The function identifier of the call that was refused, else a number that belongs to the kind.
    pub detail: u32,
    /// The FF-A status code of a refusal, else 0.
    pub status: i32,
    /// How often the same happened again at once, the last time at `time`.
    pub repeats: u16,
    /// The cause in words, zeroes behind it.
    pub text: [u8; 64],
}

impl EventRecord {
    const TEXT: Range<usize> = 32..96;

    /// Writes the record.
    pub fn encode(&self) -> [u8; EVENT_RECORD] {
        let mut words = Words::default();
        self.write(&mut words);
        Self::TEXT.zip(self.text).for_each(|(at, byte)| put(&mut words, at, byte));
        bytes_of(&words)
    }

    /// Writes the record where there are zeroes, but its text.
    #[inline]
    pub fn write(&self, words: &mut Words) {
        let [sequence, time, about, outcome, ..] = words;
        *sequence = self.sequence;
        *time = self.time;
        *about = pack([self.who.0, self.other.0, 0, 0]) | u64::from(self.detail) << 32;
        *outcome = u64::from(self.status as u32) | pack([0, 0, self.kind.code().into(), self.repeats]);
    }

    /// Writes the text of a record where there are zeroes, cut to what fits.
    pub fn write_text(words: &mut Words, text: Line) {
        let mut field = Self::TEXT;
        let _ = text.each(&mut |c| field.next().map(|at| put(words, at, c as u8)).ok_or(fmt::Error));
    }

    /// Reads a record; `None` if a field means nothing.
    pub fn decode(bytes: &[u8; EVENT_RECORD]) -> Option<Self> {
        let mut r = Reader(bytes);
        let (sequence, time) = (r.u64()?, r.u64()?);
        let (who, other) = (PartitionId(r.u16()?), PartitionId(r.u16()?));
        let (detail, status) = (r.u32()?, r.u32()? as i32);
        let kind = EventKind::from_code(r.u8()?.into())?;
        if r.u8()? != 0 {
            return None;
        }
        Some(Self { sequence, time, kind, who, other, detail, status, repeats: r.u16()?, text: r.bytes()? })
    }

    /// Copies the words, cut to what fits.
    pub fn set_text(&mut self, text: &str) {
        set(&mut self.text, text);
    }
}

/// Tells of a message that was not delivered, or not acknowledged. Where one is read alone, its payload follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterRecord {
    /// Counts dead letters from 1 on.
    pub number: u64,
    /// When it died, in ticks of the generic counter.
    pub time: u64,
    /// Who sent it.
    pub from: PartitionId,
    /// Who did not get it, or did not acknowledge it.
    pub to: PartitionId,
    /// Bytes of its payload.
    pub len: u16,
    /// Why it is here.
    pub reason: DeadReason,
    /// How often it was delivered.
    pub deliveries: u8,
    /// Its envelope as it was sent, eight bytes at a time.
    pub envelope: [u64; envelope::WORDS],
}

impl DeadLetterRecord {
    /// Writes the record.
    pub fn encode(&self) -> [u8; DEAD_LETTER_RECORD] {
        let mut words = Words::default();
        self.write(&mut words);
        bytes_of(&words)
    }

    /// Writes the record where there are zeroes, eight bytes at a time.
    #[inline]
    pub fn write(&self, words: &mut Words) {
        let [number, time, about, envelope @ .., _] = words;
        *number = self.number;
        *time = self.time;
        let fate = u16::from_le_bytes([self.reason.code(), self.deliveries]);
        *about = pack([self.from.0, self.to.0, self.len, fate]);
        *envelope = self.envelope;
    }

    /// Reads a record; `None` if a field means nothing.
    pub fn decode(bytes: &[u8; DEAD_LETTER_RECORD]) -> Option<Self> {
        let mut r = Reader(bytes);
        let (number, time) = (r.u64()?, r.u64()?);
        let (from, to, len) = (PartitionId(r.u16()?), PartitionId(r.u16()?), r.u16()?);
        let (reason, deliveries) = (DeadReason::from_code(r.u8()?.into())?, r.u8()?);
        let mut envelope = [0; envelope::WORDS];
        for word in &mut envelope {
            *word = r.u64()?;
        }
        Some(Self { number, time, from, to, len, reason, deliveries, envelope })
    }
}
