// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a CPU without an SPMC answers: the manifest was refused, or does not list the CPU.
//!
//! The SPMD takes an error during initialisation as leave to go on, but not at the next call (TF-A 2.12 returns from it
//! as if it still initialised). So the CPU says that it is ready, and then that it supports nothing.

use ffa_abi::{Error, Func, Regs};

use crate::msg::endpoints;
use crate::power::{FRAMEWORK, POWER_RESPONSE, PSCI_REQUEST, VERSION_REQUEST, VERSION_RESPONSE, message};

/// Makes the call that ends initialisation (FFA_MSG_WAIT).
pub fn ready(regs: &mut Regs) {
    *regs = Regs::ZERO;
    regs.x[0] = Func::MsgWait.id32() as u64;
}

/// Answers a call of the Normal world or of the SPMD: the Normal world finds no FF-A (DEN0077A, "FFA_VERSION":
/// NOT_SUPPORTED), may turn the CPU off, and its interrupts are not in the way.
pub fn answer(regs: &mut Regs) {
    let [_, w1, w2, ..] = regs.x;
    let (source, destination) = endpoints(w1);
    let request = regs.fid() == Func::DirectReq.id32();
    let response = match (w2 as u32 ^ FRAMEWORK).try_into() {
        Ok(VERSION_REQUEST) if request => Some((VERSION_RESPONSE, Error::NotSupported.code() as u32)),
        Ok(PSCI_REQUEST) if request => Some((POWER_RESPONSE, 0)),
        // The SPMD sends no other messages.
        _ => None,
    };
    if let Some((number, w3)) = response {
        message(regs, Func::DirectResp, (destination, source), number, &[w3.into(), 0, 0, 0]);
    } else if regs.fid() == Func::Interrupt.id32() {
        regs.set8([Func::NormalWorldResume.id32().into(), 0, 0, 0, 0, 0, 0, 0]);
    } else {
        regs.set_error(Error::NotSupported);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(call: [u64; 8]) -> [u64; 8] {
        let mut regs = Regs::ZERO;
        regs.set8(call);
        answer(&mut regs);
        core::array::from_fn(|i| regs.x[i])
    }

    const REQUEST: u64 = Func::DirectReq.id32() as u64;
    const RESPONSE: u64 = Func::DirectResp.id32() as u64;
    const TO_US: u64 = 0xffff_8000;
    const TO_SPMD: u64 = 0x8000_ffff;

    #[test]
    fn a_cpu_without_an_spmc_is_ready_and_supports_nothing() {
        let mut regs = Regs::ZERO;
        ready(&mut regs);
        assert_eq!(regs.fid(), Func::MsgWait.id32());
        let error = [Func::Error.id32() as u64, 0, Error::NotSupported.code() as u32 as u64, 0, 0, 0, 0, 0];
        for func in [Func::Features, Func::DirectReq, Func::MemShare, Func::Run] {
            assert_eq!(asked([func.id32() as u64, 0x8001, 0, 7, 0, 0, 0, 0]), error);
        }
        // A framework message that the SPMD does not send.
        assert_eq!(asked([REQUEST, TO_US, 0x8000_0005, 0, 0, 0, 0, 0]), error);
    }

    #[test]
    fn the_version_is_not_supported_and_power_events_are_acknowledged() {
        let not_supported = Error::NotSupported.code() as u32 as u64;
        let version = asked([REQUEST, TO_US, 0x8000_0008, 0x1_0001, 0, 0, 0, 0]);
        assert_eq!(version, [RESPONSE, TO_SPMD, 0x8000_0009, not_supported, 0, 0, 0, 0]);
        let off = asked([REQUEST, TO_US, 0x8000_0000, 0x8400_0002, 0, 0, 0, 0]);
        assert_eq!(off, [RESPONSE, TO_SPMD, 0x8000_0002, 0, 0, 0, 0, 0]);
        let resume = asked([Func::Interrupt.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(resume[0], Func::NormalWorldResume.id32() as u64);
    }
}
