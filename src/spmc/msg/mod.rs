// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who runs next: direct messages, call chains, FFA_RUN, FFA_MSG_WAIT and FFA_YIELD.

mod chain;
mod direct;
mod direct2;
mod run;
mod wait;

pub(crate) use direct::{RECEIVES, endpoints, truncate};

/// The longest call chain, counted in partitions from the Normal world on.
pub(crate) const CHAIN_MAX: u8 = 8;
/// Set in the depth of work that came through a window: it is past any limit, so nothing is called on from there.
pub(crate) const IN_WINDOW: u8 = 0x80;
