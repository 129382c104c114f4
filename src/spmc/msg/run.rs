// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_RUN` (DEN0077A, "FFA_RUN"): the caller lends its CPU to an execution context.

use ffa_abi::{Func, PartitionId, Regs};

use super::CHAIN_MAX;
use crate::hub::Route;
use crate::partition::{Call, Entered, ExecutionContext, State};
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

    /// Takes FFA_RUN from the Normal world: wakes a waiting context or resumes a preempted chain by its head.
    #[inline(never)]
    pub(crate) fn run_from_normal(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Result<Next<P>, Refusal> {
        let [_, w1, ..] = regs.x;
        let target = self.target_of_run(cpu, w1)?;
        match target.state.try_move(State::Idle, State::Running) {
            Ok(()) => {
                target.set_call(Call::of_normal(Entered::Run, PartitionId::NORMAL_WORLD));
                cpu.set_normal_aside(regs);
                Ok(self.wake(cpu, target, regs))
            }
            Err(State::Preempted) => self.resume(cpu, target, regs),
            Err(state) => Err(Refusal::of_state(state)),
        }
    }

    /// Takes FFA_RUN from a partition, which blocks until the target waits again.
    pub(crate) fn run_from_partition(
        &'static self,
        cpu: &mut Cpu<P>,
        caller: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let [_, w1, ..] = regs.x;
        let target = self.target_of_run(cpu, w1)?;
        self.routing.check(caller.end(), target.end(), Use::Messages)?;
        let call = caller.call();
        if call.depth() >= CHAIN_MAX {
            return Err(Refusal::too_deep(call));
        }
        target.state.try_move(State::Idle, State::Running).map_err(Refusal::of_state)?;
        self.block(caller, target, (Entered::Run, Route::OPEN), regs);
        Ok(self.wake(cpu, target, regs))
    }

    /// Enters a waiting context that was just won: its FFA_MSG_WAIT returns with FFA_RUN.
    fn wake(&self, cpu: &mut Cpu<P>, target: &'static ExecutionContext<P>, regs: &mut Regs) -> Next<P> {
        regs.set8([Func::Run.id32() as u64, target.target_word(), 0, 0, 0, 0, 0, 0]);
        self.go_on(cpu, target, regs)
    }
}
