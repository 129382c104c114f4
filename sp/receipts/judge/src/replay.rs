// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nonces that were used: a replay is refused, and so is everything new when there is no room to remember it.

use crate::crypto::PublicKey;
use crate::time::Instant;
use crate::verdict::{Class, Field, Reason, Verdict, refuse};
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

/// One used nonce: a keyed hash of signer and nonce, and when it may be forgotten (seconds since 1970).
#[derive(Debug, Clone, Copy)]
struct Used {
    hash: [u8; 12],
    until: u32,
}

/// Remembers used nonces by (public key, nonce) until their time is over. It never forgets one before.
#[derive(Debug)]
pub struct ReplayCache {
    secret: [u8; 16],
    capacity: usize,
    /// In the order of `hash`.
    used: Vec<Used>,
}

/// The size of one remembered nonce, in bytes.
pub const ENTRY_SIZE: usize = core::mem::size_of::<Used>();

impl ReplayCache {
    /// Makes a cache for so many nonces, all of its memory at once. `secret` keeps callers from aiming for collisions.
    pub fn new(capacity: usize, secret: [u8; 16]) -> Option<Self> {
        let mut used = Vec::new();
        used.try_reserve_exact(capacity).ok()?;
        Some(Self { secret, capacity, used })
    }

    /// Gives the number of nonces that are remembered.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Tells whether none is.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// Gives the number of nonces that can be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.used.clear();
    }

    /// Records a nonce for `hold` seconds. Refuses a replay, and a new one when the cache is full.
    pub fn check_and_record(&mut self, key: &PublicKey, nonce: &str, now: Instant, hold: u32) -> Result<(), Replay> {
        let digest: [u8; 32] =
            Sha256::new().chain_update(self.secret).chain_update(key.as_bytes()).chain_update(nonce).finalize().into();
        let mut hash = [0; 12];
        hash.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        let seconds = u32::try_from(now.unix_seconds().max(0)).unwrap_or(u32::MAX);
        let until = seconds.saturating_add(hold);

        let mut place = self.used.binary_search_by(|used| used.hash.cmp(&hash));
        if let Ok(at) = place {
            match self.used.get_mut(at) {
                Some(used) if used.until < seconds => {
                    used.until = until;
                    return Ok(());
                }
                _ => return Err(Replay::Seen),
            }
        }
        if self.used.len() >= self.capacity {
            self.used.retain(|used| used.until >= seconds);
            place = self.used.binary_search_by(|used| used.hash.cmp(&hash));
        }
        match place {
            Err(at) if self.used.len() < self.capacity && at <= self.used.len() => {
                self.used.insert(at, Used { hash, until });
                Ok(())
            }
            _ => Err(Replay::Full),
        }
    }

    /// Writes the secret and the remembered nonces to a buffer. Gives the bytes written, or `None` if they do not fit.
    pub fn save(&self, out: &mut [u8]) -> Option<usize> {
        let (secret, mut rest) = out.split_first_chunk_mut()?;
        *secret = self.secret;
        let mut written = secret.len();
        for used in &self.used {
            let (slot, after) = rest.split_at_mut_checked(ENTRY_SIZE)?;
            let (hash, until) = slot.split_at_mut(used.hash.len());
            hash.copy_from_slice(&used.hash);
            until.copy_from_slice(&used.until.to_le_bytes());
            (rest, written) = (after, written + ENTRY_SIZE);
        }
        Some(written)
    }

    /// Makes a cache like this one that holds what [`ReplayCache::save`] wrote. `None` if it cannot have written it.
    pub fn restored(&self, saved: &[u8]) -> Option<Self> {
        let (secret, entries) = saved.split_first_chunk()?;
        if entries.len() % ENTRY_SIZE != 0 || entries.len() / ENTRY_SIZE > self.capacity {
            return None;
        }
        let mut cache = Self::new(self.capacity, *secret)?;
        for entry in entries.chunks_exact(ENTRY_SIZE) {
            let (hash, until) = entry.split_first_chunk()?;
            cache.used.push(Used { hash: *hash, until: u32::from_le_bytes(until.try_into().ok()?) });
        }
        cache.used.is_sorted_by(|a, b| a.hash < b.hash).then_some(cache)
    }
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
