// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last words of a CPU: an exception at S-EL2 itself, or a panic.

use core::panic::PanicInfo;
use core::sync::atomic::Ordering::Relaxed;

use crate::uart;
use crate::{mmu, percpu};

/// The registers that vectors.S stored, in its order.
#[repr(C)]
pub(crate) struct Record {
    /// x0-x30, then SP.
    x: [u64; 32],
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
    let [.., sp] = record.x;
    uart::line(format_args!("  ELR {:#x}, SPSR {:#x}, SP {sp:#x}", mrs!("elr_el2"), mrs!("spsr_el2")));
    for (i, [a, b, c, d]) in record.x.as_chunks().0.iter().enumerate() {
        uart::line(format_args!("  x{:<2} {a:016x} {b:016x} {c:016x} {d:016x}", i * 4));
    }
    end(sp)
}

/// Reports a panic and stops this CPU: the panic handler of the firmware.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    // There always is a location.
    let (file, line) = info.location().map_or(("?", 0), |at| (at.file(), at.line()));
    let (cpu, why) = (percpu::cpu_index(), info.message());
    uart::line(format_args!("\nPANIC on CPU {cpu}: panicked at {file}:{}: {why}", u64::from(line)));
    let sp: u64;
    // SAFETY: reads the stack pointer.
    unsafe { core::arch::asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    end(sp)
}

fn end(sp: u64) -> ! {
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
    callers(sp);
    uart::line(format_args!("CPU {} stopped", percpu::cpu_index()));
    loop {
        barrier!("wfi");
    }
}

/// Lists what on this CPU's stack are addresses behind calls: of those who wait for a return, and some that have returned.
fn callers(sp: u64) {
    // SAFETY: aligned addresses of words of the stack that are mapped.
    let words = mmu::stack_from(sp).step_by(8).map(|at| unsafe { (at as *const u64).read_volatile() });
    for link in words.filter(|&word| follows_call(word)).take(32) {
        uart::line(format_args!("  maybe called from {link:#x}"));
    }
}

/// Tells whether the image has a BL or BLR before this address.
fn follows_call(link: u64) -> bool {
    let call = link.wrapping_sub(4);
    if link % 4 != 0 || !mmu::text().contains(&call) {
        return false;
    }
    // SAFETY: an instruction of the image, whose pages may be read, too.
    let instruction = unsafe { (call as *const u32).read_volatile() };
    instruction >> 26 == 0b100101 || instruction & 0xffff_fc1f == 0xd63f_0000
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
