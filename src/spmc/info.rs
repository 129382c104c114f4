// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is there: `FFA_PARTITION_INFO_GET` and `FFA_PARTITION_INFO_GET_REGS` (DEN0077A, same names).

use alloc::boxed::Box;

use arrayvec::ArrayVec;
use ffa_abi::{Func, PartitionId, Regs, Uuid, Version};

use crate::manifest::{MAX_PARTITIONS, MAX_SERVICES};
use crate::partition::{Partition, Properties};
use crate::refusal::Refusal;
use crate::{Port, Spmc};

/// Bytes of a descriptor from v1.1 on; v1.0 has the first eight of them.
const DESCRIPTOR: usize = 24;
const DESCRIPTOR_V1_0: usize = 8;
/// Flag bit 0: only the count is wanted.
const COUNT_ONLY: u64 = 1;

/// One descriptor, as three 64-bit words.
type Descriptor = [u64; 3];

/// One service of a partition, as it is told of.
struct Service {
    uuid: Uuid,
    /// It is its partition's first: the one that stands for the partition where each is listed once.
    first: bool,
    /// The first word of the descriptor, with all properties: those that a version knows are in its [`mask`].
    head: u64,
}

/// What all partitions offer, and the hub, in manifest order; it never changes after boot.
pub(crate) struct Directory(Box<ArrayVec<Service, { MAX_PARTITIONS * MAX_SERVICES + 1 }>>);

/// Returns what an endpoint of `version` is told of a descriptor's first word: the properties in its upper half that it
/// knows, and all of the lower half.
fn mask(version: Version) -> u64 {
    let properties = if version >= Version::V1_2 {
        Properties::all()
    } else if version == Version::V1_1 {
        Properties::all() - (Properties::RECEIVES_DIRECT2 | Properties::SENDS_DIRECT2)
    } else {
        Properties::RECEIVES_DIRECT | Properties::SENDS_DIRECT | Properties::INDIRECT
    };
    (properties.bits() as u64) << 32 | 0xffff_ffff
}

impl Directory {
    pub(crate) fn new<P: Port>(partitions: &[Partition<P>]) -> Self {
        let mut directory = Self(Box::default());
        for p in partitions {
            for (n, service) in p.manifest.services.iter().enumerate() {
                directory.add(p.id(), p.contexts().len(), p.identity.properties, service.uuid, n == 0);
            }
        }
        directory
    }

    /// Adds a service of an endpoint with so many execution contexts; it may be the `first` of several. Boot time.
    pub(crate) fn add(&mut self, id: PartitionId, contexts: usize, all: Properties, uuid: Uuid, first: bool) {
        let head = id.0 as u64 | (contexts as u64) << 16 | (all.bits() as u64) << 32;
        // There is room for all.
        let _ = self.0.try_push(Service { uuid, first, head });
    }

    /// Passes to `tell` what answers a query for `asked`, and its number: each partition once, or once for each service
    /// to a v1.2 caller that asks for all. The UUID is told only where the caller did not name one. Returns how many there are, which is
    /// not zero.
    fn list(
        &self,
        asked: Uuid,
        version: Version,
        tell: &mut dyn FnMut(usize, &Descriptor) -> Result<(), Refusal>,
    ) -> Result<usize, Refusal> {
        let (all, each_service) = (asked.is_nil(), version >= Version::V1_2);
        let mask = mask(version);
        let mut count = 0;
        for s in self.0.iter() {
            let wanted = if all { s.first || each_service } else { s.uuid == asked };
            if !wanted {
                continue;
            }
            let (low, high) = if all { s.uuid.pair() } else { (0, 0) };
            tell(count, &[s.head & mask, low, high])?;
            count += 1;
        }
        if count == 0 { Err(Refusal::UnknownUuid) } else { Ok(count) }
    }
}

impl<P: Port> Spmc<P> {
    /// Answers with descriptors in the caller's RX buffer, or only with their number.
    #[inline(never)]
    pub(crate) fn partition_info_get(&self, caller: Option<&Partition<P>>, regs: &mut Regs) -> Result<(), Refusal> {
        let version = self.version_for(caller);
        let [_, a, b, c, d, flags, ..] = regs.x;
        let uuid = Uuid::from_words([a as u32, b as u32, c as u32, d as u32]);
        if flags as u32 as u64 & !COUNT_ONLY != 0 {
            return Err(Refusal::BadFlags);
        }
        let (count, size) = if flags & COUNT_ONLY != 0 {
            (self.directory.list(uuid, version, &mut |_, _| Ok(()))?, 0)
        } else {
            let size = if version >= Version::V1_1 { DESCRIPTOR } else { DESCRIPTOR_V1_0 };
            let mut mailbox = self.mailbox_for(caller).lock();
            let mut delivery = mailbox.begin_delivery()?;
            let count = self.directory.list(uuid, version, &mut |_, words| {
                delivery.append_words(self.port, words.get(..size / 8).unwrap_or_default())
            })?;
            delivery.finish();
            (count, size)
        };
        // The size of a descriptor is told from v1.1 on.
        let told = if version >= Version::V1_1 { size as u64 } else { 0 };
        regs.set8([Func::Success.id32() as u64, 0, count as u64, told, 0, 0, 0, 0]);
        Ok(())
    }

    /// Answers with up to five descriptors in x3-x17, from the index in x3 on.
    #[inline(never)]
    pub(crate) fn partition_info_get_regs(
        &self,
        caller: Option<&Partition<P>>,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let [_, low, high, x3, ..] = regs.x;
        let uuid = Uuid::from_pair(low, high);
        let (start, tag) = (x3 as u16 as usize, (x3 >> 16) as u16);
        // Partitions neither come nor go after boot, so one tag serves for ever.
        if tag != 0 {
            return Err(if start == 0 { Refusal::ReservedNotZero } else { Refusal::StaleTag });
        }
        let [x0, x1, x2, descriptors @ ..] = &mut regs.x;
        let mut places = descriptors.as_chunks_mut::<3>().0.iter_mut();
        let most = places.len();
        let left = &mut places;
        // A query that is refused leaves the registers alone.
        let count = self.directory.list(uuid, self.version_for(caller), &mut move |index, words| {
            if index >= start
                && let Some(place) = left.next()
            {
                *place = *words;
            }
            Ok(())
        })?;
        let told = most - places.len();
        if told == 0 {
            return Err(Refusal::IndexTooLarge);
        }
        for place in places {
            *place = [0; 3];
        }
        *x1 = 0;
        *x0 = Func::Success.id64() as u64;
        *x2 = (count - 1) as u64 | ((start + told - 1) as u64) << 16 | (DESCRIPTOR as u64) << 48;
        Ok(())
    }
}
