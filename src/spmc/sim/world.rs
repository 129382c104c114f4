// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole system on the simulated machine: the SPMC with partitions whose code is a closure of the test.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayVec;
use ffa_abi::{Func, PartitionId, Regs, Uuid, Version};

use super::SimMachine;
use crate::manifest::{
    AbortAction, ExceptionLevel, Format, HubPolicy, HubQueue, Interrupt, MemoryKind, MemoryRange, Messaging, Name,
    NsInterruptAction, OtherSecureInterruptAction, PartitionManifest, PowerMessages, Region, RegionAttributes,
    RoutingDefault, RoutingPolicy, Service, SmcAllowList, SriPolicy, VmAvailability, name,
};
use crate::memory::{MAX_OPEN, Memory};
use crate::partition::{Identity, Partition, Pristine, Properties};
use crate::routing::Routing;
use crate::stage2::{Access, Attributes, MemoryType, Stage2, Tag};
use crate::{Cpu, ExecutionContext, Exit, Ipa, Next, PAGE_SIZE, Pa, Port, Space, Spmc, Vmid};

/// Where the first partition's memory lies; the next ones follow, [`PARTITION_PAGES`] each.
pub const PARTITION_BASE: u64 = 0x0e30_0000;
/// Pages of a partition's own memory.
pub const PARTITION_PAGES: u64 = 16;
/// Where copies for restarts lie, a page each.
pub const PRISTINE: u64 = 0x0ef0_0000;
/// The Normal world's RAM.
pub const NORMAL_RAM: (u64, u64) = (0x4000_0000, 0x1000_0000);

/// Says what a partition of the test is like.
#[derive(Clone)]
pub struct Spec {
    /// Its execution contexts.
    pub contexts: u16,
    /// How it sends and receives.
    pub messaging: Messaging,
    /// What it hears of CPUs.
    pub power: PowerMessages,
    /// Its devices' interrupts, Secure.
    pub interrupts: Vec<u32>,
    /// Whether interrupts of its own are left to the Normal world's scheduler while it waits.
    pub sri: SriPolicy,
    /// What a Non-secure interrupt does while it runs.
    pub ns_interrupts: NsInterruptAction,
    /// What those of others do while it runs.
    pub other_interrupts: OtherSecureInterruptAction,
    /// What it hears of VMs.
    pub vms: VmAvailability,
    /// What becomes of it when it is aborted.
    pub abort: AbortAction,
    /// The SMCs that EL3 gets.
    pub smcs: Vec<u32>,
    /// Its last page is one that a restart leaves as it is.
    pub preserves: bool,
    /// Whether it takes part in supervised messages.
    pub queue: Option<HubQueue>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            contexts: 1,
            messaging: Messaging::all(),
            power: PowerMessages::empty(),
            abort: AbortAction::Stop,
            smcs: Vec::new(),
            preserves: false,
            interrupts: Vec::new(),
            sri: SriPolicy::empty(),
            ns_interrupts: NsInterruptAction::Signalled,
            other_interrupts: OtherSecureInterruptAction::Queued,
            vms: VmAvailability::empty(),
            queue: None,
        }
    }
}

/// The n-th partition's service.
pub fn uuid(n: u16) -> Uuid {
    Uuid::from_words([0x1000 + n as u32, 1, 2, 3])
}

/// The n-th partition's identifier, from 0.
pub const fn id(n: u16) -> PartitionId {
    PartitionId(0x8001 + n)
}

/// Where the n-th partition's memory begins.
pub const fn base(n: u16) -> u64 {
    PARTITION_BASE + n as u64 * PARTITION_PAGES * PAGE_SIZE
}

fn interrupt(intid: u32) -> Interrupt {
    Interrupt { region: 0, intid, priority: 0x40, secure: true, level: true, target: None }
}

/// Where the n-th partition's last page lies.
pub const fn last_page(n: u16) -> u64 {
    base(n + 1) - PAGE_SIZE
}

fn preserved(n: u16) -> Region {
    Region {
        name: Name::new(),
        base: Pa(last_page(n)),
        pages: 1,
        attributes: RegionAttributes::READ | RegionAttributes::WRITE,
        device: false,
        relative: true,
        preserved: true,
        exclusive: false,
        phandle: None,
    }
}

