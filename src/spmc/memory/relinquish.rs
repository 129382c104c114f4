// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MEM_RELINQUISH` (DEN0077A v1.1, section 16.6), and what becomes of loans when a partition dies.

use ffa_abi::memory::{Data, Relinquish};

use super::table::{Held, Kind, Phase};
use super::{Caller, zero_flag};
use crate::partition::Partition;
use crate::refusal::Refusal;
use crate::stage2::Change;
use crate::{Port, Spmc};

impl<P: Port> Spmc<P> {
    /// Unmaps what the caller retrieved: when this returns no CPU can reach it through the caller's tables.
    pub(super) fn relinquish(&self, caller: Caller<'_, P>) -> Result<(), Refusal> {
        let mut request = [0; Relinquish::SIZE];
        let len = Relinquish::SIZE as u32;
        let request = Relinquish::decode(self.reader(&caller, len).read(self.port, &mut request)?)?;
        let zero = zero_flag(request.flags)?;
        // The Normal world never is a receiver.
        let Caller::Partition(partition) = caller else { return Err(Refusal::MemReceiver) };
        if request.endpoint != partition.id() {
            return Err(Refusal::ForgedSource);
        }
        let mut t = self.memory.table.find(request.handle)?;
        let receiver = *t.receiver(partition.id()).ok_or(Refusal::MemReceiver)?;
        if !receiver.has_retrieved() || t.kind == Kind::Donate {
            return Err(Refusal::MemNotRetrieved);
        }
        if zero && t.kind == Kind::Share {
            return Err(Refusal::MemZeroShared);
        }
        if zero && receiver.mapped != Data::ReadWrite {
            return Err(Refusal::MemZeroReadOnly);
        }
        t.zero_after |= zero;
        self.give_up(partition, t);
        Ok(())
    }

    /// Unmaps a receiver's pages; zeroes them once nobody has them, if anybody wanted that; closes the transaction
    /// if its owner is dead.
    fn give_up(&self, partition: &Partition<P>, mut t: Held<'_>) {
        self.rewrite(&Caller::Partition(partition), &t, &Change::Forget);
        if let Some(receiver) = t.receiver(partition.id()) {
            receiver.mapped = Data::NotSpecified;
            receiver.untold = 0;
        }
        if t.is_retrieved() {
            return;
        }
        if core::mem::take(&mut t.zero_after) && self.zero(&t).is_err() {
            // Only memory that the Normal world has put out of our reach meanwhile: it keeps what it took.
            self.port.log(format_args!("memory {} could not be zeroed after its relinquish", t.handle()));
        }
        if t.phase == Phase::Orphaned {
            if let Some(owner) = self.owner_of(&t) {
                self.restore(&owner, &t);
            }
            self.memory.table.close(self.port, t);
        }
    }

    /// Settles the loans of a partition that has died or is about to restart: what it borrowed is given up, what it
    /// half sent is dropped, what it lent comes back when the last receiver relinquishes.
    pub(crate) fn release_memory(&self, partition: &Partition<P>) {
        for mut t in self.memory.table.each() {
            if t.receiver(partition.id()).is_some_and(|r| r.has_retrieved()) {
                if t.kind == Kind::Donate {
                    // The memory is its own; only the rest of the response is never asked for.
                    self.memory.table.close(self.port, t);
                } else {
                    self.give_up(partition, t);
                }
            } else if t.sender == partition.id() {
                match t.phase {
                    Phase::Sending => self.memory.table.close(self.port, t),
                    Phase::Open if t.is_retrieved() => {
                        // The receiver of a donation owns it: nothing comes back.
                        if t.kind != Kind::Donate {
                            t.phase = Phase::Orphaned;
                        }
                    }
                    Phase::Open => {
                        self.restore(&Caller::Partition(partition), &t);
                        self.memory.table.close(self.port, t);
                    }
                    Phase::Orphaned | Phase::Free => {}
                }
            }
        }
    }
}
