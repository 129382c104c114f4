// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences of calls from bytes, for fuzzing: a whole system on two CPUs, where the Normal world makes any call, and
//! whoever runs makes any call, is interrupted, waits or faults.

use alloc::vec::Vec;

use ffa_abi::Regs;

use super::SimMachine;
use super::memory::{Input, descriptor, pair};
use super::world::{Spec, World, wait};
use crate::manifest::{AbortAction, OtherSecureInterruptAction, PowerMessages, RoutingPolicy, VmAvailability};
use crate::{Exit, KICK, Next, PAGE_SIZE, Port, Spmc, State};

const CPUS: usize = 2;
/// The device interrupt of the second partition.
const DEVICE: u32 = 40;
/// Where the first FF-A function is; 64 more follow that anything could be asked of.
const FIRST: u64 = 0x8400_0060;

/// Words that calls are made of, beside small numbers: identifiers alone and in pairs, flags, addresses, extremes.
const WORDS: [u64; 32] = [
    0x8000,
    0x8001,
    0x8002,
    0x8003,
    0x7fff,
    0xffff,
    0x8001_0000,
    0x8002_0000,
    0x8003_0000,
    0x8001_8002,
    0x8002_8001,
    0x8002_8003,
    0x8003_8002,
    0x8001_8001,
    0x8000_8001,
    0x1_8001,
    0x8003_0001,
    0x1_0000,
    0x1_0001,
    0x1_0002,
    0x8400_006f,
    0xc400_006f,
    0x8000_0000,
    0x8000_0100,
    super::world::NORMAL_RAM.0,
    super::world::NORMAL_RAM.0 + PAGE_SIZE,
    super::world::PARTITION_BASE,
    super::world::PARTITION_BASE + PAGE_SIZE,
    0xffff_ffff,
    1 << 32,
    1 << 63,
    u64::MAX,
];

fn specs() -> [Spec; 3] {
    [
        Spec { abort: AbortAction::Restart, ..Spec::default() },
        Spec {
            interrupts: alloc::vec![DEVICE],
            other_interrupts: OtherSecureInterruptAction::Signalled,
            vms: VmAvailability::all(),
            ..Spec::default()
        },
        Spec { contexts: CPUS as u16, power: PowerMessages::all(), abort: AbortAction::Destroy, ..Spec::default() },
    ]
}

/// A list of steps, as bytes, and the system that they are taken on.
pub struct Script<'a> {
    input: Input<'a>,
    world: World,
    /// The registers of each CPU that is in a partition.
    at: [Option<Regs>; CPUS],
    handles: Vec<u64>,
    steps: usize,
}

impl<'a> Script<'a> {
    /// Boots the system on a machine that has nothing else to do. The first byte says what version the Normal world
    /// speaks, and who has mapped buffers already; the rest is for [`Script::play`].
    pub fn new(machine: &'static SimMachine, bytes: &'a [u8]) -> Self {
        machine.reset();
        let mut input = Input(bytes);
        let first = input.byte();
        let mut world = World::cold_on(machine, 32, &specs(), CPUS, RoutingPolicy::default(), None);
        for cpu in 0..CPUS {
            world.start(cpu, &mut |_, _, regs| wait(regs));
        }
        if let Some(version) = [None, Some(0x1_0000), Some(0x1_0001), Some(0x1_0002)][first as usize % 4] {
            world.spmc.normal.version.negotiate(version).expect("a version that exists");
        }
        let mailboxes = core::iter::once(&world.spmc.normal.mailbox).chain(world.spmc.partitions().map(|p| &p.mailbox));
        for (who, mailbox) in (0..).zip(mailboxes) {
            if first & 4 << who != 0 {
                mailbox.lock().map(pair(who)).expect("nothing is mapped");
            }
        }
        Self { input, world, at: [None; CPUS], handles: Vec::new(), steps: 0 }
    }

