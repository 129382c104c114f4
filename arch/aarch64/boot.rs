// SPDX-License-Identifier: MIT OR Apache-2.0
//! From boot.S to the firmware's main: what each CPU sets up for itself.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::Relaxed;

use ffa_abi::{Func, Regs};
use spmc::absent;

use crate::asm::{self, warm_entry};
use crate::machine::{MACHINE, Machine};
use crate::percpu::{self, Live};
use crate::platform::{AFFINITY, MPIDRS};
use crate::pool::POOL;
use crate::{mmu, predictor, traps, uart, verify};

/// What the first CPU starts with.
pub struct Boot {
    /// The SPMC manifest's blob and what follows it in its page.
    pub manifest: &'static [u8],
    /// The machine.
    pub machine: &'static Machine,
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
    POOL.init();
    firmware_build(Boot { manifest: manifest_page(manifest), machine: &MACHINE });
}

/// Continues boot.S on the first CPU once the SPMC is built, on its own stack.
pub(crate) extern "C" fn serve() -> ! {
    firmware_serve()
}

/// Continues boot.S on any other entry. What the CPU's block says may be from before it was turned off.
pub(crate) extern "C" fn warm() -> ! {
    let cpu = percpu::this();
    cpu.live.set(Live::NORMAL);
    cpu.simd.set(Live::NORMAL);
    cpu.pmr.set(None);
    cpu.hold.set(false);
    cpu.lines.set(0);
    cpu.unusual.set(1);
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
    regs.x[0] = SECONDARY_EP_REGISTER;
    regs.x[1] = warm_entry as *const () as u64;
    call_monitor(&mut regs);
    [Func::Success.id32(), Func::Success.id64()].contains(&regs.fid())
}

/// Calls EL3. Where that runs the Normal world meanwhile, no partition may have run on this CPU.
#[inline(never)]
pub fn call_monitor(regs: &mut Regs) {
    asm::smc(regs);
}

const SECONDARY_EP_REGISTER: u64 = 0xc400_0087;

/// Numbers the CPUs: this one first, then the others of the manifest in its order. Fails, with this CPU's MPIDR, if it is
/// not among them.
pub(crate) fn list_cpus(mpidrs: &[u64]) -> Result<(), u64> {
    let own = mrs!("mpidr_el1") & AFFINITY;
    if !mpidrs.contains(&own) {
        return Err(own);
    }
    let mut others = 0;
    for &mpidr in mpidrs {
        let number = if mpidr == own { 0 } else { others + 1 };
        others = others.max(number);
        if let Some(slot) = MPIDRS.get(number) {
            slot.store(mpidr, Relaxed);
        }
    }
    Ok(())
}

/// The lock and the stack of the CPUs that the manifest does not list; boot.S uses both.
#[repr(C, align(16))]
pub(crate) struct Stray(UnsafeCell<[u64; 256]>);

// SAFETY: only boot.S touches it: the first word by atomic instructions, the rest, as a stack, while that is locked.
unsafe impl Sync for Stray {}

pub(crate) static STRAY: Stray = Stray(UnsafeCell::new([0; 256]));

/// Makes the next call of a CPU that the manifest does not list: a line on the console first, then answers. Nothing here
/// may use the CPU's block: it has none.
pub(crate) extern "C" fn unlisted(regs: &mut Regs, answering: u64) {
    if answering != 0 {
        return absent::answer(regs);
    }
    let mpidr = mrs!("mpidr_el1") & AFFINITY;
    uart::line(format_args!("CPU {mpidr:#x} is refused: no node of /cpus in the SPMC manifest has this reg"));
    absent::ready(regs);
}
