// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SPMC manifest (TF-A's "FF-A manifests binding", SPMC part, and the nodes that Hafnium adds to it).

use arrayvec::ArrayVec;
use ffa_abi::{PartitionId, Version};

use super::machine::{Cells, cell_count, read_cpus, read_memory};
use super::node::{At, Node, Value, Warn, read_properties};
use super::refusal::name;
use super::{
    Cause, CheckedBlob, File, HubPolicy, MAX_CPUS, MAX_MEMORY_RANGES, MAX_SMCS, MemoryKind, MemoryRange, Name, Refusal,
    RoutingDefault, RoutingPolicy, SmcAllowList, hub, routing,
};
use crate::{PAGE_SIZE, Pa};

/// Most `vmN` nodes.
pub const MAX_PARTITIONS: usize = 16;

/// Holds what the SPMC manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreManifest {
    /// The SPMC itself, as the SPMD reads it too.
    pub attribute: Attribute,
    /// The partitions, `vm1` first: entry n is `vm(n + 1)` and has the identifier 0x8001 + n if its own manifest
    /// names none.
    pub partitions: ArrayVec<PartitionEntry, MAX_PARTITIONS>,
    /// `quiet-boot`: what goes well while it boots is not told on the console, and packages are not hashed for that.
    pub quiet: bool,
    /// MPIDR affinity (Aff3 in bits 39:32, Aff2-Aff0 in 23:0) of each CPU, in the order of the nodes. Never empty.
    pub cpus: ArrayVec<u64, MAX_CPUS>,
    /// What the memory nodes name, in the order of the nodes.
    pub memory: ArrayVec<MemoryRange, MAX_MEMORY_RANGES>,
    /// Who may talk to whom; open where the manifest says nothing.
    pub routing: RoutingPolicy,
    /// Supervised messaging, where the manifest turns it on; [`Self::routing`] is its policy then.
    pub hub: Option<HubPolicy>,
}

/// Holds the `attribute` node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The SPMC's endpoint identifier; bit 15 set.
    pub spmc_id: PartitionId,
    /// The FF-A version announced to the SPMD.
    pub version: Version,
    /// `exec_state`, AArch64 where absent.
    pub exec_state: ExecState,
    /// Where the SPMC's image is.
    pub load_address: Option<Pa>,
    /// Where it is entered.
    pub entrypoint: Option<Pa>,
    /// Bytes from `load_address` in which the SPMD accepts a secondary entry point.
    pub binary_size: Option<u32>,
}

/// Names an execution state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecState {
    /// The only one supported.
    AArch64,
}

/// Holds one `vmN` node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionEntry {
    /// N.
    pub number: u16,
    /// `debug_name`.
    pub name: Name,
    /// Where the package lies; page-aligned.
    pub load_address: Pa,
    /// Bytes of memory from `load_address` on; a multiple of the page size, never past the address space's end.
    pub mem_size: u64,
    /// How many execution contexts the platform grants; the partition's manifest must say the same or 1.
    pub vcpu_count: u16,
    /// SMCs that are not FF-A and that it may make.
    pub smcs: SmcAllowList,
}

/// The newest version that a manifest may announce: what the SPMC implements, and the SPMD of TF-A 2.12 accepts.
const NEWEST: Version = Version::V1_2;

impl CoreManifest {
    /// Reads the SPMC manifest, dropping its warnings. Fails with the first property that is wrong.
    pub fn parse(blob: &CheckedBlob<'_>) -> Result<Self, Refusal> {
        Self::parse_with(blob, &mut |_| ())
    }

