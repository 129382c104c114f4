// SPDX-License-Identifier: MIT OR Apache-2.0
//! What supervised messages cost, where the SPMC supervises them: a boot of its own, with `steady` and `slow`.

use bl33::ffa::*;
use bl33::mem::{self, TX};
use bl33::println;
use bl33::sp::{self, command, status};

const STEADY: u64 = 0x8011;
const SLOW: u64 = 0x8012;
const WARM_UP: u64 = 4;
const ROUNDS: u64 = 16;
/// Bytes of a message header, an envelope, a payload.
const HEADER: u64 = 40;
const ENVELOPE: u64 = 64;
const PAYLOAD: u64 = 64;
/// While two messages more wait for `slow` each time; a seventh is the last that one sender may have there.
const ROWS: [&str; 3] = ["hub envelope 64, 2 wait", "hub envelope 64, 4 wait", "hub envelope 64, 6 wait"];

/// Tells whether this is that boot.
pub(crate) fn is_here() -> bool {
    // Over the stub a request comes back as it went.
    sp::try_command(STEADY, command::ADD, [40, 2, 0, 0])
        .is_ok_and(|[status, sum, ..]| (status, sum) == (status::OK, 42))
}

/// Writes a message of the Normal world into TX.
fn write(to: u64, class: u64, key: u64, ticket: u64) {
    let header = [0, HEADER | to << 32, ENVELOPE + PAYLOAD, 0, 0];
    let envelope = [1 | class << 8 | 60_000 << 32, 1, 2, key, ticket, 0, 0, 0];
    for (n, word) in header.into_iter().chain(envelope).chain([!key; 8]).enumerate() {
        mem::put(TX + 8 * n as u64, word);
    }
}

/// Lets a partition ack what it has in RX.
fn take(id: u64) {
    let tell = |command, args| sp::try_command(id, command, args).unwrap_or([u64::MAX; 5]);
    let [_, ticket, ..] = tell(command::RX_READ, [HEADER + 32, 0, 0, 0]);
    tell(command::CALL, [0, RX_RELEASE, 0, 0]);
    tell(command::TX_WRITE, [0, 0, HEADER | id << 48, ENVELOPE]);
    tell(command::TX_WRITE, [24, 0, 0, 0]);
    tell(command::TX_WRITE, [HEADER, 1 | 2 << 8, 0, 0]);
    tell(command::TX_WRITE, [HEADER + 24, 0, ticket, 0]);
    tell(command::TX_WRITE, [HEADER + 48, 0, 0, 0]);
    let [_, w0, _, w2, _] = tell(command::CALL, [0, MSG_SEND2, id << 16, 0]);
    if w0 != SUCCESS_32 {
        println!("# {id:#x} acks {ticket:#x}: answered w0 {w0:#x}, w2 {w2:#x}");
    }
}

fn send(to: u64, key: u64) -> u64 {
    write(to, 1, key, 0);
    let mut regs: Regs18 = [0; 18];
    regs[0] = MSG_SEND2;
    let ticks = smc_ticks(&mut regs);
    if regs[0] as u32 as u64 != SUCCESS_32 {
        println!("# message {key} to {to:#x}: answered w0 {:#x}, w2 {:#x}", regs[0] as u32, regs[2] as u32);
    }
    ticks
}

fn report(name: &str, scale: u64, rounds: impl Iterator<Item = u64>) {
    if let Some(ticks) = rounds.skip(WARM_UP as usize).min() {
        println!("bench\t{name}\t{}", ticks * scale);
    }
}

/// Prints the rows.
pub(crate) fn rows(scale: u64) {
    smc([VERSION, 0x1_0002, 0, 0, 0, 0, 0, 0]);
    smc([RXTX_MAP_64, TX, mem::RX, 1, 0, 0, 0, 0]);
    for id in [STEADY, SLOW] {
        smc([DIRECT_REQ_64, id, 0, command::MAILBOX, 0, 0, 0, 0]);
    }
    let mut key = 0;
    let mut next = || {
        key += 1;
        key
    };
    // From the sender's call to the message in the receiver's RX buffer.
    let there = (0..WARM_UP + ROUNDS).map(|_| {
        let ticks = send(STEADY, next());
        take(STEADY);
        ticks
    });
    report("hub envelope 64", scale, there);
    // The same while messages of others wait, more and more, and into a queue in which others wait.
    for name in ROWS {
        for _ in 0..2 {
            send(SLOW, next());
        }
        // The request to slow down is in nobody's way.
        smc([RX_RELEASE, 0, 0, 0, 0, 0, 0, 0]);
        let beside = (0..WARM_UP + ROUNDS).map(|_| {
            let ticks = send(STEADY, next());
            take(STEADY);
            ticks
        });
        report(name, scale, beside);
    }
    let behind = (0..WARM_UP + ROUNDS).map(|_| {
        let ticks = send(SLOW, next());
        take(SLOW);
        ticks
    });
    report("hub envelope 64, behind 6", scale, behind);
}
