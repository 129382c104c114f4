// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counts the instructions of single operations: `bench<TAB>name<TAB>instructions`, one line each.
//!
//! For `-smp 1 -icount shift=0`, where one instruction is one nanosecond. The same image runs over a stub BL32 that
//! answers everything at once, to find what EL3 alone costs; so odd answers are no failure here, they are remarked in a
//! line that starts with `# `.
#![no_std]
#![no_main]

mod hub;
mod memory;
mod post;
mod signal;

use bl33::ffa::*;
use bl33::sp::{command, status};
use bl33::{mem, println, time};

bl33::entry!(bench);

/// How often an operation runs before it counts, and how often it counts; the least is reported.
const WARM_UP: usize = 4;
const ROUNDS: usize = 16;

/// An operation, with a call before and one after each round that do not count.
struct Row {
    name: &'static str,
    call: Regs8,
    /// w0 of a good answer.
    answer: u64,
    before: Option<Regs8>,
    after: Option<Regs8>,
}

const fn row(name: &'static str, call: Regs8, answer: u64) -> Row {
    Row { name, call, answer, before: None, after: None }
}

impl Row {
    const fn before(self, call: Regs8) -> Self {
        Self { before: Some(call), ..self }
    }

    const fn after(self, call: Regs8) -> Self {
        Self { after: Some(call), ..self }
    }
}

const RELEASE: Regs8 = [RX_RELEASE, 0, 0, 0, 0, 0, 0, 0];
const INFO: Regs8 = [PARTITION_INFO_GET, 0, 0, 0, 0, 0, 0, 0];
const INFO_COUNT: Regs8 = [PARTITION_INFO_GET, 0, 0, 0, 0, 1, 0, 0];

const ROWS: &[Row] = &[
    row("version", [VERSION, 0x1_0002, 0, 0, 0, 0, 0, 0], 0x1_0002),
    row("features", [FEATURES, DIRECT_REQ_64, 0, 0, 0, 0, 0, 0], SUCCESS_32),
    row("id_get", [ID_GET, 0, 0, 0, 0, 0, 0, 0], SUCCESS_32),
    row("direct_req", [DIRECT_REQ_64, ECHO, 0, 1, 2, 3, 4, 5], DIRECT_RESP_64),
    row("direct_req32", [DIRECT_REQ_32, ECHO, 0, 1, 2, 3, 4, 5], DIRECT_RESP_32),
    row("direct_req_relay", [DIRECT_REQ_64, RELAY, 0, command::ECHO, 0, 0, 0, 0], DIRECT_RESP_64),
    row("direct_req_percpu", [DIRECT_REQ_64, PERCPU, 0, command::ECHO, 0, 0, 0, 0], DIRECT_RESP_64),
    row("direct_req_simd", [DIRECT_REQ_64, RELAY, 0, command::SIMD_TOUCH, 1, 0, 0, 0], DIRECT_RESP_64),
    row("direct_req2", [DIRECT_REQ2, ECHO, 0, 0, 4, 5, 6, 7], DIRECT_RESP2),
    row("chain", [DIRECT_REQ_64, RELAY, 0, command::FORWARD, ECHO, 1, 2, 3], DIRECT_RESP_64),
    row("direct_req_bad_id", [DIRECT_REQ_64, 0x9abc, 0, 1, 2, 3, 4, 5], ERROR),
    row("partition_info_count", INFO_COUNT, SUCCESS_32),
    row("partition_info_get", INFO, SUCCESS_32).after(RELEASE),
    row("partition_info_get_regs", [PARTITION_INFO_GET_REGS, 0, 0, 0, 0, 0, 0, 0], SUCCESS_64),
    row("rx_release", RELEASE, SUCCESS_32).before(INFO),
    row("run", [RUN, ECHO << 16, 0, 0, 0, 0, 0, 0], MSG_WAIT),
];

fn bench() {
    // One tick is one instruction at 1 GHz; other clocks are scaled, and coarser.
    let booted = time::now();
    let scale = 1_000_000_000 / time::frequency().max(1);
    if scale != 1 {
        println!("# the counter runs at {} Hz, not at 1 GHz: figures are in steps of {scale}", time::frequency());
    }
    if post::is_here() {
        return post::rows(scale);
    }
    if hub::is_here() {
        return hub::rows(scale);
    }
    println!("bench\tboot\t{}", booted * scale);
    remark("version 1.2", smc([VERSION, 0x1_0002, 0, 0, 0, 0, 0, 0]), 0x1_0002);
    remark("rxtx_map", smc([RXTX_MAP_64, mem::TX, mem::RX, 1, 0, 0, 0, 0]), SUCCESS_32);
    for row in ROWS {
        let (ticks, answer) = measure(row);
        println!("bench\t{}\t{}", row.name, ticks * scale);
        remark(row.name, answer, row.answer);
    }
    measure_inside(scale);
    signal::rows(scale);
    memory::rows(scale);
}

/// What a partition counts for us: name, the number of the thing, its argument.
const INSIDE: &[(&str, u64, u64)] = &[
    ("sp_id_get", 0, 0),
    ("sp_version", 1, 0),
    ("sp_features", 2, 0),
    ("sp_spm_id_get", 3, 0),
    ("sp_direct_req", 4, ECHO),
    ("sp_unknown_call", 6, 0),
];

/// Reports what relay counts of its own calls.
fn measure_inside(scale: u64) {
    for &(name, what, argument) in INSIDE {
        if let Some(ticks) = inside(name, what, argument) {
            println!("bench\t{name}\t{}", ticks * scale);
        }
    }
}

/// Lets relay count its own calls, the least of some rounds of some calls each. Without a relay there is nothing to
/// say: over the stub, the request comes back as it went.
fn inside(name: &str, what: u64, argument: u64) -> Option<u64> {
    const CALLS: u64 = 32;
    let mut least = None;
    for _ in 0..ROUNDS {
        let r = smc([DIRECT_REQ_64, RELAY, 0, command::MEASURE, what, argument, CALLS, 0]);
        if r[0] != DIRECT_RESP_64 || r[3] != status::OK {
            println!("# {name}: answered w0 {:#x}, status {:#x}", r[0] as u32, r[3]);
            break;
        }
        let each = r[4].saturating_sub(r[6]) / CALLS;
        least = Some(least.map_or(each, |l: u64| l.min(each)));
    }
    least
}

fn measure(row: &Row) -> (u64, Regs8) {
    let mut least = u64::MAX;
    let mut answer = [0; 8];
    for round in 0..WARM_UP + ROUNDS {
        if let Some(call) = row.before {
            smc(call);
        }
        let mut regs: Regs18 = core::array::from_fn(|i| row.call.get(i).copied().unwrap_or(0));
        let ticks = smc_ticks(&mut regs);
        answer = core::array::from_fn(|i| regs[i]);
        if let Some(call) = row.after {
            smc(call);
        }
        if round >= WARM_UP {
            least = least.min(ticks);
        }
    }
    (least, answer)
}

/// Says so when an answer is not the one that the row is about.
fn remark(name: &str, got: Regs8, expected: u64) {
    if got[0] & 0xffff_ffff != expected {
        println!("# {name}: answered w0 {:#x}, w2 {:#x}", got[0] as u32, got[2] as u32);
    }
}