    /// Reads the SPMC manifest and tells what was tolerated in it.
    pub fn parse_with(blob: &CheckedBlob<'_>, warn: Warn<'_>) -> Result<Self, Refusal> {
        let root = Node::root(blob, File::Spmc)?;
        let cells = read_root(&root, warn)?;
        let mut attribute = None;
        let mut partitions = None;
        let mut quiet = false;
        let mut cpus = None;
        let mut memory = ArrayVec::new();
        let mut policy = None;
        let mut hub_node = None;
        for node in root.children() {
            match node.name() {
                "attribute" => attribute = Some(Attribute::read(&node, warn)?),
                "hypervisor" => partitions = Some(read_hypervisor(&node, &mut quiet, warn)?),
                "cpus" => cpus = Some(read_cpus(&node)?),
                routing::NODE => policy = Some(node),
                hub::NODE => hub_node = Some(node),
                // Every other node is judged by its device_type.
                _ => read_memory(&node, cells, &mut memory, warn)?,
            }
        }
        let at = &root.at;
        let attribute = attribute.ok_or_else(|| {
            at.missing("", "a node \"attribute\"", "add attribute { spmc_id; maj_ver; min_ver; } as the SPMD reads it")
        })?;
        let partitions = partitions.ok_or_else(|| {
            at.missing("", "a node \"hypervisor\"", "add hypervisor { compatible = \"hafnium,hafnium\"; vm1 { ... }; }")
        })?;
        let cpus = cpus.ok_or_else(|| {
            at.missing("", "a node \"cpus\"", "add cpus { ... } with a node for each CPU: its reg is its MPIDR")
        })?;
        if !memory.iter().any(|r: &MemoryRange| r.kind == MemoryKind::Secure) {
            return Err(at.missing(
                "",
                "a node with device_type = \"memory\"",
                "add memory nodes for the Secure RAM that the partitions lie in",
            ));
        }
        let hub = hub_node.map(|node| hub::read(&node, partitions.len())).transpose()?;
        let routing = match (policy, hub) {
            (Some(node), None) => routing::read(&node, partitions.len())?,
            (None, Some(hub)) => {
                RoutingPolicy { default: RoutingDefault::Hub, coordinator: hub.coordinator, ..RoutingPolicy::default() }
            }
            (None, None) => RoutingPolicy::default(),
            (Some(node), Some(_)) => {
                let cause = Cause::Text { found: super::name(routing::NODE), expected: "one policy" };
                return Err(node.at.refuse("a name", cause, "remove it or the hub node, which is a policy by itself"));
            }
        };
        Ok(Self { attribute, partitions, quiet, cpus, memory, routing, hub })
    }

    /// Returns the ranges of one kind.
    pub fn ranges(&self, kind: MemoryKind) -> impl Iterator<Item = &MemoryRange> {
        self.memory.iter().filter(move |r| r.kind == kind)
    }

    /// Tells whether every byte of a range is in ranges of one kind; ranges that touch count as one.
    pub fn covers(&self, kind: MemoryKind, base: u64, size: u64) -> bool {
        let Some(end) = base.checked_add(size) else { return false };
        let mut at = base;
        // Each round moves `at` to the end of a range, so no range is used twice.
        while at < end {
            let next = self.ranges(kind).filter(|r| r.base.0 <= at).filter_map(MemoryRange::end).max();
            match next {
                Some(next) if next > at => at = next,
                // No range goes on from here.
                _ => return false,
            }
        }
        true
    }
}

fn read_root(root: &Node<'_, '_>, warn: Warn<'_>) -> Result<Cells, Refusal> {
    let mut cells = Cells { address: 1, size: 1 };
    let mut compatible = false;
    read_properties!(root, {
        "compatible" => |v| {
            compatible = true;
            require_compatible(&v, "arm,ffa-core-manifest-1.0", "\"arm,ffa-core-manifest-1.0\"")?;
        },
        "#address-cells" => |v| cells.address = cell_count(&v)?,
        "#size-cells" => |v| cells.size = cell_count(&v)?,
        "interrupt-parent" => |_v| {},
        else |other| root.at.warn(warn, other, "is not known and has no effect"),
    });
    if !compatible {
        return Err(root.at.missing("compatible", "\"arm,ffa-core-manifest-1.0\"", "add it: the SPMD looks for it"));
    }
    Ok(cells)
}

/// Requires that a `compatible` list names `wanted`.
pub(crate) fn require_compatible(
    v: &Value<'_, '_>,
    wanted: &'static str,
    expected: &'static str,
) -> Result<(), Refusal> {
    let mut texts = v.texts()?;
    if texts.clone().any(|t| t == wanted) {
        return Ok(());
    }
    let found = name(texts.next().unwrap_or(""));
    Err(v.refuse(Cause::Text { found, expected }, "name the binding that this file is written in"))
}

impl Attribute {
    fn read(node: &Node<'_, '_>, warn: Warn<'_>) -> Result<Self, Refusal> {
        let (mut id, mut major, mut minor) = (None, None, None);
        let (mut load_address, mut entrypoint, mut binary_size) = (None, None, None);
        read_properties!(node, {
            "spmc_id" => |v| id = Some(spmc_id(&v)?),
            "maj_ver" => |v| major = Some(version_part(&v, "1", NEWEST.major, NEWEST.major)?),
            "min_ver" => |v| minor = Some(version_part(&v, "0 to 2", 0, NEWEST.minor)?),
            "exec_state" => |v| match v.one_cell()? {
                0 => (),
                // 1 is AArch32, the rest mean nothing.
                n => return Err(v.wrong(n.into(), "0 (AArch64)", "the SPMC runs in AArch64 only")),
            },
            "load_address" => |v| load_address = Some(two_cells(&v, warn)?),
            "entrypoint" => |v| entrypoint = Some(two_cells(&v, warn)?),
            "binary_size" => |v| binary_size = Some(v.one_cell()?),
            else |other| node.at.warn(warn, other, "is not known and has no effect"),
        });
        let at = &node.at;
        let spmc_id = id.ok_or_else(|| at.missing("spmc_id", "one cell with bit 15 set", "add spmc_id = <0x8000>"))?;
        let major = major.ok_or_else(|| at.missing("maj_ver", "one cell", "add maj_ver = <1>"))?;
        let minor = minor.ok_or_else(|| at.missing("min_ver", "one cell", "add min_ver = <1> or <2>"))?;
        if let Some(address) = load_address.filter(|a: &Pa| !a.is_page_aligned()) {
            return Err(at.refuse(
                "load_address",
                Cause::Misaligned { address: address.0 },
                "write the address that the SPMC is linked and loaded at",
            ));
        }
        let version = Version::new(major, minor);
        Ok(Self { spmc_id, version, exec_state: ExecState::AArch64, load_address, entrypoint, binary_size })
    }
}

