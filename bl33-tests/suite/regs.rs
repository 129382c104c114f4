// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the Normal world had in its registers is there after a partition ran.

use bl33::ffa::*;
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::mem;
use bl33::simd::{self, SME_P, SME_Z, SME_ZA, Simd, Sve};
use bl33::sp::{self, command, expect_none};
use bl33::sysreg::{EL1_STATE, EL2_STATE, Probe, VIRTUAL_INTERFACE};
use bl33::time::Random;

pub(crate) const CASES: &[Case] = &[
    Case::new("regs::el1_and_el0", || survives_every_partition(EL1_STATE)),
    Case::new("regs::el2", || survives_every_partition(EL2_STATE)),
    Case::new("regs::gic_virtual_interface", || survives_every_partition(VIRTUAL_INTERFACE)),
    Case::new("regs::simd", simd_registers),
    Case::new("regs::sve", sve_registers),
    Case::new("regs::sme", sme_registers),
    Case::new("regs::partitions_keep_theirs", partitions_keep_theirs),
    Case::new("regs::nothing_leaks_to_partitions", nothing_leaks_to_partitions),
    Case::new("regs::nothing_leaks_between_partitions", nothing_leaks_between_partitions),
];

/// A partition runs and does its worst to the registers: by a direct request to each, below another one, by FFA_RUN.
fn partition_calls() -> [Regs8; 8] {
    [
        [DIRECT_REQ_64, ECHO, 0, 1, 2, 3, 4, 5],
        [DIRECT_REQ_64, RELAY, 0, command::REGS_FILL, 0x1122_3344_5566_7788, 0, 0, 0],
        [DIRECT_REQ_64, PERCPU, 0, command::REGS_FILL, 0x99aa_bbcc_ddee_ff00, 0, 0, 0],
        [DIRECT_REQ_64, RELAY, 0, command::SIMD_FILL, 0x0123_4567_89ab_cdef, 0, 0, 0],
        [DIRECT_REQ_64, PERCPU, 0, command::SIMD_FILL, 0xfedc_ba98_7654_3210, 0, 0, 0],
        [DIRECT_REQ_64, RELAY, 0, command::FORWARD, PERCPU, command::SIMD_TOUCH, 1, 0],
        [DIRECT_REQ_64, PERCPU, 0, command::FORWARD, RELAY, command::REGS_FILL, 5, 0],
        [RUN, ECHO << 16, 0, 0, 0, 0, 0, 0],
    ]
}

fn survives_every_partition(probes: &[Probe]) -> Outcome {
    let before: [u64; 48] = core::array::from_fn(|i| probes.get(i).map_or(0, |p| (p.read)()));
    let result = patterns_survive(probes);
    for (p, value) in probes.iter().zip(before) {
        (p.write)(value);
    }
    result
}

fn patterns_survive(probes: &[Probe]) -> Outcome {
    let mut random = Random::new(0x5e15);
    for args in partition_calls() {
        for inverted in [0, u64::MAX] {
            let pattern: [u64; 48] = core::array::from_fn(|_| random.draw() ^ inverted);
            for (p, value) in probes.iter().zip(pattern) {
                (p.write)(value & p.bits);
            }
            // What the register keeps of it: reserved bits do not.
            let kept: [u64; 48] = core::array::from_fn(|i| probes.get(i).map_or(0, |p| (p.read)()));
            let r = smc(args);
            let after: [u64; 48] = core::array::from_fn(|i| probes.get(i).map_or(0, |p| (p.read)()));
            expect_that("the call reached a partition; id", error_code(&r).is_none(), args[1])?;
            for ((p, got), want) in probes.iter().zip(after).zip(kept) {
                expect(p.name, got & p.bits, want & p.bits).map_err(|f| f.at(args[1]))?;
            }
        }
    }
    Ok(())
}

