// SPDX-License-Identifier: MIT OR Apache-2.0
//! The virtual interrupts of one execution context: which are pending, enabled, active, as sets of slots.
//!
//! A context is mostly looked at by the CPU that holds it, but any CPU may make an interrupt pending at any time.

use crate::manifest::PartitionManifest;
use crate::sync::{AtomicU64, Ordering};

/// The interrupt of the virtual timer.
pub(crate) const VIRTUAL_TIMER: u32 = 3;
/// The interrupt that asks for a managed exit.
pub(crate) const MANAGED_EXIT: u32 = 4;
/// The interrupt that says that notifications are pending.
pub(crate) const NOTIFICATION_PENDING: u32 = 5;
/// The interrupt that another context of the partition sent.
const IPI: u32 = 9;

/// All virtual interrupts, a bit each.
const VIRTUAL: u32 = 1 << VIRTUAL_TIMER | 1 << MANAGED_EXIT | 1 << NOTIFICATION_PENDING | 1 << IPI;

/// The first slot of the manifest's interrupts; below are the virtual ones, by their ids.
const FIRST_OWN: u8 = 16;
/// Slots whose interrupts do not wake a waiting context: they wait until it runs for another reason.
const QUIET: u64 = 1 << MANAGED_EXIT | 1 << NOTIFICATION_PENDING;

/// Names an interrupt within its partition: a bit of the sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u8);

impl Slot {
    /// The virtual timer's.
    pub(crate) const TIMER: Self = Self(VIRTUAL_TIMER as u8);
    /// No interrupt, and never let through: whoever waits for the context to come to rest makes it pending, so that
    /// this is noticed.
    pub(crate) const AT_REST: Self = Self(0);
    /// The managed exit's.
    pub(crate) const MANAGED_EXIT: Self = Self(MANAGED_EXIT as u8);
    /// The other contexts'.
    pub(crate) const IPI: Self = Self(IPI as u8);
    /// The notification pending interrupt's.
    pub(crate) const NOTIFICATION: Self = Self(NOTIFICATION_PENDING as u8);

    /// Finds interrupt `id` of a partition: one of its devices', or a virtual one.
    pub(crate) fn find(manifest: &PartitionManifest, id: u32) -> Option<Self> {
        let is_virtual = id < 32 && VIRTUAL >> id & 1 != 0;
        Self::own(manifest, id).or(is_virtual.then_some(Self(id as u8)))
    }

    /// Finds a physical interrupt among those of the partition's devices.
    pub(crate) fn own(manifest: &PartitionManifest, intid: u32) -> Option<Self> {
        let at = manifest.interrupts.iter().position(|i| i.secure && i.intid == intid)?;
        // MAX_INTERRUPTS (32) and the virtual ones fit in 64 bits.
        Some(Self(FIRST_OWN + at as u8))
    }

    /// Tells whether it is a device's.
    pub(crate) fn is_physical(self) -> bool {
        self.0 >= FIRST_OWN
    }

    /// Returns the id by which the partition knows it: a device's INTID.
    pub(crate) fn id(self, manifest: &PartitionManifest) -> u32 {
        let device = usize::from(self.0).checked_sub(FIRST_OWN.into()).and_then(|at| manifest.interrupts.get(at));
        device.map_or(self.0.into(), |i| i.intid)
    }

    const fn bit(self) -> u64 {
        1 << (self.0 & 63)
    }

    fn lowest(set: u64) -> Option<Self> {
        (set != 0).then(|| Self(set.trailing_zeros() as u8))
    }
}

bitflags::bitflags! {
    /// The levels of a context's two interrupt lines, as HCR_EL2 has them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Lines: u64 {
        /// HCR_EL2.VF.
        const FIQ = 1 << 6;
        /// HCR_EL2.VI.
        const IRQ = 1 << 7;
    }
}

/// The sets of one execution context.
#[derive(Debug, Default)]
pub(crate) struct Interrupts {
    pending: AtomicU64,
    enabled: AtomicU64,
    fiq: AtomicU64,
    /// Taken by the partition, not yet deactivated; a physical one from the moment when it arrived.
    active: AtomicU64,
    /// Pending since before the context was last entered for an interrupt: it knows, and is not woken for them again.
    told: AtomicU64,
}

impl Interrupts {
    /// Forgets everything; the virtual interrupts that the manifest implies are enabled.
    pub(crate) fn reset(&self, manifest: &PartitionManifest) {
        use crate::manifest::NsInterruptAction::ManagedExit;
        let managed = (manifest.ns_interrupts == ManagedExit) as u64;
        let fiq = managed & !manifest.managed_exit_virq as u64;
        let notified = manifest.notification_support as u64;
        self.enabled.store(managed << MANAGED_EXIT | notified << NOTIFICATION_PENDING, Ordering::SeqCst);
        self.fiq.store(fiq << MANAGED_EXIT, Ordering::SeqCst);
        self.pending.store(0, Ordering::SeqCst);
        self.active.store(0, Ordering::SeqCst);
        self.told.store(0, Ordering::SeqCst);
    }

    /// Makes an interrupt pending.
    pub(crate) fn pend(&self, slot: Slot) {
        self.told.fetch_and(!slot.bit(), Ordering::SeqCst);
        self.pending.fetch_or(slot.bit(), Ordering::SeqCst);
    }

