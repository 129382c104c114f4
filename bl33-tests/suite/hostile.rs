// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every function id with edge values, and random calls: an error or a proper answer, and the system goes on.

use core::sync::atomic::{AtomicU64, Ordering::*};

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::mem::{FREE, RX, TX};
use bl33::sp::{Conduit, raw};
use bl33::time::Random;
use bl33::{cpus, mode, println};

use crate::notify::FROM_FRAMEWORK;
use crate::rxtx::{map, unmap};

pub(crate) const CASES: &[Case] = &[
    Case::new("hostile::every_id_zero", || every_id([0; 7])).noisy(),
    Case::new("hostile::every_id_ones", || every_id([u64::MAX; 7])).noisy(),
    Case::new("hostile::every_id_one_edge_at_a_time", every_id_one_edge_at_a_time).noisy(),
    Case::new("hostile::every_id_with_buffers", every_id_with_buffers).noisy(),
    Case::new("hostile::ids_beyond_the_range", ids_beyond_the_range).noisy(),
    Case::new("hostile::dirty_function_id", dirty_function_id).noisy(),
    Case::new("hostile::random_calls", || random_calls(mode::rounds(1000, 3000, 3000))).noisy(),
    Case::new("hostile::random_calls_from_all_cpus", random_calls_from_all_cpus).noisy(),
];

const EDGES: [u64; 16] = [
    1,
    2,
    0x1000,
    0x8000,
    0x8001,
    0x8001_0000,
    0x0000_8001,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    1 << 48,
    1 << 63,
    0x0e10_0000,
    RX,
    TX,
];

fn function_ids() -> impl Iterator<Item = u64> {
    [0x8400_0000, 0xc400_0000].into_iter().flat_map(|width| (0x60..=0x8e).map(move |number| width | number))
}

/// Whether w0 is something that an FF-A call may return to the Normal world.
fn proper_answer(fid: u64, r: &Regs8) -> Outcome {
    let w0 = r[0] & 0xffff_ffff;
    match w0 {
        ERROR => {
            let code = r[2] as u32 as i32;
            expect_at("error code in range for id", fid, u64::from((-10..=-1).contains(&code)), 1)
        }
        SUCCESS_32 | SUCCESS_64 | MSG_WAIT | YIELD | INTERRUPT | DIRECT_RESP_32 | DIRECT_RESP_64 | DIRECT_RESP2 => {
            Ok(())
        }
        0x8400_0075 | 0x8400_007a | 0x8400_007b => Ok(()),
        // FFA_VERSION answers with a version or NOT_SUPPORTED.
        _ if fid & 0xffff_ffff == VERSION => {
            expect_at("FFA_VERSION's answer", fid, u64::from(w0 == 0xffff_ffff || w0 >> 16 == 1), 1)
        }
        _ => Err(Failure::new("no answer of FF-A; function id", 0, w0).at(fid)),
    }
}

/// Makes the call; what it may have left behind (buffers, an owned RX) is undone by [`clean`].
fn poke(fid: u64, args: [u64; 7]) -> Outcome {
    let [a, b, c, d, e, f, g] = args;
    let mut regs: Regs18 = [0x5a5a_0000_0000_5a5a; 18];
    let sent: Regs8 = [fid, a, b, c, d, e, f, g];
    for (register, value) in regs.iter_mut().zip(sent) {
        *register = value;
    }
    let got = smc18_call(regs);
    let r: Regs8 = core::array::from_fn(|i| got[i]);
    // Two calls of v1.2 answer in x8 to x17, too; no other, and no refusal, touches them.
    if r[0] != DIRECT_RESP2 && !(fid as u32 == PARTITION_INFO_GET_REGS as u32 && r[0] == SUCCESS_64) {
        for (x, value) in got.iter().enumerate().skip(8) {
            expect_at("x8 to x17 are preserved by id", fid, *value, regs[x])?;
        }
    }
    proper_answer(fid, &r)
}

/// Takes buffers away, whatever state they were left in.
fn clean() -> Outcome {
    let r = call_with(RXTX_UNMAP, &[])?;
    expect_that(
        "RXTX_UNMAP succeeds or has nothing to unmap, got w2",
        matches!(error_code(&r), None | Some(INVALID_PARAMETERS)),
        r[2],
    )
}

fn every_partition_answers() -> Outcome {
    expect_echo(0xe11e)?;
    for id in [RELAY, PERCPU] {
        let r = direct64(id, [0; 5])?;
        expect_at("x0 (DIRECT_RESP64) of partition", id, r[0], DIRECT_RESP_64)?;
        // What was in TX may have been a message to it: then it gives its RX back and forgets that it was told.
        raw(id, Conduit::Smc, [RX_RELEASE, 0, 0, 0, 0, 0, 0, 0])?;
        raw(id, Conduit::Smc, [NOTIFICATION_GET, id, FROM_FRAMEWORK, 0, 0, 0, 0, 0])?;
    }
    Ok(())
}

fn every_id(args: [u64; 7]) -> Outcome {
    for fid in function_ids() {
        poke(fid, args)?;
    }
    clean()?;
    every_partition_answers()
}

fn every_id_one_edge_at_a_time() -> Outcome {
    for fid in function_ids().filter(|&fid| reaches_the_spmc(fid)) {
        for register in 0..7 {
            for edge in EDGES {
                let mut args = [0; 7];
                args[register] = edge;
                poke(fid, args)?;
            }
        }
        expect_echo(fid)?;
    }
    clean()?;
    every_partition_answers()
}

