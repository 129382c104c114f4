// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memory-regions`, `device-regions` and `rx_tx-info` of a partition manifest.

use arrayvec::ArrayVec;
use bitflags::bitflags;

use super::core_manifest::require_compatible;
use super::node::{At, Node, Value, Warn, read_properties};
use super::refusal::name;
use super::{Cause, Name, Refusal};
use crate::stage2::Access;
use crate::{PAGE_SIZE, Pa, Space};

/// Most memory regions of one partition.
pub const MAX_MEMORY_REGIONS: usize = 16;
/// Most device regions of one partition.
pub const MAX_DEVICE_REGIONS: usize = 8;
/// Most interrupts of one partition, over all its device regions.
pub const MAX_INTERRUPTS: usize = 32;

bitflags! {
    /// `attributes` of a memory or device region: R, RW or RX (a device never X), with or without NS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct RegionAttributes: u8 {
        /// Readable.
        const READ = 1 << 0;
        /// Writable.
        const WRITE = 1 << 1;
        /// Executable.
        const EXECUTE = 1 << 2;
        /// In the Non-secure physical address space.
        const NON_SECURE = 1 << 3;
    }
}

impl RegionAttributes {
    /// Returns the physical address space that they name.
    pub const fn space(self) -> Space {
        if self.contains(Self::NON_SECURE) { Space::NonSecure } else { Space::Secure }
    }

    /// Returns what they let the partition do.
    pub(crate) fn access(self) -> Access {
        let mut out = Access::empty();
        out.set(Access::READ, self.contains(Self::READ));
        out.set(Access::WRITE, self.contains(Self::WRITE));
        out.set(Access::EXECUTE, self.contains(Self::EXECUTE));
        out
    }
}

/// Holds one memory region. `base + pages` never passes the end of the address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// The node's name.
    pub name: Name,
    /// Its first page: physical, and the partition's IPA too.
    pub base: Pa,
    /// Never 0.
    pub pages: u32,
    /// How the partition sees it.
    pub attributes: RegionAttributes,
    /// It was given by `load-address-relative-offset`: a part of the partition's own memory, where it lies in it.
    pub relative: bool,
    /// `preserved-on-restart`: zero at the first start, and left as it is when the partition is restarted.
    pub preserved: bool,
}

/// Holds one device region. `base + pages` never passes the end of the address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRegion {
    /// The node's name.
    pub name: Name,
    /// Its first page.
    pub base: Pa,
    /// Never 0.
    pub pages: u32,
    /// How the partition sees it.
    pub attributes: RegionAttributes,
    /// No other partition may have it.
    pub exclusive: bool,
}

/// Holds one interrupt of a device region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Index of its region in the manifest's `device_regions`.
    pub region: u8,
    /// Its INTID.
    pub intid: u32,
    /// Bits 7:0.
    pub priority: u8,
    /// Bit 8.
    pub secure: bool,
    /// Bit 9: level-sensitive, else edge-triggered.
    pub level: bool,
    /// The MPIDR that it is routed to, by `interrupts-target`.
    pub target: Option<u64>,
}

/// Names the mailbox: indexes into the manifest's `memory_regions`, of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxTx {
    /// The partition's RX buffer.
    pub rx: usize,
    /// Its TX buffer.
    pub tx: usize,
}

impl MemoryRegion {
    /// Returns its size in bytes.
    pub const fn size(&self) -> u64 {
        self.pages as u64 * PAGE_SIZE
    }
}

impl DeviceRegion {
    /// Returns its size in bytes.
    pub const fn size(&self) -> u64 {
        self.pages as u64 * PAGE_SIZE
    }
}

/// The phandle of each memory region, as far as it has one.
pub(crate) type Phandles = ArrayVec<Option<u32>, MAX_MEMORY_REGIONS>;

/// What memory and device regions have in common.
#[derive(Default)]
struct Common<'n, 'a> {
    pages: Option<u32>,
    attributes: Option<Value<'n, 'a>>,
    base: Option<u64>,
}

