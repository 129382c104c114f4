// SPDX-License-Identifier: MIT OR Apache-2.0
//! The second thought on a refusal. What the paths that matter refuse may be, where there is a hub, a message that a
//! window lets through or a request for the management service; and a receiver that has died may start again. So these
//! paths ask nothing about any of it, and without a hub a refusal costs one test more.

use ffa_abi::{Func, PartitionId, Regs, func::SMC64};

use super::breaker::Strike;
use super::{Route, Seat};
use crate::msg::{RECEIVES, endpoints, truncate};
use crate::partition::{Entered, ExecutionContext, Partition};
use crate::refusal::Refusal;
use crate::routing::End;
use crate::{Cpu, Next, Port, Spmc};

const REQ32: u32 = Func::DirectReq.id32();
const REQ64: u32 = Func::DirectReq.id64();

/// What a refused call may have been.
enum Thought<'a, P: Port> {
    /// A direct request to a partition that no open route leads to.
    Message(&'a Partition<P>),
    /// A request for the management service.
    Service,
    /// Nothing but what was refused.
    None,
}

impl<P: Port> Spmc<P> {
    /// Goes on with a call that was refused, starts its receiver again, or records the refusal and answers. `caller` is a
    /// partition's context; `None` is the Normal world.
    #[cold]
    #[inline(never)]
    pub(crate) fn think_again(
        &'static self,
        cpu: &mut Cpu<P>,
        caller: Option<&'static ExecutionContext<P>>,
        (fid, refusal): (u32, Refusal),
        regs: &mut Regs,
    ) -> Next<P> {
        let (source, _) = endpoints(regs.x[1]);
        let end = caller.map_or(End::normal(source), |context| context.end());
        let why = match self.think(fid, refusal, regs) {
            Thought::Message(target) => {
                match self.win_supervised(cpu, target, (end, End::partition(target.index)), refusal) {
                    Ok((context, route)) => {
                        let wide = fid & SMC64 != 0;
                        self.begin_call(cpu, caller, context, (Entered::direct(wide), route, source), regs);
                        if !wide {
                            truncate(regs);
                        }
                        return self.go_on(cpu, context, regs);
                    }
                    Err(why) => why,
                }
            }
            Thought::Service => {
                self.serve(cpu, (source, end), regs);
                return caller.map_or(Next::Reply, Next::Run);
            }
            Thought::None => refusal,
        };
        if let Some(next) = self.start_again(cpu, caller, (fid, why), regs) {
            return next;
        }
        let id = caller.map_or(PartitionId::NORMAL_WORLD, |context| context.id);
        // All of the Normal world is one caller here.
        let end = caller.map_or(End::normal(id), |_| end);
        self.note_refusal(cpu, (id, end), why, regs);
        self.refuse(caller, (fid, why), regs)
    }

    /// Finds out what a refused call may have been. Its receiver and its route are looked at last, so everything else
    /// about it was good.
    #[inline(always)]
    fn think(&'static self, fid: u32, refusal: Refusal, regs: &Regs) -> Thought<'static, P> {
        let [_, w1, w2, ..] = regs.x;
        let (_, destination) = endpoints(w1);
        if !matches!(fid, REQ32 | REQ64) || w2 as u32 != 0 {
            return Thought::None;
        }
        match refusal {
            Refusal::PolicyDenies => self.partitions.look_up(destination).map_or(Thought::None, Thought::Message),
            Refusal::UnknownPartition
                if fid & SMC64 != 0 && self.hub.as_ref().is_some_and(|hub| hub.id() == destination) =>
            {
                Thought::Service
            }
            _ => Thought::None,
        }
    }

    /// Finds a window that lets a direct request through, counts it there and wins the context of its receiver.
    #[inline(always)]
    fn win_supervised(
        &self,
        cpu: &Cpu<P>,
        target: &'static Partition<P>,
        (from, to): (End, End),
        refusal: Refusal,
    ) -> Result<(&'static ExecutionContext<P>, Route), Refusal> {
        let route = self.route_by_window(from, to, refusal)?;
        let context = self.win(cpu, target, RECEIVES).map_err(|why| self.turned_back(route, why))?;
        Ok((context, route))
    }

    /// Records a refusal, where there is a hub, and counts what the policy denies against the caller.
    #[inline(never)]
    fn note_refusal(&self, cpu: &Cpu<P>, (caller, end): (PartitionId, End), refusal: Refusal, regs: &Regs) {
        let Some(hub) = &self.hub else { return };
        let now = self.port.now();
        hub.note_refusal(now, (caller, end), refusal, regs);
        if matches!(refusal, Refusal::PolicyDenies | Refusal::WindowShut | Refusal::WindowChain) {
            // Too often, and it is cut off.
            let mut post = hub.post.lock();
            post.strike(Seat::of(end), Strike::Denial, now);
            self.publish(hub, cpu, post);
        }
    }
}
