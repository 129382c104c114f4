// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MEM_RETRIEVE_REQ` and its response (DEN0077A v1.1, sections 16.4 and 16.5).

use ffa_abi::memory::{
    Access, Attributes, Data, Flags, Form, Instruction, MemoryKind, Permissions, RANGE_SIZE, Range, Region,
    ResponseWriter,
};
use ffa_abi::{Func, Regs};

use super::send::{Chunk, HEAD};
use super::table::{Held, Kind, Phase, Transaction};
use super::{Caller, Reader, lengths, ownership};
use crate::mailbox::Delivery;
use crate::partition::Partition;
use crate::refusal::Refusal;
use crate::stage2::Access as PageAccess;
use crate::{Port, Space, Spmc};

/// Settles what a receiver gets: what it asks for, within what the owner gave and what the kind allows.
fn settle(t: &Transaction, given: Data, asked: Permissions) -> Result<Permissions, Refusal> {
    let data = match (given, asked.data) {
        // A donation gives everything.
        (Data::NotSpecified | Data::ReadWrite, Data::NotSpecified | Data::ReadWrite) => Data::ReadWrite,
        (Data::NotSpecified | Data::ReadWrite, Data::ReadOnly) => Data::ReadOnly,
        (Data::ReadOnly, Data::NotSpecified | Data::ReadOnly) => Data::ReadOnly,
        (Data::ReadOnly, Data::ReadWrite) => return Err(Refusal::MemMorePermission),
    };
    let alone = t.kind == Kind::Donate || t.kind == Kind::Lend && t.receivers.len() == 1;
    let instruction = match (alone, asked.instruction) {
        // The only user of the memory says itself whether it executes there; for others nobody does.
        (true, Instruction::Executable) => Instruction::Executable,
        (true, Instruction::NotExecutable) => Instruction::NotExecutable,
        (false, Instruction::NotSpecified) => Instruction::NotExecutable,
        (true, Instruction::NotSpecified) | (false, Instruction::NotExecutable | Instruction::Executable) => {
            return Err(Refusal::MemPermissions);
        }
    };
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
    match region.attributes.kind {
        MemoryKind::NotSpecified | MemoryKind::Normal => Ok(()),
        MemoryKind::Device(_) | MemoryKind::OtherNormal => Err(Refusal::MemKind),
    }
}

