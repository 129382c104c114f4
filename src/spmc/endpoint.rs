// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls about the caller itself: buffers, features, secondary entry points.

use ffa_abi::{Func, PartitionId, Regs, func::SMC64};

use crate::features;
use crate::mailbox::{Pair, check_layout};
use crate::manifest::MemoryKind;
use crate::partition::{Entered, ExecutionContext, Partition, State};
use crate::refusal::Refusal;
use crate::stage2::{Access, MemoryType, Stage2, Tag};
use crate::{Cpu, Ipa, Next, PAGE_SIZE, Pa, Port, Space, Spmc};

/// Reads the arguments of FFA_RXTX_MAP (DEN0077A, "FFA_RXTX_MAP"): TX, RX, bytes in each.
fn map_arguments(regs: &Regs) -> Result<(u64, u64, u64), Refusal> {
    let [_, tx, rx, count, ..] = regs.x;
    let (tx, rx) = if regs.fid() & SMC64 != 0 { (tx, rx) } else { (tx as u32 as u64, rx as u32 as u64) };
    // Bits [5:0] count pages; the rest is reserved.
    if count as u32 & !0x3f != 0 {
        return Err(Refusal::ReservedNotZero);
    }
    let len = check_layout(tx, rx, count & 0x3f)?;
    Ok((tx, rx, len))
}

/// Finds where pages of a partition lie, if all of them are its own Secure memory, not shared with anybody, with
/// at least the given access, and contiguous in physical memory.
fn owned<P: Port>(port: &P, stage2: &Stage2, ipa: Ipa, pages: u64, access: Access) -> Option<Pa> {
    let first = stage2.query(port, Space::Secure, ipa).pa();
    for i in 0..pages {
        let entry = stage2.query(port, Space::Secure, ipa.checked_add(i * PAGE_SIZE)?);
        let own = entry.is_valid() && entry.tag() == Tag::Owned;
        let usable = entry.access().contains(access) && entry.memory() == MemoryType::Normal;
        if !own || !usable || entry.pa() != first.checked_add(i * PAGE_SIZE)? {
            return None;
        }
    }
    Some(first)
}

impl<P: Port> Spmc<P> {
    /// Answers FFA_FEATURES.
    #[inline(never)]
    pub(crate) fn features(&self, regs: &mut Regs, partition: Option<&Partition<P>>) -> Result<(), Refusal> {
        let version = self.version_for(partition);
        let [_, asked, ..] = regs.x;
        let told = features::query(asked as u32, partition.map(|p| p.manifest), version)?;
        if asked as u32 == features::SCHEDULE_RECEIVER {
            self.port.donate_schedule_receiver();
        }
        // By itself, like the rest of an answer that is asked for at every probe.
        regs.set8([Func::Success.id32() as u64, 0, told, 0, 0, 0, 0, 0]);
        Ok(())
    }

    /// Finds the piece of Normal-world RAM, by the manifest, that holds the whole range: its first byte and its end.
    pub(crate) fn normal_ram(&self, pa: u64, len: u64) -> Option<(u64, u64)> {
        let end = pa.checked_add(len)?;
        self.memory_map
            .iter()
            .filter(|r| r.kind == MemoryKind::NonSecure)
            .map(|r| (r.base.0, r.base.0.saturating_add(r.size)))
            .find(|ram| pa >= ram.0 && end <= ram.1)
    }

    /// Takes FFA_RXTX_MAP.
    #[inline(never)]
    pub(crate) fn rxtx_map(
        &self,
        cpu: &mut Cpu<P>,
        caller: Option<&Partition<P>>,
        entered: Entered,
        regs: &Regs,
    ) -> Result<(), Refusal> {
        self.map_buffers(caller, regs)?;
        // One that starts has not waited yet, which would give the buffer back: it gets its messages then.
        if caller.is_some() && entered != Entered::Init {
            self.deliver_next(cpu, caller);
        }
        Ok(())
    }

