// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secure physical interrupts (DEN0077A, "Secure interrupt handling"): from the interrupt controller to the context
//! that owns them, whatever runs when they arrive.
//!
//! An arrived interrupt becomes pending in its owner and stays active in the controller until the owner deactivates
//! it; its priority is dropped at once, so that no other interrupt waits for a partition. An owner that waits is
//! entered with FFA_INTERRUPT, at once or, where whatever runs may not be interrupted, when the CPU goes back to the
//! Normal world: the SPMC then sends itself an interrupt, which EL3 delivers as any other.

use ffa_abi::{Func, PartitionId, Regs};

use crate::interrupt::Slot;
use crate::manifest::{Interrupt, OtherSecureInterruptAction, SriPolicy};
use crate::msg::CHAIN_MAX;
use crate::partition::{Call, Entered, ExecutionContext, Link, Partition, State};
use crate::port::{DEADLINE, KICK, LONGEST_WAIT, WAKE};
use crate::sync::{Ordering, fence};
use crate::{Cpu, Next, Port, Spmc};

/// Interrupts below are each CPU's own.
const FIRST_SHARED: u32 = 32;

/// Lists the Secure interrupts of a partition's devices.
fn secure<P: Port>(partition: &Partition<P>) -> impl Iterator<Item = &Interrupt> {
    partition.manifest.interrupts.iter().filter(|i| i.secure)
}

/// Finds the interrupt for which a context is to be woken, if it waits.
fn wakes_for<P: Port>(context: &ExecutionContext<P>) -> Option<Slot> {
    if context.state() == State::Idle { context.interrupts.wakes_for() } else { None }
}

/// How many interrupts are taken at a time: a bound, so that a storm does not keep the CPU.
pub(crate) const AT_A_TIME: usize = 64;

impl<P: Port> Spmc<P> {
    /// Sets up the interrupts of the partitions: the shared ones once, those that each CPU has of its own on each; none
    /// of a partition that died.
    pub(crate) fn configure_interrupts(&self, cpu: &Cpu<P>) {
        self.port.start_interrupts();
        let first = self.online.fetch_or(1 << cpu.index, Ordering::AcqRel) == 0;
        let cold = first && !self.configured.swap(true, Ordering::AcqRel);
        for partition in self.partitions.iter().filter(|p| !p.standing.is_closed()) {
            self.configure(partition, cold);
        }
        self.set_alarm(cpu);
    }

    /// Sets up the interrupts of one partition that this CPU has of its own, and perhaps its shared ones.
    pub(crate) fn configure(&self, partition: &Partition<P>, shared: bool) {
        for i in secure(partition).filter(|i| shared || i.intid < FIRST_SHARED) {
            if !self.port.configure_interrupt(i) {
                let (name, id) = (&partition.identity.name, u64::from(i.intid));
                self.port
                    .log(format_args!("{}: the interrupt controller has no interrupt {id}: it never comes", *name));
            }
        }
    }

    /// Disables the interrupts of a partition that died: the shared ones, and those of this CPU's own.
    pub(crate) fn silence(&self, partition: &Partition<P>) {
        for i in secure(partition) {
            self.port.enable_interrupt(i.intid, false);
        }
    }

    /// Sends the shared interrupts that go to a CPU which goes off to one that stays, leaves that one the timers, and has
    /// it look for work that this one has left.
    pub(crate) fn leave_interrupts(&'static self, cpu: &Cpu<P>) {
        let (left, timers) = self.leave_timers(cpu);
        if left == 0 {
            return;
        }
        let to = left.trailing_zeros() as usize;
        let mut work = timers;
        for partition in self.partitions.iter() {
            for i in secure(partition).filter(|i| i.intid >= FIRST_SHARED) {
                self.port.move_interrupt(i.intid, cpu.index, to);
            }
            work |= partition.context_for(cpu.index).is_some_and(|c| !c.is_per_cpu && wakes_for(c).is_some());
        }
        if work {
            self.port.kick(Some(to));
        }
    }

    /// Makes an interrupt pending in a context, wherever it runs.
    pub(crate) fn pend_slot(&self, context: &ExecutionContext<P>, slot: Slot) {
        if self.raise(context, slot) && context.state() == State::Running {
            // Perhaps on another CPU, which looks at the line when it comes here.
            self.port.kick(context.is_per_cpu.then_some(context.vcpu as usize));
        }
    }

    /// Makes an interrupt pending in a context that does not run, or runs on this CPU. Tells whether it is let through:
    /// one that is not moves no line, and whoever enables it later looks at what is pending.
    pub(crate) fn raise(&self, context: &ExecutionContext<P>, slot: Slot) -> bool {
        context.interrupts.pend(slot);
        let open = context.interrupts.is_enabled(slot);
        if open {
            self.refresh(context);
        }
        open
    }

