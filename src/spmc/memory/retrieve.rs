// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MEM_RETRIEVE_REQ` and its response (DEN0077A v1.1, sections 16.4 and 16.5).

use ffa_abi::memory::{
    Access, Attributes, Data, Flags, Form, Instruction, MemoryKind, Permissions, RANGE_SIZE, Range, Region,
    ResponseWriter,
};
use ffa_abi::{Func, Regs};

use super::send::{Chunk, HEAD};
use super::table::{Held, Kind, Phase, Transaction};
use super::{Caller, lengths};
use crate::partition::Partition;
use crate::refusal::Refusal;
use crate::stage2::{Access as PageAccess, Change, Check};
use crate::{Port, Space, Spmc};

/// Settles what a receiver gets: what it asks for, within what the owner gave and what the kind allows.
fn settle(t: &Transaction, given: Data, asked: Permissions) -> Result<Permissions, Refusal> {
    if given == Data::ReadOnly && asked.data == Data::ReadWrite {
        return Err(Refusal::MemMorePermission);
    }
    // A donation gives everything.
    let read_only = given == Data::ReadOnly || asked.data == Data::ReadOnly;
    let data = if read_only { Data::ReadOnly } else { Data::ReadWrite };
    // The only user of the memory says itself whether it executes there; for others nobody does.
    let says = asked.instruction != Instruction::NotSpecified;
    if says != t.kind.is_for_one(t.receivers().len()) {
        return Err(Refusal::MemPermissions);
    }
    let executes = asked.instruction == Instruction::Executable;
    let instruction = if executes { Instruction::Executable } else { Instruction::NotExecutable };
    Ok(Permissions { data, instruction })
}

/// Checks the parts of a request that are about the transaction as a whole.
fn check_region(region: &Region<'_>, t: &Transaction) -> Result<(), Refusal> {
    let flags = region.flags;
    if region.sender != t.sender {
        return Err(Refusal::MemSender);
    }
    if region.tag != t.tag || flags.has(Flags::TYPE) && flags.0 & Flags::TYPE != t.kind.flag() {
        return Err(Refusal::MemMismatch);
    }
    // Addresses are the SPMC's choice, so a hint about their alignment cannot be honoured.
    if flags.has(!Flags::RETRIEVE) || flags.has(Flags::ALIGNMENT_HINT) {
        return Err(Refusal::BadFlags);
    }
    if flags.has(Flags::ZERO | Flags::ZERO_AFTER) && t.kind == Kind::Share {
        return Err(Refusal::MemZeroShared);
    }
    if flags.has(Flags::ZERO) && !t.zero_first {
        return Err(Refusal::MemZeroReadOnly);
    }
    if region.attributes.non_secure {
        return Err(Refusal::MemAttributes);
    }
    if region.attributes.kind.is_usable() { Ok(()) } else { Err(Refusal::MemKind) }
}

impl<P: Port> Spmc<P> {
    /// Maps what was sent to the caller; or describes a transaction to a hypervisor, which names no receivers.
    pub(super) fn retrieve(&self, caller: Caller<'_, P>, wide: bool, regs: &mut Regs) -> Result<(), Refusal> {
        let (total, fragment) = lengths(wide, regs)?;
        if total != fragment || total as usize > HEAD {
            return Err(Refusal::MemLength);
        }
        let mut request = Chunk::ZERO;
        let mut reader = self.reader(&caller, fragment);
        let region = self.read_region(&caller, &mut reader, &mut request);
        drop(reader);
        let region = region.as_ref().map_err(|why| *why)?;
        let t = self.memory.table.find(region.handle)?;
        match caller {
            Caller::Normal if region.receivers == 0 => self.describe(region, t, regs),
            // No VM is ever a receiver.
            Caller::Normal => Err(Refusal::MemReceiver),
            Caller::Partition(p) => self.retrieve_into(p, region, fragment as usize, t, regs),
        }
    }

