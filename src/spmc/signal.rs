// SPDX-License-Identifier: MIT OR Apache-2.0
//! The calls of notifications and indirect messages (DEN0077A, "FFA_NOTIFICATION_*", "FFA_MSG_SEND2"): who may, and
//! who has to be told.

use ffa_abi::{Func, PartitionId, Regs, Version, func::SMC64};

use crate::interrupt::Slot;
use crate::mailbox::Pair;
use crate::msg::endpoints;
use crate::notification::{Info, Notifications, Pending, Wanted};
use crate::partition::{Partition, Properties};
use crate::refusal::Refusal;
use crate::routing::{End, Use};
use crate::{Cpu, ExecutionContext, Port, Spmc};

/// Flag bit 0 of FFA_NOTIFICATION_BIND and SET: for one execution context.
const PER_CONTEXT: u32 = 1 << 0;
/// Flag bit 1 of FFA_NOTIFICATION_SET and FFA_MSG_SEND2: do not tell the scheduler yet.
const DELAY: u32 = 1 << 1;

fn bitmap(low: u64, high: u64) -> u64 {
    low as u32 as u64 | high << 32
}

/// Tells a receiver what was pending, in halves from w2 on.
fn tell_pending(got: &Pending, regs: &mut Regs) {
    let (sp, vm) = (got.from_partitions, got.from_vms);
    let [a, b, c, d] = [sp as u32 as u64, sp >> 32, vm as u32 as u64, vm >> 32];
    regs.set8([Func::Success.id32() as u64, 0, a, b, c, d, got.from_framework, 0]);
}

/// Tells the scheduler whom it has to run: identifiers of 16 bits packed from x3 on.
fn tell_info(info: &Info, regs: &mut Regs) {
    let wide = regs.fid() & SMC64;
    // w2: more to come; the number of lists in bits [11:7]; contexts in each list, two bits from 12 on.
    let told = info.more as u64 | (info.lists as u64) << 7 | info.counts << 12;
    let [a, b, c, d, e] = info.words;
    regs.set8([(Func::Success.id32() | wide) as u64, 0, told, a, b, c, d, e]);
}

impl<P: Port> Spmc<P> {
    /// Answers a notification call of `caller`; `None` is the Normal world.
    #[inline(never)]
    pub(crate) fn notification_call(
        &self,
        cpu: &mut Cpu<P>,
        caller: Option<&Partition<P>>,
        func: Func,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let [_, w1, w2, w3, w4, ..] = regs.x;
        let (first, second) = endpoints(w1);
        let flags = w2 as u32;
        let bits = bitmap(w3, w4);
        let mut all = self.notifications.lock();
        match func {
            Func::NotificationBitmapCreate => {
                let contexts = u16::try_from(flags).map_err(|_| Refusal::BitmapContexts)?;
                all.create(vm(second)?, contexts)?;
                // From now on it may be raised, whether or not FFA_FEATURES asked for its number first.
                self.port.donate_schedule_receiver();
            }
            Func::NotificationBitmapDestroy => all.destroy(vm(second)?)?,
            Func::NotificationBind => {
                if flags & !PER_CONTEXT != 0 {
                    return Err(Refusal::BadFlags);
                }
                self.check_binding(caller, second, first)?;
                all.bind(second, first, bits, flags & PER_CONTEXT != 0)?;
            }
            Func::NotificationUnbind => {
                self.check_binding(caller, second, first)?;
                all.unbind(second, first, bits)?;
            }
            Func::NotificationSet => {
                check_self(caller, first, Refusal::ForgedSource)?;
                let context = (flags >> 16) as u16;
                let one = (flags & PER_CONTEXT != 0).then_some(context);
                if flags & 0xffff & !(PER_CONTEXT | DELAY) != 0 || (one.is_none() && context != 0) {
                    return Err(Refusal::BadFlags);
                }
                let to = self.check_signal(first, second)?;
                if let Some(contexts) = all.set(second, first, bits, one)? {
                    self.tell_receiver(cpu, &all, to, (contexts, flags & DELAY != 0));
                }
            }
            Func::NotificationGet => {
                check_self(caller, second, Refusal::NotReceiverItself)?;
                let got = all.get(second, first.0, Wanted::from_bits(flags).ok_or(Refusal::BadFlags)?)?;
                if let Some(partition) = caller {
                    self.calm(partition, all.quiet(second));
                }
                tell_pending(&got, regs);
                return Ok(());
            }
            Func::NotificationInfoGet => {
                let mut info = Info::new(regs.fid() & SMC64 != 0);
                all.info(&mut info)?;
                tell_info(&info, regs);
                return Ok(());
            }
            // The dispatcher sends no others here.
            _ => return Err(Refusal::UnknownCall),
        }
        regs.set_success(0);
        Ok(())
    }

