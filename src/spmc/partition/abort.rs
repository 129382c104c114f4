// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a partition that was aborted: its manifest's `abort-action`.
//!
//! The action waits until none of its contexts is in the middle of something. From the abort on the partition is
//! closed: nobody enters it, so the contexts that another CPU still runs come to rest one by one; the CPU of the last
//! one, or whoever else finds the partition closed, tries to carry the action out again.

use ffa_abi::{Func, Regs};

use crate::interrupt::Slot;
use crate::mailbox::{Mailbox, Pair};
use crate::manifest::AbortAction;
use crate::msg::endpoints;
use crate::partition::{Call, Entered, ExecutionContext, Link, Partition, State};
use crate::refusal::Refusal;
use crate::stage2::{Access, Change, Check, RangeList, Tag};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering};
use crate::{Cpu, Ipa, Next, PAGE_SIZE, Pa, Port, Space, Spmc};

/// A partition that fails this often, less than [`FORGIVEN_AFTER`] apart, stays down.
const MOST_RESTARTS: u32 = 8;
/// Seconds after which earlier restarts no longer count.
const FORGIVEN_AFTER: u64 = 1;

/// A package as it was loaded, kept for restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pristine {
    /// Where the copy lies.
    pub(crate) copy: Pa,
    /// Its length.
    pub(crate) len: u64,
}

/// The partition's standing.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// It was aborted, and its action has not been carried out in full.
    closed: AtomicBool,
    /// Restarts in short succession.
    restarts: AtomicU32,
    /// When the last restart was, in counter ticks.
    since: AtomicU64,
    /// Held by the CPU that carries the action out, or that decides which context starts.
    deciding: Mutex<()>,
}

impl Standing {
    /// Tells whether the partition was restarted lately, or ever.
    pub(crate) fn has_restarted(&self) -> bool {
        self.restarts.load(Ordering::Relaxed) > 0
    }

