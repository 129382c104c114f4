// SPDX-License-Identifier: MIT OR Apache-2.0
//! What signals cost: notifications, indirect messages, a preemption and its end, a Secure interrupt on its way to the
//! partition that owns it.

use bl33::ffa::*;
use bl33::mem::{self, TX};
use bl33::sp::{self, command};
use bl33::{gic, println, rtc, time};

const WARM_UP: usize = 4;
const ROUNDS: usize = 16;
/// Bytes in the header of a message of v1.2, and behind it.
const HEADER: u64 = 40;
const MESSAGE: u64 = 64;

/// Lets relay make a call; over the stub, which has no relay, nothing happens.
fn by_relay(fid: u64, x1: u64, x2: u64, x3: u64) {
    smc([DIRECT_REQ_64, RELAY, 0, command::STAGE, 3, x3, 0, 0]);
    smc([DIRECT_REQ_64, RELAY, 0, command::CALL, 0, fid, x1, x2]);
}

/// Reports the least of several rounds of one call.
fn row(name: &str, scale: u64, fid: u64, args: [u64; 3], before: impl Fn(), after: impl Fn()) {
    let [x1, x2, x3] = args;
    let mut least = u64::MAX;
    for round in 0..WARM_UP + ROUNDS {
        before();
        let mut regs: Regs18 = [0; 18];
        [regs[0], regs[1], regs[2], regs[3]] = [fid, x1, x2, x3];
        let ticks = smc_ticks(&mut regs);
        if regs[0] as u32 as u64 != SUCCESS_32 {
            println!("# {name}: answered w0 {:#x}, w2 {:#x}", regs[0] as u32, regs[2] as u32);
        }
        after();
        if round >= WARM_UP {
            least = least.min(ticks);
        }
    }
    println!("bench\t{name}\t{}", least * scale);
}

/// Writes a message from the Normal world to relay into TX.
fn write_message() {
    for (n, word) in [0, HEADER | RELAY << 32, MESSAGE, 0, 0].into_iter().enumerate() {
        mem::put(TX + 8 * n as u64, word);
    }
    (0..MESSAGE).step_by(8).for_each(|at| mem::put(TX + HEADER + at, !at));
}

fn least(name: &str, scale: u64, once: impl Fn() -> Option<u64>) {
    match (0..WARM_UP + ROUNDS).filter_map(|_| once()).min() {
        Some(ticks) => println!("bench\t{name}\t{}", ticks * scale),
        None => println!("# {name}: did not happen"),
    }
}

/// Leaves relay preempted after `ticks`; returns the ticks from the timer to FFA_INTERRUPT here.
fn preempt(ticks: u64) -> Option<u64> {
    let at = time::now() + ticks;
    gic::timer_after(ticks);
    let r = smc([DIRECT_REQ_64, RELAY, 0, command::SPIN, 2 * ticks, 0, 0, 0]);
    let took = time::now().saturating_sub(at);
    gic::timer_off();
    (r[0] == INTERRUPT).then_some(took)
}

/// Prints the rows.
pub(crate) fn rows(scale: u64) {
    smc([NOTIFICATION_BITMAP_CREATE, 0, 1, 0, 0, 0, 0, 0]);
    // The schedule-receiver interrupt is raised, and stays where it is: what the Normal world does about it is its own.
    // (It is the Normal world's since the bitmap was made.)
    gic::disable(gic::SCHEDULE_RECEIVER);
    smc([NOTIFICATION_BIND, RELAY << 16, 0, 1, 0, 0, 0, 0]);
    by_relay(NOTIFICATION_BIND, RELAY, 0, 1);
    let take = || by_relay(NOTIFICATION_GET, RELAY, 7, 0);
    row("notification_set", scale, NOTIFICATION_SET, [RELAY, 0, 1], || (), take);
    let signal = || by_relay(NOTIFICATION_SET, RELAY << 16, 0, 1);
    row("notification_get", scale, NOTIFICATION_GET, [0, 1, 0], signal, || ());
    smc([DIRECT_REQ_64, RELAY, 0, command::MAILBOX, 0, 0, 0, 0]);
    let release = || {
        by_relay(RX_RELEASE, 0, 0, 0);
        take();
    };
    row("msg_send2", scale, MSG_SEND2, [0, 0, 0], write_message, release);
    smc([NOTIFICATION_UNBIND, RELAY << 16, 0, 1, 0, 0, 0, 0]);
    smc([NOTIFICATION_BITMAP_DESTROY, 0, 0, 0, 0, 0, 0, 0]);
    let ticks = time::frequency() / 10_000;
    // To the end of the run, which is over when relay looks at the clock again.
    let resume = || {
        preempt(ticks)?;
        time::wait_for(1, || false);
        let start = time::now();
        let r = smc([RUN, RELAY << 16, 0, 0, 0, 0, 0, 0]);
        let took = time::now() - start;
        (r[0] == DIRECT_RESP_64).then_some(took)
    };
    least("preempt", scale, || {
        let took = preempt(ticks)?;
        while smc([RUN, RELAY << 16, 0, 0, 0, 0, 0, 0])[0] == INTERRUPT {}
        Some(took)
    });
    least("resume", scale, resume);
    secure_interrupt(scale);
}

/// From the device, in the Normal world, to the handler's first look at the clock in relay.
fn secure_interrupt(scale: u64) {
    let tell = |command, args| sp::command(RELAY, command, args);
    let count = || tell(command::INTERRUPT_COUNT, [rtc::INTERRUPT, 0, 0, 0]).ok();
    if tell(command::INTERRUPT_ENABLE, [rtc::INTERRUPT, 1, 0, 0]).is_err() {
        return println!("# secure_interrupt: no relay");
    }
    let _ = tell(command::INTERRUPT_MODE, [1, 0, 0, 0]);
    least("secure_interrupt", scale, || {
        let [before, ..] = count()?;
        let start = time::now();
        rtc::fire();
        let [after, _, _, at] = count()?;
        (after == before + 1).then(|| at.saturating_sub(start))
    });
    rtc::quiet();
    let _ = tell(command::INTERRUPT_MODE, [0; 4]);
    let _ = tell(command::INTERRUPT_ENABLE, [rtc::INTERRUPT, 0, 0, 0]);
}