    /// Checks that `receiver` is the caller and that `sender` may signal to it at all.
    fn check_binding(
        &self,
        caller: Option<&Partition<P>>,
        receiver: PartitionId,
        sender: PartitionId,
    ) -> Result<(), Refusal> {
        check_self(caller, receiver, Refusal::NotReceiverItself)?;
        if let Some(p) = caller
            && !p.identity.properties.contains(Properties::NOTIFICATIONS)
        {
            return Err(Refusal::NoNotifications);
        }
        if sender == receiver {
            return Err(Refusal::ToSelf);
        }
        self.check_signal(sender, receiver).map(drop)
    }

    /// Checks that `sender` may signal to `receiver` by the routing policy. Returns the latter, if it is a partition.
    #[inline(never)]
    fn check_signal(&self, sender: PartitionId, receiver: PartitionId) -> Result<Option<&Partition<P>>, Refusal> {
        let (from, to) = (self.partitions.look_up(sender), self.partitions.look_up(receiver));
        let is_unknown = |id: PartitionId, p: Option<&Partition<P>>| p.is_none() && id.is_secure();
        // Between VMs it is their hypervisor's business.
        let are_vms = from.is_none() && to.is_none();
        if are_vms || is_unknown(sender, from) || is_unknown(receiver, to) {
            return Err(Refusal::UnknownPartition);
        }
        self.routing.check(end(sender, from), end(receiver, to), Use::Messages).map(|()| to)
    }

    /// Finds an endpoint in the routing table.
    pub(crate) fn end_of(&self, id: PartitionId) -> Option<End> {
        let partition = self.partitions.look_up(id);
        (partition.is_some() || !id.is_secure()).then(|| end(id, partition))
    }

    /// Signals that a message is in an endpoint's RX buffer, and tells of it.
    pub(crate) fn tell_of_message(
        &self,
        cpu: &mut Cpu<P>,
        all: &mut Notifications,
        receiver: PartitionId,
        delay: bool,
    ) {
        let contexts = all.set_rx_full(receiver);
        self.tell_receiver(cpu, all, self.partitions.look_up(receiver), (contexts, delay));
    }

    /// Tells of a new signal: these contexts of a partition by the notification pending interrupt, and the Normal world's
    /// scheduler, if it has asked for that, by the schedule-receiver interrupt; with `delay` not before this CPU runs
    /// that world again. What the signal was entered in is still locked: what NOTIFICATION_GET takes back must not be
    /// what came after it.
    #[inline(never)]
    fn tell_receiver(
        &self,
        cpu: &mut Cpu<P>,
        all: &Notifications,
        receiver: Option<&Partition<P>>,
        (contexts, delay): (u32, bool),
    ) {
        if let Some(partition) = receiver {
            for context in partition.contexts().iter().filter(|c| contexts >> c.vcpu & 1 != 0) {
                self.pend_slot(context, Slot::NOTIFICATION);
            }
        }
        if delay {
            // The Normal world itself, where it is what signals, needs no interrupt.
            let by_partition = cpu.current.is_some();
            cpu.schedule |= by_partition;
            cpu.deferred |= by_partition;
        } else if all.schedules() {
            self.port.raise_schedule_receiver();
        }
    }

    /// Makes the notification pending interrupt pending in a context that starts, if something waits for it already.
    pub(crate) fn remind(&self, context: &ExecutionContext<P>) {
        if self.notifications.lock().quiet(context.id) >> context.vcpu & 1 == 0 {
            context.interrupts.pend(Slot::NOTIFICATION);
        }
    }

    /// Takes the notification pending interrupt back from those of a partition's contexts that have nothing to ask for.
    fn calm(&self, partition: &Partition<P>, contexts: u32) {
        for context in partition.contexts().iter().filter(|c| contexts >> c.vcpu & 1 != 0) {
            if context.interrupts.withdraw(Slot::NOTIFICATION) {
                self.refresh(context);
            }
        }
    }

