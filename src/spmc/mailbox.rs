// SPDX-License-Identifier: MIT OR Apache-2.0
//! RX/TX buffers (DEN0077A, "RX/TX buffers"): a pair per endpoint, and who owns RX now.

use crate::refusal::Refusal;
use crate::{PAGE_SIZE, Pa, Port, Space};

/// The most 4 KiB pages in one buffer.
pub(crate) const MAX_PAGES: u64 = 16;

/// Where an endpoint's buffers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) space: Space,
    /// What the endpoint sends from.
    pub(crate) tx: Pa,
    /// What it receives in.
    pub(crate) rx: Pa,
    /// Bytes in each.
    pub(crate) len: u64,
}

impl Pair {
    /// Tells whether one of its buffers has a byte in a range of their space, from its first byte to its end.
    pub(crate) fn touches(&self, first: u64, end: u64) -> bool {
        // Neither wraps: `check_layout` has seen to that, or the check of the manifest's regions.
        let touches = |buffer: Pa| first < buffer.0.wrapping_add(self.len) && buffer.0 < end;
        touches(self.tx) || touches(self.rx)
    }
}

/// An endpoint's mailbox. RX is a state machine of two states: with its producer (empty) or with its consumer
/// (full); TX always belongs to the endpoint between calls.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    pair: Option<Pair>,
    rx_with_consumer: bool,
}

/// Checks the numbers of `FFA_RXTX_MAP` before any address is looked up: returns bytes in a buffer.
pub(crate) fn check_layout(tx: u64, rx: u64, pages: u64) -> Result<u64, Refusal> {
    if tx % PAGE_SIZE != 0 || rx % PAGE_SIZE != 0 {
        return Err(Refusal::BufferMisaligned);
    }
    if pages == 0 || pages > MAX_PAGES {
        return Err(Refusal::BufferPages);
    }
    let len = pages * PAGE_SIZE;
    let end = |at: u64| at.checked_add(len).ok_or(Refusal::BufferMemory);
    let (tx_end, rx_end) = (end(tx)?, end(rx)?);
    if tx < rx_end && rx < tx_end {
        return Err(Refusal::BufferOverlap);
    }
    Ok(len)
}

impl Mailbox {
    /// Returns the registered pair.
    pub(crate) fn pair(&self) -> Option<Pair> {
        self.pair
    }

    /// Registers a pair.
    #[inline(never)]
    pub(crate) fn map(&mut self, pair: Pair) -> Result<(), Refusal> {
        if self.pair.is_some() {
            return Err(Refusal::BufferMapped);
        }
        (self.pair, self.rx_with_consumer) = (Some(pair), false);
        Ok(())
    }

    /// Removes the pair.
    pub(crate) fn unmap(&mut self) -> Result<(), Refusal> {
        self.pair.take().ok_or(Refusal::BufferNotMapped)?;
        self.rx_with_consumer = false;
        Ok(())
    }

    /// Gives RX back to its producer at its consumer's wish.
    pub(crate) fn release(&mut self) -> Result<(), Refusal> {
        if !self.rx_with_consumer {
            return Err(Refusal::BufferNotOwned);
        }
        self.rx_with_consumer = false;
        Ok(())
    }

    /// Lets the consumer's side take RX, empty as it is, from its producer.
    pub(crate) fn acquire(&mut self) -> Result<(), Refusal> {
        if self.pair.is_none() {
            return Err(Refusal::BufferNotMapped);
        }
        if self.rx_with_consumer {
            return Err(Refusal::BufferNotOwned);
        }
        self.rx_with_consumer = true;
        Ok(())
    }

    /// Gives RX back if its consumer has it: what `FFA_MSG_WAIT` implies.
    pub(crate) fn release_if_owned(&mut self) {
        self.rx_with_consumer = false;
    }

    /// Tells whether the consumer has RX.
    pub(crate) fn rx_is_with_consumer(&self) -> bool {
        self.rx_with_consumer
    }

