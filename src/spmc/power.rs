// SPDX-License-Identifier: MIT OR Apache-2.0
//! Framework messages between SPMD and SPMC: power management and the Normal world's version (TF-A's SPMD;
//! DEN0077A, "Power management messages", "FFA_VERSION").

use ffa_abi::{Func, PartitionId, Regs};

use crate::msg::endpoints;
use crate::partition::ExecutionContext;
use crate::refusal::Refusal;
use crate::{Cpu, Next, Port, Spmc};

const PSCI_REQUEST: u32 = 0x8000_0000;
const PSCI_RESPONSE: u64 = 0x8000_0002;
const VERSION_REQUEST: u32 = 0x8000_0008;
const VERSION_RESPONSE: u64 = 0x8000_0009;

impl<P: Port> Spmc<P> {
    /// Takes a direct request whose w2 is not zero: a message of the SPMD, or a mistake.
    #[cold]
    #[inline(never)]
    pub(crate) fn framework_from_normal(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Result<Next<P>, Refusal> {
        let [_, w1, w2, w3, ..] = regs.x;
        let (source, destination) = endpoints(w1);
        if source != PartitionId::SPMD || destination != self.id {
            // VM-availability messages of a hypervisor would come here, too; no partition may ask for them yet.
            return Err(if source.is_secure() { Refusal::ForgedSource } else { Refusal::ReservedNotZero });
        }
        let (kind, value) = match w2 as u32 {
            VERSION_REQUEST => {
                let ours = self.normal.version.negotiate(w3 as u32);
                (VERSION_RESPONSE, ours.map_or_else(|r| r.code().code() as u32, |v| v.bits()))
            }
            PSCI_REQUEST => {
                // The CPU goes off or comes back with nothing of ours on it: between calls no chain runs here.
                cpu.current = None;
                (PSCI_RESPONSE, 0)
            }
            // TF-A 2.12 sends no others.
            _ => return Err(Refusal::FrameworkMessage),
        };
        // SPMD forwards a response with any other w1 to the Normal world.
        let w1 = (self.id.0 as u64) << 16 | PartitionId::SPMD.0 as u64;
        regs.set8([Func::DirectResp.id32() as u64, w1, kind, value as u64, 0, 0, 0, 0]);
        Ok(Next::Reply)
    }

    /// Takes a partition's answer to a framework message.
    #[cold]
    pub(crate) fn framework_response(
        &'static self,
        _cpu: &mut Cpu<P>,
        _responder: &'static ExecutionContext<P>,
        _regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        Err(Refusal::NoRequest)
    }
}
