// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memory-regions`, `device-regions` and `rx_tx-info` of a partition manifest.

use arrayvec::ArrayVec;
use bitflags::bitflags;

use super::machine::Span;
use super::node::{Node, Room, Value, Warn};
use super::property::{Property, table};
use super::refusal::name;
use super::{Cause, MemoryKind, Name, Refusal};
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

/// Holds one memory or device region. `base + pages` never passes the end of the address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The node's name.
    pub name: Name,
    /// Its first page: physical, and the partition's IPA too.
    pub base: Pa,
    /// Never 0.
    pub pages: u32,
    /// How the partition sees it.
    pub attributes: RegionAttributes,
    /// It is in `device-regions`.
    pub device: bool,
    /// It was given by `load-address-relative-offset`: a part of the partition's own memory, where it lies in it.
    pub relative: bool,
    /// `preserved-on-restart`: zero at the first start, and left as it is when the partition is restarted.
    pub preserved: bool,
    /// `exclusive-access`: no other partition may have the device.
    pub exclusive: bool,
    /// `phandle` of a memory region: what `rx_tx-info` may name it by.
    pub phandle: Option<u32>,
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

impl Region {
    /// Makes one to be read.
    fn unread(device: bool) -> Self {
        Self {
            name: Name::new(),
            base: Pa(0),
            pages: 0,
            attributes: RegionAttributes::empty(),
            device,
            relative: false,
            preserved: false,
            exclusive: false,
            phandle: None,
        }
    }

    /// Returns its size in bytes.
    pub const fn size(&self) -> u64 {
        self.pages as u64 * PAGE_SIZE
    }

    /// Returns where it lies.
    pub(crate) const fn span(&self) -> Span {
        Span::new(self.base.0, self.size())
    }

    /// Returns what the SPMC manifest must have there.
    pub(crate) const fn kind(&self) -> MemoryKind {
        match (self.device, self.attributes.space()) {
            (false, Space::Secure) => MemoryKind::Secure,
            (false, Space::NonSecure) => MemoryKind::NonSecure,
            (true, Space::Secure) => MemoryKind::SecureDevice,
            (true, Space::NonSecure) => MemoryKind::NonSecureDevice,
        }
    }
}

const PAGES: Property = Property::range("pages-count: at least 1", 1, u32::MAX).required();

table! {
    static MEMORY_LIST = [Property::compatible("compatible: arm,ffa-manifest-memory-regions")];
}

table! {
    static MEMORY = [
        PAGES,
        Property::range("attributes: 1 (R), 3 (RW) or 5 (RX), and 8 for Non-secure", 0, u32::MAX).required(),
        Property::number("base-address: an address, or load-address-relative-offset instead"),
        Property::number("load-address-relative-offset"),
        Property::range("phandle: a number of 32 bits", 0, u32::MAX),
        Property::range("linux,phandle: a number of 32 bits", 0, u32::MAX),
        Property::flag("preserved-on-restart"),
        Property::string("description"),
        Property::dma("smmu-id"),
        Property::dma("stream-ids"),
        Property::dma("stream-ids-access-permissions"),
    ];
}

/// Reads `memory-regions`.
pub(crate) fn read_memory(
    node: &Node<'_>,
    load_address: Pa,
    regions: &mut ArrayVec<Region, MAX_MEMORY_REGIONS>,
    warn: &mut impl Warn,
) -> Result<(), Refusal> {
    node.read_some(&MEMORY_LIST, &mut node.room())?;
    node.each_child(&mut |child| {
        let mut room = child.room();
        let values = child.read(&MEMORY, &mut room, warn)?;
        let [_, _, _, offset, phandle, old_phandle, preserved, ..] = values;
        let mut region = Region::unread(false);
        region.preserved = preserved.is_present();
        read_region(values, RegionAttributes::EXECUTE, Some((offset, load_address)), &mut region, warn)?;
        if region.preserved && region.attributes != RegionAttributes::READ | RegionAttributes::WRITE {
            return Err(preserved.conflict("attributes", "write attributes = <3>"));
        }
        region.phandle = phandle.get().or(old_phandle.get()).map(|n| n as u32);
        regions.try_push(region).map_err(|_| node.too_many(MAX_MEMORY_REGIONS))
    })?;
    if regions.is_empty() { Err(node.missing(SOME)) } else { Ok(()) }
}

