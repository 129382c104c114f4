// SPDX-License-Identifier: MIT OR Apache-2.0
//! An execution context: its state, how it was entered, and its place in a call chain.

use core::fmt;

use ffa_abi::{Error, PartitionId};

use crate::interrupt::Interrupts;
use crate::manifest::PartitionManifest;
use crate::msg::IN_WINDOW;
use crate::port::Port;
use crate::preemption::{Manners, Strictness};
use crate::routing::End;
use crate::sync::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use super::{Identity, Properties, State, StateCell};

/// Says how a running execution context was entered: the row of the run-time model (DEN0077A, "Partition
/// runtime models") that decides what it may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Entered {
    /// To initialise.
    Init = 0,
    /// By `FFA_RUN`.
    Run = 1,
    /// By a 32-bit direct request.
    Direct32 = 2,
    /// By a 64-bit direct request.
    Direct64 = 3,
    /// By a direct request to a UUID.
    Direct2 = 4,
    /// By a power-management or VM-availability message of the framework.
    Framework = 5,
    /// By a Secure interrupt.
    Interrupt = 6,
}

impl Entered {
    /// By a direct request of this width.
    #[inline(always)]
    pub(crate) const fn direct(wide: bool) -> Self {
        if wide { Self::Direct64 } else { Self::Direct32 }
    }

    #[inline(always)]
    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Init,
            1 => Self::Run,
            2 => Self::Direct32,
            3 => Self::Direct64,
            4 => Self::Direct2,
            5 => Self::Framework,
            // 6; nothing else is ever packed.
            _ => Self::Interrupt,
        }
    }
}

/// Names an execution context, or nobody: indices, not a reference, so that it packs into an atomic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(u16);

impl Link {
    /// Names nobody: no partition has this position.
    pub(crate) const NOBODY: Self = Self(0xffff);

    #[inline(always)]
    pub(crate) const fn new(partition: u8, vcpu: u8) -> Self {
        Self(partition as u16 | (vcpu as u16) << 8)
    }

    /// Returns the partition's position.
    #[inline(always)]
    pub(crate) const fn partition(self) -> usize {
        self.0 as u8 as usize
    }

    /// Returns the number of the context in its partition.
    #[inline(always)]
    pub(crate) const fn vcpu(self) -> usize {
        (self.0 >> 8) as usize
    }
}

/// Says who entered an execution context and how: one word, so that it is read, written and passed on whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call(u64);

impl Call {
    const ANSWER: u32 = 48;
    const MANNERS: u32 = 56;
    /// Two bits above the manners' own: it waits for a restart, and its error is RETRY.
    const RESTART: u64 = 1 << 62;
    const RETRY: u64 = 1 << 63;
    /// The first start of a context, for which nobody waits.
    pub(crate) const START: Self = Self::new(Entered::Run, 1, Link::NOBODY, PartitionId::NORMAL_WORLD);
    /// A call of the Normal world that finds its target restarted.
    pub(crate) const AGAIN: Self = Self(Self::START.0 | Self::RESTART | Self::RETRY);

    /// Makes the call of `caller`, nobody for the Normal world, whose response must name `requester`.
    ///
    /// The depth is the position in the chain, counted from the Normal world: 1 is what the Normal world called.
    /// [`IN_WINDOW`] is set in it where a window let the request through.
    #[inline(always)]
    pub(crate) const fn new(entered: Entered, depth: u8, caller: Link, requester: PartitionId) -> Self {
        let (depth, caller) = ((depth as u64) << 8, (caller.0 as u64) << 16);
        Self(entered as u64 | depth | caller | (requester.0 as u64) << 32)
    }

    /// Makes a call of the Normal world, or of the SPMC itself.
    #[inline(always)]
    pub(crate) fn of_normal(entered: Entered, requester: PartitionId) -> Self {
        Self::new(entered, 1, Link::NOBODY, requester)
    }

    /// Says that it was ended by the death of the partition that is restarted now.
    pub(crate) const fn ended(self) -> Self {
        Self(self.0 | Self::RESTART)
    }

