// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds a partition against the SPMC manifest and against the partitions that were admitted before it.

use core::ops::Range;

use ffa_abi::PartitionId;

use super::machine::{Span, place_of};
use super::{Cause, CoreManifest, File, MemoryKind, PartitionEntry, PartitionManifest, Refusal, Region};
use crate::Pa;

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
        return Err(Refusal::new(File::Partition, "index", cause, "the index of a vm node"));
    };
    let check = Check { core, entry, spmc: Span::new(spmc.0.0, spmc.1), manifest, admitted };
    check.contexts()?;
    check.entry_point()?;
    check.memory()?;
    check.targets()?;
    let mine = ids_of(index, manifest);
    let spmc = core.attribute.spmc_id;
    check.identifiers(mine, [spmc, spmc], "the SPMC")?;
    if manifest.auxiliary_id == Some(mine[0]) {
        let cause = Cause::Conflict { with: "the partition's own id" };
        return Err(check.refuse(None, "auxiliary-id", cause, "choose another number"));
    }
    for &(index, other) in admitted {
        let whose = core.partitions.get(index).map_or("", |p| &p.name);
        check.against(other, whose)?;
        check.identifiers(mine, ids_of(index, other), whose)?;
    }
    Ok(mine[0])
}

struct Check<'c> {
    core: &'c CoreManifest,
    entry: &'c PartitionEntry,
    spmc: Span,
    manifest: &'c PartitionManifest,
    admitted: &'c [Admitted<'c>],
}

/// Returns the first of some of a partition's regions that lies over a range.
#[inline(never)]
fn region_over(range: Span, manifest: &PartitionManifest, places: Range<usize>) -> Option<&Region> {
    for n in places {
        let region = manifest.region(n)?;
        if region.span().meets(range) {
            return Some(region);
        }
    }
    None
}

impl<'c> Check<'c> {
    /// Refuses what the partition's manifest says, in a region or in its root.
    #[inline(never)]
    fn refuse(&self, region: Option<&Region>, property: &'static str, cause: Cause, rule: &'static str) -> Refusal {
        let mut refusal = Refusal::new(File::Partition, property, cause, rule);
        refusal.whose = self.entry.name;
        if let Some(region) = region {
            refusal.node = region.name;
        }
        refusal
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
        Err(self.refuse(None, "execution-ctx-count", Cause::Value { found: contexts.into() }, rule))
    }

    fn entry_point(&self) -> Result<(), Refusal> {
        let found = self.manifest.entrypoint_offset;
        if found < self.entry.mem_size && found.is_multiple_of(4) {
            return Ok(());
        }
        let rule = "a multiple of 4 below mem_size, from the package's start";
        Err(self.refuse(None, "entrypoint-offset", Cause::Value { found }, rule))
    }

    /// Checks the partition's own memory, which the SPMC manifest gives it, and then its regions.
    fn memory(&self) -> Result<(), Refusal> {
        let own = self.entry.span();
        self.placed(own, MemoryKind::Secure, None)?;
        for n in 0.. {
            let Some(region) = self.manifest.region(n) else { break };
            let span = region.span();
            let what = if region.device { "device region" } else { "memory region" };
            let (property, cause, rule) = if let Some(other) = region_over(span, self.manifest, 0..n) {
                (what, Cause::overlap(span, other.span(), &other.name), "separate the two regions")
            } else if own.holds(span) && !region.device {
                if region.kind() == MemoryKind::Secure {
                    continue;
                }
                let cause = Cause::Conflict { with: "the partition's own memory, which is Secure" };
                ("attributes", cause, "clear bit 3 (NS)")
            } else if region.relative || own.meets(span) {
                let rule = "keep it inside mem_size, or wholly outside by base-address";
                (what, Cause::overlap(span, own, &self.entry.name), rule)
            } else {
                self.placed(span, region.kind(), Some(region))?;
                continue;
            };
            return Err(self.refuse(Some(region), property, cause, rule));
        }
        Ok(())
    }

    /// Checks that the SPMC manifest has such memory where a region lies, or the partition's own memory, and that
    /// nothing outside this partition lies there. Its own memory is claimed by the SPMC manifest.
    #[inline(never)]
    fn placed(&self, span: Span, kind: MemoryKind, region: Option<&Region>) -> Result<(), Refusal> {
        let mut property = if region.is_some() { "base-address" } else { "mem_size" };
        let (cause, rule) = if !self.core.covers(kind, span.first, span.size()) {
            let cause = Cause::Outside { base: span.first, last: span.last, kind: kind.device_type() };
            (cause, "move it, correct bit 3 (NS) of its attributes, or extend that node")
        } else if let Some((other, whose)) = self.taken(span) {
            if region.is_none() {
                property = "load_address";
            }
            (Cause::overlap(span, other, whose), "memory belongs to one partition only: move one of the two")
        } else {
            return Ok(());
        };
        let mut refusal = self.refuse(region, property, cause, rule);
        if region.is_none() {
            refusal.file = File::Spmc;
        }
        Err(refusal)
    }

    /// Finds what lies over a range outside this partition, and whose it is.
    fn taken(&self, span: Span) -> Option<(Span, &str)> {
        if span.meets(self.spmc) {
            return Some((self.spmc, "the SPMC"));
        }
        for &(index, manifest) in self.admitted {
            let Some(entry) = self.core.partitions.get(index) else { continue };
            let own = entry.span();
            if span.meets(own) {
                return Some((own, &entry.name));
            }
            if let Some(region) = region_over(span, manifest, 0..usize::MAX) {
                return Some((region.span(), &entry.name));
            }
        }
        None
    }

    fn targets(&self) -> Result<(), Refusal> {
        for found in self.manifest.interrupts.iter().filter_map(|i| i.target) {
            if place_of(&self.core.cpus, found).is_none() {
                let rule = "the MPIDR of a CPU of the SPMC manifest";
                return Err(self.refuse(None, "interrupts-target", Cause::Value { found }, rule));
            }
        }
        Ok(())
    }

    /// Checks that somebody else has none of the partition's identifiers.
    #[inline(never)]
    fn identifiers(&self, mine: [PartitionId; 2], taken: [PartitionId; 2], whose: &str) -> Result<(), Refusal> {
        for id in taken {
            if mine.contains(&id) {
                let rule = "give each partition its own; vmN without one has 0x8000 + N";
                return Err(self.refuse(None, "id", Cause::duplicate(id.0.into(), whose), rule));
            }
        }
        Ok(())
    }

    /// Checks that a partition that was admitted has nothing of which there can be only one.
    fn against(&self, other: &PartitionManifest, whose: &str) -> Result<(), Refusal> {
        for interrupt in &self.manifest.interrupts {
            if other.interrupts.iter().any(|i| i.intid == interrupt.intid) {
                let region = self.manifest.device_regions.get(usize::from(interrupt.region));
                let cause = Cause::duplicate(interrupt.intid.into(), whose);
                return Err(self.refuse(region, "interrupts", cause, "give an interrupt to one partition only"));
            }
        }
        for service in &self.manifest.services {
            if other.services.iter().any(|s| s.uuid == service.uuid) {
                let cause = Cause::duplicate_uuid(service.uuid, whose);
                return Err(self.refuse(None, "uuid", cause, "give each service its own UUID"));
            }
        }
        if let Some(order) = self.manifest.boot_order.filter(|_| self.manifest.boot_order == other.boot_order) {
            let cause = Cause::duplicate(order.into(), whose);
            return Err(self.refuse(None, "boot-order", cause, "number partitions in the order they boot"));
        }
        Ok(())
    }
}