    /// Brings a context's interrupt lines in agreement with what is pending.
    pub(crate) fn refresh(&self, context: &ExecutionContext<P>) {
        loop {
            let lines = context.interrupts.lines();
            self.port.set_lines(context.context(), lines);
            // Whoever wrote last looked last: of two CPUs at this, one sees what the other has changed.
            fence(Ordering::SeqCst);
            if context.interrupts.lines() == lines {
                return;
            }
        }
    }

    /// Keeps Non-secure interrupts out until the CPU goes back to the Normal world, whatever runs until then.
    #[inline(never)]
    pub(crate) fn hold(&self, cpu: &mut Cpu<P>, on: bool) {
        cpu.held = on;
        self.port.hold_normal(on);
    }

    /// Takes everything that the interrupt controller has for this CPU; true if the deadline has passed.
    fn collect(&'static self, cpu: &mut Cpu<P>) -> bool {
        let mut late = false;
        for _ in 0..AT_A_TIME {
            match self.port.acknowledge() {
                Some(KICK) => {
                    for context in self.partitions.iter().filter_map(|p| p.context_for(cpu.index)) {
                        self.refresh(context);
                    }
                    self.set_alarm(cpu);
                }
                Some(WAKE) => self.ring(cpu),
                Some(DEADLINE) => late = true,
                Some(intid) => self.arrived(cpu, intid),
                None => break,
            }
        }
        late
    }

    /// Makes an interrupt pending in its owner.
    fn arrived(&'static self, cpu: &Cpu<P>, intid: u32) {
        for partition in self.partitions.iter() {
            if let Some(slot) = Slot::own(partition.manifest, intid)
                && let Some(context) = partition.context_for(cpu.index)
                && !matches!(context.state(), State::Aborted | State::Stopped)
            {
                context.interrupts.activate(slot);
                self.raise(context, slot);
                return self.announce(cpu, context);
            }
        }
        let number = u64::from(intid);
        self.port.log(format_args!("interrupt {number} has no partition that could handle it: it is disabled"));
        self.port.enable_interrupt(intid, false);
        self.port.deactivate_interrupt(intid, cpu.index);
    }

    /// Tells whoever is to know that an interrupt has become pending in a context, which this CPU may not be running.
    pub(crate) fn announce(&'static self, cpu: &Cpu<P>, context: &ExecutionContext<P>) {
        if self.leave_to_scheduler(context, SriPolicy::WHILE_WAITING) {
            return;
        }
        let elsewhere = !context.is_per_cpu && cpu.current.is_none_or(|c| !core::ptr::eq(c, context));
        if elsewhere && context.state() == State::Running {
            self.port.kick(None);
        }
    }

    /// Has the Normal world's scheduler run a waiting context for its interrupts, if its partition's
    /// `sri-interrupts-policy` says so and the scheduler listens; else it is entered without being asked for.
    fn leave_to_scheduler(&self, context: &ExecutionContext<P>, when: SriPolicy) -> bool {
        if !context.manifest.sri_policy.contains(when) || wakes_for(context).is_none() {
            return false;
        }
        let mut all = self.notifications.lock();
        if !all.schedules() || !all.ask_for_cycles(context.id, context.vcpu as u16) {
            return false;
        }
        context.interrupts.tell();
        self.port.raise_schedule_receiver();
        true
    }

    /// Finds a waiting context that has an interrupt to handle.
    fn find_waiting(&'static self, cpu: &Cpu<P>) -> Option<(&'static ExecutionContext<P>, Slot)> {
        for context in self.partitions.iter().filter_map(|p| p.context_for(cpu.index)) {
            if let Some(slot) = wakes_for(context) {
                return Some((context, slot));
            }
        }
        None
    }

    /// Wins a waiting context that has an interrupt to handle.
    fn win_waiting(&'static self, cpu: &Cpu<P>) -> Option<(&'static ExecutionContext<P>, Slot)> {
        loop {
            let found = self.find_waiting(cpu)?;
            // If another CPU has won it, it waits no longer.
            if found.0.state.try_move(State::Idle, State::Running).is_ok() {
                return Some(found);
            }
        }
    }

