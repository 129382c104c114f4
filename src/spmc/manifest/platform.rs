// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds a partition against the SPMC manifest and against the partitions that were admitted before it.

use ffa_abi::PartitionId;

use super::machine::{last, overlaps};
use super::refusal::Details;
use super::refusal::name;
use super::{
    Cause, CoreManifest, File, MemoryKind, Name, PartitionEntry, PartitionManifest, Refusal, RegionAttributes,
};
use crate::{Pa, Space};

/// The identifier of the partition of `vm1` is this plus 1, and so on.
const FIRST_ID: u16 = 0x8000;

/// A partition that was admitted: its index in [`CoreManifest::partitions`], and its manifest.
pub type Admitted<'m> = (usize, &'m PartitionManifest);

/// Returns a partition's identifier: its manifest's, or 0x8000 + N for `vmN`.
pub fn id_of(index: usize, manifest: &PartitionManifest) -> PartitionId {
    let number = u16::try_from(index).unwrap_or(u16::MAX).saturating_add(1);
    manifest.id.unwrap_or(PartitionId(FIRST_ID.saturating_add(number)))
}

/// Decides whether the partition of `vm(index + 1)` may boot, and returns its identifier.
///
/// `spmc` is the SPMC's own memory (address and bytes); `admitted` are the partitions that were accepted so far.
/// The first partition keeps what two of them claim.
pub fn check<'m>(
    core: &CoreManifest,
    spmc: (Pa, u64),
    index: usize,
    manifest: &PartitionManifest,
    admitted: impl Iterator<Item = Admitted<'m>> + Clone,
) -> Result<PartitionId, Refusal> {
    let Some(entry) = core.partitions.get(index) else {
        let cause = Cause::Value { found: index as u64, expected: "the index of a vm node" };
        return Err(refuse(Name::new(), "index", cause, ""));
    };
    let check = Check { core, entry, index, spmc, manifest, admitted };
    check.contexts()?;
    check.own_memory()?;
    check.memory_regions()?;
    check.device_regions()?;
    check.interrupts()?;
    check.services()?;
    check.boot_order()?;
    check.identifier()
}

fn refuse(whose: Name, property: &'static str, cause: Cause, fix: &'static str) -> Refusal {
    Details { file: File::Partition, whose, node: Name::new(), property, cause, fix }.into()
}

struct Check<'c, A> {
    core: &'c CoreManifest,
    entry: &'c PartitionEntry,
    index: usize,
    spmc: (Pa, u64),
    manifest: &'c PartitionManifest,
    admitted: A,
}

/// A range of physical memory and the words for it.
#[derive(Clone, Copy)]
struct Claim {
    base: u64,
    size: u64,
    whose: Name,
}

impl Claim {
    fn overlaps(&self, other: &Self) -> bool {
        overlaps((self.base, self.size), (other.base, other.size))
    }

    fn holds(&self, other: &Self) -> bool {
        self.base <= other.base && last(other.base, other.size) <= last(self.base, self.size)
    }

    fn overlap(&self, other: &Self) -> Cause {
        Cause::Overlaps {
            base: self.base,
            last: last(self.base, self.size),
            other: other.whose,
            other_base: other.base,
            other_last: last(other.base, other.size),
        }
    }
}

/// Returns everything that a partition claims: its memory, then its regions.
fn claims<'m>(entry: &PartitionEntry, manifest: &'m PartitionManifest) -> impl Iterator<Item = Claim> + use<'m> {
    let whose = entry.name;
    let own = Claim { base: entry.load_address.0, size: entry.mem_size, whose };
    let memory = manifest.memory_regions.iter().map(move |r| Claim { base: r.base.0, size: r.size(), whose });
    let devices = manifest.device_regions.iter().map(move |r| Claim { base: r.base.0, size: r.size(), whose });
    core::iter::once(own).chain(memory).chain(devices)
}

impl<'c, 'm, A: Iterator<Item = Admitted<'m>> + Clone> Check<'c, A> {
    fn refuse(&self, node: Name, property: &'static str, cause: Cause, fix: &'static str) -> Refusal {
        let mut refusal = refuse(self.entry.name, property, cause, fix);
        refusal.node = node;
        refusal
    }

    /// Refuses something that the SPMC manifest says of this partition.
    fn refuse_entry(&self, property: &'static str, cause: Cause, fix: &'static str) -> Refusal {
        let mut refusal = self.refuse(Name::new(), property, cause, fix);
        refusal.file = File::Spmc;
        refusal
    }

