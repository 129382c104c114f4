// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupt controller (GICv3): this CPU's interface to it, and the Secure interrupts that partitions own. EL3 owns
//! the rest of the set-up.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use spin::Mutex;
use spmc::manifest::Interrupt;
use spmc::{DEADLINE, KICK};

use crate::platform::{CPUS, GIC, MPIDRS, REDISTRIBUTORS};
use crate::timer;

/// Secure view of the priority mask: only Secure interrupts (priorities below 0x80) get through.
const SECURE_ONLY: u64 = 0x80;
/// The lowest priority that the mask lets through.
const LOWEST_SECURE: u8 = 0x7f;
/// The priority of the SPMC's own interrupts.
const OWN_PRIORITY: u8 = 0x20;
/// ICC_CTLR_EL1.EOImode: an end of interrupt drops the priority only.
const EOI_MODE: u64 = 1 << 1;
/// INTIDs from here on are not interrupts.
const SPECIAL: u32 = 1020;
/// The first INTID after the SGIs.
const FIRST_PPI: u32 = 16;
/// The first shared interrupt: below, each CPU has its own.
const FIRST_SPI: u32 = 32;

// Offsets that the distributor and the second page of a redistributor have in common.
const IGROUPR: u64 = 0x80;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ICACTIVER: u64 = 0x380;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const IGRPMODR: u64 = 0xd00;
/// Distributor only: ITLinesNumber, one less than the number of interrupts by 32.
const GICD_TYPER: u64 = 0x4;
const ITLINES: u32 = 0x1f;
/// Distributor only.
const IROUTER: u64 = 0x6000;
/// The affinity fields of an MPIDR, as IROUTER has them.
const AFFINITY: u64 = 0xff_00ff_ffff;
/// In the first page of a redistributor: whose it is.
const TYPER: u64 = 0x8;
const TYPER_LAST: u64 = 1 << 4;
const TYPER_VLPIS: u64 = 1 << 1;
/// From the first page of a redistributor to the second.
const SGI_PAGE: u64 = 0x1_0000;

/// Uses the system registers (SRE; not Enable, so EL1's own SRE register traps where that is not fixed to 1), and traps every virtual interface
/// register (TC, TALL0, TALL1), so that a partition cannot see or change the Normal world's.
pub(crate) fn init() {
    // SAFETY: the bits say how EL1 and EL2 reach the interface; memory is not concerned.
    unsafe {
        msr!("S3_4_C12_C9_5", 0b0111); // ICC_SRE_EL2
        barrier!("isb");
        msr!("S3_4_C12_C11_0", 0b111 << 10); // ICH_HCR_EL2
        msr!("S3_0_C12_C12_4", mrs!("S3_0_C12_C12_4") | EOI_MODE); // ICC_CTLR_EL1, the Secure one
    }
    barrier!("isb");
}

/// Masks Non-secure interrupts and returns ICC_PMR_EL1 as it was.
#[inline(always)]
pub(crate) fn mask_normal() -> u64 {
    let old = mrs!("S3_0_C4_C6_0");
    set_mask(SECURE_ONLY);
    old
}

/// Writes ICC_PMR_EL1.
#[inline(always)]
pub(crate) fn set_mask(value: u64) {
    // SAFETY: the priority mask decides which interrupts are signalled, nothing else.
    unsafe { msr!("S3_0_C4_C6_0", value) };
}

/// The schedule-receiver interrupt: an SGI that TF-A has put in Secure group 1.
const SCHEDULE_RECEIVER: u32 = 8;
/// The highest priority that the Normal world can give an interrupt, as the Secure side sees it.
const HIGHEST_NORMAL: u8 = 0x80;
/// The schedule-receiver interrupt has been given away: EL3 takes it back on each CPU that comes on.
static DONATED: AtomicBool = AtomicBool::new(false);

/// Held while registers that several interrupts share are changed: of two CPUs at that, one would undo what the other has
/// done, and a Secure interrupt might stay the Normal world's.
static SHARED: Mutex<()> = Mutex::new(());

/// Moves the schedule-receiver interrupt of every CPU of the SPMC manifest (on others it is never raised) to Non-secure
/// group 1, with a priority of that group: its Secure one would get past the mask that keeps Non-secure interrupts
/// waiting.
pub(crate) fn donate_schedule_receiver() {
    DONATED.store(true, Relaxed);
    let _alone = SHARED.lock();
    // EL3 changes the groups of SGIs only on its way to `start` on a CPU.
    for cpu in 0..CPUS {
        let Some(frame) = Frame::of(SCHEDULE_RECEIVER, cpu) else { continue };
        let at = IPRIORITYR + u64::from(SCHEDULE_RECEIVER);
        // The first of the four in a word.
        frame.write8(at, HIGHEST_NORMAL.max(frame.read(at) as u8));
        frame.set_field(IGROUPR, SCHEDULE_RECEIVER, 1, 1);
        frame.set_field(IGRPMODR, SCHEDULE_RECEIVER, 1, 0);
    }
}

