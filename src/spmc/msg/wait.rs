// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MSG_WAIT` (DEN0077A, "FFA_MSG_WAIT"): a partition is ready, or done with what it was run for.

use ffa_abi::{Func, Regs, Version};

use crate::partition::{Entered, ExecutionContext, Partition};
use crate::{Cpu, Next, Port, Spmc};

/// Bit 0 of w2, from v1.2 on: the caller keeps its RX buffer.
const RETAIN_RX: u64 = 1 << 0;

impl<P: Port> Spmc<P> {
    /// Takes FFA_MSG_WAIT; the run-time model has allowed it.
    pub(crate) fn msg_wait(
        &'static self,
        cpu: &mut Cpu<P>,
        partition: &Partition<P>,
        context: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Next<P> {
        let call = context.call();
        let [_, _, flags, ..] = regs.x;
        let retains = flags & RETAIN_RX != 0 && partition.version() >= Version::V1_2;
        self.wait_releases(cpu, partition, retains);
        if call.entered() == Entered::Init {
            context.set_ready(true);
        }
        self.rest(cpu, context, call, regs);
        match call.entered() {
            Entered::Init => self.after_start(cpu, context, regs),
            Entered::Interrupt => self.after_interrupt(cpu, call, regs),
            Entered::Run | Entered::Direct32 | Entered::Direct64 | Entered::Direct2 | Entered::Framework => {
                context.name_in(Func::MsgWait, regs);
                self.go_back(cpu, call, regs)
            }
        }
    }
}
