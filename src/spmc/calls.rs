// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of calls: who may make which, from which version on, in which state. The dispatcher obeys it and
//! `FFA_FEATURES` reports it, so the two cannot disagree.

use ffa_abi::{Func, Version};

use crate::partition::{Call, Entered};
use crate::refusal::Refusal;

/// The row of one interface, in two bytes.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The minor number of the first version that has it: an endpoint that negotiated an earlier one does not.
    since: u8,
    /// In which rows of the run-time model a partition may make the call, a bit each, and [`NORMAL`].
    callers: u8,
}

/// The Normal world may make the call (as SPMD forwards it).
const NORMAL: u8 = 1 << 7;
const INIT: u8 = 1 << Entered::Init as u8;
const RUN: u8 = 1 << Entered::Run as u8;
const DIRECT: u8 = 1 << Entered::Direct32 as u8 | 1 << Entered::Direct64 as u8 | 1 << Entered::Direct2 as u8;
const FRAMEWORK: u8 = 1 << Entered::Framework as u8;
const INTERRUPT: u8 = 1 << Entered::Interrupt as u8;
const ANY: u8 = INIT | RUN | DIRECT | FRAMEWORK | INTERRUPT;

const V0: Version = Version::V1_0;
const V1: Version = Version::V1_1;
const V2: Version = Version::V1_2;

const fn row(normal: bool, since: Version, model: u8) -> Row {
    assert!(model & NORMAL == 0 && since.major == V0.major);
    Row { since: since.minor as u8, callers: model | if normal { NORMAL } else { 0 } }
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

const NO: Row = row(false, V0, 0);

/// Says who may call `func` (DEN0077A, "Partition runtime models" for the last column).
pub(crate) const fn row_of(func: Func) -> Row {
    use Func::*;
    match func {
        Error => row(false, V0, INIT),
        Success => NO,
        Interrupt => NO,
        Version => row(false, V0, ANY),
        Features => row(true, V0, ANY),
        RxRelease => row(true, V0, ANY),
        RxTxMap => row(true, V0, ANY),
        RxTxUnmap => row(true, V0, ANY),
        PartitionInfoGet => row(true, V0, ANY),
        IdGet => row(false, V0, ANY),
        SpmIdGet => row(false, V1, ANY),
        MsgWait => row(false, V0, INIT | RUN | INTERRUPT),
        Yield => row(false, V0, RUN | DIRECT | INTERRUPT),
        Run => row(true, V0, RUN | DIRECT | INTERRUPT),
        DirectReq => row(true, V0, INIT | RUN | DIRECT | INTERRUPT),
        DirectResp => row(false, V0, DIRECT | FRAMEWORK),
        MemDonate | MemLend | MemShare | MemRetrieveReq | MemRelinquish | MemReclaim | MemFragRx | MemFragTx => {
            row(true, V0, ANY)
        }
        MemRetrieveResp => NO,
        MemPermGet | MemPermSet => row(false, V1, ANY),
        NormalWorldResume => NO,
        NotificationBitmapCreate | NotificationBitmapDestroy | NotificationInfoGet => row(true, V1, 0),
        NotificationBind | NotificationUnbind | NotificationSet | NotificationGet => row(true, V1, ANY),
        RxAcquire => row(true, V1, 0),
        MsgSend2 => row(true, V1, ANY),
        SecondaryEpRegister => row(false, V1, INIT),
        ConsoleLog => row(false, V0, ANY),
        PartitionInfoGetRegs => row(true, V2, ANY),
        El3IntrHandle => NO,
        DirectReq2 => row(true, V2, INIT | RUN | DIRECT | INTERRUPT),
        DirectResp2 => row(false, V2, DIRECT),
    }
}

/// A minor number greater than that of any version: what [`Row::since`] returns of a call that does not exist.
pub(crate) const NEVER: u8 = 3;

impl Row {
    /// Returns the minor number of the first version in which an endpoint of the given world has the call.
    pub(crate) const fn since(&self, partition: bool) -> u8 {
        let callers = if partition { !NORMAL } else { NORMAL };
        if self.callers & callers != 0 { self.since } else { NEVER }
    }

    /// Tells whether an endpoint of the given world and version has the call at all.
    #[inline(always)]
    pub(crate) const fn has(&self, partition: bool, version: Version) -> bool {
        let callers = if partition { !NORMAL } else { NORMAL };
        self.callers & callers != 0 && version.bits() >= Version::new(V0.major, self.since as u16).bits()
    }

    /// Tells whether endpoints of the given world may make the call in every version and state.
    pub(crate) const fn is_unconditional(&self, partition: bool) -> bool {
        self.has(partition, V0) && (!partition || self.callers & ANY == ANY)
    }

    /// Tells whether the run-time model lets a partition that was entered by `call` make this one.
    #[inline(always)]
    pub(crate) const fn check_model(&self, call: Call) -> Result<(), Refusal> {
        if self.callers >> call.entered_code() & 1 != 0 { Ok(()) } else { Err(Refusal::ModelDenies) }
    }
}