    /// Maps the caller's buffers: the Normal world's own RAM, whatever the address, or pages of a partition's own memory
    /// that it may read and write.
    pub(crate) fn map_buffers(&self, caller: Option<&Partition<P>>, regs: &Regs) -> Result<(), Refusal> {
        let (tx, rx, len) = map_arguments(regs)?;
        let (tables, mailbox, space) = match caller {
            None => (&self.memory.tracking, &self.normal.mailbox, Space::NonSecure),
            Some(p) => (&p.stage2, &p.mailbox, Space::Secure),
        };
        // Held until the pair is noted: a page cannot be sent away meanwhile.
        let tables = tables.lock();
        let mut mailbox = mailbox.lock();
        let tx = self.own_buffer(caller, &tables, tx, len)?;
        let rx = self.own_buffer(caller, &tables, rx, len)?;
        mailbox.map(Pair { space, tx, rx, len })
    }

    /// Finds where a buffer of the caller lies, if all of it is the caller's by its `tables`.
    #[inline(never)]
    fn own_buffer(&self, caller: Option<&Partition<P>>, tables: &Stage2, at: u64, len: u64) -> Result<Pa, Refusal> {
        let at = match caller {
            None => self.normal_owns(tables, at, len).then_some(Pa(at)),
            Some(_) => owned(self.port, tables, Ipa(at), len / PAGE_SIZE, Access::READ_WRITE),
        };
        at.ok_or(Refusal::BufferMemory)
    }

    /// Unmaps the caller's buffers. w1 names whose they are: a partition names itself or, like clients written for other
    /// SPMCs, nobody; the Normal world names no VM.
    #[inline(never)]
    pub(crate) fn rxtx_unmap(&self, caller: Option<&Partition<P>>, regs: &Regs) -> Result<(), Refusal> {
        let [_, w1, ..] = regs.x;
        let named = PartitionId((w1 >> 16) as u16);
        let own = caller.map_or(PartitionId::NORMAL_WORLD, |p| p.id());
        if named != PartitionId(0) && named != own {
            return Err(Refusal::BufferForOther);
        }
        self.mailbox_for(caller).lock().unmap()
    }

    /// Answers FFA_RX_RELEASE (DEN0077A, "FFA_RX_RELEASE").
    #[inline(never)]
    pub(crate) fn rx_release(
        &self,
        cpu: &mut Cpu<P>,
        context: Option<&'static ExecutionContext<P>>,
        caller: Option<&Partition<P>>,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        self.mailbox_for(caller).lock().release()?;
        self.deliver_next(cpu, caller);
        regs.set_success(0);
        Ok(context.map_or(Next::Reply, Next::Run))
    }

    /// Takes FFA_RX_ACQUIRE (DEN0077A, "FFA_RX_ACQUIRE"): the hypervisor takes the RX buffer of the endpoint in w1,
    /// to fill it itself. Only the primary endpoint's is registered here; it gives it back by FFA_RX_RELEASE.
    #[inline(never)]
    pub(crate) fn rx_acquire(&self, regs: &Regs) -> Result<(), Refusal> {
        let [_, w1, ..] = regs.x;
        if w1 as u16 != PartitionId::NORMAL_WORLD.0 {
            return Err(Refusal::BadAcquire);
        }
        self.normal.mailbox.lock().acquire()
    }

    /// Answers FFA_SECONDARY_EP_REGISTER of a partition (DEN0077A, "FFA_SECONDARY_EP_REGISTER"): x1 is where its
    /// other execution contexts begin.
    pub(crate) fn secondary_ep_register(
        &self,
        partition: &Partition<P>,
        context: &ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let [_, at, ..] = regs.x;
        if partition.contexts().iter().any(|c| c.vcpu != context.vcpu && c.state() != State::Reset) {
            return Err(Refusal::TooLate);
        }
        if !context.is_per_cpu {
            return Err(Refusal::UnknownCall);
        }
        let stage2 = partition.stage2.lock();
        owned(self.port, &stage2, Ipa(at).page(), 1, Access::EXECUTE).ok_or(Refusal::BadEntryPoint)?;
        partition.set_secondary_entry(Ipa(at));
        regs.set_success(0);
        Ok(())
    }
}
