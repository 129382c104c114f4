// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs and memory in the SPMC manifest.

use arrayvec::ArrayVec;

use super::core_manifest::ADDRESS_CELLS;
use super::node::{Node, Value, Warn, take_number};
use super::property::{Property, table};
use super::{Cause, Refusal};
use crate::{PAGE_SIZE, Pa};

/// Most CPUs: what the SPMC has room for.
pub const MAX_CPUS: usize = 8;
/// Most ranges over all memory nodes.
pub const MAX_MEMORY_RANGES: usize = 32;

/// Tells what a memory range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// `memory`: Secure RAM.
    Secure,
    /// `ns-memory`: Non-secure RAM.
    NonSecure,
    /// `device-memory`: Secure devices.
    SecureDevice,
    /// `ns-device-memory`: Non-secure devices.
    NonSecureDevice,
}

impl MemoryKind {
    const ALL: [Self; 4] = [Self::Secure, Self::NonSecure, Self::SecureDevice, Self::NonSecureDevice];

    const fn is_ram(self) -> bool {
        matches!(self, Self::Secure | Self::NonSecure)
    }

    /// Returns the `device_type` that names it.
    pub const fn device_type(self) -> &'static str {
        match self {
            Self::Secure => "memory",
            Self::NonSecure => "ns-memory",
            Self::SecureDevice => "device-memory",
            Self::NonSecureDevice => "ns-device-memory",
        }
    }
}

/// Holds one entry of a memory node's `reg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// What it is.
    pub kind: MemoryKind,
    /// Its first byte.
    pub base: Pa,
    /// Bytes; never 0, never past the end of the address space.
    pub size: u64,
}

impl MemoryRange {
    /// Returns the address after its last byte; `None` never happens for a range that was parsed.
    pub const fn end(&self) -> Option<u64> {
        self.base.0.checked_add(self.size)
    }
}

/// `#address-cells` and `#size-cells`.
#[derive(Clone, Copy)]
pub(crate) struct Cells {
    pub(crate) address: usize,
    pub(crate) size: usize,
}

table! {
    static CPUS = [ADDRESS_CELLS];
    static CPU = [Property::string("device_type"), Property::bytes("reg: the CPU's MPIDR")];
}

const WHOLE: &str = "whole entries, of #address-cells and #size-cells";

/// Reads the `cpus` node: at least one CPU, each once, in the order of the nodes.
#[inline(never)]
pub(crate) fn read_cpus(node: &Node<'_>, cpus: &mut ArrayVec<u64, MAX_CPUS>) -> Result<(), Refusal> {
    let mut room = node.room();
    let [cells, ..] = node.read_some(&CPUS, &mut room)?;
    let cells = cells.or(1) as usize;
    node.each_child(&mut |cpu| {
        let mut room = cpu.room();
        let [device_type, reg, ..] = cpu.read_some(&CPU, &mut room)?;
        // cpu-map, caches and idle states stand among the CPUs.
        if device_type.text() != "cpu" {
            return Ok(());
        }
        let mut entries = reg.entries(cells, WHOLE)?;
        while !entries.is_empty() {
            let mpidr = take_number(&mut entries, cells);
            if mpidr & !0xff_00ff_ffff != 0 {
                return Err(reg.wrong(mpidr, "affinity fields of an MPIDR: bits 39:32 and 23:0"));
            }
            if place_of(cpus, mpidr).is_some() {
                return Err(reg.wrong(mpidr, "an MPIDR that no other CPU has"));
            }
            let too_many = |_| node.too_many(MAX_CPUS);
            cpus.try_push(mpidr).map_err(too_many)?;
        }
        Ok(())
    })?;
    if cpus.is_empty() {
        return Err(node.missing("a node with device_type = \"cpu\" for each CPU"));
    }
    Ok(())
}

/// Finds a CPU by its MPIDR.
#[inline(never)]
pub(crate) fn place_of(cpus: &[u64], mpidr: u64) -> Option<usize> {
    cpus.iter().position(|&cpu| cpu == mpidr)
}

table! {
    static MEMORY = [Property::string("device_type"), Property::bytes("reg: addresses and sizes")];
}

/// Reads any other node of the root: a memory node by its `device_type`.
#[inline(never)]
pub(crate) fn read_memory(
    node: &Node<'_>,
    cells: Cells,
    out: &mut ArrayVec<MemoryRange, MAX_MEMORY_RANGES>,
    warn: &mut impl Warn,
) -> Result<(), Refusal> {
    let mut room = node.room();
    let [device_type, reg, ..] = node.read_some(&MEMORY, &mut room)?;
    let device_type = device_type.text();
    let Some(&kind) = MemoryKind::ALL.iter().find(|k| k.device_type() == device_type) else {
        // Something else that the platform describes.
        node.warn(warn, "", "is not known and has no effect");
        return Ok(());
    };
    let mut entries = reg.entries(cells.address.saturating_add(cells.size), WHOLE)?;
    while !entries.is_empty() {
        let base = take_number(&mut entries, cells.address);
        let size = take_number(&mut entries, cells.size);
        check_range(reg, kind, base, size, out)?;
        let range = MemoryRange { kind, base: Pa(base), size };
        out.try_push(range).map_err(|_| reg.too_many(MAX_MEMORY_RANGES))?;
    }
    Ok(())
}

fn check_range(
    reg: &Value<'_, '_>,
    kind: MemoryKind,
    base: u64,
    size: u64,
    others: &[MemoryRange],
) -> Result<(), Refusal> {
    if size == 0 || base.checked_add(size).is_none() {
        return Err(reg.wraps(base, size));
    }
    // Devices may be listed coarsely: a range of the other world's with a hole for one of this.
    if !kind.is_ram() {
        return Ok(());
    }
    if (base | size) % PAGE_SIZE != 0 {
        return Err(reg.misaligned(if base % PAGE_SIZE != 0 { base } else { size }));
    }
    let span = Span::new(base, size);
    for other in others {
        let taken = Span::new(other.base.0, other.size);
        if other.kind.is_ram() && other.kind != kind && span.meets(taken) {
            let cause = Cause::overlap(span, taken, other.kind.device_type());
            return Err(reg.refuse(cause, "a page belongs to one world"));
        }
    }
    Ok(())
}

/// A range of addresses.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Span {
    /// Makes one of a base and a number of bytes above 0, cut where the address space ends.
    pub(crate) const fn new(base: u64, size: u64) -> Self {
        Self { first: base, last: base.saturating_add(size.wrapping_sub(1)) }
    }

    /// Returns how many bytes it has.
    pub(crate) const fn size(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// Tells whether it has a byte in common with another.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Tells whether all of another lies in it.
    pub(crate) const fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}
