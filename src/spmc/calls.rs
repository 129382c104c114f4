// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of calls: who may make which, from which version on, in which state. The dispatcher obeys it and
//! `FFA_FEATURES` reports it, so the two cannot disagree.

use ffa_abi::{Func, Version};

use crate::partition::Entered;
use crate::refusal::Refusal;

/// The row of one interface.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The Normal world may make the call (as SPMD forwards it).
    pub(crate) normal: bool,
    /// A partition may make the call.
    pub(crate) partition: bool,
    /// The first version that has it: an endpoint that negotiated an earlier one does not.
    since: Version,
    /// In which rows of the run-time model a partition may make the call.
    model: u8,
}

const INIT: u8 = 1 << Entered::Init as u8;
const RUN: u8 = 1 << Entered::Run as u8;
const DIRECT: u8 = 1 << Entered::Direct32 as u8 | 1 << Entered::Direct64 as u8 | 1 << Entered::Direct2 as u8;
const FRAMEWORK: u8 = 1 << Entered::Framework as u8;
const INTERRUPT: u8 = 1 << Entered::Interrupt as u8;
const ANY: u8 = INIT | RUN | DIRECT | FRAMEWORK | INTERRUPT;

const V0: Version = Version::V1_0;
const V1: Version = Version::V1_1;
const V2: Version = Version::V1_2;

const fn row(normal: bool, partition: bool, since: Version, model: u8) -> Row {
    Row { normal, partition, since, model }
}

/// The rows in the order of [`Func::index`].
const ROWS: [Row; Func::NUMBERS] = {
    let mut rows = [NO; Func::NUMBERS];
    let mut i = 0;
    while i < Func::ALL.len() {
        let func = Func::ALL[i];
        rows[func.index()] = row_of(func);
        i += 1;
    }
    rows
};

/// Returns the row of `func`.
#[inline(always)]
pub(crate) fn of(func: Func) -> &'static Row {
    ROWS.get(func.index()).unwrap_or(&NO)
}

const NO: Row = row(false, false, V0, 0);

/// Says who may call `func` (DEN0077A, "Partition runtime models" for the last column).
pub(crate) const fn row_of(func: Func) -> Row {
    use Func::*;
    match func {
        Error => row(false, true, V0, INIT),
        Success => NO,
        Interrupt => NO,
        Version => row(false, true, V0, ANY),
        Features => row(true, true, V0, ANY),
        RxRelease => row(true, true, V0, ANY),
        RxTxMap => row(true, true, V0, ANY),
        RxTxUnmap => row(true, true, V0, ANY),
        PartitionInfoGet => row(true, true, V0, ANY),
        IdGet => row(false, true, V0, ANY),
        SpmIdGet => row(false, true, V1, ANY),
        MsgWait => row(false, true, V0, INIT | RUN | INTERRUPT),
        Yield => row(false, true, V0, RUN | DIRECT | INTERRUPT),
        Run => row(true, true, V0, RUN | DIRECT | INTERRUPT),
        DirectReq => row(true, true, V0, INIT | RUN | DIRECT | INTERRUPT),
        DirectResp => row(false, true, V0, DIRECT | FRAMEWORK),
        MemDonate | MemLend | MemShare | MemRetrieveReq | MemRelinquish | MemReclaim | MemFragRx | MemFragTx => {
            row(true, true, V0, ANY)
        }
        MemRetrieveResp => NO,
        MemPermGet | MemPermSet => row(false, true, V1, ANY),
        NormalWorldResume => NO,
        NotificationBitmapCreate | NotificationBitmapDestroy | NotificationInfoGet => row(true, false, V1, 0),
        NotificationBind | NotificationUnbind | NotificationSet | NotificationGet => row(true, true, V1, ANY),
        RxAcquire => row(true, false, V1, 0),
        MsgSend2 => row(true, true, V1, ANY),
        SecondaryEpRegister => row(false, true, V1, INIT),
        ConsoleLog => row(false, true, V0, ANY),
        PartitionInfoGetRegs => row(true, true, V2, ANY),
        El3IntrHandle => NO,
        DirectReq2 => row(true, true, V2, INIT | RUN | DIRECT | INTERRUPT),
        DirectResp2 => row(false, true, V2, DIRECT),
    }
}

impl Row {
    /// Tells whether an endpoint of the given world and version has the call at all.
    #[inline(always)]
    pub(crate) const fn has(&self, partition: bool, version: Version) -> bool {
        let caller = if partition { self.partition } else { self.normal };
        let (have, need) = (version.bits(), self.since.bits());
        caller && have >= need
    }

    /// Tells whether endpoints of the given world may make the call in every version and state.
    pub(crate) const fn is_unconditional(&self, partition: bool) -> bool {
        self.has(partition, V0) && (!partition || self.model == ANY)
    }

    /// Tells whether the run-time model lets a partition that was entered this way make the call.
    #[inline(always)]
    pub(crate) const fn check_model(&self, entered: Entered) -> Result<(), Refusal> {
        if self.model >> entered as u8 & 1 != 0 { Ok(()) } else { Err(Refusal::ModelDenies) }
    }
}
