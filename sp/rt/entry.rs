// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the first instruction to the partition's own function.

use crate::{Context, context, exception, ffa, log, mmu};
use core::arch::global_asm;

/// FP and SIMD are trapped in code that was compiled without them, so that a stray use is seen.
const CPACR_EL1: u64 = if exception::HAS_SIMD { 3 << 20 } else { 0 };

global_asm!(
    include_str!("entry.S"),
    contexts = sym context::CONTEXTS,
    context_size = const size_of::<Context>(),
    cpacr = const CPACR_EL1,
    enter = sym enter,
    frame_size = const exception::FRAME_SIZE,
    simd = const exception::HAS_SIMD as u32,
    simd_at = const exception::SIMD_AT,
    sync = sym exception::sync,
    irq = sym exception::irq,
    other = sym exception::other,
);

global_asm!(include_str!("mem.S"));

unsafe extern "Rust" {
    /// The partition's own function, which [`crate::partition!`] defines.
    safe fn partition_main(context: &'static Context) -> !;
}

unsafe extern "C" {
    /// Where secondary execution contexts begin; only its address is used.
    static secondary_start: u8;
}

/// Goes on from the assembly entry: stage 1, the secondary contexts' entry point, the partition's function.
extern "C" fn enter(index: u32, primary: bool, boot_info: u64) -> ! {
    if primary {
        mmu::build();
    }
    mmu::enable();
    let context = Context::current();
    context.begin(index, primary, boot_info);
    if primary && context::count() > 1 {
        let entry = &raw const secondary_start as u64;
        if let Err(error) = ffa::secondary_ep_register(entry) {
            log!("no secondary execution contexts: {error}");
        }
    }
    partition_main(context)
}
