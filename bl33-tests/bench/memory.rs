// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a share costs, step by step: send, retrieve and relinquish in a partition, reclaim; by pages, by ranges, and
//! by how many other transactions are open.

use bl33::ffa::*;
use bl33::mem::{self, FREE, PAGE, TX};
use bl33::share::{self, Form, READ_WRITE, Send, TAG};
use bl33::sp::command;
use bl33::{println, sp};

const ROUNDS: usize = 6;
/// A 2 MiB boundary in the pool.
const BLOCK: u64 = 0x7100_0000;
/// Where the many ranges begin, and where long descriptors are laid out.
const MANY: u64 = 0x7200_0000;
const SCRATCH: u64 = 0x7300_0000;

/// The least of several rounds: send, retrieve, relinquish, reclaim; the middle two where a partition answers.
struct Cost {
    send: u64,
    retrieve: Option<u64>,
    relinquish: Option<u64>,
    reclaim: u64,
}

impl Cost {
    fn of(ranges: &[(u64, u64)]) -> Self {
        let mut least = Self { send: u64::MAX, retrieve: None, relinquish: None, reclaim: u64::MAX };
        for _ in 0..ROUNDS {
            let receivers = [(RELAY, READ_WRITE)];
            let descriptor = Send { form: Form::V1_1, ..Send::new(&receivers, ranges) };
            let (send, handle) = send(&descriptor);
            let retrieved = sp::command(RELAY, command::RETRIEVE, [handle, 0, TAG, 0]);
            if let Ok([_, _, _, ticks]) = retrieved {
                least.retrieve = Some(least.retrieve.map_or(ticks, |t| t.min(ticks)));
                if let Ok([ticks, ..]) = sp::command(RELAY, command::RELINQUISH, [handle, 0, 0, 0]) {
                    least.relinquish = Some(least.relinquish.map_or(ticks, |t| t.min(ticks)));
                }
            }
            let mut regs = [0; 18];
            regs[..3].copy_from_slice(&[MEM_RECLAIM, handle & 0xffff_ffff, handle >> 32]);
            let reclaim = smc_ticks(&mut regs);
            if regs[0] != SUCCESS_32 {
                println!("# reclaim of {handle:#x}: answered w0 {:#x}, w2 {:#x}", regs[0] as u32, regs[2] as u32);
            }
            least.send = least.send.min(send);
            least.reclaim = least.reclaim.min(reclaim);
        }
        least
    }
}

/// Sends a descriptor, in fragments of a page if it is longer; returns the ticks of the calls, and the handle.
fn send(descriptor: &Send<'_>) -> (u64, u64) {
    let total = descriptor.lay(SCRATCH);
    let (mut at, mut ticks, mut regs) = (0, 0, [0; 18]);
    while at < total {
        let n = (total - at).min(PAGE);
        for offset in (0..n).step_by(8) {
            mem::put(TX + offset, mem::get(SCRATCH + at + offset));
        }
        let [_, low, high, ..] = regs;
        regs = [0; 18];
        regs[..4].copy_from_slice(&if at == 0 { [MEM_SHARE_64, total, n, 0] } else { [MEM_FRAG_TX, low, high, n] });
        ticks += smc_ticks(&mut regs);
        at += n;
    }
    if regs[0] != SUCCESS_32 {
        println!("# share: answered w0 {:#x}, w2 {:#x}", regs[0] as u32, regs[2] as u32);
    }
    (ticks, (regs[2] & 0xffff_ffff) | regs[3] << 32)
}

fn print(name: &str, cost: &Cost, scale: u64) {
    println!("bench\tshare_{name}\t{}", cost.send * scale);
    if let (Some(retrieve), Some(relinquish)) = (cost.retrieve, cost.relinquish) {
        println!("bench\tsp_retrieve_{name}\t{}", retrieve * scale);
        println!("bench\tsp_relinquish_{name}\t{}", relinquish * scale);
    }
    println!("bench\treclaim_{name}\t{}", cost.reclaim * scale);
}

/// Prints the rows; the buffers are mapped.
pub(crate) fn rows(scale: u64) {
    print("1", &Cost::of(&[(FREE, 1)]), scale);
    for (name, pages) in [("4", 4), ("16", 16), ("64", 64), ("256", 256)] {
        print(name, &Cost::of(&[(FREE, pages)]), scale);
    }
    print("block", &Cost::of(&[(BLOCK, 512)]), scale);
    let ranges: [_; 256] = core::array::from_fn(|i| (MANY + 2 * PAGE * i as u64, 1));
    for (name, count) in [("16_ranges", 16), ("64_ranges", 64), ("256_ranges", 256)] {
        if let Some(ranges) = ranges.get(..count) {
            print(name, &Cost::of(ranges), scale);
        }
    }
    // With more and more other transactions open.
    let mut open = 0;
    let handle_at = |i: u64| SCRATCH + 0x10_0000 + 8 * i;
    for (name, others) in [("1_of_256", 256), ("1_of_512", 512), ("1_of_1000", 1000)] {
        while open < others {
            let receivers = [(RELAY, READ_WRITE)];
            let ranges = [(MANY + open * PAGE, 1)];
            mem::put(handle_at(open), send(&Send::new(&receivers, &ranges)).1);
            open += 1;
        }
        print(name, &Cost::of(&[(FREE, 1)]), scale);
    }
    for i in 0..open {
        // Over the stub there is nothing to take back.
        let _ = share::reclaim(mem::get(handle_at(i)));
    }
}
