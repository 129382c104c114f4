// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the Normal-world images share: the machine under them (entry, MMU, vectors, console, other CPUs)
//! and the harness that runs cases and reports them.
//!
//! The image is the first thing in the Normal world: BL31 enters it at NS-EL2 with the MMU off. All `unsafe`
//! is here, so that the cases are safe code.
//!
//! The runner may leave three words in memory before the machine starts (QEMU:
//! `-device loader,addr=0x60200000,data=1,data-len=8`), see [`mode`].
#![no_std]
#![cfg(target_os = "none")]

pub mod cards;
pub mod cpus;
pub mod ffa;
pub mod gic;
pub mod harness;
pub mod mem;
pub mod mode;
pub mod psci;
pub mod rtc;
pub mod serial;
pub mod share;
pub mod simd;
pub mod sp;
pub mod sysreg;
pub mod time;
pub mod uart;

mod exception;

core::arch::global_asm!(include_str!("asm/boot.S"), options(raw));
core::arch::global_asm!(include_str!("asm/vectors.S"), options(raw));
core::arch::global_asm!(include_str!("asm/smc.S"), options(raw));
core::arch::global_asm!(include_str!("asm/simd.S"), options(raw));

unsafe extern "Rust" {
    /// The image's own main, defined by each binary with [`entry!`].
    fn bl33_main();
}

/// Names the function that an image runs on its boot CPU; the machine is switched off when it returns.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn bl33_main() {
            $main()
        }
    };
}

/// Continues from `boot.S` on the boot CPU, with a stack, the MMU on and .bss zero.
#[unsafe(no_mangle)]
extern "C" fn bl33_boot() -> ! {
    uart::init();
    gic::init();
    gic::init_cpu();
    // SAFETY: every binary defines it with `entry!`, with this signature.
    unsafe { bl33_main() };
    psci::system_off()
}
