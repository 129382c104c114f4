// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notifications (DEN0077A, "Notifications"): between the Normal world and partitions, between partitions, and the
//! schedule-receiver interrupt. Every case starts and ends without a bitmap of the Normal world and with nothing bound,
//! whatever its outcome: one that fails fails alone.

use core::sync::atomic::{AtomicU32, Ordering::*};

use bl33::ffa::*;
use bl33::gic::{self, SCHEDULE_RECEIVER};
use bl33::harness::{Case, Failure, Outcome, expect, expect_at, expect_that};
use bl33::sp::{command, status, words};
use bl33::{cpus, mode, time};

use crate::preempt::finish;

pub(crate) const CASES: &[Case] = &[
    Case::new("notify::features", || cleaned(features)),
    Case::new("notify::bitmaps", || cleaned(bitmaps)),
    Case::new("notify::as_many_vms_as_there_is_room_for", || cleaned(as_many_vms_as_there_is_room_for)),
    Case::new("notify::partition_to_normal_world", || cleaned(partition_to_normal_world)),
    Case::new("notify::normal_world_to_partition", || cleaned(normal_world_to_partition)),
    Case::new("notify::partition_to_partition", || cleaned(partition_to_partition)),
    Case::new("notify::for_a_vm", || cleaned(for_a_vm)),
    Case::new("notify::per_vcpu", || cleaned(per_vcpu)),
    Case::new("notify::per_vcpu_of_the_normal_world", || cleaned(per_vcpu_of_the_normal_world)),
    Case::new("notify::lists_that_do_not_fit", || cleaned(lists_that_do_not_fit)),
    Case::new("notify::delayed_interrupt", || cleaned(delayed_interrupt)),
    Case::new("notify::no_interrupt_without_a_bitmap", || cleaned(no_interrupt_without_a_bitmap)),
    Case::new("notify::interrupt_on_a_cpu_that_comes_on_later", || cleaned(interrupt_on_a_cpu_that_comes_on_later)),
    Case::new("notify::none_is_lost_between_cpus", || cleaned(none_is_lost_between_cpus)),
];

/// Runs a case, and clears up behind one that failed.
pub(crate) fn cleaned(case: fn() -> Outcome) -> Outcome {
    let outcome = case();
    if outcome.is_err() {
        clear_up();
    }
    outcome
}

/// Takes what is pending, unbinds what is bound, destroys what bitmaps there are. What of it there is nobody knows,
/// so refusals are part of it.
fn clear_up() {
    gic::enable(SCHEDULE_RECEIVER);
    for partition in [RELAY, PERCPU] {
        for vcpu in 0..8 {
            let _ = get(partition, vcpu, FROM_PARTITIONS | FROM_VMS);
        }
        for sender in [0, VM, RELAY, PERCPU].into_iter().filter(|&sender| sender != partition) {
            for bit in 0..64 {
                let _ = call_as(partition, regs(NOTIFICATION_UNBIND, sender, partition, 0, 1 << bit));
            }
        }
    }
    for vm in 0..64 {
        for vcpu in 0..8 {
            let _ = get(vm, vcpu, FROM_PARTITIONS | FROM_VMS);
        }
        let _ = call_with(NOTIFICATION_BITMAP_DESTROY, &[vm]);
    }
    let _ = call_with(NOTIFICATION_INFO_GET_64, &[]);
}

/// The VM that the hypervisor speaks for.
const VM: u64 = 5;
pub(crate) const PER_VCPU: u64 = 1;
pub(crate) const DELAY: u64 = 2;
pub(crate) const FROM_PARTITIONS: u64 = 1;
pub(crate) const FROM_VMS: u64 = 2;
pub(crate) const FROM_FRAMEWORK: u64 = 4;

/// Gives a partition a command and runs it on until it answers: the schedule-receiver interrupt may preempt it.
pub(crate) fn ask(to: u64, command: u64, [a, b, c, d]: [u64; 4]) -> Result<[u64; 4], Failure> {
    let (r, _) = finish(direct64(to, [command, a, b, c, d])?, to)?;
    let [status, a, b, c, d] = words(&r, to)?;
    expect_at("status of command", command, status, status::OK)?;
    Ok([a, b, c, d])
}

