// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a partition that is written to misbehaves with: accesses that may fault, instructions that may be refused, and
//! ways to die. What stage 1 or the CPU refuses is caught; what stage 2 refuses is the SPMC's to judge.

use crate::{Fault, mmu};
use core::arch::asm;

/// CPACR_EL1: SVE (ZEN), FP and SIMD (FPEN), SME (SMEN).
const EVERYTHING: u64 = 3 << 16 | 3 << 20 | 3 << 24;

/// What is done at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads 32 bits.
    Read,
    /// Writes the low 32 bits of this.
    Write(u64),
    /// Calls it: what lies there returns at once, or is not to be executed.
    Execute,
}

/// Does something at an address, and returns what was read, 0 where nothing was. `None`, and nothing was done: the
/// address is one of this partition's own image.
pub fn access(access: Access, address: u64) -> Option<Result<u64, Fault>> {
    if mmu::is_own(address) {
        return None;
    }
    let mut read = 0;
    // SAFETY: nothing that this partition's Rust code lives by is at the address. What is executed keeps to the
    // procedure call standard, by the contract above.
    let result: Result<(), Fault> = unsafe {
        match access {
            Access::Read => {
                crate::probe!(("ldr {v:w}, [{a}]"), v = inout(reg) read, a = in(reg) address, options(nostack))
            }
            Access::Write(value) => {
                crate::probe!(("str {v:w}, [{a}]"), v = in(reg) value, a = in(reg) address, options(nostack))
            }
            Access::Execute => crate::probe!(("blr {a}"), a = in(reg) address, out("x30") _),
        }
    };
    Some(result.map(|()| read))
}

macro_rules! attempt {
    (read $text:literal) => {{
        let value: u64;
        // SAFETY: the instruction changes nothing but its output.
        let result = unsafe { crate::probe!(($text), v = inout(reg) 0_u64 => value, options(nostack)) };
        result.map(|()| value)
    }};
    (read_x0 $text:literal) => {{
        let value: u64;
        // SAFETY: the instruction changes nothing but its output.
        let result = unsafe { crate::probe!(($text), inout("x0") 0_u64 => value, options(nostack)) };
        result.map(|()| value)
    }};
    (run $text:literal) => {{
        // SAFETY: the SPMC refuses the instruction, or it has no effect on this partition's memory.
        let result = unsafe { crate::probe!(($text), options(nostack)) };
        result.map(|()| 0)
    }};
}

macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident = $how:ident $text:literal,)+) => {
        /// An instruction that may be refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Instruction { $($(#[$doc])* $name,)+ }

        impl Instruction {
            /// Tries it; returns what was read, 0 where nothing is.
            pub fn attempt(self) -> Result<u64, Fault> {
                // What the partition may enable by itself, it does, so that a refusal is the SPMC's.
                // SAFETY: this partition's code uses none of the registers that become usable.
                unsafe { asm!("msr cpacr_el1, {}", "isb", in(reg) EVERYTHING, options(nostack)) };
                match self { $(Self::$name => attempt!($how $text),)+ }
            }
        }
    };
}

