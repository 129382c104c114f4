// SPDX-License-Identifier: MIT OR Apache-2.0
//! The BL33 test suite. Each file here is a group of cases; `README.md` says how to add one.
#![no_std]
#![no_main]

mod absent;
mod cards;
mod death;
mod direct;
mod features;
mod hostile;
mod hub;
mod indirect;
mod info;
mod interrupt;
mod managed;
mod memory;
mod memory_bad;
mod memory_smp;
mod notify;
mod notify_bad;
mod partition;
mod post;
mod power;
mod preempt;
mod regs;
mod restart;
mod run;
mod rxtx;
mod smp;
mod stress;
mod timer;
mod versions;
mod virq;

use bl33::harness::{self, Case};
use bl33::{cpus, mode, println};

core::arch::global_asm!(include_str!("../asm/case.S"), include_str!("cases.S"), options(raw));

bl33::entry!(suite);

/// The groups, in the order in which they run; the cases in assembly come first.
const GROUPS: &[&[Case]] = &[
    features::CASES,
    rxtx::CASES,
    info::CASES,
    direct::CASES,
    run::CASES,
    partition::CASES,
    preempt::CASES,
    interrupt::CASES,
    notify::CASES,
    notify_bad::CASES,
    indirect::CASES,
    virq::CASES,
    timer::CASES,
    regs::CASES,
    hostile::CASES,
    memory::CASES,
    memory_bad::CASES,
    smp::CASES,
    memory_smp::CASES,
    power::CASES,
    versions::CASES,
    absent::CASES,
    death::CASES,
    restart::CASES,
    cards::CASES,
    hub::CASES,
    managed::CASES,
    post::CASES,
    stress::CASES,
];

fn suite() {
    println!("# {} CPUs, {} suite", cpus::count(), mode::name());
    harness::run_asm();
    for group in GROUPS {
        harness::run(group);
    }
    harness::finish()
}