/// Lets a partition make a call; returns x0 to x7 of the answer.
pub(crate) fn by(id: u64, regs: Regs8) -> Result<Regs8, Failure> {
    let [x0, x1, x2, x3, x4, ..] = regs;
    ask(id, command::STAGE, [3, x3, x4, 0])?;
    let [a, b, c, d] = ask(id, command::CALL, [0, x0, x1, x2])?;
    let [e, f, g, h] = ask(id, command::RESULT, [4, 0, 0, 0])?;
    Ok([a, b, c, d, e, f, g, h])
}

/// Makes a call for endpoint `id`: the Normal world (and its VMs) by itself, a partition as it is told.
pub(crate) fn call_as(id: u64, regs: Regs8) -> Result<Regs8, Failure> {
    if id < 0x8000 { call(regs) } else { by(id, regs) }
}

pub(crate) fn regs(fid: u64, high: u64, low: u64, x2: u64, bits: u64) -> Regs8 {
    [fid, high << 16 | low, x2, bits & 0xffff_ffff, bits >> 32, 0, 0, 0]
}

pub(crate) fn good(r: Regs8) -> Outcome {
    expect("w2 of the success", expect_success(&r)?, 0)?;
    expect_zeros(&r, 3)
}

/// Binds (or unbinds) notifications of `receiver` to `sender`, as the receiver.
pub(crate) fn bind(receiver: u64, sender: u64, bits: u64, flags: u64) -> Outcome {
    good(call_as(receiver, regs(NOTIFICATION_BIND, sender, receiver, flags, bits))?)
}

pub(crate) fn unbind(receiver: u64, sender: u64, bits: u64) -> Outcome {
    good(call_as(receiver, regs(NOTIFICATION_UNBIND, sender, receiver, 0, bits))?)
}

pub(crate) fn set_raw(sender: u64, receiver: u64, bits: u64, flags: u64) -> Result<Regs8, Failure> {
    call_as(sender, regs(NOTIFICATION_SET, sender, receiver, flags, bits))
}

pub(crate) fn set(sender: u64, receiver: u64, bits: u64, flags: u64) -> Outcome {
    good(set_raw(sender, receiver, bits, flags)?)
}

/// Takes what is pending: from partitions, from VMs, from the framework.
pub(crate) fn get(receiver: u64, vcpu: u64, flags: u64) -> Result<[u64; 3], Failure> {
    let r = call_as(receiver, [NOTIFICATION_GET, vcpu << 16 | receiver, flags, 0, 0, 0, 0, 0])?;
    expect("x0 (FFA_SUCCESS)", r[0], SUCCESS_32)?;
    expect("x1", r[1], 0)?;
    for (x, value) in r.iter().enumerate().skip(2) {
        expect_at("upper half of x", x as u64, value >> 32, 0)?;
    }
    Ok([r[2] | r[3] << 32, r[4] | r[5] << 32, r[6] | r[7] << 32])
}

pub(crate) fn expect_got(receiver: u64, vcpu: u64, flags: u64, want: [u64; 3]) -> Outcome {
    let got = get(receiver, vcpu, flags)?;
    for (kind, (got, want)) in got.into_iter().zip(want).enumerate() {
        expect_at("pending from partitions 0, VMs 1, framework 2:", kind as u64, got, want)?;
    }
    Ok(())
}

pub(crate) fn create(vm: u64, vcpus: u64) -> Outcome {
    good(call_with(NOTIFICATION_BITMAP_CREATE, &[vm, vcpus])?)
}

pub(crate) fn destroy(vm: u64) -> Outcome {
    good(call_with(NOTIFICATION_BITMAP_DESTROY, &[vm])?)
}

/// What `FFA_NOTIFICATION_INFO_GET` says: w2, and the ids in x3 to x7.
fn info() -> Result<(u64, [u64; 5]), Failure> {
    let r = call_with(NOTIFICATION_INFO_GET_64, &[])?;
    expect("x0 (FFA_SUCCESS64)", r[0], SUCCESS_64)?;
    let [_, _, x2, ids @ ..] = r;
    Ok((x2, ids))
}

