// SPDX-License-Identifier: MIT OR Apache-2.0
//! The call chain: Normal world -> SP1 -> SP3 -> ..., a list linked through the execution contexts themselves.
//!
//! Each context names its caller and, while it waits, its callee. The links belong to the chain as a whole: the
//! CPU that runs the chain's last context, or whoever wins the preempted head, is the only one to touch them.
//! A context that is part of a chain is not Idle, so no second chain can take it in and no cycle can form.

use ffa_abi::{Func, Regs};

use crate::partition::{Call, ExecutionContext, State};
use crate::refusal::Refusal;
use crate::{Cpu, Next, Port, Spmc};

use super::CHAIN_MAX;

impl<P: Port> Spmc<P> {
    /// Goes back to whoever made `call`, with the reply in x0-x7.
    #[inline(always)]
    pub(crate) fn return_to(&'static self, cpu: &mut Cpu<P>, call: Call, regs: &mut Regs) -> Next<P> {
        let Some(link) = call.caller else { return self.reply_normal(cpu, regs) };
        let Some(caller) = self.partitions.context(link) else { return self.reply_normal(cpu, regs) };
        let _ = caller.state.try_move(State::Blocked, caller.active());
        caller.set_callee(None);
        self.port.unpark(caller.context(), regs);
        cpu.current = Some(caller);
        Next::Run(caller)
    }

    /// Gives the CPU back to the Normal world with the reply in x0-x7 and its own x8-x17.
    #[inline(always)]
    pub(crate) fn reply_normal(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Next<P> {
        cpu.current = None;
        if cpu.deferred {
            self.ask_again(cpu);
        }
        cpu.give_back_normal(regs);
        Next::Reply
    }

    /// Finds the context that the Normal world entered: the head of the chain that ends in `last`.
    pub(crate) fn head_of(&'static self, last: &'static ExecutionContext<P>) -> &'static ExecutionContext<P> {
        let mut at = last;
        // The chain has at most CHAIN_MAX contexts; the bound keeps a bug from becoming a hang.
        for _ in 0..CHAIN_MAX {
            match at.call().caller.and_then(|link| self.partitions.context(link)) {
                Some(caller) => at = caller,
                None => break,
            }
        }
        at
    }

    /// Preempts the chain whose last context, `last`, runs on this CPU, and gives the CPU back to the Normal world
    /// with `fid` (FFA_INTERRUPT or FFA_YIELD), w1 naming the context that FFA_RUN resumes.
    ///
    /// The states are published from the last context to the head: FFA_RUN can win only the head, and finds
    /// everything behind it in place.
    pub(crate) fn preempt(
        &'static self,
        cpu: &mut Cpu<P>,
        last: &'static ExecutionContext<P>,
        func: Func,
        regs: &mut Regs,
    ) -> Next<P> {
        self.port.park_interrupted(last.context(), regs);
        self.give_up_managed_exit(last);
        let head = self.head_of(last);
        let (mut at, mut from) = (last, last.active());
        for _ in 0..CHAIN_MAX {
            let caller = at.call().caller.and_then(|link| self.partitions.context(link));
            let _ = at.state.try_move(from, if caller.is_some() { State::Suspended } else { State::Preempted });
            match caller {
                Some(caller) => (at, from) = (caller, State::Blocked),
                None => break,
            }
        }
        regs.set8([func.id32() as u64, head.target_word(), 0, 0, 0, 0, 0, 0]);
        self.reply_normal(cpu, regs)
    }

    /// Takes FFA_YIELD: preempts the chain, unless the Normal world may not run now.
    pub(crate) fn give_way(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Next<P> {
        if !cpu.held {
            return self.preempt(cpu, context, Func::Yield, regs);
        }
        regs.set8([Func::Run.id32() as u64, context.target_word(), 0, 0, 0, 0, 0, 0]);
        Next::Run(context)
    }

    /// Resumes the chain whose head was preempted. Fails, leaving it preempted, when a context in it is bound to
    /// another CPU.
    pub(crate) fn resume(
        &'static self,
        cpu: &mut Cpu<P>,
        head: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        // Whoever wins the head owns the chain, and only then looks at it: until then another CPU may have resumed and
        // preempted it again, as another chain.
        head.state.try_move(State::Preempted, State::Blocked).map_err(Refusal::of_state)?;
        let mut last = head;
        for _ in 0..CHAIN_MAX {
            let bound_elsewhere = self
                .partitions
                .get(last.partition as usize)
                .is_some_and(|p| p.is_per_cpu() && last.vcpu as usize != cpu.index);
            if bound_elsewhere {
                let _ = head.state.try_move(State::Blocked, State::Preempted);
                return Err(Refusal::OtherCpu);
            }
            match last.callee().and_then(|link| self.partitions.context(link)) {
                Some(callee) => last = callee,
                None => break,
            }
        }
        let mut at = head;
        while let Some(callee) = at.callee().and_then(|link| self.partitions.context(link)) {
            let _ = callee.state.try_move(State::Suspended, State::Blocked);
            at = callee;
        }
        let _ = last.state.try_move(State::Blocked, last.active());
        cpu.keep_normal(regs);
        self.port.unpark_interrupted(last.context(), regs);
        cpu.current = Some(last);
        Ok(Next::Run(last))
    }

    /// Ends a context that cannot go on; whoever waits for it gets FFA_ERROR(ABORTED).
    pub(crate) fn abort(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Next<P> {
        let call = context.call();
        self.port.park(context.context(), regs);
        let _ = context.state.try_move(context.active(), State::Aborted);
        if let Some(partition) = self.partitions.get(context.partition as usize) {
            self.port.log(format_args!("{}: vcpu {} has aborted", partition.identity.name, u64::from(context.vcpu)));
        }
        self.drop_interrupts(cpu.index, context);
        self.after_abort(cpu, context, call, regs)
    }
}