/// A quick look from one of several CPUs: a pattern of its own stays while others run partitions, too.
pub(crate) fn patterns_on_this_cpu(cpu: u64) -> Outcome {
    for round in 0..100 {
        let pattern = (cpu + 1) << 56 | round;
        let before: [u64; 48] = core::array::from_fn(|i| EL1_STATE.get(i).map_or(0, |p| (p.read)()));
        for p in EL1_STATE {
            (p.write)(pattern.rotate_left(round as u32) & p.bits);
        }
        let kept: [u64; 48] = core::array::from_fn(|i| EL1_STATE.get(i).map_or(0, |p| (p.read)()));
        let r = smc([DIRECT_REQ_64, PERCPU, 0, 0, 0, 0, 0, 0]);
        let after: [u64; 48] = core::array::from_fn(|i| EL1_STATE.get(i).map_or(0, |p| (p.read)()));
        for (p, value) in EL1_STATE.iter().zip(before) {
            (p.write)(value);
        }
        expect("x0 (DIRECT_RESP64)", r[0], DIRECT_RESP_64)?;
        for ((p, got), want) in EL1_STATE.iter().zip(after).zip(kept) {
            expect(p.name, got & p.bits, want & p.bits).map_err(|f| f.at(cpu))?;
        }
    }
    Ok(())
}

fn simd_registers() -> Outcome {
    let mut random = Random::new(0x51d0);
    for args in partition_calls() {
        for _ in 0..4 {
            // FPCR: rounding mode, flush to zero, default NaN; FPSR: cumulative flags and QC.
            let before = Simd { q: core::array::from_fn(|_| random.draw()), control: [0x03c0_0000, 0x0800_009f] };
            let mut after = before.clone();
            let r = simd::call(args, &mut after);
            expect_that("the call reached a partition; id", error_code(&r).is_none(), args[1])?;
            for (i, (got, want)) in after.q.iter().zip(before.q).enumerate() {
                expect_at("q register", i as u64 / 2, *got, want)?;
            }
            expect("FPCR", after.control[0], before.control[0])?;
            expect("FPSR", after.control[1], before.control[1])?;
        }
    }
    Ok(())
}

fn sve_registers() -> Outcome {
    let Some(bytes) = simd::sve_length() else {
        // Not this CPU; the case has nothing to say, and the machine's CPU is the runner's choice.
        return Ok(());
    };
    let words = bytes / 8 * 32;
    let predicate_bytes = bytes / 8;
    let mut random = Random::new(0x5e5e);
    for args in partition_calls() {
        let mut image = Sve { z: core::array::from_fn(|_| random.draw()), p: core::array::from_fn(|_| random.draw()) };
        // FFR holds only what FFR can: a run of ones from the bottom. It lies behind 16 predicates.
        set_bytes(&mut image.p, 16 * predicate_bytes, predicate_bytes, 0xff);
        let before = image.clone();
        let r = simd::sve_call(args, &mut image).ok_or(Failure::because("SVE went away", bytes as u64))?;
        expect_that("the call reached a partition; id", error_code(&r).is_none(), args[1])?;
        for i in 0..words {
            expect_at("z registers, word", i as u64, image.z[i], before.z[i])?;
        }
        for i in 0..17 * predicate_bytes {
            let byte = |p: &[u64; 68]| p[i / 8] >> (i % 8 * 8) & 0xff;
            expect_at("p registers and FFR, byte", i as u64, byte(&image.p), byte(&before.p))?;
        }
    }
    Ok(())
}

fn set_bytes(words: &mut [u64; 68], from: usize, count: usize, value: u8) {
    for i in from..from + count {
        if let Some(w) = words.get_mut(i / 8) {
            let shift = i % 8 * 8;
            *w = *w & !(0xff << shift) | u64::from(value) << shift;
        }
    }
}

/// Streaming mode, streaming vectors and predicates, ZA.
fn sme_registers() -> Outcome {
    let Some(bytes) = simd::sme_length() else {
        return Ok(());
    };
    let areas = [(SME_Z, 32 * bytes), (SME_P, 16 * bytes / 8), (SME_ZA, bytes * bytes)];
    for (round, args) in partition_calls().into_iter().enumerate() {
        // The same sequence again is what must be found: pool memory holds only one copy.
        let pattern = || Random::new(0x5e00 + round as u64);
        let mut random = pattern();
        for (area, length) in areas {
            for at in (0..length).step_by(8) {
                mem::put(area + at, random.draw());
            }
        }
        let (r, svcr) = simd::sme_call(args).ok_or(Failure::because("SME went away", bytes))?;
        expect_that("the call reached a partition; id", error_code(&r).is_none(), args[1])?;
        expect("SVCR (streaming mode, ZA)", svcr, 3)?;
        let mut random = pattern();
        for (area, length) in areas {
            for at in (0..length).step_by(8) {
                expect_at("z, p or ZA, stored at", area + at, mem::get(area + at), random.draw())?;
            }
        }
    }
    Ok(())
}

