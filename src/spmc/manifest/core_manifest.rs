// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SPMC manifest (TF-A's "FF-A manifests binding", SPMC part, and the nodes that Hafnium adds to it).

use alloc::boxed::Box;

use arrayvec::ArrayVec;
use ffa_abi::{PartitionId, Version};

use super::machine::{Cells, Span, read_cpus, read_memory};
use super::node::{Node, Untold, Value, Warn};
use super::property::{Property, table};
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
    /// Makes one that says nothing.
    fn empty() -> Self {
        Self {
            attribute: Attribute {
                spmc_id: PartitionId(0),
                version: NEWEST,
                exec_state: ExecState::AArch64,
                load_address: None,
                entrypoint: None,
                binary_size: None,
            },
            partitions: ArrayVec::new(),
            quiet: false,
            cpus: ArrayVec::new(),
            memory: ArrayVec::new(),
            routing: RoutingPolicy::default(),
            hub: None,
        }
    }

    /// Reads the SPMC manifest, dropping its warnings. Fails with the first property that is wrong.
    pub fn parse(blob: &CheckedBlob<'_>) -> Result<Self, Refusal> {
        Self::parse_with(blob, &mut Untold)
    }

    /// Reads the SPMC manifest and tells what was tolerated in it.
    pub fn parse_with(blob: &CheckedBlob<'_>, warn: &mut impl Warn) -> Result<Self, Refusal> {
        let mut out = Self::empty();
        out.read(blob, warn)?;
        Ok(out)
    }

    /// Reads the SPMC manifest as [`Self::parse`] does, to where it stays: it is large. Nothing boots without one, so
    /// what is refused stays too.
    pub(crate) fn parse_in_place(blob: &CheckedBlob<'_>) -> Result<&'static mut Self, Refusal> {
        let out = Box::leak(Box::new(Self::empty()));
        out.read(blob, &mut Untold)?;
        Ok(out)
    }

    fn read(&mut self, blob: &CheckedBlob<'_>, warn: &mut impl Warn) -> Result<(), Refusal> {
        let root = &Node::root(blob, File::Spmc);
        let cells = read_root(root, warn)?;
        let mut nodes = [None; 5];
        // Every other node is judged by its device_type.
        root.sort_children(&NODES, &mut nodes, &mut |node| read_memory(node, cells, &mut self.memory, warn))?;
        let [attribute, hypervisor, cpus, policy, hub] = &nodes;
        let missing = match (attribute, hypervisor, cpus) {
            (None, ..) => "a node \"attribute\"; add attribute { spmc_id; maj_ver; min_ver; }",
            (_, None, _) => "a node \"hypervisor\"; add hypervisor { compatible = \"hafnium,hafnium\"; vm1 { ... }; }",
            (.., None) => "a node \"cpus\"; add cpus { ... } with a node for each CPU",
            (Some(attribute), Some(hypervisor), Some(cpus)) => {
                self.attribute.read(attribute, warn)?;
                self.read_hypervisor(hypervisor, warn)?;
                read_cpus(cpus, &mut self.cpus)?;
                self.read_policy(policy.as_ref(), hub.as_ref())?;
                if self.ranges(MemoryKind::Secure).next().is_some() {
                    return Ok(());
                }
                "a node with device_type = \"memory\": the partitions' Secure RAM"
            }
        };
        Err(root.missing(missing))
    }

    /// Reads the partitions, and whether the boot is to be quiet.
    fn read_hypervisor(&mut self, node: &Node<'_>, warn: &mut impl Warn) -> Result<(), Refusal> {
        let mut room = node.room();
        let [_, _, quiet, ..] = node.read(&HYPERVISOR, &mut room, warn)?;
        self.quiet = quiet.is_present();
        node.each_child(&mut |vm| PartitionEntry::add(vm, &mut self.partitions, warn))?;
        crate::boot::sort(&mut self.partitions, |p| p.number);
        // Numbers are unique and ascending, so the first that is not its place's marks the gap.
        for (p, place) in self.partitions.iter().zip(1u16..) {
            if p.number != place {
                let cause = Cause::Value { found: p.number.into() };
                let rule = "vm1, vm2, ... without a gap";
                return Err(node.refuse("the number of a vm node", cause, rule));
            }
        }
        Ok(())
    }

    /// Reads the one of the two nodes that there is.
    fn read_policy(&mut self, policy: Option<&Node<'_>>, hub: Option<&Node<'_>>) -> Result<(), Refusal> {
        let partitions = self.partitions.len();
        if let Some(node) = hub {
            let hub = self.hub.insert(HubPolicy::default());
            hub::read(node, partitions, hub)?;
            self.routing.default = RoutingDefault::Hub;
            self.routing.coordinator = hub.coordinator;
        }
        match policy {
            Some(node) if hub.is_some() => Err(node.refuse(
                "a name",
                Cause::Text { found: name(routing::NODE) },
                "one policy; remove it or the hub node",
            )),
            Some(node) => routing::read(node, partitions, &mut self.routing),
            None => Ok(()),
        }
    }

    /// Returns the ranges of one kind.
    pub fn ranges(&self, kind: MemoryKind) -> impl Iterator<Item = &MemoryRange> {
        self.memory.iter().filter(move |r| r.kind == kind)
    }

    /// Tells whether every byte of a range is in ranges of one kind; ranges that touch count as one.
    pub fn covers(&self, kind: MemoryKind, base: u64, size: u64) -> bool {
        let Some(end) = base.checked_add(size) else { return false };
        let mut at = base;
        while at < end {
            // The range that goes on from here.
            let range = self.memory.iter().find(|r| r.kind == kind && r.base.0 <= at && r.end() > Some(at));
            let Some(next) = range.and_then(MemoryRange::end) else { return false };
            at = next;
        }
        true
    }
}