    /// Takes [`crate::Exit::SecureInterrupt`]: `context` ran.
    pub(crate) fn secure_interrupt(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Next<P> {
        if self.collect(cpu) {
            return self.too_late(cpu, context, regs);
        }
        self.wake_waiting(cpu, context, regs)
    }

    /// Ends a context that computes while Non-secure interrupts have waited for too long; whoever waits for it gets as
    /// much time again.
    #[cold]
    fn too_late(&'static self, cpu: &mut Cpu<P>, context: &'static ExecutionContext<P>, regs: &mut Regs) -> Next<P> {
        self.say(context, format_args!(" kept the Normal world's interrupts waiting for more than {LONGEST_WAIT} s"));
        self.port.restart_deadline();
        self.abort(cpu, context, regs)
    }

    /// Lets a waiting context handle its interrupt before `context`, stopped between two instructions, goes on.
    fn wake_waiting(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Next<P> {
        let call = context.call();
        let signalled = context.manifest.other_secure_interrupts == OtherSecureInterruptAction::Signalled;
        let interruptible = signalled && !cpu.held && call.position() < CHAIN_MAX;
        let Some((target, slot)) = interruptible.then(|| self.win_waiting(cpu)).flatten() else {
            cpu.deferred |= self.find_waiting(cpu).is_some();
            return Next::Run(context);
        };
        self.port.park_interrupted(context.context(), regs);
        context.set_callee(target.link());
        // The chain owns it from here on; nobody else may move it.
        let _ = context.state.try_move(call.active(), State::Blocked);
        self.hold(cpu, true);
        self.enter_for_interrupt(cpu, target, Some(context), slot, regs)
    }

    /// Enters a context that was just won with FFA_INTERRUPT.
    fn enter_for_interrupt(
        &self,
        cpu: &mut Cpu<P>,
        target: &'static ExecutionContext<P>,
        caller: Option<&ExecutionContext<P>>,
        slot: Slot,
        regs: &mut Regs,
    ) -> Next<P> {
        let id = slot.id(target.manifest);
        target.interrupts.tell();
        self.refresh(target);
        let (depth, caller) = caller.map_or((1, Link::NOBODY), |c| (c.call().position() + 1, c.link()));
        target.set_call(Call::new(Entered::Interrupt, depth, caller, PartitionId::NORMAL_WORLD));
        regs.set8([Func::Interrupt.id32() as u64, 0, id as u64, 0, 0, 0, 0, 0]);
        self.go_on(cpu, target, regs)
    }

    /// Takes FFA_INTERRUPT of the SPMD: a Secure interrupt arrived while the Normal world ran.
    #[cold]
    #[inline(never)]
    pub(crate) fn interrupt_from_normal(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Next<P> {
        cpu.set_normal_aside(regs);
        self.hold(cpu, true);
        // What ran before the Normal world is over: a deadline of it means nothing any more.
        let _ = self.collect(cpu);
        self.continue_interrupts(cpu, regs)
    }

    /// Lets the next waiting context handle its interrupt, or lets the Normal world go on.
    fn continue_interrupts(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Next<P> {
        if let Some((target, slot)) = self.win_waiting(cpu) {
            return self.enter_for_interrupt(cpu, target, None, slot, regs);
        }
        self.hold(cpu, false);
        regs.set8([Func::NormalWorldResume.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
        self.reply_normal(cpu, regs)
    }

    /// Goes on after a context that was entered for an interrupt has handled it, or died of it.
    pub(crate) fn after_interrupt(&'static self, cpu: &mut Cpu<P>, call: Call, regs: &mut Regs) -> Next<P> {
        let Some(caller) = self.linked(call.caller()) else {
            return self.continue_interrupts(cpu, regs);
        };
        self.unblock(cpu, caller);
        self.hold(cpu, false);
        self.port.unpark_interrupted(caller.context(), regs);
        self.wake_waiting(cpu, caller, regs)
    }

    /// Does what has to wait until this CPU runs the Normal world, and asks for it back as soon as it does, if a waiting
    /// context has an interrupt to handle.
    #[cold]
    pub(crate) fn ask_again(&'static self, cpu: &mut Cpu<P>) {
        cpu.deferred = false;
        if core::mem::take(&mut cpu.schedule) && self.notifications.lock().schedules() {
            self.port.raise_schedule_receiver();
        }
        for partition in self.partitions.iter() {
            if partition.standing.is_closed() {
                // Its contexts may be at rest by now.
                self.carry_out(cpu.index, partition);
            }
            if let Some(context) = partition.context_for(cpu.index) {
                self.leave_to_scheduler(context, SriPolicy::ENTERING_WAIT);
            }
        }
        if self.find_waiting(cpu).is_some() {
            self.port.kick(Some(cpu.index));
        }
    }

    /// Ends what a context that died has active in the interrupt controller, and its timer.
    pub(crate) fn drop_interrupts(&self, cpu: usize, context: &ExecutionContext<P>) {
        self.forget_timer(context);
        let cpu = if context.is_per_cpu { context.vcpu as usize } else { cpu };
        while let Some(slot) = context.interrupts.deactivate_any() {
            if slot.is_physical() {
                self.port.deactivate_interrupt(slot.id(context.manifest), cpu);
            }
        }
    }
}
