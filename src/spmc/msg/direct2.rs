// SPDX-License-Identifier: MIT OR Apache-2.0
//! Direct messages of v1.2 (DEN0077A v1.2, "FFA_MSG_SEND_DIRECT_REQ2" and "FFA_MSG_SEND_DIRECT_RESP2"): addressed to
//! a service, with x4 to x17 as payload. Unlike with the older forms, x8-x17 belong to the message.

use ffa_abi::{Regs, Uuid};

use super::endpoints;
use crate::partition::{Entered, ExecutionContext, Partition, Properties};
use crate::refusal::Refusal;
use crate::routing::End;
use crate::{Cpu, Next, Port, Spmc};

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
    /// Takes the request of a partition's context, whose state the run-time model has allowed, or of the Normal world
    /// (`None`).
    #[inline(never)]
    pub(crate) fn direct2(
        &'static self,
        cpu: &mut Cpu<P>,
        caller: Option<&'static ExecutionContext<P>>,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let [_, w1, ..] = regs.x;
        let (source, destination) = endpoints(w1);
        if caller.map_or(source.is_secure(), |caller| source != caller.id) {
            return Err(Refusal::ForgedSource);
        }
        if let Some(caller) = caller {
            if !caller.properties.contains(Properties::SENDS_DIRECT2) {
                return Err(Refusal::NotASender2);
            }
            if destination == source {
                return Err(Refusal::ToSelf);
            }
        }
        let target = self.partitions.look_up(destination).ok_or_else(|| self.no_receiver(source, destination))?;
        if let Some(caller) = caller {
            caller.call().check_depth()?;
        }
        check_service(target, regs)?;
        let from = caller.map_or(End::normal(source), |caller| caller.end());
        let route = self.route(from, End::partition(target.index))?;
        let receives = (Properties::RECEIVES_DIRECT2, Refusal::NotAReceiver2);
        let context = self.win(cpu, target, receives).map_err(|why| self.turned_back(route, why))?;
        self.begin_call(cpu, caller, context, (Entered::Direct2, route, source), regs);
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
