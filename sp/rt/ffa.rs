// SPDX-License-Identifier: MIT OR Apache-2.0
//! The FF-A calls of a partition (DEN0077A), but for memory management, which [`crate::memory`] has.

use crate::{Form, smc};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use ffa_abi::{Error, Func, PartitionId, Uuid, Version};
use spin::{Mutex, MutexGuard};

/// The size of the RX and of the TX buffer.
pub const MAILBOX_SIZE: usize = 4096;

/// Makes a call; returns its answer, or the status code of FFA_ERROR.
///
/// # Errors
/// What the SPMC answers; a status code outside the specification counts as `NOT_SUPPORTED`.
#[inline]
pub fn call(x: [u64; 8]) -> Result<[u64; 8], Error> {
    let answer = smc(x);
    let [fid, _, status, ..] = answer;
    if fid as u32 == Func::Error.id32() || fid as u32 == u32::MAX {
        return Err(Error::from_code(status as i32).unwrap_or(Error::NotSupported));
    }
    Ok(answer)
}

fn call32<const N: usize>(func: Func, arguments: [u64; N]) -> Result<[u64; 8], Error> {
    let mut x = [0; 8];
    x.iter_mut().zip([u64::from(func.id32())].into_iter().chain(arguments)).for_each(|(x, value)| *x = value);
    call(x)
}

/// Negotiates the version: FFA_VERSION. Only a partition's first call may change it.
///
/// # Errors
/// `NOT_SUPPORTED` when the SPMC cannot work with `wanted`.
pub fn version(wanted: Version) -> Result<Version, Error> {
    let [version, ..] = smc([Func::Version.id32().into(), wanted.bits().into(), 0, 0, 0, 0, 0, 0]);
    let theirs = Version::from_bits(version as u32).ok_or(Error::NotSupported)?;
    NEGOTIATED.store(theirs.min(wanted).bits(), Relaxed);
    Ok(theirs)
}

/// The version that both sides have; as [`Version::bits`].
static NEGOTIATED: AtomicU32 = AtomicU32::new(Version::V1_1.bits());

/// Returns the version that [`version`] settled on, v1.1 before.
pub fn negotiated() -> Version {
    Version::from_bits(NEGOTIATED.load(Relaxed)).unwrap_or(Version::V1_1)
}

/// Asks for an interface or a feature: FFA_FEATURES. Returns w2 and w3.
///
/// # Errors
/// `NOT_SUPPORTED`.
pub fn features(id: u32, properties: u32) -> Result<(u32, u32), Error> {
    let [_, _, w2, w3, ..] = call32(Func::Features, [id.into(), properties.into()])?;
    Ok((w2 as u32, w3 as u32))
}

/// Returns this partition's id: FFA_ID_GET.
///
/// # Errors
/// As the SPMC answers.
pub fn id() -> Result<PartitionId, Error> {
    let [_, _, id, ..] = call32(Func::IdGet, [])?;
    Ok(PartitionId(id as u16))
}

/// Returns the SPMC's id: FFA_SPM_ID_GET.
///
/// # Errors
/// As the SPMC answers.
pub fn spm_id() -> Result<PartitionId, Error> {
    let [_, _, id, ..] = call32(Func::SpmIdGet, [])?;
    Ok(PartitionId(id as u16))
}

/// Says where secondary execution contexts begin: FFA_SECONDARY_EP_REGISTER.
pub(crate) fn secondary_ep_register(entry: u64) -> Result<(), Error> {
    call([Func::SecondaryEpRegister.id64().into(), entry, 0, 0, 0, 0, 0, 0]).map(drop)
}

/// Sends a direct request in the narrow or the wide form and returns whatever gave the CPU back: a response,
/// FFA_INTERRUPT, FFA_YIELD.
///
/// # Errors
/// As the SPMC answers.
#[inline]
pub fn direct_request(
    form: Form,
    from: PartitionId,
    to: PartitionId,
    [a, b, c, d, e]: [u64; 5],
) -> Result<[u64; 8], Error> {
    let fid = match form {
        Form::Narrow => Func::DirectReq.id32(),
        Form::Wide | Form::Extended => Func::DirectReq.id64(),
    };
    call([fid.into(), u64::from(from.0) << 16 | u64::from(to.0), 0, a, b, c, d, e])
}

/// Gives the CPU to another context: FFA_RUN. Returns what gave it back.
///
/// # Errors
/// As the SPMC answers.
pub fn run(target: PartitionId, vcpu: u16) -> Result<[u64; 8], Error> {
    call32(Func::Run, [u64::from(target.0) << 16 | u64::from(vcpu)])
}

/// Gives the CPU back for a while: FFA_YIELD. Returns what gave it to this context again.
///
/// # Errors
/// As the SPMC answers.
pub fn give_way() -> Result<[u64; 8], Error> {
    call32(Func::Yield, [])
}

/// Signals notifications: FFA_NOTIFICATION_SET.
///
/// # Errors
/// As the SPMC answers.
pub fn notify(from: PartitionId, to: PartitionId, flags: u32, bits: u64) -> Result<(), Error> {
    let ids = u64::from(from.0) << 16 | u64::from(to.0);
    call32(Func::NotificationSet, [ids, flags.into(), u64::from(bits as u32), bits >> 32]).map(drop)
}

