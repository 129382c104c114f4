// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_FEATURES` (DEN0077A, "FFA_FEATURES"): what the table of calls says, and nothing else.

use ffa_abi::{Func, Version};

use crate::calls;
use crate::interrupt;
use crate::mailbox::MAX_PAGES;
use crate::manifest::{NsInterruptAction, PartitionManifest};
use crate::refusal::Refusal;

/// A feature identifier has bit 31 clear; a function identifier has it set.
const FUNCTION: u32 = 1 << 31;

const NOTIFICATION_PENDING: u32 = 1;
pub(crate) const SCHEDULE_RECEIVER: u32 = 2;
const MANAGED_EXIT: u32 = 3;
/// The interrupt that the Normal world's scheduler gets: the SGI that TF-A and Linux expect.
const SCHEDULE_RECEIVER_SGI: u64 = 8;

/// The versions that an endpoint may be served in, the place of each its minor number.
const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];
/// No such feature.
const NONE: u8 = u8::MAX;

/// The answers about interfaces as the table of calls gives them: for the Normal world and for partitions, by version,
/// by interface.
static ANSWERS: [[[u8; Func::NUMBERS]; VERSIONS.len()]; 2] = {
    let mut answers = [[[NONE; Func::NUMBERS]; VERSIONS.len()]; 2];
    let mut i = 0;
    while i < Func::ALL.len() {
        let func = Func::ALL[i];
        let mut v = 0;
        while v < VERSIONS.len() {
            answers[0][v][func.index()] = answer(func, false, VERSIONS[v]);
            answers[1][v][func.index()] = answer(func, true, VERSIONS[v]);
            v += 1;
        }
        i += 1;
    }
    answers
};

/// Packs w2 of an answer into a byte: bits [21:16] and [1:0], the only ones that interfaces have for their properties.
const fn pack(w2: u32) -> u8 {
    let packed = w2 >> 14 | w2 & 3;
    assert!(packed < NONE as u32 && unpack(packed as u8) == w2);
    packed as u8
}

const fn unpack(packed: u8) -> u32 {
    (packed as u32 >> 2) << 16 | packed as u32 & 3
}

/// Derives w2 of the answer about `func` from its row, packed, or [`NONE`].
///
/// The Normal world may ask about the calls that SPMD answers or takes in our stead, too: it cannot tell the two
/// apart.
const fn answer(func: Func, partition: bool, version: Version) -> u8 {
    let by_spmd = !partition && matches!(func, Func::Version | Func::IdGet | Func::SpmIdGet);
    // What a caller may receive is a feature, too.
    let reply = matches!(func, Func::Error | Func::Success | Func::Interrupt);
    if !calls::row_of(func).has(partition, version) && !by_spmd && !reply {
        return NONE;
    }
    pack(match func {
        // Bits [1:0]: buffers of 4 KiB and aligned to 4 KiB do; from v1.2 bits [31:16]: the most pages.
        Func::RxTxMap if version.minor >= Version::V1_2.minor => (MAX_PAGES as u32) << 16,
        // Bit 1: the NS attribute of retrieved memory is reported whether or not it was asked for.
        Func::MemRetrieveReq => 1 << 1,
        // The other interfaces have no properties (or, like dynamic buffers, ones that we do not offer).
        _ => 0,
    })
}

/// Tells the number of interrupt `asked` to who may ever get it.
#[cold]
fn interrupt(asked: u32, caller: Option<&PartitionManifest>, version: Version) -> Result<u64, Refusal> {
    if version < Version::V1_1 {
        return Err(Refusal::UnknownFeature);
    }
    match (asked, caller) {
        (NOTIFICATION_PENDING, Some(manifest)) if manifest.notification_support => {
            Ok(interrupt::NOTIFICATION_PENDING.into())
        }
        (MANAGED_EXIT, Some(manifest)) if manifest.ns_interrupts == NsInterruptAction::ManagedExit => {
            Ok(interrupt::MANAGED_EXIT.into())
        }
        (SCHEDULE_RECEIVER, None) => Ok(SCHEDULE_RECEIVER_SGI),
        // The others do not exist, or not for this caller.
        _ => Err(Refusal::UnknownFeature),
    }
}

/// Returns w2 of the answer about `asked` to a partition with this manifest, or to the Normal world, in its version.
#[inline(always)]
pub(crate) fn query(asked: u32, caller: Option<&PartitionManifest>, version: Version) -> Result<u64, Refusal> {
    if asked & FUNCTION == 0 {
        return interrupt(asked, caller, version);
    }
    let answers = &ANSWERS[caller.is_some() as usize];
    let func = Func::decode(asked).ok_or(Refusal::UnknownFeature)?;
    let told = answers.get(version.minor as usize).and_then(|row| row.get(func.index())).copied();
    told.filter(|&told| told != NONE).map(|told| unpack(told).into()).ok_or(Refusal::UnknownFeature)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sim::world::{self, Spec};

    fn partition(notifications: bool, ns_interrupts: NsInterruptAction) -> PartitionManifest {
        let spec = Spec { ns_interrupts, ..Spec::default() };
        PartitionManifest { notification_support: notifications, ..world::manifest(0, &spec) }
    }

    fn plain() -> PartitionManifest {
        partition(false, NsInterruptAction::Signalled)
    }

    #[test]
    fn a_function_of_a_later_version_does_not_exist_for_an_earlier_endpoint() {
        let p = plain();
        assert_eq!(query(0x8400_0085, Some(&p), Version::V1_1), Ok(0));
        assert_eq!(query(0x8400_0085, Some(&p), Version::V1_0), Err(Refusal::UnknownFeature));
    }

    #[test]
    fn widths_that_do_not_exist_are_unknown() {
        assert_eq!(query(0xc400_0066, None, Version::V1_1), Ok(0));
        assert_eq!(query(0xc400_0067, None, Version::V1_1), Err(Refusal::UnknownFeature));
    }

    #[test]
    fn numbers_of_no_feature_are_unknown() {
        let p = partition(true, NsInterruptAction::ManagedExit);
        for id in [0, 2, 4, 0x7fff_ffff, 0x8400_005f, 0x8400_00ff, 0xffff_ffff] {
            assert_eq!(query(id, Some(&p), Version::V1_1), Err(Refusal::UnknownFeature), "{id:#x}");
        }
    }

    #[test]
    fn the_number_of_an_interrupt_is_told_to_those_who_may_get_it() {
        let unknown = Err(Refusal::UnknownFeature);
        let signalled = NsInterruptAction::Signalled;
        let exits = NsInterruptAction::ManagedExit;
        for (notifications, action, pending, exit) in [
            (false, signalled, unknown, unknown),
            (true, signalled, Ok(5), unknown),
            (false, exits, unknown, Ok(4)),
            (true, exits, Ok(5), Ok(4)),
            (true, NsInterruptAction::Queued, Ok(5), unknown),
        ] {
            let p = partition(notifications, action);
            for version in [Version::V1_1, Version::V1_2] {
                let asked = [1, 2, 3].map(|id| query(id, Some(&p), version));
                assert_eq!(asked, [pending, unknown, exit], "{notifications} {action:?} {version}");
            }
            assert_eq!([1, 2, 3].map(|id| query(id, Some(&p), Version::V1_0)), [unknown; 3]);
        }
        assert_eq!([1, 2, 3].map(|id| query(id, None, Version::V1_1)), [unknown, Ok(8), unknown]);
        assert_eq!(query(2, None, Version::V1_0), unknown);
    }
}
