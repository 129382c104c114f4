// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Normal world's side of the GICv3: enough for interrupts at NS-EL2 and the watchdog of a case.
//!
//! BL31 has woken the redistributors and given every interrupt to non-secure group 1 that it does not want itself.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::sysreg::{self, read_sysreg, write_sysreg};
use crate::{harness, time};

const GICD_CTLR: *mut u32 = 0x0800_0000 as *mut u32;
/// The Normal world's view: ARE_NS, EnableGrp1A.
const GICD_ON: u32 = 1 << 4 | 1 << 1;
const GICR: usize = 0x080a_0000;
const GICR_STRIDE: usize = 0x2_0000;
const GICR_TYPER: usize = 0x8;
const SGI_FRAME: usize = 0x1_0000;
const GICR_ISENABLER0: usize = SGI_FRAME + 0x100;
const GICR_ICENABLER0: usize = SGI_FRAME + 0x180;
/// The EL2 physical timer's interrupt.
const WATCHDOG: u32 = 26;
/// The SGI that ends a CPU's sleep.
const WAKE: u32 = 7;

/// The priority mask that lets every interrupt of the Normal world in.
pub const PRIORITY_MASK: u64 = 0xf0;

/// The EL2 virtual timer's interrupt, for cases: no partition has anything to do with that timer.
pub const TIMER: u32 = 28;

/// The schedule-receiver interrupt, which the SPMC gives to the Normal world.
pub const SCHEDULE_RECEIVER: u32 = 8;

/// The EL1 physical timer's interrupt.
pub const EL1_TIMER: u32 = 30;

/// Counts what each interrupt id below 64 brought, over all CPUs.
pub static COUNTS: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];
/// A function `fn(intid: u32)` that takes interrupts before they are ended; 0 for none.
static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Returns the affinity of redistributor `n`, and whether it is the last; the GIC knows which CPUs exist.
pub fn redistributor(n: usize) -> (u64, bool) {
    // SAFETY: a device register; callers stop at the last frame.
    let typer = unsafe { ptr::read_volatile((GICR + n * GICR_STRIDE + GICR_TYPER) as *const u64) };
    (typer >> 32, typer & (1 << 4) != 0)
}

fn own_redistributor() -> usize {
    let mine = sysreg::mpidr_affinity();
    let mut n = 0;
    loop {
        let (affinity, last) = redistributor(n);
        if affinity == mine || last {
            return GICR + n * GICR_STRIDE;
        }
        n += 1;
    }
}

/// Enables one SGI or PPI of this CPU.
pub fn enable(intid: u32) {
    // SAFETY: a device register of this CPU's own redistributor.
    unsafe { ptr::write_volatile((own_redistributor() + GICR_ISENABLER0) as *mut u32, 1 << (intid & 31)) };
}

/// Disables one SGI or PPI of this CPU.
pub fn disable(intid: u32) {
    // SAFETY: a device register of this CPU's own redistributor.
    unsafe { ptr::write_volatile((own_redistributor() + GICR_ICENABLER0) as *mut u32, 1 << (intid & 31)) };
}

/// Names a function that is told each interrupt before it is ended (it must quieten a level-triggered one).
pub fn set_handler(handler: Option<fn(u32)>) {
    HANDLER.store(handler.map_or(0, |h| h as usize), Relaxed);
}

/// Lets the distributor pass non-secure group 1 on; once for all CPUs.
pub(crate) fn init() {
    // SAFETY: a device register; BL31 left the Normal world's bits of it to us.
    unsafe { ptr::write_volatile(GICD_CTLR, GICD_ON) };
}

/// Opens this CPU's interface to group 1 interrupts and unmasks them.
pub fn init_cpu() {
    write_sysreg!("S3_4_C12_C9_5", 0xf); // ICC_SRE_EL2
    isb();
    set_priority_mask(PRIORITY_MASK);
    write_sysreg!("S3_0_C12_C12_7", 1); // ICC_IGRPEN1_EL1
    isb();
    // SAFETY: the vectors are installed and handle interrupts.
    unsafe { asm!("msr daifclr, #2", options(nomem, nostack)) };
}

/// Sleeps while `asleep`; the CPU looks at it again when [`wake`] asks.
pub(crate) fn sleep_while(asleep: impl Fn() -> bool) {
    enable(WAKE);
    // SAFETY: masks interrupts, so that one that comes between the look and the sleep still ends the sleep.
    unsafe { asm!("msr daifset, #2", options(nomem, nostack)) };
    while asleep() {
        // SAFETY: waits; memory may have changed afterwards.
        unsafe { asm!("wfi", options(nostack, preserves_flags)) };
    }
    // SAFETY: as it was in `init_cpu`.
    unsafe { asm!("msr daifclr, #2", options(nomem, nostack)) };
}

