// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long calls take, seen from the partition, in ticks of the counter.

use crate::{Answer, Failure, me};
use ffa_abi::{Func, PartitionId};
use sp_rt::{memory::now, smc};

/// Makes one call `count` times; returns the ticks of all, the count, and the ticks of as many empty rounds.
///
/// `what`: 0 FFA_ID_GET, 1 FFA_VERSION, 2 FFA_FEATURES, 3 FFA_SPM_ID_GET, 4 a wide direct request to `argument`,
/// 5 FFA_RX_RELEASE, 6 a call that does not exist.
pub(crate) fn measure(what: u64, argument: u64, count: u64) -> Answer {
    let func = match what {
        0 => Func::IdGet.id32(),
        1 => Func::Version.id32(),
        2 => Func::Features.id32(),
        3 => Func::SpmIdGet.id32(),
        4 => Func::DirectReq.id64(),
        5 => Func::RxRelease.id32(),
        6 => 0x8400_00ff,
        // Not a thing to measure.
        _ => return Err(Failure::BadCommand),
    };
    let x1 = match what {
        1 => 0x1_0001,
        2 => Func::IdGet.id32().into(),
        4 => u64::from(me().0) << 16 | u64::from(PartitionId(argument as u16).0),
        // The others take no argument.
        _ => 0,
    };
    let count = count.max(1);
    let start = now();
    for i in 0..count {
        smc([func.into(), x1, 0, 0, core::hint::black_box(i), 0, 0, 0]);
    }
    let ticks = now().wrapping_sub(start);
    let start = now();
    for i in 0..count {
        core::hint::black_box([func.into(), x1, 0, 0, i, 0, 0, 0]);
    }
    Ok([ticks, count, now().wrapping_sub(start), 0])
}
