// SPDX-License-Identifier: MIT OR Apache-2.0
//! Direct messages of v1.2 (DEN0077A v1.2, "FFA_MSG_SEND_DIRECT_REQ2" and "FFA_MSG_SEND_DIRECT_RESP2"): addressed to
//! a service, with x4 to x17 as payload. Unlike with the older forms, x8-x17 belong to the message.

use ffa_abi::{Func, Regs, Uuid};

use super::direct::{Form, endpoints};
use crate::hub::Route;
use crate::partition::{Call, Entered, ExecutionContext, Link, Partition, Properties};
use crate::refusal::Refusal;
use crate::routing::End;
use crate::{Cpu, Next, Port, Spmc};

const FORM: Form = Form {
    func: Func::DirectReq2,
    sends: Properties::SENDS_DIRECT2,
    not_a_sender: Refusal::NotASender2,
    receives: Properties::RECEIVES_DIRECT2,
    not_a_receiver: Refusal::NotAReceiver2,
};

/// Checks that the target offers the service in x2 and x3; nil means whichever it has.
fn check_service<P: Port>(target: &Partition<P>, regs: &Regs) -> Result<(), Refusal> {
    let [_, _, low, high, ..] = regs.x;
    let service = Uuid::from_pair(low, high);
    if service.is_nil() || target.manifest.services.iter().any(|s| s.uuid == service) {
        Ok(())
    } else {
        Err(Refusal::UuidMismatch)
    }
}

impl<P: Port> Spmc<P> {
    /// Takes the request from the Normal world.
    #[inline(never)]
    pub(crate) fn direct2_from_normal(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Result<Next<P>, Refusal> {
        let [_, w1, ..] = regs.x;
        let (source, destination) = endpoints(w1);
        if source.is_secure() {
            return Err(Refusal::ForgedSource);
        }
        let target = self.partitions.look_up(destination).ok_or_else(|| self.no_receiver(source, destination))?;
        let (context, route) = self.win_service(cpu, target, End::normal(source), regs)?;
        context.set_call(Call::new(Entered::Direct2, 1 | route.depth(), Link::NOBODY, source));
        // Kept for a reply of another form: FFA_ERROR, FFA_INTERRUPT or FFA_YIELD.
        cpu.set_normal_aside(regs);
        cpu.current = Some(context);
        Ok(Next::Run(context))
    }

    /// Takes the request from a partition.
    pub(crate) fn direct2_from_partition(
        &'static self,
        cpu: &mut Cpu<P>,
        caller: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let target = self.sender(caller, regs, &FORM)?;
        let (context, route) = self.win_service(cpu, target, caller.end(), regs)?;
        self.block(caller, context, (Entered::Direct2, route), regs);
        cpu.current = Some(context);
        Ok(Next::Run(context))
    }

    /// Wins the context of `target` that serves this CPU, if it offers the service that is asked for and there is a
    /// route to it.
    #[inline(never)]
    fn win_service(
        &self,
        cpu: &Cpu<P>,
        target: &'static Partition<P>,
        from: End,
        regs: &Regs,
    ) -> Result<(&'static ExecutionContext<P>, Route), Refusal> {
        check_service(target, regs)?;
        let route = self.route(from, End::partition(target.index))?;
        let context =
            self.win(cpu, target, (FORM.receives, FORM.not_a_receiver)).map_err(|why| self.turned_back(route, why))?;
        Ok((context, route))
    }

    /// Wins a context as [`Spmc::receiver`] does, of a partition that `receives` the message: the copy that all share
    /// but direct requests of the older forms.
    #[inline(never)]
    pub(crate) fn win(
        &self,
        cpu: &Cpu<P>,
        target: &'static Partition<P>,
        (receives, not_a_receiver): (Properties, Refusal),
    ) -> Result<&'static ExecutionContext<P>, Refusal> {
        self.receiver(cpu, target, &Form { receives, not_a_receiver, ..FORM })
    }

    /// Blocks a caller as [`Spmc::block_on`] does: the copy that all share but direct requests of the older forms.
    #[inline(never)]
    pub(crate) fn block(
        &self,
        caller: &ExecutionContext<P>,
        context: &ExecutionContext<P>,
        entered: (Entered, Route),
        regs: &Regs,
    ) {
        self.block_on(caller, context, entered, regs);
    }

    /// Takes the response: x4 to x17 go to the requester as they are.
    pub(crate) fn direct2_response(
        &'static self,
        cpu: &mut Cpu<P>,
        responder: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let [_, w1, x2, x3, ..] = regs.x;
        let (source, destination) = endpoints(w1);
        if source != responder.id {
            return Err(Refusal::ForgedSource);
        }
        let call = responder.call();
        match call.entered() {
            Entered::Direct2 => {}
            Entered::Direct32 | Entered::Direct64 | Entered::Framework => return Err(Refusal::WrongWidth),
            Entered::Init | Entered::Run | Entered::Interrupt => return Err(Refusal::NoRequest),
        }
        if x2 != 0 || x3 != 0 {
            return Err(Refusal::ReservedNotZero);
        }
        if destination != call.requester() {
            return Err(Refusal::WrongRequester);
        }
        self.rest(cpu, responder, call, regs);
        let Some(caller) = self.linked(call.caller()) else {
            self.leave_for_normal(cpu);
            return Ok(Next::Reply);
        };
        self.unblock(cpu, caller);
        Ok(Next::Run(caller))
    }
}
