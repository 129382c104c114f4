// SPDX-License-Identifier: MIT OR Apache-2.0
//! Direct messages from the Normal world, good and bad.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome, expect, expect_at, expect_that};
use bl33::mode;
use bl33::time::Random;

pub(crate) const CASES: &[Case] = &[
    Case::new("direct::payloads_64", payloads_64),
    Case::new("direct::payloads_32", payloads_32),
    Case::new("direct::every_register_of_the_reply", every_register_of_the_reply),
    Case::new("direct::bad_destinations", bad_destinations),
    Case::new("direct::to_the_spmc", to_the_spmc),
    Case::new("direct::to_self", to_self),
    Case::new("direct::secure_sources", secure_sources),
    Case::new("direct::for_vms", for_vms),
    Case::new("direct::reserved_w2", reserved_w2),
    Case::new("direct::framework_messages", framework_messages),
    Case::new("direct::response_without_request", response_without_request),
    Case::new("direct::sve_hint", sve_hint),
    Case::new("direct::one_after_the_other", one_after_the_other),
    Case::new("direct::req2_round_trip", req2_round_trip),
    Case::new("direct::req2_refused", req2_refused),
];

fn payloads_64() -> Outcome {
    for value in [0, 1, 0xbbbb, 0x7fff_ffff, 0xffff_ffff, 1 << 63, u64::MAX, 0x8400_006f, 0x0e10_0000] {
        expect_echo(value)?;
    }
    let mut random = Random::new(0x6400);
    for _ in 0..64 {
        expect_echo(random.draw())?;
    }
    Ok(())
}

fn payloads_32() -> Outcome {
    let mut random = Random::new(0x3200);
    for _ in 0..64 {
        let [a, b, c, d, e]: [u64; 5] = core::array::from_fn(|_| random.draw() & 0xffff_ffff);
        let r = direct32(ECHO, [a, b, c, d, e])?;
        let sum = (b + 0x1000) & 0xffff_ffff;
        let want = [DIRECT_RESP_32, ECHO << 16, 0, a, sum, c, d, e];
        for (x, (got, want)) in r.iter().zip(want).enumerate() {
            expect_at("low half of x", x as u64, got & 0xffff_ffff, want)?;
        }
    }
    Ok(())
}

fn every_register_of_the_reply() -> Outcome {
    let mut random = Random::new(0x1717);
    for _ in 0..64 {
        let mut regs: Regs18 = core::array::from_fn(|_| random.draw());
        regs[0] = DIRECT_REQ_64;
        regs[1] = ECHO;
        regs[2] = 0;
        let r = smc18_call(regs);
        regs[0] = DIRECT_RESP_64;
        regs[1] = ECHO << 16;
        regs[4] = regs[4].wrapping_add(0x1000);
        for (x, (got, want)) in r.iter().zip(regs).enumerate() {
            expect_at("x", x as u64, *got, want)?;
        }
    }
    Ok(())
}

fn bad_destinations() -> Outcome {
    for fid in [DIRECT_REQ_32, DIRECT_REQ_64] {
        for to in [0x8000 | 0x7ffe, 0x8100, 0x8040, 0x8010, 0x9abc, 0xfffe, 0x7fff, 0x0001, 0x0100] {
            let r = call([fid, to, 0, 1, 2, 3, 4, 5])?;
            expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(to))?;
        }
        // SPMD itself, which takes no messages from the Normal world.
        let r = call([fid, 0xffff, 0, 1, 2, 3, 4, 5])?;
        expect_that("to SPMD is an error, got w0", error_code(&r).is_some(), r[0])?;
    }
    expect_echo(1)
}

fn to_the_spmc() -> Outcome {
    for fid in [DIRECT_REQ_32, DIRECT_REQ_64] {
        let r = call([fid, SPMC, 0, 1, 2, 3, 4, 5])?;
        expect_error(&r, INVALID_PARAMETERS)?;
    }
    Ok(())
}