/// What a partition leaves in its registers is there when it runs again, whoever ran in between.
fn partitions_keep_theirs() -> Outcome {
    sp::command(RELAY, command::REGS_FILL, [0x1111_0000_2222_0000, 0, 0, 0])?;
    sp::command(PERCPU, command::REGS_FILL, [0x3333_0000_4444_0000, 0, 0, 0])?;
    sp::command(RELAY, command::SIMD_FILL, [0x5555_0000_6666_0000, 0, 0, 0])?;
    sp::command(PERCPU, command::SIMD_FILL, [0x7777_0000_8888_0000, 0, 0, 0])?;
    let mut image = Simd { q: [0xdead_beef_dead_beef; 64], control: [0, 0] };
    simd::call([DIRECT_REQ_64, ECHO, 0, 1, 2, 3, 4, 5], &mut image);
    let before: [u64; 48] = core::array::from_fn(|i| EL1_STATE.get(i).map_or(0, |p| (p.read)()));
    for p in EL1_STATE {
        (p.write)(0x5a5a_a5a5_5a5a_a5a5 & p.bits);
    }
    let checked = || -> Outcome {
        for id in [RELAY, PERCPU] {
            let [checked, ..] = sp::command(id, command::REGS_CHECK, [0; 4])?;
            expect_that("system registers were checked, got", checked >= 12, checked)?;
        }
        sp::command(RELAY, command::SIMD_CHECK, [0x5555_0000_6666_0000, 0, 0, 0])?;
        sp::command(PERCPU, command::SIMD_CHECK, [0x7777_0000_8888_0000, 0, 0, 0]).map(|_| ())
    }();
    for (p, value) in EL1_STATE.iter().zip(before) {
        (p.write)(value);
    }
    checked
}

/// The Normal world's values are nowhere to be seen in a partition.
fn nothing_leaks_to_partitions() -> Outcome {
    const SECRET: u64 = 0x5ec2_e75e_c2e7_5ec2;
    let before: [u64; 48] = core::array::from_fn(|i| EL1_STATE.get(i).map_or(0, |p| (p.read)()));
    for p in EL1_STATE {
        (p.write)(SECRET & p.bits);
    }
    let checked = || -> Outcome {
        for id in [RELAY, PERCPU] {
            expect_none(id, command::REGS_LEAK, SECRET, "the Normal world's system registers are not visible:")?;
            let mut image = Simd { q: [SECRET; 64], control: [0, 0] };
            let r = simd::call([DIRECT_REQ_64, id, 0, command::SIMD_LEAK, SECRET, 0, 0, 0], &mut image);
            let [status, alike, ..] = sp::words(&r, id)?;
            expect("status of the look", status, 0)?;
            expect("SIMD registers that show the Normal world's", alike, 0)?;
        }
        Ok(())
    }();
    for (p, value) in EL1_STATE.iter().zip(before) {
        (p.write)(value);
    }
    checked
}

fn nothing_leaks_between_partitions() -> Outcome {
    // A secret for each direction: a partition may well see its own.
    for (from, to, secret) in [(RELAY, PERCPU, 0x0ddb_a110_0ddb_a110u64), (PERCPU, RELAY, 0x7a11_ba11_7a11_ba11)] {
        sp::command(from, command::REGS_FILL, [secret, 0, 0, 0])?;
        sp::command(from, command::SIMD_FILL, [secret, 0, 0, 0])?;
        // REGS_FILL adds a number to the pattern of each register.
        for i in 0..64u64 {
            let value = secret.wrapping_add(i.wrapping_mul(0x0101_0101_0101_0101));
            expect_none(to, command::REGS_LEAK, value, "another partition's system registers are not visible:")?;
        }
        for n in 0..32 {
            expect_none(to, command::SIMD_LEAK, secret + n, "another partition's SIMD registers are not visible:")?;
        }
    }
    Ok(())
}
