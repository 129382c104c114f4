// SPDX-License-Identifier: MIT OR Apache-2.0
//! Framework messages (DEN0077A, "Power management messages", "VM availability messages", "FFA_VERSION"; TF-A's
//! SPMD): power events of a CPU, VMs coming and going, and the Normal world's version.

use ffa_abi::{Func, PartitionId, Regs, Status};

use crate::manifest::PowerMessages;
use crate::msg::{endpoints, truncate};
use crate::partition::{Call, Entered, ExecutionContext, Properties, State};
use crate::refusal::Refusal;
use crate::{Cpu, Next, Port, Spmc};

/// Bit 31 of w2: a message of the framework; its number is below.
pub(crate) const FRAMEWORK: u32 = 1 << 31;
pub(crate) const PSCI_REQUEST: u8 = 0;
const WARM_BOOT: u8 = 1;
pub(crate) const POWER_RESPONSE: u8 = 2;
const VM_CREATED: u8 = 4;
const VM_DESTROYED: u8 = 6;
pub(crate) const VERSION_REQUEST: u8 = 8;
pub(crate) const VERSION_RESPONSE: u8 = 9;
/// The PSCI function by which a CPU goes off.
const CPU_OFF: u64 = 0x8400_0002;
/// w3 of a warm-boot message: the CPU was off.
const WAS_OFF: u64 = 1;

/// Makes w0-w7 a framework message or answer, from one endpoint to another, with `w3` to w6.
#[inline(never)]
pub(crate) fn message(regs: &mut Regs, func: Func, (from, to): (PartitionId, PartitionId), number: u8, w3: &[u64; 4]) {
    let [a, b, c, d] = *w3;
    let low = |word| word as u32 as u64;
    let w1 = (from.0 as u64) << 16 | to.0 as u64;
    regs.set8([func.id32() as u64, w1, (FRAMEWORK | number as u32) as u64, low(a), low(b), low(c), low(d), 0]);
}

