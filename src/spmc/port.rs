// SPDX-License-Identifier: MIT OR Apache-2.0
//! The port: what the SPMC needs of the machine. `arch` implements it with instructions, the simulated
//! machine with vectors of bytes; nothing else stands between the decisions and the hardware.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use ffa_abi::Regs;

use crate::manifest::Interrupt;
use crate::{Ipa, Lines, Pa, Space};

/// The SGI by which the SPMC makes a CPU, perhaps this one, look for work; no partition may own it.
pub const KICK: u32 = 9;
/// The PPI of the Secure EL2 physical timer (CNTHPS): Non-secure interrupts have waited for [`LONGEST_WAIT`].
pub const DEADLINE: u32 = 20;
/// Stands for the same PPI where [`Port::set_wake`] is what it came for. No interrupt has this INTID.
pub const WAKE: u32 = 1023;
/// Seconds for which partitions may keep Non-secure interrupts waiting; then the one that runs is aborted.
pub const LONGEST_WAIT: u64 = 2;

/// Says that an access to memory outside the SPMC faulted (a granule protection fault, a hole).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemFault;

/// Tags the TLB entries of one partition; 0 is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vmid(pub u16);

/// Holds a partition's translation roots, as its execution contexts load them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2Roots {
    /// Tags both.
    pub vmid: Vmid,
    /// Level-1 table of the Secure IPA space, for VSTTBR_EL2.
    pub secure: Pa,
    /// Level-1 table of the Non-secure IPA space, for VTTBR_EL2.
    pub non_secure: Pa,
}

/// Says with what an execution context begins; every register not named here is zero or at its reset value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it begins, at EL1h, AArch64, exceptions masked.
    pub pc: Ipa,
    /// x0 to x7.
    pub x: [u64; 8],
    /// Its number within the partition: Aff0 of its VMPIDR_EL2.
    pub vcpu: u16,
    /// Its partition's tables.
    pub roots: Stage2Roots,
}

/// Tells why a partition stopped running; details of a fault are in [`Port::fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// An SMC; x0-x17 are in the message registers.
    Smc,
    /// An HVC; likewise.
    Hvc,
    /// WFI or WFE that would wait; execution continues after it.
    Wait,
    /// It wrote an EL1 timer, as [`Port::timer`] shows; execution continues after it.
    Timer,
    /// A Secure group 1 interrupt is pending (IRQ); it has not been acknowledged.
    SecureInterrupt,
    /// A Non-secure interrupt is pending (FIQ).
    NormalInterrupt,
    /// A fault that the partition cannot handle itself; see [`Port::fault`].
    Fault,
}

/// Names the kinds of fault that end an execution context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Stage-2 translation or permission fault on a load or store.
    DataAbort,
    /// Stage-2 translation or permission fault on an instruction fetch.
    InstructionAbort,
    /// A System error that arrived while it ran.
    SError,
    /// Any other exception taken from it to S-EL2.
    Other,
}

/// Describes a fault of an execution context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// ESR_EL2.
    pub esr: u64,
    /// ELR_EL2: the instruction.
    pub pc: u64,
    /// FAR_EL2: its virtual address.
    pub va: u64,
    /// The faulting IPA, from HPFAR_EL2 and FAR_EL2, where the former has one.
    pub ipa: Option<Ipa>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at pc {:#x}, address {:#x}", self.kind, self.pc, self.va)?;
        if let Some(ipa) = self.ipa {
            write!(f, " (ipa {ipa})")?;
        }
        write!(f, ", esr {:#x}", self.esr)
    }
}

impl Fault {
    /// Tells whether it is a stage-2 translation fault: an access, or a stage-1 walk, met nothing in the tables.
    pub const fn is_translation(&self) -> bool {
        const TRANSLATION: u64 = 0b0001;
        match self.kind {
            FaultKind::DataAbort | FaultKind::InstructionAbort => self.esr >> 2 & 0xf == TRANSLATION,
            FaultKind::SError | FaultKind::Other => false,
        }
    }
}

