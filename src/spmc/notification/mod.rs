// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notifications (DEN0077A, "Notifications"): 64 bits for each receiver, each bound to one sender, pending for the
//! receiver as a whole or for one of its execution contexts.
//!
//! One lock guards all of it: a signal and the question for it are both rare and short, and the lists that
//! `FFA_NOTIFICATION_INFO_GET` returns must not lose a bit between two receivers. It is taken alone.

mod receiver;

use alloc::boxed::Box;

use arrayvec::ArrayVec;
use ffa_abi::PartitionId;

use crate::manifest::{MAX_CPUS, MAX_PARTITIONS};
use crate::refusal::Refusal;
use receiver::{NOBODY, PLACES, Receiver, WHOLE, first};

pub(crate) use receiver::Pending;

/// The most VMs that can have a bitmap.
const MAX_VMS: usize = 8;
const RECEIVERS: usize = MAX_PARTITIONS + MAX_VMS;
/// Bit 0 of the SPM framework's notifications: a message is in the RX buffer.
pub(crate) const RX_FULL: u64 = 1;

bitflags::bitflags! {
    /// What a receiver asks for in w2 of `FFA_NOTIFICATION_GET`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Wanted: u32 {
        /// Notifications of partitions.
        const PARTITIONS = 1 << 0;
        /// Notifications of VMs.
        const VMS = 1 << 1;
        /// Notifications of the SPM framework.
        const SPM = 1 << 2;
        /// Notifications of the hypervisor: never any here.
        const HYPERVISOR = 1 << 3;
    }
}

/// All receivers.
#[derive(Debug)]
pub(crate) struct Notifications {
    /// Too large to be moved about on a stack; it never grows.
    receivers: Box<ArrayVec<Receiver, RECEIVERS>>,
    /// The Normal world's primary endpoint is among them: its scheduler wants to be told.
    schedules: bool,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { receivers: Box::new(ArrayVec::new()), schedules: false }
    }
}

/// `FFA_NOTIFICATION_INFO_GET`'s answer, ready for its registers.
#[derive(Debug)]
pub(crate) struct Info {
    /// x3 to x7: 16-bit identifiers, a receiver, then up to three of its contexts; and so on.
    pub(crate) words: [u64; 5],
    /// How many identifiers a word takes: a power of two, by its exponent.
    per_word: u32,
    /// How many identifiers there are, and can be.
    used: usize,
    room: usize,
    /// How many lists there are.
    pub(crate) lists: usize,
    /// The contexts in each list, two bits from bit 0 on.
    pub(crate) counts: u64,
    /// There is more than fits.
    pub(crate) more: bool,
}

impl Info {
    /// Makes an empty answer of the 64-bit form, or of the 32-bit one.
    pub(crate) fn new(wide: bool) -> Self {
        let per_word = if wide { 2 } else { 1 };
        Self { words: [0; 5], per_word, used: 0, room: 5 << per_word, lists: 0, counts: 0, more: false }
    }

    fn push(&mut self, id: u16) {
        if let Some(word) = self.words.get_mut(self.used >> self.per_word) {
            let place = self.used & ((1 << self.per_word) - 1);
            *word |= u64::from(id) << (16 * place);
            self.used += 1;
        }
    }

    /// Begins a list.
    fn open(&mut self, receiver: PartitionId) {
        self.push(receiver.0);
        self.lists += 1;
    }

    /// Adds a context to the last list.
    fn add(&mut self, context: u16) {
        self.push(context);
        self.counts += 1 << (2 * (self.lists.max(1) - 1));
    }
}

impl Notifications {
    #[inline(never)]
    fn find(&mut self, id: PartitionId) -> Option<&mut Receiver> {
        self.receivers.iter_mut().find(|r| r.id == id)
    }

    /// Tells whether the Normal world's primary endpoint has a bitmap, and so wants its scheduler told.
    pub(crate) fn schedules(&self) -> bool {
        self.schedules
    }

    /// Gives an endpoint its bitmap: a VM at its hypervisor's wish, a partition at boot.
    pub(crate) fn create(&mut self, id: PartitionId, contexts: u16) -> Result<(), Refusal> {
        if contexts == 0 || contexts as usize > MAX_CPUS {
            return Err(Refusal::BitmapContexts);
        }
        if self.find(id).is_some() {
            return Err(Refusal::BitmapExists);
        }
        if self.receivers.try_push(Receiver::new(id, contexts)).is_err() {
            // In the place of one that was taken away.
            self.find(NOBODY).ok_or(Refusal::TooManyBitmaps)?.reset(id, contexts);
        }
        self.schedules |= id == PartitionId::NORMAL_WORLD;
        Ok(())
    }