fn to_self() -> Outcome {
    for fid in [DIRECT_REQ_32, DIRECT_REQ_64] {
        let r = call([fid, 0, 0, 1, 2, 3, 4, 5])?;
        expect_error(&r, INVALID_PARAMETERS)?;
        let r = call([fid, 5 << 16 | 5, 0, 1, 2, 3, 4, 5])?;
        expect_error(&r, INVALID_PARAMETERS)?;
    }
    Ok(())
}

fn secure_sources() -> Outcome {
    for fid in [DIRECT_REQ_32, DIRECT_REQ_64] {
        for from in [0x8000, 0x8001, 0x8002, 0x8003, 0xabcd, 0xffff] {
            let r = call([fid, from << 16 | ECHO, 0, 1, 2, 3, 4, 5])?;
            expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(from))?;
        }
    }
    expect_echo(2)
}

/// A hypervisor sends on behalf of its VMs: whatever non-secure id it names gets the answer.
fn for_vms() -> Outcome {
    for vm in [1, 2, 0x7f, 0x7fff] {
        let r = call([DIRECT_REQ_64, vm << 16 | ECHO, 0, 1, 2, 3, 4, 5])?;
        expect_at("x0 for VM", vm, r[0], DIRECT_RESP_64)?;
        expect_at("x1 for VM", vm, r[1], ECHO << 16 | vm)?;
        expect_at("x4 for VM", vm, r[4], 0x1002)?;
    }
    Ok(())
}

fn reserved_w2() -> Outcome {
    for fid in [DIRECT_REQ_32, DIRECT_REQ_64] {
        for bit in 0..31 {
            let r = call([fid, ECHO, 1 << bit, 1, 2, 3, 4, 5])?;
            expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(bit))?;
        }
    }
    expect_echo(3)
}

fn framework_messages() -> Outcome {
    for fid in [DIRECT_REQ_32, DIRECT_REQ_64] {
        for message in [0, 1, 2, 3, 5, 7, 8, 9, 0xff] {
            for to in [ECHO, SPMC] {
                let r = call([fid, to, 1 << 31 | message, 0x8400_0002, 0, 0, 0, 0])?;
                expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(message))?;
            }
        }
        // The SPMD's own messages, forged.
        for message in [0, 1, 8] {
            let r = call([fid, 0xffff << 16 | SPMC, 1 << 31 | message, 0x8400_0002, 0, 0, 0, 0])?;
            expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(message))?;
        }
        // A VM came or went: a hypervisor's to say, but echo did not ask for it.
        for message in [4, 6] {
            let r = call([fid, ECHO, 1 << 31 | message, 0, 0, 5, 0, 0])?;
            expect_that("a VM message to echo is an error, got w0", error_code(&r).is_some(), r[0])?;
        }
    }
    expect_echo(4)
}

fn response_without_request() -> Outcome {
    for fid in [DIRECT_RESP_32, DIRECT_RESP_64, DIRECT_RESP2] {
        for ids in [ECHO, ECHO << 16, SPMC, SPMC << 16 | 0xffff, 0] {
            let r = call([fid, ids, 0, 1, 2, 3, 4, 5])?;
            let code = error_code(&r).unwrap_or(0);
            expect_that(
                "a response from the Normal world is NOT_SUPPORTED or DENIED, got",
                code == NOT_SUPPORTED || code == DENIED,
                code as u32 as u64,
            )?;
        }
    }
    expect_echo(5)
}

fn one_after_the_other() -> Outcome {
    for i in 0..mode::rounds(200, 1000, 100_000) {
        let r = direct64(ECHO, [i, i << 20, !i, 0, 1])?;
        expect("x0", r[0], DIRECT_RESP_64)?;
        expect("x4", r[4], (i << 20) + 0x1000)?;
        expect("x5", r[5], !i)?;
    }
    Ok(())
}

