// SPDX-License-Identifier: MIT OR Apache-2.0
//! The EL1 timers of an execution context, emulated: `arch` keeps their registers, and here it is found out when the
//! first of the two is due, whatever runs then. It becomes virtual interrupt 3 of its context; both have that one, the
//! physical timer as in Hafnium, the virtual one as in its earlier releases.
//!
//! Each CPU's Secure EL2 timer is set to the first of the timers that were armed on that CPU, and stays so across all
//! switches between partitions and worlds. A timer's interrupt is a level: it is withdrawn when the partition masks or
//! re-arms the timer, and comes again after its deactivation while the timer's condition still holds.
//!
//! Where there is a hub, it has one timer more, of the same kind: when its messages, windows and breakers are to be
//! looked after. It is armed on the CPU whose call made that the earliest time. That CPU is on, sets its own timer
//! without asking another one, and goes on paying for the work that it has brought.

use alloc::boxed::Box;

use arrayvec::ArrayVec;

use crate::interrupt::Slot;
use crate::manifest::{MAX_CPUS, MAX_PARTITIONS};
use crate::partition::{ExecutionContext, Link, Partition};
use crate::physical::AT_A_TIME;
use crate::sync::Ordering;
use crate::{Cpu, Port, Spmc};

/// How often in a second one timer interrupts whatever runs, the hub's among them: one that asks for more waits.
const MOST_PER_SECOND: u64 = 1000;

/// When a timer is due that is not.
const NEVER: u64 = u64::MAX;

/// What is known of the timers of one context, which are one here: the first that is due; or of the hub's.
struct Alarm {
    /// Whose it is; nobody's: the hub's.
    context: Link,
    /// When it is due; [`NEVER`] while both are off or masked, or it has interrupted its context.
    at: u64,
    /// It is not due before: it has just been.
    rest: u64,
    /// The CPU that it was armed on.
    cpu: usize,
}

/// The timers of all contexts, and the hub's.
pub(crate) struct Alarms(Box<ArrayVec<Alarm, { MAX_PARTITIONS * MAX_CPUS + 1 }>>);

impl Alarms {
    /// Makes a place for every context of `partitions`, at boot.
    pub(crate) fn new<P: Port>(partitions: &[Partition<P>]) -> Self {
        let mut alarms = Self(Box::default());
        for partition in partitions {
            for context in partition.contexts() {
                alarms.add(context.link());
            }
        }
        alarms
    }

    /// Makes a place for a context, or for the hub, at boot.
    pub(crate) fn add(&mut self, context: Link) {
        // There is room for all.
        let _ = self.0.try_push(Alarm { context, at: NEVER, rest: 0, cpu: 0 });
    }

    fn of(&mut self, context: Link) -> Option<&mut Alarm> {
        self.0.iter_mut().find(|a| a.context == context)
    }

    /// Finds when the first of a CPU's timers is due.
    fn first(&self, cpu: usize) -> Option<u64> {
        let mut first = NEVER;
        for alarm in self.0.iter().filter(|a| a.cpu == cpu) {
            first = first.min(alarm.at);
        }
        (first != NEVER).then_some(first)
    }

    /// Takes one of a CPU's timers that is due.
    fn take_due(&mut self, cpu: usize, now: u64, rest: u64) -> Option<Link> {
        let alarm = self.0.iter_mut().find(|a| a.cpu == cpu && a.at <= now)?;
        alarm.at = NEVER;
        alarm.rest = now.saturating_add(rest);
        Some(alarm.context)
    }
}

impl<P: Port> Spmc<P> {
    /// Looks at the timer of the context that runs on this CPU again: it wrote it, or ended its interrupt.
    pub(crate) fn timer_changed(&self, cpu: &Cpu<P>, context: &ExecutionContext<P>) {
        let at = self.port.timer(context.context()).unwrap_or(NEVER);
        let mut alarms = self.alarms.lock();
        let Some(alarm) = alarms.of(context.link()) else { return };
        alarm.at = at.max(alarm.rest);
        alarm.cpu = cpu.index;
        self.port.set_wake(alarms.first(cpu.index));
        // Under the lock: another CPU that finds the old time due has told the context already, or does not any more.
        let is_met = at <= self.port.now();
        if !is_met && context.interrupts.withdraw(Slot::TIMER) {
            self.refresh(context);
        }
    }

    /// Sets this CPU's timer to the first that is due on it.
    pub(crate) fn set_alarm(&self, cpu: &Cpu<P>) {
        self.port.set_wake(self.alarms.lock().first(cpu.index));
    }

    /// Has the hub looked after at `at` at the latest: by this CPU, unless another one does so before.
    pub(crate) fn appoint(&self, cpu: &Cpu<P>, at: u64) {
        let mut alarms = self.alarms.lock();
        let Some(alarm) = alarms.of(Link::NOBODY) else { return };
        let at = at.max(alarm.rest);
        if at < alarm.at {
            (alarm.at, alarm.cpu) = (at, cpu.index);
            self.port.set_wake(alarms.first(cpu.index));
        }
    }

    /// Interrupts the contexts whose timers are due on this CPU, and looks after the hub if its is.
    pub(crate) fn ring(&'static self, cpu: &mut Cpu<P>) {
        let rest = self.port.counter_hz() / MOST_PER_SECOND;
        for _ in 0..AT_A_TIME {
            let mut alarms = self.alarms.lock();
            let Some(owner) = alarms.take_due(cpu.index, self.port.now(), rest) else { break };
            let told = self.call_on(owner);
            drop(alarms);
            if owner == Link::NOBODY {
                self.look_after_hub(cpu);
            } else if let Some(context) = told {
                self.announce(cpu, context);
            }
        }
        self.set_alarm(cpu);
    }

    /// Makes the timer's interrupt pending in a context, unless that is gone.
    fn call_on(&'static self, link: Link) -> Option<&'static ExecutionContext<P>> {
        let context = self.linked(link)?;
        if !context.state().is_alive() {
            return None;
        }
        self.raise(context, Slot::TIMER);
        Some(context)
    }

    /// Forgets the timer of a context that died or begins anew.
    pub(crate) fn forget_timer(&self, context: &ExecutionContext<P>) {
        if let Some(alarm) = self.alarms.lock().of(context.link()) {
            (alarm.at, alarm.rest) = (NEVER, 0);
        }
    }

    /// Returns when the timer of a context is due, and on which CPU.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn timer_of(&self, context: &ExecutionContext<P>) -> Option<(u64, usize)> {
        self.alarms.lock().of(context.link()).filter(|a| a.at != NEVER).map(|a| (a.at, a.cpu))
    }

    /// Takes a CPU off the list of those that are on, and gives the timers of contexts that may run elsewhere to the
    /// first that stays. Returns those that stay, and whether that one has been given any.
    pub(crate) fn leave_timers(&'static self, cpu: &Cpu<P>) -> (u32, bool) {
        // Under the lock, so that of two CPUs that go off one sees what the other has left to it.
        let mut alarms = self.alarms.lock();
        let left = self.online.fetch_and(!(1 << cpu.index), Ordering::AcqRel) & !(1 << cpu.index);
        let mut moved = false;
        for alarm in alarms.0.iter_mut().filter(|a| left != 0 && a.cpu == cpu.index && a.at != NEVER) {
            if self.linked(alarm.context).is_none_or(|c| !c.is_per_cpu) {
                alarm.cpu = left.trailing_zeros() as usize;
                moved = true;
            }
        }
        self.port.set_wake(None);
        (left, moved)
    }
}
