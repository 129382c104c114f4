// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last words of a CPU: an exception at S-EL2 itself, or a panic.

use core::panic::PanicInfo;
use core::sync::atomic::Ordering::Relaxed;

use crate::asm::STACK_BIT;
use crate::mmu::STACKS_VA;
use crate::percpu;
use crate::platform::CPUS;
use crate::uart;

/// The registers that vectors.S stored, in its order.
#[repr(C)]
pub(crate) struct Record {
    x: [u64; 31],
    sp: u64,
    /// The vector: 0-3 with SP_EL0, 4-7 with SP_EL2; synchronous, IRQ, FIQ, SError each.
    vector: u64,
}

/// Reports an exception taken at S-EL2 and stops this CPU.
pub(crate) extern "C" fn own_fatal(record: &Record) -> ! {
    let esr = mrs!("esr_el2");
    let what = match record.vector & 3 {
        0 => class(esr >> 26 & 0x3f),
        1 => "IRQ",
        2 => "FIQ",
        _ => "SError",
    };
    uart::line(format_args!("\nFATAL: {what} taken at S-EL2 on CPU {}", percpu::cpu_index()));
    uart::line(format_args!("  ESR {esr:#x} ({}), FAR {:#x}", detail(esr), mrs!("far_el2")));
    uart::line(format_args!("  ELR {:#x}, SPSR {:#x}, SP {:#x}", mrs!("elr_el2"), mrs!("spsr_el2"), record.sp));
    for (i, row) in record.x.chunks(4).enumerate() {
        let [a, b, c, d] = core::array::from_fn(|n| row.get(n).copied().unwrap_or_default());
        uart::line(format_args!("  x{:<2} {a:016x} {b:016x} {c:016x} {d:016x}", i * 4));
    }
    end(record.x[29])
}

/// Reports a panic and stops this CPU: the panic handler of the firmware.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    uart::line(format_args!("\nPANIC on CPU {}: {info}", percpu::cpu_index()));
    let frame: u64;
    // SAFETY: reads the frame pointer.
    unsafe { core::arch::asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    end(frame)
}

fn end(frame: u64) -> ! {
    let context = percpu::this().current.get();
    if !context.is_null() {
        // SAFETY: contexts are never freed, and their fields are atomics.
        let context = unsafe { &*context };
        uart::line(format_args!(
            "  last partition entered: VMID {}, context {}, at {:#x}",
            context.vttbr.load(Relaxed) >> 48,
            context.vmpidr.load(Relaxed) & 0xff,
            context.elr.load(Relaxed),
        ));
    }
    backtrace(frame);
    uart::line(format_args!("CPU {} stopped", percpu::cpu_index()));
    loop {
        barrier!("wfi");
    }
}

/// Walks the frame records of this CPU's stack.
fn backtrace(mut frame: u64) {
    let stacks = STACKS_VA..STACKS_VA + (CPUS as u64 + 1) * (2 << STACK_BIT);
    for _ in 0..32 {
        if frame % 16 != 0 || !stacks.contains(&frame) || frame & 1 << STACK_BIT == 0 {
            break;
        }
        // SAFETY: an aligned address in the mapped half of a stack's slot; a record of two words does not leave it.
        let (next, link) =
            unsafe { ((frame as *const u64).read_volatile(), (frame as *const u64).add(1).read_volatile()) };
        uart::line(format_args!("  called from {link:#x}"));
        if next <= frame {
            break;
        }
        frame = next;
    }
}

fn class(ec: u64) -> &'static str {
    match ec {
        0x00 => "unknown instruction",
        0x07 => "SIMD access",
        0x0e => "illegal execution state",
        0x18 => "trapped system register",
        0x21 => "instruction abort",
        0x22 => "PC alignment fault",
        0x25 => "data abort",
        0x26 => "SP alignment fault",
        0x2f => "SError",
        0x3c => "BRK",
        _ => "synchronous exception",
    }
}

fn detail(esr: u64) -> &'static str {
    match (esr >> 26 & 0x3f, esr & 0x3f) {
        (0x21 | 0x25, 0x00..=0x03) => "address size fault",
        (0x21 | 0x25, 0x04..=0x07) => "translation fault",
        (0x21 | 0x25, 0x08..=0x0b) => "access flag fault",
        (0x21 | 0x25, 0x0c..=0x0f) => "permission fault",
        (0x21 | 0x25, 0x10..=0x17) => "external abort",
        (0x21 | 0x25, 0x21) => "alignment fault",
        (0x21 | 0x25, 0x23..=0x28) => "granule protection fault",
        _ => "see the Arm ARM, ESR_EL2",
    }
}
