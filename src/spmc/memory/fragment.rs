// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MEM_FRAG_TX` and `FFA_MEM_FRAG_RX` (DEN0077A v1.1, sections 16.9 and 16.10).

use ffa_abi::memory::{Form, RANGE_SIZE};
use ffa_abi::{Func, PartitionId, Regs};

use super::send::{Chunk, HEAD};
use super::table::{Held, Kind, Phase};
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
        let mut t = self.memory.table.find(handle(regs))?;
        if !caller.is(t.sender) {
            return Err(Refusal::MemHandle);
        }
        if t.phase != Phase::Sending {
            return Err(Refusal::MemHalfSent);
        }
        check_owner(owner, t.sender)?;
        let outcome = self.next_fragment(&caller, len as u32, &mut t);
        let outcome = outcome.and_then(|()| self.complete_or_ask(&caller, &mut t, regs));
        if outcome.is_err() {
            self.memory.table.close(self.port, t);
        }
        outcome
    }

    fn next_fragment(&self, caller: &Caller<'_, P>, len: u32, t: &mut Held<'_>) -> Result<(), Refusal> {
        if len == 0 || len as usize % RANGE_SIZE != 0 {
            return Err(Refusal::MemLength);
        }
        t.offset = t.offset.checked_add(len).ok_or(Refusal::MemLength)?;
        self.take_rest(t, &mut self.reader(caller, len))
    }

    /// Tells the next ranges of a retrieve response.
    pub(super) fn fragment_rx(&self, caller: Caller<'_, P>, regs: &mut Regs) -> Result<(), Refusal> {
        let [_, _, _, offset, owner, ..] = regs.x;
        let mut t = self.memory.table.find(handle(regs))?;
        let next = match caller {
            Caller::Normal => t.hypervisor_next,
            Caller::Partition(p) => t.receiver(p.id()).ok_or(Refusal::MemHandle)?.next,
        };
        check_owner(owner, t.sender)?;
        if next >= t.ranges.len() {
            return Err(Refusal::MemFragment);
        }
        let start = Form::of(self.version_of(&caller)).composite(caller.told_of(&t)) + RANGE_SIZE;
        let expected = start as u64 + u64::from(next) * RANGE_SIZE as u64;
        if u64::from(offset as u32) != expected {
            return Err(Refusal::MemFragment);
        }
        let (told, bytes) = self.tell_ranges(&caller, &t, &mut Chunk([0; HEAD]), 0, next)?;
        let (low, high) = t.handle().words();
        let owner = if matches!(caller, Caller::Normal) { u64::from(t.sender.0) << 16 } else { 0 };
        regs.set8([Func::MemFragTx.id32().into(), low.into(), high.into(), bytes, owner, 0, 0, 0]);
        self.told(caller, t, told);
        Ok(())
    }

    /// Notes which range has to be told next; a donation ends when its receiver knows all.
    pub(super) fn told(&self, caller: Caller<'_, P>, mut t: Held<'_>, next: u32) {
        let all = next >= t.ranges.len();
        match caller {
            Caller::Normal => t.hypervisor_next = if all { u32::MAX } else { next },
            Caller::Partition(p) => {
                if let Some(receiver) = t.receiver(p.id()) {
                    receiver.next = if all { u32::MAX } else { next };
                }
                if all && t.kind == Kind::Donate {
                    self.memory.table.close(self.port, t);
                }
            }
        }
    }
}
