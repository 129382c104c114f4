// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory calls from bytes, for fuzzing: the Normal world and three partitions, each with its mailbox, make any call
//! with any arguments and any message.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ffa_abi::{Func, PartitionId, Regs, Version};

use super::SimMachine;
use super::world::{self, NORMAL_RAM, Spec};
use crate::mailbox::Pair;
use crate::manifest::{MemoryKind, MemoryRange, RoutingPolicy};
use crate::memory::{Caller, Memory};
use crate::partition::{Entered, Partition};
use crate::routing::Routing;
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space, Spmc};

const PARTITIONS: u16 = 3;
const FUNCS: [Func; 10] = [
    Func::MemShare,
    Func::MemLend,
    Func::MemDonate,
    Func::MemRetrieveReq,
    Func::MemRelinquish,
    Func::MemReclaim,
    Func::MemFragTx,
    Func::MemFragRx,
    Func::MemPermGet,
    Func::MemPermSet,
];

/// A list of calls, as bytes.
pub struct Script<'a> {
    input: Input<'a>,
    machine: &'static SimMachine,
    spmc: Box<Spmc<SimMachine>>,
    /// Handles that were given out, so that later calls can name them.
    handles: Vec<u64>,
}

/// Bytes that are read from the front; past the end there are zeros.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl Input<'_> {
    pub(super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(b, rest)| (*b, rest));
        self.0 = rest;
        first
    }

    pub(super) fn word(&mut self) -> u64 {
        (0..4).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    /// Picks one of the handles that were given out, or makes one up.
    fn handle(&mut self, handles: &[u64]) -> u64 {
        let which = usize::from(self.byte());
        handles.get(which % handles.len().max(1)).copied().unwrap_or(which as u64)
    }
}