impl<P: Port> Spmc<P> {
    /// Maps what was sent to the caller; or describes a transaction to a hypervisor, which names no receivers.
    pub(super) fn retrieve(&self, caller: Caller<'_, P>, wide: bool, regs: &mut Regs) -> Result<(), Refusal> {
        let (total, fragment) = lengths(wide, regs)?;
        if total != fragment || total as usize > HEAD {
            return Err(Refusal::MemLength);
        }
        let mut request = Chunk::<HEAD>::ZERO;
        let n = Reader::new(&self.mailbox_of(&caller).lock(), fragment)?.read(self.port, &mut request.0)?;
        let request = request.0.get(..n).ok_or(Refusal::MemLength)?;
        let region = Region::decode(request, self.version_of(&caller))?;
        let t = self.memory.table.find(region.handle)?;
        match caller {
            Caller::Normal if region.receivers == 0 => self.describe(&region, t, regs),
            // No VM is ever a receiver.
            Caller::Normal => Err(Refusal::MemReceiver),
            Caller::Partition(p) => self.retrieve_into(p, &region, n, t, regs),
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
        if region.receivers == 0 || region.access_end()? != len {
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
        if receiver.mapped.is_some() {
            return Err(Refusal::MemRetrieved);
        }
        let (next, reply) = self.map_and_answer(partition, &t, granted)?;
        t.zero_after |= region.flags.has(Flags::ZERO_AFTER);
        if let Some(receiver) = t.receiver(partition.id()) {
            receiver.mapped = Some(granted.data);
        }
        if t.kind == Kind::Donate {
            self.forget_donor(&t);
        }
        regs.set8(reply);
        self.told(Caller::Partition(partition), t, next);
        Ok(())
    }

    /// Claims the receiver's pages, writes the response, commits: the last step that can fail comes before the
    /// first that cannot be undone. Returns what the response did not tell yet, and the reply.
    fn map_and_answer(
        &self,
        partition: &Partition<P>,
        t: &Held<'_>,
        granted: Permissions,
    ) -> Result<(u32, [u64; 8]), Refusal> {
        let mut stage2 = partition.stage2.lock();
        let mut walk = stage2.walk(self.port, t.space);
        let mut claimed = 0;
        let outcome = t.ranges.iter(self.port).try_for_each(|(at, pages)| {
            walk.claim(at, pages, || Refusal::MemOccupied, |entry, _| ownership::may_receive(entry))?;
            claimed += 1;
            Ok(())
        });
        let outcome = outcome.and_then(|()| self.respond(Caller::Partition(partition), t, Some(granted)));
        if outcome.is_err() {
            t.ranges.iter(self.port).take(claimed).for_each(|(at, pages)| walk.unclaim(at, pages));
        } else {
            let mut access = PageAccess::READ;
            access.set(PageAccess::WRITE, granted.data == Data::ReadWrite);
            access.set(PageAccess::EXECUTE, granted.instruction == Instruction::Executable);
            for (at, pages) in t.ranges.iter(self.port) {
                walk.commit(at, pages, |_, at| ownership::receive(at, t.kind, access));
            }
        }
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
        let expected = if bypass { 1 } else { t.receivers.len() };
        if region.receivers != expected {
            return Err(Refusal::MemMismatch);
        }
        let mut granted = None;
        for (i, access) in region.accesses().enumerate() {
            let access = access?;
            // Bit 0 of another borrower's flags says that it does not retrieve: nothing to us, who serve each alone.
            let own = access.receiver == partition.id();
            if access.composite != 0 || access.flags & !1 != 0 || own && access.flags != 0 {
                return Err(Refusal::MemReserved);
            }
            let sent = t.receivers.iter().position(|r| r.id == access.receiver).ok_or(Refusal::MemMismatch)?;
            let repeated = region.accesses().take(i).any(|a| a.is_ok_and(|a| a.receiver == access.receiver));
            let given = t.receivers.get(sent).map(|r| r.data).ok_or(Refusal::MemMismatch)?;
            if repeated || region.form() == Form::V1_2 && access.impdef != t.impdef(self.port, sent) {
                return Err(Refusal::MemMismatch);
            }
            let permissions = settle(t, given, access.permissions)?;
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
        let (next, reply) = self.respond(Caller::Normal, &t, None)?;
        t.hypervisor_next = 0;
        regs.set8(reply);
        self.told(Caller::Normal, t, next);
        Ok(())
    }

    /// Writes a retrieve response into the caller's RX buffer: about the caller alone with what it was `granted`,
    /// or about all receivers. Returns the next range to tell, and the reply.
    fn respond(
        &self,
        caller: Caller<'_, P>,
        t: &Held<'_>,
        granted: Option<Permissions>,
    ) -> Result<(u32, [u64; 8]), Refusal> {
        let form = Form::of(self.version_of(&caller));
        let mut mailbox = self.mailbox_of(&caller).lock();
        let mut delivery = mailbox.begin_delivery()?;
        let told = |id| match caller {
            Caller::Normal => true,
            Caller::Partition(p) => p.id() == id,
        };
        let count = t.receivers.iter().filter(|r| told(r.id)).count();
        let mut chunk = Chunk::<HEAD>::ZERO;
        let mut w = ResponseWriter::new(&mut chunk.0);
        let attributes = Attributes::normal_bits(t.space == Space::NonSecure);
        let zeroed = if t.zero_first { Flags::ZERO } else { 0 };
        let flags = Flags(t.kind.flag() | zeroed);
        w.header(form, t.sender, attributes, flags, t.handle(), t.tag, count as u32)?;
        for (i, r) in t.receivers.iter().enumerate().filter(|(_, r)| told(r.id)) {
            // An owner says nothing about instructions.
            let sent = Permissions { data: r.data, instruction: Instruction::NotSpecified };
            let permissions = granted.unwrap_or(sent);
            let (composite, impdef) = (form.composite(count) as u32, t.impdef(self.port, i));
            w.access(form, &Access { receiver: r.id, permissions, flags: 0, composite, impdef })?;
        }
        w.composite(t.pages, t.ranges.expected)?;
        let used = w.len();
        let next = self.tell_ranges(t, &mut delivery, &mut chunk, used, 0)?;
        let bytes = delivery.filled();
        delivery.finish();
        let total = (form.composite(count) + RANGE_SIZE) as u64 + u64::from(t.ranges.expected) * RANGE_SIZE as u64;
        Ok((next, [Func::MemRetrieveResp.id32().into(), total, bytes, 0, 0, 0, 0, 0]))
    }

    /// Writes the first `used` bytes of `chunk`, then ranges from `from` on, as many as fit in the RX buffer; returns
    /// the next one to tell.
    pub(super) fn tell_ranges(
        &self,
        t: &Held<'_>,
        to: &mut Delivery<'_>,
        chunk: &mut Chunk<HEAD>,
        mut used: usize,
        from: u32,
    ) -> Result<u32, Refusal> {
        let room = to.room().saturating_sub(used as u64) / RANGE_SIZE as u64;
        let fit = room.min(u64::from(t.ranges.len() - from)) as u32;
        let mut ranges = t.ranges.iter_from(self.port, from).take(fit as usize);
        let mut left = fit;
        loop {
            let (places, _) = chunk.0.get_mut(used..).unwrap_or(&mut []).as_chunks_mut::<RANGE_SIZE>();
            for (place, (ipa, pages)) in places.iter_mut().zip(&mut ranges) {
                *place = Range { address: ipa.0, pages: pages as u32 }.encode();
                used += RANGE_SIZE;
                left -= 1;
            }
            to.append(self.port, chunk.0.get(..used).ok_or(Refusal::MemLength)?)?;
            if left == 0 || used == 0 {
                return Ok(from + fit);
            }
            used = 0;
        }
    }

    /// Ends the ownership of whoever donated. The Normal world's entries stay: a page without one would be its own.
    fn forget_donor(&self, t: &Transaction) {
        let Some(donor) = self.partitions.find(t.sender) else { return };
        let mut stage2 = donor.stage2.lock();
        let mut walk = stage2.walk(self.port, t.space);
        for (at, pages) in t.ranges.iter(self.port) {
            walk.commit(at, pages, |_, _| crate::stage2::Entry::ZERO);
        }
        walk.finish();
    }
}
