// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last words of a CPU: an exception at S-EL2 itself, or a panic.

use core::panic::PanicInfo;
use core::sync::atomic::Ordering::Relaxed;

use ffa_abi::lines::{Line, Lines};
use ffa_abi::packed_lines;

use crate::uart;
use crate::{mmu, percpu};

/// The registers that vectors.S stored, in its order.
#[repr(C)]
pub(crate) struct Record {
    /// x0-x30, then SP.
    x: [u64; 32],
    /// The vector: 4-7 for synchronous, IRQ, FIQ and SError.
    vector: u64,
}

/// Reports an exception taken at S-EL2 and stops this CPU.
pub(crate) extern "C" fn own_fatal(record: &Record) -> ! {
    let esr = mrs!("esr_el2");
    let what = CLASS_NAMES.get(match record.vector as usize & 3 {
        0 => class(esr >> 26 & 0x3f),
        interrupt => CLASSES.len() + interrupt,
    });
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
    let (mut stack, mut most) = (mmu::stack_from(sp), 32);
    while stack.start < stack.end && most > 0 {
        // SAFETY: the aligned address of a word of the stack, which is mapped.
        let link = unsafe { (stack.start as *const u64).read_volatile() };
        if follows_call(link) {
            uart::line(format_args!("  maybe called from {link:#x}"));
            most -= 1;
        }
        stack.start += 8;
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

/// Exception classes (ESR_EL2.EC).
const CLASSES: [u8; 11] = [0x00, 0x07, 0x0d, 0x0e, 0x18, 0x21, 0x22, 0x25, 0x26, 0x2f, 0x3c];
/// Their names, in the same order, that of all others, and those of the other vectors.
static CLASS_NAMES: Lines = packed_lines!(
    15,
    concat!(
        "unknown instruction\n",
        "SIMD access\n",
        "branch target exception\n",
        "illegal execution state\n",
        "trapped system register\n",
        "instruction abort\n",
        "PC alignment fault\n",
        "data abort\n",
        "SP alignment fault\n",
        "SError\n",
        "BRK\n",
        "synchronous exception\n",
        "IRQ\n",
        "FIQ\n",
        "SError\n",
    )
);

/// The last fault status (ESR_EL2.ISS, DFSC or IFSC) of each kind of abort.
const FAULTS: [u8; 9] = [0x03, 0x07, 0x0b, 0x0f, 0x17, 0x20, 0x21, 0x22, 0x28];
/// The names of the kinds, in the same order, and what is said of all others.
static FAULT_NAMES: Lines = packed_lines!(
    10,
    concat!(
        "address size fault\n",
        "translation fault\n",
        "access flag fault\n",
        "permission fault\n",
        "external abort\n",
        "see the Arm ARM\n",
        "alignment fault\n",
        "see the Arm ARM\n",
        "granule protection fault\n",
        "see the Arm ARM\n",
    )
);

fn class(ec: u64) -> usize {
    CLASSES.iter().take_while(|&&class| u64::from(class) != ec).count()
}

fn detail(esr: u64) -> Line {
    let is_abort = matches!(esr >> 26 & 0x3f, 0x21 | 0x25);
    // Behind all kinds: no abort.
    let status = if is_abort { esr & 0x3f } else { u64::MAX };
    FAULT_NAMES.get(FAULTS.iter().take_while(|&&last| u64::from(last) < status).count())
}
