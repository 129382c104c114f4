// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions that the partition takes itself: faults of its own stage 1, undefined instructions, virtual interrupts.

use crate::{Context, interrupt, log, mmu};
use core::{arch::asm, mem::offset_of, sync::atomic::Ordering::Relaxed};

/// What entry.S saves on the exception stack.
#[repr(C, align(16))]
pub(crate) struct Frame {
    x: [u64; 31],
    elr: u64,
    spsr: u64,
    spare: u64,
    simd: [u128; if HAS_SIMD { 32 } else { 0 }],
    /// FPCR, FPSR.
    simd_status: [u64; if HAS_SIMD { 2 } else { 0 }],
}

/// The compiler uses SIMD registers, in handlers of interrupts too.
pub(crate) const HAS_SIMD: bool = cfg!(target_feature = "neon");
/// Where they are in a [`Frame`], for entry.S.
pub(crate) const SIMD_AT: usize = offset_of!(Frame, simd);

/// The size of a [`Frame`], for entry.S.
pub(crate) const FRAME_SIZE: usize = size_of::<Frame>();

/// Describes a fault that was expected (see [`Probe`]).
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
}

/// Runs one instruction sequence that may fault.
///
/// The sequence itself is the caller's `asm!`: it stores the address of its own end into [`Probe::resume_at`] first.
#[derive(Debug)]
pub struct Probe(&'static Context);

impl Probe {
    /// Prepares to catch one fault of this context.
    pub fn new() -> Self {
        let context = Context::current();
        context.esr.store(0, Relaxed);
        context.far.store(0, Relaxed);
        Self(context)
    }

    /// Returns the cell that takes the address where a fault continues.
    pub fn resume_at(&self) -> *mut u64 {
        self.0.resume_at.as_ptr()
    }

    /// Stops catching; tells whether a fault came.
    pub fn finish(self) -> Result<(), Fault> {
        self.0.resume_at.store(0, Relaxed);
        match self.0.esr.load(Relaxed) {
            0 => Ok(()),
            esr => Err(Fault { esr, far: self.0.far.load(Relaxed) }),
        }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs assembly that may fault: `probe!(("instruction {a}"), a = in(reg) 1)` returns `Result<(), Fault>`.
///
/// A fault leaves the outputs as they were before the instruction that caused it. To be used inside `unsafe`.
#[macro_export]
macro_rules! probe {
    (($($text:expr),+) $(, $($operands:tt)*)?) => {{
        let probe = $crate::Probe::new();
        core::arch::asm!(
            "adr {probe_end}, 77f",
            "str {probe_end}, [{probe_cell}]",
            $($text,)+
            "77:",
            probe_end = out(reg) _,
            probe_cell = in(reg) probe.resume_at(),
            $($($operands)*)?
        );
        probe.finish()
    }};
}

/// Aborts this execution context.
pub fn give_up() -> ! {
    // SAFETY: the code at give_up (entry.S) uses no stack and never returns.
    unsafe { asm!("b give_up", options(noreturn)) }
}

/// Reads ESR_EL1 and FAR_EL1.
fn syndrome() -> (u64, u64) {
    let (esr, far);
    // SAFETY: reads two registers.
    unsafe {
        asm!("mrs {}, esr_el1", "mrs {}, far_el1", out(reg) esr, out(reg) far, options(nomem, nostack));
    }
    (esr, far)
}

/// Takes a synchronous exception of the partition's code: continues where it was expected, ends the context if not.
pub(crate) extern "C" fn sync(frame: &mut Frame) {
    let (esr, far) = syndrome();
    let context = Context::current();
    match context.resume_at.swap(0, Relaxed) {
        0 => die("fault", frame, esr, far),
        resume_at => {
            context.esr.store(esr, Relaxed);
            context.far.store(far, Relaxed);
            frame.elr = resume_at;
        }
    }
}

/// Takes a virtual interrupt.
pub(crate) extern "C" fn irq(_: &mut Frame) {
    interrupt::take();
}

/// Takes a virtual FIQ or SError, of which none is ever asked for.
pub(crate) extern "C" fn other(frame: &mut Frame) {
    let (esr, far) = syndrome();
    die("unexpected FIQ or SError", frame, esr, far)
}

/// Prints where the partition died, as an offset into its image too, and gives up.
fn die(what: &str, frame: &Frame, esr: u64, far: u64) -> ! {
    let [x0, .., lr] = frame.x;
    let offset = frame.elr.wrapping_sub(mmu::image_start());
    log!("{what}: ESR {esr:#x} FAR {far:#x} PC {:#x} (image + {offset:#x})", frame.elr);
    log!("  x0 {x0:#x} x30 {lr:#x} SPSR {:#x}", frame.spsr);
    give_up()
}
