// SPDX-License-Identifier: MIT OR Apache-2.0
//! Version negotiation (DEN0077A, "FFA_VERSION"): one endpoint, one version, settled by its first other call.

use ffa_abi::Version;

use crate::refusal::Refusal;
use crate::sync::{AtomicU32, Ordering};

/// The version that this SPMC implements.
pub const IMPLEMENTED: Version = Version::V1_2;

/// Holds what one endpoint negotiated. Until it asks, it is served in our own version.
#[derive(Debug)]
pub(crate) struct Negotiated(AtomicU32);

/// Bit 31 of a version is zero by definition, so it can say that the version is settled.
const SETTLED: u32 = 1 << 31;

impl Default for Negotiated {
    fn default() -> Self {
        Self(AtomicU32::new(IMPLEMENTED.bits()))
    }
}

impl Negotiated {
    /// Returns the version in which the endpoint is served.
    #[inline(always)]
    pub(crate) fn get(&self) -> Version {
        let bits = self.0.load(Ordering::Relaxed) & !SETTLED;
        Version::new((bits >> 16) as u16, bits as u16)
    }

    /// Settles the version: the endpoint made a call other than `FFA_VERSION`.
    #[inline(always)]
    pub(crate) fn settle(&self) {
        let bits = self.0.load(Ordering::Relaxed);
        if bits & SETTLED == 0 {
            // Two CPUs of one endpoint may race here; both write the same bit.
            self.0.fetch_or(SETTLED, Ordering::Relaxed);
        }
    }

    /// Forgets everything: the endpoint restarted.
    pub(crate) fn reset(&self) {
        self.0.store(IMPLEMENTED.bits(), Ordering::Relaxed);
    }

    /// Answers a request for `bits` as w0 does: our version, or the status code of a refusal.
    #[inline(never)]
    pub(crate) fn answer(&self, bits: u32) -> u32 {
        self.negotiate(bits).map_or_else(|refusal| refusal.code().code() as u32, |version| version.bits())
    }

    /// Decides on a request for `bits`: our version, or the reason for refusing.
    ///
    /// An older minor version is noted, so that the endpoint is served in it; a newer one gets ours, and it is
    /// the caller's to decide whether that is enough. Once settled only the same answer is given again.
    pub(crate) fn negotiate(&self, bits: u32) -> Result<Version, Refusal> {
        let asked = Version::from_bits(bits).ok_or(Refusal::VersionMalformed)?;
        if asked.major != IMPLEMENTED.major {
            return Err(Refusal::VersionMajor);
        }
        let served = asked.min(IMPLEMENTED);
        let now = self.0.load(Ordering::Relaxed);
        let wanted = served.bits();
        if now & SETTLED != 0 {
            return if now & !SETTLED == wanted { Ok(IMPLEMENTED) } else { Err(Refusal::VersionLocked) };
        }
        // If another CPU of the endpoint settles it at this moment, this call came too late.
        match self.0.compare_exchange(now, wanted, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Ok(IMPLEMENTED),
            Err(_) => Err(Refusal::VersionLocked),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn older_minors_are_served_newer_get_ours_and_majors_must_agree() {
        let n = Negotiated::default();
        assert_eq!(n.negotiate(0x1_0000), Ok(IMPLEMENTED));
        assert_eq!(n.get(), Version::V1_0);
        assert_eq!(n.negotiate(0x1_0009), Ok(IMPLEMENTED));
        assert_eq!(n.get(), IMPLEMENTED);
        assert_eq!(n.negotiate(0x0_0009), Err(Refusal::VersionMajor));
        assert_eq!(n.negotiate(0x2_0000), Err(Refusal::VersionMajor));
        assert_eq!(n.negotiate(0x8001_0001), Err(Refusal::VersionMalformed));
    }

    #[test]
    fn a_settled_version_stays() {
        let n = Negotiated::default();
        n.negotiate(0x1_0000).unwrap();
        n.settle();
        assert_eq!(n.negotiate(0x1_0001), Err(Refusal::VersionLocked));
        assert_eq!(n.negotiate(0x1_0000), Ok(IMPLEMENTED));
        assert_eq!(n.get(), Version::V1_0);
        n.reset();
        assert_eq!(n.negotiate(0x1_0001), Ok(IMPLEMENTED));
    }
}