instructions! {
    /// An undefined one.
    Udf = run ".inst 0",
    /// RDVL x0, #1.
    Sve = read_x0 ".inst 0x04bf5020",
    /// SMSTART.
    Sme = run ".inst 0xd503477f",
    /// The cycle counter.
    Pmu = read "mrs {v}, pmccntr_el0",
    /// MDSCR_EL1.
    Debug = read "mrs {v}, mdscr_el1",
    /// DBGBVR0_EL1.
    Breakpoint = read "mrs {v}, dbgbvr0_el1",
    /// PMSCR_EL1.
    Spe = read "mrs {v}, S3_0_C9_C9_0",
    /// TRFCR_EL1.
    Trace = read "mrs {v}, S3_0_C1_C2_1",
    /// AMCR_EL0.
    Amu = read "mrs {v}, S3_3_C13_C2_0",
    /// GCR_EL1.
    Mte = read "mrs {v}, S3_0_C1_C0_6",
    /// APIAKeyLo_EL1.
    PauthKey = read "mrs {v}, S3_0_C2_C1_0",
    /// CNTPCT_EL0.
    PhysicalCounter = read "mrs {v}, cntpct_el0",
    /// CNTP_CTL_EL0.
    PhysicalTimer = read "mrs {v}, cntp_ctl_el0",
    /// CNTV_CTL_EL0.
    VirtualTimer = read "mrs {v}, cntv_ctl_el0",
    /// CNTPS_CTL_EL1.
    SecureTimer = read "mrs {v}, cntps_ctl_el1",
    /// HCR_EL2.
    El2Register = read "mrs {v}, hcr_el2",
    /// SCR_EL3.
    El3Register = read "mrs {v}, scr_el3",
    /// RNDR.
    Rndr = read "mrs {v}, S3_3_C2_C4_0",
    /// ICC_PMR_EL1.
    GicPriority = read "mrs {v}, S3_0_C4_C6_0",
    /// ICC_IAR1_EL1.
    GicAcknowledge = read "mrs {v}, S3_0_C12_C12_0",
    /// ICC_SGI1R_EL1.
    GicSgi = run "msr S3_0_C12_C11_5, xzr",
    /// ICC_SRE_EL1.
    GicSre = read "mrs {v}, S3_0_C12_C12_5",
    /// ACTLR_EL1.
    Actlr = read "mrs {v}, actlr_el1",
    /// AT S12E1R.
    TranslateEl2 = run "at s12e1r, xzr",
    /// TLBI ALLE1.
    TlbiEl2 = run "tlbi alle1",
    /// DC CISW.
    SetWay = run "dc cisw, xzr",
    /// HLT.
    Hlt = run "hlt #0",
    /// OSLAR_EL1.
    OsLock = run "msr oslar_el1, xzr",
}

/// Reads an address that stage 1 does not map, and dies of it; comes back where it is mapped.
pub fn read_unmapped(address: u64) {
    // SAFETY: a read that faults touches nothing, and one that does not is harmless.
    unsafe { asm!("ldr {v:w}, [{a}]", a = in(reg) address, v = out(reg) _, options(nostack)) };
}

/// Dies of an undefined instruction.
pub fn undefined() {
    // SAFETY: it has no effect but the exception.
    unsafe { asm!(".inst 0", options(nostack)) };
}

/// Dies of a breakpoint.
pub fn breakpoint() {
    // SAFETY: it has no effect but the exception.
    unsafe { asm!("brk #0", options(nostack)) };
}

/// Counts the halves of SIMD registers that an interrupt changes, whose handler uses all of them.
#[cfg(target_feature = "neon")]
pub fn simd_across_an_interrupt() -> u64 {
    use crate::{interrupt, memory::now, timer};
    use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

    const SEED: u64 = 0x5eed_0f51_4d00_0001;
    static CAME: AtomicBool = AtomicBool::new(false);

    fn handler(_: u32) -> bool {
        timer::Timer::Physical.set_control(0);
        // SAFETY: the registers are named as clobbered.
        unsafe {
            asm!(
                ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                "movi v\\n\\().2d, #0",
                ".endr",
                clobber_abi("C"),
                options(nomem, nostack)
            );
        }
        CAME.store(true, Relaxed);
        true
    }

    CAME.store(false, Relaxed);
    interrupt::on_interrupt(handler);
    interrupt::enable(interrupt::VIRTUAL_TIMER, true);
    timer::Timer::Physical.set_compare(now());
    timer::Timer::Physical.set_control(timer::ENABLE);
    let mut halves = [0; 64];
    // SAFETY: the registers are named as clobbered, `halves` has room for them all, and the interrupt, let in only here,
    // comes, since the timer is due.
    unsafe {
        asm!(
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "dup v\\n\\().2d, x12",
            ".endr",
            "msr daifclr, #2",
            "2:",
            "ldrb w9, [x10]",
            "cbz w9, 2b",
            "msr daifset, #2",
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "str q\\n, [x11], #16",
            ".endr",
            out("x9") _,
            in("x10") CAME.as_ptr(),
            inout("x11") halves.as_mut_ptr() => _,
            in("x12") SEED,
            clobber_abi("C"),
            options(nostack)
        );
    }
    halves.iter().filter(|&&half: &&u64| half != SEED).count() as u64
}