/// Allows `from` to signal `bits` to `to`, this partition: FFA_NOTIFICATION_BIND.
///
/// # Errors
/// As the SPMC answers.
pub fn bind_notifications(from: PartitionId, to: PartitionId, flags: u32, bits: u64) -> Result<(), Error> {
    let ids = u64::from(from.0) << 16 | u64::from(to.0);
    call32(Func::NotificationBind, [ids, flags.into(), u64::from(bits as u32), bits >> 32]).map(drop)
}

/// Reads and clears the notifications of context `vcpu` that `flags` selects: FFA_NOTIFICATION_GET. Returns those
/// of partitions, of VMs, and of the framework (SPM low, hypervisor high).
///
/// # Errors
/// As the SPMC answers.
pub fn take_notifications(me: PartitionId, vcpu: u16, flags: u32) -> Result<(u64, u64, u64), Error> {
    let target = u64::from(vcpu) << 16 | u64::from(me.0);
    let [_, _, a, b, c, d, e, f] = call32(Func::NotificationGet, [target, flags.into()])?;
    let join = |low: u64, high: u64| u64::from(low as u32) | high << 32;
    Ok((join(a, b), join(c, d), join(e, f)))
}

#[repr(C, align(4096))]
struct Page([AtomicU64; MAILBOX_SIZE / 8]);

impl Page {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; MAILBOX_SIZE / 8])
    }
}

/// The SPMC fills one, its user the other, before the other side looks: neither is zeroed at entry.
#[unsafe(link_section = ".bss.noinit")]
static TX: Page = Page::new();
#[unsafe(link_section = ".bss.noinit")]
static RX: Page = Page::new();

/// The buffers that this partition shares with the SPMC; held while a call uses them.
#[derive(Debug)]
pub struct Mailbox(());

static MAILBOX: Mutex<Mailbox> = Mutex::new(Mailbox(()));
static MAPPED: AtomicBool = AtomicBool::new(false);

/// Returns the mailbox, registering the buffers at the first use: FFA_RXTX_MAP.
///
/// # Errors
/// As the SPMC answers to the registration.
pub fn mailbox() -> Result<MutexGuard<'static, Mailbox>, Error> {
    let mailbox = MAILBOX.lock();
    if !MAPPED.load(Relaxed) {
        let [tx, rx] = [&TX, &RX].map(|page| page.0.as_ptr() as u64);
        match call([Func::RxTxMap.id64().into(), tx, rx, 1, 0, 0, 0, 0]) {
            // DENIED: they are mapped already, by a call that did not come through here.
            Ok(_) | Err(Error::Denied) => MAPPED.store(true, Relaxed),
            Err(error) => return Err(error),
        }
    }
    Ok(mailbox)
}

impl Mailbox {
    /// Returns the 8 bytes at `offset` (a multiple of 8) of the RX buffer; 0 beyond its end.
    pub fn read(&self, offset: usize) -> u64 {
        RX.0.get(offset / 8).map_or(0, |word| word.load(Relaxed))
    }

    /// Returns the `N`-byte number at `offset`, a multiple of `N`, of the RX buffer.
    pub fn read_part<const N: usize>(&self, offset: usize) -> u64 {
        self.read(offset) >> (8 * (offset % 8)) & (u64::MAX >> (64 - 8 * N))
    }

    /// Writes the 8 bytes at `offset` (a multiple of 8) of the TX buffer; nothing beyond its end.
    pub fn write(&mut self, offset: usize, value: u64) {
        if let Some(word) = TX.0.get(offset / 8) {
            word.store(value, Relaxed);
        }
    }

    /// Returns the addresses of the TX and of the RX buffer.
    pub fn addresses(&self) -> (u64, u64) {
        (TX.0.as_ptr() as u64, RX.0.as_ptr() as u64)
    }

    /// Gives the RX buffer back to the SPMC: FFA_RX_RELEASE.
    ///
    /// # Errors
    /// As the SPMC answers.
    pub fn release(&mut self) -> Result<(), Error> {
        call32(Func::RxRelease, []).map(drop)
    }

    /// Counts the partitions of `uuid` (nil: all) and passes the descriptor of each, its first 8 bytes, on:
    /// FFA_PARTITION_INFO_GET.
    ///
    /// # Errors
    /// As the SPMC answers.
    pub fn partitions(&mut self, uuid: Uuid, mut each: impl FnMut(u64)) -> Result<usize, Error> {
        let [a, b, c, d] = uuid.words().map(u64::from);
        let [_, _, count, size, ..] = call32(Func::PartitionInfoGet, [a, b, c, d])?;
        // A v1.0 SPMC leaves w3 zero: its descriptors have 8 bytes.
        let size = if size == 0 { 8 } else { size as usize };
        (0..count as usize).for_each(|i| each(self.read(i.saturating_mul(size))));
        self.release()?;
        Ok(count as usize)
    }
}
