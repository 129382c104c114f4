// SPDX-License-Identifier: MIT OR Apache-2.0
//! Direct messages (DEN0077A, "FFA_MSG_SEND_DIRECT_REQ" and "FFA_MSG_SEND_DIRECT_RESP").
//!
//! The hot path of the SPMC. The message itself never moves: it stays in the CPU's message registers while the
//! decisions are made on w1 and w2, and whoever is entered next finds it there.

use ffa_abi::{Func, PartitionId, Regs, func::SMC64};

use super::CHAIN_MAX;
use crate::hub::Route;
use crate::partition::{Call, Entered, ExecutionContext, Link, Partition, Properties, State};
use crate::preemption::Manners;
use crate::refusal::Refusal;
use crate::routing::{End, Use};
use crate::{Cpu, Next, Port, Spmc, calls};

/// Bit 31 of w2: a message of the framework.
const FRAMEWORK: u64 = 1 << 31;

/// Splits w1 into sender and receiver.
#[inline(always)]
pub(crate) fn endpoints(w1: u64) -> (PartitionId, PartitionId) {
    (PartitionId((w1 >> 16) as u16), PartitionId(w1 as u16))
}

/// Clears the upper halves of x0-x7: all that a 32-bit call carries.
#[inline(always)]
fn narrow(regs: &mut Regs) {
    const LOW: u64 = 0xffff_ffff;
    let [a, b, c, d, e, f, g, h, ..] = regs.x;
    regs.set8([a & LOW, b & LOW, c & LOW, d & LOW, e & LOW, f & LOW, g & LOW, h & LOW]);
}

/// Clears the upper halves of x0-x7: the copy that all share but direct messages of the older forms.
#[inline(never)]
pub(crate) fn truncate(regs: &mut Regs) {
    narrow(regs);
}

/// What a partition must have to receive direct requests of the older forms, and the refusal where it has not.
pub(crate) const RECEIVES: (Properties, Refusal) = (Properties::RECEIVES_DIRECT, Refusal::NotAReceiver);

impl<P: Port> Spmc<P> {
    /// Takes a direct request from the Normal world.
    #[inline(always)]
    pub(crate) fn direct_from_normal(
        &'static self,
        cpu: &mut Cpu<P>,
        fid: u32,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let [_, w1, w2, ..] = regs.x;
        let (source, destination) = endpoints(w1);
        if w2 as u32 != 0 {
            return self.framework_from_normal(cpu, regs);
        }
        if source.is_secure() {
            return Err(Refusal::ForgedSource);
        }
        let Some(target) = self.partitions.find(destination) else {
            return Err(self.no_receiver(source, destination));
        };
        self.routing.check(End::normal(source), End::partition(target.index), Use::Messages)?;
        let context = self.receiver(cpu, target, RECEIVES)?;
        self.begin_from_normal(context, (Entered::direct(fid & SMC64 != 0), Route::OPEN, source));
        cpu.keep_normal(regs);
        Ok(self.enter(cpu, context, fid, regs))
    }

    /// Takes a direct request from a partition: the caller blocks, the chain grows by one.
    #[inline(always)]
    pub(crate) fn direct_from_partition(
        &'static self,
        cpu: &mut Cpu<P>,
        caller: &'static ExecutionContext<P>,
        fid: u32,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let [_, w1, w2, ..] = regs.x;
        if w2 as u32 != 0 {
            return Err(if w2 & FRAMEWORK != 0 { Refusal::FrameworkMessage } else { Refusal::ReservedNotZero });
        }
        let (source, destination) = endpoints(w1);
        if source != caller.id {
            return Err(Refusal::ForgedSource);
        }
        if !caller.properties.contains(Properties::SENDS_DIRECT) {
            return Err(Refusal::NotASender);
        }
        let call = caller.call();
        calls::of(Func::DirectReq).check_model(call)?;
        if destination == source {
            return Err(Refusal::ToSelf);
        }
        let Some(target) = self.partitions.find(destination) else {
            return Err(self.no_receiver(source, destination));
        };
        call.check_depth()?;
        self.routing.check(caller.end(), End::partition(target.index), Use::Messages)?;
        let context = self.receiver(cpu, target, RECEIVES)?;
        self.block(caller, context, (Entered::direct(fid & SMC64 != 0), Route::OPEN), regs);
        Ok(self.enter(cpu, context, fid, regs))
    }