/// Gives the decisions a machine to act on.
///
/// Every method may be called on every CPU at the same time. Those that name a context are called only by the
/// CPU that holds it in the state machine (Starting, Running, or through the chain); an implementation must
/// stay memory-safe even if that were violated.
pub trait Port: Sync + Sized + 'static {
    /// The saved registers of one execution context.
    type Context: Sync + Send + 'static;

    /// Makes an empty context; it is reset before it is first entered. Boot time only.
    fn new_context(&self) -> Self::Context;

    /// Makes an SMC to EL3 for a partition, x0-x17 as they are, there and back.
    fn call_monitor(&self, regs: &mut Regs);

    /// Numbers the CPUs: the one that runs this is 0, the others follow in the order of `mpidrs` (MPIDR affinity). One
    /// that is not listed gets no SPMC when it comes up. Fails, with this CPU's MPIDR, if it is not listed itself.
    fn list_cpus(&self, mpidrs: &[u64]) -> Result<(), u64>;

    /// Puts a context at its entry point: all of EL1 and EL0 state at its reset values, general registers as
    /// `entry` says, FP state zero, the rest zero.
    fn reset(&self, context: &Self::Context, entry: &Entry);

    /// Makes Non-secure interrupts wait while `context` runs (`queued`), also if it runs on this CPU right now, or end
    /// its run (signalled), from its next switch-in on. A context that was reset starts queued.
    fn queue_interrupts(&self, context: &Self::Context, queued: bool);

    /// Makes Non-secure interrupts wait on this CPU whatever runs, until the Normal world does or this is undone.
    fn hold_normal(&self, hold: bool);

    /// Gives whatever keeps Non-secure interrupts waiting on this CPU its full [`LONGEST_WAIT`] again, if anything does.
    fn restart_deadline(&self);

    /// Tells when the EL1 timers of a context raise their interrupt: the lesser compare value, in ticks of
    /// [`Port::now`], of those that are enabled and not masked (CNTP_CTL_EL0, CNTV_CTL_EL0).
    fn timer(&self, context: &Self::Context) -> Option<u64>;

    /// Makes [`WAKE`] come to this CPU when [`Port::now`] reaches `at`, whatever runs then; `None`: never.
    fn set_wake(&self, at: Option<u64>);

    /// Sets the levels of a context's virtual interrupt lines, for this CPU if it runs here and for its next entry.
    /// May be called by a CPU that does not hold the context.
    fn set_lines(&self, context: &Self::Context, lines: Lines);

    /// Prepares this CPU for Secure interrupts: enables [`KICK`] and [`DEADLINE`], neither of which is to come yet.
    fn start_interrupts(&self);

    /// Sets up and enables a Secure physical interrupt, on this CPU if each has its own; false if the interrupt
    /// controller has none with that INTID.
    fn configure_interrupt(&self, interrupt: &Interrupt) -> bool;

    /// Takes the Secure interrupt that is pending with the highest priority on this CPU, and drops its priority; it
    /// stays active, except for an SGI, [`DEADLINE`] and [`WAKE`]; either of these comes once.
    fn acknowledge(&self) -> Option<u32>;

    /// Ends an active interrupt; `cpu` is the one that took it, if each has its own.
    fn deactivate_interrupt(&self, intid: u32, cpu: usize);

    /// Enables or disables an interrupt, on this CPU if each has its own.
    fn enable_interrupt(&self, intid: u32, on: bool);

    /// Sends a shared interrupt to CPU `cpu` from now on; false if it or the CPU is not of that kind.
    fn route_interrupt(&self, intid: u32, cpu: usize) -> bool;

    /// Sends a shared interrupt that goes to CPU `from` to CPU `to` from now on; no other.
    fn move_interrupt(&self, intid: u32, from: usize, to: usize);

    /// Sends [`KICK`] to one CPU, or to all but this one.
    fn kick(&self, cpu: Option<usize>);

    /// Takes the running context off the CPU: saves its EL1 and EL0 system registers, and x8-x17 of `regs`,
    /// so that another CPU may enter it as soon as its state is published.
    fn park(&self, context: &Self::Context, regs: &Regs);

    /// Loads x8-x17 as the context last had them, beside a reply in x0-x7 that the caller has put there.
    fn unpark(&self, context: &Self::Context, regs: &mut Regs);

    /// Does what [`Port::park`] does for a context that was interrupted: also saves x0-x7.
    fn park_interrupted(&self, context: &Self::Context, regs: &Regs);

    /// Loads x0-x17 of an interrupted context.
    fn unpark_interrupted(&self, context: &Self::Context, regs: &mut Regs);

    /// Describes the fault that ended the run on this CPU with [`Exit::Fault`].
    fn fault(&self) -> Fault;

    /// Copies bytes out of memory. The range may be anything: other CPUs may write it meanwhile.
    fn read(&self, space: Space, pa: Pa, out: &mut [u8]) -> Result<(), MemFault>;

    /// Copies bytes into memory.
    fn write(&self, space: Space, pa: Pa, data: &[u8]) -> Result<(), MemFault>;

    /// Copies words out of memory, as [`Port::read`] does.
    fn read_words(&self, space: Space, pa: Pa, out: &mut [u64]) -> Result<(), MemFault> {
        for (n, word) in out.iter_mut().enumerate() {
            let mut bytes = [0; 8];
            self.read(space, pa.checked_add(8 * n as u64).ok_or(MemFault)?, &mut bytes)?;
            *word = u64::from_le_bytes(bytes);
        }
        Ok(())
    }

    /// Copies words into memory, as [`Port::write`] does.
    fn write_words(&self, space: Space, pa: Pa, data: &[u64]) -> Result<(), MemFault> {
        for (n, word) in data.iter().enumerate() {
            self.write(space, pa.checked_add(8 * n as u64).ok_or(MemFault)?, &word.to_le_bytes())?;
        }
        Ok(())
    }

    /// Fills `len` bytes (whole pages) with zeroes, visible to every observer when it returns.
    fn zero(&self, space: Space, pa: Pa, len: u64) -> Result<(), MemFault>;

    /// Lends Secure RAM to a closure while the SPMC boots: the packages, before any partition runs. `None` once
    /// one has run, and for a range that is not wholly in Secure RAM outside the SPMC.
    fn with_secure_bytes<R>(&self, pa: Pa, len: u64, f: impl FnOnce(&[u8]) -> R) -> Option<R>;

    /// Returns the memory that is the SPMC's own: first byte and length. No partition may have any of it.
    fn own_memory(&self) -> (Pa, u64);

    /// Computes the SHA-256 of bytes; boot time only.
    fn sha256(&self, bytes: &[u8]) -> [u8; 32];

    /// Makes freshly loaded code visible to instruction fetches of every CPU.
    fn sync_code(&self, pa: Pa, len: u64);

    /// Gives free Secure memory, whole pages, to the pool that [`Port::page_alloc`] takes from. Returns whether it could be
    /// used. Boot time.
    fn add_pages(&self, pa: Pa, len: u64) -> bool;

    /// Allocates one zeroed page for a translation table or for bookkeeping, from the bounded pool.
    fn page_alloc(&self) -> Option<Pa>;

    /// Returns a page to the pool.
    fn page_free(&self, page: Pa);

    /// Fills a page of the pool with `count` values, which stay there for ever. `None` without a free page, or if they do
    /// not fit in one.
    fn keep<T>(&self, count: usize, make: impl FnMut() -> T) -> Option<&'static [T]>;

    /// Counts the free pages of the pool.
    fn pages_free(&self) -> usize;

    /// Shows the words of a page that is allocated from the pool; `None` for any other page. A descriptor that is
    /// stored becomes visible to table walks at the next [`Port::tables_written`].
    fn words(&self, page: Pa) -> Option<&[AtomicU64; 512]>;

    /// Reads 64-bit word `index` (0..512) of a pool page; 0 for an index outside.
    #[inline]
    fn word(&self, page: Pa, index: usize) -> u64 {
        self.words(page).and_then(|words| words.get(index)).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Writes 64-bit word `index` (0..512) of a pool page.
    #[inline]
    fn set_word(&self, page: Pa, index: usize, value: u64) {
        if let Some(word) = self.words(page).and_then(|words| words.get(index)) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Orders earlier [`Port::set_word`]s before any later table walk.
    fn tables_written(&self);

    /// Invalidates a partition's TLB entries for a range of IPAs of one space, on every CPU.
    fn tlb_invalidate(&self, roots: &Stage2Roots, space: Space, ipa: Ipa, pages: u64);

    /// Invalidates everything that is cached for a partition, on every CPU.
    fn tlb_invalidate_all(&self, roots: &Stage2Roots);

    /// Gives the schedule-receiver interrupt to the Normal world on every CPU, so that it may enable it.
    fn donate_schedule_receiver(&self);

    /// Raises the schedule-receiver interrupt on this CPU.
    fn raise_schedule_receiver(&self);

    /// Prints one line on the secure console. Numbers in it are `u64` or `usize`: each other type's way to be formatted
    /// would be one more in the image.
    fn log(&self, line: fmt::Arguments<'_>);

    /// Prints raw characters on the secure console, as `FFA_CONSOLE_LOG` wants; control characters other than
    /// newline and tab are the caller's duty to filter.
    fn console(&self, text: &[u8]);

    /// Reads the generic counter (CNTPCT_EL0), in ticks.
    fn now(&self) -> u64;

    /// Returns the counter's frequency in Hz.
    fn counter_hz(&self) -> u64;
}
