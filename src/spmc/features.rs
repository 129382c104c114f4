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

/// The answers about interfaces as the table of calls gives them: for the Normal world and for partitions, by interface.
static ANSWERS: [[Answer; Func::NUMBERS]; 2] = {
    let mut answers = [[Answer::NONE; Func::NUMBERS]; 2];
    let mut i = 0;
    while i < Func::ALL.len() {
        let func = Func::ALL[i];
        answers[0][func.index()] = Answer::about(func, false);
        answers[1][func.index()] = Answer::about(func, true);
        i += 1;
    }
    answers
};

/// An answer about an interface, in a byte.
#[derive(Clone, Copy)]
struct Answer(u8);

// A version that is served is none of the numbers that stand for no version, and fits.
const _: () = assert!(crate::IMPLEMENTED.minor < calls::NEVER as u16 && calls::NEVER <= Answer::SINCE);

impl Answer {
    /// No version has the interface.
    const NONE: Self = Self(calls::NEVER);
    /// The minor number of the first version that has it.
    const SINCE: u8 = 0b11;
    /// Bit 1 of w2: the NS attribute of retrieved memory is reported whether or not it was asked for.
    const REPORTS_NS: u8 = 1 << 2;
    /// From v1.2 on bits [31:16] of w2 are the most pages in a buffer. Bits [1:0]: 4 KiB and aligned to 4 KiB do.
    const HAS_PAGES: u8 = 1 << 3;

    /// Derives the answer about `func` from its row.
    ///
    /// The Normal world may ask about the calls that SPMD answers or takes in our stead, too: it cannot tell the two
    /// apart.
    const fn about(func: Func, partition: bool) -> Self {
        let by_spmd = !partition && matches!(func, Func::Version | Func::IdGet | Func::SpmIdGet);
        // What a caller may receive is a feature, too.
        let reply = matches!(func, Func::Error | Func::Success | Func::Interrupt);
        let since = if by_spmd || reply { Version::V1_0.minor as u8 } else { calls::row_of(func).since(partition) };
        Self(match func {
            Func::RxTxMap => since | Self::HAS_PAGES,
            Func::MemRetrieveReq => since | Self::REPORTS_NS,
            // The other interfaces have no properties (or, like dynamic buffers, ones that we do not offer).
            _ => since,
        })
    }

    /// Returns w2, if `version` has the interface.
    #[inline(always)]
    fn told_to(self, version: Version) -> Option<u64> {
        if version.minor < u16::from(self.0 & Self::SINCE) {
            return None;
        }
        let has_pages = self.0 & Self::HAS_PAGES != 0 && version.minor >= Version::V1_2.minor;
        let pages = if has_pages { MAX_PAGES << 16 } else { 0 };
        Some(pages | u64::from(self.0 & Self::REPORTS_NS) >> 1)
    }
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
    let answer = Func::decode(asked).and_then(|func| answers.get(func.index()));
    answer.and_then(|answer| answer.told_to(version)).ok_or(Refusal::UnknownFeature)
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