    /// Wins the execution context of `target` that serves this CPU, or says why not.
    #[inline(always)]
    pub(crate) fn receiver(
        &self,
        cpu: &Cpu<P>,
        target: &'static Partition<P>,
        (receives, not_a_receiver): (Properties, Refusal),
    ) -> Result<&'static ExecutionContext<P>, Refusal> {
        if !target.identity.properties.contains(receives) {
            return Err(not_a_receiver);
        }
        if target.standing.is_closed() {
            return Err(Refusal::TargetAborted);
        }
        let context = target.context_for(cpu.index).ok_or(Refusal::UnknownVcpu)?;
        context.state.try_move(State::Idle, State::Running).map_err(Refusal::of_state)?;
        Ok(context)
    }

    /// Wins a context as [`Spmc::receiver`] does: the copy that all share but direct requests of the older forms.
    #[inline(never)]
    pub(crate) fn win(
        &self,
        cpu: &Cpu<P>,
        target: &'static Partition<P>,
        receives: (Properties, Refusal),
    ) -> Result<&'static ExecutionContext<P>, Refusal> {
        self.receiver(cpu, target, receives)
    }

    /// Makes a context that was just won the Normal world's, for a request of `source`.
    #[inline(always)]
    fn begin_from_normal(
        &self,
        context: &ExecutionContext<P>,
        (entered, route, source): (Entered, Route, PartitionId),
    ) {
        self.normal.version.settle();
        context.set_call(Call::new(entered, 1 | route.depth(), Link::NOBODY, source));
    }

    /// Makes a context that was just won the callee of `caller`, which blocks, or of the Normal world's `source`: what all
    /// share but direct requests of the older forms.
    #[inline(never)]
    pub(crate) fn begin_call(
        &self,
        cpu: &mut Cpu<P>,
        caller: Option<&'static ExecutionContext<P>>,
        context: &ExecutionContext<P>,
        (entered, route, source): (Entered, Route, PartitionId),
        regs: &Regs,
    ) {
        match caller {
            Some(caller) => self.block(caller, context, (entered, route), regs),
            None => {
                self.begin_from_normal(context, (entered, route, source));
                cpu.set_normal_aside(regs);
            }
        }
    }

    /// Blocks `caller` on a context that was just won: the chain grows by one.
    #[inline(always)]
    fn block(
        &self,
        caller: &ExecutionContext<P>,
        context: &ExecutionContext<P>,
        (entered, route): (Entered, Route),
        regs: &Regs,
    ) {
        let above = caller.call();
        if above.entered() == Entered::Init {
            self.settle_version(caller);
        }
        let manners = above.manners().of_callee(caller.strictness);
        context.set_call(caller.call_to(entered, above.position() + 1 | route.depth()).with_manners(manners));
        if manners != Manners::PLAIN {
            self.inherit(context);
        }
        caller.set_callee(context.link());
        self.port.park(caller.context(), regs);
        // The chain owns the caller from here on; nobody else may move it, so this cannot be lost to a race.
        let _ = caller.state.try_move(above.active(), State::Blocked);
    }

    /// Settles the version of a partition that starts: FFA_MSG_WAIT would, and it makes another call before.
    #[cold]
    #[inline(never)]
    fn settle_version(&self, context: &ExecutionContext<P>) {
        if let Some(partition) = self.partitions.get(context.partition as usize) {
            partition.version.settle();
        }
    }

    /// Enters a context that was just won, with the message of `fid` that is in the registers.
    #[inline(always)]
    fn enter(&self, cpu: &mut Cpu<P>, context: &'static ExecutionContext<P>, fid: u32, regs: &mut Regs) -> Next<P> {
        if fid & SMC64 == 0 {
            narrow(regs);
        }
        self.port.unpark(context.context(), regs);
        cpu.current = Some(context);
        Next::Run(context)
    }

    /// Takes a direct response: the responder idles, whoever asked goes on.
    #[inline(always)]
    pub(crate) fn direct_response(
        &'static self,
        cpu: &mut Cpu<P>,
        responder: &'static ExecutionContext<P>,
        fid: u32,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let [_, w1, w2, ..] = regs.x;
        let (source, destination) = endpoints(w1);
        if source != responder.id {
            return Err(Refusal::ForgedSource);
        }
        let call = responder.call();
        let wide = fid & SMC64 != 0;
        if call.entered() != Entered::direct(wide) {
            return self.other_response(cpu, responder, call, regs);
        }
        if w2 as u32 != 0 {
            return Err(Refusal::ReservedNotZero);
        }
        if destination != call.requester() {
            return Err(Refusal::WrongRequester);
        }
        if !wide {
            narrow(regs);
        }
        self.finish(cpu, responder, call, regs)
    }

    /// Takes a direct response that answers no direct request of its width.
    #[cold]
    #[inline(never)]
    fn other_response(
        &'static self,
        cpu: &mut Cpu<P>,
        responder: &'static ExecutionContext<P>,
        call: Call,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        match call.entered() {
            Entered::Framework => self.framework_response(cpu, responder, call, regs),
            Entered::Direct32 | Entered::Direct64 | Entered::Direct2 => Err(Refusal::WrongWidth),
            Entered::Init | Entered::Run | Entered::Interrupt => Err(Refusal::NoRequest),
        }
    }

    /// Ends the work of `responder`: it idles, and its caller goes on with the reply that is in the registers.
    #[inline(always)]
    pub(crate) fn finish(
        &'static self,
        cpu: &mut Cpu<P>,
        responder: &'static ExecutionContext<P>,
        call: Call,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        self.port.park(responder.context(), regs);
        if call.manners() != Manners::PLAIN {
            self.settle(responder, call);
        }
        // Published only now: the next owner may be on another CPU and finds everything saved.
        let _ = responder.state.try_move(State::Running, State::Idle);
        if responder.interrupts.any() {
            cpu.deferred = true;
        }
        Ok(self.return_to(cpu, call, regs))
    }

    /// Says why a destination is nobody that takes direct requests.
    #[cold]
    #[inline(never)]
    pub(crate) fn no_receiver(&self, source: PartitionId, destination: PartitionId) -> Refusal {
        if destination == self.id {
            Refusal::ToSpmc
        } else if source == destination {
            Refusal::ToSelf
        } else if source.is_secure() && !destination.is_secure() {
            Refusal::ToNormalWorld
        } else {
            Refusal::UnknownPartition
        }
    }
}

impl Call {
    /// Checks that the chain that ends with this call may grow.
    #[inline(always)]
    pub(super) fn check_depth(self) -> Result<(), Refusal> {
        if self.depth() < CHAIN_MAX {
            Ok(())
        } else if self.is_in_window() {
            Err(Refusal::WindowChain)
        } else {
            Err(Refusal::ChainTooDeep)
        }
    }
}

impl Refusal {
    /// Explains the state that kept a context from being entered.
    #[cold]
    pub(crate) fn of_state(state: State) -> Self {
        match state {
            State::Reset | State::Starting => Self::TargetStarting,
            // Idle: another CPU had it and is done with it again; the caller may try once more.
            State::Idle | State::Running | State::Blocked | State::Preempted | State::Suspended => Self::TargetBusy,
            State::Aborted => Self::TargetAborted,
            State::Stopped => Self::TargetStopped,
        }
    }
}
