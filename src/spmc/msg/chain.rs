// SPDX-License-Identifier: MIT OR Apache-2.0
//! The call chain: Normal world -> SP1 -> SP3 -> ..., a list linked through the execution contexts themselves.
//!
//! Each context names its caller and, while it waits, its callee. The links belong to the chain as a whole: the
//! CPU that runs the chain's last context, or whoever wins the preempted head, is the only one to touch them.
//! A context that is part of a chain is not Idle, so no second chain can take it in and no cycle can form.

use ffa_abi::{Func, Regs};

use crate::partition::{Call, Entered, ExecutionContext, Link, State};
use crate::preemption::Manners;
use crate::refusal::Refusal;
use crate::{Cpu, Next, Port, Spmc};

use super::CHAIN_MAX;

impl<P: Port> Spmc<P> {
    /// Goes back to whoever made `call`, with the reply in x0-x7: a direct response of the older forms.
    #[inline(always)]
    pub(crate) fn return_to(&'static self, cpu: &mut Cpu<P>, call: Call, regs: &mut Regs) -> Next<P> {
        let Some(caller) = self.partitions.context(call.caller()) else {
            self.leave_for_normal(cpu);
            cpu.give_back_normal(regs);
            return Next::Reply;
        };
        let _ = caller.state.try_move(State::Blocked, caller.active());
        caller.set_callee(Link::NOBODY);
        self.port.unpark(caller.context(), regs);
        cpu.current = Some(caller);
        Next::Run(caller)
    }

    /// Says that no partition runs on this CPU any more, and does what has waited for that.
    #[inline(always)]
    pub(super) fn leave_for_normal(&'static self, cpu: &mut Cpu<P>) {
        cpu.current = None;
        if cpu.deferred {
            self.ask_again(cpu);
        }
    }

    /// Gives the CPU back to the Normal world with the reply in x0-x7 and its own x8-x17.
    #[inline(never)]
    pub(crate) fn reply_normal(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Next<P> {
        self.leave_for_normal(cpu);
        cpu.give_back_normal(regs);
        Next::Reply
    }

    /// Goes back to whoever made `call`, as [`Spmc::return_to`] does: the copy that all share but direct responses.
    #[inline(never)]
    pub(crate) fn go_back(&'static self, cpu: &mut Cpu<P>, call: Call, regs: &mut Regs) -> Next<P> {
        match self.linked(call.caller()) {
            Some(caller) => {
                self.unblock(cpu, caller);
                self.go_on(cpu, caller, regs)
            }
            None => self.reply_normal(cpu, regs),
        }
    }

    /// Lets a context of this CPU go on with the message that is in the registers.
    #[inline(never)]
    pub(crate) fn go_on(&self, cpu: &mut Cpu<P>, context: &'static ExecutionContext<P>, regs: &mut Regs) -> Next<P> {
        self.port.unpark(context.context(), regs);
        cpu.current = Some(context);
        Next::Run(context)
    }

    /// Takes a context out of its wait for an answer.
    #[inline(never)]
    pub(crate) fn unblock(&self, cpu: &mut Cpu<P>, caller: &'static ExecutionContext<P>) {
        let _ = caller.state.try_move(State::Blocked, caller.active());
        caller.set_callee(Link::NOBODY);
        cpu.current = Some(caller);
    }

    /// Ends the work of a context: it idles.
    #[inline(never)]
    pub(crate) fn rest(&self, cpu: &mut Cpu<P>, context: &ExecutionContext<P>, call: Call, regs: &Regs) {
        self.port.park(context.context(), regs);
        // Non-secure interrupts wait while a context starts.
        if call.manners() != Manners::PLAIN || call.entered() == Entered::Init {
            self.settle(context, call);
        }
        let _ = context.state.try_move(call.active(), State::Idle);
        cpu.deferred |= context.interrupts.any();
    }

    /// Follows a link of a chain, if it names anybody.
    #[inline(never)]
    pub(crate) fn linked(&'static self, link: Link) -> Option<&'static ExecutionContext<P>> {
        self.partitions.context(link)
    }

    /// Finds the context that the Normal world entered: the head of the chain that ends in `last`.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn head_of(&'static self, last: &'static ExecutionContext<P>) -> &'static ExecutionContext<P> {
        core::iter::successors(Some(last), |at| self.linked(at.call().caller())).last().unwrap_or(last)
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
        let (mut head, mut from) = (last, last.active());
        // The chain has at most CHAIN_MAX contexts; the bound keeps a bug from becoming a hang.
        for _ in 0..CHAIN_MAX {
            let Some(caller) = self.linked(head.call().caller()) else { break };
            let _ = head.state.try_move(from, State::Suspended);
            (head, from) = (caller, State::Blocked);
        }
        head.name_in(func, regs);
        let _ = head.state.try_move(from, State::Preempted);
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
        context.name_in(Func::Run, regs);
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
            if !last.may_run_on(cpu.index) {
                let _ = head.state.try_move(State::Blocked, State::Preempted);
                return Err(Refusal::OtherCpu);
            }
            match self.linked(last.callee()) {
                Some(callee) => last = callee,
                None => break,
            }
        }
        let mut at = head;
        while let Some(callee) = self.linked(at.callee()) {
            let _ = callee.state.try_move(State::Suspended, State::Blocked);
            at = callee;
        }
        let _ = last.state.try_move(State::Blocked, last.active());
        cpu.set_normal_aside(regs);
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
        let _ = context.state.try_move(call.active(), State::Aborted);
        self.say(context, format_args!(" has aborted"));
        self.drop_interrupts(cpu.index, context);
        self.after_abort(cpu, context, call, regs)
    }
}

impl<P: Port> ExecutionContext<P> {
    /// Makes w0-w7 what names it in w1: FFA_RUN, what that returns with, FFA_MSG_WAIT (DEN0077A, "FFA_RUN").
    #[inline(never)]
    pub(super) fn name_in(&self, func: Func, regs: &mut Regs) {
        regs.set8([func.id32() as u64, (self.id.0 as u64) << 16 | self.vcpu as u64, 0, 0, 0, 0, 0, 0]);
    }
}

impl<P: Port> Cpu<P> {
    /// Keeps the Normal world's x8-x17, as [`Cpu::keep_normal`] does: the copy that all share but direct requests.
    #[inline(never)]
    pub(crate) fn set_normal_aside(&mut self, regs: &Regs) {
        self.keep_normal(regs);
    }
}
