// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual interrupts: counts them, and misbehaves when asked.

use crate::{Answer, Failure};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use sp_rt::{device::Register16, interrupt, memory::now, timer::Timer};
use spin::Once;

const IDS: usize = 256;
/// [`arm_timer`]: the interrupt turns it off.
const OFF: u64 = 0;
/// [`arm_timer`]: the interrupt leaves it as it is.
const LEAVE: u64 = 1;
/// [`mode`]: interrupts are let in while commands run.
const UNMASKED: u64 = 1;
/// [`mode`]: interrupts are not deactivated.
const KEEP_ACTIVE: u64 = 2;
/// [`mode`]: the device of [`own_device`] is not quietened.
const KEEP_RAISED: u64 = 4;

static COUNTS: [AtomicU32; IDS] = [const { AtomicU32::new(0) }; IDS];
static TOTAL: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU32 = AtomicU32::new(0);
static LAST_AT: AtomicU64 = AtomicU64::new(0);
static MODE: AtomicU64 = AtomicU64::new(0);
static PERIODS: [AtomicU64; 2] = [const { AtomicU64::new(OFF) }; 2];
/// The interrupt of a device, and the register in which ones quieten it.
static DEVICE: Once<(u32, Register16)> = Once::new();
static MANAGED_EXIT: AtomicBool = AtomicBool::new(false);

fn handle(id: u32) -> bool {
    if let Some(count) = COUNTS.get(id as usize) {
        count.fetch_add(1, Relaxed);
    }
    TOTAL.fetch_add(1, Relaxed);
    LAST.store(id, Relaxed);
    LAST_AT.store(now(), Relaxed);
    if id == interrupt::MANAGED_EXIT {
        MANAGED_EXIT.store(true, Relaxed);
    }
    if id == interrupt::VIRTUAL_TIMER {
        for (timer, period) in Timer::ALL.iter().zip(&PERIODS).filter(|(timer, _)| timer.is_due()) {
            match period.load(Relaxed) {
                OFF => timer.set_control(0),
                LEAVE => {}
                period => timer.set_compare(timer.compare().wrapping_add(period)),
            }
        }
    }
    if let Some((_, register)) = DEVICE.get().filter(|(own, _)| *own == id && MODE.load(Relaxed) & KEEP_RAISED == 0) {
        register.write(u16::MAX);
    }
    MODE.load(Relaxed) & KEEP_ACTIVE == 0
}

/// Makes this module take the partition's interrupts.
pub(crate) fn install() {
    interrupt::on_interrupt(handle);
}

/// Tells whether a managed exit was asked for since [`clear_managed_exit`].
pub(crate) fn managed_exit() -> bool {
    MANAGED_EXIT.load(Relaxed)
}

/// Forgets an earlier request for a managed exit.
pub(crate) fn clear_managed_exit() {
    MANAGED_EXIT.store(false, Relaxed);
}

/// Enables or disables interrupt `id`.
pub(crate) fn enable(id: u64, on: u64) -> Answer {
    Ok([interrupt::enable(id as u32, on != 0).into(), 0, 0, 0])
}

/// Sets the mode; returns the old one.
pub(crate) fn mode(mode: u64) -> Answer {
    let old = MODE.swap(mode, Relaxed);
    if mode & UNMASKED != 0 {
        interrupt::unmask();
    } else {
        interrupt::mask();
    }
    Ok([old, 0, 0, 0])
}

/// Tells whether the mode lets interrupts in.
pub(crate) fn are_let_in() -> bool {
    MODE.load(Relaxed) & UNMASKED != 0
}

/// Returns how often interrupt `id` came, how many came in all, the last one, and when it came.
pub(crate) fn count(id: u64) -> Answer {
    let count = COUNTS.get(id as usize).ok_or(Failure::BadCommand)?.load(Relaxed);
    Ok([count.into(), TOTAL.load(Relaxed), LAST.load(Relaxed).into(), LAST_AT.load(Relaxed)])
}

/// Deactivates interrupt `id`.
pub(crate) fn deactivate(id: u64) -> Answer {
    Ok([interrupt::deactivate(id as u32).into(), 0, 0, 0])
}

/// Lets the handler of interrupt `id` quieten its device, by ones in the 16-bit register at `address`; once in a life.
pub(crate) fn own_device(id: u64, address: u64) -> Answer {
    DEVICE.try_call_once(|| Register16::map(address).map(|r| (id as u32, r)).ok_or(Failure::NoRoom))?;
    Ok([0; 4])
}

/// Sends an interrupt to context `vcpu` of this partition.
pub(crate) fn send(vcpu: u64) -> Answer {
    Ok([interrupt::send_ipi(vcpu as u16).into(), 0, 0, 0])
}

fn timer(which: u64) -> Result<(Timer, &'static AtomicU64), Failure> {
    Timer::ALL.into_iter().zip(&PERIODS).nth(which as usize).ok_or(Failure::BadCommand)
}

/// Sets a timer to `ticks` from now and its control register to `control`; says what its interrupt does to it: turns it
/// off, leaves it, or moves it on by `then`. Returns its compare value.
pub(crate) fn arm_timer(ticks: u64, control: u64, then: u64, which: u64) -> Answer {
    let (timer, period) = timer(which)?;
    period.store(then, Relaxed);
    timer.set_control(0);
    let at = now().wrapping_add(ticks);
    timer.set_compare(at);
    timer.set_control(control);
    Ok([at, 0, 0, 0])
}

/// Returns a timer's control, compare and timer values, and the counter.
pub(crate) fn read_timer(which: u64) -> Answer {
    let (timer, _) = timer(which)?;
    Ok([timer.control(), timer.compare(), timer.value(), now()])
}