impl Common<'_, '_> {
    /// Checks page count and attributes; a device is not executable.
    fn settle(&self, at: &At, device: bool, warn: Warn<'_>) -> Result<(u32, RegionAttributes), Refusal> {
        let pages = self.pages.ok_or_else(|| at.missing("pages-count", "a number of pages", "add it"))?;
        if pages == 0 {
            let cause = Cause::Value { found: 0, expected: "at least 1" };
            return Err(at.refuse("pages-count", cause, "write how many pages it has, or remove the node"));
        }
        let v = self.attributes.as_ref();
        let v = v.ok_or_else(|| at.missing("attributes", "R 1, W 2, X 4, NS 8", "add what the partition may do"))?;
        let bits = v.u32()?;
        let known = RegionAttributes::from_bits_truncate((bits & 0xff) as u8);
        if u32::from(known.bits()) != bits {
            at.warn(warn, "attributes", "has bits beyond R 1, W 2, X 4 and NS 8: no effect");
        }
        let access = known.difference(RegionAttributes::NON_SECURE);
        let read_write = access == RegionAttributes::READ || access == RegionAttributes::READ | RegionAttributes::WRITE;
        let read_execute = access == RegionAttributes::READ | RegionAttributes::EXECUTE;
        match (device, read_write || (read_execute && !device)) {
            (_, true) => Ok((pages, known)),
            (true, false) => Err(v.wrong(bits.into(), "1 (R) or 3 (RW), and 8 for Non-secure", "a device is R or RW")),
            (false, false) => Err(v.wrong(
                bits.into(),
                "1 (R), 3 (RW) or 5 (RX), and 8 for Non-secure",
                "no memory is both writable and executable: split the region",
            )),
        }
    }
}

/// Checks that a region starts on a page and ends inside the address space.
fn check_base(at: &At, property: &'static str, base: u64, pages: u32) -> Result<Pa, Refusal> {
    if !Pa(base).is_page_aligned() {
        return Err(at.refuse(property, Cause::Misaligned { address: base }, "write an address on a page boundary"));
    }
    let size = u64::from(pages).saturating_mul(PAGE_SIZE);
    match base.checked_add(size) {
        Some(_) => Ok(Pa(base)),
        None => Err(at.refuse(property, Cause::Wraps { base, size }, "write fewer pages or a lower address")),
    }
}

fn no_dma<T>(v: &Value<'_, '_>) -> Result<T, Refusal> {
    Err(v.refuse(Cause::NotSupported, "remove it: there is no SMMU support, so the device must not do DMA"))
}

fn check_list_node(node: &Node<'_, '_>, wanted: &'static str, expected: &'static str) -> Result<(), Refusal> {
    let mut compatible = false;
    read_properties!(node, {
        "compatible" => |v| {
            compatible = true;
            require_compatible(&v, wanted, expected)?;
        },
        else |_other| (),
    });
    if !compatible {
        return Err(node.at.missing("compatible", expected, "add it"));
    }
    if node.children().next().is_none() {
        return Err(node.at.missing("", "at least one region node in it", "add a region, or remove the node"));
    }
    Ok(())
}

/// Reads `memory-regions`.
pub(crate) fn read_memory(
    node: &Node<'_, '_>,
    load_address: Pa,
    phandles: &mut Phandles,
    warn: Warn<'_>,
) -> Result<ArrayVec<MemoryRegion, MAX_MEMORY_REGIONS>, Refusal> {
    check_list_node(node, "arm,ffa-manifest-memory-regions", "\"arm,ffa-manifest-memory-regions\"")?;
    let mut regions = ArrayVec::new();
    for child in node.children() {
        let (mut common, mut offset, mut phandle, mut preserved) = (Common::default(), None, None, false);
        read_properties!(child, {
            "description" => |v| { v.text()?; },
            "pages-count" => |v| common.pages = Some(v.u32()?),
            "attributes" => |v| common.attributes = Some(v),
            "base-address" => |v| common.base = Some(v.number()?),
            "load-address-relative-offset" => |v| offset = Some(v.number()?),
            "phandle" => |v| phandle = Some(v.u32()?),
            "linux,phandle" => |v| phandle = Some(v.u32()?),
            "preserved-on-restart" => |v| preserved = v.flag()?,
            "smmu-id" => |v| no_dma(&v)?,
            "stream-ids" => |v| no_dma(&v)?,
            "stream-ids-access-permissions" => |v| no_dma(&v)?,
            else |other| child.at.warn(warn, other, "is not known and has no effect"),
        });
        let (pages, attributes) = common.settle(&child.at, false, warn)?;
        if preserved && attributes != RegionAttributes::READ | RegionAttributes::WRITE {
            let cause = Cause::Conflict { with: "attributes" };
            return Err(child.at.refuse("preserved-on-restart", cause, "only what is kept in it: attributes = <3>"));
        }
        let base = memory_base(&child.at, common.base, offset, load_address, pages)?;
        let name = name(child.name());
        let region = MemoryRegion { name, base, pages, attributes, relative: offset.is_some(), preserved };
        let cause = Cause::TooMany { limit: MAX_MEMORY_REGIONS };
        regions.try_push(region).map_err(|_| node.at.refuse("", cause, "join regions that touch"))?;
        // As long as `regions`, and so never full before it.
        let _ = phandles.try_push(phandle);
    }
    Ok(regions)
}