    /// Takes an interrupt back that no longer has a cause; false if it was not pending.
    pub(crate) fn withdraw(&self, slot: Slot) -> bool {
        self.pending.fetch_and(!slot.bit(), Ordering::SeqCst) & slot.bit() != 0
    }

    /// Lets an interrupt through, as a virtual FIQ or IRQ, or keeps it pending.
    pub(crate) fn enable(&self, slot: Slot, on: bool, fiq: bool) {
        let put = |set: &AtomicU64, member| {
            if member {
                set.fetch_or(slot.bit(), Ordering::SeqCst);
            } else {
                set.fetch_and(!slot.bit(), Ordering::SeqCst);
            }
        };
        put(&self.fiq, fiq);
        put(&self.enabled, on);
    }

    /// Tells whether an interrupt is let through.
    pub(crate) fn is_enabled(&self, slot: Slot) -> bool {
        self.enabled.load(Ordering::SeqCst) & slot.bit() != 0
    }

    /// Notes that a physical interrupt is active.
    pub(crate) fn activate(&self, slot: Slot) {
        self.active.fetch_or(slot.bit(), Ordering::SeqCst);
    }

    /// Gives the pending interrupt of the lowest slot to the partition.
    pub(crate) fn take(&self) -> Option<Slot> {
        let slot = Slot::lowest(self.pending.load(Ordering::SeqCst) & self.enabled.load(Ordering::SeqCst))?;
        self.activate(slot);
        self.withdraw(slot);
        Some(slot)
    }

    /// Ends an interrupt; false if it is not active.
    pub(crate) fn deactivate(&self, slot: Slot) -> bool {
        self.active.fetch_and(!slot.bit(), Ordering::SeqCst) & slot.bit() != 0
    }

    /// Tells whether an interrupt is pending or active.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn has(&self, slot: Slot) -> bool {
        (self.pending.load(Ordering::SeqCst) | self.active.load(Ordering::SeqCst)) & slot.bit() != 0
    }

    /// Ends all active interrupts, one at a time.
    pub(crate) fn deactivate_any(&self) -> Option<Slot> {
        let slot = Slot::lowest(self.active.load(Ordering::SeqCst))?;
        self.deactivate(slot);
        Some(slot)
    }

    /// Tells whether any interrupt is pending, enabled or not.
    ///
    /// It is asked after the context became Idle, and writes what it finds: whoever makes an interrupt pending after that
    /// sees the context Idle.
    #[inline(always)]
    pub(crate) fn any(&self) -> bool {
        self.pending.fetch_or(0, Ordering::AcqRel) != 0
    }

    /// Finds an interrupt for which a waiting context is to be woken.
    pub(crate) fn wakes_for(&self) -> Option<Slot> {
        let pending = self.pending.load(Ordering::SeqCst);
        if pending == 0 {
            return None;
        }
        let fresh = pending & !self.told.load(Ordering::SeqCst);
        Slot::lowest(fresh & self.enabled.load(Ordering::SeqCst) & !QUIET)
    }

    /// Notes that the context is entered because of what is pending now.
    pub(crate) fn tell(&self) {
        self.told.fetch_or(self.pending.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Returns the levels of the interrupt lines.
    pub(crate) fn lines(&self) -> Lines {
        let set = self.pending.load(Ordering::SeqCst) & self.enabled.load(Ordering::SeqCst);
        let fiq = self.fiq.load(Ordering::SeqCst);
        let mut lines = Lines::empty();
        lines.set(Lines::IRQ, set & !fiq != 0);
        lines.set(Lines::FIQ, set & fiq != 0);
        lines
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const A: Slot = Slot(IPI as u8);
    const B: Slot = Slot(20);
    const QUIET_ONE: Slot = Slot(NOTIFICATION_PENDING as u8);

    #[test]
    fn only_what_is_enabled_raises_its_line_and_is_taken() {
        let set = Interrupts::default();
        set.pend(A);
        assert_eq!((set.lines(), set.take()), (Lines::default(), None));
        set.enable(A, true, false);
        assert_eq!(set.lines(), Lines::IRQ);
        set.enable(A, true, true);
        assert_eq!(set.lines(), Lines::FIQ);
        assert_eq!((set.take(), set.take()), (Some(A), None));
        assert_eq!(set.lines(), Lines::default());
        assert!(set.deactivate(A));
        assert!(!set.deactivate(A));
    }

    #[test]
    fn an_active_interrupt_does_not_keep_another_one_back() {
        let set = Interrupts::default();
        for slot in [A, B] {
            set.enable(slot, true, false);
        }
        set.pend(A);
        assert_eq!(set.take(), Some(A));
        set.pend(B);
        assert!(set.lines().contains(Lines::IRQ));
        assert_eq!(set.take(), Some(B));
        assert!(set.deactivate(B) && set.deactivate(A));
    }

    #[test]
    fn a_context_is_woken_once_for_an_interrupt_and_never_for_a_quiet_one() {
        let set = Interrupts::default();
        set.enable(QUIET_ONE, true, false);
        set.pend(QUIET_ONE);
        assert_eq!(set.wakes_for(), None);
        set.enable(B, true, false);
        set.pend(B);
        assert_eq!(set.wakes_for(), Some(B));
        set.tell();
        assert_eq!(set.wakes_for(), None);
        set.pend(B);
        assert_eq!(set.wakes_for(), Some(B));
    }
}
