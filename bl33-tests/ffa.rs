// SPDX-License-Identifier: MIT OR Apache-2.0
//! FF-A calls from the Normal world. Numbers are typed as in DEN0077A, not taken from the SPMC's own crate: the
//! image is a second witness of the ABI.

use crate::harness::{Failure, Outcome, expect, expect_at};

unsafe extern "C" {
    fn smc18(regs: *mut [u64; 18]);
    fn timed_smc(regs: *mut [u64; 18]) -> u64;
    fn timed_nothing() -> u64;
}

/// The registers x0 to x7 of a call or reply.
pub type Regs8 = [u64; 8];
/// The registers x0 to x17 of a call or reply.
pub type Regs18 = [u64; 18];

pub use ids::*;

/// The SPMC's identifier.
pub const SPMC: u64 = 0x8000;
/// The partition that adds 0x1000 to x4 and returns the rest.
pub const ECHO: u64 = 0x8001;
/// The partition with one migratable context.
pub const RELAY: u64 = 0x8002;
/// The partition with a context per CPU.
pub const PERCPU: u64 = 0x8003;

/// Makes an SMC with every register given; returns every register.
pub fn smc18_call(mut regs: Regs18) -> Regs18 {
    // SAFETY: `smc.S` reads and writes these 18 words and keeps what AAPCS64 wants kept. The calls of these images
    // hand out only memory that Rust does not reference (`mem`).
    unsafe { smc18(&mut regs) };
    regs
}

/// Makes an SMC and counts the ticks of the counter around it, those of the counting itself taken off.
pub fn smc_ticks(regs: &mut Regs18) -> u64 {
    // SAFETY: as in `smc18_call`.
    unsafe { timed_smc(regs).saturating_sub(timed_nothing()) }
}

/// Makes an SMC with x8 to x17 zero; returns x0 to x7.
pub fn smc(args: Regs8) -> Regs8 {
    let r = smc18_call(with_high(args, [0; 10]));
    core::array::from_fn(|i| r[i])
}

fn with_high(args: Regs8, high: [u64; 10]) -> Regs18 {
    core::array::from_fn(|i| if i < 8 { args[i] } else { high[i - 8] })
}

/// Makes an FF-A call and checks that x8 to x17 come back exactly as they went.
pub fn call(args: Regs8) -> Result<Regs8, Failure> {
    let salt = args[0].rotate_left(32) ^ args[4];
    let high: [u64; 10] = core::array::from_fn(|i| salt ^ (0x0101_0101_0101_0101 * (i as u64 + 8)));
    let r = smc18_call(with_high(args, high));
    for (i, want) in high.iter().enumerate() {
        expect_at("preserved register x", i as u64 + 8, r[i + 8], *want)?;
    }
    Ok(core::array::from_fn(|i| r[i]))
}

/// Makes an FF-A call with up to seven arguments, the others 0.
pub fn call_with(fid: u64, args: &[u64]) -> Result<Regs8, Failure> {
    let mut regs = [0; 8];
    regs[0] = fid;
    for (r, a) in regs.iter_mut().skip(1).zip(args) {
        *r = *a;
    }
    call(regs)
}

/// Returns the status code of an `FFA_ERROR`, or `None` if it is not one.
pub fn error_code(r: &Regs8) -> Option<i32> {
    (r[0] as u32 == ERROR as u32).then_some(r[2] as u32 as i32)
}

/// Demands `FFA_ERROR` with this code and the other registers zero.
pub fn expect_error(r: &Regs8, code: i32) -> Outcome {
    expect("x0 (FFA_ERROR)", r[0], ERROR)?;
    expect("w2 (status code)", r[2] as u32 as u64, code as u32 as u64)?;
    expect("x1 of FFA_ERROR", r[1], 0)?;
    expect_zeros(r, 3)
}

/// Demands `FFA_SUCCESS` in its 32-bit form; returns w2.
pub fn expect_success(r: &Regs8) -> Result<u64, Failure> {
    if let Some(code) = error_code(r) {
        return Err(Failure::new("FFA_SUCCESS, got FFA_ERROR", SUCCESS_32, code as u32 as u64));
    }
    expect("x0 (FFA_SUCCESS)", r[0], SUCCESS_32)?;
    Ok(r[2])
}

/// Demands zero from x`from` to x7.
pub fn expect_zeros(r: &Regs8, from: usize) -> Outcome {
    for (i, v) in r.iter().enumerate().skip(from) {
        expect_at("reserved register x", i as u64, *v, 0)?;
    }
    Ok(())
}

/// Sends a direct request of the Normal world (id 0) to `to`, in 64 bits; returns the reply as it came.
pub fn direct64(to: u64, payload: [u64; 5]) -> Result<Regs8, Failure> {
    let [a, b, c, d, e] = payload;
    call([DIRECT_REQ_64, to, 0, a, b, c, d, e])
}

/// Sends a direct request in 32 bits.
pub fn direct32(to: u64, payload: [u64; 5]) -> Result<Regs8, Failure> {
    let [a, b, c, d, e] = payload;
    call([DIRECT_REQ_32, to, 0, a, b, c, d, e])
}

