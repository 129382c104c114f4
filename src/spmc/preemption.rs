// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a Non-secure interrupt does to the partitions that it finds running (DEN0077A, "Actions for a Non-secure
//! interrupt"): the strictest `ns-interrupts-action` of the call chain decides.
//!
//! Each call carries what the contexts above it ask for, so that nothing walks a chain to find out. A context that
//! would be more lenient than they are is entered with Non-secure interrupts waiting; the deadline bounds that.

use crate::interrupt::Slot;
use crate::manifest::NsInterruptAction;
use crate::partition::{Call, Entered, ExecutionContext};
use crate::{Port, Spmc};

/// What Non-secure interrupts have to do with a call: nothing, for one of the Normal world that is not interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manners(u8);

/// How strict an action is: the greater, the longer the Normal world waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Strictness(u8);

impl Strictness {
    const SIGNALLED: Self = Self(0);
    const MANAGED_EXIT: Self = Self(1);
    const QUEUED: Self = Self(2);

    pub(crate) const fn of(action: NsInterruptAction) -> Self {
        match action {
            NsInterruptAction::Signalled => Self::SIGNALLED,
            NsInterruptAction::ManagedExit => Self::MANAGED_EXIT,
            NsInterruptAction::Queued => Self::QUEUED,
        }
    }
}

impl Manners {
    /// Nothing above is strict, and no managed exit is going on.
    pub(crate) const PLAIN: Self = Self(0);
    const STRICTNESS: u8 = 0b11;
    /// The context was asked to finish.
    const MANAGED: u8 = 1 << 2;

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// What a callee of a context inherits that is `own` strict and was itself called with `self`.
    #[inline(always)]
    pub(crate) fn of_callee(self, own: Strictness) -> Self {
        Self((self.0 & Self::STRICTNESS).max(own.0))
    }

    const fn inherited(self) -> Strictness {
        Strictness(self.0 & Self::STRICTNESS)
    }

    const fn is_managed(self) -> bool {
        self.0 & Self::MANAGED != 0
    }
}

/// Tells whether a partition that was entered so may be asked for a managed exit: it owes somebody a response.
const fn owes_a_response(entered: Entered) -> bool {
    match entered {
        Entered::Direct32 | Entered::Direct64 | Entered::Direct2 => true,
        Entered::Init | Entered::Run | Entered::Framework | Entered::Interrupt => false,
    }
}

/// Tells whether Non-secure interrupts wait while a context runs that is `own` strict and was entered by `call`.
fn wait(own: Strictness, call: Call) -> bool {
    let inherited = call.manners().inherited();
    let exits = own == Strictness::MANAGED_EXIT && owes_a_response(call.entered());
    own.max(inherited) == Strictness::QUEUED || (inherited == Strictness::MANAGED_EXIT && !exits)
}

impl<P: Port> ExecutionContext<P> {
    /// Tells whether Non-secure interrupts wait until its partition is done (`ns-interrupts-action`).
    pub(crate) fn is_queued(&self) -> bool {
        self.strictness == Strictness::QUEUED
    }
}

impl<P: Port> Spmc<P> {
    /// Prepares a context that was just won for a call under a chain that is not plain.
    #[cold]
    #[inline(never)]
    pub(crate) fn inherit(&self, context: &ExecutionContext<P>) {
        self.port.queue_interrupts(context.context(), wait(context.strictness, context.call()));
    }

    /// Undoes, when a call that was not plain or a start is over, what it did to its context.
    #[cold]
    #[inline(never)]
    pub(crate) fn settle(&self, context: &ExecutionContext<P>, call: Call) {
        self.end_managed_exit(context, call);
        self.port.queue_interrupts(context.context(), context.is_queued());
    }

    /// Asks the context that runs to finish, if a Non-secure interrupt does that to it; they wait until it has, or has
    /// given the CPU back otherwise.
    pub(crate) fn managed_exit(&self, context: &ExecutionContext<P>) -> bool {
        let call = context.call();
        let exits = context.strictness == Strictness::MANAGED_EXIT && owes_a_response(call.entered());
        if !exits || call.manners().is_managed() || !context.interrupts.is_enabled(Slot::MANAGED_EXIT) {
            return false;
        }
        context.set_call(call.with_manners(Manners(call.manners().0 | Manners::MANAGED)));
        self.port.queue_interrupts(context.context(), true);
        self.raise(context, Slot::MANAGED_EXIT);
        true
    }

    /// Ends the managed exit of a context that is preempted instead; it may be asked again when it is resumed.
    pub(crate) fn give_up_managed_exit(&self, context: &ExecutionContext<P>) {
        let call = context.call();
        if call.manners().is_managed() {
            self.end_managed_exit(context, call);
            let call = call.with_manners(Manners(call.manners().0 & !Manners::MANAGED));
            context.set_call(call);
            self.port.queue_interrupts(context.context(), wait(context.strictness, call));
        }
    }

    fn end_managed_exit(&self, context: &ExecutionContext<P>, call: Call) {
        if call.manners().is_managed() && context.interrupts.withdraw(Slot::MANAGED_EXIT) {
            self.refresh(context);
        }
    }
}
