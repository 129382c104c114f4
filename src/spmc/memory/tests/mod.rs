// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory management on the simulated machine: a Normal world and three partitions.

#[cfg(not(loom))]
mod calls;
#[cfg(not(loom))]
mod failure;
#[cfg(not(loom))]
mod misuse;
#[cfg(not(loom))]
mod model;
#[cfg(loom)]
mod races_under_loom;
#[cfg(not(loom))]
mod refusals;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use ffa_abi::memory::{
    Access, Attributes as WireAttributes, Data, Flags, Form, Instruction, Permissions, Range, Relinquish,
    ResponseWriter,
};
use ffa_abi::{Error, Func, Handle, PartitionId, Regs, Version};

use super::{Caller, Kind, Memory};
use crate::mailbox::Pair;
use crate::manifest::{MemoryKind, MemoryRange, RoutingPolicy, name};
use crate::partition::{Entered, Identity, Partition, Properties};
use crate::routing::Routing;
use crate::sim::{SimMachine, world};
use crate::stage2::{Access as PageAccess, Attributes, MemoryType, Stage2, Tag};
use crate::{Ipa, PAGE_SIZE, Pa, Port, Space, Spmc, Vmid};

/// The endpoints: the Normal world first.
pub(super) const IDS: [u16; 4] = [0, 0x8001, 0x8002, 0x8003];
/// The Normal world's memory.
const NW: u64 = base(0);
/// Pages that each endpoint owns, from [`base`] on: two blocks and a little more.
pub(super) const OWN: u64 = 1024 + 16;
/// Pages of Normal-world RAM before its own window ends: the same number, so that all windows look alike.
pub(super) const DEVICE: u64 = 0x0900_0000;
const BUFFERS: u64 = 0x100_0000;

/// Where the memory of an endpoint begins; 2 MiB aligned.
pub(super) const fn base(who: usize) -> u64 {
    if who == 0 { 0x4000_0000 } else { 0x8000_0000 + (who as u64) * 0x1000_0000 }
}

pub(super) const fn space(who: usize) -> Space {
    if who == 0 { Space::NonSecure } else { Space::Secure }
}

pub(super) const fn buffers(who: usize) -> Pair {
    let at = base(who) + BUFFERS;
    Pair { space: space(who), tx: Pa(at), rx: Pa(at + 0x1000), len: 0x1000 }
}

pub(super) fn perms(data: Data) -> Permissions {
    Permissions { data, instruction: Instruction::NotSpecified }
}

/// What a retrieve response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Retrieved {
    pub(super) sender: u16,
    pub(super) flags: u32,
    pub(super) tag: u64,
    pub(super) non_secure: bool,
    pub(super) accesses: Vec<Access>,
    pub(super) ranges: Vec<(u64, u32)>,
}

/// A descriptor to send.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) kind: Kind,
    pub(super) receivers: Vec<(u16, Permissions)>,
    pub(super) ranges: Vec<(u64, u32)>,
    pub(super) flags: u32,
    pub(super) tag: u64,
    pub(super) impdef: [u64; 2],
}

impl Sending {
    pub(super) fn new(kind: Kind, receivers: &[usize], ranges: &[(u64, u32)]) -> Self {
        let data = if kind == Kind::Donate { Data::NotSpecified } else { Data::ReadWrite };
        Self {
            kind,
            receivers: receivers.iter().map(|&r| (IDS[r], perms(data))).collect(),
            ranges: ranges.to_vec(),
            flags: 0,
            tag: 7,
            impdef: [0; 2],
        }
    }
}

pub(super) struct World {
    pub(super) m: &'static SimMachine,
    /// Not on the stack: loom's are small.
    pub(super) spmc: Box<Spmc<SimMachine>>,
}

impl World {
    pub(super) fn new(m: &'static SimMachine, capacity: usize) -> Self {
        Self::with_policy(m, capacity, &RoutingPolicy::default())
    }

    pub(super) fn with_policy(m: &'static SimMachine, capacity: usize, policy: &RoutingPolicy) -> Self {
        let list: Vec<_> = (1..IDS.len()).map(|who| partition(m, who)).collect();
        let ram = MemoryRange { kind: MemoryKind::NonSecure, base: Pa(base(0)), size: 0x1000_0000 };
        let order = (0..list.len() as u8).collect();
        let memory = Memory::new(m, capacity).unwrap();
        let routing = Routing::new(policy, Some);
        let spmc = Box::new(Spmc::new(m, PartitionId::SPMC, list.leak(), order, vec![ram].leak(), routing, memory));
        spmc.normal.mailbox.lock().map(buffers(0)).unwrap();
        Self { m, spmc }
    }

    pub(super) fn partition(&self, who: usize) -> &Partition<SimMachine> {
        self.spmc.partitions.find(PartitionId(IDS[who])).unwrap()
    }