pub(crate) fn manifest(n: u16, spec: &Spec) -> PartitionManifest {
    let service = Service { uuid: uuid(n), messaging: spec.messaging };
    PartitionManifest {
        format: Format::V1_0,
        description: Name::new(),
        ffa_version: Version::V1_1,
        id: Some(id(n)),
        auxiliary_id: None,
        services: ArrayVec::from_iter([service]),
        execution_contexts: spec.contexts,
        exception_level: ExceptionLevel::SEl1,
        load_address: None,
        entrypoint_offset: 0,
        boot_order: None,
        gp_register: None,
        boot_info: false,
        ns_interrupts: spec.ns_interrupts,
        managed_exit_virq: false,
        other_secure_interrupts: spec.other_interrupts,
        sri_policy: spec.sri,
        notification_support: true,
        power_messages: spec.power,
        vm_availability: spec.vms,
        lifecycle_support: false,
        abort_action: spec.abort,
        smcs: SmcAllowList { functions: spec.smcs.iter().copied().collect(), permissive: false },
        memory_regions: spec.preserves.then(|| preserved(n)).into_iter().collect(),
        device_regions: ArrayVec::new(),
        interrupts: spec.interrupts.iter().map(|&intid| interrupt(intid)).collect(),
        hub_queue: spec.queue,
        rx_tx: None,
    }
}

pub(crate) fn partition(machine: &SimMachine, n: u16, spec: &Spec) -> Partition<SimMachine> {
    let manifest = manifest(n, spec);
    let mut stage2 = Stage2::new(machine, Vmid(n + 1)).expect("the pool is large enough");
    let attributes = Attributes { access: Access::all(), memory: MemoryType::Normal };
    let at = base(n);
    stage2
        .map(machine, Space::Secure, Ipa(at), Pa(at), PARTITION_PAGES, attributes, Tag::Owned)
        .expect("the pool is large enough");
    let identity = Identity {
        id: id(n),
        name: name(&alloc::format!("sp{n}")),
        properties: Properties::of(&manifest),
        entry: Ipa(at),
        memory: (Ipa(at), PARTITION_PAGES * PAGE_SIZE),
        boot_info: None,
    };
    let manifest = Box::leak(Box::new(manifest));
    let mut partition = Partition::new(machine, (n as usize, n as usize), identity, manifest, stage2);
    if spec.abort == AbortAction::Restart {
        let copy = Pa(PRISTINE + n as u64 * PAGE_SIZE);
        machine.write(Space::Secure, copy, b"pristine").expect("it is RAM");
        partition.pristine = Some(Pristine { copy, len: PAGE_SIZE });
    }
    partition
}

/// Says what a partition's code did: it is asked each time that it is entered, with what it finds in x0-x17.
pub type Behaviour<'a> = &'a mut dyn FnMut(PartitionId, u16, &mut Regs) -> Exit;

/// The system.
pub struct World {
    /// The machine.
    pub machine: &'static SimMachine,
    /// The SPMC.
    pub spmc: &'static Spmc<SimMachine>,
    /// The CPUs' states.
    pub cpus: Vec<Cpu<SimMachine>>,
}

impl World {
    /// Builds a system and brings all CPUs up, every partition saying FFA_MSG_WAIT at once.
    pub fn booted(specs: &[Spec], cpus: usize) -> Self {
        let mut world = Self::cold(specs, cpus);
        for cpu in 0..cpus {
            let reply = world.start(cpu, &mut |_, _, regs| wait(regs));
            assert_eq!(reply.fid(), Func::MsgWait.id32());
        }
        world
    }

    /// Builds a system that has not started.
    pub fn cold(specs: &[Spec], cpus: usize) -> Self {
        Self::cold_with(specs, cpus, RoutingPolicy::default())
    }

    /// Builds a system with a hub, and brings all CPUs up.
    pub fn with_hub(specs: &[Spec], cpus: usize, hub: HubPolicy) -> Self {
        let policy = RoutingPolicy { default: RoutingDefault::Hub, coordinator: hub.coordinator, ..Default::default() };
        Self::with_policies(specs, cpus, policy, hub)
    }

    /// Builds a system with a hub whose routes are others than a manifest can give it, and brings all CPUs up.
    pub fn with_policies(specs: &[Spec], cpus: usize, policy: RoutingPolicy, hub: HubPolicy) -> Self {
        let mut world = Self::built(specs, cpus, policy, Some(hub));
        for cpu in 0..cpus {
            world.start(cpu, &mut |_, _, regs| wait(regs));
        }
        world
    }

    /// Builds a system with a routing policy that has not started.
    pub fn cold_with(specs: &[Spec], cpus: usize, policy: RoutingPolicy) -> Self {
        Self::built(specs, cpus, policy, None)
    }

    fn built(specs: &[Spec], cpus: usize, policy: RoutingPolicy, hub: Option<HubPolicy>) -> Self {
        Self::cold_on(SimMachine::leaked(512), MAX_OPEN, specs, cpus, policy, hub)
    }

