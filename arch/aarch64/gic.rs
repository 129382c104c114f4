// SPDX-License-Identifier: MIT OR Apache-2.0
//! This CPU's interface to the interrupt controller. EL3 owns the set-up of the rest.

/// Secure view of the priority mask: only Secure interrupts (priorities below 0x80) get through.
const SECURE_ONLY: u64 = 0x80;

/// Uses the system registers (SRE, not Enable: an access from EL1 traps), and traps every virtual interface
/// register (TC, TALL0, TALL1), so that a partition cannot see or change the Normal world's.
pub(crate) fn init() {
    // SAFETY: the bits say how EL1 and EL2 reach the interface; memory is not concerned.
    unsafe {
        msr!("S3_4_C12_C9_5", 0b0111); // ICC_SRE_EL2
        barrier!("isb");
        msr!("S3_4_C12_C11_0", 0b111 << 10); // ICH_HCR_EL2
    }
    barrier!("isb");
}

/// Masks Non-secure interrupts and returns ICC_PMR_EL1 as it was.
#[inline(always)]
pub(crate) fn mask_normal() -> u64 {
    let old = mrs!("S3_0_C4_C6_0");
    set_mask(SECURE_ONLY);
    old
}

/// Writes ICC_PMR_EL1.
#[inline(always)]
pub(crate) fn set_mask(value: u64) {
    // SAFETY: the priority mask decides which interrupts are signalled, nothing else.
    unsafe { msr!("S3_0_C4_C6_0", value) };
}

/// The schedule-receiver interrupt: an SGI that TF-A has put in Secure group 1.
const SCHEDULE_RECEIVER: u64 = 8;
/// The first redistributor, the distance to the next, and the registers of its SGI frame that are used.
const GICR: u64 = crate::platform::GIC.0 + 0xa_0000;
const GICR_STRIDE: u64 = 0x2_0000;
const GICR_TYPER_LAST: u32 = 1 << 4;
const GICR_IGROUPR0: u64 = 0x1_0080;
const GICR_IGRPMODR0: u64 = 0x1_0d00;

/// Moves the schedule-receiver interrupt of every CPU to Non-secure group 1.
pub(crate) fn donate_schedule_receiver() {
    let bit = 1u32 << SCHEDULE_RECEIVER;
    let mut at = GICR;
    while at + GICR_STRIDE <= crate::platform::GIC.1 {
        let register = |offset: u64| (at + offset) as *mut u32;
        // SAFETY: registers of a redistributor, mapped as device memory; two CPUs that do this at once write the
        // same bits, and nobody at S-EL2 or EL3 changes the groups of SGIs after boot.
        let last = unsafe {
            let group = register(GICR_IGROUPR0);
            group.write_volatile(group.read_volatile() | bit);
            let modifier = register(GICR_IGRPMODR0);
            modifier.write_volatile(modifier.read_volatile() & !bit);
            register(8).read_volatile() & GICR_TYPER_LAST != 0
        };
        if last {
            break;
        }
        at += GICR_STRIDE;
    }
}

/// Raises the schedule-receiver interrupt on this CPU, in Non-secure group 1 (ICC_ASGI1R_EL1).
pub(crate) fn raise_schedule_receiver() {
    let mpidr = mrs!("mpidr_el1");
    let affinity = |n: u64| mpidr >> (8 * n) & 0xff;
    let target = (mpidr >> 32 & 0xff) << 48 | affinity(2) << 32 | affinity(1) << 16 | 1 << (affinity(0) & 0xf);
    // SAFETY: makes an interrupt pending, nothing else.
    unsafe { msr!("S3_0_C12_C11_6", target | SCHEDULE_RECEIVER << 24) };
    barrier!("isb");
}
