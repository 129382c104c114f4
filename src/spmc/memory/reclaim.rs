// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MEM_RECLAIM` (DEN0077A v1.1, section 16.7).

use ffa_abi::Regs;
use ffa_abi::memory::Flags;

use super::table::Phase;
use super::{Caller, zero_flag};
use crate::refusal::Refusal;
use crate::{Port, Spmc};

impl<P: Port> Spmc<P> {
    /// Gives the owner back what nobody has mapped any more.
    pub(super) fn reclaim(&self, caller: Caller<'_, P>, regs: &Regs) -> Result<(), Refusal> {
        let [_, _, _, flags, ..] = regs.x;
        let zero = zero_flag(Flags(flags as u32))?;
        let t = self.find_sent(&caller, regs, Phase::Open)?;
        if t.is_retrieved() {
            return Err(Refusal::MemRetrieved);
        }
        if zero {
            self.zero(&t)?;
        }
        self.restore(&caller, &t);
        self.memory.table.close(self.port, t);
        Ok(())
    }
}