fn spmc_id(v: &Value<'_, '_>) -> Result<PartitionId, Refusal> {
    match v.one_cell()? {
        n @ 0x8000..=0xfffe => Ok(PartitionId(n as u16)),
        // The Normal world's half, the SPMD's own, or no 16-bit number.
        n => Err(v.wrong(n.into(), "0x8000 to 0xfffe: bit 15 set, and 0xffff is the SPMD's", "write <0x8000>")),
    }
}

fn version_part(v: &Value<'_, '_>, expected: &'static str, least: u16, most: u16) -> Result<u16, Refusal> {
    let n = v.one_cell()?;
    let fix = "the SPMD turns the Secure world off for a newer version than its own (1.2 in TF-A 2.12)";
    u16::try_from(n).ok().filter(|n| (least..=most).contains(n)).ok_or_else(|| v.wrong(n.into(), expected, fix))
}

fn two_cells(v: &Value<'_, '_>, warn: Warn<'_>) -> Result<Pa, Refusal> {
    if v.bytes.len() == 4 {
        v.at.warn(warn, v.property, "has one cell; the SPMD reads two and ignores it: write <0x0 0x...>");
    }
    Ok(Pa(v.number()?))
}

fn read_hypervisor(
    node: &Node<'_, '_>,
    quiet: &mut bool,
    warn: Warn<'_>,
) -> Result<ArrayVec<PartitionEntry, MAX_PARTITIONS>, Refusal> {
    let mut compatible = false;
    read_properties!(node, {
        "compatible" => |v| {
            compatible = true;
            require_compatible(&v, "hafnium,hafnium", "\"hafnium,hafnium\"")?;
        },
        "ffa_tee_enabled" => |v| { v.flag()?; },
        "quiet-boot" => |v| *quiet = v.flag()?,
        else |other| node.at.warn(warn, other, "is not known and has no effect"),
    });
    if !compatible {
        return Err(node.at.missing("compatible", "\"hafnium,hafnium\"", "add it to say how its nodes are written"));
    }
    let mut partitions: ArrayVec<PartitionEntry, MAX_PARTITIONS> = ArrayVec::new();
    for vm in node.children() {
        let entry = PartitionEntry::read(&vm, warn)?;
        if let Some(other) = partitions.iter().find(|p| p.number == entry.number) {
            let cause = Cause::Duplicate { value: entry.number.into(), other: other.name };
            return Err(vm.at.refuse("", cause, "give each partition its own number"));
        }
        let limit = Cause::TooMany { limit: MAX_PARTITIONS };
        partitions.try_push(entry).map_err(|_| node.at.refuse("", limit, "remove partitions"))?;
    }
    crate::boot::sort(&mut partitions, |p| p.number);
    // Numbers are unique and ascending, so the first that is not its place's marks the gap.
    if let Some((_, p)) = partitions.iter().enumerate().find(|(i, p)| usize::from(p.number) != i.saturating_add(1)) {
        let cause = Cause::Value { found: p.number.into(), expected: "vm1, vm2, ... without a gap" };
        return Err(node.at.refuse("the number of a vm node", cause, "number the vm nodes from 1 on"));
    }
    Ok(partitions)
}

