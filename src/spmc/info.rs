// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is there: `FFA_PARTITION_INFO_GET` and `FFA_PARTITION_INFO_GET_REGS` (DEN0077A, same names).

use ffa_abi::{Func, Regs, Uuid, Version};

use crate::mailbox::Mailbox;
use crate::manifest::{MAX_PARTITIONS, MAX_SERVICES};
use crate::partition::{Partition, Properties};
use crate::refusal::Refusal;
use crate::sync::Mutex;
use crate::{Port, Spmc};

/// Bytes of a descriptor from v1.1 on; v1.0 has the first eight of them.
const DESCRIPTOR: usize = 24;
const DESCRIPTOR_V1_0: usize = 8;
/// The most descriptors of one answer through the RX buffer.
const MOST: usize = MAX_PARTITIONS * MAX_SERVICES;
/// What is gathered before it is written to the RX buffer.
const BATCH: usize = 4;
/// Flag bit 0: only the count is wanted.
const COUNT_ONLY: u64 = 1;
/// Descriptors in x3 to x17.
const IN_REGISTERS: usize = 5;

/// One descriptor, as three 64-bit words.
type Descriptor = [u64; 3];

/// Returns the properties as an endpoint of `version` knows them.
fn properties<P: Port>(partition: &Partition<P>, version: Version) -> Properties {
    let all = partition.identity.properties;
    if version >= Version::V1_2 {
        all
    } else if version == Version::V1_1 {
        all - (Properties::RECEIVES_DIRECT2 | Properties::SENDS_DIRECT2)
    } else {
        all & (Properties::RECEIVES_DIRECT | Properties::SENDS_DIRECT | Properties::INDIRECT)
    }
}

fn descriptor<P: Port>(partition: &Partition<P>, version: Version, told: Uuid) -> Descriptor {
    let contexts = partition.contexts().len() as u64;
    let (low, high) = told.pair();
    [partition.id().0 as u64 | contexts << 16 | (properties(partition, version).bits() as u64) << 32, low, high]
}

impl<P: Port> Spmc<P> {
    /// Lists what answers a query for `asked`: each partition once, or once for each service to a v1.2 caller that
    /// asks for all. The UUID is told only where the caller did not name one.
    fn listing(&self, asked: Uuid, version: Version) -> impl Iterator<Item = Descriptor> + Clone + '_ {
        let each_service = asked.is_nil() && version >= Version::V1_2;
        self.partitions.iter().flat_map(move |p| {
            let uuids = &p.identity.uuids;
            let wanted = asked.is_nil() || uuids.contains(&asked);
            let services = if !wanted {
                0
            } else if each_service {
                uuids.len()
            } else {
                1
            };
            uuids
                .iter()
                .take(services)
                .map(move |own| descriptor(p, version, if asked.is_nil() { *own } else { Uuid::NIL }))
        })
    }

    /// Answers with descriptors in the caller's RX buffer, or only with their number.
    pub(crate) fn partition_info_get(
        &self,
        mailbox: &Mutex<Mailbox>,
        version: Version,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let [_, a, b, c, d, flags, ..] = regs.x;
        let uuid = Uuid::from_words([a as u32, b as u32, c as u32, d as u32]);
        if flags as u32 as u64 & !COUNT_ONLY != 0 {
            return Err(Refusal::BadFlags);
        }
        let mut listing = self.listing(uuid, version).take(MOST);
        let (count, size) = if flags & COUNT_ONLY != 0 {
            (listing.count(), 0)
        } else {
            let size = if version >= Version::V1_1 { DESCRIPTOR } else { DESCRIPTOR_V1_0 };
            let mut mailbox = mailbox.lock();
            let mut delivery = mailbox.begin_delivery()?;
            let mut count = 0;
            loop {
                let mut batch = [0; DESCRIPTOR * BATCH];
                let mut filled = 0;
                for (out, words) in batch.chunks_exact_mut(size).take(BATCH).zip(&mut listing) {
                    for (bytes, word) in out.chunks_exact_mut(8).zip(words) {
                        bytes.copy_from_slice(&word.to_le_bytes());
                    }
                    filled += 1;
                }
                if filled == 0 {
                    break;
                }
                count += filled;
                delivery.append(self.port, batch.get(..filled * size).unwrap_or_default())?;
                if filled < BATCH {
                    break;
                }
            }
            if count > 0 {
                delivery.finish();
            }
            (count, size)
        };
        if count == 0 {
            return Err(Refusal::UnknownUuid);
        }
        // The size of a descriptor is told from v1.1 on.
        let told = if version >= Version::V1_1 { size as u64 } else { 0 };
        regs.set8([Func::Success.id32() as u64, 0, count as u64, told, 0, 0, 0, 0]);
        Ok(())
    }

    /// Answers with up to five descriptors in x3-x17, from the index in x3 on.
    pub(crate) fn partition_info_get_regs(&self, version: Version, regs: &mut Regs) -> Result<(), Refusal> {
        let [_, low, high, x3, ..] = regs.x;
        let uuid = Uuid::from_pair(low, high);
        let (start, tag) = (x3 as u16 as usize, (x3 >> 16) as u16);
        // Partitions neither come nor go after boot, so one tag serves for ever.
        if tag != 0 {
            return Err(if start == 0 { Refusal::ReservedNotZero } else { Refusal::StaleTag });
        }
        let listing = self.listing(uuid, version);
        let count = listing.clone().count();
        if count == 0 {
            return Err(Refusal::UnknownUuid);
        }
        if start >= count {
            return Err(Refusal::IndexTooLarge);
        }
        let told = (count - start).min(IN_REGISTERS);
        *regs = Regs::ZERO;
        let [x0, _, x2, descriptors @ ..] = &mut regs.x;
        *x0 = Func::Success.id64() as u64;
        *x2 = (count - 1) as u64 | ((start + told - 1) as u64) << 16 | (DESCRIPTOR as u64) << 48;
        for (out, words) in descriptors.chunks_exact_mut(3).zip(listing.skip(start)) {
            for (register, word) in out.iter_mut().zip(words) {
                *register = word;
            }
        }
        Ok(())
    }
}