/// Expects one list: a receiver and some of its contexts, all in x3.
pub(crate) fn expect_listed(receiver: u64, vcpus: &[u64]) -> Outcome {
    let (x2, ids) = info()?;
    expect("w2 of INFO_GET: one list", x2, 1 << 7 | (vcpus.len() as u64) << 12)?;
    let want = vcpus.iter().rev().fold(0, |all, vcpu| (all | vcpu) << 16) | receiver;
    expect("x3 of INFO_GET", ids[0], want)?;
    expect("x4 of INFO_GET", ids[1], 0)
}

pub(crate) fn nothing_listed() -> Outcome {
    expect_error(&call_with(NOTIFICATION_INFO_GET_64, &[])?, NO_DATA)
}

/// Counts the schedule-receiver interrupts that this CPU takes from now on.
pub(crate) struct Interrupts(u32);

impl Interrupts {
    pub(crate) fn listen() -> Self {
        gic::enable(SCHEDULE_RECEIVER);
        Self(Self::so_far())
    }

    fn so_far() -> u32 {
        gic::COUNTS[SCHEDULE_RECEIVER as usize].load(Relaxed)
    }

    /// Expects that one came since the last time.
    pub(crate) fn came(&mut self) -> Outcome {
        time::wait_for(1000, || Self::so_far() != self.0);
        let more = Self::so_far().wrapping_sub(self.0);
        self.0 = Self::so_far();
        expect("schedule-receiver interrupts", more.into(), 1)
    }

    /// Expects that none came.
    pub(crate) fn none(&mut self) -> Outcome {
        time::wait_for(1, || false);
        expect("schedule-receiver interrupts", Self::so_far().wrapping_sub(self.0).into(), 0)
    }
}

fn features() -> Outcome {
    for fid in [
        NOTIFICATION_BITMAP_CREATE,
        NOTIFICATION_BITMAP_DESTROY,
        NOTIFICATION_BIND,
        NOTIFICATION_UNBIND,
        NOTIFICATION_SET,
        NOTIFICATION_GET,
        NOTIFICATION_INFO_GET_64,
        MSG_SEND2,
        RX_ACQUIRE,
    ] {
        expect_success(&call_with(FEATURES, &[fid])?).map_err(|f| f.at(fid))?;
    }
    for fid in [NOTIFICATION_BIND, NOTIFICATION_UNBIND, NOTIFICATION_SET, NOTIFICATION_GET, MSG_SEND2] {
        expect_success(&by(RELAY, [FEATURES, fid, 0, 0, 0, 0, 0, 0])?).map_err(|f| f.at(fid))?;
    }
    // The schedule-receiver interrupt.
    expect("number of the interrupt", expect_success(&call_with(FEATURES, &[2])?)?, SCHEDULE_RECEIVER.into())?;
    for fid in [NOTIFICATION_BITMAP_CREATE, NOTIFICATION_BITMAP_DESTROY, NOTIFICATION_INFO_GET_64, RX_ACQUIRE] {
        expect_error(&by(RELAY, [FEATURES, fid, 0, 0, 0, 0, 0, 0])?, NOT_SUPPORTED).map_err(|f| f.at(fid))?;
    }
    Ok(())
}

fn bitmaps() -> Outcome {
    let create = |vm, vcpus| call_with(NOTIFICATION_BITMAP_CREATE, &[vm, vcpus]);
    for vcpus in [0, 33, 65535, 65536, 65537, 0xffff_ffff] {
        expect_error(&create(0, vcpus)?, INVALID_PARAMETERS).map_err(|f| f.at(vcpus))?;
    }
    for id in [SPMC, ECHO, RELAY, 0xffff] {
        expect_error(&create(id, 1)?, INVALID_PARAMETERS).map_err(|f| f.at(id))?;
        expect_error(&call_with(NOTIFICATION_BITMAP_DESTROY, &[id])?, INVALID_PARAMETERS).map_err(|f| f.at(id))?;
    }
    expect_error(&call_with(NOTIFICATION_BITMAP_DESTROY, &[0])?, INVALID_PARAMETERS)?;
    good(create(0, 8)?)?;
    expect_error(&create(0, 8)?, DENIED)?;
    destroy(0)?;
    // Again and again, with what it held forgotten.
    for _ in 0..20 {
        good(create(0, 1)?)?;
        bind(0, RELAY, u64::MAX, 0)?;
        destroy(0)?;
    }
    expect_error(&set_raw(RELAY, 0, 1, 0)?, INVALID_PARAMETERS)
}

