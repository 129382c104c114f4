// SPDX-License-Identifier: MIT OR Apache-2.0
//! Direct messages of v1.2 (DEN0077A v1.2, "FFA_MSG_SEND_DIRECT_REQ2" and "FFA_MSG_SEND_DIRECT_RESP2"): addressed to
//! a service, with x4 to x17 as payload. Unlike with the older forms, x8-x17 belong to the message.

use ffa_abi::{Func, Regs, Uuid};

use super::direct::{Form, endpoints};
use crate::partition::{Call, Entered, ExecutionContext, Partition, Properties, State};
use crate::preemption::Manners;
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
        let target = self.partitions.find(destination).ok_or_else(|| self.no_receiver(source, destination))?;
        check_service(target, regs)?;
        let route = self.route(End::normal(source), End::partition(target.index))?;
        let context = self.receiver(cpu, target, &FORM).map_err(|why| self.turned_back(route, why))?;
        context.set_call(Call {
            entered: Entered::Direct2,
            depth: 1 | route.depth(),
            caller: None,
            requester: source,
            answer: 0,
            manners: Manners::PLAIN,
        });
        // Kept for a reply of another form: FFA_ERROR, FFA_INTERRUPT or FFA_YIELD.
        cpu.keep_normal(regs);
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
        check_service(target, regs)?;
        let route = self.route(caller.end(), End::partition(target.index))?;
        let context = self.receiver(cpu, target, &FORM).map_err(|why| self.turned_back(route, why))?;
        self.block_on(caller, context, (Entered::Direct2, route), regs);
        cpu.current = Some(context);
        Ok(Next::Run(context))
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
        match call.entered {
            Entered::Direct2 => {}
            Entered::Direct32 | Entered::Direct64 | Entered::Framework => return Err(Refusal::WrongWidth),
            Entered::Init | Entered::Run | Entered::Interrupt => return Err(Refusal::NoRequest),
        }
        if x2 != 0 || x3 != 0 {
            return Err(Refusal::ReservedNotZero);
        }
        if destination != call.requester {
            return Err(Refusal::WrongRequester);
        }
        self.port.park(responder.context(), regs);
        if call.manners != Manners::PLAIN {
            self.settle(responder, call);
        }
        let _ = responder.state.try_move(State::Running, State::Idle);
        cpu.deferred |= responder.interrupts.any();
        let Some(caller) = call.caller.and_then(|link| self.partitions.context(link)) else {
            cpu.current = None;
            if cpu.deferred {
                self.ask_again(cpu);
            }
            return Ok(Next::Reply);
        };
        let _ = caller.state.try_move(State::Blocked, caller.active());
        caller.set_callee(None);
        cpu.current = Some(caller);
        Ok(Next::Run(caller))
    }
}
