// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clock: the real-time clock, read once before the Normal world runs, and the physical counter since.
//!
//! The Normal world can set the real-time clock, so it is never read again.

use receipts::Instant;
use sp_rt::device;

/// RTCDR of the PL031: seconds since 1970.
const RTC: u64 = 0x0901_0000;

/// Two readings that were taken together.
pub(crate) struct Clock {
    seconds: u32,
    ticks: u64,
    frequency: u64,
}

impl Clock {
    /// Reads both clocks. `None` if there is none.
    pub(crate) fn start() -> Option<Self> {
        let frequency = device::frequency();
        let seconds = device::read_once(RTC).ok()?;
        (seconds != 0 && frequency != 0).then(|| Self { seconds, ticks: device::ticks(), frequency })
    }

    /// Gives the readings, for [`Clock::resume`].
    pub(crate) fn readings(&self) -> [u64; 2] {
        [self.seconds.into(), self.ticks]
    }

    /// Goes on from readings of a former life: the real-time clock may have been set since. `None` if there was none.
    pub(crate) fn resume([seconds, ticks]: [u64; 2]) -> Option<Self> {
        let seconds = u32::try_from(seconds).ok()?;
        (seconds != 0).then(|| Self { seconds, ticks, frequency: device::frequency() })
    }

    /// Tells the time.
    pub(crate) fn now(&self) -> Option<Instant> {
        let passed = device::ticks().saturating_sub(self.ticks);
        let seconds = i64::from(self.seconds).checked_add(i64::try_from(passed / self.frequency).ok()?)?;
        let rest = u128::from(passed % self.frequency) * 1_000_000_000 / u128::from(self.frequency);
        Instant::from_unix(seconds, u32::try_from(rest).ok()?)
    }
}