fn memory_base(at: &At, base: Option<u64>, offset: Option<u64>, load: Pa, pages: u32) -> Result<Pa, Refusal> {
    match (base, offset) {
        (Some(base), None) => check_base(at, "base-address", base, pages),
        (None, Some(offset)) => {
            let property = "load-address-relative-offset";
            let cause = Cause::Wraps { base: load.0, size: offset };
            let sum = load.checked_add(offset).ok_or_else(|| at.refuse(property, cause, "write a smaller offset"))?;
            check_base(at, property, sum.0, pages)
        }
        (Some(_), Some(_)) => {
            let cause = Cause::Conflict { with: "load-address-relative-offset" };
            Err(at.refuse("base-address", cause, "keep one of the two"))
        }
        (None, None) => Err(at.missing(
            "base-address",
            "an address, or load-address-relative-offset instead",
            "say where the region is: the SPMC does not choose an address",
        )),
    }
}

/// Reads `device-regions`.
pub(crate) fn read_devices(
    node: &Node<'_, '_>,
    regions: &mut ArrayVec<DeviceRegion, MAX_DEVICE_REGIONS>,
    interrupts: &mut ArrayVec<Interrupt, MAX_INTERRUPTS>,
    warn: Warn<'_>,
) -> Result<(), Refusal> {
    check_list_node(node, "arm,ffa-manifest-device-regions", "\"arm,ffa-manifest-device-regions\"")?;
    for child in node.children() {
        let (mut common, mut exclusive) = (Common::default(), false);
        let (mut lines, mut targets) = (None, None);
        read_properties!(child, {
            "description" => |v| { v.text()?; },
            "pages-count" => |v| common.pages = Some(v.u32()?),
            "attributes" => |v| common.attributes = Some(v),
            "base-address" => |v| common.base = Some(v.number()?),
            "interrupts" => |v| lines = Some(v),
            "interrupts-target" => |v| targets = Some(v),
            "exclusive-access" => |v| exclusive = v.flag()?,
            "phandle" => |_v| {},
            "linux,phandle" => |_v| {},
            "smmu-id" => |v| no_dma(&v)?,
            "stream-ids" => |v| no_dma(&v)?,
            else |other| child.at.warn(warn, other, "is not known and has no effect"),
        });
        let (pages, attributes) = common.settle(&child.at, true, warn)?;
        let base = common.base.ok_or_else(|| child.at.missing("base-address", "an address", "add it"))?;
        let base = check_base(&child.at, "base-address", base, pages)?;
        let region = DeviceRegion { name: name(child.name()), base, pages, attributes, exclusive };
        // At most MAX_DEVICE_REGIONS before this one, else the push below has refused already.
        let index = regions.len() as u8;
        let cause = Cause::TooMany { limit: MAX_DEVICE_REGIONS };
        regions.try_push(region).map_err(|_| node.at.refuse("", cause, "give the devices to more partitions"))?;
        if let Some(lines) = lines {
            read_interrupts(&lines, index, interrupts)?;
        }
        if let Some(targets) = targets {
            read_targets(&targets, index, interrupts)?;
        }
    }
    Ok(())
}

fn read_interrupts(
    v: &Value<'_, '_>,
    region: u8,
    interrupts: &mut ArrayVec<Interrupt, MAX_INTERRUPTS>,
) -> Result<(), Refusal> {
    let mut cells = v.list()?;
    if cells.len() % 2 != 0 {
        let cause = Cause::Length { bytes: v.bytes.len(), expected: "pairs of cells: id and attributes" };
        return Err(v.refuse(cause, "write <id attributes> for each interrupt"));
    }
    while let (Some(intid), Some(attributes)) = (cells.next(), cells.next()) {
        check_intid(v, intid)?;
        if interrupts.iter().any(|i| i.intid == intid) {
            let cause = Cause::Duplicate { value: intid.into(), other: name("this partition") };
            return Err(v.refuse(cause, "name each interrupt once"));
        }
        let interrupt = Interrupt {
            region,
            intid,
            priority: (attributes & 0xff) as u8,
            secure: attributes & 1 << 8 != 0,
            level: attributes & 1 << 9 != 0,
            target: None,
        };
        let cause = Cause::TooMany { limit: MAX_INTERRUPTS };
        interrupts.try_push(interrupt).map_err(|_| v.refuse(cause, "give the devices to more partitions"))?;
    }
    Ok(())
}