    fn own(&self) -> Claim {
        Claim { base: self.entry.load_address.0, size: self.entry.mem_size, whose: self.entry.name }
    }

    /// Finds what a claim collides with outside this partition.
    fn collision(&self, claim: &Claim) -> Option<Claim> {
        let spmc = Claim { base: self.spmc.0.0, size: self.spmc.1, whose: name("the SPMC") };
        if claim.overlaps(&spmc) {
            return Some(spmc);
        }
        let others = self.admitted.clone().filter_map(|(i, m)| Some((self.core.partitions.get(i)?, m)));
        others.flat_map(|(e, m)| claims(e, m)).find(|other| claim.overlaps(other))
    }

    fn contexts(&self) -> Result<(), Refusal> {
        let contexts = self.manifest.execution_contexts;
        if contexts == 1 {
            return Ok(());
        }
        let property = "execution-ctx-count";
        if contexts != self.entry.vcpu_count {
            let cause = Cause::Value { found: contexts.into(), expected: "1, or vcpu_count of the SPMC manifest" };
            return Err(self.refuse(Name::new(), property, cause, "write the same number in both manifests"));
        }
        if usize::from(contexts) < self.core.cpus.len() {
            let cause = Cause::Value { found: contexts.into(), expected: "1, or at least the number of CPUs" };
            return Err(self.refuse(Name::new(), property, cause, "give each CPU a context"));
        }
        Ok(())
    }

    fn own_memory(&self) -> Result<(), Refusal> {
        let own = self.own();
        if !self.core.covers(MemoryKind::Secure, own.base, own.size) {
            let kind = MemoryKind::Secure.device_type();
            let cause = Cause::Outside { base: own.base, last: last(own.base, own.size), kind };
            return Err(self.refuse_entry("mem_size", cause, "shrink or move it, or extend the memory node"));
        }
        if let Some(other) = self.collision(&own) {
            return Err(self.refuse_entry("load_address", own.overlap(&other), "move or shrink one of the two"));
        }
        let offset = self.manifest.entrypoint_offset;
        if offset >= own.size || !offset.is_multiple_of(4) {
            let cause = Cause::Value { found: offset, expected: "a multiple of 4 below mem_size" };
            let fix = "write the entry point's offset from the package's start";
            return Err(self.refuse(Name::new(), "entrypoint-offset", cause, fix));
        }
        Ok(())
    }

    fn memory_regions(&self) -> Result<(), Refusal> {
        let own = self.own();
        let regions = &self.manifest.memory_regions;
        for (i, region) in regions.iter().enumerate() {
            let whose = region.name;
            let claim = Claim { base: region.base.0, size: region.size(), whose };
            let before = regions.iter().take(i).map(|r| Claim { base: r.base.0, size: r.size(), whose: r.name });
            if let Some(other) = before.clone().find(|b| b.overlaps(&claim)) {
                return Err(self.refuse(whose, "memory region", claim.overlap(&other), "separate the two regions"));
            }
            if own.holds(&claim) {
                if region.attributes.contains(RegionAttributes::NON_SECURE) {
                    let cause = Cause::Conflict { with: "the partition's own memory, which is Secure" };
                    return Err(self.refuse(whose, "attributes", cause, "clear bit 3 (NS)"));
                }
                continue;
            }
            if region.relative || claim.overlaps(&own) {
                let fix = "keep the region inside the partition's mem_size, or wholly outside by base-address";
                return Err(self.refuse(whose, "memory region", claim.overlap(&own), fix));
            }
            self.placed(&claim, region.attributes, MemoryKind::Secure, MemoryKind::NonSecure)?;
        }
        Ok(())
    }

    fn device_regions(&self) -> Result<(), Refusal> {
        let manifest = self.manifest;
        for (i, region) in manifest.device_regions.iter().enumerate() {
            let whose = region.name;
            let claim = Claim { base: region.base.0, size: region.size(), whose };
            // Its own memory and memory regions, then the device regions before this one.
            let before = claims(self.entry, manifest).take(manifest.memory_regions.len().saturating_add(1 + i));
            if let Some(other) = before.into_iter().find(|b| b.overlaps(&claim)) {
                return Err(self.refuse(whose, "device region", claim.overlap(&other), "separate the two regions"));
            }
            self.placed(&claim, region.attributes, MemoryKind::SecureDevice, MemoryKind::NonSecureDevice)?;
        }
        Ok(())
    }