/// Wakes CPU `n`, which sleeps in [`sleep_while`].
pub(crate) fn wake(n: usize) {
    let affinity = redistributor(n).0;
    let [aff0, aff1, aff2, aff3, ..] = affinity.to_le_bytes().map(u64::from);
    let target = 1 << (aff0 & 0xf) | aff1 << 16 | aff2 << 32 | aff3 << 48;
    // SAFETY: a barrier: the CPU finds what was written for it.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    write_sysreg!("S3_0_C12_C11_5", target | u64::from(WAKE) << 24); // ICC_SGI1R_EL1
    isb();
}

/// Raises an SGI on this CPU in both groups of which the Normal world may try: its own, and the Secure one.
pub fn raise(intid: u32) {
    let [aff0, aff1, aff2, aff3, ..] = sysreg::mpidr_affinity().to_le_bytes().map(u64::from);
    let sgi = 1 << (aff0 & 0xf) | aff1 << 16 | aff2 << 32 | aff3 << 48 | u64::from(intid) << 24;
    write_sysreg!("S3_0_C12_C11_5", sgi); // ICC_SGI1R_EL1
    write_sysreg!("S3_0_C12_C11_6", sgi); // ICC_ASGI1R_EL1
    isb();
}

/// Reads ICC_PMR_EL1, as the Normal world sees it.
pub fn priority_mask() -> u64 {
    read_sysreg!("S3_0_C4_C6_0")
}

/// Writes ICC_PMR_EL1.
pub fn set_priority_mask(mask: u64) {
    write_sysreg!("S3_0_C4_C6_0", mask);
    isb();
}

fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// Starts the watchdog: in `seconds` the run ends as a failure of the current case, if interrupts still get here.
pub(crate) fn watchdog_start(seconds: u64) {
    write_sysreg!("cnthp_cval_el2", time::now() + time::frequency() * seconds);
    write_sysreg!("cnthp_ctl_el2", 1);
    isb();
    enable(WATCHDOG);
}

/// Stops the watchdog.
pub(crate) fn watchdog_stop() {
    write_sysreg!("cnthp_ctl_el2", 0);
    isb();
}

/// Lets [`TIMER`] interrupt this CPU once, after so many ticks of the counter.
pub fn timer_after(ticks: u64) {
    write_sysreg!("S3_4_C14_C3_2", time::now() + ticks); // CNTHV_CVAL_EL2
    write_sysreg!("S3_4_C14_C3_1", 1); // CNTHV_CTL_EL2
    isb();
    enable(TIMER);
}

/// Takes back what [`timer_after`] asked for, if it has not come yet.
pub fn timer_off() {
    write_sysreg!("S3_4_C14_C3_1", 0); // CNTHV_CTL_EL2
    isb();
}

/// Does what [`timer_after`] does with the EL1 physical timer, which a partition has one of, too.
pub fn el1_timer_after(ticks: u64) {
    write_sysreg!("cntp_cval_el0", time::now() + ticks);
    write_sysreg!("cntp_ctl_el0", 1);
    isb();
    enable(EL1_TIMER);
}

/// Takes back what [`el1_timer_after`] asked for.
pub fn el1_timer_off() {
    write_sysreg!("cntp_ctl_el0", 0);
    isb();
}

/// Takes an interrupt. `vectors.S` calls it.
#[unsafe(no_mangle)]
extern "C" fn bl33_irq() {
    let intid = read_sysreg!("S3_0_C12_C12_0") as u32; // ICC_IAR1_EL1
    if intid >= 1020 {
        return;
    }
    if intid == WATCHDOG {
        harness::abandon(format_args!("timed out"));
    }
    if let Some(count) = COUNTS.get(intid as usize) {
        count.fetch_add(1, Relaxed);
    }
    if intid == TIMER {
        timer_off();
    }
    if intid == EL1_TIMER {
        el1_timer_off();
    }
    let handler = HANDLER.load(Relaxed);
    if handler != 0 && intid != WAKE {
        // SAFETY: only `set_handler` writes it, from a `fn(u32)`.
        let handler: fn(u32) = unsafe { core::mem::transmute::<usize, fn(u32)>(handler) };
        handler(intid);
    }
    write_sysreg!("S3_0_C12_C12_1", u64::from(intid)); // ICC_EOIR1_EL1
}