/// SGIs 0-7 are the Normal world's, SGI 8 becomes the schedule-receiver interrupt, SGI 9 wakes other CPUs (GICv3 has
/// INTIDs as below).
fn check_intid(v: &Value<'_, '_>, intid: u32) -> Result<(), Refusal> {
    match intid {
        20 => Err(v.wrong(intid.into(), "another PPI", "20 is the Secure EL2 timer's, which the SPMC keeps")),
        10..=1019 => Ok(()),
        1056..=1119 | 4096..=5119 => Err(v.wrong(
            intid.into(),
            "an INTID of 10 to 1019",
            "extended PPIs and SPIs are not supported: wire the device to an interrupt below 1020",
        )),
        0..=9 => {
            Err(v.wrong(intid.into(), "an SGI of 10 to 15", "0 to 7 are the Normal world's, 8 and 9 the SPMC's own"))
        }
        // Special INTIDs, reserved ranges, LPIs.
        _ => Err(v.wrong(
            intid.into(),
            "an INTID of 10 to 1019",
            "write the GIC's INTID: for SPI n of a device tree that is n + 32, for PPI n it is n + 16",
        )),
    }
}

fn read_targets(v: &Value<'_, '_>, region: u8, interrupts: &mut [Interrupt]) -> Result<(), Refusal> {
    let mut cells = v.list()?;
    if cells.len() % 3 != 0 {
        let cause = Cause::Length { bytes: v.bytes.len(), expected: "triples of cells" };
        return Err(v.refuse(cause, "write <id mpidr-high mpidr-low> for each interrupt"));
    }
    while let (Some(intid), Some(high), Some(low)) = (cells.next(), cells.next(), cells.next()) {
        let interrupt = interrupts.iter_mut().find(|i| i.region == region && i.intid == intid);
        let interrupt = interrupt.ok_or_else(|| {
            v.wrong(intid.into(), "an id of this node's interrupts", "list it in interrupts, or remove its target")
        })?;
        interrupt.target = Some(u64::from(high) << 32 | u64::from(low));
    }
    Ok(())
}

/// Reads `rx_tx-info`.
pub(crate) fn read_mailbox(
    node: &Node<'_, '_>,
    regions: &[MemoryRegion],
    phandles: &Phandles,
    warn: Warn<'_>,
) -> Result<RxTx, Refusal> {
    let (mut compatible, mut rx, mut tx) = (false, None, None);
    read_properties!(node, {
        "compatible" => |v| {
            compatible = true;
            require_compatible(&v, "arm,ffa-manifest-rx_tx-buffer", "\"arm,ffa-manifest-rx_tx-buffer\"")?;
        },
        "rx-buffer" => |v| rx = Some(buffer(&v, phandles)?),
        "tx-buffer" => |v| tx = Some(buffer(&v, phandles)?),
        else |other| node.at.warn(warn, other, "is not known and has no effect"),
    });
    let at = &node.at;
    if !compatible {
        return Err(at.missing("compatible", "\"arm,ffa-manifest-rx_tx-buffer\"", "add it"));
    }
    let rx = rx.ok_or_else(|| at.missing("rx-buffer", "a phandle of a memory region", "add rx-buffer = <&rx>"))?;
    let tx = tx.ok_or_else(|| at.missing("tx-buffer", "a phandle of a memory region", "add tx-buffer = <&tx>"))?;
    if rx == tx {
        let cause = Cause::Conflict { with: "rx-buffer" };
        return Err(at.refuse("tx-buffer", cause, "name two regions"));
    }
    let pages = |i: usize| regions.get(i).map_or(0, |r| r.pages);
    if pages(rx) != pages(tx) {
        let cause = Cause::Value { found: pages(tx).into(), expected: "as many pages as rx-buffer" };
        return Err(at.refuse("tx-buffer", cause, "make both regions the same size"));
    }
    Ok(RxTx { rx, tx })
}

fn buffer(v: &Value<'_, '_>, phandles: &Phandles) -> Result<usize, Refusal> {
    let phandle = v.u32()?;
    phandles.iter().position(|&p| p == Some(phandle)).ok_or_else(|| {
        v.wrong(phandle.into(), "the phandle of a node in memory-regions", "label the region and write <&label>")
    })
}