/// Raises the schedule-receiver interrupt on this CPU, in Non-secure group 1.
pub(crate) fn raise_schedule_receiver() {
    let value = sgi(mrs!("mpidr_el1"), SCHEDULE_RECEIVER);
    // SAFETY: makes an interrupt pending, nothing else.
    unsafe { msr!("S3_0_C12_C11_6", value) }; // ICC_ASGI1R_EL1
}

/// Returns what makes an SGI pending on the CPU with this MPIDR (ICC_SGI1R_EL1 and ICC_ASGI1R_EL1).
#[inline(never)]
fn sgi(mpidr: u64, intid: u32) -> u64 {
    let (aff0, aff1, aff2, aff3) = (mpidr & 0xff, mpidr >> 8 & 0xff, mpidr >> 16 & 0xff, mpidr >> 32 & 0xff);
    aff3 << 48 | aff0 >> 4 << 44 | aff2 << 32 | u64::from(intid) << 24 | aff1 << 16 | 1 << (aff0 & 0xf)
}

/// A frame of registers: the distributor's, or a redistributor's second page.
#[derive(Clone, Copy)]
struct Frame(u64);

impl Frame {
    const DISTRIBUTOR: Self = Self(GIC.0);

    /// Finds the registers that govern `intid` on the CPU with number `cpu`.
    fn of(intid: u32, cpu: usize) -> Option<Self> {
        match intid {
            0..FIRST_SPI => Self::redistributor(cpu),
            FIRST_SPI..SPECIAL => Some(Self::DISTRIBUTOR),
            // Extended ranges and LPIs, which this platform does not have.
            _ => None,
        }
    }

    fn redistributor(cpu: usize) -> Option<Self> {
        let mpidr = MPIDRS.get(cpu)?.load(Relaxed);
        let affinity = mpidr & 0xff_ffff | mpidr >> 8 & 0xff00_0000;
        let mut at = REDISTRIBUTORS;
        while at < GIC.1 {
            let typer = Self(at).read64(TYPER);
            if typer >> 32 == affinity {
                return Some(Self(at + SGI_PAGE));
            }
            if typer & TYPER_LAST != 0 {
                break;
            }
            at += if typer & TYPER_VLPIS != 0 { 4 } else { 2 } * SGI_PAGE;
        }
        None
    }

    fn read64(self, offset: u64) -> u64 {
        // SAFETY: a device register of the controller, mapped by stage 1 (`platform::GIC`); Rust has no other use of it.
        unsafe { ((self.0 + offset) as *const u64).read_volatile() }
    }

    fn read(self, offset: u64) -> u32 {
        // SAFETY: as above.
        unsafe { ((self.0 + offset) as *const u32).read_volatile() }
    }

    fn write(self, offset: u64, value: u32) {
        // SAFETY: as above; what is written concerns an interrupt of the Secure world, or the one that it gives away.
        unsafe { ((self.0 + offset) as *mut u32).write_volatile(value) };
    }

    fn write8(self, offset: u64, value: u8) {
        // SAFETY: as above.
        unsafe { ((self.0 + offset) as *mut u8).write_volatile(value) };
    }

    /// Writes the bit of `intid` in a register of a bit each where writing zero has no effect.
    fn poke(self, register: u64, intid: u32) {
        self.write(register + u64::from(intid / 32) * 4, 1 << (intid % 32));
    }

    /// Changes the field of `intid` in a register of `bits` bits each.
    fn set_field(self, register: u64, intid: u32, bits: u32, value: u32) {
        let each = 32 / bits;
        let at = register + u64::from(intid / each) * 4;
        let shift = intid % each * bits;
        let mask = ((1 << bits) - 1) << shift;
        self.write(at, self.read(at) & !mask | value << shift);
    }

    /// Makes `intid` a Secure group 1 interrupt with a priority and enables it.
    fn set_up(self, intid: u32, priority: u8) {
        self.poke(ICENABLER, intid);
        self.set_field(IGROUPR, intid, 1, 0);
        self.set_field(IGRPMODR, intid, 1, 1);
        self.write8(IPRIORITYR + u64::from(intid), priority.min(LOWEST_SECURE));
        self.poke(ICACTIVER, intid);
    }
}

/// Enables [`KICK`] and [`DEADLINE`] on this CPU.
pub(crate) fn start(cpu: usize) {
    timer::stop();
    if DONATED.load(Relaxed) {
        donate_schedule_receiver();
    }
    let _alone = SHARED.lock();
    for intid in [KICK, DEADLINE] {
        if let Some(frame) = Frame::of(intid, cpu) {
            frame.set_up(intid, OWN_PRIORITY);
            frame.poke(ISENABLER, intid);
        }
    }
}