    /// Begins to fill RX, which must be its producer's. Nothing changes hands before [`Delivery::finish`].
    pub(crate) fn begin_delivery(&mut self) -> Result<Delivery<'_>, Refusal> {
        let pair = self.pair.as_ref().ok_or(Refusal::BufferAbsent)?;
        if self.rx_with_consumer {
            return Err(Refusal::BufferOwned);
        }
        Ok(Delivery { pair, rx_with_consumer: &mut self.rx_with_consumer, filled: 0 })
    }
}

/// An answer on its way into an RX buffer.
pub(crate) struct Delivery<'a> {
    pair: &'a Pair,
    rx_with_consumer: &'a mut bool,
    filled: u64,
}

impl Delivery<'_> {
    /// Writes behind what was written before.
    pub(crate) fn append<P: Port>(&mut self, port: &P, data: &[u8]) -> Result<(), Refusal> {
        let at = self.place(data.len())?;
        port.write(self.pair.space, at, data).map_err(|_| Refusal::BufferFault)
    }

    /// Writes words behind what was written before.
    pub(crate) fn append_words<P: Port>(&mut self, port: &P, data: &[u64]) -> Result<(), Refusal> {
        let at = self.place(size_of_val(data))?;
        port.write_words(self.pair.space, at, data).map_err(|_| Refusal::BufferFault)
    }

    /// Finds the place of as many bytes behind what was written before. If they cannot be written the delivery is over.
    fn place(&mut self, len: usize) -> Result<Pa, Refusal> {
        let end = self.filled.saturating_add(len as u64);
        if end > self.pair.len {
            return Err(Refusal::BufferTooSmall);
        }
        let at = self.pair.rx.checked_add(self.filled).ok_or(Refusal::BufferTooSmall)?;
        self.filled = end;
        Ok(at)
    }

    /// Returns the bytes that can still be written.
    pub(crate) fn room(&self) -> u64 {
        self.pair.len - self.filled
    }

    /// Returns the bytes written.
    pub(crate) fn filled(&self) -> u64 {
        self.filled
    }

    /// Leaves the bytes up to `offset` as they are.
    pub(crate) fn skip_to(&mut self, offset: u64) {
        self.filled = self.filled.max(offset);
    }

    /// Hands the buffer to its consumer.
    pub(crate) fn finish(self) {
        *self.rx_with_consumer = true;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_checked_in_every_field() {
        assert_eq!(check_layout(0x1000, 0x2000, 1), Ok(0x1000));
        assert_eq!(check_layout(0x1001, 0x2000, 1), Err(Refusal::BufferMisaligned));
        assert_eq!(check_layout(0x1000, 0x2800, 1), Err(Refusal::BufferMisaligned));
        assert_eq!(check_layout(0x1000, 0x2000, 0), Err(Refusal::BufferPages));
        assert_eq!(check_layout(0x1000, 0x20_0000, 17), Err(Refusal::BufferPages));
        assert_eq!(check_layout(0x1000, 0x1000, 1), Err(Refusal::BufferOverlap));
        assert_eq!(check_layout(0x1000, 0x2000, 2), Err(Refusal::BufferOverlap));
        assert_eq!(check_layout(0x3000, 0x2000, 2), Err(Refusal::BufferOverlap));
        assert_eq!(check_layout(0xffff_ffff_ffff_f000, 0x2000, 1), Err(Refusal::BufferMemory));
    }

    #[test]
    fn rx_goes_to_its_consumer_and_back() {
        let pair = Pair { space: Space::Secure, tx: Pa(0x1000), rx: Pa(0x2000), len: 0x1000 };
        let mut m = Mailbox::default();
        assert_eq!(m.release(), Err(Refusal::BufferNotOwned));
        m.map(pair).unwrap();
        assert_eq!(m.map(pair), Err(Refusal::BufferMapped));
        assert!(!m.rx_is_with_consumer());
        assert_eq!(m.pair(), Some(pair));
        assert_eq!(m.unmap(), Ok(()));
        assert_eq!(m.pair(), None);
        assert_eq!(m.unmap(), Err(Refusal::BufferNotMapped));
        let touched = [0, 0x1000, 0x2000, 0x3000].map(|at| pair.touches(at, at + 0x1000));
        assert_eq!(touched, [false, true, true, false]);
        assert!(pair.touches(0, 0x4000) && pair.touches(0x2800, 0x2801) && !pair.touches(0x3000, u64::MAX));
    }
}