    /// Takes a bitmap away, unless something is pending in it.
    pub(crate) fn destroy(&mut self, id: PartitionId) -> Result<(), Refusal> {
        let r = self.find(id).ok_or(Refusal::NoBitmap)?;
        if r.pending() != 0 {
            return Err(Refusal::NotificationPending);
        }
        r.reset(NOBODY, 0);
        self.schedules &= id != PartitionId::NORMAL_WORLD;
        Ok(())
    }

    /// Binds `bits` of `receiver` to `sender`, all or none.
    pub(crate) fn bind(
        &mut self,
        receiver: PartitionId,
        sender: PartitionId,
        bits: u64,
        per_context: bool,
    ) -> Result<(), Refusal> {
        if bits == 0 {
            return Err(Refusal::NoBits);
        }
        let r = self.find(receiver).ok_or(Refusal::NoBitmap)?;
        if r.bound & bits != 0 {
            return Err(Refusal::BitsBound);
        }
        r.set_sender(bits, sender);
        r.bound |= bits;
        if per_context {
            r.per_context |= bits;
        }
        Ok(())
    }

    /// Unbinds `bits`, all of which must be bound to `sender` and none of which may be pending.
    pub(crate) fn unbind(&mut self, receiver: PartitionId, sender: PartitionId, bits: u64) -> Result<(), Refusal> {
        if bits == 0 {
            return Err(Refusal::NoBits);
        }
        let r = self.find(receiver).ok_or(Refusal::NoBitmap)?;
        if r.bits_of(sender, bits) != bits {
            return Err(Refusal::BitsNotBound);
        }
        if r.anywhere(sender) & bits != 0 {
            return Err(Refusal::NotificationPending);
        }
        r.release(bits);
        Ok(())
    }

    /// Signals `bits` to `receiver`, for one of its contexts if they are bound so. Returns, if anything is new, the
    /// contexts to interrupt for it, a bit each.
    #[inline(always)]
    pub(crate) fn set(
        &mut self,
        receiver: PartitionId,
        sender: PartitionId,
        bits: u64,
        context: Option<u16>,
    ) -> Result<Option<u32>, Refusal> {
        if bits == 0 {
            return Err(Refusal::NoBits);
        }
        let r = self.find(receiver).ok_or(Refusal::NoBitmap)?;
        if r.bits_of(sender, bits) != bits {
            return Err(Refusal::BitsNotBound);
        }
        let expected = if context.is_some() { bits } else { 0 };
        if r.per_context & bits != expected {
            return Err(Refusal::WrongBinding);
        }
        let place = match context {
            None => WHOLE,
            Some(n) if n < r.contexts => n,
            Some(_) => return Err(Refusal::UnknownVcpu),
        };
        let word = r.signalled_by(sender).get_mut(place as usize).ok_or(Refusal::UnknownVcpu)?;
        let new = *word & bits != bits;
        *word |= bits;
        Ok(new.then(|| r.tell(place)))
    }

    /// Signals that a message is in `receiver`'s RX buffer; an endpoint without a bitmap looks by itself. Returns the
    /// contexts to interrupt for it, a bit each.
    pub(crate) fn set_rx_full(&mut self, receiver: PartitionId) -> u32 {
        self.find(receiver).map_or(0, |r| {
            r.from_framework |= RX_FULL;
            r.tell(WHOLE)
        })
    }

    /// Returns what is pending for one context of `receiver`, the global ones included, and clears it.
    pub(crate) fn get(&mut self, receiver: PartitionId, context: u16, wanted: Wanted) -> Result<Pending, Refusal> {
        let r = self.find(receiver).ok_or(Refusal::NoBitmap)?;
        if context >= r.contexts {
            return Err(Refusal::UnknownVcpu);
        }
        r.interrupted &= !(1 << WHOLE | 1 << context);
        let take = |words: &mut [u64; PLACES]| {
            let mut all = 0;
            for place in [context, WHOLE] {
                all |= words.get_mut(place as usize).map_or(0, core::mem::take);
            }
            all
        };
        let mut out = Pending::default();
        if wanted.contains(Wanted::PARTITIONS) {
            out.from_partitions = take(&mut r.from_partitions);
        }
        if wanted.contains(Wanted::VMS) {
            out.from_vms = take(&mut r.from_vms);
        }
        if wanted.contains(Wanted::SPM) {
            out.from_framework = core::mem::take(&mut r.from_framework);
        }
        Ok(out)
    }