    /// Tells whether nobody may enter the partition.
    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl<P: Port> Spmc<P> {
    /// Deals with the death of `context`, whose caller waits for `call`: carries out the abort action as far as it
    /// can be now, then answers the caller with FFA_ERROR(ABORTED).
    pub(crate) fn after_abort(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &'static ExecutionContext<P>,
        call: Call,
        regs: &mut Regs,
    ) -> Next<P> {
        let Some(partition) = self.partitions.get(context.partition as usize) else {
            return self.resume_after(cpu, call, regs);
        };
        if !partition.standing.closed.swap(true, Ordering::AcqRel) {
            self.hub_death(cpu, partition);
            self.silence(partition);
        }
        self.carry_out(cpu.index, partition);
        // A context that died while it started again, or in the first start, is not tried a second time here.
        if call.entered() == Entered::Init {
            return self.after_start(cpu, context, regs);
        }
        if partition.win_start(context) {
            return self.begin(cpu, partition, context, call.ended(), regs);
        }
        self.resume_after(cpu, call, regs)
    }

    /// Goes on after a context has started, or has died of it: with what waits for its restart, or with the next start.
    #[inline(never)]
    pub(crate) fn after_start(
        &'static self,
        cpu: &mut Cpu<P>,
        context: &ExecutionContext<P>,
        regs: &mut Regs,
    ) -> Next<P> {
        match context.take_restart() {
            Some(call) => self.resume_after(cpu, call, regs),
            None => self.continue_start(cpu, regs),
        }
    }

    /// Goes on with what was interrupted by an abort or a restart.
    pub(crate) fn resume_after(&'static self, cpu: &mut Cpu<P>, call: Call, regs: &mut Regs) -> Next<P> {
        regs.set_error(call.error());
        match call.entered() {
            Entered::Framework if call.requester() == self.id => self.continue_power(cpu, regs),
            Entered::Interrupt => self.after_interrupt(cpu, call, regs),
            Entered::Init
            | Entered::Run
            | Entered::Direct32
            | Entered::Direct64
            | Entered::Direct2
            | Entered::Framework => self.go_back(cpu, call, regs),
        }
    }

    /// Starts, for the Normal world, a context that was reset by the restart of its partition on another CPU, if that
    /// may be why its call is refused; the caller is told to try again.
    #[cold]
    pub(crate) fn start_again(
        &'static self,
        cpu: &mut Cpu<P>,
        caller: Option<&'static ExecutionContext<P>>,
        (fid, refusal): (u32, Refusal),
        regs: &mut Regs,
    ) -> Option<Next<P>> {
        if caller.is_some() || !refusal.may_start_again() {
            return None;
        }
        let [_, w1, ..] = regs.x;
        let (first, second) = endpoints(w1);
        let partition = match Func::look_up(fid)? {
            Func::DirectReq | Func::DirectReq2 => self.partitions.look_up(second)?,
            Func::Run => self.partitions.look_up(first)?,
            // No other call enters a partition.
            _ => return None,
        };
        if partition.standing.is_closed() {
            self.carry_out(cpu.index, partition);
        }
        let context = partition.context_for(cpu.index)?;
        let started_before = partition.standing.restarts.load(Ordering::Relaxed) > 0;
        if !started_before || !partition.win_start(context) {
            return None;
        }
        cpu.set_normal_aside(regs);
        Some(self.begin(cpu, partition, context, Call::AGAIN, regs))
    }

    /// Carries out the abort action if every context of the partition is at rest.
    pub(crate) fn carry_out(&self, cpu: usize, partition: &Partition<P>) {
        let _deciding = partition.standing.deciding.lock();
        let contexts = partition.contexts();
        if !partition.standing.is_closed() {
            // It has been done, and the partition may be running again.
            return;
        }
        let (mut stopped, mut waits) = (true, false);
        for &c in contexts {
            // Before its state is looked at: if it comes to rest after that, its CPU looks here again on its way back to
            // the Normal world.
            c.interrupts.pend(Slot::AT_REST);
            let _ = c.state.try_move(State::Idle, State::Aborted);
            let _ = c.state.try_move(State::Reset, State::Aborted);
            let state = c.state();
            stopped &= state == State::Stopped;
            waits |= state.is_alive();
        }
        if stopped {
            return;
        }
        if waits {
            self.port.log(format_args!("{}: waits for its other contexts to come to rest", partition.identity.name));
            return;
        }
        for &c in contexts {
            self.drop_interrupts(cpu, c);
        }
        self.release_memory(partition);
        self.notifications.lock().forget(partition.id());
        *partition.mailbox.lock() = Mailbox::default();
        let how = match partition.manifest.abort_action {
            // There is nobody to propagate to: the SPMC outlives every partition.
            AbortAction::Stop | AbortAction::Propagate => "stopped",
            AbortAction::Destroy => {
                self.scrub(partition, false);
                "destroyed, its memory scrubbed"
            }
            AbortAction::Restart => match self.restart(partition) {
                Ok(()) => return,
                Err(why) => why,
            },
        };
        self.stop(partition, how);
    }

    fn stop(&self, partition: &Partition<P>, how: &str) {
        for c in partition.contexts() {
            let _ = c.state.try_move(State::Aborted, State::Stopped);
        }
        self.port.log(format_args!("{}: {how}", partition.identity.name));
    }

    /// Zeroes the memory that is the partition's alone, apart from what it keeps over a restart if there is to be one.
    /// Says whether that is all of what it was given.
    fn scrub(&self, partition: &Partition<P>, restarts: bool) -> bool {
        let (base, len) = partition.identity.memory;
        let stage2 = partition.stage2.lock();
        let mut all = true;
        for page in 0..len / PAGE_SIZE {
            let ipa = Ipa(base.0 + page * PAGE_SIZE);
            let entry = stage2.query(self.port, Space::Secure, ipa);
            let own = entry.is_valid() && entry.tag() == Tag::Owned && entry.pa() == Pa(ipa.0);
            let kept = restarts && partition.manifest.preserves(Pa(ipa.0), PAGE_SIZE).is_some();
            all &= own && (kept || self.port.zero(Space::Secure, Pa(ipa.0), PAGE_SIZE).is_ok());
        }
        all
    }

    /// Gives the partition's own memory the permissions again that its manifest has, whatever FFA_MEM_PERM_SET made of
    /// them.
    fn restore_access(&self, partition: &Partition<P>) -> Result<(), &'static str> {
        let (base, len) = partition.identity.memory;
        let mut stage2 = partition.stage2.lock();
        // One walk: a table that it no longer needs is still there for the next region.
        let mut walk = stage2.walk(self.port, Space::Secure);
        let mut give = |at, len, access| {
            let range = RangeList::one(at, len / PAGE_SIZE);
            walk.claim(&range, &mut Check::Anything)?;
            walk.commit(&range, &Change::Access(access));
            Ok::<_, Refusal>(())
        };
        let mut outcome = give(base, len, Access::all());
        for r in partition.manifest.memory_regions.iter() {
            if outcome.is_ok() && (base.0..base.0 + len).contains(&r.base.0) {
                outcome = give(Ipa(r.base.0), r.size(), r.attributes.access());
            }
        }
        walk.finish();
        outcome.map_err(|_| "stopped: there is no table memory to restart it with")
    }

