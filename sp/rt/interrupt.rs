// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual interrupts, through the paravirtual calls that partitions know from Hafnium.
//!
//! They are masked until [`unmask`]; the handler runs on the exception stack of the context that takes the interrupt.

use crate::hvc;
use core::{
    arch::asm,
    sync::atomic::{AtomicPtr, Ordering},
};

const ENABLE: u64 = 0xff03;
const GET: u64 = 0xff04;
const DEACTIVATE: u64 = 0xff08;
const RECONFIGURE: u64 = 0xff09;
const SEND_IPI: u64 = 0xff0a;
/// What `GET` answers when nothing is pending.
const NONE: u32 = u32::MAX;

/// The id of the virtual timer's interrupt.
pub const VIRTUAL_TIMER: u32 = 3;
/// The id of the interrupt that asks for a managed exit.
pub const MANAGED_EXIT: u32 = 4;
/// The id of the interrupt that says that notifications are pending.
pub const NOTIFICATION_PENDING: u32 = 5;
/// The id of the interrupt that another context of this partition sent.
pub const IPI: u32 = 9;

/// Handles one interrupt; says whether it is to be deactivated.
pub type Handler = fn(id: u32) -> bool;

static HANDLER: AtomicPtr<()> = AtomicPtr::new(ignore as fn(u32) -> bool as *mut ());

fn ignore(_: u32) -> bool {
    true
}

/// Makes `handler` take every interrupt of this partition.
pub fn on_interrupt(handler: Handler) {
    HANDLER.store(handler as *mut (), Ordering::Release);
}

/// Enables (or disables) interrupt `id` for this context, as a virtual IRQ.
pub fn enable(id: u32, on: bool) -> bool {
    let [result, ..] = hvc([ENABLE, u64::from(id), u64::from(on), 0, 0, 0, 0, 0]);
    result as i64 == 0
}

/// Returns the interrupt that is pending, acknowledging it.
pub fn get() -> Option<u32> {
    let [id, ..] = hvc([GET, 0, 0, 0, 0, 0, 0, 0]);
    Some(id as u32).filter(|&id| id != NONE)
}

/// Ends the handling of interrupt `id`.
pub fn deactivate(id: u32) -> bool {
    let [result, ..] = hvc([DEACTIVATE, u64::from(id), u64::from(id), 0, 0, 0, 0, 0]);
    result as i64 == 0
}

/// Changes where or how interrupt `id` arrives: `command` 0 target CPU, 1 security state, 2 enabled.
pub fn reconfigure(id: u32, command: u32, value: u64) -> bool {
    let [result, ..] = hvc([RECONFIGURE, u64::from(id), u64::from(command), value, 0, 0, 0, 0]);
    result as i64 == 0
}

/// Sends [`IPI`] to context `vcpu` of this partition.
pub fn send_ipi(vcpu: u16) -> bool {
    let [result, ..] = hvc([SEND_IPI, u64::from(vcpu), 0, 0, 0, 0, 0, 0]);
    result as i64 == 0
}

/// Lets virtual interrupts in.
pub fn unmask() {
    // SAFETY: the vectors are installed; the handler runs on its own stack and preserves every register.
    unsafe { asm!("msr daifclr, #2", options(nostack)) };
}

/// Keeps virtual interrupts out.
pub fn mask() {
    // SAFETY: masking an interrupt has no effect on memory.
    unsafe { asm!("msr daifset, #2", options(nostack)) };
}

/// Hands every pending interrupt to the handler.
pub(crate) fn take() {
    let handler = HANDLER.load(Ordering::Acquire);
    // SAFETY: only `on_interrupt` and the initial value write HANDLER, and both write a `Handler`.
    let handler: Handler = unsafe { core::mem::transmute(handler) };
    while let Some(id) = get() {
        if handler(id) {
            deactivate(id);
        }
    }
}

/// Waits for an interrupt once.
pub fn wait() {
    // SAFETY: WFI has no effect on memory.
    unsafe { asm!("wfi", options(nostack)) };
}
