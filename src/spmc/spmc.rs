// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SPMC as a whole, and the two questions that it answers: what next after a call of the Normal world, and
//! what next after a partition stopped running.

use arrayvec::ArrayVec;
use ffa_abi::func::{SMC64, in_range, without_hint};
use ffa_abi::{Func, PartitionId, Regs, Version};

use crate::alarm::Alarms;
use crate::calls;
use crate::console::{self, RateLimit};
use crate::hub::Hub;
use crate::info::Directory;
use crate::mailbox::Mailbox;
use crate::manifest::{MAX_PARTITIONS, MemoryRange};
use crate::memory::{Caller, Memory};
use crate::notification::Notifications;
use crate::partition::{Entered, ExecutionContext, Partition, Partitions, Properties};
use crate::refusal::Refusal;
use crate::routing::Routing;
use crate::sync::{AtomicBool, AtomicU32, Mutex};
use crate::version::Negotiated;
use crate::{Cpu, Exit, Port};

/// Says what a CPU does next.
#[must_use]
pub enum Next<P: Port> {
    /// Returns to the Normal world (or the SPMD) with the message registers as the reply.
    Reply,
    /// Runs an execution context, which finds the message registers in x0-x17.
    Run(&'static ExecutionContext<P>),
}

/// What the SPMC keeps of the Normal world.
#[derive(Debug, Default)]
pub(crate) struct NormalWorld {
    pub(crate) version: Negotiated,
    pub(crate) mailbox: Mutex<Mailbox>,
}

/// The SPMC: the partitions, the Normal world, and the machine.
pub struct Spmc<P: Port> {
    pub(crate) port: &'static P,
    pub(crate) id: PartitionId,
    pub(crate) partitions: Partitions<P>,
    pub(crate) directory: Directory,
    /// Positions of the partitions in the order in which they boot.
    pub(crate) boot_order: ArrayVec<u8, MAX_PARTITIONS>,
    pub(crate) normal: NormalWorld,
    pub(crate) memory_map: &'static [MemoryRange],
    pub(crate) routing: Routing,
    /// Supervised messaging, where the manifest turns it on.
    pub(crate) hub: Option<&'static Hub>,
    pub(crate) memory: Memory,
    pub(crate) notifications: Mutex<Notifications>,
    /// The contexts' timers.
    pub(crate) alarms: Mutex<Alarms>,
    /// The CPUs that are on, a bit each.
    pub(crate) online: AtomicU32,
    /// The shared interrupts are set up.
    pub(crate) configured: AtomicBool,
    limit: RateLimit,
}

const REQ64: u32 = Func::DirectReq.id64();
const RESP64: u32 = Func::DirectResp.id64();
const FEATURES: u32 = Func::Features.id32();
const ID_GET: u32 = Func::IdGet.id32();
// These two are answered without a look at the table, which allows them always.
const _: () = assert!(calls::row_of(Func::Features).is_unconditional(false));
const _: () = assert!(calls::row_of(Func::IdGet).is_unconditional(true));

impl<P: Port> Spmc<P> {
    pub(crate) fn new(
        port: &'static P,
        id: PartitionId,
        list: &'static [Partition<P>],
        boot_order: ArrayVec<u8, MAX_PARTITIONS>,
        memory_map: &'static [MemoryRange],
        routing: Routing,
        memory: Memory,
    ) -> Self {
        let mut notifications = Notifications::default();
        for p in list.iter().filter(|p| p.identity.properties.contains(Properties::NOTIFICATIONS)) {
            // There is room for every partition, and each comes once.
            let _ = notifications.create(p.id(), p.manifest.execution_contexts);
        }
        Self {
            port,
            id,
            directory: Directory::new(list),
            alarms: Mutex::new(Alarms::new(list)),
            partitions: Partitions::new(list),
            boot_order,
            normal: NormalWorld::default(),
            memory_map,
            routing,
            hub: None,
            memory,
            notifications: Mutex::new(notifications),
            online: AtomicU32::new(0),
            configured: AtomicBool::new(false),
            limit: RateLimit::default(),
        }
    }

    /// Returns the partitions in manifest order.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition<P>> {
        self.partitions.iter()
    }