impl PartitionEntry {
    fn read(node: &Node<'_, '_>, warn: Warn<'_>) -> Result<Self, Refusal> {
        let number = vm_number(node.name()).ok_or_else(|| {
            let cause = Cause::Text { found: name(node.name()), expected: "vm1 to vm16" };
            node.at.refuse("the node's name", cause, "name partitions vm1, vm2, ... (vm0 is reserved)")
        })?;
        let (mut is_ffa, mut debug_name, mut load_address) = (false, None, None);
        let (mut vcpu_count, mut mem_size, mut smcs) = (None, None, SmcAllowList::default());
        read_properties!(node, {
            "is_ffa_partition" => |v| is_ffa = v.flag()?,
            "hyp_loaded" => |v| {
                return Err(v.refuse(Cause::NotSupported, "remove it: partitions are loaded by BL2 as packages"));
            },
            "debug_name" => |v| debug_name = Some(name(v.text()?)),
            "load_address" => |v| load_address = Some(v.number()?),
            "vcpu_count" => |v| vcpu_count = Some(v.u16()?),
            "mem_size" => |v| mem_size = Some(v.number()?),
            "smc_whitelist" => |v| smcs.read(&v)?,
            "smc_whitelist_permissive" => |v| smcs.permissive = v.flag()?,
            else |other| node.at.warn(warn, other, "is not known and has no effect"),
        });
        let at = &node.at;
        if !is_ffa {
            let fix = "add is_ffa_partition: the SPMC runs FF-A partitions only";
            return Err(at.missing("is_ffa_partition", "an empty property", fix));
        }
        let name = debug_name.ok_or_else(|| at.missing("debug_name", "a string", "add a name for the log"))?;
        let load = load_address.ok_or_else(|| {
            at.missing("load_address", "an address", "add the address that TB_FW_CONFIG loads the package at")
        })?;
        let size = mem_size.ok_or_else(|| at.missing("mem_size", "a size in bytes", "add the memory it may use"))?;
        let vcpu_count = vcpu_count
            .ok_or_else(|| at.missing("vcpu_count", "a number", "add the execution-ctx-count of its manifest"))?;
        let mem_size = check_extent(at, load, size)?;
        if vcpu_count == 0 || usize::from(vcpu_count) > MAX_CPUS {
            let cause = Cause::Value { found: vcpu_count.into(), expected: "1, or the number of CPUs (at most 8)" };
            return Err(at.refuse("vcpu_count", cause, "write the execution-ctx-count of its manifest"));
        }
        Ok(Self { number, name, load_address: Pa(load), mem_size, vcpu_count, smcs })
    }
}

/// Checks a partition's memory; returns its size rounded up to whole pages.
fn check_extent(at: &At, load: u64, size: u64) -> Result<u64, Refusal> {
    if !Pa(load).is_page_aligned() {
        let fix = "load packages on a page boundary";
        return Err(at.refuse("load_address", Cause::Misaligned { address: load }, fix));
    }
    if size == 0 {
        let cause = Cause::Value { found: 0, expected: "at least one page" };
        return Err(at.refuse("mem_size", cause, "write the memory that it may use"));
    }
    let wraps = || at.refuse("mem_size", Cause::Wraps { base: load, size }, "write a smaller size");
    let rounded = size.checked_next_multiple_of(PAGE_SIZE).ok_or_else(wraps)?;
    load.checked_add(rounded).ok_or_else(wraps)?;
    Ok(rounded)
}

/// Reads N of `vmN`: 1 to the capacity, without leading zeros.
pub(crate) fn vm_number(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("vm")?;
    if digits.starts_with(['0', '+']) {
        return None;
    }
    let n: u16 = digits.parse().ok()?;
    (1..=MAX_PARTITIONS).contains(&usize::from(n)).then_some(n)
}

impl SmcAllowList {
    /// Adds the function identifiers of a `smc_whitelist`.
    pub(crate) fn read(&mut self, v: &Value<'_, '_>) -> Result<(), Refusal> {
        for function in v.list()? {
            if !may_be_forwarded(function) {
                let expected = "a fast call to CPU, SiP or OEM services, to the architecture's, or to TRNG";
                let fix = "FF-A, PSCI, SDEI and trusted OS calls are never passed on: they change who runs";
                return Err(v.wrong(function.into(), expected, fix));
            }
            let cause = Cause::TooMany { limit: MAX_SMCS };
            self.functions.try_push(function).map_err(|_| v.refuse(cause, "name fewer function identifiers"))?;
        }
        Ok(())
    }
}

/// Tells whether EL3 may be asked for a function (DEN0028, "SMC Function Identifiers"): one that returns to its caller and
/// changes neither who runs nor who is interrupted.
const fn may_be_forwarded(function: u32) -> bool {
    const FAST: u32 = 1 << 31;
    const RESERVED: u32 = 0x00ff_0000;
    let (owner, number) = (function >> 24 & 0x3f, function & 0xffff);
    let service = match owner {
        // Arm architecture, CPU, SiP, OEM.
        0..=3 => true,
        // Of the standard secure services only TRNG (DEN0098).
        4 => matches!(number, 0x50..=0x5f),
        // Hypervisor services, trusted applications and OSs.
        _ => false,
    };
    function & FAST != 0 && function & RESERVED == 0 && service
}