    /// Returns the system, which lives until its user takes it down.
    pub fn spmc(&self) -> &'static Spmc<SimMachine> {
        self.world.spmc
    }

    /// Counts the steps that were taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Takes the steps, one after the other.
    pub fn play(&mut self) {
        while !self.input.0.is_empty() {
            self.step();
            self.steps += 1;
            self.check();
        }
    }

    fn step(&mut self) {
        let first = self.input.byte();
        let cpu = first as usize % CPUS;
        match first >> 1 & 0xf {
            0 => self.message(),
            1 => self.interrupt(),
            _ => self.act(cpu),
        }
    }

    /// Puts a message into somebody's TX buffer.
    fn message(&mut self) {
        let who = u16::from(self.input.byte()) % 4;
        let pair = pair(who);
        let bytes = descriptor(&mut self.input, who, &self.handles);
        self.world.machine.write(pair.space, pair.tx, &bytes).expect("the buffer is memory");
    }

    /// Makes an interrupt arrive.
    fn interrupt(&mut self) {
        let which = self.input.byte();
        let intid = [DEVICE, KICK, DEVICE + 1, u32::from(which)][which as usize % 4];
        self.world.machine.gic.lock().expect("nobody panicked").pending.push(intid);
    }

    /// Lets a CPU go on: with a call of the Normal world, or with whatever the partition that it runs does.
    fn act(&mut self, n: usize) {
        let how = self.input.byte();
        let mut regs = self.at[n].unwrap_or(Regs::ZERO);
        let inside = self.at[n].is_some();
        let exit = match how {
            0xf0..=0xf3 => Exit::NormalInterrupt,
            0xf4..=0xf7 => Exit::SecureInterrupt,
            0xf8..=0xfb => Exit::Wait,
            0xfc..=0xff => Exit::Fault,
            _ => {
                self.fill(how, &mut regs);
                if how & 7 == 7 { Exit::Hvc } else { Exit::Smc }
            }
        };
        if !inside && exit == Exit::Fault {
            return;
        }
        self.world.machine.cpu.store(n, core::sync::atomic::Ordering::Relaxed);
        let cpu = &mut self.world.cpus[n];
        let spmc = self.world.spmc;
        let next = match cpu.current().filter(|_| inside) {
            Some(context) => spmc.on_partition_exit(cpu, context, exit, &mut regs),
            None => spmc.on_normal_world(cpu, &mut regs),
        };
        self.note(&regs);
        self.at[n] = match next {
            Next::Reply => None,
            Next::Run(_) => Some(regs),
        };
    }

    /// Makes up a call: an answer to what was asked last, or any function with any words.
    fn fill(&mut self, how: u8, regs: &mut Regs) {
        let func = u64::from(self.input.byte());
        if how & 0x18 == 0x18 && matches!(regs.x[0] as u32, 0x8400_006f | 0xc400_006f) {
            // The answer that whoever asked waits for, now and then with one word changed.
            regs.x[0] += 1;
            regs.x[1] = regs.x[1] << 16 & 0xffff_0000 | regs.x[1] >> 16 & 0xffff;
            if how & 0x20 != 0 {
                regs.x[func as usize % 8] = self.word();
            }
            return;
        }
        // 0x40: the wide form; 0x80: with SMCCC's hint that no SVE state is in use.
        regs.x[0] = FIRST + (func & 0x3f) | (func & 0x40) << 24 | (func & 0x80) << 9;
        if how & 0x18 == 0x10 {
            regs.x[0] = self.word();
        }
        for i in 1..6 {
            regs.x[i] = self.word();
        }
        regs.x[6] = 0;
        regs.x[7] = 0;
    }

    fn word(&mut self) -> u64 {
        let byte = self.input.byte();
        match byte {
            0..=0x3f => byte.into(),
            0x40..=0x5f => WORDS[usize::from(byte & 0x1f)],
            0x60..=0x6f => pair(u16::from(byte & 3)).tx.0 + u64::from(byte >> 2 & 3) * (PAGE_SIZE / 2),
            0x70..=0x7f => {
                let which = usize::from(byte & 7) % self.handles.len().max(1);
                let handle = self.handles.get(which).copied().unwrap_or_default();
                if byte & 8 == 0 { handle & 0xffff_ffff } else { handle >> 32 }
            }
            // A length, mostly of one page or of a descriptor.
            0x80..=0x8f => [PAGE_SIZE, 64, 80, 96, 112, 128, 4095, 48][usize::from(byte) % 8],
            0x90..=0xbf => 1 << (byte & 0x3f),
            0xc0..=0xff => self.input.word(),
        }
    }

    /// Keeps the handle of an answer, so that later calls can name it.
    fn note(&mut self, regs: &Regs) {
        let [x0, _, x2, x3, ..] = regs.x;
        if x0 as u32 == 0x8400_0061 && x3 >> 31 & 1 == 1 && self.handles.len() < 8 {
            self.handles.push(x2 | x3 << 32);
        }
    }

    /// Asserts what holds after every step: nobody is in two places, and who waits is waited for by nobody else.
    fn check(&self) {
        let [a, b] = [0, 1].map(|cpu| self.world.cpus[cpu].current().map(|c| (c.partition, c.vcpu)));
        assert!(a.is_none() || a != b, "two CPUs in {a:?}");
        for (cpu, regs) in self.world.cpus.iter().zip(&self.at) {
            assert_eq!(cpu.current().is_some(), regs.is_some(), "a CPU and what it was told disagree");
        }
        for partition in self.world.spmc.partitions() {
            for context in partition.contexts().iter().filter(|c| c.state() == State::Blocked) {
                let callee = self.world.spmc.partitions.context(context.callee());
                let callee = callee.expect("a Blocked context has a callee");
                let mine = callee.call().caller() == context.link();
                assert!(mine, "{callee:?} would answer somebody else");
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_seed_asks_a_partition_which_answers() {
        // CPU 0: the second word of a direct request is the partition; then CPU 0 answers.
        let seed = [0, 4, 0, 0x0f, 0x41, 0, 5, 6, 7, 4, 0x18, 0];
        let mut script = Script::new(SimMachine::leaked(128), &seed);
        script.play();
        assert_eq!(script.steps(), 2);
        assert!(script.at.iter().all(Option::is_none), "the answer went to the Normal world");
        assert_eq!(script.world.partition(0).contexts()[0].state(), State::Idle);
    }

    #[test]
    fn the_scripts_that_fuzzing_found_survive() {
        let machine = SimMachine::leaked(128);
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/calls");
        let mut steps = 0;
        for file in std::fs::read_dir(corpus).expect("the corpus is there") {
            let bytes = std::fs::read(file.expect("an entry").path()).expect("a file");
            let mut script = Script::new(machine, &bytes);
            script.play();
            steps += script.steps();
        }
        assert!(steps > 1000, "the corpus took {steps} steps");
    }

    #[test]
    fn random_scripts_survive() {
        let machine = SimMachine::leaked(128);
        let mut word = 0x1234_5678_9abc_def1u64;
        for _ in 0..if cfg!(miri) { 2 } else { 2000 } {
            let bytes: Vec<u8> = (0..300)
                .map(|_| {
                    word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (word >> 56) as u8
                })
                .collect();
            Script::new(machine, &bytes).play();
        }
    }
}