    pub(super) fn caller(&self, who: usize) -> Caller<'_, SimMachine> {
        if who == 0 { Caller::Normal } else { Caller::Partition(self.partition(who)) }
    }

    pub(super) fn set_version(&self, who: usize, version: Version) {
        let negotiated = if who == 0 { &self.spmc.normal.version } else { &self.partition(who).version };
        negotiated.negotiate(version.bits()).unwrap();
    }

    pub(super) fn version(&self, who: usize) -> Version {
        self.spmc.version_of(&self.caller(who))
    }

    /// Returns all tables to the pool.
    pub(super) fn destroy(self) {
        for p in self.spmc.partitions() {
            p.stage2.lock().clone().destroy(self.m);
        }
        self.spmc.memory.tracking.lock().clone().destroy(self.m);
    }

    pub(super) fn call(&self, who: usize, func: Func, args: &[u64]) -> Result<[u64; 8], Error> {
        let mut regs = Regs::ZERO;
        regs.x[0] = func.id32().into();
        regs.x[1..=args.len()].copy_from_slice(args);
        self.spmc.memory_call(self.caller(who), func, Entered::Run, &mut regs).map_err(|r| r.code())?;
        Ok(*regs.x.first_chunk().unwrap())
    }

    pub(super) fn tx(&self, who: usize, bytes: &[u8]) {
        let pair = buffers(who);
        self.m.write(pair.space, pair.tx, bytes).unwrap();
    }

    pub(super) fn rx(&self, who: usize, len: usize) -> Vec<u8> {
        let pair = buffers(who);
        let mut out = vec![0; len];
        self.m.read(pair.space, pair.rx, &mut out).unwrap();
        out
    }

    pub(super) fn release_rx(&self, who: usize) {
        self.spmc.mailbox_of(&self.caller(who)).lock().release().unwrap();
    }

    /// Lays a descriptor out in the form of the sender's version.
    pub(super) fn lay(&self, who: usize, s: &Sending) -> Vec<u8> {
        let form = Form::of(self.version(who));
        let mut out = vec![0; 64 + 32 * s.receivers.len() + 16 * s.ranges.len()];
        let mut w = ResponseWriter::new(&mut out);
        let open = s.kind == Kind::Donate || s.kind == Kind::Lend && s.receivers.len() == 1;
        let attributes = if open { 0 } else { WireAttributes::normal_bits(false) };
        let count = s.receivers.len();
        w.header(form, PartitionId(IDS[who]), attributes, Flags(s.flags), Handle(0), s.tag, count as u32).unwrap();
        for &(id, permissions) in &s.receivers {
            let composite = form.composite(count) as u32;
            let access = Access { receiver: PartitionId(id), permissions, flags: 0, composite, impdef: s.impdef };
            w.access(form, &access).unwrap();
        }
        w.composite(s.ranges.iter().map(|r| r.1).sum(), s.ranges.len() as u32).unwrap();
        s.ranges.iter().for_each(|&(address, pages)| w.range(&Range { address, pages }).unwrap());
        let n = w.len();
        out.truncate(n);
        out
    }

    pub(super) fn send_bytes(&self, who: usize, kind: Kind, bytes: &[u8], fragment: usize) -> Result<Handle, Error> {
        let func = match kind {
            Kind::Share => Func::MemShare,
            Kind::Lend => Func::MemLend,
            Kind::Donate => Func::MemDonate,
        };
        let first = fragment.min(bytes.len());
        self.tx(who, &bytes[..first]);
        let mut reply = self.call(who, func, &[bytes.len() as u64, first as u64])?;
        let mut at = first;
        while reply[0] == u64::from(Func::MemFragRx.id32()) {
            assert_eq!(reply[3], at as u64, "offset of the next fragment");
            let n = fragment.min(bytes.len() - at);
            self.tx(who, &bytes[at..at + n]);
            reply = self.call(who, Func::MemFragTx, &[reply[1], reply[2], n as u64, reply[4]])?;
            at += n;
        }
        assert_eq!((reply[0], at), (Func::Success.id32().into(), bytes.len()));
        Ok(Handle::from_words(reply[2] as u32, reply[3] as u32))
    }

    pub(super) fn send(&self, who: usize, s: &Sending) -> Result<Handle, Error> {
        self.send_bytes(who, s.kind, &self.lay(who, s), 4096)
    }

    /// Lays a retrieve request out.
    pub(super) fn request(
        &self,
        who: usize,
        handle: Handle,
        sender: u16,
        receivers: &[(u16, Permissions)],
        flags: u32,
        tag: u64,
    ) -> Vec<u8> {
        let form = Form::of(self.version(who));
        let mut out = vec![0; 48 + 32 * receivers.len()];
        let mut w = ResponseWriter::new(&mut out);
        w.header(form, PartitionId(sender), 0, Flags(flags), handle, tag, receivers.len() as u32).unwrap();
        for &(id, permissions) in receivers {
            let access = Access { receiver: PartitionId(id), permissions, flags: 0, composite: 0, impdef: [0; 2] };
            w.access(form, &access).unwrap();
        }
        let n = w.len();
        out.truncate(n);
        out
    }

    /// Sends a retrieve request and reads the whole response, releasing RX after each fragment.
    pub(super) fn retrieve_bytes(&self, who: usize, request: &[u8]) -> Result<Retrieved, Error> {
        self.tx(who, request);
        let n = request.len() as u64;
        let reply = self.call(who, Func::MemRetrieveReq, &[n, n])?;
        assert_eq!(reply[0], Func::MemRetrieveResp.id32().into());
        let (total, mut fragment) = (reply[1] as usize, reply[2] as usize);
        let mut bytes = self.rx(who, fragment);
        self.release_rx(who);
        let handle = ffa_abi::memory::Region::decode(&bytes, self.version(who)).unwrap().handle;
        while bytes.len() < total {
            let (low, high) = handle.words();
            let reply = self.call(who, Func::MemFragRx, &[low.into(), high.into(), bytes.len() as u64, 0])?;
            assert_eq!(reply[..3], [Func::MemFragTx.id32().into(), low.into(), high.into()]);
            fragment = reply[3] as usize;
            bytes.extend(self.rx(who, fragment));
            self.release_rx(who);
        }
        assert_eq!(bytes.len(), total);
        let region = ffa_abi::memory::Region::decode(&bytes, self.version(who)).unwrap();
        let accesses: Vec<_> = region.accesses().map(Result::unwrap).collect();
        let composite = region.composite(accesses[0].composite).unwrap();
        let ranges: Vec<_> = region.ranges(&composite).map(|r| r.map(|r| (r.address, r.pages)).unwrap()).collect();
        assert_eq!(ranges.len(), composite.ranges as usize);
        Ok(Retrieved {
            sender: region.sender.0,
            flags: region.flags.0,
            tag: region.tag,
            non_secure: region.attributes.non_secure,
            accesses,
            ranges,
        })
    }

    /// Retrieves as the only receiver, with what share and lend want by default.
    pub(super) fn retrieve(&self, who: usize, handle: Handle, sender: usize, kind: Kind) -> Result<Retrieved, Error> {
        let instruction = if kind == Kind::Share { Instruction::NotSpecified } else { Instruction::NotExecutable };
        let asked = Permissions { data: Data::ReadWrite, instruction };
        self.retrieve_bytes(who, &self.request(who, handle, IDS[sender], &[(IDS[who], asked)], 0, 7))
    }

    pub(super) fn relinquish(&self, who: usize, handle: Handle, flags: u32) -> Result<(), Error> {
        let request = Relinquish { handle, flags: Flags(flags), endpoint: PartitionId(IDS[who]) };
        self.tx(who, &request.encode());
        self.call(who, Func::MemRelinquish, &[]).map(|r| assert_eq!(r[0], Func::Success.id32().into()))
    }

    pub(super) fn reclaim(&self, who: usize, handle: Handle, flags: u32) -> Result<(), Error> {
        let (low, high) = handle.words();
        let reply = self.call(who, Func::MemReclaim, &[low.into(), high.into(), flags.into()])?;
        assert_eq!(reply, [Func::Success.id32().into(), 0, 0, 0, 0, 0, 0, 0]);
        Ok(())
    }

    /// Says what the hardware lets a partition do at an address: read, write, execute.
    pub(super) fn access(&self, who: usize, at: u64) -> Option<(bool, bool, bool)> {
        let space = if at < 0x8000_0000 { Space::NonSecure } else { Space::Secure };
        let t = self.m.translate(&self.partition(who).roots, space, Ipa(at))?;
        assert_eq!(t.pa + (at - t.ipa), at, "identity");
        Some((t.read, t.write, t.execute))
    }
}

