// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command service of the test partitions: does, inside a partition, what a test asks for by direct request.
//!
//! `sp/protocol.md` describes the commands; `sp-protocol` has their numbers.
#![no_std]

mod access;
mod interrupts;
mod measure;
mod mem;
mod messages;
mod raw;
mod registers;
mod simd;

use core::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use ffa_abi::{Error, PartitionId, Version};
use sp_protocol::{command as c, status};
use sp_rt::{Context, Fault, Message, ffa, memory::MemoryError};

/// The most execution contexts.
const CONTEXTS: usize = 8;

/// Says why a command was not carried out.
enum Failure {
    BadCommand,
    Ffa(Error),
    Fault(Fault),
    Mismatch { at: u64, found: u64, expected: u64 },
    Unexpected([u64; 8]),
    NoRoom,
    BadDescriptor,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ffa(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<MemoryError> for Failure {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Ffa(error) => Self::Ffa(error),
            MemoryError::Map(_) => Self::NoRoom,
            MemoryError::Descriptor(what) => {
                sp_rt::log!("memory descriptor: {what}");
                Self::BadDescriptor
            }
        }
    }
}

impl Failure {
    fn words(self) -> [u64; 5] {
        match self {
            Self::BadCommand => [status::BAD_COMMAND, 0, 0, 0, 0],
            Self::Ffa(error) => [status::FFA_ERROR, error.code() as u64, 0, 0, 0],
            Self::Fault(Fault { esr, far }) => [status::FAULT, esr, far, 0, 0],
            Self::Mismatch { at, found, expected } => [status::MISMATCH, at, found, expected, 0],
            Self::Unexpected([x0, x1, x2, ..]) => [status::UNEXPECTED, x0, x1, x2, 0],
            Self::NoRoom => [status::NO_ROOM, 0, 0, 0, 0],
            Self::BadDescriptor => [status::BAD_DESCRIPTOR, 0, 0, 0, 0],
        }
    }
}

/// Words 1 to 4 of the response.
type Answer = Result<[u64; 4], Failure>;

static ME: AtomicU16 = AtomicU16::new(0);
static MESSAGES: [AtomicU64; CONTEXTS] = [const { AtomicU64::new(0) }; CONTEXTS];

/// Returns this partition's id.
fn me() -> PartitionId {
    PartitionId(ME.load(Relaxed))
}

/// Serves commands in this context.
pub fn run(context: &'static Context) -> ! {
    if context.is_primary() {
        // Nothing is lost where the version is refused: the SPMC serves the one in the manifest.
        let _ = ffa::version(Version::V1_2);
        match ffa::id() {
            Ok(id) => ME.store(id.0, Relaxed),
            Err(error) => sp_rt::log!("FFA_ID_GET: {error}"),
        }
    }
    interrupts::install();
    let messages = MESSAGES.get(context.index()).unwrap_or(&MESSAGES[0]);
    let count = || messages.store(messages.load(Relaxed).wrapping_add(1), Relaxed);
    let quick = |x: &[u64; 8]| {
        let answer = messages::quick(x)?;
        count();
        Some(answer)
    };
    sp_rt::serve_with(quick, |message| {
        count();
        let answer = carry_out(context, message);
        match answer {
            Ok([a, b, c, d]) => message.reply([status::OK, a, b, c, d]),
            Err(failure) => message.reply(failure.words()),
        }
    })
}

fn carry_out(context: &Context, message: &mut Message) -> Answer {
    let [x, y, z, w] = [1, 2, 3, 4].map(|i| message.arg(i));
    match message.arg(0) {
        c::ECHO => Ok([x.wrapping_add(0x1000), y, z, w]),
        c::ADD => Ok([x.wrapping_add(y), 0, 0, 0]),
        c::INFO => info(context),
        c::COUNTS => counts(x),
        c::STAGE => raw::stage(context, x, [y, z, w]),
        c::CALL => raw::call(context, x, [y, z, w]),
        c::RESULT => raw::result(context, x),
        c::CALL_EXTENDED => raw::call_extended(message),
        c::RX_READ => raw::rx_read(x),
        c::TX_WRITE => raw::tx_write(x, [y, z, w]),
        c::MAILBOX => raw::mailbox(),
        c::FORWARD => messages::forward(message),
        c::ROUTE => messages::route(message.form(), x, [y, z, w]),
        c::RESUME => messages::resume(x, y),
        c::YIELD => messages::give_way(),
        c::SPIN => messages::spin(x, y),
        c::HANG => messages::hang(),
        c::WFI => messages::wait_for_interrupt(),
        c::SIMD_FILL => simd::fill(x),
        c::SIMD_CHECK => simd::check(x),
        c::SIMD_LEAK => simd::leak(x),
        c::SIMD_TOUCH => Ok([simd::touch(x), 0, 0, 0]),
        c::REGS_FILL => registers::fill(context, x),
        c::REGS_CHECK => registers::check(context),
        c::REGS_LEAK => registers::leak(x),
        c::GPRS_ACROSS => registers::across_call([x, y, z, w]),
        c::REG_READ => registers::read(x),
        c::ACCESS => access::access(x, y, z, w),
        c::PROBE => access::probe(x),
        c::DIE => access::die(x),
        c::RETRIEVE => mem::retrieve(x, y, z, w),
        c::FILL => mem::fill(x, y),
        c::CHECK => mem::check(x, y),
        c::RELINQUISH => mem::relinquish(x, y, z),
        c::SEND => mem::send(x, y, z, w),
        c::RECLAIM => mem::reclaim(x, y),
        c::OWN_PAGE => mem::own_page(x, y, z),
        c::READ => mem::read(x, y),
        c::WRITE => mem::write(x, y, z),
        c::REGION => mem::region(x, y),
        c::MEASURE => measure::measure(x, y, z),
        c::INTERRUPT_ENABLE => interrupts::enable(x, y),
        c::INTERRUPT_MODE => interrupts::mode(x),
        c::INTERRUPT_COUNT => interrupts::count(x),
        c::INTERRUPT_DEACTIVATE => interrupts::deactivate(x),
        c::INTERRUPT_SEND => interrupts::send(x),
        c::INTERRUPT_DEVICE => interrupts::own_device(x, y),
        c::TIMER_ARM => interrupts::arm_timer(x, y, z, w),
        c::TIMER_READ => interrupts::read_timer(x),
        // Not a command.
        _ => Err(Failure::BadCommand),
    }
}

/// Tells the partition's id and version as the SPMC gives them now, the context, and its messages.
fn info(context: &Context) -> Answer {
    let id = ffa::id()?;
    let version = ffa::version(Version::V1_2)?;
    let messages = MESSAGES.get(context.index()).map_or(0, |m| m.load(Relaxed));
    Ok([id.0.into(), version.bits().into(), context.index() as u64, messages])
}

fn counts(index: u64) -> Answer {
    let one = MESSAGES.get(index as usize).ok_or(Failure::BadCommand)?.load(Relaxed);
    let all = MESSAGES.iter().map(|m| m.load(Relaxed)).sum();
    Ok([one, all, Context::started(), 0])
}