    /// Checks that a region outside the partition's memory is where the SPMC manifest has such memory, and free.
    fn placed(
        &self,
        claim: &Claim,
        attributes: RegionAttributes,
        secure: MemoryKind,
        non_secure: MemoryKind,
    ) -> Result<(), Refusal> {
        let kind = match attributes.space() {
            Space::Secure => secure,
            Space::NonSecure => non_secure,
        };
        if !self.core.covers(kind, claim.base, claim.size) {
            let cause =
                Cause::Outside { base: claim.base, last: last(claim.base, claim.size), kind: kind.device_type() };
            let fix = "move it, correct bit 3 (NS) of its attributes, or extend that node";
            return Err(self.refuse(claim.whose, "base-address", cause, fix));
        }
        match self.collision(claim) {
            Some(other) => {
                Err(self.refuse(claim.whose, "base-address", claim.overlap(&other), "give it to one partition only"))
            }
            None => Ok(()),
        }
    }

    fn interrupts(&self) -> Result<(), Refusal> {
        for interrupt in &self.manifest.interrupts {
            let taken = self.admitted.clone().find(|(_, m)| m.interrupts.iter().any(|i| i.intid == interrupt.intid));
            if let Some((other, _)) = taken {
                let cause = Cause::Duplicate { value: interrupt.intid.into(), other: self.name_of(other) };
                let region = self.manifest.device_regions.get(usize::from(interrupt.region));
                let node = region.map_or(Name::new(), |r| r.name);
                return Err(self.refuse(node, "interrupts", cause, "give an interrupt to one partition only"));
            }
            if let Some(target) = interrupt.target.filter(|t| !self.core.cpus.contains(t)) {
                let cause = Cause::Value { found: target, expected: "the MPIDR of a CPU in the SPMC manifest" };
                return Err(self.refuse(Name::new(), "interrupts-target", cause, "name a CPU of the cpus node"));
            }
        }
        Ok(())
    }

    fn services(&self) -> Result<(), Refusal> {
        for service in &self.manifest.services {
            let taken = self.admitted.clone().find(|(_, m)| m.services.iter().any(|s| s.uuid == service.uuid));
            if let Some((other, _)) = taken {
                let cause = Cause::DuplicateUuid { uuid: service.uuid, other: self.name_of(other) };
                return Err(self.refuse(Name::new(), "uuid", cause, "give each service its own UUID"));
            }
        }
        Ok(())
    }

    fn boot_order(&self) -> Result<(), Refusal> {
        let Some(order) = self.manifest.boot_order else { return Ok(()) };
        match self.admitted.clone().find(|(_, m)| m.boot_order == Some(order)) {
            Some((other, _)) => {
                let cause = Cause::Duplicate { value: order.into(), other: self.name_of(other) };
                Err(self.refuse(Name::new(), "boot-order", cause, "number partitions in the order they boot"))
            }
            None => Ok(()),
        }
    }

    fn identifier(&self) -> Result<PartitionId, Refusal> {
        let id = id_of(self.index, self.manifest);
        let fix = "give each partition its own id; one without an id has 0x8000 plus the number of its vm node";
        let mine = [Some(id), self.manifest.auxiliary_id];
        for mine in mine.into_iter().flatten() {
            if mine == self.core.attribute.spmc_id {
                let cause = Cause::Duplicate { value: mine.0.into(), other: name("the SPMC") };
                return Err(self.refuse(Name::new(), "id", cause, fix));
            }
            let taken = self.admitted.clone().find(|&(i, m)| id_of(i, m) == mine || m.auxiliary_id == Some(mine));
            if let Some((other, _)) = taken {
                let cause = Cause::Duplicate { value: mine.0.into(), other: self.name_of(other) };
                return Err(self.refuse(Name::new(), "id", cause, fix));
            }
        }
        if self.manifest.auxiliary_id == Some(id) {
            let cause = Cause::Conflict { with: "the partition's own id" };
            return Err(self.refuse(Name::new(), "auxiliary-id", cause, "choose another number"));
        }
        Ok(id)
    }

    fn name_of(&self, index: usize) -> Name {
        self.core.partitions.get(index).map_or(Name::new(), |p| p.name)
    }
}