/// Sets up and enables an interrupt of a partition, on this CPU if each has its own; false if there is none such.
pub(crate) fn configure(interrupt: &Interrupt, cpu: usize) -> bool {
    let intid = interrupt.intid;
    let lines = Frame::DISTRIBUTOR.read(GICD_TYPER) & ITLINES;
    let Some(frame) = Frame::of(intid, cpu).filter(|_| intid / 32 <= lines) else { return false };
    let _alone = SHARED.lock();
    frame.set_up(intid, interrupt.priority);
    if intid >= FIRST_PPI {
        frame.set_field(ICFGR, intid, 2, if interrupt.level { 0b00 } else { 0b10 });
    }
    if intid >= FIRST_SPI {
        let target = interrupt.target.unwrap_or_else(|| MPIDRS.get(cpu).map_or(0, |m| m.load(Relaxed)));
        set_route(intid, target);
    }
    frame.poke(ISENABLER, intid);
    barrier!("dsb sy");
    true
}

fn set_route(intid: u32, mpidr: u64) {
    let at = Frame::DISTRIBUTOR.0 + IROUTER + u64::from(intid) * 8;
    // SAFETY: as in `Frame`: the route of a shared interrupt that a partition owns.
    unsafe { (at as *mut u64).write_volatile(mpidr & AFFINITY) };
}

/// Sends a shared interrupt to another CPU.
pub(crate) fn route(intid: u32, cpu: usize) -> bool {
    let mpidr = MPIDRS.get(cpu).filter(|_| (FIRST_SPI..SPECIAL).contains(&intid));
    mpidr.map(|mpidr| set_route(intid, mpidr.load(Relaxed))).is_some()
}

/// Sends a shared interrupt that goes to CPU `from` to CPU `to`.
pub(crate) fn reroute(intid: u32, from: usize, to: usize) {
    let affinity = |cpu: usize| MPIDRS.get(cpu).map(|m| m.load(Relaxed) & AFFINITY);
    let (Some(from), Some(to)) = (affinity(from), affinity(to)) else { return };
    let at = IROUTER + u64::from(intid) * 8;
    if (FIRST_SPI..SPECIAL).contains(&intid) && Frame::DISTRIBUTOR.read64(at) == from {
        set_route(intid, to);
        barrier!("dsb sy");
    }
}

/// Enables or disables an interrupt.
pub(crate) fn enable(intid: u32, cpu: usize, on: bool) {
    if let Some(frame) = Frame::of(intid, cpu) {
        frame.poke(if on { ISENABLER } else { ICENABLER }, intid);
    }
}

/// Ends an active interrupt.
pub(crate) fn deactivate(intid: u32, cpu: usize) {
    if let Some(frame) = Frame::of(intid, cpu) {
        frame.poke(ICACTIVER, intid);
        barrier!("dsb sy");
    }
}

/// Takes the Secure interrupt with the highest priority that is pending, and drops its priority.
pub(crate) fn acknowledge(cpu: usize) -> Option<u32> {
    let intid = mrs!("S3_0_C12_C12_0"); // ICC_IAR1_EL1
    barrier!("dsb sy");
    if intid as u32 >= SPECIAL {
        return None;
    }
    // SAFETY: ends what was acknowledged; the interface then signals the next interrupt, and the partition's stays
    // active until it says so.
    unsafe { msr!("S3_0_C12_C12_1", intid) }; // ICC_EOIR1_EL1
    let taken = if intid as u32 == DEADLINE { timer::take() } else { intid as u32 };
    if (intid as u32) < FIRST_PPI || intid as u32 == DEADLINE {
        // Not by ICC_DIR_EL1, which QEMU ignores at S-EL2.
        deactivate(intid as u32, cpu);
    }
    barrier!("isb");
    Some(taken)
}

/// Sends [`KICK`] to one CPU, or to all but this one.
pub(crate) fn kick(cpu: Option<usize>) {
    const ALL_OTHERS: u64 = 1 << 40 | (KICK as u64) << 24;
    let value = match cpu {
        None => ALL_OTHERS,
        Some(cpu) => {
            let Some(mpidr) = MPIDRS.get(cpu) else { return };
            sgi(mpidr.load(Relaxed), KICK)
        }
    };
    // What the other CPU is to find is written before it is told.
    barrier!("dsb ish");
    // SAFETY: makes an SGI of the Secure world pending, nothing else.
    unsafe { msr!("S3_0_C12_C11_5", value) }; // ICC_SGI1R_EL1
    barrier!("isb");
}
