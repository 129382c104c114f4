// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds a partition against the SPMC manifest and against the partitions that were admitted before it.

use core::ops::Range;

use ffa_abi::PartitionId;

use super::machine::{last, overlaps};
use super::refusal::{Details, name};
use super::{Cause, CoreManifest, File, MemoryKind, PartitionEntry, PartitionManifest, Refusal};
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

/// Returns the identifiers of a partition: its own, and its auxiliary one, or its own again.
fn ids_of(index: usize, manifest: &PartitionManifest) -> [PartitionId; 2] {
    let id = id_of(index, manifest);
    [id, manifest.auxiliary_id.unwrap_or(id)]
}

/// Decides whether the partition of `vm(index + 1)` may boot, and returns its identifier.
///
/// `spmc` is the SPMC's own memory (address and bytes); `admitted` are the partitions that were accepted so far.
/// The first partition keeps what two of them claim.
#[inline(never)]
pub fn check(
    core: &CoreManifest,
    spmc: (Pa, u64),
    index: usize,
    manifest: &PartitionManifest,
    admitted: &[Admitted<'_>],
) -> Result<PartitionId, Refusal> {
    let Some(entry) = core.partitions.get(index) else {
        let cause = Cause::Value { found: index as u64 };
        return Err(refuse(File::Partition, "", "", "index", cause, "the index of a vm node"));
    };
    let check = Check { core, entry, index, spmc, manifest, admitted };
    check.contexts()?;
    check.entry_point()?;
    check.memory()?;
    check.targets()?;
    let mine = check.identifiers()?;
    for &other in admitted {
        check.against(other, mine)?;
    }
    Ok(mine[0])
}

#[inline(never)]
fn refuse(file: File, whose: &str, node: &str, property: &'static str, cause: Cause, rule: &'static str) -> Refusal {
    Details { file, whose: name(whose), node: name(node), property, cause, rule }.into()
}

struct Check<'c> {
    core: &'c CoreManifest,
    entry: &'c PartitionEntry,
    index: usize,
    spmc: (Pa, u64),
    manifest: &'c PartitionManifest,
    admitted: &'c [Admitted<'c>],
}

/// A range of physical memory that a partition claims.
struct Claim<'c> {
    /// Base and bytes.
    range: (u64, u64),
    /// The region's name, or the partition's for its own memory.
    name: &'c str,
    /// What the SPMC manifest must have there.
    kind: MemoryKind,
    device: bool,
    relative: bool,
}

impl<'c> Claim<'c> {
    /// Returns what a partition claims: first its own memory, then its memory regions, then its device regions.
    #[inline(never)]
    fn nth(entry: &'c PartitionEntry, manifest: &'c PartitionManifest, n: usize) -> Option<Self> {
        let Some(n) = n.checked_sub(1) else {
            let range = (entry.load_address.0, entry.mem_size);
            return Some(Self { range, name: &entry.name, kind: MemoryKind::Secure, device: false, relative: false });
        };
        if let Some(r) = manifest.memory_regions.get(n) {
            let kind = match r.attributes.space() {
                Space::Secure => MemoryKind::Secure,
                Space::NonSecure => MemoryKind::NonSecure,
            };
            let range = (r.base.0, r.size());
            return Some(Self { range, name: &r.name, kind, device: false, relative: r.relative });
        }
        let r = manifest.device_regions.get(n.checked_sub(manifest.memory_regions.len())?)?;
        let kind = match r.attributes.space() {
            Space::Secure => MemoryKind::SecureDevice,
            Space::NonSecure => MemoryKind::NonSecureDevice,
        };
        Some(Self { range: (r.base.0, r.size()), name: &r.name, kind, device: true, relative: false })
    }

    /// Returns the first of some of a partition's claims that lies over a range.
    fn over(
        range: (u64, u64),
        entry: &'c PartitionEntry,
        manifest: &'c PartitionManifest,
        places: Range<usize>,
    ) -> Option<Self> {
        for n in places {
            let claim = Self::nth(entry, manifest, n)?;
            if overlaps(range, claim.range) {
                return Some(claim);
            }
        }
        None
    }

    /// Tells whether all of a range lies in it.
    fn holds(&self, range: (u64, u64)) -> bool {
        self.range.0 <= range.0 && last(range.0, range.1) <= last(self.range.0, self.range.1)
    }
}

impl<'c> Check<'c> {
    fn refuse(&self, node: &str, property: &'static str, cause: Cause, rule: &'static str) -> Refusal {
        refuse(File::Partition, &self.entry.name, node, property, cause, rule)
    }

    /// Refuses a number that an admitted partition has already.
    fn duplicate(&self, node: &str, property: &'static str, value: u64, other: &str, rule: &'static str) -> Refusal {
        self.refuse(node, property, Cause::Duplicate { value, other: name(other) }, rule)
    }

    /// Finds what lies over a claim outside this partition.
    fn collision(&self, claim: &Claim<'_>) -> Option<Cause> {
        let spmc = (self.spmc.0.0, self.spmc.1);
        if overlaps(claim.range, spmc) {
            return Some(Cause::overlap(claim.range, spmc, "the SPMC"));
        }
        for &(index, manifest) in self.admitted {
            let Some(entry) = self.core.partitions.get(index) else { continue };
            if let Some(other) = Claim::over(claim.range, entry, manifest, 0..usize::MAX) {
                return Some(Cause::overlap(claim.range, other.range, &entry.name));
            }
        }
        None
    }