    /// Answers FFA_MSG_SEND2: copies the message in the caller's TX buffer to its receiver's RX buffer.
    #[inline(never)]
    pub(crate) fn msg_send2(
        &self,
        cpu: &mut Cpu<P>,
        caller: Option<&Partition<P>>,
        regs: &mut Regs,
    ) -> Result<(), Refusal> {
        let [_, w1, w2, ..] = regs.x;
        let sender = PartitionId((w1 >> 16) as u16);
        let own = caller.map_or(PartitionId::NORMAL_WORLD, |p| p.id());
        // A partition names itself or nobody; the Normal world's primary endpoint has the only buffers there.
        if (sender != own && sender.0 != 0) || w1 as u16 != 0 {
            return Err(Refusal::ForgedSource);
        }
        if w2 as u32 & !DELAY != 0 {
            return Err(Refusal::BadFlags);
        }
        let pair = self.mailbox_for(caller).lock().pair().ok_or(Refusal::BufferNotMapped)?;
        let header = Header::read(self.port, &pair, self.version_for(caller))?;
        if header.sender != own {
            return Err(Refusal::ForgedSource);
        }
        if header.receiver == own {
            return Err(Refusal::ToSelf);
        }
        let delay = w2 as u32 & DELAY != 0;
        let target = self.partitions.look_up(header.receiver);
        let supervised = match &self.hub {
            Some(hub) if self.is_supervised(caller, target)? => Some(hub),
            _ => None,
        };
        check_ends(caller, target, header.receiver)?;
        if let Some(hub) = supervised {
            self.send_supervised(hub, cpu, (caller, target), &header, delay)?;
        } else {
            let route = self.route(end(own, caller), end(header.receiver, target))?;
            self.deliver(caller, target, &header).map_err(|why| self.turned_back(route, why))?;
            self.tell_of_message(cpu, &mut self.notifications.lock(), header.receiver, delay);
        }
        regs.set_success(0);
        Ok(())
    }

    /// Copies. Both mailboxes are held meanwhile, so that neither buffer can be unmapped
    /// and its pages change hands; the Normal world's before a partition's, then by position.
    fn deliver(
        &self,
        caller: Option<&Partition<P>>,
        target: Option<&Partition<P>>,
        header: &Header,
    ) -> Result<(), Refusal> {
        let (from, to) = (self.mailbox_for(caller), self.mailbox_for(target));
        let rank = |p: Option<&Partition<P>>| p.map_or(0, |p| p.index + 1);
        let in_order = rank(caller) < rank(target);
        let (first, second) = if in_order { (from, to) } else { (to, from) };
        let (mut first, mut second) = (first.lock(), second.lock());
        let (from, to) = if in_order { (&mut first, &mut second) } else { (&mut second, &mut first) };
        let pair = from.pair().ok_or(Refusal::BufferNotMapped)?;
        header.check_end(&pair)?;
        if to.pair().is_none() {
            return Err(Refusal::ReceiverNotReady);
        }
        if to.rx_is_with_consumer() {
            return Err(Refusal::ReceiverFull);
        }
        let mut delivery = to.begin_delivery()?;
        delivery.append(self.port, header.bytes())?;
        delivery.skip_to(header.offset as u64);
        let (mut at, mut left) = (header.offset as u64, header.size as usize);
        while left > 0 {
            let mut chunk = [0; 128];
            let part = chunk.get_mut(..left.min(128)).unwrap_or_default();
            let pa = pair.tx.checked_add(at).ok_or(Refusal::MessageHeader)?;
            self.port.read(pair.space, pa, part).map_err(|_| Refusal::BufferFault)?;
            delivery.append(self.port, part)?;
            at += part.len() as u64;
            left -= part.len();
        }
        delivery.finish();
        Ok(())
    }
}

/// Names the end of a route that has this identifier, which is a partition's or the Normal world's.
fn end<P: Port>(id: PartitionId, partition: Option<&Partition<P>>) -> End {
    partition.map_or(End::normal(id), |p| End::partition(p.index))
}

/// Checks that the two ends exchange indirect messages at all. No `target` is the Normal world, if `receiver` says so.
fn check_ends<P: Port>(
    caller: Option<&Partition<P>>,
    target: Option<&Partition<P>>,
    receiver: PartitionId,
) -> Result<(), Refusal> {
    if target.is_none() && (receiver != PartitionId::NORMAL_WORLD || caller.is_none()) {
        return Err(Refusal::UnknownPartition);
    }
    let indirect = |p: &Partition<P>| p.identity.properties.contains(Properties::INDIRECT);
    if caller.is_none_or(indirect) && target.is_none_or(indirect) { Ok(()) } else { Err(Refusal::NotIndirect) }
}

fn vm(id: PartitionId) -> Result<PartitionId, Refusal> {
    if id.is_secure() { Err(Refusal::UnknownPartition) } else { Ok(id) }
}