    /// Returns the contexts of `receiver`, a bit each, for which nothing is pending.
    pub(crate) fn quiet(&mut self, receiver: PartitionId) -> u32 {
        let Some(r) = self.find(receiver) else { return u32::MAX };
        let pending = r.pending();
        if pending >> WHOLE != 0 { 0 } else { first(r.contexts) & !pending }
    }

    /// Notes that a context of `receiver` is to be run for an interrupt; false if it cannot be listed.
    pub(crate) fn ask_for_cycles(&mut self, receiver: PartitionId, context: u16) -> bool {
        self.find(receiver).map(|r| r.cycles |= 1 << context).is_some()
    }

    /// Lists the receivers that the scheduler has to run, each once for each signal.
    pub(crate) fn info(&mut self, info: &mut Info) -> Result<(), Refusal> {
        for r in self.receivers.iter_mut() {
            let untold = r.untold();
            // Running any context of it delivers what is for the whole as well.
            let (whole, contexts) = (untold & 1 << WHOLE, untold & !(1 << WHOLE));
            let mut left = if contexts != 0 { contexts } else { whole };
            // A list is a receiver and up to three of its contexts: the first one opens one.
            let mut in_list = 3;
            while left != 0 {
                let place = left.trailing_zeros() as u16;
                let (opens, adds) = (in_list == 3, place != WHOLE);
                if info.used + opens as usize + adds as usize > info.room {
                    info.more = true;
                    break;
                }
                if opens {
                    info.open(r.id);
                    in_list = 0;
                }
                if adds {
                    info.add(place);
                }
                in_list += 1;
                left &= !(1 << place);
                r.told |= whole | 1 << place;
                r.cycles &= !(1 << place);
            }
        }
        if info.used == 0 { Err(Refusal::NothingPending) } else { Ok(()) }
    }

