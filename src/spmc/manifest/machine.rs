// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs and memory in the SPMC manifest.

use arrayvec::ArrayVec;

use super::node::{Node, Value, Warn, read_properties};
use super::refusal::name;
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

/// `#address-cells` and `#size-cells`; 1 where absent, as Hafnium has it.
#[derive(Clone, Copy)]
pub(crate) struct Cells {
    pub(crate) address: usize,
    pub(crate) size: usize,
}

/// Reads `#address-cells` or `#size-cells`.
pub(crate) fn cell_count(v: &Value<'_, '_>) -> Result<usize, Refusal> {
    match v.u32()? {
        0 => Ok(0),
        1 => Ok(1),
        2 => Ok(2),
        // Three and more cells make no 64-bit address.
        n => Err(v.wrong(n.into(), "0, 1 or 2", "write addresses and sizes in at most two cells")),
    }
}

/// Reads the `cpus` node: at least one CPU, each once, in the order of the nodes.
pub(crate) fn read_cpus(node: &Node<'_, '_>) -> Result<ArrayVec<u64, MAX_CPUS>, Refusal> {
    let mut cells = 1;
    read_properties!(node, {
        "#address-cells" => |v| cells = cell_count(&v)?,
        else |_other| (),
    });
    let mut cpus = ArrayVec::new();
    for cpu in node.children() {
        let mut is_cpu = false;
        let mut reg = None;
        read_properties!(cpu, {
            "device_type" => |v| is_cpu = v.text()? == "cpu",
            "reg" => |v| reg = Some(v),
            else |_other| (),
        });
        // cpu-map, caches and idle states stand among the CPUs.
        if !is_cpu {
            continue;
        }
        let reg = reg.ok_or_else(|| cpu.at.missing("reg", "the CPU's MPIDR", "add reg with its affinity fields"))?;
        for (mpidr, _) in reg.pairs(cells, 0)? {
            if mpidr & !0xff_00ff_ffff != 0 {
                let fix = "write Aff3 in bits 39:32 and Aff2 to Aff0 in bits 23:0, nothing else";
                return Err(reg.wrong(mpidr, "affinity fields of an MPIDR", fix));
            }
            if cpus.contains(&mpidr) {
                return Err(reg.wrong(mpidr, "an MPIDR that no other CPU has", "name each CPU once"));
            }
            let cause = Cause::TooMany { limit: MAX_CPUS };
            cpus.try_push(mpidr).map_err(|_| node.at.refuse("", cause, "name the CPUs that run the Secure world"))?;
        }
    }
    if cpus.is_empty() {
        return Err(node.at.missing("", "a node with device_type = \"cpu\" for each CPU", "name the CPUs by MPIDR"));
    }
    Ok(cpus)
}

/// Reads any other node of the root: a memory node by its `device_type`.
pub(crate) fn read_memory(
    node: &Node<'_, '_>,
    cells: Cells,
    out: &mut ArrayVec<MemoryRange, MAX_MEMORY_RANGES>,
    warn: Warn<'_>,
) -> Result<(), Refusal> {
    let mut kind = None;
    let mut reg = None;
    read_properties!(node, {
        "device_type" => |v| kind = match v.text()? {
            "memory" => Some(MemoryKind::Secure),
            "ns-memory" => Some(MemoryKind::NonSecure),
            "device-memory" => Some(MemoryKind::SecureDevice),
            "ns-device-memory" => Some(MemoryKind::NonSecureDevice),
            // Something else that the platform describes.
            _ => None,
        },
        "reg" => |v| reg = Some(v),
        else |_other| (),
    });
    let Some(kind) = kind else {
        node.at.warn(warn, "", "is not known and has no effect");
        return Ok(());
    };
    let reg = reg.ok_or_else(|| node.at.missing("reg", "addresses and sizes", "add reg = <address size>"))?;
    for (base, size) in reg.pairs(cells.address, cells.size)? {
        check_range(&reg, kind, base, size, out)?;
        let cause = Cause::TooMany { limit: MAX_MEMORY_RANGES };
        let range = MemoryRange { kind, base: Pa(base), size };
        out.try_push(range).map_err(|_| reg.refuse(cause, "join ranges that touch"))?;
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
        let fix = "write an address and a size that end inside the address space";
        return Err(reg.refuse(Cause::Wraps { base, size }, fix));
    }
    let other_world = match kind {
        MemoryKind::Secure => MemoryKind::NonSecure,
        MemoryKind::NonSecure => MemoryKind::Secure,
        // Devices may be listed coarsely: a range of the other world's with a hole for one of this.
        MemoryKind::SecureDevice | MemoryKind::NonSecureDevice => return Ok(()),
    };
    for address in [base, size] {
        if address % PAGE_SIZE != 0 {
            return Err(reg.refuse(Cause::Misaligned { address }, "describe RAM in whole pages"));
        }
    }
    let overlap = others.iter().filter(|o| o.kind == other_world).find(|o| overlaps((base, size), (o.base.0, o.size)));
    match overlap {
        Some(o) => Err(reg.refuse(
            Cause::Overlaps {
                base,
                last: last(base, size),
                other: name(other_world.device_type()),
                other_base: o.base.0,
                other_last: last(o.base.0, o.size),
            },
            "a page of RAM belongs to one world: correct one of the two",
        )),
        None => Ok(()),
    }
}

/// Tells whether two ranges, each (base, size) with a size above 0, have a byte in common.
pub(crate) fn overlaps(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 <= last(b.0, b.1) && b.0 <= last(a.0, a.1)
}

/// Returns the last byte of a range.
pub(crate) fn last(base: u64, size: u64) -> u64 {
    base.saturating_add(size.saturating_sub(1))
}