fn every_id_with_buffers() -> Outcome {
    clean()?;
    map()?;
    for fid in function_ids().filter(|fid| !matches!(*fid, RXTX_UNMAP)) {
        for args in [[0; 7], [64; 7], [u64::MAX; 7], [0x8001; 7], [4096, 4096, 0, 0, 0, 0, 0]] {
            poke(fid, args)?;
        }
    }
    unmap()?;
    every_partition_answers()
}

fn ids_beyond_the_range() -> Outcome {
    // EL3 answers these by itself (SMC_UNK or an FF-A error); they must change nothing.
    for width in [0x8400_0000, 0xc400_0000] {
        for number in [0x5f, 0x8f, 0x90, 0x91, 0x96, 0xa0, 0xef, 0xff, 0x100] {
            let r = call_with(width | number, &[1, 2, 3])?;
            let refused = r[0] as u32 == u32::MAX || error_code(&r) == Some(NOT_SUPPORTED);
            expect_at("refused function id", width | number, u64::from(refused), 1)?;
        }
    }
    expect_echo(9)
}

/// w0 is the function id; the upper half of x0 is nothing.
fn dirty_function_id() -> Outcome {
    let r = call_with(0xdead_beef_0000_0000 | DIRECT_REQ_64, &[ECHO, 0, 0, 7])?;
    expect("x0", r[0] as u32 as u64, DIRECT_RESP_64)?;
    expect("x4", r[4], 0x1007)
}

/// Whether SPMD passes the id on; about the others it prints a warning each time.
fn reaches_the_spmc(fid: u64) -> bool {
    let wide = fid & 0x4000_0000 != 0;
    match fid & 0xff {
        0x6a | 0x78 | 0x79 | 0x6b | 0x6c | 0x62 | 0x7c | 0x8a | 0x8c => false,
        0x63 | 0x69 | 0x85 => !wide,
        0x66 | 0x6f..=0x74 | 0x83 | 0x61 => true,
        0x8b | 0x8d | 0x8e => wide,
        0x87..=0x89 => false,
        _ => !wide,
    }
}

/// An argument that looks like something: an id, a length, an address, a flag, or noise. Never this image's memory.
fn argument(random: &mut Random) -> u64 {
    match random.below(12) {
        0 => 0,
        1 => random.below(64),
        2 => 0x8000 + random.below(6),
        3 => (0x8000 + random.below(6)) << 16 | random.below(9),
        4 => random.below(4) << 16 | (0x8000 + random.below(6)),
        5 => RX + random.below(4) * 0x1000,
        6 => FREE + random.below(0x100) * 0x1000,
        7 => 0x0e00_0000 + random.below(0x1000) * 0x1000,
        8 => 1 << random.below(64),
        9 => u64::MAX >> random.below(64),
        10 => 1 << 31 | random.below(16),
        _ => random.draw() | 1,
    }
}

/// Makes random calls from one CPU; `Err` names the function id of an answer that is none.
fn random_calls_of(cpu: u64, seed: u64, count: u64) -> Outcome {
    let mut random = Random::new(seed ^ (cpu << 56));
    let ids = || function_ids().filter(|&fid| reaches_the_spmc(fid));
    let known = ids().count() as u64;
    for i in 0..count {
        let fid = ids().nth(random.below(known) as usize).unwrap_or(FEATURES);
        let mut args: [u64; 7] = core::array::from_fn(|_| argument(&mut random));
        // Partitions take commands that stop or occupy them: those belong to other cases.
        if matches!(fid, DIRECT_REQ_32 | DIRECT_REQ_64 | DIRECT_REQ2) && args[0] & 0xffff != ECHO {
            args[2] = 0;
            args[3] = 0;
        }
        poke(fid, args)?;
        if i % 1024 == 0 {
            // Half of the time with the usual buffers, so that calls get past that check.
            smc([RXTX_UNMAP, 0, 0, 0, 0, 0, 0, 0]);
            if random.below(2) == 0 {
                smc([RXTX_MAP_64, TX, RX, 1, 0, 0, 0, 0]);
            }
        }
        if cpu == 0 && i % 50_000 == 49_999 {
            println!("# {} random calls on this CPU", i + 1);
        }
    }
    Ok(())
}

fn random_calls(count: u64) -> Outcome {
    let seed = mode::seed();
    println!("# seed {seed:#x} ({count} random calls)");
    random_calls_of(0, seed, count)?;
    clean()?;
    every_partition_answers()
}

static SEED: AtomicU64 = AtomicU64::new(0);

/// The calls of all CPUs together: a million in the long mode.
fn calls_of_each() -> u64 {
    mode::rounds(1000, 4000, 1_000_000) / cpus::count() as u64
}

fn random_calls_from_all_cpus() -> Outcome {
    SEED.store(mode::seed(), Release);
    let (seed, n) = (SEED.load(Acquire), cpus::count());
    println!("# seed {seed:#x} ({} random calls on each of {n} CPUs)", calls_of_each());
    let job = |cpu| random_calls_of(cpu, SEED.load(Acquire), calls_of_each());
    cpus::on_all(n, if mode::long() { 1_500_000 } else { 60_000 }, job)?;
    clean()?;
    every_partition_answers()
}
