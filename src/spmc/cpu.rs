// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one CPU knows: which execution context runs on it, and what the Normal world left in x8-x17.

use ffa_abi::Regs;

use crate::{ExecutionContext, Port};

/// Holds the decisions' state of one CPU. It belongs to that CPU alone; nothing in it is shared.
pub struct Cpu<P: Port> {
    pub(crate) index: usize,
    pub(crate) current: Option<&'static ExecutionContext<P>>,
    /// The position in the boot order of the next partition: to be told of `power`, else to initialise. No power event
    /// comes in the middle of a start: the Normal world's interrupts are held until it ends.
    pub(crate) next: usize,
    /// The power event that partitions are being told of: w3 to w6, the PSCI function and its arguments.
    pub(crate) power: Option<[u64; 4]>,
    /// Non-secure interrupts wait until the Normal world runs.
    pub(crate) held: bool,
    /// Something is to be done when the Normal world runs again: a waiting context may have an interrupt to handle and
    /// could not be entered, or `schedule`.
    pub(crate) deferred: bool,
    /// The schedule-receiver interrupt is to be raised when the Normal world runs again.
    pub(crate) schedule: bool,
    normal_x8_17: [u64; 10],
}

impl<P: Port> Cpu<P> {
    /// Makes the state of CPU `index` (its position in the manifest's `cpus`).
    pub const fn new(index: usize) -> Self {
        Self {
            index,
            current: None,
            next: 0,
            power: None,
            held: false,
            deferred: false,
            schedule: false,
            normal_x8_17: [0; 10],
        }
    }

    /// Returns the CPU's index.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Returns the execution context that runs on this CPU, for reports.
    pub fn current(&self) -> Option<&'static ExecutionContext<P>> {
        self.current
    }

    /// Keeps the Normal world's x8-x17 while a partition runs: they go back exactly as received.
    #[inline(always)]
    pub(crate) fn keep_normal(&mut self, regs: &Regs) {
        let [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h, i, j] = regs.x;
        self.normal_x8_17 = [a, b, c, d, e, f, g, h, i, j];
    }

    /// Puts the Normal world's x8-x17 back beside the reply.
    #[inline(always)]
    pub(crate) fn give_back_normal(&self, regs: &mut Regs) {
        let [a, b, c, d, e, f, g, h, i, j] = self.normal_x8_17;
        let [x0, x1, x2, x3, x4, x5, x6, x7, ..] = regs.x;
        regs.x = [x0, x1, x2, x3, x4, x5, x6, x7, a, b, c, d, e, f, g, h, i, j];
    }
}
