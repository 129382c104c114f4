// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory management from the Normal world: descriptors laid out word by word as DEN0077A draws them (v1.1, tables
//! 10.13 to 10.20; v1.0 and v1.2 where they differ), independently of the SPMC's own encoders.

use core::sync::atomic::{AtomicBool, Ordering::*};

use crate::ffa::*;
use crate::harness::{Failure, Outcome, expect};
use crate::mem::{self, RX, TX};
use crate::sp;

/// Data access: read-only, read-write.
pub const READ_ONLY: u64 = 1;
/// Data access: read-write.
pub const READ_WRITE: u64 = 2;
/// Instruction access: execute never.
pub const NEVER_EXECUTE: u64 = 4;
/// Normal, write-back, inner shareable memory.
pub const NORMAL: u64 = 0x2f;
/// The tag of every descriptor of these tests.
pub const TAG: u64 = 0x7a67;
/// Flag of a retrieve request: the other borrowers are not listed.
pub const BYPASS: u64 = 1 << 10;

/// The form of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Header of 32 bytes.
    V1_0,
    /// Header of 48 bytes, access descriptors of 16.
    V1_1,
    /// Header of 48 bytes, access descriptors of 32.
    V1_2,
}

/// A transaction descriptor to be sent.
#[derive(Clone, Copy)]
pub struct Send<'a> {
    /// The receivers and what access they get.
    pub receivers: &'a [(u64, u64)],
    /// Addresses and page counts.
    pub ranges: &'a [(u64, u64)],
    /// Memory region attributes.
    pub attributes: u64,
    /// Flags.
    pub flags: u64,
    /// In which form.
    pub form: Form,
}

impl<'a> Send<'a> {
    /// A share with one receiver.
    pub const fn new(receivers: &'a [(u64, u64)], ranges: &'a [(u64, u64)]) -> Self {
        Self { receivers, ranges, attributes: NORMAL, flags: 0, form: Form::V1_1 }
    }

    /// Where the composite descriptor begins.
    pub const fn composite(&self) -> u64 {
        let (header, access) = match self.form {
            Form::V1_0 => (32, 16),
            Form::V1_1 => (48, 16),
            Form::V1_2 => (48, 32),
        };
        header + access * self.receivers.len() as u64
    }

    /// Lays the descriptor out at `at`; returns its length.
    pub fn lay(&self, at: u64) -> u64 {
        let mut w = Writer(at);
        w.put(self.attributes << 16 | self.flags << 32);
        w.put(0);
        w.put(TAG);
        let count = self.receivers.len() as u64;
        match self.form {
            Form::V1_0 => w.put(count << 32),
            Form::V1_1 | Form::V1_2 => {
                w.put(if self.form == Form::V1_1 { 16 } else { 32 } | count << 32);
                w.put(48);
                w.put(0);
            }
        }
        for &(id, access) in self.receivers {
            w.put(id | access << 16 | self.composite() << 32);
            w.put(0);
            if self.form == Form::V1_2 {
                w.put(0);
                w.put(0);
            }
        }
        let pages: u64 = self.ranges.iter().map(|r| r.1).sum();
        w.put(pages | (self.ranges.len() as u64) << 32);
        w.put(0);
        for &(address, pages) in self.ranges {
            w.put(address);
            w.put(pages);
        }
        w.0 - at
    }
}

struct Writer(u64);

impl Writer {
    fn put(&mut self, word: u64) {
        mem::put(self.0, word);
        self.0 += 8;
    }
}

static BUFFERS: AtomicBool = AtomicBool::new(false);

/// Does something while no other CPU uses the Normal world's buffers.
pub fn with_buffers<T>(act: impl FnOnce() -> T) -> T {
    while BUFFERS.swap(true, Acquire) {
        core::hint::spin_loop();
    }
    let result = act();
    BUFFERS.store(false, Release);
    result
}

/// Takes the handle out of the success of a send.
pub fn handle_of(r: &Regs8) -> Result<u64, Failure> {
    expect_success(r)?;
    expect("x1 of the success", r[1], 0)?;
    expect_zeros(r, 4)?;
    Ok((r[2] & 0xffff_ffff) | r[3] << 32)
}

/// Sends a descriptor whole by the call `fid`; returns the reply.
pub fn send_raw(fid: u64, send: &Send<'_>) -> Result<Regs8, Failure> {
    with_buffers(|| {
        let len = send.lay(TX);
        call_with(fid, &[len, len])
    })
}

/// Sends a descriptor that must be taken; returns the handle.
pub fn send(fid: u64, descriptor: &Send<'_>) -> Result<u64, Failure> {
    handle_of(&send_raw(fid, descriptor)?)
}

/// Shares pages with one partition, read-write.
pub fn share(to: u64, address: u64, pages: u64) -> Result<u64, Failure> {
    send(MEM_SHARE_64, &Send::new(&[(to, READ_WRITE)], &[(address, pages)]))
}

/// Lends pages to one partition, read-write.
pub fn lend(to: u64, address: u64, pages: u64) -> Result<u64, Failure> {
    let (receivers, ranges) = ([(to, READ_WRITE)], [(address, pages)]);
    send(MEM_LEND_64, &Send { attributes: 0, ..Send::new(&receivers, &ranges) })
}

/// Takes memory back; returns the reply.
pub fn reclaim_raw(handle: u64, flags: u64) -> Result<Regs8, Failure> {
    call_with(MEM_RECLAIM, &[handle & 0xffff_ffff, handle >> 32, flags])
}

/// Takes memory back, which must succeed.
pub fn reclaim(handle: u64) -> Outcome {
    let r = reclaim_raw(handle, 0)?;
    expect("w2 of the reclaim", expect_success(&r)?, 0)?;
    expect_zeros(&r, 3)
}

/// Lets a partition retrieve what the Normal world sent; returns pages, ranges, first address, ticks.
pub fn retrieve(by: u64, handle: u64, access: u64, flags: u64) -> Result<[u64; 4], Failure> {
    sp::command(by, sp::command::RETRIEVE, [handle, access << 16, TAG, flags])
}

/// Lets a partition retrieve, which must fail with this code.
pub fn retrieve_refused(by: u64, handle: u64, access: u64, flags: u64, code: i32) -> Outcome {
    refused(by, sp::command::RETRIEVE, [handle, access << 16, TAG, flags], code)
}

/// Demands that the call a partition makes for a command is refused with this code.
pub fn refused(by: u64, command: u64, args: [u64; 4], code: i32) -> Outcome {
    let [status, got, ..] = sp::try_command(by, command, args)?;
    expect("status of a command that must be refused", status, sp::status::FFA_ERROR)?;
    expect("its code", got as u32 as u64, code as u32 as u64)
}

/// Lets a partition relinquish.
pub fn relinquish(by: u64, handle: u64, flags: u64) -> Outcome {
    sp::command(by, sp::command::RELINQUISH, [handle, flags, 0, 0]).map(|_| ())
}

/// Asks for the description of a transaction as a hypervisor does; returns the reply. RX is the caller's then.
pub fn describe_raw(handle: u64, sender: u64) -> Result<Regs8, Failure> {
    let mut w = Writer(TX);
    w.put(sender);
    w.put(handle);
    (0..4).for_each(|_| w.put(0));
    call_with(MEM_RETRIEVE_REQ_64, &[48, 48])
}

/// Word `n` of the RX buffer.
pub fn rx(n: u64) -> u64 {
    mem::get(RX + 8 * n)
}
