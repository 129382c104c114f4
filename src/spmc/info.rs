// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_PARTITION_INFO_GET` (DEN0077A, "FFA_PARTITION_INFO_GET").

use ffa_abi::{Func, Regs, Uuid, Version};

use crate::mailbox::Mailbox;
use crate::manifest::MAX_PARTITIONS;
use crate::partition::{Partition, Properties};
use crate::refusal::Refusal;
use crate::sync::Mutex;
use crate::{Port, Spmc};

/// Bytes of a descriptor from v1.1 on; v1.0 has the first eight of them.
const DESCRIPTOR: usize = 24;
const DESCRIPTOR_V1_0: usize = 8;
/// Flag bit 0: only the count is wanted.
const COUNT_ONLY: u64 = 1;

/// Returns the properties as an endpoint of `version` knows them.
pub(crate) fn properties<P: Port>(partition: &Partition<P>, version: Version) -> u32 {
    let all = partition.identity.properties;
    let known = if version >= Version::V1_2 {
        all
    } else if version == Version::V1_1 {
        all - (Properties::RECEIVES_DIRECT2 | Properties::SENDS_DIRECT2)
    } else {
        all & (Properties::RECEIVES_DIRECT | Properties::SENDS_DIRECT | Properties::INDIRECT)
    };
    known.bits()
}

/// Writes one descriptor; the UUID only where the caller did not name one (it knows that one).
fn describe<P: Port>(partition: &Partition<P>, version: Version, uuid: Option<&Uuid>, out: &mut [u8]) {
    let words: [u32; 6] = {
        let [a, b, c, d] = uuid.map_or([0; 4], |u| u.words());
        let contexts = partition.contexts().len() as u32;
        [partition.id().0 as u32 | contexts << 16, properties(partition, version), a, b, c, d]
    };
    for (bytes, word) in out.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

impl<P: Port> Spmc<P> {
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
        let size = if version >= Version::V1_1 { DESCRIPTOR } else { DESCRIPTOR_V1_0 };
        let wanted = |p: &&Partition<P>| uuid.is_nil() || p.identity.uuids.contains(&uuid);
        let count = self.partitions.iter().filter(wanted).count();
        if count == 0 {
            return Err(Refusal::UnknownUuid);
        }
        if flags & COUNT_ONLY == 0 {
            let mut buffer = [0; DESCRIPTOR * MAX_PARTITIONS];
            for (partition, out) in self.partitions.iter().filter(wanted).zip(buffer.chunks_exact_mut(size)) {
                let own = if uuid.is_nil() { partition.identity.uuids.first() } else { None };
                describe(partition, version, own, out);
            }
            let data = buffer.get(..count * size).ok_or(Refusal::BufferTooSmall)?;
            mailbox.lock().deliver(self.port, data)?;
        }
        // The size of a descriptor is told from v1.1 on, with the descriptors only.
        let told = if flags & COUNT_ONLY == 0 && version >= Version::V1_1 { size as u64 } else { 0 };
        regs.set8([Func::Success.id32() as u64, 0, count as u64, told, 0, 0, 0, 0]);
        Ok(())
    }
}
