// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hub and spoke: supervised, bounded messaging, where the SPMC manifest turns it on (`hub`).
//!
//! The coordinator alone decides who talks. Everybody else, a spoke, talks to the coordinator, and to another spoke
//! only through a window that the coordinator opened. Without the node there is no [`Hub`], and nothing here runs.

mod breaker;
mod dead;
mod deliver;
mod event;
mod kept;
mod log;
#[allow(dead_code, reason = "what only tests ask for")]
mod post;
#[cfg(all(test, loom))]
mod post_loom;
#[cfg(all(test, not(loom)))]
mod post_model;
#[allow(dead_code, reason = "what only tests ask for")]
mod queue;
mod seat;
mod second;
mod service;
mod window;
#[cfg(all(test, not(loom)))]
mod window_model;

use alloc::boxed::Box;

use ffa_abi::hub::{Closed, EventKind, SERVICE};
use ffa_abi::lines::Line;
use ffa_abi::{Func, PartitionId, Regs, packed};

use crate::manifest::HubPolicy;
use crate::msg::{IN_WINDOW, endpoints};
use crate::partition::{Link, Properties};
use crate::refusal::Refusal;
use crate::routing::{End, ROWS, Use};
use crate::sync::{AtomicU32, Mutex, Ordering};
use crate::{Partition, Port, Spmc};
pub(crate) use event::Event;
use event::{Events, NOBODY};
use kept::Kept;
use post::Post;
pub(crate) use seat::Seat;
use window::{Shut, Token, Windows};

/// Holds what the SPMC knows of supervised messaging. Built at boot; nothing in it grows afterwards. What is asked most
/// comes first: an instruction reaches so far.
#[repr(C)]
pub(crate) struct Hub {
    /// The identifier of the management service.
    id: PartitionId,
    /// Who coordinates; `None` if that is a partition that was left out.
    pub(crate) coordinator: Option<End>,
    /// Messages with envelopes. Locked before a mailbox, the windows and the events.
    pub(crate) post: Mutex<Post>,
    /// Refusals of each end since boot.
    refusals: [AtomicU32; ROWS],
    pub(crate) windows: Windows,
    pub(crate) events: Mutex<Events>,
    /// What a list left to be fetched. Locked after everything that lists look at.
    kept: Mutex<Kept>,
}

/// Says how a message may go: openly, or through a window that has counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route(Option<Token>);

impl Route {
    /// Nothing is counted.
    pub(crate) const OPEN: Self = Self(None);

    /// Returns what the depth of the request carries of it.
    #[inline(always)]
    pub(crate) fn depth(self) -> u8 {
        if self.0.is_some() { IN_WINDOW } else { 0 }
    }
}

