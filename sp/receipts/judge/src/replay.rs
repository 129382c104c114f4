// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nonces that were used: a replay is refused, and so is everything new when there is no room to remember it.

use crate::crypto::PublicKey;
use crate::time::Instant;
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use core::sync::atomic::{Ordering, compiler_fence};
use sha2::{Digest as _, Sha256};

/// One used nonce: a keyed hash of signer and nonce (never 0); then when it may be forgotten (seconds since 1970, bits
/// 31..0) and a check of both. Zeros where none ever was.
///
/// Two nonces with one hash would be taken for one: the second is refused, none is let through.
pub type Entry = [u64; 2];

/// An entry that was never used.
pub const FREE: Entry = [0; 2];

/// Remembers used nonces by (public key, nonce) until their time is over. It never forgets one before.
///
/// The entries lie where the owner says, and may outlive the cache: whatever moment its writing is cut short at, what
/// was remembered before still is ([`ReplayCache::resume`]).
#[derive(Debug)]
pub struct ReplayCache<'s> {
    secret: [u8; 16],
    entries: &'s mut [Entry],
}

impl<'s> ReplayCache<'s> {
    /// Makes an empty cache of these entries. `secret` keeps callers from aiming for collisions.
    pub fn new(entries: &'s mut [Entry], secret: [u8; 16]) -> Self {
        entries.fill(FREE);
        Self { secret, entries }
    }

    /// Takes over the entries of a cache with this secret whose life ended, perhaps in the middle of recording: that
    /// one nonce, whose request was never answered, is forgotten. `None` if more than that is wrong with them.
    pub fn resume(entries: &'s mut [Entry], secret: [u8; 16]) -> Option<Self> {
        let mut cut_short = 0;
        for entry in entries.iter_mut().filter(|entry| **entry != FREE) {
            let [hash, rest] = *entry;
            if sealed(&secret, hash, rest as u32) != rest {
                cut_short += 1;
                // Over already, but not free: others may lie behind it.
                *entry = [hash.max(1), sealed(&secret, hash.max(1), 0)];
            }
        }
        (cut_short <= 1).then_some(Self { secret, entries })
    }

    /// Gives the number of nonces that can be remembered.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.fill(FREE);
    }

    /// Records a nonce for `hold` seconds. Refuses a replay, and a new one when the cache is full.
    pub fn check_and_record(&mut self, key: &PublicKey, nonce: &str, now: Instant, hold: u32) -> Result<(), Replay> {
        let digest =
            Sha256::new().chain_update(self.secret).chain_update(key.as_bytes()).chain_update(nonce).finalize();
        let hash = word(&digest).max(1);
        let seconds = u32::try_from(now.unix_seconds().max(0)).unwrap_or(u32::MAX);
        let entry = self.place(hash, seconds)?;
        // The hash first: a write that is cut short leaves an entry that is over, with a check that is wrong.
        let rest = sealed(&self.secret, hash, seconds.saturating_add(hold));
        if let Some([first, second]) = self.entries.get_mut(entry) {
            *first = hash;
            compiler_fence(Ordering::Release);
            *second = rest;
        }
        Ok(())
    }

    /// Finds where a nonce goes that is not in use at this time.
    fn place(&self, hash: u64, seconds: u32) -> Result<usize, Replay> {
        let home = hash.checked_rem(self.entries.len() as u64).ok_or(Replay::Full)? as usize;
        let (wrapped, first) = self.entries.split_at_checked(home).ok_or(Replay::Full)?;
        let behind = first.iter().zip(home..).chain(wrapped.iter().zip(0..));
        let mut free = None;
        for (&[other, rest], at) in behind {
            let is_over = other == 0 || (rest as u32) < seconds;
            if other == hash {
                return if is_over { Ok(at) } else { Err(Replay::Seen) };
            }
            if is_over && free.is_none() {
                free = Some(at);
            }
            if other == 0 {
                break;
            }
        }
        free.ok_or(Replay::Full)
    }
}

/// Gives the second word of an entry.
fn sealed(secret: &[u8; 16], hash: u64, until: u32) -> u64 {
    let digest = Sha256::new()
        .chain_update(secret)
        .chain_update(hash.to_le_bytes())
        .chain_update(until.to_le_bytes())
        .finalize();
    word(&digest) << 32 | u64::from(until)
}

fn word(digest: &[u8]) -> u64 {
    digest.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// Why a nonce was not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// It was used before.
    Seen,
    /// There is no room.
    Full,
}

impl Replay {
    /// Gives the verdict; `class` is what the reference calls a replay here.
    pub(crate) fn refuse<T>(self, class: Class) -> Result<T, Verdict> {
        match self {
            Self::Seen => refuse(class, Field::Nonce, Reason::Replay),
            Self::Full => refuse(Class::Strict, Field::Nonce, Reason::Full),
        }
    }
}
