// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the partition remembers between calls, and what it needs from its platform.

use crate::seal::{Content, Found, SLOT, Seal, words_of};
use ed25519_dalek::{SigningKey, VerifyingKey};
use receipts::audit::AuditChain;
use receipts::replay::{Entry, ReplayCache};
use receipts::trust::Trust;
use receipts::{Hash, Instant, PublicKey};
use zeroize::Zeroizing;

/// The ports of the service.
pub trait Platform {
    /// Tells the time by the partition's own clock; `None` if it has none.
    fn now(&mut self) -> Option<Instant>;

    /// Fills a buffer with random bytes; `false` if there is no source of them.
    fn random(&mut self, bytes: &mut [u8]) -> bool;

    /// Reads a counter.
    fn ticks(&mut self) -> u64;

    /// Starts its clock, in the first life: gives what it counts from.
    fn start_clock(&mut self) -> [u64; 2];

    /// Goes on counting from what the first life did.
    fn resume_clock(&mut self, from: [u64; 2]);
}

/// What is fixed at build time.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The name that the partition co-signs with.
    pub server_name: &'static str,
    /// The key that signs trust bundles.
    pub provisioning: Provisioning,
}

/// The key that signs trust bundles.
#[derive(Debug, Clone, Copy)]
pub enum Provisioning {
    /// There is none: no trust can be loaded.
    None,
    /// One whose other half is public: for tests.
    Test(VerifyingKey),
    /// One whose other half is somebody's own.
    Own(VerifyingKey),
}

impl Provisioning {
    pub(crate) fn key(&self) -> Option<&VerifyingKey> {
        match self {
            Self::None => None,
            Self::Test(key) | Self::Own(key) => Some(key),
        }
    }
}

/// The nonces that compat calls can have in use; they have a cache of their own.
const COMPAT_NONCES: usize = 64;

/// The memory of a service, which may outlive it: zeros before its first life.
pub struct Memory<'s> {
    record: [&'s mut [u64; SLOT]; 2],
    compat_nonces: &'s mut [Entry],
    nonces: &'s mut [Entry],
}

impl<'s> Memory<'s> {
    /// Words beside those of the nonces that strict calls can have in use, two for each.
    pub const FIXED: usize = 2 * SLOT + 2 * COMPAT_NONCES;

    /// Divides memory up. `None` if there is too little.
    pub fn of(words: &'s mut [u64]) -> Option<Self> {
        let (first, rest) = words.split_first_chunk_mut()?;
        let (second, rest) = rest.split_first_chunk_mut()?;
        let (compat_nonces, nonces) = rest.as_chunks_mut().0.split_at_mut_checked(COMPAT_NONCES)?;
        Some(Self { record: [first, second], compat_nonces, nonces })
    }
}

/// What a service was found in when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It begins with an empty history.
    First,
    /// It goes on with the history of the life before.
    Later,
}

/// The memory holds something that no service can have left: nothing is served on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

/// The service and its state.
pub struct Service<'s> {
    pub(crate) config: Config,
    /// Never leaves; zeroed when dropped.
    pub(crate) signing: Option<SigningKey>,
    pub(crate) boot_id: [u8; 16],
    pub(crate) chain: AuditChain,
    pub(crate) replay: ReplayCache<'s>,
    pub(crate) compat_replay: ReplayCache<'s>,
    pub(crate) trust: Trust,
    clock: [u64; 2],
    secret: [u8; 16],
    seal: Seal<'s>,
    /// What the last record says of that which changes.
    committed: Changing,
}

/// What of the record changes: the sequence, which every change of the chain raises, and the age of the trust.
type Changing = (u64, Option<Instant>);

impl<'s> Service<'s> {
    /// Starts: with what the life before left in the memory, or with an empty history. Without a random source there
    /// is no key, so nothing is signed, and no secret for the replay cache.
    pub fn start(config: Config, memory: Memory<'s>, platform: &mut impl Platform) -> Result<(Self, Life), Damaged> {
        let (seal, found) = Seal::open(memory.record);
        let entries = (memory.nonces, memory.compat_nonces);
        match found {
            Found::Nothing => {
                let mut service = Self::first(config, entries, seal, platform);
                // Both slots hold a record before anything is served.
                service.commit();
                service.commit();
                Ok((service, Life::First))
            }
            Found::Record(content) => {
                let service = Self::later(config, entries, seal, &content).ok_or(Damaged)?;
                platform.resume_clock(service.clock);
                Ok((service, Life::Later))
            }
            Found::Damage => Err(Damaged),
        }
    }

