// SPDX-License-Identifier: MIT OR Apache-2.0
//! SIMD registers, given to a partition at its first use and back to the Normal world before it runs again. A
//! partition that never touches them costs nothing. EL3 saves none of this for worlds that meet at S-EL2.

use core::cell::{Cell, UnsafeCell};

use crate::context::{Context, Simd};
use crate::percpu::{self, Live, PerCpu};

/// CPTR_EL2 (non-VHE form) as a partition without live SIMD registers runs: every trap of `traps.rs`.
pub(crate) const CPTR_DENY: u64 = CPTR_ALLOW | 1 << 10;
/// The same with TFP clear. TTA (20) and TAM (30): no trace, no activity monitors (its own CPACR_EL1 is switched). TZ (8) and TSM (12) stay set.
const CPTR_ALLOW: u64 = 0x33ff | 1 << 20 | 1 << 30;
const CPTR_TZ: u64 = 1 << 8;
const CPTR_TSM: u64 = 1 << 12;

/// The largest vector: 2048 bits.
const VECTOR_BYTES: usize = 256;

/// Where the Normal world's registers are while a partition uses them.
#[repr(C, align(16))]
pub(crate) struct NormalSimd {
    /// Q0-Q31 of a CPU without SVE.
    q: Simd,
    z: UnsafeCell<[u64; 32 * VECTOR_BYTES / 8]>,
    p: UnsafeCell<[u64; 17 * VECTOR_BYTES / 64]>,
    /// FPCR and FPSR, beside Z registers.
    status: UnsafeCell<[u64; 2]>,
    svcr: Cell<u64>,
}

impl NormalSimd {
    pub(crate) const fn new() -> Self {
        Self {
            q: Simd::new(),
            z: UnsafeCell::new([0; 32 * VECTOR_BYTES / 8]),
            p: UnsafeCell::new([0; 17 * VECTOR_BYTES / 64]),
            status: UnsafeCell::new([0; 2]),
            svcr: Cell::new(0),
        }
    }
}

unsafe extern "C" {
    fn q_save(to: *const Simd);
    fn q_load(from: *const Simd);
    fn z_save(z: *mut u64, status: *mut u64);
    fn z_load(z: *const u64, status: *const u64);
    fn p_save(to: *mut u64, ffr: u64);
    fn p_load(from: *const u64, ffr: u64);
}

/// CPTR_EL2 as S-EL2 itself may use every register that this CPU has.
pub(crate) fn cptr_open() -> u64 {
    let sve = if mrs!("id_aa64pfr0_el1") >> 32 & 0xf != 0 { CPTR_TZ } else { 0 };
    let sme = if mrs!("id_aa64pfr1_el1") >> 24 & 0xf != 0 { CPTR_TSM } else { 0 };
    CPTR_ALLOW & !sve & !sme
}

fn has_sve(cpu: &PerCpu) -> bool {
    cpu.cptr_open.get() & CPTR_TZ == 0
}

fn has_sme(cpu: &PerCpu) -> bool {
    cpu.cptr_open.get() & CPTR_TSM == 0
}

/// Tells whether the first-fault register exists in streaming mode (FEAT_SME_FA64).
fn has_fa64() -> bool {
    mrs!("S3_0_C0_C4_5") >> 63 != 0
}

/// Writes CPTR_EL2. An exception return synchronises it; use at S-EL2 needs an ISB.
fn set_cptr(value: u64) {
    // SAFETY: any value only traps more or less of the SIMD registers; this module alone uses them, after
    // asking for what it needs.
    unsafe { msr!("cptr_el2", value) };
}

/// Opens the SIMD registers to S-EL2 itself.
fn open(cpu: &PerCpu) {
    set_cptr(cpu.cptr_open.get());
    barrier!("isb");
}

/// All there is of ZCR_EL2, and the field of SMCR_EL2, for the longest vectors.
const LONGEST: u64 = 0xf;

