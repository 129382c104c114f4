// SPDX-License-Identifier: MIT OR Apache-2.0
//! SIMD registers, given to a partition at its first use and back to the Normal world before it runs again. A
//! partition that never touches them costs nothing. EL3 saves none of this for worlds that meet at S-EL2.

use core::cell::{Cell, UnsafeCell};

use crate::context::{Context, Simd};
use crate::percpu::{Live, PerCpu};

/// CPTR_EL2 (non-VHE form) as a partition without live SIMD registers runs: every trap of `traps.rs`.
pub(crate) const CPTR_DENY: u64 = CPTR_ALLOW | 1 << 10;
/// The same with TFP clear. TTA (20) and TAM (30): no trace, no activity monitors; TCPAC (31): see
/// `context::CPACR_OPEN`. TZ (8) and TSM (12) stay set.
const CPTR_ALLOW: u64 = 0x33ff | 1 << 20 | 1 << 30 | 1 << 31;
const CPTR_TZ: u64 = 1 << 8;
const CPTR_TSM: u64 = 1 << 12;

/// The largest vector: 2048 bits.
const VECTOR_BYTES: usize = 256;

/// Where the Normal world's registers are while a partition uses them.
#[repr(C, align(16))]
pub(crate) struct NormalSimd {
    q: Simd,
    z: UnsafeCell<[u64; 32 * VECTOR_BYTES / 8]>,
    p: UnsafeCell<[u64; 17 * VECTOR_BYTES / 64]>,
    svcr: Cell<u64>,
}

impl NormalSimd {
    pub(crate) const fn new() -> Self {
        Self {
            q: Simd::new(),
            z: UnsafeCell::new([0; 32 * VECTOR_BYTES / 8]),
            p: UnsafeCell::new([0; 17 * VECTOR_BYTES / 64]),
            svcr: Cell::new(0),
        }
    }
}

unsafe extern "C" {
    fn q_save(to: *const Simd);
    fn q_load(from: *const Simd);
    fn z_save(to: *mut u64);
    fn z_load(from: *const u64);
    fn p_save(to: *mut u64, ffr: u64);
    fn p_load(from: *const u64, ffr: u64);
    fn streaming_on();
    fn streaming_off();
}

fn has_sve() -> bool {
    mrs!("id_aa64pfr0_el1") >> 32 & 0xf != 0
}

fn has_sme() -> bool {
    mrs!("id_aa64pfr1_el1") >> 24 & 0xf != 0
}

/// Tells whether the first-fault register exists in streaming mode (FEAT_SME_FA64).
fn has_fa64() -> bool {
    mrs!("S3_0_C0_C4_5") >> 63 != 0
}

fn set_cptr(cpu: &PerCpu, value: u64) {
    if cpu.cptr.get() != value {
        cpu.cptr.set(value);
        // SAFETY: any value only traps more or less of the SIMD registers; this module alone uses them, after
        // asking for what it needs.
        unsafe { msr!("cptr_el2", value) };
        barrier!("isb");
    }
}

/// Opens the SIMD registers to S-EL2 itself.
fn open(cpu: &PerCpu) {
    let sve = if has_sve() { CPTR_TZ } else { 0 };
    let sme = if has_sme() { CPTR_TSM } else { 0 };
    set_cptr(cpu, CPTR_ALLOW & !sve & !sme);
}

/// Runs `f` with the vector length at its maximum, and puts the Normal world's choice back.
fn with_longest<R>(streaming: bool, f: impl FnOnce() -> R) -> R {
    if streaming {
        let old = mrs!("S3_4_C1_C2_6"); // SMCR_EL2
        let fa64 = u64::from(has_fa64()) << 31;
        // SAFETY: SMCR_EL2 bounds the streaming vector length; restored below, and the saved area is for the maximum.
        unsafe { msr!("S3_4_C1_C2_6", old | 0xf | fa64) };
        barrier!("isb");
        let result = f();
        // SAFETY: as above.
        unsafe { msr!("S3_4_C1_C2_6", old) };
        result
    } else {
        let old = mrs!("S3_4_C1_C2_0"); // ZCR_EL2
        // SAFETY: ZCR_EL2 bounds the vector length; restored below, and the saved area is for the maximum.
        unsafe { msr!("S3_4_C1_C2_0", 0xf) };
        barrier!("isb");
        let result = f();
        // SAFETY: as above.
        unsafe { msr!("S3_4_C1_C2_0", old) };
        result
    }
}

fn save_normal(cpu: &PerCpu) {
    let area = cpu.normal_simd.get();
    // SAFETY: the area is this CPU's own, large enough for the longest vectors, and `open` has made the registers
    // accessible at S-EL2; SVE and SME registers are named only where the ID registers show them.
    unsafe {
        q_save(&raw const (*area).q);
        let svcr = if has_sme() { mrs!("S3_3_C4_C2_2") } else { 0 };
        (*area).svcr.set(svcr);
        let streaming = svcr & 1 != 0;
        if has_sve() || streaming {
            with_longest(streaming, || z_save((*area).z.get().cast()));
        }
        if streaming {
            // Leaving streaming mode clears the vectors and predicates. ZA stays: the partition cannot reach it.
            with_longest(true, || p_save((*area).p.get().cast(), has_fa64().into()));
            streaming_off();
        }
    }
}

fn load_normal(cpu: &PerCpu) {
    let area = cpu.normal_simd.get();
    // SAFETY: as `save_normal`.
    unsafe {
        let streaming = (*area).svcr.get() & 1 != 0;
        if streaming {
            streaming_on();
            with_longest(true, || p_load((*area).p.get().cast(), has_fa64().into()));
        }
        q_load(&raw const (*area).q);
        if has_sve() || streaming {
            with_longest(streaming, || z_load((*area).z.get().cast()));
        }
    }
}

/// Gives the registers to `context`, which was trapped using them.
pub(crate) fn give(cpu: &PerCpu, context: &Context) {
    open(cpu);
    if cpu.simd.get() == Live::Normal {
        save_normal(cpu);
    }
    // SAFETY: the registers are accessible (`open`); the area is the context's.
    unsafe { q_load(&raw const context.simd) };
    cpu.simd.set(Live::Context(context));
    set_cptr(cpu, CPTR_ALLOW);
}

/// Saves the registers of `context`, if it has them, so that another CPU may enter it.
pub(crate) fn park(cpu: &PerCpu, context: &Context) {
    if cpu.simd.get() == Live::Context(context) {
        open(cpu);
        // SAFETY: as in `give`.
        unsafe { q_save(&raw const context.simd) };
        drop_live(cpu);
    }
}

/// Forgets the registers of a context that will not go on with them.
pub(crate) fn drop_live(cpu: &PerCpu) {
    if cpu.simd.get() != Live::Normal {
        cpu.simd.set(Live::None);
        set_cptr(cpu, CPTR_DENY);
    }
}

/// Gives the Normal world its registers back.
#[cold]
pub(crate) fn restore_normal(cpu: &PerCpu) {
    open(cpu);
    load_normal(cpu);
    cpu.simd.set(Live::Normal);
    set_cptr(cpu, CPTR_DENY);
}
