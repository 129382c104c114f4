// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a package in memory to a partition with its stage 2.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use ffa_abi::PartitionId;

use super::place::Places;
use crate::manifest::{
    AbortAction, CheckedBlob, CoreManifest, MAX_SMCS, MemoryRegion, Package, PartitionEntry, PartitionManifest,
    platform,
};
use crate::partition::{Identity, Partition, Pristine, Properties, copy};
use crate::stage2::{self, Access, Attributes, MemoryType, Stage2, Tag};
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space, Vmid};

/// A package that was read and whose manifest is sound in itself.
pub(super) struct Candidate<'m> {
    entry: &'m PartitionEntry,
    position: usize,
    manifest: Box<PartitionManifest>,
    image: (u64, u64),
    package_len: u64,
    /// Where the partition manifest lies in the package, and its length.
    manifest_at: (u64, u64),
    /// Computed where it will be told.
    digest: Option<[u8; 32]>,
}

/// Loads every partition that can be loaded, in manifest order. Returns what is taken of memory, too.
pub(super) fn all<'m, P: Port>(port: &P, core: &'m CoreManifest) -> (Vec<Partition<P>>, Places<'m>) {
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for (position, entry) in core.partitions.iter().enumerate() {
        match read(port, entry, position, core.quiet) {
            Ok(candidate) => candidates.push(candidate),
            Err(reason) => left_out(port, entry, &reason),
        }
    }
    let mut places = places(port, core, &candidates);
    let mut loaded = Vec::new();
    let mut admitted: Vec<(usize, &PartitionManifest)> = Vec::new();
    for candidate in &candidates {
        let others = admitted.iter().copied();
        let checked = platform::check(core, port.own_memory(), candidate.position, &candidate.manifest, others)
            .map_err(|e| e.to_string());
        match checked.and_then(|id| build(port, candidate, id, loaded.len(), &mut places)) {
            Ok(partition) => {
                report(port, &partition, candidate);
                admitted.push((candidate.position, &candidate.manifest));
                loaded.push(partition);
            }
            Err(reason) => left_out(port, candidate.entry, &reason),
        }
    }
    (loaded, places)
}

/// Lists what is in the way of what the SPMC places itself.
fn places<'m, P: Port>(port: &P, core: &'m CoreManifest, candidates: &[Candidate<'_>]) -> Places<'m> {
    let mut places = Places::new(core, port.own_memory());
    for manifest in candidates.iter().map(|c| &c.manifest) {
        let regions = manifest.memory_regions.iter().filter(|r| !r.relative && r.attributes.space() == Space::Secure);
        for r in regions {
            places.take(r.base, r.size());
        }
    }
    places
}

/// Finds and reads one package: its header, its digest, its manifest.
fn read<'m, P: Port>(
    port: &P,
    entry: &'m PartitionEntry,
    position: usize,
    quiet: bool,
) -> Result<Candidate<'m>, String> {
    port.with_secure_bytes(entry.load_address, entry.mem_size, |memory| {
        let package = Package::parse(memory).map_err(|e| e.to_string())?;
        let blob = package.bytes.get(package.manifest.clone()).unwrap_or_default();
        let blob = CheckedBlob::check(blob).map_err(|e| format_refusal(&e))?;
        let manifest = PartitionManifest::parse(&blob, entry.load_address).map_err(|e| e.to_string())?;
        Ok(Candidate {
            entry,
            position,
            manifest: Box::new(manifest),
            image: (package.image.start as u64, package.image.end as u64),
            manifest_at: (package.manifest.start as u64, package.manifest.len() as u64),
            package_len: package.bytes.len() as u64,
            digest: (!quiet).then(|| port.sha256(package.bytes)),
        })
    })
    .unwrap_or_else(|| {
        let at = entry.load_address;
        Err(alloc::format!("load_address {at}, mem_size {:#x} is not in the SPMC's Secure memory", entry.mem_size))
    })
}

fn format_refusal(e: &dyn fmt::Display) -> String {
    alloc::format!("partition manifest: {e}")
}

/// Gives a partition its tables and execution contexts.
fn build<P: Port>(
    port: &P,
    candidate: &Candidate<'_>,
    id: PartitionId,
    index: usize,
    places: &mut Places<'_>,
) -> Result<Partition<P>, String> {
    let Candidate { entry, manifest, .. } = candidate;
    clear_preserved(port, candidate)?;
    let mut stage2 = Stage2::new(port, Vmid(index as u16 + 1)).map_err(|e| table_error(e, "the roots"))?;
    if let Err(reason) = map_all(port, candidate, &mut stage2) {
        stage2.destroy(port);
        return Err(reason);
    }
    // The image of a package without an entry point of its own begins with its first instruction.
    let offset = if manifest.entrypoint_offset != 0 { manifest.entrypoint_offset } else { candidate.image.0 };
    let base = entry.load_address;
    port.sync_code(base, candidate.package_len);
    let identity = Identity {
        id,
        name: entry.name.to_string(),
        uuids: manifest.services.iter().map(|s| s.uuid).collect(),
        properties: Properties::of(manifest),
        entry: Ipa(base.0 + offset),
        memory: (Ipa(base.0), entry.mem_size),
        boot_info: boot_info(port, candidate),
    };
    let mut manifest = manifest.clone();
    for &function in &entry.smcs.functions {
        if !manifest.smcs.functions.contains(&function) && manifest.smcs.functions.try_push(function).is_err() {
            stage2.destroy(port);
            return Err(alloc::format!("smc_whitelist of both manifests: more than {MAX_SMCS} functions"));
        }
    }
    let restarts = manifest.abort_action == AbortAction::Restart;
    let mut partition = Partition::new(port, (index, candidate.position), identity, manifest, stage2);
    if let Some(pair) = partition.boot_mailbox() {
        // Nothing is mapped yet: this cannot fail.
        let _ = partition.mailbox.lock().map(pair);
    }
    if restarts {
        partition.pristine = keep_pristine(port, candidate, places);
    }
    Ok(partition)
}