    /// Returns the error with which a call ends that finds its target dead: ABORTED, or RETRY if it was restarted.
    pub(crate) const fn error(self) -> Error {
        if self.0 & Self::RETRY != 0 { Error::Retry } else { Error::Aborted }
    }

    /// Adds what Non-secure interrupts have to do with it.
    #[inline(always)]
    pub(crate) const fn with_manners(self, manners: Manners) -> Self {
        Self(self.0 & !(0xff << Self::MANNERS) | (manners.bits() as u64) << Self::MANNERS)
    }

    /// Adds the number of the message that answers it, for [`Entered::Framework`].
    pub(crate) const fn with_answer(self, number: u8) -> Self {
        Self(self.0 | (number as u64) << Self::ANSWER)
    }

    #[inline(always)]
    pub(crate) const fn entered(self) -> Entered {
        Entered::from_code(self.0 as u8)
    }

    /// Returns the number of [`Call::entered`], for tables.
    #[inline(always)]
    pub(crate) const fn entered_code(self) -> u8 {
        self.0 as u8 & 7
    }

    #[inline(always)]
    pub(crate) const fn depth(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Returns who waits for the answer; nobody is the Normal world.
    #[inline(always)]
    pub(crate) const fn caller(self) -> Link {
        Link((self.0 >> 16) as u16)
    }

    /// Returns the endpoint that the response must name.
    #[inline(always)]
    pub(crate) const fn requester(self) -> PartitionId {
        PartitionId((self.0 >> 32) as u16)
    }

    /// Returns the number of the message that answers it, for [`Entered::Framework`].
    pub(crate) const fn answer(self) -> u8 {
        (self.0 >> Self::ANSWER) as u8
    }

    /// Returns what Non-secure interrupts have to do with it.
    #[inline(always)]
    pub(crate) const fn manners(self) -> Manners {
        Manners::from_bits((self.0 >> Self::MANNERS) as u8)
    }

    /// Returns the position in the chain.
    #[inline(always)]
    pub(crate) const fn position(self) -> u8 {
        self.depth() & !IN_WINDOW
    }

    /// Tells whether the work came through a window.
    #[inline(always)]
    pub(crate) const fn is_in_window(self) -> bool {
        self.depth() & IN_WINDOW != 0
    }

    /// Returns the state of a context that computes for it: Starting until it has said that it is ready, then Running.
    #[inline(always)]
    pub(crate) const fn active(self) -> State {
        match self.entered() {
            Entered::Init => State::Starting,
            Entered::Run
            | Entered::Direct32
            | Entered::Direct64
            | Entered::Direct2
            | Entered::Framework
            | Entered::Interrupt => State::Running,
        }
    }
}

/// One flow of execution of a partition.
#[repr(C)]
pub struct ExecutionContext<P: Port> {
    /// At its beginning: an atomic access takes no offset.
    pub(crate) state: StateCell,
    /// Has said FFA_MSG_WAIT once since its last reset.
    ready: AtomicBool,
    /// Its partition's position.
    pub(crate) partition: u8,
    pub(crate) vcpu: u8,
    /// What its partition's manifest says of Non-secure interrupts.
    pub(crate) strictness: Strictness,
    /// It is the one of its CPU, rather than its partition's only one, which may run on any.
    pub(crate) is_per_cpu: bool,
    /// Whom it called, while it waits for an answer.
    callee: AtomicU16,
    /// How it was entered. Written by whoever wins it, read by whoever holds it: the state's release and acquire
    /// order it, so relaxed accesses do.
    call: AtomicU64,
    /// While it starts again after its partition's death: the call that is answered when it is ready, and how.
    restart: AtomicU64,
    /// How often its partition's tables had been changed when it met a fault last.
    tables: AtomicU64,
    pub(crate) interrupts: Interrupts,
    /// What a call says of who made it, where that is this context.
    as_caller: Call,
    /// What its partition may do.
    pub(crate) properties: Properties,
    /// Its partition's endpoint identifier.
    pub(crate) id: PartitionId,
    /// Its partition's manifest.
    pub(crate) manifest: &'static PartitionManifest,
    context: P::Context,
}

impl<P: Port> ExecutionContext<P> {
    pub(crate) fn new(
        context: P::Context,
        identity: &Identity,
        partition: usize,
        vcpu: u16,
        manifest: &'static PartitionManifest,
    ) -> Self {
        // The manifest's limits (16 partitions, 8 CPUs) keep both within a byte.
        let (partition, vcpu) = (partition as u8, vcpu as u8);
        Self {
            state: StateCell::default(),
            call: AtomicU64::new(0),
            callee: AtomicU16::new(Link::NOBODY.0),
            restart: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            tables: AtomicU64::new(0),
            interrupts: Interrupts::default(),
            id: identity.id,
            properties: identity.properties,
            as_caller: Call::new(Entered::Init, 0, Link::new(partition, vcpu), identity.id),
            partition,
            vcpu,
            strictness: Strictness::of(manifest.ns_interrupts),
            is_per_cpu: manifest.execution_contexts > 1,
            manifest,
            context,
        }
    }

