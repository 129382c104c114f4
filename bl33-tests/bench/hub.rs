// SPDX-License-Identifier: MIT OR Apache-2.0
//! What direct messages cost where a hub decides on them: a boot of its own, which the Normal world coordinates.
//!
//! The Normal world's request is like the row `direct_req`, and relay's to echo, through a window, like `sp_direct_req`.
//! Each is counted with more and more windows open, up to as many as can be, which takes the most partitions: nothing
//! may grow. With fewer partitions there are fewer pairs, and one row of each.

use bl33::ffa::*;
use bl33::println;

use crate::{inside, measure, remark, row};

const HUB: u64 = 0x8ff0;
const DESCRIBE: u64 = 1;
const OPEN: u64 = 2;
/// Messages of a window, and how long it lasts, as its call takes them.
const TERMS: u64 = 0xffff << 16 | 3_600_000 << 32;
const TWO: u64 = 2 << 12;
const FROM_FIRST: u64 = 1 << 8;
/// The partitions that a window can be opened for, by their identifiers.
const FIRST: u64 = 0x8001;
const LAST: u64 = 0x8006;
/// The version of the service.
const VERSION_1: u64 = 1 << 16;
/// What relay measures: direct requests to the argument.
const DIRECT: u64 = 4;

/// Asks the service; returns status and x4.
fn ask(x3: u64, args: [u64; 2]) -> (u64, u64) {
    let r = smc([DIRECT_REQ_64, HUB, 0, x3, args[0], args[1], 0, 0]);
    if r[0] == DIRECT_RESP_64 { (r[3], r[4]) } else { (u64::MAX, 0) }
}

/// Tells whether this is that boot. Over the stub a request comes back as it went.
pub(crate) fn is_here() -> bool {
    let (status, version) = ask(DESCRIBE, [0; 2]);
    status == 0 && version as u32 as u64 == VERSION_1
}

fn open(from: u64, to: u64, correlation: u64) -> bool {
    ask(OPEN | TERMS | TWO | FROM_FIRST, [from | to << 16, correlation]).0 == 0
}

fn report(direct: &str, window: Option<&str>, scale: u64) {
    let request = row("hub direct", [DIRECT_REQ_64, ECHO, 0, 1, 2, 3, 4, 5], DIRECT_RESP_64);
    let (ticks, answer) = measure(&request);
    println!("bench\t{direct}\t{}", ticks * scale);
    remark(direct, answer, request.answer);
    if let Some((name, ticks)) = window.and_then(|name| Some((name, inside(name, DIRECT, ECHO)?))) {
        println!("bench\t{name}\t{}", ticks * scale);
    }
}

/// Prints the rows.
pub(crate) fn rows(scale: u64) {
    smc([VERSION, 0x1_0002, 0, 0, 0, 0, 0, 0]);
    report("hub direct, 0 windows", None, scale);
    let mut opened = u64::from(open(RELAY, ECHO, 1));
    report("hub direct", Some("hub window"), scale);
    let pairs = (FIRST..=LAST).flat_map(|from| (FIRST..=LAST).map(move |to| (from, to)));
    for (from, to) in pairs.filter(|&(from, to)| from != to && (from, to) != (RELAY, ECHO)) {
        // Where one is not there, the window is refused.
        if !open(from, to, opened + 1) {
            continue;
        }
        opened += 1;
        match opened {
            4 => report("hub direct, 4 windows", Some("hub window, 4 windows"), scale),
            16 => return report("hub direct, 16 windows", Some("hub window, 16 windows"), scale),
            // Between the rows.
            _ => {}
        }
    }
}
