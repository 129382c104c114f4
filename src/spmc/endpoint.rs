// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls about the caller itself: buffers, features, secondary entry points.

use ffa_abi::{PartitionId, Regs, func::SMC64};

use crate::features;
use crate::mailbox::{Mailbox, Pair, check_layout};
use crate::manifest::MemoryKind;
use crate::partition::{ExecutionContext, Partition, State};
use crate::refusal::Refusal;
use crate::stage2::{Access, MemoryType, Stage2, Tag};
use crate::sync::Mutex;
use crate::{Cpu, Ipa, PAGE_SIZE, Pa, Port, Space, Spmc};

/// Reads the arguments of FFA_RXTX_MAP (DEN0077A, "FFA_RXTX_MAP"): TX, RX, bytes in each.
fn map_arguments(fid: u32, regs: &Regs) -> Result<(u64, u64, u64), Refusal> {
    let [_, tx, rx, count, ..] = regs.x;
    let (tx, rx) = if fid & SMC64 != 0 { (tx, rx) } else { (tx as u32 as u64, rx as u32 as u64) };
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

#[inline(never)]
fn map_pair(mailbox: &Mutex<Mailbox>, pair: Pair, regs: &mut Regs) -> Result<(), Refusal> {
    mailbox.lock().map(pair)?;
    regs.set_success(0);
    Ok(())
}

#[inline(never)]
fn unmap_pair(mailbox: &Mutex<Mailbox>, regs: &mut Regs) -> Result<(), Refusal> {
    mailbox.lock().unmap()?;
    regs.set_success(0);
    Ok(())
}

impl<P: Port> Spmc<P> {
    /// Answers FFA_FEATURES.
    #[inline(always)]
    pub(crate) fn features(&self, regs: &mut Regs, partition: Option<&Partition<P>>) -> Result<(), Refusal> {
        let version = partition.map_or(self.normal.version.get(), |p| p.version());
        let [_, asked, ..] = regs.x;
        let told = features::query(asked as u32, partition.map(|p| &*p.manifest), version)?;
        if asked as u32 == features::SCHEDULE_RECEIVER {
            self.port.donate_schedule_receiver();
        }
        regs.set_success(told);
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

    /// Tells whether a range is wholly in Normal-world RAM.
    fn is_normal_ram(&self, pa: u64, len: u64) -> bool {
        self.normal_ram(pa, len).is_some()
    }

    /// Maps the Normal world's buffers: its own RAM, whatever the address.
    #[inline(never)]
    pub(crate) fn rxtx_map_normal(&self, fid: u32, regs: &mut Regs) -> Result<(), Refusal> {
        let (tx, rx, len) = map_arguments(fid, regs)?;
        if !self.is_normal_ram(tx, len) || !self.is_normal_ram(rx, len) {
            return Err(Refusal::BufferMemory);
        }
        // Held across both steps: a page cannot be sent away between them.
        let tracking = self.memory.tracking.lock();
        if !self.normal_owns(&tracking, tx, len) || !self.normal_owns(&tracking, rx, len) {
            return Err(Refusal::BufferMemory);
        }
        let pair = Pair { space: Space::NonSecure, tx: Pa(tx), rx: Pa(rx), len };
        map_pair(&self.normal.mailbox, pair, regs)
    }

    /// Maps a partition's buffers: pages of its own memory that it may read and write.
    pub(crate) fn rxtx_map_partition(
        &self,
        partition: &Partition<P>,
        fid: u32,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let (tx, rx, len) = map_arguments(fid, regs)?;
        let stage2 = partition.stage2.lock();
        let find = |ipa: u64| -> Result<Pa, Refusal> {
            owned(self.port, &stage2, Ipa(ipa), len / PAGE_SIZE, Access::READ_WRITE).ok_or(Refusal::BufferMemory)
        };
        let pair = Pair { space: Space::Secure, tx: find(tx)?, rx: find(rx)?, len };
        map_pair(&partition.mailbox, pair, regs)
    }

    /// Unmaps the Normal world's buffers; w1 names the VM whose buffers they are, which is the caller's own (0).
    #[inline(never)]
    pub(crate) fn rxtx_unmap_normal(&self, regs: &mut Regs) -> Result<(), Refusal> {
        let [_, w1, ..] = regs.x;
        if (w1 >> 16) as u16 != PartitionId::NORMAL_WORLD.0 {
            return Err(Refusal::BufferForOther);
        }
        unmap_pair(&self.normal.mailbox, regs)
    }

    /// Unmaps a partition's buffers.
    pub(crate) fn rxtx_unmap_partition(&self, partition: &Partition<P>, regs: &mut Regs) -> Result<(), Refusal> {
        let [_, w1, ..] = regs.x;
        let named = (w1 >> 16) as u16;
        // A partition names itself or, like clients written for other SPMCs, nobody.
        if named != 0 && named != partition.id().0 {
            return Err(Refusal::BufferForOther);
        }
        unmap_pair(&partition.mailbox, regs)
    }

    /// Answers FFA_RX_RELEASE (DEN0077A, "FFA_RX_RELEASE").
    pub(crate) fn rx_release(
        &self,
        cpu: &mut Cpu<P>,
        caller: Option<&Partition<P>>,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let mailbox = caller.map_or(&self.normal.mailbox, |p| &p.mailbox);
        mailbox.lock().release()?;
        self.deliver_next(cpu, caller);
        regs.set_success(0);
        Ok(())
    }

    /// Answers FFA_RX_ACQUIRE (DEN0077A, "FFA_RX_ACQUIRE"): the hypervisor takes the RX buffer of the endpoint in w1,
    /// to fill it itself. Only the primary endpoint's is registered here; it gives it back by FFA_RX_RELEASE.
    #[inline(never)]
    pub(crate) fn rx_acquire(&self, regs: &mut Regs) -> Result<(), Refusal> {
        let [_, w1, ..] = regs.x;
        if w1 as u16 != PartitionId::NORMAL_WORLD.0 {
            return Err(Refusal::BadAcquire);
        }
        self.normal.mailbox.lock().acquire()?;
        regs.set_success(0);
        Ok(())
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
        if !partition.is_per_cpu() {
            return Err(Refusal::UnknownCall);
        }
        let stage2 = partition.stage2.lock();
        owned(self.port, &stage2, Ipa(at).page(), 1, Access::EXECUTE).ok_or(Refusal::BadEntryPoint)?;
        partition.set_secondary_entry(Ipa(at));
        regs.set_success(0);
        Ok(())
    }
}