/// Makes a message: a mode byte, then either raw bytes or a v1.1 transaction descriptor with one receiver, up to three
/// ranges, and a few fields taken from the input.
pub(super) fn descriptor(input: &mut Input<'_>, who: u16, handles: &[u64]) -> Vec<u8> {
    let mode = input.byte();
    if mode & 1 != 0 {
        let n = usize::from(input.byte()).min(input.0.len());
        let (message, rest) = input.0.split_at(n);
        input.0 = rest;
        return message.to_vec();
    }
    let receiver = 0x8001 + u64::from(input.byte()) % 4;
    let (flags, permissions) = (u64::from(input.byte()), u64::from(input.byte()));
    let handle = if mode & 2 != 0 { input.handle(handles) } else { 0 };
    let sender = if who == 0 { 0 } else { 0x8000 + u64::from(who) };
    let sender = if mode & 4 != 0 { u64::from(input.byte()) % 4 + 0x8000 } else { sender };
    let attributes = if mode & 8 != 0 { 0x2f } else { 0 };
    let ranges = u64::from(mode >> 4) % 4;
    let composite = if ranges == 0 { 0 } else { 64 };
    let mut words = alloc::vec![
        sender | attributes << 16 | flags << 32,
        handle,
        0,
        16 | 1 << 32,
        48,
        0,
        receiver | permissions << 16 | composite << 32,
        0,
    ];
    if ranges != 0 {
        let mut pages = 0;
        let at = words.len();
        words.extend([0, 0]);
        for _ in 0..ranges {
            let (page, count) = (u64::from(input.byte()), u64::from(input.byte() % 16));
            let base = if who == 0 { NORMAL_RAM.0 } else { world::base(who - 1) };
            words.extend([base + page * PAGE_SIZE, count]);
            pages += count;
        }
        words[at] = pages | ranges << 32;
    }
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

pub(super) fn pair(who: u16) -> Pair {
    let (space, at) = match who.checked_sub(1) {
        None => (Space::NonSecure, NORMAL_RAM.0 + NORMAL_RAM.1 - 4 * PAGE_SIZE),
        Some(n) => (Space::Secure, world::base(n) + (world::PARTITION_PAGES - 2) * PAGE_SIZE),
    };
    Pair { space, tx: Pa(at), rx: Pa(at + PAGE_SIZE), len: PAGE_SIZE }
}

impl<'a> Script<'a> {
    /// Builds the endpoints on a machine that has nothing else to do, and reads their versions from the first byte; the
    /// rest is for [`Script::play`].
    pub fn new(machine: &'static SimMachine, bytes: &'a [u8]) -> Self {
        machine.reset();
        let (first, bytes) = bytes.split_first().map_or((0, bytes), |(b, rest)| (*b, rest));
        let version = |shift: u8| [0x1_0000, 0x1_0001, 0x1_0002][usize::from(first >> shift & 3) % 3];
        let list: Vec<_> = (0..PARTITIONS).map(|n| world::partition(machine, n, &Spec::default())).collect();
        for p in &list {
            p.version.negotiate(version(2)).expect("a version that exists");
            p.mailbox.lock().map(pair(p.index as u16 + 1)).expect("nothing is mapped");
        }
        let ram = MemoryRange { kind: MemoryKind::NonSecure, base: Pa(NORMAL_RAM.0), size: NORMAL_RAM.1 };
        let order = (0..PARTITIONS as u8).collect();
        let routing = Routing::new(&RoutingPolicy::default(), Some);
        let memory = Memory::new(machine, 32).expect("the pool is large enough");
        let (list, map) = (list.leak(), alloc::vec![ram].leak());
        let spmc = Box::new(Spmc::new(machine, PartitionId::SPMC, list, order, map, routing, memory));
        spmc.normal.version.negotiate(version(0)).expect("a version that exists");
        spmc.normal.mailbox.lock().map(pair(0)).expect("nothing is mapped");
        Self { input: Input(bytes), machine, spmc, handles: Vec::new() }
    }

    fn partition(&self, n: u16) -> &Partition<SimMachine> {
        self.spmc.partitions.get(n.into()).expect("it exists")
    }

    /// Makes the calls, one after the other.
    pub fn play(&mut self) {
        while !self.input.0.is_empty() {
            let who = u16::from(self.input.byte()) % (PARTITIONS + 1);
            let func = FUNCS[usize::from(self.input.byte()) % FUNCS.len()];
            let len = self.message(who);
            self.call(who, func, len);
            self.look();
        }
    }

    /// Puts a message in the TX buffer; returns its length.
    fn message(&mut self, who: u16) -> u64 {
        let bytes = descriptor(&mut self.input, who, &self.handles);
        self.machine.write(pair(who).space, pair(who).tx, &bytes).expect("the buffer is memory");
        bytes.len() as u64
    }

    fn handle(&mut self) -> u64 {
        self.input.handle(&self.handles)
    }

    fn call(&mut self, who: u16, func: Func, len: u64) {
        let mut regs = Regs::ZERO;
        regs.x[0] = if func.has64() { func.id64() } else { func.id32() }.into();
        match func {
            Func::MemReclaim | Func::MemFragRx | Func::MemFragTx => {
                let handle = self.handle();
                let last = u64::from(self.input.byte());
                regs.x[1..4].copy_from_slice(&[handle & 0xffff_ffff, handle >> 32, if last > 64 { len } else { last }]);
            }
            Func::MemPermGet | Func::MemPermSet => {
                regs.x[1..4].copy_from_slice(&[self.input.word() << 12, self.input.word(), self.input.byte().into()]);
            }
            _ => {
                let total = if self.input.byte() & 3 == 0 { self.input.word() & 0xffff } else { len };
                regs.x[1..3].copy_from_slice(&[total, len]);
            }
        }
        let caller = match who.checked_sub(1) {
            None => Caller::Normal,
            Some(n) => Caller::Partition(self.partition(n)),
        };
        if self.spmc.memory_call(caller, func, Entered::Init, &mut regs).is_ok() {
            let fid = regs.fid();
            if fid == Func::Success.id32() && matches!(func, Func::MemShare | Func::MemLend | Func::MemDonate) {
                self.handles.push(regs.x[2] | regs.x[3] << 32);
            } else if fid == Func::MemFragRx.id32() {
                self.handles.push(regs.x[1] | regs.x[2] << 32);
            }
        }
        let mailbox = match who.checked_sub(1) {
            None => &self.spmc.normal.mailbox,
            Some(n) => &self.partition(n).mailbox,
        };
        mailbox.lock().release_if_owned();
    }

    /// Lets every partition touch a few pages, so that the TLB holds something that could be stale.
    fn look(&self) {
        for n in 0..PARTITIONS {
            let roots = self.partition(n).roots;
            for page in 0..4 {
                for other in 0..PARTITIONS {
                    let at = Ipa(world::base(other) + page * PAGE_SIZE);
                    self.machine.translate(&roots, Space::Secure, at);
                }
                self.machine.translate(&roots, Space::NonSecure, Ipa(NORMAL_RAM.0 + page * PAGE_SIZE));
            }
        }
    }

    /// Returns the version of the Normal world, for a test of the script itself.
    pub fn version(&self) -> Version {
        self.spmc.normal.version.get()
    }

    /// Counts the transactions that were opened.
    pub fn opened(&self) -> usize {
        self.handles.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_seed_opens_a_transaction_and_closes_it() {
        // Version 1.1; the Normal world shares page 3 with the first partition; reclaims it.
        let seed = [1, 0, 0, 0x18, 0, 0, 2, 3, 1, 1, 0, 5, 1, 0, 0, 0];
        let mut script = Script::new(SimMachine::leaked(128), &seed);
        assert_eq!(script.version(), Version::V1_1);
        script.play();
        assert_eq!(script.opened(), 1);
    }

    #[test]
    fn random_scripts_survive() {
        let machine = SimMachine::leaked(128);
        let mut word = 0x1234_5678_9abc_def1u64;
        for _ in 0..200 {
            let bytes: Vec<u8> = (0..200)
                .map(|_| {
                    word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (word >> 56) as u8
                })
                .collect();
            Script::new(machine, &bytes).play();
        }
    }
}