impl PartitionEntry {
    /// Returns where its own memory lies.
    pub(crate) const fn span(&self) -> Span {
        Span::new(self.load_address.0, self.mem_size)
    }
}

/// The nodes in the root that are read, beside those of memory.
static NODES: [&str; 5] = ["attribute", "hypervisor", "cpus", routing::NODE, hub::NODE];

table! {
    static ROOT = [
        Property::compatible("compatible: arm,ffa-core-manifest-1.0"),
        ADDRESS_CELLS,
        Property::range("#size-cells: 0, 1 or 2", 0, 2),
        Property::bytes("interrupt-parent"),
    ];
}

/// Three and more cells make no 64-bit address.
pub(super) const ADDRESS_CELLS: Property = Property::range("#address-cells: 0, 1 or 2", 0, 2);

table! {
    static ATTRIBUTE = [
        Property::cell("spmc_id: 0x8000 to 0xfffe; write <0x8000>", 0x8000, 0xfffe).required(),
        Property::cell("maj_ver: 1", NEWEST.major, NEWEST.major as u32).required(),
        Property::cell(
            "min_ver: 0 to 2; the SPMD turns the Secure world off for a newer version than its own",
            0,
            NEWEST.minor as u32,
        )
        .required(),
        Property::cell("exec_state: 0 (AArch64)", 0, 0),
        Property::two_cells("load_address"),
        Property::two_cells("entrypoint"),
        Property::cell("binary_size", 0, u32::MAX),
    ];
}

fn read_root(root: &Node<'_>, warn: &mut impl Warn) -> Result<Cells, Refusal> {
    let mut room = root.room();
    let [_, address, size, ..] = root.read(&ROOT, &mut room, warn)?;
    // Where they are absent, as Hafnium has it.
    Ok(Cells { address: address.or(1) as usize, size: size.or(1) as usize })
}

impl Attribute {
    fn read(&mut self, node: &Node<'_>, warn: &mut impl Warn) -> Result<(), Refusal> {
        let mut room = node.room();
        let [spmc_id, major, minor, _, load, entrypoint, size, ..] = node.read(&ATTRIBUTE, &mut room, warn)?;
        if !Pa(load.number).is_page_aligned() {
            return Err(load.misaligned(load.number));
        }
        self.spmc_id = PartitionId(spmc_id.number as u16);
        self.version = Version::new(major.number as u16, minor.number as u16);
        self.load_address = load.get().map(Pa);
        self.entrypoint = entrypoint.get().map(Pa);
        self.binary_size = size.get().map(|n| n as u32);
        Ok(())
    }
}

