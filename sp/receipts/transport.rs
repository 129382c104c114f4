// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages and answers in memory that a caller sent.

use alloc::boxed::Box;
use alloc::vec::Vec;
use receipts::{Class, Field, Reason, Verdict};
use receipts_service::protocol::{Call, ClockSource, MAX_MESSAGE, Reply, Span, flags};
use receipts_service::{Platform, Service};
use sp_rt::abi::{Handle, PartitionId};
use sp_rt::memory::{self, Region, Terms};

extern crate alloc;

/// The caller's region.
pub(crate) struct Transport {
    region: Box<Region>,
    sender: PartitionId,
}

impl Transport {
    /// Starts without a region.
    pub(crate) fn new() -> Self {
        Self { region: Box::new(Region::EMPTY), sender: PartitionId(0) }
    }

    /// Serves the call in the words of a request from `sender`; `None` if the form has no room for one.
    pub(crate) fn answer(
        &mut self,
        service: &mut Service<'_>,
        platform: &mut impl Platform,
        sender: PartitionId,
        words: Option<[u64; 5]>,
    ) -> Reply {
        let Some(call) = words.and_then(Call::from_registers) else {
            return refused(Field::Operation, Reason::Malformed);
        };
        let needs_memory = call.message.length != 0 || call.answer.length != 0;
        if !needs_memory {
            self.give_back();
            return service.serve(platform, call, &[]).0;
        }
        let reply = match self.reach(call.handle, sender) {
            Ok(()) => self.serve(service, platform, call),
            Err(verdict) => return Reply { code: verdict.code(), ..refused(Field::None, Reason::None) },
        };
        if call.flags & flags::KEEP == 0 {
            self.give_back();
        }
        reply
    }

    /// Makes sure that the region of the call is there: retrieves it, unless it was kept.
    fn reach(&mut self, handle: u64, sender: PartitionId) -> Result<(), Verdict> {
        let handle = Handle(handle);
        if !self.region.is_empty() {
            if self.region.handle() == handle && self.sender == sender {
                return Ok(());
            }
            self.give_back();
        }
        let unusable = Verdict::new(Class::BadRequest, Field::Document, Reason::Absent);
        let receiver = sp_rt::ffa::id().map_err(|_| unusable)?;
        let terms = Terms { sender, receiver, permissions: memory::READ_WRITE, attributes: 0, flags: 0, tag: 0 };
        self.sender = sender;
        self.region.retrieve(handle, &terms).map_err(|_| unusable)
    }

    fn serve(&mut self, service: &mut Service<'_>, platform: &mut impl Platform, call: Call) -> Reply {
        let Some(mut message) = buffer(call.message) else {
            return refused(Field::Document, Reason::TooMany);
        };
        // The copy, of which each byte is read once, is all that is looked at from here on.
        if !self.region.copy_from(call.message.offset.into(), &mut message) {
            return refused(Field::Document, Reason::Malformed);
        }
        let (reply, answer) = service.serve(platform, call, &message);
        if !self.region.copy_to(call.answer.offset.into(), &answer) {
            return refused(Field::Output, Reason::Malformed);
        }
        reply
    }

    fn give_back(&mut self) {
        if !self.region.is_empty() && self.region.relinquish(0).is_err() {
            // Its owner reclaimed it by force, or the SPMC did: there is nothing left to give back.
            *self.region = Region::EMPTY;
        }
    }
}

/// Takes a buffer of the partition's own for a span; `None` if that is more than is allowed, or than is left.
fn buffer(span: Span) -> Option<Vec<u8>> {
    let length = usize::try_from(span.length).ok().filter(|length| *length <= MAX_MESSAGE)?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length).ok()?;
    buffer.resize(length, 0);
    Some(buffer)
}

fn refused(field: Field, reason: Reason) -> Reply {
    let code = Verdict::new(Class::BadRequest, field, reason).code();
    Reply { code, clock: ClockSource::None, written: 0, values: [0; 3] }
}