/// Sets the vector length to its maximum. Returns the Normal world's choice, for [`put_length_back`].
#[inline(always)]
fn make_longest(streaming: bool) -> u64 {
    let old = if streaming { mrs!("S3_4_C1_C2_6") } else { mrs!("S3_4_C1_C2_0") };
    if !streaming && old == LONGEST {
        return old;
    }
    // SAFETY: SMCR_EL2 and ZCR_EL2 bound the vector lengths, which are restored; the saved area is for the maximum.
    unsafe {
        if streaming {
            msr!("S3_4_C1_C2_6", old | LONGEST | u64::from(has_fa64()) << 31);
        } else {
            msr!("S3_4_C1_C2_0", LONGEST);
        }
    }
    barrier!("isb");
    old
}

/// Undoes [`make_longest`].
#[inline(always)]
fn put_length_back(streaming: bool, old: u64) {
    // SAFETY: what was there before. Where that is the longest the write changes nothing, and costs less than to ask.
    unsafe {
        if streaming {
            msr!("S3_4_C1_C2_6", old);
        } else {
            msr!("S3_4_C1_C2_0", old);
        }
    }
}

fn save_normal(cpu: &PerCpu) {
    let area = &cpu.normal_simd;
    let svcr = if has_sme(cpu) { mrs!("S3_3_C4_C2_2") } else { 0 };
    area.svcr.set(svcr);
    let streaming = svcr & 1 != 0;
    // SAFETY: the area is this CPU's own, large enough for the longest vectors, and `open` has made the registers
    // accessible at S-EL2; SVE and SME registers are named only where the ID registers show them.
    unsafe {
        if !streaming && !has_sve(cpu) {
            return q_save(&raw const area.q);
        }
        let length = make_longest(streaming);
        z_save(area.z.get().cast(), area.status.get().cast());
        if streaming {
            p_save(area.p.get().cast(), has_fa64().into());
        }
        put_length_back(streaming, length);
    }
    if streaming {
        // Leaving streaming mode clears the vectors and predicates. ZA stays: the partition cannot reach it.
        barrier!(".inst 0xd503427f"); // MSR SVCRSM, #0, by number: SME is not in every assembler.
    }
}

fn load_normal(cpu: &PerCpu) {
    let area = &cpu.normal_simd;
    let streaming = area.svcr.get() & 1 != 0;
    if streaming {
        barrier!(".inst 0xd503437f"); // MSR SVCRSM, #1
    }
    // SAFETY: as `save_normal`.
    unsafe {
        if !streaming && !has_sve(cpu) {
            return q_load(&raw const area.q);
        }
        let length = make_longest(streaming);
        if streaming {
            p_load(area.p.get().cast(), has_fa64().into());
        }
        z_load(area.z.get().cast(), area.status.get().cast());
        put_length_back(streaming, length);
    }
}

/// Gives the registers to `context`, which was trapped using them.
#[inline(never)]
pub(crate) fn give(context: &Context) {
    let cpu = percpu::this();
    open(cpu);
    if cpu.simd.get() == Live::NORMAL {
        save_normal(cpu);
    }
    // SAFETY: the registers are accessible (`open`); the area is the context's.
    unsafe { q_load(&raw const context.simd) };
    cpu.simd.set(Live::context(context));
    set_cptr(CPTR_ALLOW);
}

/// Saves the registers of `context`, if it has them, so that another CPU may enter it.
pub(crate) fn park(cpu: &PerCpu, context: &Context) {
    if cpu.simd.get() == Live::context(context) {
        // SAFETY: the registers do not trap, since the context has them; the area is the context's.
        unsafe { q_save(&raw const context.simd) };
        drop_live(cpu);
    }
}

/// Forgets the registers of a context that will not go on with them.
pub(crate) fn drop_live(cpu: &PerCpu) {
    cpu.simd.set(Live::NONE);
    set_cptr(CPTR_DENY);
}

/// Runs `f`, which uses SIMD registers that are nobody's. Boot time.
pub(crate) fn with_open(cpu: &PerCpu, f: impl FnOnce()) {
    open(cpu);
    f();
    set_cptr(CPTR_DENY);
}

/// Gives the Normal world its registers back.
#[cold]
#[inline(never)]
pub(crate) fn restore_normal(cpu: &PerCpu) {
    open(cpu);
    load_normal(cpu);
    cpu.simd.set(Live::NORMAL);
    set_cptr(CPTR_DENY);
}