table! {
    static HYPERVISOR = [
        Property::compatible("compatible: hafnium,hafnium"),
        Property::flag("ffa_tee_enabled"),
        Property::flag("quiet-boot"),
    ];
}

table! {
    static VM = [
        Property::flag("is_ffa_partition").required(),
        Property::string("debug_name: a name for the log").required(),
        Property::number("load_address: the address that TB_FW_CONFIG loads the package at").required(),
        Property::number("mem_size: at least one page, in bytes").required(),
        Property::range(
            "vcpu_count: 1, or the number of CPUs; as execution-ctx-count of its manifest",
            1,
            MAX_CPUS as u32,
        )
        .required(),
        Property::not_supported("hyp_loaded: remove it, BL2 loads packages"),
        Property::bytes("smc_whitelist"),
        Property::flag("smc_whitelist_permissive"),
    ];
}

impl PartitionEntry {
    /// Reads a node and adds what it says. The number of its name is below the capacity, and nobody else's.
    fn add(
        node: &Node<'_>,
        partitions: &mut ArrayVec<Self, MAX_PARTITIONS>,
        warn: &mut impl Warn,
    ) -> Result<(), Refusal> {
        let number = vm_number(node.name()).ok_or_else(|| {
            let cause = Cause::Text { found: name(node.name()) };
            node.refuse("the node's name", cause, "vm1 to vm16 (vm0 is reserved)")
        })?;
        let mut room = node.room();
        let [_, debug_name, load, size, vcpu_count, _, functions, permissive, ..] = node.read(&VM, &mut room, warn)?;
        if let Some(other) = partitions.iter().find(|p| p.number == number) {
            let cause = Cause::duplicate(number.into(), &other.name);
            return Err(node.refuse("", cause, "give each partition its own number"));
        }
        let entry = Self {
            number,
            name: Name::new(),
            load_address: Pa(load.number),
            mem_size: check_extent(load, size)?,
            vcpu_count: vcpu_count.number as u16,
            smcs: SmcAllowList::default(),
        };
        partitions.try_push(entry).map_err(|_| node.too_many(MAX_PARTITIONS))?;
        let Some(entry) = partitions.last_mut() else { return Ok(()) };
        entry.name = name(debug_name.text());
        entry.smcs.read(functions, permissive)
    }
}

/// Checks a partition's memory; returns its size rounded up to whole pages.
fn check_extent(load: &Value<'_, '_>, size: &Value<'_, '_>) -> Result<u64, Refusal> {
    if !Pa(load.number).is_page_aligned() {
        return Err(load.misaligned(load.number));
    }
    if size.number == 0 {
        return Err(size.out_of_rule(size.number));
    }
    match size.number.checked_next_multiple_of(PAGE_SIZE) {
        Some(rounded) if load.number.checked_add(rounded).is_some() => Ok(rounded),
        // Not even its end is an address.
        _ => Err(size.wraps(load.number, size.number)),
    }
}

/// Reads N of `vmN`: 1 to the capacity, without leading zeros.
pub(crate) fn vm_number(text: &str) -> Option<u16> {
    let mut number = 0;
    for digit in text.strip_prefix("vm")?.bytes() {
        number = number * 10 + u16::from(digit.checked_sub(b'0').filter(|&d| d <= 9)?);
        // A leading zero, or already too many.
        if number == 0 || usize::from(number) > MAX_PARTITIONS {
            return None;
        }
    }
    (number != 0).then_some(number)
}

impl SmcAllowList {
    /// Reads a `smc_whitelist` and a `smc_whitelist_permissive`.
    pub(crate) fn read(&mut self, functions: &Value<'_, '_>, permissive: &Value<'_, '_>) -> Result<(), Refusal> {
        self.permissive = permissive.is_present();
        for cell in functions.list(1, "a list of cells: a multiple of 4 bytes")? {
            let function = u32::from_be_bytes(*cell);
            if !may_be_forwarded(function) {
                return Err(functions.wrong(
                    function.into(),
                    "a fast call to CPU, SiP, OEM or architecture services or TRNG: others change who runs",
                ));
            }
            let too_many = |_| functions.too_many(MAX_SMCS);
            self.functions.try_push(function).map_err(too_many)?;
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