/// Asks echo and checks the whole answer; the proof that the system still works.
pub fn expect_echo(value: u64) -> Outcome {
    let r = direct64(ECHO, [!value, value, value << 7, value >> 3, 5])?;
    expect("x0 (DIRECT_RESP64)", r[0], DIRECT_RESP_64)?;
    expect("x1 (echo to 0)", r[1], ECHO << 16)?;
    expect("x2", r[2], 0)?;
    expect("x3", r[3], !value)?;
    expect("x4 (+ 0x1000)", r[4], value.wrapping_add(0x1000))?;
    expect("x5", r[5], value << 7)?;
    expect("x6", r[6], value >> 3)?;
    expect("x7", r[7], 5)
}

/// Function identifiers and status codes, by their names in DEN0077A.
#[allow(missing_docs, reason = "the names are the specification's")]
mod ids {
    pub const ERROR: u64 = 0x8400_0060;
    pub const SUCCESS_32: u64 = 0x8400_0061;
    pub const SUCCESS_64: u64 = 0xc400_0061;
    pub const INTERRUPT: u64 = 0x8400_0062;
    pub const VERSION: u64 = 0x8400_0063;
    pub const FEATURES: u64 = 0x8400_0064;
    pub const RX_RELEASE: u64 = 0x8400_0065;
    pub const RXTX_MAP_32: u64 = 0x8400_0066;
    pub const RXTX_MAP_64: u64 = 0xc400_0066;
    pub const RXTX_UNMAP: u64 = 0x8400_0067;
    pub const PARTITION_INFO_GET: u64 = 0x8400_0068;
    pub const ID_GET: u64 = 0x8400_0069;
    pub const MSG_WAIT: u64 = 0x8400_006b;
    pub const YIELD: u64 = 0x8400_006c;
    pub const RUN: u64 = 0x8400_006d;
    pub const DIRECT_REQ_32: u64 = 0x8400_006f;
    pub const DIRECT_REQ_64: u64 = 0xc400_006f;
    pub const DIRECT_RESP_32: u64 = 0x8400_0070;
    pub const DIRECT_RESP_64: u64 = 0xc400_0070;
    pub const MEM_DONATE_32: u64 = 0x8400_0071;
    pub const MEM_DONATE_64: u64 = 0xc400_0071;
    pub const MEM_LEND_32: u64 = 0x8400_0072;
    pub const MEM_LEND_64: u64 = 0xc400_0072;
    pub const MEM_SHARE_32: u64 = 0x8400_0073;
    pub const MEM_SHARE_64: u64 = 0xc400_0073;
    pub const MEM_RETRIEVE_REQ_32: u64 = 0x8400_0074;
    pub const MEM_RETRIEVE_REQ_64: u64 = 0xc400_0074;
    pub const MEM_RETRIEVE_RESP: u64 = 0x8400_0075;
    pub const MEM_RELINQUISH: u64 = 0x8400_0076;
    pub const MEM_RECLAIM: u64 = 0x8400_0077;
    pub const MEM_FRAG_RX: u64 = 0x8400_007a;
    pub const MEM_FRAG_TX: u64 = 0x8400_007b;
    pub const NORMAL_WORLD_RESUME: u64 = 0x8400_007c;
    pub const NOTIFICATION_BITMAP_CREATE: u64 = 0x8400_007d;
    pub const NOTIFICATION_BITMAP_DESTROY: u64 = 0x8400_007e;
    pub const NOTIFICATION_BIND: u64 = 0x8400_007f;
    pub const NOTIFICATION_UNBIND: u64 = 0x8400_0080;
    pub const NOTIFICATION_SET: u64 = 0x8400_0081;
    pub const NOTIFICATION_GET: u64 = 0x8400_0082;
    pub const NOTIFICATION_INFO_GET_32: u64 = 0x8400_0083;
    pub const NOTIFICATION_INFO_GET_64: u64 = 0xc400_0083;
    pub const RX_ACQUIRE: u64 = 0x8400_0084;
    pub const SPM_ID_GET: u64 = 0x8400_0085;
    pub const MSG_SEND2: u64 = 0x8400_0086;
    pub const CONSOLE_LOG_32: u64 = 0x8400_008a;
    pub const PARTITION_INFO_GET_REGS: u64 = 0xc400_008b;
    pub const DIRECT_REQ2: u64 = 0xc400_008d;
    pub const DIRECT_RESP2: u64 = 0xc400_008e;

    pub const NOT_SUPPORTED: i32 = -1;
    pub const INVALID_PARAMETERS: i32 = -2;
    pub const NO_MEMORY: i32 = -3;
    pub const BUSY: i32 = -4;
    pub const INTERRUPTED: i32 = -5;
    pub const DENIED: i32 = -6;
    pub const RETRY: i32 = -7;
    pub const ABORTED: i32 = -8;
    pub const NO_DATA: i32 = -9;
    pub const NOT_READY: i32 = -10;
}