fn partition(m: &'static SimMachine, who: usize) -> Partition<SimMachine> {
    let mut stage2 = Stage2::new(m, Vmid(who as u16)).unwrap();
    let all = Attributes { access: PageAccess::all(), memory: MemoryType::Normal };
    let mut map = |at: u64, pages, attributes| {
        stage2.map(m, Space::Secure, Ipa(at), Pa(at), pages, attributes, Tag::Owned).unwrap();
    };
    map(base(who), OWN, all);
    map(buffers(who).tx.0, 2, all);
    let read_only = Attributes { access: PageAccess::READ, memory: MemoryType::Normal };
    map(base(who) + 0x200_0000, 1, read_only);
    let device = Attributes { access: PageAccess::READ_WRITE, memory: MemoryType::Device };
    map(DEVICE + who as u64 * PAGE_SIZE, 1, device);
    let identity = Identity {
        id: PartitionId(IDS[who]),
        name: name("p"),
        properties: Properties::empty(),
        entry: Ipa(base(who)),
        memory: (Ipa(base(who)), OWN * PAGE_SIZE),
        boot_info: None,
    };
    let p = Partition::new(
        m,
        (who - 1, who - 1),
        identity,
        Box::leak(Box::new(world::manifest(who as u16 - 1, &world::Spec::default()))),
        stage2,
    );
    p.mailbox.lock().map(buffers(who)).unwrap();
    p
}