fn as_many_vms_as_there_is_room_for() -> Outcome {
    let mut made = 0;
    while made < 64 {
        let r = call_with(NOTIFICATION_BITMAP_CREATE, &[made, 1])?;
        if error_code(&r).is_some() {
            expect_error(&r, NO_MEMORY)?;
            break;
        }
        made += 1;
    }
    for vm in 0..made {
        destroy(vm)?;
    }
    expect_that("some VMs have room, and not endless ones", (8..64).contains(&made), made)
}

/// Bits of both words and the last one.
const SOME: u64 = 1 << 63 | 1 << 32 | 1 << 31 | 1;

fn partition_to_normal_world() -> Outcome {
    let mut interrupts = Interrupts::listen();
    create(0, 4)?;
    for sender in [RELAY, PERCPU] {
        bind(0, sender, SOME, 0)?;
        nothing_listed()?;
        set(sender, 0, 1 << 63, 0)?;
        interrupts.came()?;
        expect_listed(0, &[])?;
        nothing_listed()?;
        // What is pending already is not told again.
        set(sender, 0, 1 << 63, 0)?;
        interrupts.none()?;
        set(sender, 0, SOME, 0)?;
        interrupts.came()?;
        expect_listed(0, &[])?;
        expect_got(0, 0, FROM_VMS | FROM_FRAMEWORK, [0; 3])?;
        expect_got(0, 0, FROM_PARTITIONS, [SOME, 0, 0])?;
        expect_got(0, 0, FROM_PARTITIONS | FROM_VMS, [0; 3])?;
        unbind(0, sender, SOME)?;
    }
    destroy(0)
}

fn normal_world_to_partition() -> Outcome {
    let mut interrupts = Interrupts::listen();
    create(0, 4)?;
    for receiver in [RELAY, PERCPU] {
        bind(receiver, 0, SOME, 0)?;
        set(0, receiver, 1, 0)?;
        interrupts.came()?;
        set(0, receiver, SOME, 0)?;
        interrupts.came()?;
        expect_listed(receiver, &[])?;
        expect_got(receiver, 0, FROM_PARTITIONS, [0; 3])?;
        expect_got(receiver, 0, FROM_VMS, [0, SOME, 0])?;
        nothing_listed()?;
        unbind(receiver, 0, SOME)?;
    }
    destroy(0)
}

fn partition_to_partition() -> Outcome {
    let mut interrupts = Interrupts::listen();
    create(0, 4)?;
    for (sender, receiver) in [(RELAY, PERCPU), (PERCPU, RELAY)] {
        bind(receiver, sender, SOME, 0)?;
        set(sender, receiver, SOME, 0)?;
        interrupts.came()?;
        expect_listed(receiver, &[])?;
        // Bound to one sender, the bits are nobody else's.
        expect_error(&set_raw(0, receiver, 1, 0)?, DENIED)?;
        expect_got(receiver, 0, FROM_PARTITIONS | FROM_VMS, [SOME, 0, 0])?;
        unbind(receiver, sender, SOME)?;
    }
    destroy(0)
}

/// The hypervisor speaks for its VMs.
fn for_a_vm() -> Outcome {
    create(VM, 2)?;
    good(call(regs(NOTIFICATION_BIND, RELAY, VM, 0, 0b11))?)?;
    set(RELAY, VM, 0b10, DELAY)?;
    expect_listed(VM, &[])?;
    bind(RELAY, VM, 0b100, 0)?;
    // Its own bit, not the primary endpoint's.
    expect_error(&set_raw(0, RELAY, 0b100, 0)?, DENIED)?;
    good(call(regs(NOTIFICATION_SET, VM, RELAY, 0, 0b100))?)?;
    expect_listed(RELAY, &[])?;
    expect_got(RELAY, 0, FROM_VMS, [0, 0b100, 0])?;
    expect_got(VM, 1, FROM_PARTITIONS, [0b10, 0, 0])?;
    unbind(RELAY, VM, 0b100)?;
    destroy(VM)
}