    /// Puts a partition back to where it was when it was loaded.
    fn restart(&self, partition: &Partition<P>) -> Result<(), &'static str> {
        let Some(pristine) = partition.pristine else {
            return Err("stopped: there was no room for the copy that a restart needs");
        };
        let standing = &partition.standing;
        let now = self.port.now();
        if now.wrapping_sub(standing.since.swap(now, Ordering::Relaxed)) > FORGIVEN_AFTER * self.port.counter_hz() {
            standing.restarts.store(0, Ordering::Relaxed);
        }
        let tries = standing.restarts.fetch_add(1, Ordering::Relaxed);
        if tries >= MOST_RESTARTS {
            return Err("stopped: it fails again and again");
        }
        if !self.scrub(partition, true) {
            return Err("stopped: part of its memory is still lent to others, so it cannot be restarted");
        }
        self.restore_access(partition)?;
        let base = Pa(partition.identity.memory.0.0);
        copy(self.port, pristine.copy, base, pristine.len).map_err(|()| "stopped: its image could not be copied")?;
        self.port.sync_code(base, pristine.len);
        self.port.tlb_invalidate_all(&partition.roots);
        partition.version.reset();
        partition.set_secondary_entry(Ipa(0));
        partition.map_boot_mailbox();
        for &c in partition.contexts() {
            c.set_ready(false);
            c.set_callee(Link::NOBODY);
            let _ = c.state.try_move(State::Aborted, State::Reset);
        }
        partition.standing.closed.store(false, Ordering::Release);
        if let Some(hub) = &self.hub {
            hub.partition_restarted(partition, self.port.now());
        }
        let (times, most) = (u64::from(tries) + 1, u64::from(MOST_RESTARTS));
        self.port.log(format_args!("{}: restarted ({times} of {most})", partition.identity.name));
        Ok(())
    }
}

impl<P: Port> Partition<P> {
    /// Wins a context that has not started since the partition was loaded or restarted, for its first entry. The first
    /// context of all starts alone: it prepares what the others rely on, their entry point among it.
    pub(crate) fn win_start(&self, context: &ExecutionContext<P>) -> bool {
        let _deciding = self.standing.deciding.lock();
        let prepared = self.contexts().iter().any(|c| c.is_ready());
        (prepared || self.contexts().iter().all(|c| c.state() == State::Reset))
            && !self.standing.is_closed()
            && context.state.try_move(State::Reset, State::Starting).is_ok()
    }

    /// Maps the mailbox that its manifest asks for (`rx_tx-info`), when it is loaded or restarted.
    pub(crate) fn map_boot_mailbox(&self) {
        let regions = &self.manifest.memory_regions;
        if let Some(rx_tx) = self.manifest.rx_tx
            && let Some(rx) = regions.get(rx_tx.rx)
            && let Some(tx) = regions.get(rx_tx.tx)
        {
            let len = rx.size().min(tx.size());
            // Nothing is mapped then: this cannot fail.
            let _ = self.mailbox.lock().map(Pair { space: rx.attributes.space(), tx: tx.base, rx: rx.base, len });
        }
    }
}

/// Copies whole words of Secure memory, a piece at a time.
pub(crate) fn copy<P: Port>(port: &P, from: Pa, to: Pa, len: u64) -> Result<(), ()> {
    let mut at = 0;
    while at < len {
        let mut piece = [0; 512];
        let part = piece.get_mut(..(len - at).min(512) as usize).unwrap_or_default();
        port.read(Space::Secure, Pa(from.0 + at), part).map_err(|_| ())?;
        port.write(Space::Secure, Pa(to.0 + at), part).map_err(|_| ())?;
        at += part.len() as u64;
    }
    Ok(())
}

impl Refusal {
    /// Tells whether a refused request may find the partition restarted.
    pub(crate) const fn may_start_again(self) -> bool {
        matches!(self, Self::TargetStarting | Self::TargetAborted)
    }
}