    /// Forgets what concerns an endpoint that died: what it bound, what was pending for it, what it may signal.
    pub(crate) fn forget(&mut self, id: PartitionId) {
        for r in self.receivers.iter_mut() {
            if r.id == id {
                r.reset(r.id, r.contexts);
            } else {
                // What it signalled before it died stays pending: the receiver may still want to know.
                let bits = r.bits_of(id, u64::MAX) & !r.anywhere(id);
                r.release(bits);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const VM: PartitionId = PartitionId(0);
    const SP: PartitionId = PartitionId(0x8001);
    const OTHER: PartitionId = PartitionId(0x8002);

    /// The identifiers that are told, and the contexts in each list.
    fn info(n: &mut Notifications, room: usize) -> Result<(Vec<u16>, Vec<u64>), Refusal> {
        let mut info = Info { room, ..Info::new(true) };
        n.info(&mut info)?;
        let ids = (0..info.used).map(|n| (info.words[n / 4] >> (16 * (n % 4))) as u16).collect();
        let lists = (0..info.lists).map(|list| info.counts >> (2 * list) & 3).collect();
        Ok((ids, lists))
    }

    fn with(contexts: u16) -> Notifications {
        let mut n = Notifications::default();
        n.create(VM, 4).unwrap();
        n.create(SP, contexts).unwrap();
        n
    }

    #[test]
    fn bitmaps_are_made_once_and_taken_away_when_empty() {
        let mut n = with(1);
        assert_eq!(n.create(VM, 1), Err(Refusal::BitmapExists));
        assert_eq!(n.create(PartitionId(1), 0), Err(Refusal::BitmapContexts));
        assert_eq!(n.create(PartitionId(1), 65535), Err(Refusal::BitmapContexts));
        n.bind(VM, SP, 1 << 63, false).unwrap();
        n.set(VM, SP, 1 << 63, None).unwrap();
        assert_eq!(n.destroy(VM), Err(Refusal::NotificationPending));
        n.get(VM, 0, Wanted::all()).unwrap();
        assert_eq!(n.destroy(VM), Ok(()));
        assert_eq!(n.destroy(VM), Err(Refusal::NoBitmap));
        assert_eq!(n.bind(VM, SP, 1, false), Err(Refusal::NoBitmap));
        let refused = (1..100).find_map(|id| n.create(PartitionId(id), 1).err());
        assert_eq!(refused, Some(Refusal::TooManyBitmaps));
    }

    #[test]
    fn a_bit_belongs_to_one_sender_until_it_is_unbound() {
        let mut n = with(2);
        n.bind(SP, VM, 0b110, false).unwrap();
        assert_eq!(n.bind(SP, OTHER, 0b010, false), Err(Refusal::BitsBound));
        assert_eq!(n.set(SP, OTHER, 0b010, None), Err(Refusal::BitsNotBound));
        assert_eq!(n.set(SP, VM, 0b011, None), Err(Refusal::BitsNotBound));
        assert_eq!(n.set(SP, VM, 0b010, Some(0)), Err(Refusal::WrongBinding));
        assert_eq!(n.set(SP, VM, 0b010, None), Ok(Some(0b11)));
        assert_eq!(n.set(SP, VM, 0b010, None), Ok(None));
        assert_eq!(n.unbind(SP, VM, 0b010), Err(Refusal::NotificationPending));
        assert_eq!(n.unbind(SP, OTHER, 0b100), Err(Refusal::BitsNotBound));
        assert_eq!(n.unbind(SP, VM, 0b100), Ok(()));
        n.bind(SP, OTHER, 0b100, true).unwrap();
        assert_eq!(n.set(SP, OTHER, 0b100, None), Err(Refusal::WrongBinding));
        assert_eq!(n.set(SP, OTHER, 0b100, Some(2)), Err(Refusal::UnknownVcpu));
        assert_eq!(n.set(SP, OTHER, 0b100, Some(1)), Ok(Some(0b10)));
        assert_eq!(n.bind(SP, VM, 0, false), Err(Refusal::NoBits));
    }

    #[test]
    fn a_signal_is_got_once_by_kind_and_context() {
        let mut n = with(2);
        n.bind(SP, VM, 1, false).unwrap();
        n.bind(SP, OTHER, 2, true).unwrap();
        n.set(SP, VM, 1, None).unwrap();
        n.set(SP, OTHER, 2, Some(1)).unwrap();
        n.set_rx_full(SP);
        assert_eq!(n.quiet(SP) & 0b11, 0);
        let got = n.get(SP, 0, Wanted::PARTITIONS | Wanted::SPM).unwrap();
        assert_eq!(got, Pending { from_framework: RX_FULL, ..Pending::default() });
        assert_eq!(
            n.get(SP, 1, Wanted::all()).unwrap(),
            Pending { from_partitions: 2, from_vms: 1, from_framework: 0 }
        );
        assert_eq!(n.get(SP, 1, Wanted::all()), Ok(Pending::default()));
        assert_eq!(n.get(SP, 2, Wanted::all()), Err(Refusal::UnknownVcpu));
        assert_eq!(n.quiet(SP) & 1, 1);
    }

    #[test]
    fn the_scheduler_is_told_once_of_each_signal() {
        let mut n = with(8);
        assert_eq!(info(&mut n, 20), Err(Refusal::NothingPending));
        n.bind(VM, SP, 1, false).unwrap();
        n.bind(SP, VM, 2, true).unwrap();
        n.set(VM, SP, 1, None).unwrap();
        for c in 0..5 {
            n.set(SP, VM, 2, Some(c)).unwrap();
        }
        let (ids, lists) = info(&mut n, 20).unwrap();
        assert_eq!(ids, [0, 0x8001, 0, 1, 2, 0x8001, 3, 4]);
        assert_eq!(lists, [0, 3, 2]);
        assert_eq!(info(&mut n, 20), Err(Refusal::NothingPending));
        // Signalled again after it was told: once more, even if it was not fetched.
        n.get(SP, 3, Wanted::all()).unwrap();
        n.set(SP, VM, 2, Some(3)).unwrap();
        assert_eq!(info(&mut n, 20).unwrap().0, [0x8001, 3]);
    }

    #[test]
    fn what_does_not_fit_is_told_the_next_time() {
        let mut n = with(8);
        n.bind(SP, VM, 2, true).unwrap();
        for c in 0..8 {
            n.set(SP, VM, 2, Some(c)).unwrap();
        }
        let mut told = alloc::vec![];
        while let Ok((ids, lists)) = info(&mut n, 5) {
            assert!(ids.len() <= 5);
            let mut ids = ids.iter();
            for count in lists {
                assert_eq!(ids.next(), Some(&0x8001));
                told.extend(ids.by_ref().take(count as usize).copied());
            }
        }
        assert_eq!(told, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn the_dead_are_forgotten() {
        let mut n = with(1);
        n.bind(VM, SP, 0b11, false).unwrap();
        n.set(VM, SP, 0b01, None).unwrap();
        n.bind(SP, VM, 1, false).unwrap();
        n.set(SP, VM, 1, None).unwrap();
        n.forget(SP);
        assert_eq!(n.quiet(SP) & 1, 1);
        assert_eq!(n.set(SP, VM, 1, None), Err(Refusal::BitsNotBound));
        assert_eq!(n.bind(VM, OTHER, 0b10, false), Ok(()));
        assert_eq!(n.get(VM, 0, Wanted::all()).unwrap().from_partitions, 1);
    }
}