pub(crate) fn to_vcpu(vcpu: u64) -> u64 {
    vcpu << 16 | PER_VCPU
}

fn per_vcpu() -> Outcome {
    let mut interrupts = Interrupts::listen();
    create(0, 4)?;
    bind(PERCPU, 0, 0b110, PER_VCPU)?;
    bind(PERCPU, 0, 0b001, 0)?;
    set(0, PERCPU, 0b010, to_vcpu(0))?;
    interrupts.came()?;
    set(0, PERCPU, 0b100, to_vcpu(7))?;
    interrupts.came()?;
    set(0, PERCPU, 0b110, to_vcpu(3))?;
    interrupts.came()?;
    expect_listed(PERCPU, &[0, 3, 7])?;
    nothing_listed()?;
    set(0, PERCPU, 0b001, 0)?;
    interrupts.came()?;
    expect_listed(PERCPU, &[])?;
    // The global one goes to whoever asks first.
    expect_got(PERCPU, 3, FROM_VMS, [0, 0b111, 0])?;
    expect_got(PERCPU, 0, FROM_VMS, [0, 0b010, 0])?;
    expect_got(PERCPU, 1, FROM_VMS, [0; 3])?;
    expect_got(PERCPU, 7, FROM_VMS, [0, 0b100, 0])?;
    unbind(PERCPU, 0, 0b111)?;
    destroy(0)
}

fn per_vcpu_of_the_normal_world() -> Outcome {
    create(0, 4)?;
    bind(0, RELAY, 0b11, PER_VCPU)?;
    for vcpu in 0..4 {
        set(RELAY, 0, 0b11, to_vcpu(vcpu) | DELAY)?;
        expect_listed(0, &[vcpu])?;
    }
    expect_error(&set_raw(RELAY, 0, 0b11, to_vcpu(4))?, INVALID_PARAMETERS)?;
    for vcpu in [2, 0, 3, 1] {
        expect_got(0, vcpu, FROM_PARTITIONS, [0b11, 0, 0])?;
    }
    unbind(0, RELAY, 0b11)?;
    destroy(0)
}

/// Eight contexts are three lists in 64 bits; in 32 bits they take two calls.
fn lists_that_do_not_fit() -> Outcome {
    create(0, 4)?;
    bind(PERCPU, 0, 1, PER_VCPU)?;
    let all = || (0..8).try_for_each(|vcpu| set(0, PERCPU, 1, to_vcpu(vcpu)));
    let clear = || (0..8).try_for_each(|vcpu| expect_got(PERCPU, vcpu, FROM_VMS, [0, 1, 0]));
    all()?;
    let (x2, ids) = info()?;
    expect("w2 of INFO_GET: lists of 3, 3, 2", x2, 3 << 7 | 0b10_11_11 << 12)?;
    let want = [0x0002_0001_0000_8003, 0x0005_0004_0003_8003, 0x0007_0006_8003, 0, 0];
    for (x, (got, want)) in ids.into_iter().zip(want).enumerate() {
        expect_at("INFO_GET: x", x as u64 + 3, got, want)?;
    }
    clear()?;
    all()?;
    let r = call_with(NOTIFICATION_INFO_GET_32, &[])?;
    expect("x0 (FFA_SUCCESS32)", r[0], SUCCESS_32)?;
    expect("w2: more to come, lists of 3, 3, 1", r[2], 1 | 3 << 7 | 0b01_11_11 << 12)?;
    let want = [0x0000_8003, 0x0002_0001, 0x0003_8003, 0x0005_0004, 0x0006_8003];
    for (x, want) in want.into_iter().enumerate() {
        expect_at("INFO_GET: w", x as u64 + 3, r[x + 3], want)?;
    }
    expect_listed(PERCPU, &[7])?;
    nothing_listed()?;
    clear()?;
    unbind(PERCPU, 0, 1)?;
    destroy(0)
}

