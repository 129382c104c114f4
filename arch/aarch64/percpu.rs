// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each CPU has of its own, found by TPIDR_EL2.

use core::cell::Cell;
use core::ptr;

use spmc::{Fault, FaultKind};

use crate::context::{Context, El1, Groups, Keys, Rare, Timers};
use crate::platform::CPUS;
use crate::simd::NormalSimd;
use crate::timer::NEVER;

/// Says whose EL1 and EL0 registers, or whose SIMD registers, are in the hardware: one word, since every entry compares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live(*const Context);

impl Live {
    /// The Normal world's.
    pub(crate) const NORMAL: Self = Self(ptr::null());
    /// Nobody's: saved, or of no more use.
    pub(crate) const NONE: Self = Self(ptr::dangling());

    /// This context's; compared, never followed.
    #[inline(always)]
    pub(crate) const fn context(context: &Context) -> Self {
        Self(context)
    }
}

/// The block of one CPU. Only that CPU touches it: S-EL2 never takes an interrupt, and an exception taken at S-EL2
/// does not return to code that is in the middle of a change.
#[repr(C, align(64))]
pub(crate) struct PerCpu {
    pub(crate) index: Cell<u64>,
    /// Whose EL1 and EL0 system registers the hardware holds.
    pub(crate) live: Cell<Live>,
    /// Whose SIMD registers the hardware holds.
    pub(crate) simd: Cell<Live>,
    /// CPTR_EL2 for S-EL2's own use of the SIMD registers.
    pub(crate) cptr_open: Cell<u64>,
    /// How many branches overwrite its branch history; vectors.S reads it.
    pub(crate) branches: Cell<u64>,
    /// The Normal world's ICC_PMR_EL1, while a context that queues its interrupts is live.
    pub(crate) pmr: Cell<Option<u64>>,
    /// Non-secure interrupts wait whatever context is live.
    pub(crate) hold: Cell<bool>,
    /// When whoever keeps Non-secure interrupts waiting is to be ended.
    pub(crate) deadline: Cell<u64>,
    /// When the first timer of a partition is due.
    pub(crate) wake: Cell<u64>,
    /// HCR_EL2.VI and VF as they are in the hardware.
    pub(crate) lines: Cell<u64>,
    /// Which groups of the Normal world's registers are saved below instead of in the hardware.
    pub(crate) saved: Cell<Groups>,
    /// Which groups the hardware does not trap.
    pub(crate) open: Cell<Groups>,
    /// 0: interrupts are not masked and not to be, no virtual line is up, every group traps, and none of the Normal
    /// world's is saved. Whoever changes any of that says so here.
    pub(crate) unusual: Cell<u64>,
    /// The context that ran last, for reports.
    pub(crate) current: Cell<*const Context>,
    pub(crate) fault: Cell<Fault>,
    /// What this CPU's two windows show: the descriptor, 0 for nothing.
    pub(crate) windows: [Cell<u64>; 2],
    pub(crate) el1: El1,
    pub(crate) keys: Keys,
    pub(crate) timers: Timers,
    pub(crate) rare: Rare,
    pub(crate) normal_simd: NormalSimd,
}

// SAFETY: every field is only used by the CPU that the block belongs to (`this` gives no other).
unsafe impl Sync for PerCpu {}

impl PerCpu {
    const fn new() -> Self {
        Self {
            index: Cell::new(0),
            live: Cell::new(Live::NORMAL),
            simd: Cell::new(Live::NORMAL),
            cptr_open: Cell::new(0),
            branches: Cell::new(0),
            pmr: Cell::new(None),
            hold: Cell::new(false),
            deadline: Cell::new(NEVER),
            wake: Cell::new(NEVER),
            lines: Cell::new(0),
            saved: Cell::new(Groups::empty()),
            open: Cell::new(Groups::empty()),
            unusual: Cell::new(0),
            current: Cell::new(ptr::null()),
            fault: Cell::new(Fault { kind: FaultKind::DataAbort, esr: 0, pc: 0, va: 0, ipa: None }),
            windows: [const { Cell::new(0) }; 2],
            el1: El1::new(),
            keys: Keys::new(),
            timers: Timers::new(),
            rare: Rare::new(),
            normal_simd: NormalSimd::new(),
        }
    }
}

impl PerCpu {
    /// Names the CPU in [`Context::loaded_on`].
    #[inline(always)]
    pub(crate) fn address(&self) -> u64 {
        ptr::from_ref(self) as u64
    }
}

/// The blocks; boot.S picks one for each CPU.
pub(crate) static PERCPU: [PerCpu; CPUS] = [const { PerCpu::new() }; CPUS];

/// Returns the block of this CPU.
#[inline(always)]
pub(crate) fn this() -> &'static PerCpu {
    let at = mrs!("tpidr_el2") as *const PerCpu;
    // SAFETY: boot.S puts the address of this CPU's element of PERCPU in TPIDR_EL2 before any Rust code that
    // calls this runs on the CPU, and nothing else writes the register.
    unsafe { &*at }
}

/// Returns the number of the CPU that this runs on: its place in the platform's list.
#[inline]
pub fn cpu_index() -> usize {
    this().index.get() as usize
}