    fn retrieve_into(
        &self,
        partition: &Partition<P>,
        region: &Region<'_>,
        len: usize,
        mut t: Held<'_>,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        if region.receivers == 0 || region.access_end() != len {
            return Err(Refusal::MemLength);
        }
        let receiver = *t.receiver(partition.id()).ok_or(Refusal::MemReceiver)?;
        if t.phase != Phase::Open {
            return Err(Refusal::MemHalfSent);
        }
        check_region(region, &t)?;
        let granted = self.check_receivers(partition, region, &t)?;
        if region.flags.has(Flags::ZERO | Flags::ZERO_AFTER) && granted.data != Data::ReadWrite {
            return Err(Refusal::MemZeroReadOnly);
        }
        if receiver.has_retrieved() {
            return Err(Refusal::MemRetrieved);
        }
        self.map_and_answer(partition, &mut t, granted, regs)?;
        t.zero_after |= region.flags.has(Flags::ZERO_AFTER);
        if let Some(receiver) = t.receiver(partition.id()) {
            receiver.mapped = granted.data;
        }
        if t.kind == Kind::Donate {
            self.forget_donor(&t);
        }
        self.end_if_told(t);
        Ok(())
    }

    /// Claims the receiver's pages, writes the response, commits: the last step that can fail comes before the
    /// first that cannot be undone.
    fn map_and_answer(
        &self,
        partition: &Partition<P>,
        t: &mut Transaction,
        granted: Permissions,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let mut stage2 = partition.stage2.lock();
        let mut walk = stage2.walk(self.port, t.space);
        let claimed = walk.claim(&t.ranges, &mut Check::Vacant);
        let outcome = claimed.and_then(|()| {
            let outcome = self.respond(Caller::Partition(partition), t, Some(granted), regs);
            let mut access = PageAccess::READ;
            access.set(PageAccess::WRITE, granted.data == Data::ReadWrite);
            access.set(PageAccess::EXECUTE, granted.instruction == Instruction::Executable);
            let mapped = Change::receive(t.kind, access);
            walk.commit(&t.ranges, if outcome.is_ok() { &mapped } else { &Change::Unclaim });
            outcome
        });
        walk.finish();
        outcome
    }

    /// Checks the list of receivers and returns what the caller is granted.
    fn check_receivers(
        &self,
        partition: &Partition<P>,
        region: &Region<'_>,
        t: &Transaction,
    ) -> Result<Permissions, Refusal> {
        let bypass = region.flags.has(Flags::BYPASS_BORROWERS);
        let expected = if bypass { 1 } else { t.receivers().len() };
        if region.receivers != expected {
            return Err(Refusal::MemMismatch);
        }
        let (mut granted, mut seen) = (None, 0);
        for i in 0..region.receivers {
            let access = region.access(i);
            let access = access.as_ref()?;
            // Bit 0 of another borrower's flags says that it does not retrieve: nothing to us, who serve each alone.
            let own = access.receiver == partition.id();
            if access.composite != 0 || access.flags & !1 != 0 || own && access.flags != 0 {
                return Err(Refusal::MemReserved);
            }
            let mut receivers = t.receivers().iter().enumerate();
            let (sent, receiver) = receivers.find(|(_, r)| r.id == access.receiver).ok_or(Refusal::MemMismatch)?;
            let repeated = seen & 1 << sent != 0;
            seen |= 1 << sent;
            if repeated || region.form() == Form::V1_2 && access.impdef != t.impdef(self.port, sent) {
                return Err(Refusal::MemMismatch);
            }
            let permissions = settle(t, receiver.data, access.permissions)?;
            if own {
                granted = Some(permissions);
            }
        }
        granted.ok_or(Refusal::MemReceiver)
    }

    /// Describes a transaction of the Normal world to its hypervisor, which asks before it lets a reclaim through.
    fn describe(&self, region: &Region<'_>, mut t: Held<'_>, regs: &mut Regs) -> Result<(), Refusal> {
        let blank = region.attributes == Attributes { kind: MemoryKind::NotSpecified, non_secure: false };
        if !blank || region.flags.0 != 0 || region.tag != 0 {
            return Err(Refusal::MemReserved);
        }
        if t.sender.is_secure() || region.sender != t.sender {
            return Err(Refusal::MemHandle);
        }
        if t.phase != Phase::Open {
            return Err(Refusal::MemHalfSent);
        }
        self.respond(Caller::Normal, &mut t, None, regs)
    }

    /// Answers with a retrieve response in the caller's RX buffer: about the caller alone with what it was `granted`,
    /// or about all receivers.
    fn respond(
        &self,
        caller: Caller<'_, P>,
        t: &mut Transaction,
        granted: Option<Permissions>,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let form = Form::of(self.version_of(&caller));
        let count = caller.told_of(t);
        let composite = form.composite(count) as u32;
        let mut chunk = Chunk::ZERO;
        let mut w = ResponseWriter::new(&mut chunk.0);
        let attributes = Attributes::normal_bits(t.space == Space::NonSecure);
        let zeroed = if t.zero_first { Flags::ZERO } else { 0 };
        let flags = Flags(t.kind.flag() | zeroed);
        w.header(form, t.sender, attributes, flags, t.handle(), t.tag, count as u32)?;
        for (i, r) in t.receivers().iter().enumerate() {
            if !caller.hears_of(r.id) {
                continue;
            }
            // An owner says nothing about instructions.
            let sent = Permissions { data: r.data, instruction: Instruction::NotSpecified };
            let permissions = granted.unwrap_or(sent);
            let impdef = t.impdef(self.port, i);
            w.access(form, &Access { receiver: r.id, permissions, flags: 0, composite, impdef })?;
        }
        w.composite(t.pages, t.ranges.expected)?;
        let used = w.len();
        let bytes = self.tell_ranges(&caller, t, &mut chunk, used, 0)?;
        let total = u64::from(composite) + RANGE_SIZE as u64 * (1 + u64::from(t.ranges.expected));
        regs.set8([Func::MemRetrieveResp.id32().into(), total, bytes, 0, 0, 0, 0, 0]);
        Ok(())
    }

    /// Writes the first `used` bytes of `chunk` into the caller's RX buffer, then ranges from `from` on, as many as fit.
    /// Notes how many are left to be told, and returns the bytes written.
    pub(super) fn tell_ranges(
        &self,
        caller: &Caller<'_, P>,
        t: &mut Transaction,
        chunk: &mut Chunk,
        mut used: usize,
        from: u32,
    ) -> Result<u64, Refusal> {
        let mut mailbox = self.mailbox_of(caller).lock();
        let mut delivery = mailbox.begin_delivery()?;
        let room = delivery.room().saturating_sub(used as u64) / RANGE_SIZE as u64;
        let to = (u64::from(from) + room).min(t.ranges.len().into()) as u32;
        for (ipa, pages) in t.ranges.part(self.port, from, to) {
            if used == HEAD {
                delivery.append(self.port, &chunk.0)?;
                used = 0;
            }
            let place = chunk.0.get_mut(used..).and_then(|rest| rest.first_chunk_mut()).ok_or(Refusal::MemLength)?;
            *place = Range { address: ipa.0, pages: pages as u32 }.encode();
            used += RANGE_SIZE;
        }
        delivery.append(self.port, chunk.0.get(..used).unwrap_or(&[]))?;
        let bytes = delivery.filled();
        delivery.finish();
        let untold = t.ranges.len() - to;
        if let Some(place) = t.untold_to(caller) {
            *place = untold;
        }
        Ok(bytes)
    }

    /// Ends the ownership of whoever donated. The Normal world's entries stay: a page without one would be its own.
    fn forget_donor(&self, t: &Transaction) {
        if let Some(donor @ Caller::Partition(_)) = self.owner_of(t) {
            self.rewrite(&donor, t, &Change::Forget);
        }
    }
}