/// Zeroes what the partition keeps over its restarts. None of it may be part of the package, which a restart writes
/// anew.
fn clear_preserved<P: Port>(port: &P, candidate: &Candidate<'_>) -> Result<(), String> {
    let manifest = &candidate.manifest;
    if let Some(r) = manifest.preserves(candidate.entry.load_address, candidate.package_len) {
        return Err(alloc::format!("preserved-on-restart: {} is where the package lies", r.name));
    }
    for r in manifest.preserved() {
        port.zero(Space::Secure, r.base, r.size()).map_err(|_| alloc::format!("{} is no Secure memory", r.name))?;
    }
    Ok(())
}

/// Copies the package, boot information included, to where no partition reaches.
fn keep_pristine<P: Port>(port: &P, candidate: &Candidate<'_>, places: &mut Places<'_>) -> Option<Pristine> {
    let len = candidate.package_len.next_multiple_of(PAGE_SIZE);
    let name = &candidate.entry.name;
    let Some(at) = places.place(len) else {
        port.log(format_args!("{name}: no Secure memory is free for a copy of its package: it will not be restarted"));
        return None;
    };
    copy(port, candidate.entry.load_address, at, len).ok()?;
    port.log(format_args!("  kept for a restart at {at}, {len:#x} bytes"));
    Some(Pristine { copy: at, len })
}

/// Writes the boot information where the package leaves room for it: in the page of a version 2 header, or behind
/// the manifest of a version 1 package.
fn boot_info<P: Port>(port: &P, candidate: &Candidate<'_>) -> Option<(u8, u64)> {
    let Candidate { entry, manifest, image, manifest_at: (at, len), .. } = candidate;
    let register = manifest.gp_register?;
    let base = entry.load_address.0;
    let blob = ffa_abi::boot_info::fdt(base + at, *len as u32);
    let offset = if *at >= PAGE_SIZE { 0 } else { (at + len).next_multiple_of(8) };
    if offset + blob.len() as u64 > image.0 || port.write(Space::Secure, Pa(base + offset), &blob).is_err() {
        port.log(format_args!("vm{}: no room for boot information before the image: none is passed", entry.number));
        return None;
    }
    Some((register, base + offset))
}

fn table_error(e: stage2::Error, what: &str) -> String {
    alloc::format!("stage 2, {what}: {e:?}")
}

/// Maps the partition's regions with their manifest's permissions, then the rest of its own memory with all.
fn map_all<P: Port>(port: &P, candidate: &Candidate<'_>, stage2: &mut Stage2) -> Result<(), String> {
    let manifest = &candidate.manifest;
    for r in &manifest.memory_regions {
        let attributes = Attributes { access: r.attributes.access(), memory: MemoryType::Normal };
        map(port, stage2, r.attributes.space(), r.base, r.pages as u64, attributes)
            .map_err(|e| table_error(e, &r.name))?;
    }
    for r in &manifest.device_regions {
        let attributes = Attributes { access: r.attributes.access(), memory: MemoryType::Device };
        map(port, stage2, r.attributes.space(), r.base, r.pages as u64, attributes)
            .map_err(|e| table_error(e, &r.name))?;
    }
    let all = Attributes { access: Access::all(), memory: MemoryType::Normal };
    let base = candidate.entry.load_address;
    let end = base.0 + candidate.entry.mem_size;
    let mut inside: Vec<&MemoryRegion> = manifest
        .memory_regions
        .iter()
        .filter(|r| r.attributes.space() == Space::Secure && (base.0..end).contains(&r.base.0))
        .collect();
    super::sort(&mut inside, |r| r.base);
    let mut at = base;
    for r in inside {
        let gap = r.base.0.saturating_sub(at.0) / PAGE_SIZE;
        map(port, stage2, Space::Secure, at, gap, all).map_err(|e| table_error(e, "its own memory"))?;
        at = Pa(r.base.0 + r.size());
    }
    let rest = end.saturating_sub(at.0) / PAGE_SIZE;
    map(port, stage2, Space::Secure, at, rest, all).map_err(|e| table_error(e, "its own memory"))
}

fn map<P: Port>(
    port: &P,
    stage2: &mut Stage2,
    space: Space,
    at: Pa,
    pages: u64,
    attributes: Attributes,
) -> Result<(), stage2::Error> {
    if pages == 0 {
        return Ok(());
    }
    stage2.map(port, space, Ipa(at.0), at, pages, attributes, Tag::Owned)
}

fn report<P: Port>(port: &P, partition: &Partition<P>, candidate: &Candidate<'_>) {
    let Some(digest) = &candidate.digest else { return };
    let Identity { id, name, entry, memory: (base, size), .. } = &partition.identity;
    let end = base.0 + size - 1;
    let contexts = partition.contexts().len();
    port.log(format_args!("{id} \"{name}\": {base} to {end:#x}, entry {entry}, {contexts} execution context(s)"));
    for uuid in &partition.identity.uuids {
        port.log(format_args!("  service {uuid}"));
    }
    port.log(format_args!("  package {} bytes, sha256 {}", candidate.package_len, Hex(digest)));
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

fn left_out<P: Port>(port: &P, entry: &PartitionEntry, reason: &str) {
    port.log(format_args!("vm{} \"{}\" is left out: {reason}", entry.number, entry.name));
}