    fn first(config: Config, entries: Entries<'s>, seal: Seal<'s>, platform: &mut impl Platform) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        let (mut boot_id, mut secret) = ([0; 16], [0; 16]);
        let random = platform.random(&mut *seed) && platform.random(&mut boot_id) && platform.random(&mut secret);
        Self {
            config,
            signing: random.then(|| SigningKey::from_bytes(&seed)),
            boot_id,
            chain: AuditChain::default(),
            replay: ReplayCache::new(entries.0, secret),
            compat_replay: ReplayCache::new(entries.1, secret),
            trust: Trust::default(),
            clock: platform.start_clock(),
            secret,
            seal,
            committed: (0, None),
        }
    }

    /// Takes back what [`Service::commit`] wrote. `None` if it cannot have written it.
    fn later(config: Config, entries: Entries<'s>, seal: Seal<'s>, content: &Content) -> Option<Self> {
        let [id0, id1, has_key, k0, k1, k2, k3, h0, h1, h2, h3, count, sequence, s0, s1, c0, c1, has_trust, at, ns] =
            **content;
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(bytes_of([k0, k1, k2, k3]));
        let secret = bytes_of([s0, s1]);
        let generated_at = match has_trust {
            0 => None,
            _ => Some(Instant::from_unix(at.cast_signed(), u32::try_from(ns).ok()?)?),
        };
        Some(Self {
            config,
            signing: (has_key != 0).then(|| SigningKey::from_bytes(&seed)),
            boot_id: bytes_of([id0, id1]),
            chain: AuditChain { head: Hash(bytes_of([h0, h1, h2, h3])), count, sequence },
            replay: ReplayCache::resume(entries.0, secret)?,
            compat_replay: ReplayCache::resume(entries.1, secret)?,
            trust: Trust::not_before(generated_at),
            clock: [c0, c1],
            secret,
            seal,
            committed: (sequence, generated_at),
        })
    }

    /// Gives the public key of checkpoints and co-signatures.
    pub fn public_key(&self) -> Option<PublicKey> {
        self.signing.as_ref().map(|key| PublicKey::from(key.verifying_key()))
    }

    fn changing(&self) -> Changing {
        (self.chain.sequence, self.trust.generated_at())
    }

    /// Keeps what must outlive this life, if it changed.
    pub(crate) fn keep(&mut self) {
        if self.changing() != self.committed {
            self.commit();
        }
    }

    /// Writes what must outlive this life: key, boot id, audit chain, the age of the trust, the clock. The nonces that
    /// are in use lie in such memory themselves; the trust is loaded anew.
    fn commit(&mut self) {
        let key: Zeroizing<[u64; 4]> =
            Zeroizing::new(self.signing.as_ref().map_or([0; 4], |key| words_of(key.as_bytes())));
        let (sequence, generated_at) = self.changing();
        let [id0, id1] = words_of(&self.boot_id);
        let [k0, k1, k2, k3] = *key;
        let [h0, h1, h2, h3] = words_of(&self.chain.head.0);
        let [s0, s1] = words_of(&self.secret);
        let [c0, c1] = self.clock;
        let (at, ns) = generated_at.map_or((0, 0), |at| (at.unix_seconds().cast_unsigned(), at.nanoseconds().into()));
        let (has_key, has_trust) = (self.signing.is_some().into(), generated_at.is_some().into());
        let content: Content = Zeroizing::new([
            id0,
            id1,
            has_key,
            k0,
            k1,
            k2,
            k3,
            h0,
            h1,
            h2,
            h3,
            self.chain.count,
            sequence,
            s0,
            s1,
            c0,
            c1,
            has_trust,
            at,
            ns,
        ]);
        self.seal.commit(&content);
        self.committed = (sequence, generated_at);
    }
}

/// The entries for the nonces of strict calls, and for those of compat calls.
type Entries<'s> = (&'s mut [Entry], &'s mut [Entry]);

/// Reads words as bytes; those that are missing are 0.
fn bytes_of<const N: usize, const WORDS: usize>(words: [u64; WORDS]) -> [u8; N] {
    let mut bytes = [0; N];
    let all = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
    bytes
}