impl<P: Port> Spmc<P> {
    /// Takes a direct request whose w2 is not zero.
    #[cold]
    #[inline(never)]
    pub(crate) fn framework_from_normal(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Result<Next<P>, Refusal> {
        let [_, w1, w2, w3, w4, w5, w6, ..] = regs.x;
        let (source, destination) = endpoints(w1);
        if regs.fid() != Func::DirectReq.id32() {
            return Err(Refusal::FrameworkMessage);
        }
        // The number has eight bits; the rest of w2 is reserved.
        let number = w2 as u8;
        if w2 as u32 & !0xff != FRAMEWORK {
            return Err(Refusal::ReservedNotZero);
        }
        if source != PartitionId::SPMD || destination != self.id {
            return self.vm_availability(cpu, source, destination, number, regs);
        }
        match number {
            VERSION_REQUEST => {
                let answer = self.normal.version.answer(w3 as u32);
                message(regs, Func::DirectResp, (self.id, source), VERSION_RESPONSE, &[answer as u64, 0, 0, 0]);
                Ok(Next::Reply)
            }
            PSCI_REQUEST => {
                (cpu.next, cpu.power) = (0, Some([w3, w4, w5, w6]));
                cpu.set_normal_aside(regs);
                self.hold(cpu, true);
                Ok(self.continue_power(cpu, regs))
            }
            // TF-A 2.12 sends no others.
            _ => Err(Refusal::FrameworkMessage),
        }
    }

    /// Tells the next partition of a power event, or ends it: the CPU starts, or the SPMD gets its answer.
    pub(crate) fn continue_power(&'static self, cpu: &mut Cpu<P>, regs: &mut Regs) -> Next<P> {
        let Some(psci) = cpu.power else {
            return self.continue_start(cpu, regs);
        };
        while let Some((_, context)) = self.next_in_boot_order(cpu) {
            if context.is_per_cpu
                && context.manifest.power_messages.contains(PowerMessages::CPU_OFF)
                && context.state.try_move(State::Idle, State::Running).is_ok()
            {
                return self.tell(cpu, context, self.id, (PSCI_REQUEST, &psci), regs);
            }
        }
        cpu.power = None;
        if psci[0] == CPU_OFF {
            self.leave_interrupts(cpu);
        }
        self.hold(cpu, false);
        // SPMD forwards an answer with any other w1 to the Normal world.
        message(regs, Func::DirectResp, (self.id, PartitionId::SPMD), POWER_RESPONSE, &[0; 4]);
        self.reply_normal(cpu, regs)
    }

    /// Tells a context, if its partition wants to know, that its CPU is back.
    pub(crate) fn tell_warm_boot(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Option<Next<P>> {
        let wants = context.is_per_cpu && context.manifest.power_messages.contains(PowerMessages::CPU_ON);
        if !wants || context.state.try_move(State::Idle, State::Running).is_err() {
            return None;
        }
        Some(self.tell(cpu, context, self.id, (WARM_BOOT, &[WAS_OFF, 0, 0, 0]), regs))
    }

    /// Passes a VM-availability message of the hypervisor on to the partition that it is for.
    fn vm_availability(
        &'static self,
        cpu: &mut Cpu<P>,
        source: PartitionId,
        destination: PartitionId,
        number: u8,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        if source != PartitionId::NORMAL_WORLD {
            return Err(if source.is_secure() { Refusal::ForgedSource } else { Refusal::FrameworkMessage });
        }
        let wanted = match number {
            VM_CREATED => Properties::VM_CREATED,
            VM_DESTROYED => Properties::VM_DESTROYED,
            // No other message comes from a hypervisor.
            _ => return Err(Refusal::FrameworkMessage),
        };
        let partition = self.partitions.look_up(destination).ok_or(Refusal::UnknownPartition)?;
        let context = self.win(cpu, partition, (wanted, Refusal::NotSubscribed))?;
        cpu.set_normal_aside(regs);
        let [_, _, _, w3, w4, w5, w6, ..] = regs.x;
        Ok(self.tell(cpu, context, source, (number, &[w3, w4, w5, w6]), regs))
    }

    /// Enters a context that was just won with a framework message: its number, and w3 to w6.
    fn tell(
        &self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        requester: PartitionId,
        (number, w3): (u8, &[u64; 4]),
        regs: &mut Regs,
    ) -> Next<P> {
        message(regs, Func::DirectReq, (requester, context.id), number, w3);
        let is_power = requester == self.id;
        let answer = if is_power { POWER_RESPONSE } else { number + 1 };
        context.set_call(Call::of_normal(Entered::Framework, requester).with_answer(answer));
        if is_power {
            // The CPU is on its way up or down: nobody could resume a preempted context.
            self.port.queue_interrupts(context.context(), true);
            self.port.restart_deadline();
        }
        self.go_on(cpu, context, regs)
    }

    /// Takes a partition's answer to a framework message.
    pub(crate) fn framework_response(
        &'static self,
        cpu: &mut Cpu<P>,
        responder: &'static ExecutionContext<P>,
        call: Call,
        regs: &mut Regs,
    ) -> Result<Next<P>, Refusal> {
        let [w0, w1, w2, w3, ..] = regs.x;
        if w0 as u32 != Func::DirectResp.id32() {
            return Err(Refusal::WrongWidth);
        }
        if PartitionId(w1 as u16) != call.requester() {
            return Err(Refusal::WrongRequester);
        }
        if w2 as u32 != FRAMEWORK | call.answer() as u32 {
            return Err(Refusal::FrameworkMessage);
        }
        if call.requester() != self.id {
            truncate(regs);
            self.rest(cpu, responder, call, regs);
            return Ok(self.go_back(cpu, call, regs));
        }
        if w3 as u32 != 0 {
            self.say(responder, format_args!(" answers a power message with status {}", Status(w3)));
        }
        self.port.park(responder.context(), regs);
        self.port.queue_interrupts(responder.context(), responder.is_queued());
        let _ = responder.state.try_move(State::Running, State::Idle);
        Ok(self.continue_power(cpu, regs))
    }
}
