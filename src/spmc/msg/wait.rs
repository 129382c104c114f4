// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MSG_WAIT` (DEN0077A, "FFA_MSG_WAIT"): a partition is ready, or done with what it was run for.

use ffa_abi::{Func, Regs, Version};

use crate::partition::{Entered, ExecutionContext, State};
use crate::refusal::Refusal;
use crate::{Cpu, Next, Port, Spmc};

/// Bit 0 of w2, from v1.2 on: the caller keeps its RX buffer.
const RETAIN_RX: u64 = 1 << 0;

impl<P: Port> Spmc<P> {
    /// Takes FFA_MSG_WAIT; the run-time model has allowed it.
    pub(crate) fn msg_wait(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let partition = self.partitions.get(context.partition as usize).ok_or(Refusal::UnknownPartition)?;
        let call = context.call();
        let [_, _, flags, ..] = regs.x;
        let retains = flags & RETAIN_RX != 0 && partition.version() >= Version::V1_2;
        self.wait_releases(cpu, partition, retains);
        if call.entered() == Entered::Init {
            self.port.park(context.context(), regs);
            context.set_ready(true);
            self.port.queue_interrupts(context.context(), context.is_queued());
            let _ = context.state.try_move(State::Starting, State::Idle);
            cpu.deferred |= context.interrupts.any();
            return Ok(match context.take_restart() {
                Some(call) => self.resume_after(cpu, call, regs),
                None => self.continue_start(cpu, regs),
            });
        }
        self.rest(cpu, context, call, regs);
        if call.entered() == Entered::Interrupt {
            return Ok(self.after_interrupt(cpu, call, regs));
        }
        regs.set8([Func::MsgWait.id32() as u64, context.target_word(), 0, 0, 0, 0, 0, 0]);
        Ok(self.go_back(cpu, call, regs))
    }
}