    fn contexts(&self) -> Result<(), Refusal> {
        let contexts = self.manifest.execution_contexts;
        let rule = if contexts == 1 {
            return Ok(());
        } else if contexts != self.entry.vcpu_count {
            "1, or vcpu_count of the SPMC manifest"
        } else if usize::from(contexts) < self.core.cpus.len() {
            "1, or at least the number of CPUs"
        } else {
            return Ok(());
        };
        Err(self.refuse("", "execution-ctx-count", Cause::Value { found: contexts.into() }, rule))
    }

    fn entry_point(&self) -> Result<(), Refusal> {
        let found = self.manifest.entrypoint_offset;
        if found < self.entry.mem_size && found.is_multiple_of(4) {
            return Ok(());
        }
        let rule = "a multiple of 4 below mem_size, from the package's start";
        Err(self.refuse("", "entrypoint-offset", Cause::Value { found }, rule))
    }

    /// Checks the partition's own memory, which the SPMC manifest gives it, and then its regions.
    fn memory(&self) -> Result<(), Refusal> {
        let Some(own) = Claim::nth(self.entry, self.manifest, 0) else { return Ok(()) };
        self.placed(&own, true)?;
        for n in 1.. {
            let Some(claim) = Claim::nth(self.entry, self.manifest, n) else { break };
            let region = if claim.device { "device region" } else { "memory region" };
            let (property, cause, rule) = if let Some(other) = Claim::over(claim.range, self.entry, self.manifest, 1..n)
            {
                (region, Cause::overlap(claim.range, other.range, other.name), "separate the two regions")
            } else if own.holds(claim.range) && !claim.device {
                if claim.kind != MemoryKind::NonSecure {
                    continue;
                }
                let cause = Cause::Conflict { with: "the partition's own memory, which is Secure" };
                ("attributes", cause, "clear bit 3 (NS)")
            } else if claim.relative || overlaps(own.range, claim.range) {
                let rule = "keep it inside mem_size, or wholly outside by base-address";
                (region, Cause::overlap(claim.range, own.range, own.name), rule)
            } else {
                self.placed(&claim, false)?;
                continue;
            };
            return Err(self.refuse(claim.name, property, cause, rule));
        }
        Ok(())
    }

    /// Checks that the SPMC manifest has such memory where a claim lies, and that nothing outside this partition lies
    /// there. The partition's own memory is claimed by the SPMC manifest.
    #[inline(never)]
    fn placed(&self, claim: &Claim<'_>, own: bool) -> Result<(), Refusal> {
        let (base, size) = claim.range;
        let (file, node, mut property) =
            if own { (File::Spmc, "", "mem_size") } else { (File::Partition, claim.name, "base-address") };
        let (cause, rule) = if !self.core.covers(claim.kind, base, size) {
            let cause = Cause::Outside { base, last: last(base, size), kind: claim.kind.device_type() };
            (cause, "move it, correct bit 3 (NS) of its attributes, or extend that node")
        } else if let Some(cause) = self.collision(claim) {
            if own {
                property = "load_address";
            }
            (cause, "memory belongs to one partition only: move one of the two")
        } else {
            return Ok(());
        };
        Err(refuse(file, &self.entry.name, node, property, cause, rule))
    }

    fn targets(&self) -> Result<(), Refusal> {
        for found in self.manifest.interrupts.iter().filter_map(|i| i.target) {
            if !self.core.cpus.contains(&found) {
                let rule = "the MPIDR of a CPU of the SPMC manifest";
                return Err(self.refuse("", "interrupts-target", Cause::Value { found }, rule));
            }
        }
        Ok(())
    }

    /// Checks the identifiers against the SPMC's and each other; returns them.
    fn identifiers(&self) -> Result<[PartitionId; 2], Refusal> {
        let mine = ids_of(self.index, self.manifest);
        let spmc = self.core.attribute.spmc_id;
        if mine.contains(&spmc) {
            return Err(self.duplicate("", "id", spmc.0.into(), "the SPMC", ID));
        }
        if self.manifest.auxiliary_id == Some(mine[0]) {
            let cause = Cause::Conflict { with: "the partition's own id" };
            return Err(self.refuse("", "auxiliary-id", cause, "choose another number"));
        }
        Ok(mine)
    }

    /// Checks that a partition that was admitted has nothing of which there can be only one.
    fn against(&self, (index, other): Admitted<'_>, mine: [PartitionId; 2]) -> Result<(), Refusal> {
        let whose = self.core.partitions.get(index).map_or("", |p| &p.name);
        for interrupt in &self.manifest.interrupts {
            if other.interrupts.iter().any(|i| i.intid == interrupt.intid) {
                let region = self.manifest.device_regions.get(usize::from(interrupt.region));
                let node = region.map_or("", |r| &r.name);
                let rule = "give an interrupt to one partition only";
                return Err(self.duplicate(node, "interrupts", interrupt.intid.into(), whose, rule));
            }
        }
        for service in &self.manifest.services {
            if other.services.iter().any(|s| s.uuid == service.uuid) {
                let cause = Cause::DuplicateUuid { uuid: service.uuid, other: name(whose) };
                return Err(self.refuse("", "uuid", cause, "give each service its own UUID"));
            }
        }
        if let Some(order) = self.manifest.boot_order.filter(|_| self.manifest.boot_order == other.boot_order) {
            let rule = "number partitions in the order they boot";
            return Err(self.duplicate("", "boot-order", order.into(), whose, rule));
        }
        for taken in ids_of(index, other) {
            if mine.contains(&taken) {
                return Err(self.duplicate("", "id", taken.0.into(), whose, ID));
            }
        }
        Ok(())
    }
}

/// The rule for identifiers.
const ID: &str = "give each partition its own; vmN without one has 0x8000 + N";
