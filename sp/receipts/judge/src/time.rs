// SPDX-License-Identifier: MIT OR Apache-2.0
//! Points in time, read as RFC 3339 with an offset.

use alloc::string::String;
use chrono::{DateTime, Datelike, Timelike, Utc};

/// A point in time, to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(DateTime<Utc>);

impl Instant {
    /// Reads RFC 3339; any offset.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.with_timezone(&Utc)))
    }

    /// Reads RFC 3339 with the offset `Z` or `+00:00` only, as trust bundles want it.
    pub fn parse_utc(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        (time.offset().local_minus_utc() == 0).then(|| Self(time.with_timezone(&Utc)))
    }

    /// Makes a time from seconds since 1970 and nanoseconds; `None` beyond the calendar.
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Option<Self> {
        DateTime::from_timestamp(seconds, nanoseconds).map(Self)
    }

    /// Gives the seconds since 1970, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// Gives the nanoseconds of its second.
    pub fn nanoseconds(self) -> u32 {
        self.0.timestamp_subsec_nanos()
    }

    /// Gives the time so many seconds later, or the latest there is.
    pub fn plus_seconds(self, seconds: u32) -> Self {
        let later = self.0.checked_add_signed(chrono::TimeDelta::seconds(i64::from(seconds)));
        Self(later.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// Gives the microseconds since another time, negative if this is the earlier one. Saturates.
    pub fn microseconds_since(self, earlier: Self) -> i64 {
        let gap = self.0.signed_duration_since(earlier.0);
        gap.num_microseconds().unwrap_or(if gap < chrono::TimeDelta::zero() { i64::MIN } else { i64::MAX })
    }

    /// Gives the whole seconds since another time, towards zero.
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.0.signed_duration_since(earlier.0).num_seconds()
    }

    /// Spells the time in UTC with milliseconds, as the format's own timestamps are. Years are of four digits.
    pub fn text(self) -> String {
        let mut text = String::new();
        let (date, time) = (self.0.date_naive(), self.0.time());
        let parts = [
            (date.year().unsigned_abs(), 1000, '-'),
            (date.month(), 10, '-'),
            (date.day(), 10, 'T'),
            (time.hour(), 10, ':'),
            (time.minute(), 10, ':'),
            (time.second(), 10, '.'),
            (time.nanosecond() / 1_000_000 % 1000, 100, 'Z'),
        ];
        for (value, mut unit, after) in parts {
            while unit > 0 {
                text.push(char::from(b'0' + (value / unit % 10) as u8));
                unit /= 10;
            }
            text.push(after);
        }
        text
    }
}