/// The partition's property bit that says that it takes `DIRECT_REQ2`, and its UUID as x2 and x3 carry it.
fn service(id: u64) -> (bool, [u64; 2]) {
    let mut regs = [0; 18];
    regs[0] = PARTITION_INFO_GET_REGS;
    let r = smc18_call(regs);
    let (found, _) = r[3..].as_chunks::<3>();
    let own = found.iter().find(|d| d[0] & 0xffff == id).copied().unwrap_or_default();
    (own[0] >> (32 + 9) & 1 != 0, [own[1], own[2]])
}

fn req2(to: u64, uuid: [u64; 2], random: &mut Random) -> (Regs18, Regs18) {
    let mut regs: Regs18 = core::array::from_fn(|_| random.draw());
    regs[0] = DIRECT_REQ2;
    regs[1] = to;
    regs[2] = uuid[0];
    regs[3] = uuid[1];
    (regs, smc18_call(regs))
}

/// All of x4 to x17 go there and come back, by the partition's UUID and by the nil one.
fn req2_round_trip() -> Outcome {
    let mut random = Random::new(0xd2d2);
    let (takes, uuid) = service(ECHO);
    expect_that("echo takes DIRECT_REQ2", takes, ECHO)?;
    for uuid in [uuid, [0, 0]] {
        for _ in 0..16 {
            let (sent, got) = req2(ECHO, uuid, &mut random);
            let mut want = sent;
            want[0] = DIRECT_RESP2;
            want[1] = ECHO << 16;
            want[2] = 0;
            want[3] = 0;
            want[4] = sent[4].wrapping_add(0x1000);
            for (x, (got, want)) in got.into_iter().zip(want).enumerate() {
                expect_at("x", x as u64, got, want)?;
            }
        }
    }
    Ok(())
}

/// Refusals say why in x0 to x7 and leave the payload's registers from x8 on alone.
fn req2_refused() -> Outcome {
    let mut random = Random::new(0xbad2);
    let (_, [low, high]) = service(ECHO);
    for (to, uuid) in [
        (ECHO, [low ^ 1, high]),
        (ECHO, [0x1111, 0x2222]),
        (0x9abc, [0, 0]),
        (SPMC, [0, 0]),
        (0x8001 << 16 | ECHO, [0, 0]),
    ] {
        let (sent, got) = req2(to, uuid, &mut random);
        expect_error(&core::array::from_fn(|x| got[x]), INVALID_PARAMETERS).map_err(|f| f.at(to))?;
        for x in 8..18 {
            expect_at("preserved by an error: x", x as u64, got[x], sent[x])?;
        }
    }
    expect_echo(8)
}

/// Bit 16 of a function id says that the caller has no live SVE state (SMCCC v1.3): a hint, not another call.
fn sve_hint() -> Outcome {
    const HINT: u64 = 1 << 16;
    let r = call([DIRECT_REQ_64 | HINT, ECHO, 0, 3, 0xbbbb, 5, 6, 7])?;
    expect_that("echo's answer", r == [DIRECT_RESP_64, ECHO << 16, 0, 3, 0xcbbb, 5, 6, 7], r[0])?;
    let r = call([DIRECT_REQ_32 | HINT, ECHO, 0, 3, 0xbbbb, 5, 6, 7])?;
    expect_that("echo's answer", r == [DIRECT_RESP_32, ECHO << 16, 0, 3, 0xcbbb, 5, 6, 7], r[0])?;
    expect_success(&call_with(FEATURES | HINT, &[DIRECT_REQ_64])?)?;
    // From a partition, too.
    let r = bl33::sp::raw(RELAY, bl33::sp::Conduit::Smc, [ID_GET | HINT, 0, 0, 0, 0, 0, 0, 0])?;
    expect_that("FFA_ID_GET with the hint", r == [SUCCESS_32, 0, RELAY, 0], r[0])?;
    let ids = RELAY << 16 | ECHO;
    let r = bl33::sp::raw(RELAY, bl33::sp::Conduit::Smc, [DIRECT_REQ_64 | HINT, ids, 0, 0, 0, 0, 0, 0])?;
    expect("a direct request with the hint", r[0], DIRECT_RESP_64)
}
