// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot: from the SPMC manifest to partitions that wait for work.
//!
//! A malformed SPMC manifest is fatal and says why; a malformed package or partition manifest costs that
//! partition only. Everything that is found, and where it is put, is told on the secure console.

mod load;
mod place;
mod start;
#[cfg(all(test, not(loom)))]
mod tests;

use alloc::boxed::Box;

use arrayvec::ArrayVec;

use crate::manifest::{
    Cause, CheckedBlob, CoreManifest, File, MemoryKind, PartitionEntry, Refusal, SmcAllowList, name,
};
use crate::memory::{MAX_OPEN, Memory};
use crate::routing::Routing;
use crate::{PAGE_SIZE, Port, Space, Spmc, version};
use place::Places;

/// A package that the SPMC's own image carries: booted like any other, from memory that the SPMC finds for it.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name in console lines.
    pub name: &'static str,
    /// The package (SPKG).
    pub package: &'static [u8],
    /// Bytes of memory that it gets, whole pages.
    pub memory: u64,
}

/// Says that the SPMC cannot start; the reason is on the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal;

impl<P: Port> Spmc<P> {
    /// Builds the SPMC from the manifest that TF-A passed and the packages that it loaded.
    ///
    /// The built-in packages come after the manifest's own partitions, with the identifiers that follow.
    pub fn boot(port: &'static P, manifest: &[u8], built_in: &[BuiltIn]) -> Result<&'static Self, Fatal> {
        let fatal = |reason: &dyn core::fmt::Display| fatal(port, reason);
        let core = read_manifest(port, manifest)?;
        place_built_in(port, core, built_in);
        let before = port.pages_free();
        let mut places = Places::new(core, port.own_memory());
        let list = load::all(port, core, &mut places);
        let mut boot_order = ArrayVec::new();
        for i in 0..list.len() as u8 {
            let _ = boot_order.try_push(i);
        }
        // Partitions without a boot-order keep the manifest's order, after those that have one.
        sort(&mut boot_order, |&i| {
            let order = list.get(i as usize).and_then(|p| p.manifest.boot_order);
            order.map_or(u32::MAX, u32::from)
        });
        let used = before.saturating_sub(port.pages_free());
        if !core.quiet {
            port.log(format_args!("table memory: {used} pages used, {} free", port.pages_free()));
        }
        add_table_memory(port, &mut places);
        let routing = Routing::new(&core.routing, |n| list.iter().position(|p| p.manifest_index == n));
        let memory = Memory::new(port, MAX_OPEN).map_err(|_| fatal(&"no memory for the table of transactions"))?;
        let id = core.attribute.spmc_id;
        let spmc = Box::leak(Box::new(Self::new(port, id, list, boot_order, &core.memory, routing, memory)));
        if let Some(policy) = &core.hub {
            spmc.start_hub(policy).map_err(|why| fatal(&why))?;
        }
        for partition in spmc.partitions() {
            for region in partition.manifest.memory_regions.iter().filter(|r| r.attributes.space() == Space::NonSecure)
            {
                spmc.withhold(region.base, region.pages.into()).map_err(|e| fatal(&e.why()))?;
            }
        }
        Ok(spmc)
    }
}

/// Sorts by insertion, stably: core's sorts would be several KiB of the image, and the lists of boot are short.
pub(crate) fn sort<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    for sorted in 1..list.len() {
        let mut at = sorted;
        while let Some([.., a, b]) = list.get_mut(..=at)
            && key(a) > key(b)
        {
            core::mem::swap(a, b);
            at -= 1;
        }
    }
}

fn fatal<P: Port>(port: &P, reason: &dyn core::fmt::Display) -> Fatal {
    port.log(format_args!("fatal: {reason}"));
    Fatal
}

/// Reads the SPMC manifest and tells what it says. Apart, and to where it stays, since it is large: the stack is not.
#[inline(never)]
fn read_manifest<P: Port>(port: &P, manifest: &[u8]) -> Result<&'static mut CoreManifest, Fatal> {
    let blob = CheckedBlob::check(manifest).map_err(|e| fatal(port, &format_args!("SPMC manifest: {e}")))?;
    let core = CoreManifest::parse_in_place(&blob).map_err(|e| fatal(port, &e))?;
    port.list_cpus(&core.cpus).map_err(|mpidr| fatal(port, &not_listed(mpidr)))?;
    if !core.quiet {
        report(port, core);
    }
    if core.ranges(MemoryKind::NonSecure).next().is_none() {
        port.log(format_args!("no ns-memory node: the Normal world cannot map buffers or send memory"));
    }
    Ok(core)
}

/// Adds free Secure memory to the pool of table memory: as much as there is of what would do for thousands of scattered
/// pages. The SPMC works without, within what its own span has.
fn add_table_memory<P: Port>(port: &P, places: &mut Places<'_>) {
    let mut len = 1 << 20;
    while len >= 128 << 10 {
        if let Some(at) = places.place(len).filter(|&at| port.add_pages(at, len)) {
            return port.log(format_args!("table memory: {} more pages at {at}", len / PAGE_SIZE));
        }
        len /= 2;
    }
    port.log(format_args!("table memory: no Secure memory is free to add to it"));
}

/// Says that the manifest leaves out the very CPU that reads it.
fn not_listed(mpidr: u64) -> Refusal {
    let cause = Cause::Value { found: mpidr };
    let rule = "among the CPUs: it is the MPIDR of the one that boots; add a node for it";
    let mut refusal = Refusal::new(File::Spmc, "reg", cause, rule);
    refusal.node = name("cpus");
    refusal
}

/// Tells what the manifest says.
fn report<P: Port>(port: &P, core: &CoreManifest) {
    port.log(format_args!(
        "SPMC {} speaks FF-A {}; {} CPUs, {} partitions in the manifest",
        core.attribute.spmc_id,
        version::IMPLEMENTED,
        core.cpus.len(),
        core.partitions.len(),
    ));
    for range in &core.memory {
        let kind = range.kind.device_type();
        port.log(format_args!("{kind}: {} to {:#x}", range.base, range.base.0 + (range.size - 1)));
    }
}

/// Copies the built-in packages to the highest free Secure memory and adds them to the manifest's partitions.
#[inline(never)]
fn place_built_in<P: Port>(port: &P, core: &mut CoreManifest, built_in: &[BuiltIn]) {
    for item in built_in {
        let memory = item.memory.next_multiple_of(PAGE_SIZE);
        let number = core.partitions.len() as u16 + 1;
        let mut places = Places::new(core, port.own_memory());
        let Some(at) = places.place(memory).filter(|_| item.package.len() as u64 <= memory) else {
            port.log(format_args!("built-in {}: no {memory:#x} bytes of Secure memory are free: left out", item.name));
            continue;
        };
        let entry = PartitionEntry {
            number,
            name: crate::manifest::name(item.name),
            load_address: at,
            mem_size: memory,
            vcpu_count: 1,
            smcs: SmcAllowList::default(),
        };
        if port.write(Space::Secure, at, item.package).is_err() || core.partitions.try_push(entry).is_err() {
            port.log(format_args!("built-in {}: there are too many partitions: left out", item.name));
        }
    }
}