impl Hub {
    /// Builds the hub over the partitions that were loaded; without memory for it, `None`.
    fn new<P: Port>(policy: &HubPolicy, partitions: &[Partition<P>], ticks: u64) -> Option<&'static Self> {
        let coordinator = End::of_party(policy.coordinator, |n| partitions.iter().position(|p| p.manifest_index == n));
        let bounds = deliver::bounds(policy, coordinator, ticks);
        let hub = Box::leak(Box::new(Self {
            id: policy.id,
            coordinator,
            windows: Windows::default(),
            events: Mutex::new(Events::default()),
            post: Mutex::new(Post::new(bounds)),
            kept: Mutex::default(),
            refusals: Default::default(),
        }));
        hub.windows.make_room(policy.windows as usize);
        deliver::make_room(&mut hub.post.lock(), policy, partitions)?;
        Some(hub)
    }

    /// Returns the identifier of the management service.
    pub(crate) fn id(&self) -> PartitionId {
        self.id
    }

    /// Finds the window that lets a message pass, and counts the message in it.
    #[inline(never)]
    fn pass(&self, from: End, to: End, now: u64) -> Result<Route, Refusal> {
        let token = self.windows.find(from, to).ok_or(Refusal::PolicyDenies)?;
        match self.windows.admit(token, now) {
            Ok(()) => Ok(Route(Some(token))),
            // The timer closes what is over.
            Err(Shut::Closed | Shut::Expired) => Err(Refusal::WindowShut),
        }
    }

    /// Records that a call was refused.
    fn note_refusal(&self, time: u64, (who, end): (PartitionId, End), refusal: Refusal, regs: &Regs) {
        let [_, w1, ..] = regs.x;
        let (first, second) = endpoints(w1);
        let other = match Func::look_up(regs.fid()) {
            Some(Func::DirectReq | Func::DirectReq2 | Func::DirectResp | Func::DirectResp2) => second,
            Some(Func::Run) => first,
            // The others name nobody in w1, or not in this way.
            _ => NOBODY,
        };
        let (kind, status) = (EventKind::Refusal, refusal.code().code());
        self.note(Event { time, kind, who, other, detail: regs.fid(), status, text: refusal.why() });
        if let Some(count) = self.refusals.get(end.row()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records an event.
    pub(crate) fn note(&self, event: Event) {
        self.events.lock().push(event);
    }

    /// Records an event about one endpoint alone.
    #[inline(never)]
    pub(crate) fn note_about(&self, time: u64, kind: EventKind, who: PartitionId, text: Line) {
        self.note(Event { time, kind, who, other: NOBODY, detail: 0, status: 0, text });
    }

    /// Takes notice of the death of a partition: it has no windows any more, and without a coordinator nobody has.
    pub(crate) fn partition_died<P: Port>(&self, partition: &Partition<P>, time: u64) {
        let end = End::partition(partition.index);
        if self.coordinator == Some(end) {
            self.windows.close_of(None, Closed::CoordinatorGone, time);
        } else {
            self.windows.close_of(Some(end), Closed::ParticipantDied, time);
        }
        self.note_about(time, EventKind::Fault, partition.id(), packed!("the partition has aborted"));
    }

    /// Takes notice that a partition starts again.
    pub(crate) fn partition_restarted<P: Port>(&self, partition: &Partition<P>, time: u64) {
        self.note_about(time, EventKind::Restart, partition.id(), packed!("the partition starts again"));
    }
}

impl<P: Port> Spmc<P> {
    /// Turns supervised messaging on; boot time only.
    #[inline(never)]
    pub(crate) fn start_hub(&mut self, policy: &HubPolicy) -> Result<(), &'static str> {
        if policy.id == self.id || self.partitions.look_up(policy.id).is_some() {
            return Err("hub: id: another endpoint has the identifier of the management service");
        }
        let hub = Hub::new(policy, self.partitions.as_slice(), self.port.counter_hz() / 1000);
        let hub = hub.ok_or("hub: there is no memory for its queues and lists")?;
        let state = if hub.coordinator.is_some() { "" } else { ", which was left out: spokes route nothing" };
        self.port.log(format_args!("hub: service {}, coordinator {}{state}", hub.id(), policy.coordinator));
        self.port.log(format_args!("hub: {} bytes of memory for queues and dead letters", hub.post.lock().memory()));
        let properties = Properties::RECEIVES_DIRECT | Properties::AARCH64;
        self.directory.add(hub.id(), 1, properties, SERVICE, true);
        self.alarms.lock().add(Link::NOBODY);
        self.hub = Some(hub);
        Ok(())
    }

    /// Decides whether a message may go from one end to the other. The policy's table answers for everybody who may
    /// always; only where it does not is a window looked for.
    #[inline(always)]
    pub(crate) fn route(&self, from: End, to: End) -> Result<Route, Refusal> {
        match self.routing.check(from, to, Use::Messages) {
            Ok(()) => Ok(Route::OPEN),
            Err(refusal) => self.route_by_window(from, to, refusal),
        }
    }

    /// Decides on a message that the table does not let through; without a hub that is all.
    #[cold]
    #[inline(never)]
    fn route_by_window(&self, from: End, to: End, refusal: Refusal) -> Result<Route, Refusal> {
        let hub = self.hub.as_ref().ok_or(refusal)?;
        if self.routing.policy_allows(from, to) {
            return self.pass_breakers(hub, from, to).map(|()| Route::OPEN);
        }
        hub.pass(from, to, self.port.now())
    }

    /// Decides on a message that the policy allows and a breaker, or the coordinator, may not.
    #[cold]
    #[inline(never)]
    fn pass_breakers(&self, hub: &Hub, from: End, to: End) -> Result<(), Refusal> {
        let mut post = hub.post.lock();
        let result = post.pass_direct(Seat::of(from), Seat::of(to), self.port.now());
        self.routing.cut(Seat::ends(post.cut()));
        result
    }

    /// Takes back what was counted of a message that its receiver did not take; returns why it did not.
    #[cold]
    pub(crate) fn turned_back(&self, route: Route, why: Refusal) -> Refusal {
        if let (Some(hub), Route(Some(token))) = (&self.hub, route) {
            hub.windows.refund(token);
        }
        why
    }
}
