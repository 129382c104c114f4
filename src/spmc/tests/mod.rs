// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the dispatcher as a whole, on the simulated machine.

mod abort;
mod appointment;
mod device;
mod direct;
mod endpoint;
mod hub;
mod inspection;
mod interrupt;
mod power;
mod preemption;
mod run;
mod signal;
mod supervised;
mod timer;
mod walk;

use ffa_abi::{Error, Func, PartitionId, Regs};

use crate::Exit;
use crate::sim::world::{World, id, request};

const NWD: PartitionId = PartitionId::NORMAL_WORLD;

/// Asserts FFA_ERROR with a code.
#[track_caller]
fn assert_error(regs: &Regs, error: Error) {
    let expected = [Func::Error.id32() as u64, 0, error.code() as u32 as u64, 0, 0, 0, 0, 0];
    assert_eq!(regs.x[..8], expected, "expected {error}");
}

/// Asserts FFA_SUCCESS32 with w2.
#[track_caller]
fn assert_success(regs: &Regs, w2: u64) {
    assert_eq!(regs.x[..4], [Func::Success.id32() as u64, 0, w2, 0]);
}

/// Asserts that x8-x17 are what [`crate::sim::world::World::call`] put there.
#[track_caller]
fn assert_untouched(regs: &Regs) {
    for (i, x) in regs.x.iter().enumerate().skip(8) {
        assert_eq!(*x, 0xa5a5_0000 + i as u64, "x{i}");
    }
}

/// A partition's code: some call.
fn calls(regs: &mut Regs, call: [u64; 8]) -> Exit {
    regs.set8(call);
    Exit::Smc
}

/// Makes a call as partition `n`, inside a request of the Normal world.
fn from_partition(w: &mut World, n: u16, call: [u64; 8]) -> Regs {
    let mut answer = None;
    let w1 = (id(n).0 as u64) << 16;
    w.call(0, request(NWD, id(n), 0), &mut |_, _, regs| {
        if regs.fid() == Func::DirectReq.id32() {
            return calls(regs, call);
        }
        answer = Some(*regs);
        calls(regs, [Func::DirectResp.id32() as u64, w1, 0, 0, 0, 0, 0, 0])
    });
    answer.expect("it was answered")
}
