// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hub and spoke: supervised, bounded messaging, where the SPMC manifest turns it on (`hub`).
//!
//! The coordinator alone decides who talks. Everybody else, a spoke, talks to the coordinator, and to another spoke
//! only through a window that the coordinator opened. Without the node there is no [`Hub`], and nothing here runs.

#[allow(dead_code, reason = "what only the management service asks for")]
mod breaker;
#[allow(dead_code, reason = "what only the management service asks for")]
mod dead;
mod deliver;
mod log;
#[allow(dead_code, reason = "what only the management service asks for")]
mod post;
#[cfg(all(test, loom))]
mod post_loom;
#[cfg(all(test, not(loom)))]
mod post_model;
#[allow(dead_code, reason = "what only the management service asks for")]
mod queue;
mod seat;

use ffa_abi::PartitionId;

use crate::manifest::HubPolicy;
use crate::routing::End;
use crate::sync::{AtomicU32, Mutex};
use crate::{Partition, Port, Spmc};
use post::Post;
#[cfg(test)]
pub(crate) use seat::Random;
pub(crate) use seat::Seat;

/// Holds what the SPMC knows of supervised messaging. Built at boot; nothing in it grows afterwards.
pub(crate) struct Hub {
    /// The bounds, as the manifest has them.
    pub(crate) policy: HubPolicy,
    /// Who coordinates; `None` if that is a partition that was left out.
    pub(crate) coordinator: Option<End>,
    /// Messages with envelopes. Locked before a mailbox, and not with anything else.
    pub(crate) post: Mutex<Post>,
    /// Endpoints whose breaker is not closed: bit n is seat n. What paths that take no lock look at.
    pub(crate) suspects: AtomicU32,
}

impl Hub {
    /// Builds the hub over the partitions that were loaded.
    pub(crate) fn new<P: Port>(
        policy: &HubPolicy,
        partitions: &[Partition<P>],
        ticks: u64,
    ) -> Result<Self, &'static str> {
        let post = deliver::post(policy, partitions, ticks).ok_or("hub: there is no memory for its queues")?;
        let coordinator = End::of_party(policy.coordinator, |n| partitions.iter().position(|p| p.manifest_index == n));
        Ok(Self { policy: *policy, coordinator, post: Mutex::new(post), suspects: AtomicU32::new(0) })
    }

    /// Returns the identifier of the management service.
    pub(crate) fn id(&self) -> PartitionId {
        self.policy.id
    }
}

impl<P: Port> Spmc<P> {
    /// Turns supervised messaging on; boot time only.
    pub(crate) fn start_hub(&mut self, policy: &HubPolicy) -> Result<(), &'static str> {
        if policy.id == self.id || self.partitions.find(policy.id).is_some() {
            return Err("hub: id: another endpoint has the identifier of the management service");
        }
        let hub = Hub::new(policy, self.partitions.as_slice(), self.port.counter_hz() / 1000)?;
        let state = if hub.coordinator.is_some() { "" } else { ", which was left out: spokes route nothing" };
        self.port.log(format_args!("hub: service {}, coordinator {}{state}", hub.id(), policy.coordinator));
        self.port.log(format_args!("hub: {} bytes of memory for queues and dead letters", hub.post.lock().memory()));
        self.hub = Some(hub);
        Ok(())
    }
}