    /// Decides what follows a call of the Normal world, found in `regs`.
    #[inline(always)]
    pub fn on_normal_world(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Next<P> {
        // What is passed on, such as a message, is passed on without the hint.
        let fid = without_hint(regs.fid());
        // Each branch returns by itself: what to do next stays in registers.
        let refusal = if fid | SMC64 == REQ64 {
            regs.x[0] = fid.into();
            match self.direct_from_normal(cpu, fid, regs) {
                Ok(next) => return next,
                Err(refusal) => refusal,
            }
        } else if fid == FEATURES {
            self.normal.version.settle();
            match self.features(regs, None) {
                Ok(()) => return Next::Reply,
                Err(refusal) => refusal,
            }
        } else {
            match self.normal_call(cpu, fid, regs) {
                Ok(next) => return next,
                Err(refusal) => refusal,
            }
        };
        self.refuse_call(cpu, None, (fid, refusal), regs)
    }

    /// Answers FFA_ID_GET of a partition.
    #[inline(always)]
    fn id_get(&'static self, context: &'static ExecutionContext<P>, regs: &mut Regs) -> Result<Next<P>, Refusal> {
        let partition = self.partitions.get(context.partition as usize).ok_or(Refusal::UnknownPartition)?;
        partition.version.settle();
        regs.set_success(context.id.0 as u64);
        Ok(Next::Run(context))
    }

    /// Refuses a call of a partition's context, or of the Normal world (`None`), at once unless there may be a way.
    #[cold]
    #[inline(never)]
    fn refuse_call(
        &'static self,
        cpu: &mut Cpu<P>,
        caller: Option<&'static ExecutionContext<P>>,
        (fid, refusal): (u32, Refusal),
        regs: &mut Regs,
    ) -> Next<P> {
        if refusal.may_start_again() || self.hub.is_some() {
            return self.think_again(cpu, caller, (fid, refusal), regs);
        }
        self.refuse(caller, (fid, refusal), regs)
    }

    /// Ends a call of a partition's context, or of the Normal world (`None`), with its refusal.
    #[inline(never)]
    pub(crate) fn refuse(
        &self,
        caller: Option<&'static ExecutionContext<P>>,
        (fid, refusal): (u32, Refusal),
        regs: &mut Regs,
    ) -> Next<P> {
        regs.set_error(refusal.code());
        if let Some(held_back) = self.limit.admit(self.port) {
            let id = caller.map_or(PartitionId::NORMAL_WORLD, |context| context.id);
            console::refused(self.port, held_back, id, fid, refusal);
        }
        caller.map_or(Next::Reply, Next::Run)
    }

    /// Decides what follows after `context`, which ran on this CPU, stopped running.
    #[inline(always)]
    pub fn on_partition_exit(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        exit: Exit,
        regs: &mut Regs,
    ) -> Next<P> {
        // First of all: whoever knows how the run ended does not look again.
        if !matches!(exit, Exit::Smc | Exit::Hvc) {
            return self.other_exit(cpu, context, exit, regs);
        }
        let fid = without_hint(regs.fid());
        let refusal = if fid | SMC64 == RESP64 {
            regs.x[0] = fid.into();
            match self.direct_response(cpu, context, fid, regs) {
                Ok(next) => return next,
                Err(refusal) => refusal,
            }
        } else if fid | SMC64 == REQ64 {
            regs.x[0] = fid.into();
            match self.direct_from_partition(cpu, context, fid, regs) {
                Ok(next) => return next,
                Err(refusal) => refusal,
            }
        } else if fid == ID_GET {
            match self.id_get(context, regs) {
                Ok(next) => return next,
                Err(refusal) => refusal,
            }
        } else {
            // Everything else is found in the table.
            match self.partition_call(cpu, context, exit, fid, regs) {
                Ok(next) => return next,
                Err(refusal) => refusal,
            }
        };
        self.refuse_call(cpu, Some(context), (fid, refusal), regs)
    }

    #[inline(never)]
    fn normal_call(&'static self, cpu: &mut Cpu<P>, fid: u32, regs: &mut Regs) -> Result<Next<P>, Refusal> {
        let func = Func::decode(fid).ok_or(Refusal::UnknownCall)?;
        regs.x[0] = fid.into();
        // FFA_INTERRUPT is of the SPMD, which takes none from the Normal world: it neither needs nor settles a version.
        if func != Func::Interrupt {
            if !calls::of(func).has(false, self.normal.version.get()) {
                return Err(Refusal::UnknownCall);
            }
            self.normal.version.settle();
        }
        if func == Func::RxRelease {
            // By itself: many a message waits for it.
            return self.rx_release(cpu, None, None, regs);
        }
        self.common_call(cpu, None, None, func, regs)
    }

    #[inline(never)]
    fn partition_call(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        exit: Exit,
        fid: u32,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let partition = self.partitions.get(context.partition as usize).ok_or(Refusal::UnknownPartition)?;
        let Some(func) = Func::look_up(fid) else {
            // Calls of others may mean something else by that bit.
            let fid = regs.fid();
            if exit == Exit::Hvc && self.paravirtual_call(cpu, partition, context, fid, regs) {
                return Ok(Next::Run(context));
            }
            return self.foreign_call(partition, exit, context, fid, regs);
        };
        regs.x[0] = fid.into();
        let row = calls::of(func);
        if !row.has(true, partition.version.get()) {
            return Err(Refusal::UnknownCall);
        }
        row.check_model(context.call())?;
        if func == Func::Version {
            regs.set8([partition.version.answer(regs.x[1] as u32) as u64, 0, 0, 0, 0, 0, 0, 0]);
            return Ok(Next::Run(context));
        }
        partition.version.settle();
        match func {
            Func::MsgWait => return Ok(self.msg_wait(cpu, partition, context, regs)),
            Func::DirectResp2 => return self.direct2_response(cpu, context, regs),
            Func::Yield => return Ok(self.give_way(cpu, context, regs)),
            Func::Error => return Ok(self.failed_start(cpu, context, regs)),
            // Whatever it sends now may be work that a window let through to it alone.
            Func::MsgSend2 if context.call().is_in_window() => return Err(Refusal::WindowChain),
            Func::SecondaryEpRegister => self.secondary_ep_register(partition, context, regs)?,
            Func::ConsoleLog => {
                let wide = fid & ffa_abi::func::SMC64 != 0;
                let name = &partition.identity.name;
                partition.line.lock().log(self.port, name, wide, partition.version(), &regs.x)?;
                regs.set_success(0);
            }
            _ => return self.common_call(cpu, Some(context), Some(partition), func, regs),
        }
        Ok(Next::Run(context))
    }

    /// Answers a call that the table lets a partition's context or the Normal world (`None`) make, or takes the SPMD's
    /// FFA_INTERRUPT.
    #[inline(never)]
    fn common_call(
        &'static self,
        cpu: &mut Cpu<P>,
        context: Option<&'static ExecutionContext<P>>,
        caller: Option<&Partition<P>>,
        func: Func,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let entered = context.map_or(Entered::Run, |context| context.call().entered());
        let answered = match func {
            Func::Interrupt => return Ok(self.interrupt_from_normal(cpu, regs)),
            Func::Run => return self.run(cpu, context, regs),
            Func::DirectReq2 => return self.direct2(cpu, context, regs),
            Func::RxRelease => return self.rx_release(cpu, context, caller, regs),
            Func::RxAcquire => self.rx_acquire(regs).map(|()| regs.set_success(0)),
            Func::RxTxMap => self.rxtx_map(cpu, caller, entered, regs).map(|()| regs.set_success(0)),
            Func::RxTxUnmap => self.rxtx_unmap(caller, regs).map(|()| regs.set_success(0)),
            Func::SpmIdGet => {
                regs.set_success(self.id.0 as u64);
                Ok(())
            }
            Func::Features => self.features(regs, caller),
            Func::PartitionInfoGet => self.partition_info_get(caller, regs),
            Func::PartitionInfoGetRegs => self.partition_info_get_regs(caller, regs),
            Func::MsgSend2 => self.msg_send2(cpu, caller, regs),
            Func::NotificationBitmapCreate
            | Func::NotificationBitmapDestroy
            | Func::NotificationBind
            | Func::NotificationUnbind
            | Func::NotificationSet
            | Func::NotificationGet
            | Func::NotificationInfoGet => self.notification_call(cpu, caller, func, regs),
            Func::MemDonate
            | Func::MemLend
            | Func::MemShare
            | Func::MemRetrieveReq
            | Func::MemRelinquish
            | Func::MemReclaim
            | Func::MemFragRx
            | Func::MemFragTx
            | Func::MemPermGet
            | Func::MemPermSet => {
                self.memory_call(caller.map_or(Caller::Normal, Caller::Partition), func, entered, regs)
            }
            // Taken before it came here, or nobody's.
            _ => Err(Refusal::UnknownCall),
        };
        answered.map(|()| context.map_or(Next::Reply, Next::Run))
    }

    /// Returns the version in which a caller is served; `None` is the Normal world.
    pub(crate) fn version_for(&self, caller: Option<&Partition<P>>) -> Version {
        caller.map_or(&self.normal.version, |p| &p.version).get()
    }

    /// Returns the mailbox of a caller; `None` is the Normal world.
    pub(crate) fn mailbox_for<'a>(&'a self, caller: Option<&'a Partition<P>>) -> &'a Mutex<Mailbox> {
        caller.map_or(&self.normal.mailbox, |p| &p.mailbox)
    }

    #[inline(never)]
    fn other_exit(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        exit: Exit,
        regs: &mut Regs,
    ) -> Next<P> {
        match exit {
            Exit::Smc | Exit::Hvc => Next::Run(context),
            Exit::Wait if matches!(context.call().entered(), Entered::Init | Entered::Framework) => {
                // Nobody could resume it: the Normal world is not there, or waits for a CPU to change its power state.
                self.port.log(format_args!("a partition waits for an interrupt while it may not be preempted"));
                self.abort(cpu, context, regs)
            }
            // While the Normal world may not run there is nobody to give way to: the partition looks again at what it
            // waits for.
            Exit::Wait | Exit::NormalInterrupt if cpu.held => Next::Run(context),
            Exit::Wait => self.preempt(cpu, context, Func::Yield, regs),
            Exit::NormalInterrupt if self.managed_exit(context) => Next::Run(context),
            Exit::NormalInterrupt => self.preempt(cpu, context, Func::Interrupt, regs),
            Exit::Timer => {
                self.timer_changed(cpu, context);
                Next::Run(context)
            }
            Exit::SecureInterrupt => self.secure_interrupt(cpu, context, regs),
            Exit::Fault if self.is_over(context) => Next::Run(context),
            Exit::Fault => {
                self.say(context, format_args!(": {}", self.port.fault()));
                self.abort(cpu, context, regs)
            }
        }
    }

    /// Tells whether a fault's reason may be gone: a walk meets nothing where another CPU splits or joins a block. The
    /// lock that the tables are changed under is what waits for the end of that; the access is tried again once for
    /// each time that they were changed.
    fn is_over(&self, context: &ExecutionContext<P>) -> bool {
        let partition = self.partitions.get(context.partition as usize);
        let Some(partition) = partition.filter(|_| self.port.fault().is_translation()) else { return false };
        let changes = partition.stage2.lock().changes();
        context.looks_at_tables(changes)
    }

    /// Answers a call that is not FF-A: EL3's answer where the manifests allow the call, and the few of SMCCC that a
    /// partition needs to find its feet.
    #[cold]
    fn foreign_call(
        &'static self,
        partition: &Partition<P>,
        exit: Exit,
        context: &'static ExecutionContext<P>,
        fid: u32,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        const SMCCC_VERSION: u32 = 0x8000_0000;
        const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
        /// SMCCC v1.2: x4-x17 are preserved unless they carry results.
        const SMCCC_1_2: u64 = 0x1_0002;
        const NOT_SUPPORTED: u64 = -1i64 as u64;
        if in_range(without_hint(fid)) {
            return Err(Refusal::UnknownCall);
        }
        if exit == Exit::Smc && partition.manifest.smcs.functions.contains(&fid) {
            self.port.call_monitor(regs);
            return Ok(Next::Run(context));
        }
        let [_, asked, ..] = regs.x;
        regs.x[0] = match fid {
            SMCCC_VERSION => SMCCC_1_2,
            SMCCC_ARCH_FEATURES if matches!(asked as u32, SMCCC_VERSION | SMCCC_ARCH_FEATURES) => 0,
            // PSCI and everything else belongs to the Normal world and to EL3: refused (SMCCC, "Unknown function").
            _ => NOT_SUPPORTED,
        };
        Ok(Next::Run(context))
    }
}
