// SPDX-License-Identifier: MIT OR Apache-2.0
//! From boot.S to the firmware's main: what each CPU sets up for itself.

use core::sync::atomic::Ordering::Relaxed;

use ffa_abi::{Func, Regs};

use crate::asm::warm_entry;
use crate::machine::Machine;
use crate::percpu::{self, Live};
use crate::pool::{self, POOL};
use crate::{mmu, platform, predictor, switch, traps, uart, verify};

/// What the first CPU starts with.
pub struct Boot {
    /// The SPMC manifest's blob and what follows it in its page.
    pub manifest: &'static [u8],
    /// The machine.
    pub machine: Machine,
}

unsafe extern "Rust" {
    safe fn firmware_build(boot: Boot);
    safe fn firmware_serve() -> !;
}

/// Names the two functions of the firmware: `fn(Boot)`, which runs once, on the first CPU; then `fn() -> !`, on every
/// CPU, each time that it comes up.
#[macro_export]
macro_rules! entry {
    ($build:path, $serve:path) => {
        #[unsafe(no_mangle)]
        fn firmware_build(boot: $crate::boot::Boot) {
            $build(boot)
        }
        #[unsafe(no_mangle)]
        fn firmware_serve() -> ! {
            $serve()
        }
    };
}

/// Continues boot.S on the first CPU: on the boot stack, MMU on, .bss clear.
pub(crate) extern "C" fn cold(manifest: u64) {
    traps::init(percpu::this());
    uart::init();
    verify::controls();
    predictor::report();
    pool::init_heap();
    POOL.init();
    firmware_build(Boot { manifest: manifest_page(manifest), machine: Machine::new() });
}

/// Continues boot.S on the first CPU once the SPMC is built, on its own stack.
pub(crate) extern "C" fn serve() -> ! {
    firmware_serve()
}

/// Continues boot.S on any other entry. What the CPU's block says may be from before it was turned off.
pub(crate) extern "C" fn warm() -> ! {
    let cpu = percpu::this();
    cpu.live.set(Live::Normal);
    cpu.simd.set(Live::Normal);
    cpu.pmr.set(None);
    cpu.hold.set(false);
    cpu.lines.set(0);
    cpu.saved.set(crate::context::Groups::empty());
    for window in &cpu.windows {
        window.set(0);
    }
    traps::init(cpu);
    verify::controls();
    firmware_serve()
}

fn manifest_page(at: u64) -> &'static [u8] {
    let page_end = (at | 0xfff) + 1;
    if !mmu::maps_read(at) {
        return &[];
    }
    // SAFETY: stage 1 maps the page (checked), TF-A has put the manifest there and left it to us; nothing writes it.
    unsafe { core::slice::from_raw_parts(at as *const u8, (page_end - at) as usize) }
}

/// Tells the SPMD where other CPUs enter (FFA_SECONDARY_EP_REGISTER, DEN0077A); once, before the first
/// FFA_MSG_WAIT. Returns false if it was refused: then only the first CPU has an SPMC.
pub fn register_secondary_entry() -> bool {
    let mut regs = Regs::ZERO;
    regs.set8([SECONDARY_EP_REGISTER, warm_entry as *const () as u64, 0, 0, 0, 0, 0, 0]);
    switch::smc(&mut regs);
    [Func::Success.id32(), Func::Success.id64()].contains(&regs.fid())
}

const SECONDARY_EP_REGISTER: u64 = 0xc400_0087;

/// Replaces the platform's list of CPUs by the manifest's; the number of a CPU is its place. The one that runs
/// this must stay where it is.
pub fn list_cpus(mpidrs: impl IntoIterator<Item = u64>) {
    for (slot, mpidr) in platform::MPIDRS.iter().zip(mpidrs) {
        slot.store(mpidr & 0xff_00ff_ffff, Relaxed);
    }
}
