// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a package in memory to a partition with its stage 2.

use alloc::boxed::Box;
use core::fmt::{self, Display};

use arrayvec::ArrayVec;
use ffa_abi::PartitionId;

use super::place::Places;
use crate::manifest::{
    AbortAction, CheckedBlob, CoreManifest, MAX_PARTITIONS, MAX_SMCS, Package, PartitionEntry, PartitionManifest,
    Refusal,
    platform::{self, Admitted},
};
use crate::partition::{Identity, Partition, Pristine, Properties, copy};
use crate::stage2::{self, Access, Attributes, MemoryType, Stage2, Tag};
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space, Vmid};

/// A package that was read and whose manifest is sound in itself.
struct Candidate<'m> {
    entry: &'m PartitionEntry,
    manifest: &'static PartitionManifest,
    /// Where the image lies in the package.
    image_at: u64,
    package_len: u64,
    /// Where the partition manifest lies in the package, and its length.
    manifest_at: (u64, u64),
}

impl Candidate<'_> {
    /// Returns its position in the SPMC manifest: vm1 is 0.
    fn position(&self) -> usize {
        usize::from(self.entry.number).wrapping_sub(1)
    }
}

/// Says that a partition is left out; the reason is on the console.
struct LeftOut;

/// What is loaded, for ever.
type Loaded<P> = ArrayVec<Partition<P>, MAX_PARTITIONS>;

/// Loads every partition that can be loaded, in manifest order, and puts what they take of memory out of reach.
#[inline(never)]
pub(super) fn all<P: Port>(port: &P, core: &CoreManifest, places: &mut Places<'_>) -> &'static [Partition<P>] {
    // All three have room for as many as the manifest can name.
    let mut candidates: ArrayVec<_, MAX_PARTITIONS> = ArrayVec::new();
    let mut admitted: ArrayVec<Admitted<'_>, MAX_PARTITIONS> = ArrayVec::new();
    let loaded: &'static mut Loaded<P> = Box::leak(Box::default());
    for entry in &core.partitions {
        let Ok(candidate) = read(port, entry) else { continue };
        for r in &candidate.manifest.memory_regions {
            if !r.relative && r.attributes.space() == Space::Secure {
                places.take(r.base, r.size());
            }
        }
        let _ = candidates.try_push(candidate);
    }
    for candidate in &candidates {
        match platform::check(core, port.own_memory(), candidate.position(), candidate.manifest, &admitted) {
            Ok(id) => {
                if build(port, candidate, id, loaded, places, core.quiet).is_ok() {
                    let _ = admitted.try_push((candidate.position(), candidate.manifest));
                }
            }
            Err(refusal) => _ = left_out(port, candidate.entry, &refusal),
        }
    }
    loaded
}

/// Finds and reads one package: its header, its manifest.
#[inline(never)]
fn read<'m, P: Port>(port: &P, entry: &'m PartitionEntry) -> Result<Candidate<'m>, LeftOut> {
    let refused = |refusal: Refusal| left_out(port, entry, &refusal);
    port.with_secure_bytes(entry.load_address, entry.mem_size, |memory| {
        let package = Package::parse(memory).map_err(refused)?;
        let blob = CheckedBlob::check(package.manifest_bytes())
            .map_err(|e| left_out(port, entry, &format_args!("partition manifest: {e}")))?;
        let manifest = Box::leak(PartitionManifest::parse_in_place(&blob, entry.load_address).map_err(refused)?);
        let smcs = &mut manifest.smcs.functions;
        for &function in &entry.smcs.functions {
            if !smcs.contains(&function) && smcs.try_push(function).is_err() {
                let reason = format_args!("smc_whitelist of both manifests: more than {MAX_SMCS} functions");
                return Err(left_out(port, entry, &reason));
            }
        }
        Ok(Candidate {
            entry,
            manifest,
            image_at: package.image.start as u64,
            manifest_at: (package.manifest.start as u64, package.manifest.len() as u64),
            package_len: package.bytes.len() as u64,
        })
    })
    .unwrap_or_else(|| {
        let (at, size) = (entry.load_address, entry.mem_size);
        let reason = format_args!("load_address {at}, mem_size {size:#x} is not in the SPMC's Secure memory");
        Err(left_out(port, entry, &reason))
    })
}

/// Gives a partition its tables and execution contexts.
#[inline(never)]
fn build<P: Port>(
    port: &P,
    candidate: &Candidate<'_>,
    id: PartitionId,
    loaded: &mut Loaded<P>,
    places: &mut Places<'_>,
    quiet: bool,
) -> Result<(), LeftOut> {
    let &Candidate { entry, manifest, image_at, package_len, .. } = candidate;
    let base = entry.load_address;
    let index = loaded.len();
    clear_preserved(port, candidate)?;
    let mut stage2 = Stage2::new(port, Vmid(index as u16 + 1)).map_err(|e| table_error(port, entry, "the roots", e))?;
    if let Err(left_out) = map_all(port, candidate, &mut stage2) {
        stage2.destroy(port);
        return Err(left_out);
    }
    // Of the package as it came, without the boot information.
    let digest = if quiet { None } else { port.with_secure_bytes(base, package_len, |package| port.sha256(package)) };
    let boot_info = boot_info(port, candidate);
    // The image of a package without an entry point of its own begins with its first instruction.
    let offset = if manifest.entrypoint_offset != 0 { manifest.entrypoint_offset } else { image_at };
    port.sync_code(base, package_len);
    let identity = Identity {
        id,
        name: entry.name,
        properties: Properties::of(manifest),
        entry: Ipa(base.0 + offset),
        memory: (Ipa(base.0), entry.mem_size),
        boot_info,
    };
    // There is room for as many as the manifest can name.
    let _ = loaded.try_push(Partition::new(port, (index, candidate.position()), identity, manifest, stage2));
    let Some(partition) = loaded.last_mut() else { return Err(LeftOut) };
    partition.map_boot_mailbox();
    if partition.manifest.abort_action == AbortAction::Restart {
        partition.pristine = keep_pristine(port, entry, package_len, places);
    }
    if let Some(digest) = digest {
        report(port, partition, package_len, &digest);
    }
    Ok(())
}

