// SPDX-License-Identifier: MIT OR Apache-2.0
//! The saved registers of an execution context.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bitflags::bitflags;
use spmc::Entry;

bitflags! {
    /// Names the register groups that are trapped until a context uses them, and switched from then on.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Groups: u64 {
        /// Pointer authentication keys.
        const KEYS = 1;
        /// The EL1 virtual timer; always switched where it cannot be trapped.
        const TIMERS = 2;
        /// AFSR0, AFSR1, AMAIR and CONTEXTIDR of EL1; always switched where they cannot be trapped.
        const RARE = 4;
    }
}

/// A run of saved registers in the order of its list in asm.rs or switch.S.
#[repr(C, align(16))]
pub(crate) struct Saved<const N: usize>([AtomicU64; N]);

impl<const N: usize> Saved<N> {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }

    fn clear(&self) {
        for word in &self.0 {
            word.store(0, Relaxed);
        }
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |word| word.load(Relaxed))
    }

    pub(crate) fn set(&self, index: usize, value: u64) {
        if let Some(word) = self.0.get(index) {
            word.store(value, Relaxed);
        }
    }
}

/// EL1 and EL0 system registers: `el1_registers` in asm.rs.
pub(crate) type El1 = Saved<18>;
/// What a partition seldom uses: `rare_pairs` in switch.S.
pub(crate) type Rare = Saved<4>;
/// Pointer authentication keys: `key_pairs`.
pub(crate) type Keys = Saved<10>;
/// EL1 timers, CTL and CVAL: the virtual one as in `timer_pairs`, then the physical one, which always traps.
pub(crate) type Timers = Saved<4>;
/// Q0-Q31, FPCR, FPSR: a partition's SIMD state.
pub(crate) type Simd = Saved<66>;

/// Where SCTLR_EL1 is in [`El1`].
const SCTLR: usize = 2;
/// SCTLR_EL1's bits that are one after a reset without the features that give them another meaning.
const SCTLR_RESET: u64 = 0x30d0_0800;
/// SPSR_EL2 of a fresh context: EL1h, AArch64, DAIF masked.
const SPSR_RESET: u64 = 0x3c5;

/// In [`Context::wants`], beside the groups.
const QUEUED: u64 = 1 << 32;

/// Holds one execution context while the CPU has something else to do.
///
/// Every field is an atomic that is read and written relaxed (assembly does the same with plain loads and
/// stores): the state machine gives a context to one CPU at a time, and even if that were violated the outcome
/// would be a wrong register value, never undefined behaviour.
#[repr(C, align(16))]
pub struct Context {
    /// x0-x17, when the context is not running.
    pub(crate) x: [AtomicU64; 18],
    /// x18-x30; followed by `elr` and `spsr`, which switch.S counts on.
    pub(crate) x18: [AtomicU64; 13],
    pub(crate) elr: AtomicU64,
    pub(crate) spsr: AtomicU64,
    pub(crate) vmpidr: AtomicU64,
    pub(crate) vsttbr: AtomicU64,
    pub(crate) vttbr: AtomicU64,
    /// The groups of registers that it uses, and [`QUEUED`]: what is unusual about it, but for its lines, in a word.
    wants: AtomicU64,
    pub(crate) csselr: AtomicU64,
    /// HCR_EL2.VI and VF for it; any CPU may change them.
    pub(crate) lines: AtomicU64,
    /// The address of the block of the CPU whose hardware holds the EL1 state, 0 for none.
    pub(crate) loaded_on: AtomicU64,
    pub(crate) el1: El1,
    pub(crate) keys: Keys,
    pub(crate) timers: Timers,
    pub(crate) rare: Rare,
    pub(crate) simd: Simd,
}

const _: () = assert!(offset_of!(Context, vsttbr) == offset_of!(Context, vmpidr) + 8);
const _: () = assert!(offset_of!(Context, vttbr) == offset_of!(Context, vmpidr) + 16);
const _: () = assert!(offset_of!(Context, elr) == offset_of!(Context, x18) + 13 * 8);
const _: () = assert!(offset_of!(Context, spsr) == offset_of!(Context, elr) + 8);

impl Context {
    /// Makes one that is all zeroes; [`Self::reset`] comes before it is first entered.
    pub(crate) const fn new() -> Self {
        Self {
            x: [const { AtomicU64::new(0) }; 18],
            x18: [const { AtomicU64::new(0) }; 13],
            elr: AtomicU64::new(0),
            spsr: AtomicU64::new(0),
            vmpidr: AtomicU64::new(0),
            vsttbr: AtomicU64::new(0),
            vttbr: AtomicU64::new(0),
            wants: AtomicU64::new(0),
            csselr: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            loaded_on: AtomicU64::new(0),
            el1: El1::new(),
            keys: Keys::new(),
            timers: Timers::new(),
            rare: Rare::new(),
            simd: Simd::new(),
        }
    }

    /// Returns 0 where entering it takes nothing but its EL1 registers.
    pub(crate) fn wants(&self) -> u64 {
        self.wants.load(Relaxed) | self.lines.load(Relaxed)
    }

    pub(crate) fn groups(&self) -> Groups {
        Groups::from_bits_truncate(self.wants.load(Relaxed))
    }

    pub(crate) fn add_group(&self, group: Groups) -> Groups {
        self.wants.fetch_or(group.bits(), Relaxed);
        self.groups()
    }

    /// Tells whether Non-secure interrupts wait while it runs.
    pub(crate) fn is_queued(&self) -> bool {
        self.wants.load(Relaxed) & QUEUED != 0
    }

    pub(crate) fn set_queued(&self, queued: bool) {
        if queued {
            self.wants.fetch_or(QUEUED, Relaxed);
        } else {
            self.wants.fetch_and(!QUEUED, Relaxed);
        }
    }

    /// Puts everything at its reset value and the context at its entry point.
    pub(crate) fn reset(&self, entry: &Entry, groups: Groups) {
        for (n, slot) in self.x.iter().enumerate() {
            slot.store(entry.x.get(n).copied().unwrap_or(0), Relaxed);
        }
        for slot in &self.x18 {
            slot.store(0, Relaxed);
        }
        self.elr.store(entry.pc.0, Relaxed);
        self.spsr.store(SPSR_RESET, Relaxed);
        // MPIDR_EL1 as the partition sees it: RES1 bit 31, Aff0.
        self.vmpidr.store(1 << 31 | u64::from(entry.vcpu), Relaxed);
        self.vsttbr.store(entry.roots.secure.0, Relaxed);
        self.vttbr.store(entry.roots.non_secure.0 | u64::from(entry.roots.vmid.0) << 48, Relaxed);
        self.wants.store(groups.bits() | QUEUED, Relaxed);
        self.csselr.store(0, Relaxed);
        self.lines.store(0, Relaxed);
        self.loaded_on.store(0, Relaxed);
        self.el1.clear();
        self.el1.set(SCTLR, SCTLR_RESET);
        self.keys.clear();
        self.timers.clear();
        self.rare.clear();
        self.simd.clear();
    }

    /// Reads general register `n` beyond the message registers (x18 to x30); zero for any other.
    pub(crate) fn high(&self, n: usize) -> u64 {
        n.checked_sub(18).and_then(|i| self.x18.get(i)).map_or(0, |r| r.load(Relaxed))
    }

    /// Writes general register `n` beyond the message registers.
    pub(crate) fn set_high(&self, n: usize, value: u64) {
        if let Some(r) = n.checked_sub(18).and_then(|i| self.x18.get(i)) {
            r.store(value, Relaxed);
        }
    }
}