    /// Returns the machine's part.
    #[inline(always)]
    pub fn context(&self) -> &P::Context {
        &self.context
    }

    /// Returns the state.
    pub fn state(&self) -> State {
        self.state.get()
    }

    #[inline(always)]
    pub(crate) fn link(&self) -> Link {
        Link::new(self.partition, self.vcpu)
    }

    /// Tells whether CPU `cpu` may run it.
    pub(crate) fn may_run_on(&self, cpu: usize) -> bool {
        !self.is_per_cpu || self.vcpu as usize == cpu
    }

    /// Names it as an end of a route.
    #[inline(always)]
    pub(crate) fn end(&self) -> End {
        End::partition(self.partition as usize)
    }

    #[inline(always)]
    pub(crate) fn call(&self) -> Call {
        Call(self.call.load(Ordering::Relaxed))
    }

    #[inline(always)]
    pub(crate) fn set_call(&self, call: Call) {
        self.call.store(call.0, Ordering::Relaxed);
    }

    /// Makes the call by which it enters another context and waits for its answer.
    #[inline(always)]
    pub(crate) fn call_to(&self, entered: Entered, depth: u8) -> Call {
        Call(self.as_caller.0 | entered as u64 | (depth as u64) << 8)
    }

    #[inline(always)]
    pub(crate) fn callee(&self) -> Link {
        Link(self.callee.load(Ordering::Relaxed))
    }

    #[inline(always)]
    pub(crate) fn set_callee(&self, callee: Link) {
        self.callee.store(callee.0, Ordering::Relaxed);
    }

    /// Keeps the call that is answered with its error when the context has started, if it waits for a restart. It is
    /// the context's and not the CPU's, because a restart may be preempted and resumed elsewhere.
    pub(crate) fn set_restart(&self, call: Call) {
        self.restart.store(call.0, Ordering::Relaxed);
    }

    /// Returns what waits for the restart, and forgets it. Its manners mean nothing any more.
    pub(crate) fn take_restart(&self) -> Option<Call> {
        let word = self.restart.swap(0, Ordering::Relaxed);
        (word & Call::RESTART != 0).then_some(Call(word))
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Notes how often its partition's tables have been changed; tells whether they were since the last time.
    pub(crate) fn looks_at_tables(&self, changes: u64) -> bool {
        self.tables.swap(changes, Ordering::Relaxed) != changes
    }

    /// Returns the state in which it computes, until whoever has it publishes another one.
    #[inline(always)]
    pub(crate) fn active(&self) -> State {
        self.call().active()
    }
}

impl<P: Port> fmt::Debug for ExecutionContext<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} vcpu {} {:?}", self.partition, self.vcpu, self.state())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_call_packs_into_a_word_and_back() {
        for caller in [Link::NOBODY, Link::new(0, 0), Link::new(15, 7)] {
            for code in 0..=6 {
                let (entered, requester) = (Entered::from_code(code), PartitionId(0x8003));
                let manners = Manners::from_bits(code | 0x80);
                let call = Call::new(entered, 8, caller, requester).with_answer(code).with_manners(manners);
                assert_eq!((call.entered(), call.depth(), call.requester()), (entered, 8, requester));
                assert_eq!((call.answer(), call.manners()), (code, manners));
                assert!(call.caller() == caller);
            }
        }
    }
}
