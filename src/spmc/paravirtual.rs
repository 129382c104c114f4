// SPDX-License-Identifier: MIT OR Apache-2.0
//! The paravirtual interrupt controller: HVC calls by which a partition enables, takes and ends its virtual
//! interrupts, with the numbers that partitions written for Hafnium use.

use ffa_abi::Regs;

use crate::interrupt::Slot;
use crate::partition::{ExecutionContext, Partition, State};
use crate::{Cpu, Port, Spmc};

const ENABLE: u32 = 0xff03;
const GET: u32 = 0xff04;
const DEACTIVATE: u32 = 0xff08;
const RECONFIGURE: u32 = 0xff09;
const SEND_IPI: u32 = 0xff0a;

/// What [`GET`] answers when nothing is pending.
const NO_INTERRUPT: u64 = u32::MAX as u64;
const FAILED: u64 = -1i64 as u64;
/// The commands of [`RECONFIGURE`].
const TARGET: u32 = 0;
const SECURITY: u32 = 1;
const STATE: u32 = 2;
/// The value of [`SECURITY`] that keeps an interrupt Secure.
const SECURE: u32 = 1;

impl<P: Port> Spmc<P> {
    /// Answers an HVC of the paravirtual interrupt controller; false if `fid` is none of its calls.
    pub(crate) fn paravirtual_call(
        &self,
        cpu: &Cpu<P>,
        partition: &Partition<P>,
        context: &ExecutionContext<P>,
        fid: u32,
        regs: &mut Regs,
    ) -> bool {
        let [_, a, b, c, ..] = regs.x;
        let done = match fid {
            ENABLE => enable(partition, context, a as u32, b as u32 != 0, c as u32 != 0),
            GET => {
                let slot = context.interrupts.take();
                regs.x[0] = slot.map_or(NO_INTERRUPT, |slot| slot.id(partition.manifest) as u64);
                self.refresh(context);
                return true;
            }
            DEACTIVATE => self.deactivate(cpu, partition, context, a as u32, b as u32),
            RECONFIGURE => self.reconfigure(partition, a as u32, b as u32, c as u32),
            SEND_IPI => self.send_ipi(partition, context, a),
            // Not a call of this interface.
            _ => return false,
        };
        self.refresh(context);
        regs.x[0] = if done.is_some() { 0 } else { FAILED };
        true
    }

    /// Ends the handling of a physical and a virtual interrupt, which have one id.
    fn deactivate(
        &self,
        cpu: &Cpu<P>,
        partition: &Partition<P>,
        context: &ExecutionContext<P>,
        physical: u32,
        id: u32,
    ) -> Option<()> {
        let slot = Slot::find(partition.manifest, id).filter(|_| physical == id)?;
        if !context.interrupts.deactivate(slot) {
            return None;
        }
        if slot.is_physical() {
            self.port.deactivate_interrupt(id, cpu.index);
        }
        if slot == Slot::TIMER {
            self.timer_changed(cpu, context);
        }
        Some(())
    }

    /// Changes a physical interrupt of the partition's.
    fn reconfigure(&self, partition: &Partition<P>, intid: u32, command: u32, value: u32) -> Option<()> {
        Slot::own(partition.manifest, intid)?;
        let done = match command {
            TARGET => self.port.route_interrupt(intid, value as usize),
            // An interrupt of a partition stays Secure.
            SECURITY => value == SECURE,
            STATE => {
                self.port.enable_interrupt(intid, value != 0);
                true
            }
            // There are no other commands.
            _ => false,
        };
        done.then_some(())
    }

    /// Sends [`Slot::IPI`] to another context of the partition, or to the caller itself.
    fn send_ipi(&self, partition: &Partition<P>, from: &ExecutionContext<P>, vcpu: u64) -> Option<()> {
        let target = partition.contexts().get(usize::try_from(vcpu).ok()?)?;
        if target.vcpu == from.vcpu {
            self.raise(target, Slot::IPI);
            return Some(());
        }
        self.pend_slot(target, Slot::IPI);
        if target.state() != State::Running {
            self.port.kick(Some(target.vcpu as usize));
        }
        Some(())
    }
}

fn enable<P: Port>(
    partition: &Partition<P>,
    context: &ExecutionContext<P>,
    id: u32,
    on: bool,
    fiq: bool,
) -> Option<()> {
    context.interrupts.enable(Slot::find(partition.manifest, id)?, on, fiq);
    Some(())
}
