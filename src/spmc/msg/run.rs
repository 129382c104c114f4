// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_RUN` (DEN0077A, "FFA_RUN"): the caller lends its CPU to an execution context.

use ffa_abi::{Func, PartitionId, Regs};

use crate::hub::Route;
use crate::partition::{Entered, ExecutionContext, State};
use crate::refusal::Refusal;
use crate::routing::Use;
use crate::{Cpu, Next, Port, Spmc};

impl<P: Port> Spmc<P> {
    /// Finds the context that w1 names.
    fn target_of_run(&'static self, cpu: &Cpu<P>, w1: u64) -> Result<&'static ExecutionContext<P>, Refusal> {
        let id = PartitionId((w1 >> 16) as u16);
        let vcpu = w1 as u16;
        let partition = self.partitions.look_up(id).ok_or(Refusal::UnknownPartition)?;
        let context = partition.contexts().get(vcpu as usize).ok_or(Refusal::UnknownVcpu)?;
        if !context.may_run_on(cpu.index) {
            return Err(Refusal::OtherCpu);
        }
        if partition.standing.is_closed() && context.state() != State::Preempted {
            return Err(Refusal::TargetAborted);
        }
        Ok(context)
    }

    /// Takes FFA_RUN of a partition's context, which blocks until the target waits again, or of the Normal world (`None`):
    /// wakes a waiting context or, for the Normal world, resumes a preempted chain by its head.
    #[inline(never)]
    pub(crate) fn run(
        &'static self,
        cpu: &mut Cpu<P>,
        caller: Option<&'static ExecutionContext<P>>,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let [_, w1, ..] = regs.x;
        let target = self.target_of_run(cpu, w1)?;
        if let Some(caller) = caller {
            self.routing.check(caller.end(), target.end(), Use::Messages)?;
            caller.call().check_depth()?;
        }
        match target.state.try_move(State::Idle, State::Running) {
            Ok(()) => {}
            Err(State::Preempted) if caller.is_none() => return self.resume(cpu, target, regs),
            Err(state) => return Err(Refusal::of_state(state)),
        }
        self.begin_call(cpu, caller, target, (Entered::Run, Route::OPEN, PartitionId::NORMAL_WORLD), regs);
        // Its FFA_MSG_WAIT returns with FFA_RUN.
        target.name_in(Func::Run, regs);
        Ok(self.go_on(cpu, target, regs))
    }
}
