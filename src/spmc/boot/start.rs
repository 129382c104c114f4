// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bringing up execution contexts on a CPU, cold and warm, through the same loop that serves them later.

use ffa_abi::{Func, PartitionId, Regs, Status};

use crate::partition::{Call, Entered, ExecutionContext, Partition};
use crate::{Cpu, Next, Port, Spmc};

impl<P: Port> Spmc<P> {
    /// Starts a CPU: initialises, in boot order, the execution contexts that are this CPU's and have not run yet,
    /// and ends with FFA_MSG_WAIT to the SPMD. The first CPU also initialises those that may run anywhere.
    pub fn start(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Next<P> {
        *cpu = Cpu::new(cpu.index);
        // What came while the CPU was off waits for it.
        cpu.deferred = true;
        self.configure_interrupts(cpu);
        self.hold(cpu, true);
        self.continue_start(cpu, regs)
    }

    /// Enters the next execution context that has to initialise, or says that this CPU is ready.
    pub(crate) fn continue_start(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Next<P> {
        while let Some((partition, context)) = self.next_in_boot_order(cpu) {
            if context.is_ready() {
                match self.tell_warm_boot(cpu, context, regs) {
                    Some(next) => return next,
                    None => continue,
                }
            }
            // A partition whose first context failed does not get the others.
            let first_is_ready = partition.contexts().first().is_some_and(|c| c.is_ready());
            if (context.vcpu == 0 || first_is_ready) && partition.win_start(context) {
                return self.begin(cpu, partition, context, Call::START, regs);
            }
        }
        self.hold(cpu, false);
        regs.set8([Func::MsgWait.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
        self.reply_normal(cpu, regs)
    }

    /// Finds the next partition in the boot order that is not closed and has a context for this CPU.
    #[inline(never)]
    pub(crate) fn next_in_boot_order(
        &'static self,
        cpu: &mut Cpu<P>,
    ) -> Option<(&'static Partition<P>, &'static ExecutionContext<P>)> {
        while let Some(&index) = self.boot_order.get(cpu.next) {
            cpu.next += 1;
            if let Some(partition) = self.partitions.get(index as usize)
                && let Some(context) = partition.context_for(cpu.index)
                && !partition.standing.is_closed()
            {
                return Some((partition, context));
            }
        }
        None
    }

    /// Enters a context that was just won to start. `above` is what waits for that, if its partition died: it stays in
    /// the chain that it was in, so that the chain can be preempted while it starts.
    pub(crate) fn begin(
        &self,
        cpu: &mut Cpu<P>,
        partition: &Partition<P>,
        context: &'static ExecutionContext<P>,
        above: Call,
        regs: &mut Regs,
    ) -> Next<P> {
        if partition.standing.has_restarted() {
            // They were disabled when it died.
            self.configure(partition, context.vcpu == 0);
        }
        self.drop_interrupts(cpu.index, context);
        context.interrupts.reset(context.manifest);
        self.remind(context);
        context.set_call(Call::new(Entered::Init, above.position(), above.caller(), PartitionId::NORMAL_WORLD));
        context.set_restart(above);
        self.port.reset(context.context(), &partition.entry(context.vcpu as u16));
        self.refresh(context);
        self.port.restart_deadline();
        self.port.unpark_interrupted(context.context(), regs);
        cpu.current = Some(context);
        Next::Run(context)
    }

    /// Takes FFA_ERROR during initialisation: the partition says that it cannot start.
    pub(crate) fn failed_start(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Next<P> {
        let [_, _, code, ..] = regs.x;
        self.say(context, format_args!(" failed to start: code {}", Status(code)));
        self.abort(cpu, context, regs)
    }
}
