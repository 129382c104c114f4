// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the partition remembers between calls, and what it needs from its platform.

use alloc::vec::Vec;
use ed25519_dalek::{SigningKey, VerifyingKey};
use receipts::audit::AuditChain;
use receipts::replay::ReplayCache;
use receipts::trust::Trust;
use receipts::{Hash, Instant, PublicKey};
use zeroize::{Zeroize, Zeroizing};

/// The ports of the service.
pub trait Platform {
    /// Tells the time by the partition's own clock; `None` if it has none.
    fn now(&mut self) -> Option<Instant>;

    /// Fills a buffer with random bytes; `false` if there is no source of them.
    fn random(&mut self, bytes: &mut [u8]) -> bool;

    /// Reads a counter.
    fn ticks(&mut self) -> u64;
}

/// What is fixed at build time.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The name that the partition co-signs with.
    pub server_name: &'static str,
    /// The key that signs trust bundles; without one, none can be loaded.
    pub provisioning: Option<VerifyingKey>,
    /// The number of nonces that strict calls can have in use.
    pub nonces: usize,
    /// The same for compat calls, which have a cache of their own.
    pub compat_nonces: usize,
}

/// The service and its state.
pub struct Service {
    pub(crate) config: Config,
    /// Never leaves; zeroed when dropped.
    pub(crate) signing: Option<SigningKey>,
    pub(crate) boot_id: [u8; 16],
    pub(crate) chain: AuditChain,
    pub(crate) replay: ReplayCache,
    pub(crate) compat_replay: ReplayCache,
    pub(crate) trust: Trust,
}

/// The first bytes of a saved state: this layout.
const MAGIC: [u8; 8] = *b"RCPTST01";

/// The fixed part of a saved state: magic, boot id, signing key (with a byte that says whether there is one), head,
/// count, sequence, length of the nonces.
const FIXED: usize = 8 + 16 + 8 + 32 + 32 + 8 + 8 + 8;

impl Service {
    /// Starts with an empty history. Without a random source there is no key, so nothing is signed, and no secret for
    /// the replay cache. `None` if there is too little memory.
    pub fn start(config: Config, platform: &mut impl Platform) -> Option<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        let (mut boot_id, mut secret, mut compat_secret) = ([0; 16], [0; 16], [0; 16]);
        let random = platform.random(&mut *seed)
            && platform.random(&mut boot_id)
            && platform.random(&mut secret)
            && platform.random(&mut compat_secret);
        let service = Self {
            config,
            signing: random.then(|| SigningKey::from_bytes(&seed)),
            boot_id,
            chain: AuditChain::default(),
            replay: ReplayCache::new(config.nonces, secret)?,
            compat_replay: ReplayCache::new(config.compat_nonces, compat_secret)?,
            trust: Trust::default(),
        };
        secret.zeroize();
        compat_secret.zeroize();
        Some(service)
    }

    /// Gives the public key of checkpoints and co-signatures.
    pub fn public_key(&self) -> Option<PublicKey> {
        self.signing.as_ref().map(|key| PublicKey::from(key.verifying_key()))
    }

    /// Writes what must survive a restart of the partition: key, boot id, audit chain and used nonces. Gives the bytes
    /// written, or `None` if they do not fit. The trust is loaded anew.
    pub fn save(&self, out: &mut [u8]) -> Option<usize> {
        let (fixed, nonces) = out.split_at_mut_checked(FIXED)?;
        let used = self.replay.save(nonces)?;
        let mut bytes: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::with_capacity(FIXED));
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.boot_id);
        bytes.extend_from_slice(&u64::from(self.signing.is_some()).to_le_bytes());
        bytes.extend_from_slice(self.signing.as_ref().map_or(&[0; 32], |key| key.as_bytes()));
        bytes.extend_from_slice(&self.chain.head.0);
        bytes.extend_from_slice(&self.chain.count.to_le_bytes());
        bytes.extend_from_slice(&self.chain.sequence.to_le_bytes());
        bytes.extend_from_slice(&(used as u64).to_le_bytes());
        fixed.copy_from_slice(bytes.get(..FIXED)?);
        FIXED.checked_add(used)
    }

    /// Takes back what [`Service::save`] wrote. `None`, and nothing is changed, if it cannot have written it.
    pub fn restore(&mut self, saved: &[u8]) -> Option<()> {
        let mut rest = saved;
        if take::<8>(&mut rest)? != MAGIC {
            return None;
        }
        let boot_id = take::<16>(&mut rest)?;
        let has_key = match u64::from_le_bytes(take(&mut rest)?) {
            0 => false,
            1 => true,
            _ => return None,
        };
        let seed = Zeroizing::new(take::<32>(&mut rest)?);
        let head = Hash(take(&mut rest)?);
        let count = u64::from_le_bytes(take(&mut rest)?);
        let sequence = u64::from_le_bytes(take(&mut rest)?);
        let used = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
        if sequence < count {
            return None;
        }
        self.replay = self.replay.restored(rest.get(..used)?)?;
        self.signing = has_key.then(|| SigningKey::from_bytes(&seed));
        self.boot_id = boot_id;
        self.chain = AuditChain { head, count, sequence };
        Some(())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}