const SOME: &str = "at least one region node";

/// Reads what regions of both kinds have, by the first three rows of their tables. One of memory may have an offset
/// from a load address instead of a base.
#[inline(never)]
fn read_region(
    values: &Room<'_, '_>,
    executable: RegionAttributes,
    offset: Option<(&Value<'_, '_>, Pa)>,
    region: &mut Region,
    warn: &mut impl Warn,
) -> Result<(), Refusal> {
    let [pages, attributes, base, ..] = values;
    region.attributes = read_attributes(attributes, executable, warn)?;
    let offset = offset.filter(|(v, _)| v.is_present());
    let (v, at) = match (base.get(), offset) {
        (Some(at), None) => (base, at),
        (None, Some((v, load))) => match load.0.checked_add(v.number) {
            Some(at) => (v, at),
            None => return Err(v.wraps(load.0, v.number)),
        },
        (Some(_), Some(_)) => return Err(base.conflict("load-address-relative-offset", "keep one of the two")),
        (None, None) => return Err(base.missing()),
    };
    if !Pa(at).is_page_aligned() {
        return Err(v.misaligned(at));
    }
    let size = pages.number.saturating_mul(PAGE_SIZE);
    if at.checked_add(size).is_none() {
        return Err(v.wraps(at, size));
    }
    region.name = name(base.node.name());
    region.base = Pa(at);
    region.pages = pages.number as u32;
    region.relative = offset.is_some();
    Ok(())
}

/// Reads `attributes`: R, RW, or R with what else is allowed.
fn read_attributes(
    v: &Value<'_, '_>,
    allowed: RegionAttributes,
    warn: &mut impl Warn,
) -> Result<RegionAttributes, Refusal> {
    let known = RegionAttributes::from_bits_truncate(v.number as u8);
    if u64::from(known.bits()) != v.number {
        v.warn(warn, "has bits beyond R 1, W 2, X 4 and NS 8: no effect");
    }
    let beside = known.difference(RegionAttributes::NON_SECURE | RegionAttributes::READ);
    let good = beside.is_empty() || beside == RegionAttributes::WRITE || beside == allowed;
    if good && known.contains(RegionAttributes::READ) { Ok(known) } else { Err(v.out_of_rule(v.number)) }
}

table! {
    static DEVICE_LIST = [Property::compatible("compatible: arm,ffa-manifest-device-regions")];
}

table! {
    static DEVICE = [
        PAGES,
        Property::range("attributes: 1 (R) or 3 (RW), and 8 for Non-secure", 0, u32::MAX).required(),
        Property::number("base-address: an address").required(),
        Property::bytes("interrupts"),
        Property::bytes("interrupts-target"),
        Property::flag("exclusive-access"),
        Property::string("description"),
        Property::bytes("phandle"),
        Property::bytes("linux,phandle"),
        Property::dma("smmu-id"),
        Property::dma("stream-ids"),
    ];
}

/// Reads `device-regions`.
pub(crate) fn read_devices(
    node: &Node<'_>,
    regions: &mut ArrayVec<Region, MAX_DEVICE_REGIONS>,
    interrupts: &mut ArrayVec<Interrupt, MAX_INTERRUPTS>,
    warn: &mut impl Warn,
) -> Result<(), Refusal> {
    node.read_some(&DEVICE_LIST, &mut node.room())?;
    node.each_child(&mut |child| {
        let mut room = child.room();
        let values = child.read(&DEVICE, &mut room, warn)?;
        let [_, _, _, lines, targets, exclusive, ..] = values;
        let mut region = Region::unread(true);
        region.exclusive = exclusive.is_present();
        read_region(values, RegionAttributes::empty(), None, &mut region, warn)?;
        // At most MAX_DEVICE_REGIONS before this one, else the push below has refused already.
        let index = regions.len() as u8;
        let too_many = |_| node.too_many(MAX_DEVICE_REGIONS);
        regions.try_push(region).map_err(too_many)?;
        read_interrupts(lines, index, interrupts)?;
        read_targets(targets, index, interrupts)
    })?;
    if regions.is_empty() { Err(node.missing(SOME)) } else { Ok(()) }
}

