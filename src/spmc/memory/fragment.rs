// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MEM_FRAG_TX` and `FFA_MEM_FRAG_RX` (DEN0077A v1.1, sections 16.9 and 16.10).

use ffa_abi::memory::{Form, RANGE_SIZE};
use ffa_abi::{Func, PartitionId, Regs};

use super::send::Chunk;
use super::table::{Held, Kind, Phase, Transaction};
use super::{Caller, handle};
use crate::refusal::Refusal;
use crate::{Port, Spmc};

/// Checks w4 of both calls: the owner's id in bits 31:16, from a caller that speaks for several; else zero.
fn check_owner(word: u64, owner: PartitionId) -> Result<(), Refusal> {
    let word = word as u32;
    let named = word >> 16;
    if word & 0xffff != 0 || named != 0 && named != u32::from(owner.0) {
        return Err(Refusal::MemFragment);
    }
    Ok(())
}

impl<P: Port> Spmc<P> {
    /// Takes the next fragment of a descriptor. A fragment that is wrong in itself ends the transaction.
    pub(super) fn fragment_tx(&self, caller: Caller<'_, P>, regs: &mut Regs) -> Result<(), Refusal> {
        let [_, _, _, len, owner, ..] = regs.x;
        let mut t = self.find_sent(&caller, regs, Phase::Sending)?;
        check_owner(owner, t.sender)?;
        let taken = self.next_fragment(&caller, len as u32, &mut t);
        self.proceed(&caller, t, taken, regs)
    }

    fn next_fragment(&self, caller: &Caller<'_, P>, len: u32, t: &mut Transaction) -> Result<(), Refusal> {
        if len == 0 || len as usize % RANGE_SIZE != 0 {
            return Err(Refusal::MemLength);
        }
        t.offset = t.offset.checked_add(len).ok_or(Refusal::MemLength)?;
        let mut chunk = Chunk::ZERO;
        self.take_rest(t, &mut self.reader(caller, len), &mut chunk)
    }

    /// Tells the next ranges of a retrieve response.
    pub(super) fn fragment_rx(&self, caller: Caller<'_, P>, regs: &mut Regs) -> Result<(), Refusal> {
        let [_, _, _, offset, owner, ..] = regs.x;
        let mut t = self.memory.table.find(handle(regs))?;
        let untold = *t.untold_to(&caller).ok_or(Refusal::MemHandle)?;
        check_owner(owner, t.sender)?;
        if untold == 0 {
            return Err(Refusal::MemFragment);
        }
        let next = t.ranges.len() - untold;
        let start = Form::of(self.version_of(&caller)).composite(caller.told_of(&t)) + RANGE_SIZE;
        let expected = start as u64 + u64::from(next) * RANGE_SIZE as u64;
        if u64::from(offset as u32) != expected {
            return Err(Refusal::MemFragment);
        }
        let mut chunk = Chunk::ZERO;
        let bytes = self.tell_ranges(&caller, &mut t, &mut chunk, 0, next)?;
        let (low, high) = t.handle().words();
        let owner = if matches!(caller, Caller::Normal) { u64::from(t.sender.0) << 16 } else { 0 };
        regs.set8([Func::MemFragTx.id32().into(), low.into(), high.into(), bytes, owner, 0, 0, 0]);
        self.end_if_told(t);
        Ok(())
    }

    /// Ends a donation whose receiver has it, and knows all of it.
    pub(super) fn end_if_told(&self, t: Held<'_>) {
        let told = t.receivers().iter().all(|r| r.has_retrieved() && r.untold == 0);
        if told && t.kind == Kind::Donate {
            self.memory.table.close(self.port, t);
        }
    }
}