/// The interrupt comes when the Normal world runs again; the partition that signals is not preempted by it.
fn delayed_interrupt() -> Outcome {
    let mut interrupts = Interrupts::listen();
    create(0, 4)?;
    bind(0, RELAY, 0b11, 0)?;
    for _ in 0..3 {
        let [x0, x1, x2, x3, x4, ..] = regs(NOTIFICATION_SET, RELAY, 0, DELAY, 0b01);
        ask(RELAY, command::STAGE, [3, x3, x4, 0])?;
        interrupts.none()?;
        let r = direct64(RELAY, [command::CALL, 0, x0, x1, x2])?;
        expect("x0 (a response)", r[0], DIRECT_RESP_64)?;
        expect("x0 of NOTIFICATION_SET", words(&r, RELAY)?[1], SUCCESS_32)?;
        interrupts.came()?;
        // What is pending already brings no other one.
        set(RELAY, 0, 0b01, 0)?;
        interrupts.none()?;
        set(RELAY, 0, 0b10, 0)?;
        interrupts.came()?;
        expect_listed(0, &[])?;
        expect_got(0, 0, FROM_PARTITIONS, [0b11, 0, 0])?;
    }
    unbind(0, RELAY, 0b11)?;
    destroy(0)
}

fn no_interrupt_without_a_bitmap() -> Outcome {
    let mut interrupts = Interrupts::listen();
    bind(PERCPU, RELAY, 1, 0)?;
    bind(RELAY, 0, 1, 0)?;
    set(RELAY, PERCPU, 1, 0)?;
    set(0, RELAY, 1, 0)?;
    interrupts.none()?;
    expect_got(PERCPU, 0, FROM_PARTITIONS | FROM_VMS, [1, 0, 0])?;
    expect_got(RELAY, 0, FROM_PARTITIONS | FROM_VMS, [0, 1, 0])?;
    unbind(PERCPU, RELAY, 1)?;
    unbind(RELAY, 0, 1)
}

/// EL3 sets the interrupt up anew on each CPU that comes on: it stays the Normal world's all the same.
fn interrupt_on_a_cpu_that_comes_on_later() -> Outcome {
    if cpus::count() < 2 {
        return Ok(());
    }
    create(0, 8)?;
    bind(0, PERCPU, 1, 0)?;
    for _ in 0..2 {
        cpus::start(1, |_| {
            let mut interrupts = Interrupts::listen();
            set(PERCPU, 0, 1, 0)?;
            interrupts.came()
        })?;
        cpus::join(1, 5000)?;
        expect_listed(0, &[])?;
        expect_got(0, 0, FROM_PARTITIONS, [1, 0, 0])?;
    }
    unbind(0, PERCPU, 1)?;
    destroy(0)
}

static MEETING: AtomicU32 = AtomicU32::new(0);

/// Each CPU signals to its own context of percpu, and to the Normal world by it, again and again.
fn none_is_lost_between_cpus() -> Outcome {
    gic::disable(SCHEDULE_RECEIVER);
    create(0, 8)?;
    bind(PERCPU, 0, 0xff, PER_VCPU)?;
    bind(0, PERCPU, 0xff00, PER_VCPU)?;
    MEETING.store(0, Release);
    let outcome = cpus::on_all(cpus::count(), if mode::long() { 120_000 } else { 30_000 }, |cpu| {
        gic::disable(SCHEDULE_RECEIVER);
        cpus::meet(&MEETING, cpus::count() as u32)?;
        for _ in 0..if mode::long() { 2000 } else { 30 } {
            set(0, PERCPU, 1 << cpu, to_vcpu(cpu))?;
            expect_got(PERCPU, cpu, FROM_VMS, [0, 1 << cpu, 0])?;
            set(PERCPU, 0, 0x100 << cpu, to_vcpu(cpu))?;
            expect_got(0, cpu, FROM_PARTITIONS, [0x100 << cpu, 0, 0])?;
        }
        Ok(())
    });
    gic::enable(SCHEDULE_RECEIVER);
    outcome?;
    unbind(PERCPU, 0, 0xff)?;
    unbind(0, PERCPU, 0xff00)?;
    nothing_listed()?;
    destroy(0)
}