    /// Builds a system on a machine that has nothing else to do, with room for `open` memory transactions.
    pub fn cold_on(
        machine: &'static SimMachine,
        open: usize,
        specs: &[Spec],
        cpus: usize,
        policy: RoutingPolicy,
        hub: Option<HubPolicy>,
    ) -> Self {
        let list: Vec<_> = specs.iter().enumerate().map(|(n, s)| partition(machine, n as u16, s)).collect();
        let order = (0..list.len() as u8).collect();
        let range = |kind, (base, size)| MemoryRange { kind, base: Pa(base), size };
        let map =
            alloc::vec![range(MemoryKind::Secure, (0x0e10_0000, 0xf0_0000)), range(MemoryKind::NonSecure, NORMAL_RAM)];
        let routing = Routing::new(&policy, Some);
        let memory = Memory::new(machine, open).expect("the pool is large enough");
        let mut spmc = Spmc::new(machine, PartitionId::SPMC, list.leak(), order, map.leak(), routing, memory);
        if let Some(policy) = hub {
            spmc.start_hub(&policy).expect("the policy fits the partitions");
        }
        let cpus = (0..cpus).map(Cpu::new).collect();
        Self { machine, spmc: Box::leak(Box::new(spmc)), cpus }
    }

    /// Starts a CPU and runs it until it replies to the SPMD.
    pub fn start(&mut self, cpu: usize, behave: Behaviour<'_>) -> Regs {
        let mut regs = Regs::ZERO;
        self.machine.cpu.store(cpu, Relaxed);
        let next = self.spmc.start(&mut self.cpus[cpu], &mut regs);
        self.run(cpu, next, &mut regs, behave);
        regs
    }

    /// Makes a call from the Normal world and runs the CPU until the reply.
    pub fn call(&mut self, cpu: usize, call: [u64; 8], behave: Behaviour<'_>) -> Regs {
        let mut regs = Regs::ZERO;
        regs.set8(call);
        // What must come back untouched.
        for (i, x) in regs.x.iter_mut().enumerate().skip(8) {
            *x = 0xa5a5_0000 + i as u64;
        }
        self.call_regs(cpu, &mut regs, behave);
        regs
    }

    /// Makes a call with all of x0-x17.
    pub fn call_regs(&mut self, cpu: usize, regs: &mut Regs, behave: Behaviour<'_>) {
        self.machine.cpu.store(cpu, Relaxed);
        let next = self.spmc.on_normal_world(&mut self.cpus[cpu], regs);
        self.run(cpu, next, regs, behave);
    }

    /// Makes a call that no partition takes part in.
    pub fn plain(&mut self, call: [u64; 8]) -> Regs {
        self.call(0, call, &mut |id, _, _| panic!("{id} was entered"))
    }

    fn run(&mut self, cpu: usize, mut next: Next<SimMachine>, regs: &mut Regs, behave: Behaviour<'_>) {
        // A bound, so that a test of partitions that never come to an end does.
        for _ in 0..100_000 {
            match next {
                Next::Reply => return,
                Next::Run(context) => {
                    let exit = behave(self.id_of(context), context.vcpu as u16, regs);
                    self.machine.cpu.store(cpu, Relaxed);
                    next = self.spmc.on_partition_exit(&mut self.cpus[cpu], context, exit, regs);
                }
            }
        }
        panic!("the Normal world never got its CPU back");
    }

    fn id_of(&self, context: &ExecutionContext<SimMachine>) -> PartitionId {
        self.spmc.partitions.get(context.partition as usize).expect("it exists").id()
    }

    /// Returns a partition.
    pub fn partition(&self, n: u16) -> &'static Partition<SimMachine> {
        self.spmc.partitions.get(n as usize).expect("it exists")
    }
}

/// A partition's code: FFA_MSG_WAIT.
pub fn wait(regs: &mut Regs) -> Exit {
    regs.set8([Func::MsgWait.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
    Exit::Smc
}

/// A partition's code: answers a direct request of either width with x4 + 0x1000.
pub fn echo(regs: &mut Regs) -> Exit {
    let fid = regs.fid();
    regs.x[0] = (fid - Func::DirectReq.id32() + Func::DirectResp.id32()) as u64;
    regs.x[1] = regs.x[1] << 16 & 0xffff_0000 | regs.x[1] >> 16 & 0xffff;
    regs.x[4] = regs.x[4].wrapping_add(0x1000);
    Exit::Smc
}

/// w0-w7 of a 32-bit direct request.
pub fn request(from: PartitionId, to: PartitionId, x4: u64) -> [u64; 8] {
    let w1 = (from.0 as u64) << 16 | to.0 as u64;
    [Func::DirectReq.id32() as u64, w1, 0, 0x33, x4, 0x55, 0x66, 0x77]
}