/// Zeroes what the partition keeps over its restarts. None of it may be part of the package, which a restart writes
/// anew.
fn clear_preserved<P: Port>(port: &P, candidate: &Candidate<'_>) -> Result<(), LeftOut> {
    let Candidate { entry, manifest, .. } = candidate;
    if let Some(r) = manifest.preserves(entry.load_address, candidate.package_len) {
        let reason = format_args!("preserved-on-restart: {} is where the package lies", r.name);
        return Err(left_out(port, entry, &reason));
    }
    for r in manifest.preserved() {
        port.zero(Space::Secure, r.base, r.size())
            .map_err(|_| left_out(port, entry, &format_args!("{} is no Secure memory", r.name)))?;
    }
    Ok(())
}

/// Copies the package, boot information included, to where no partition reaches.
fn keep_pristine<P: Port>(port: &P, entry: &PartitionEntry, len: u64, places: &mut Places<'_>) -> Option<Pristine> {
    let len = len.next_multiple_of(PAGE_SIZE);
    let name = &entry.name;
    let Some(at) = places.place(len) else {
        port.log(format_args!("{name}: no Secure memory is free for a copy of its package: it will not be restarted"));
        return None;
    };
    copy(port, entry.load_address, at, len).ok()?;
    port.log(format_args!("  kept for a restart at {at}, {len:#x} bytes"));
    Some(Pristine { copy: at, len })
}

/// Writes the boot information where the package leaves room for it: in the page of a version 2 header, or behind
/// the manifest of a version 1 package.
fn boot_info<P: Port>(port: &P, candidate: &Candidate<'_>) -> Option<(u8, u64)> {
    let Candidate { entry, manifest, image_at, manifest_at: (at, len), .. } = candidate;
    let register = manifest.gp_register?;
    let base = entry.load_address.0;
    let blob = ffa_abi::boot_info::fdt(base + at, *len as u32);
    let offset = if *at >= PAGE_SIZE { 0 } else { (at + len).next_multiple_of(8) };
    let end = offset + size_of_val(&blob) as u64;
    if end > *image_at || port.write_words(Space::Secure, Pa(base + offset), &blob).is_err() {
        port.log(format_args!(
            "vm{}: no room for boot information before the image: none is passed",
            u64::from(entry.number)
        ));
        return None;
    }
    Some((register, base + offset))
}

fn table_error<P: Port>(port: &P, entry: &PartitionEntry, what: &str, e: stage2::Error) -> LeftOut {
    left_out(port, entry, &format_args!("stage 2, {what}: {e:?}"))
}

/// Maps the partition's regions with their manifest's permissions, then the rest of its own memory with all.
fn map_all<P: Port>(port: &P, candidate: &Candidate<'_>, stage2: &mut Stage2) -> Result<(), LeftOut> {
    let Candidate { entry, manifest, .. } = candidate;
    let mut map = |what: &str, space, at: Pa, pages, access, memory| {
        let attributes = Attributes { access, memory };
        let mapped =
            if pages == 0 { Ok(()) } else { stage2.map(port, space, Ipa(at.0), at, pages, attributes, Tag::Owned) };
        mapped.map_err(|e| table_error(port, entry, what, e))
    };
    for n in 0.. {
        let Some(r) = manifest.region(n) else { break };
        let memory = if r.device { MemoryType::Device } else { MemoryType::Normal };
        map(&r.name, r.attributes.space(), r.base, r.pages.into(), r.attributes.access(), memory)?;
    }
    let mut at = entry.load_address;
    let end = Pa(at.0 + entry.mem_size);
    loop {
        // The regions inside do not overlap.
        let (mut next, mut behind) = (end, end);
        for r in &manifest.memory_regions {
            if r.attributes.space() == Space::Secure && (at..next).contains(&r.base) {
                (next, behind) = (r.base, Pa(r.base.0 + r.size()));
            }
        }
        map("its own memory", Space::Secure, at, (next.0 - at.0) / PAGE_SIZE, Access::all(), MemoryType::Normal)?;
        if next == end {
            return Ok(());
        }
        at = behind;
    }
}

/// Tells what was loaded.
fn report<P: Port>(port: &P, partition: &Partition<P>, package_len: u64, digest: &[u8]) {
    let Identity { id, name, entry, memory: (base, size), .. } = &partition.identity;
    let end = base.0 + size - 1;
    let contexts = partition.contexts().len();
    port.log(format_args!("{id} \"{name}\": {base} to {end:#x}, entry {entry}, {contexts} execution context(s)"));
    for service in &partition.manifest.services {
        port.log(format_args!("  service {}", service.uuid));
    }
    port.log(format_args!("  package {package_len} bytes, sha256 {}", Hex(digest)));
}

struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{:02x}", u64::from(*b)))
    }
}

/// Tells why a partition is left out.
#[cold]
#[inline(never)]
fn left_out<P: Port>(port: &P, entry: &PartitionEntry, reason: &dyn Display) -> LeftOut {
    port.log(format_args!("vm{} \"{}\" is left out: {reason}", u64::from(entry.number), entry.name));
    LeftOut
}