fn read_interrupts(
    v: &Value<'_, '_>,
    region: u8,
    interrupts: &mut ArrayVec<Interrupt, MAX_INTERRUPTS>,
) -> Result<(), Refusal> {
    for &[intid, attributes] in v.list(2, "pairs of cells: <id attributes>")?.as_chunks().0 {
        let (intid, attributes) = (u32::from_be_bytes(intid), u32::from_be_bytes(attributes));
        check_intid(v, intid)?;
        if interrupts.iter().any(|i| i.intid == intid) {
            let cause = Cause::duplicate(intid.into(), "this partition");
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
        let too_many = |_| v.too_many(MAX_INTERRUPTS);
        interrupts.try_push(interrupt).map_err(too_many)?;
    }
    Ok(())
}

/// SGIs 0-7 are the Normal world's, SGI 8 becomes the schedule-receiver interrupt, SGI 9 wakes other CPUs (GICv3 has
/// INTIDs as below).
fn check_intid(v: &Value<'_, '_>, intid: u32) -> Result<(), Refusal> {
    let rule = match intid {
        20 => "another PPI; 20 is the Secure EL2 timer's, which the SPMC keeps",
        10..=1019 => return Ok(()),
        1056..=1119 | 4096..=5119 => "an INTID of 10 to 1019; extended PPIs and SPIs are not supported",
        0..=9 => "an SGI of 10 to 15; 0 to 7 are the Normal world's, 8 and 9 the SPMC's own",
        // Special INTIDs, reserved ranges, LPIs.
        _ => "an INTID of 10 to 1019; n + 32 for SPI n of a device tree, n + 16 for PPI n",
    };
    Err(v.wrong(intid.into(), rule))
}

fn read_targets(v: &Value<'_, '_>, region: u8, interrupts: &mut [Interrupt]) -> Result<(), Refusal> {
    for &[intid, high, low] in v.list(3, "triples of cells: <id mpidr-high mpidr-low>")?.as_chunks().0 {
        let intid = u32::from_be_bytes(intid);
        let interrupt = interrupts.iter_mut().find(|i| i.region == region && i.intid == intid);
        let interrupt = interrupt.ok_or_else(|| v.wrong(intid.into(), "an id of this node's interrupts"))?;
        interrupt.target = Some(u64::from(u32::from_be_bytes(high)) << 32 | u64::from(u32::from_be_bytes(low)));
    }
    Ok(())
}

table! {
    static MAILBOX = [
        Property::compatible("compatible: arm,ffa-manifest-rx_tx-buffer"),
        Property::number("rx-buffer: the phandle of a memory region, <&label>").required(),
        Property::number("tx-buffer: the phandle of a memory region, <&label>").required(),
    ];
}

/// Reads `rx_tx-info`.
pub(crate) fn read_mailbox(node: &Node<'_>, regions: &[Region], warn: &mut impl Warn) -> Result<RxTx, Refusal> {
    let mut room = node.room();
    let [_, rx_buffer, tx_buffer, ..] = node.read(&MAILBOX, &mut room, warn)?;
    let (rx, tx) = (buffer(rx_buffer, regions)?, buffer(tx_buffer, regions)?);
    if rx == tx {
        return Err(tx_buffer.conflict("rx-buffer", "name two regions"));
    }
    let pages = |i: usize| regions.get(i).map_or(0, |r| r.pages);
    if pages(rx) != pages(tx) {
        return Err(tx_buffer.wrong(pages(tx).into(), "as many pages as rx-buffer"));
    }
    Ok(RxTx { rx, tx })
}

#[inline(never)]
fn buffer(v: &Value<'_, '_>, regions: &[Region]) -> Result<usize, Refusal> {
    let named = |r: &Region| r.phandle.is_some_and(|phandle| u64::from(phandle) == v.number);
    regions.iter().position(named).ok_or_else(|| v.out_of_rule(v.number))
}