/// Checks that `id` is the caller, or an endpoint that the Normal world's hypervisor speaks for.
fn check_self<P: Port>(caller: Option<&Partition<P>>, id: PartitionId, refusal: Refusal) -> Result<(), Refusal> {
    let own = match caller {
        Some(p) => id == p.id(),
        None => !id.is_secure(),
    };
    if own { Ok(()) } else { Err(refusal) }
}

/// The header of an indirect message (DEN0077A, "Partition message header"), copied once and checked.
pub(crate) struct Header {
    raw: [u8; Self::V1_2],
    len: usize,
    sender: PartitionId,
    pub(crate) receiver: PartitionId,
    pub(crate) offset: u32,
    pub(crate) size: u32,
}

impl Header {
    /// Bytes before v1.2, and with the UUID that v1.2 adds.
    const V1_1: usize = 20;
    const V1_2: usize = 40;

    fn read<P: Port>(port: &P, pair: &Pair, version: Version) -> Result<Self, Refusal> {
        let len = if version >= Version::V1_2 { Self::V1_2 } else { Self::V1_1 };
        let mut raw = [0; Self::V1_2];
        port.read(pair.space, pair.tx, &mut raw).map_err(|_| Refusal::BufferFault)?;
        let (words, _) = raw.as_chunks::<4>();
        let word = |n: usize| words.get(n).map_or(0, |word| u32::from_le_bytes(*word));
        let [flags, reserved, offset, ends, size] = [word(0), word(1), word(2), word(3), word(4)];
        let (sender, receiver) = endpoints(ends as u64);
        // A sender of v1.2 may use the short header of v1.1.
        if flags != 0 || reserved != 0 || (offset as usize) < Self::V1_1 || offset % 4 != 0 || size == 0 {
            return Err(Refusal::MessageHeader);
        }
        let header = Self { raw, len: len.min(offset as usize), sender, receiver, offset, size };
        header.check_end(pair)?;
        Ok(header)
    }

    /// Checks that the message ends inside a buffer of `pair`: whoever copies it asks again about the pair that it
    /// holds, which may be another one by then.
    pub(crate) fn check_end(&self, pair: &Pair) -> Result<(), Refusal> {
        let fits = u64::from(self.offset) + u64::from(self.size) <= pair.len;
        if fits { Ok(()) } else { Err(Refusal::MessageHeader) }
    }

    fn bytes(&self) -> &[u8] {
        self.raw.get(..self.len).unwrap_or_default()
    }

    /// Returns the UUID of the service that the message is for; zeroes in a header that has none.
    pub(crate) fn uuid(&self) -> [u64; 2] {
        let (words, _) = self.raw.as_chunks::<8>();
        match words {
            [_, _, _, a, b] if self.len >= Self::V1_2 => [u64::from_le_bytes(*a), u64::from_le_bytes(*b)],
            // The short header.
            _ => [0; 2],
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sim::world::{Spec, World, base};
    use crate::{PAGE_SIZE, Pa, Space};

    #[test]
    fn buffers_that_shrink_between_header_and_text_give_nothing_of_what_lies_behind_them() {
        let w = World::booted(&[Spec::default(), Spec::default()], 1);
        let [from, to] = [0, 1].map(|n| w.partition(n));
        let pair = |n, pages| {
            let (rx, len) = (Pa(base(n) + 8 * PAGE_SIZE), pages * PAGE_SIZE);
            Pair { space: Space::Secure, tx: Pa(base(n)), rx, len }
        };
        let size = 2 * PAGE_SIZE as u32 - 20;
        let words = [0, 0, 20, 0x8001_8002, size].map(u32::to_le_bytes).concat();
        w.machine.write(Space::Secure, Pa(base(0)), &words).unwrap();
        let Ok(header) = Header::read(w.machine, &pair(0, 2), Version::V1_1) else { panic!("it is sound") };
        to.mailbox.lock().map(pair(1, 2)).unwrap();
        // Another context of the sender has mapped a smaller pair meanwhile.
        from.mailbox.lock().map(pair(0, 1)).unwrap();
        assert_eq!(w.spmc.deliver(Some(from), Some(to), &header), Err(Refusal::MessageHeader));
        assert!(!to.mailbox.lock().rx_is_with_consumer());
        from.mailbox.lock().unmap().unwrap();
        from.mailbox.lock().map(pair(0, 2)).unwrap();
        assert_eq!(w.spmc.deliver(Some(from), Some(to), &header), Ok(()));
    }
}
