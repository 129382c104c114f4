// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of an execution context: one atomic byte, one table of moves.
//!
//! A move is one compare-and-swap. Whoever wins the move into [`State::Starting`] or [`State::Running`] owns the
//! saved registers; in [`State::Blocked`], [`State::Preempted`] and [`State::Suspended`] the call chain does; otherwise
//! nobody. Whoever wins the move out of [`State::Preempted`] owns the chain: its head is the only one in that state.

use crate::sync::{AtomicU8, Ordering};

/// Names what an execution context is doing (DEN0077A, "Partition runtime states").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// At its entry point, not yet entered.
    Reset = 0,
    /// Initialising: entered, has not yet said that it is ready.
    Starting = 1,
    /// Waiting for work.
    Idle = 2,
    /// On a CPU.
    Running = 3,
    /// Waiting for the answer to a call of its own.
    Blocked = 4,
    /// Off the CPU in the middle of its work, as the head of its chain: whom FFA_RUN resumes.
    Preempted = 5,
    /// Ended by a fault or by its own wish; its abort action has not been carried out yet.
    Aborted = 6,
    /// Never to run again.
    Stopped = 7,
    /// Off the CPU behind a head that is preempted.
    Suspended = 8,
}

impl State {
    /// Lists the states in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::Reset,
        Self::Starting,
        Self::Idle,
        Self::Running,
        Self::Blocked,
        Self::Preempted,
        Self::Aborted,
        Self::Stopped,
        Self::Suspended,
    ];

    /// Tells whether the context has begun and has not ended.
    pub const fn is_alive(self) -> bool {
        match self {
            Self::Starting | Self::Idle | Self::Running | Self::Blocked | Self::Preempted | Self::Suspended => true,
            Self::Reset | Self::Aborted | Self::Stopped => false,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Reset,
            1 => Self::Starting,
            2 => Self::Idle,
            3 => Self::Running,
            4 => Self::Blocked,
            5 => Self::Preempted,
            6 => Self::Aborted,
            8 => Self::Suspended,
            // 7; nothing else is ever stored, and Stopped is the state from which nothing follows.
            _ => Self::Stopped,
        }
    }

    #[inline(always)]
    const fn bit(self) -> u16 {
        1 << self as u8
    }

    /// Returns the states that may follow this one, a bit each.
    #[inline(always)]
    const fn successors(self) -> u16 {
        use State::*;
        match self {
            Reset => Starting.bit() | Aborted.bit(),
            Starting => Idle.bit() | Blocked.bit() | Preempted.bit() | Suspended.bit() | Aborted.bit(),
            Idle => Running.bit() | Aborted.bit(),
            Running => Idle.bit() | Blocked.bit() | Preempted.bit() | Suspended.bit() | Aborted.bit(),
            Blocked => Running.bit() | Starting.bit() | Preempted.bit() | Suspended.bit() | Aborted.bit(),
            Preempted | Suspended => Blocked.bit(),
            Aborted => Reset.bit() | Stopped.bit(),
            Stopped => 0,
        }
    }

    /// Tells whether the table has a move from this state to `to`.
    #[inline(always)]
    pub const fn may_become(self, to: Self) -> bool {
        self.successors() & to.bit() != 0
    }
}

/// Holds the state of one execution context.
#[derive(Debug)]
pub(crate) struct StateCell(AtomicU8);

impl Default for StateCell {
    fn default() -> Self {
        Self(AtomicU8::new(State::Reset as u8))
    }
}

impl StateCell {
    /// Reads the state; by the time it is looked at, another CPU may have moved it on.
    pub(crate) fn get(&self) -> State {
        State::from_code(self.0.load(Ordering::Acquire))
    }

    /// Moves from `from` to `to`, or tells which state stood in the way. A move that the table lacks is refused
    /// like one that lost its race: both answer with the state as it is.
    ///
    /// AcqRel on success: everything that the last owner wrote to the context happens before the new owner's
    /// first look at it.
    #[inline(always)]
    pub(crate) fn try_move(&self, from: State, to: State) -> Result<(), State> {
        if !from.may_become(to) {
            return Err(self.get());
        }
        match self.0.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(now) => Err(State::from_code(now)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The table of the design, typed a second time as pairs.
    const MOVES: &[(State, State)] = {
        use State::*;
        &[
            (Reset, Starting),
            (Starting, Idle),
            (Starting, Blocked),
            (Starting, Preempted),
            (Starting, Suspended),
            (Idle, Running),
            (Running, Idle),
            (Running, Blocked),
            (Running, Preempted),
            (Running, Suspended),
            (Blocked, Running),
            (Blocked, Starting),
            (Blocked, Preempted),
            (Blocked, Suspended),
            (Preempted, Blocked),
            (Suspended, Blocked),
            (Reset, Aborted),
            (Starting, Aborted),
            (Idle, Aborted),
            (Running, Aborted),
            (Blocked, Aborted),
            (Aborted, Reset),
            (Aborted, Stopped),
        ]
    };

    #[test]
    fn every_pair_of_states_moves_exactly_as_the_table_says() {
        for from in State::ALL {
            for to in State::ALL {
                let cell = StateCell(AtomicU8::new(from as u8));
                let expected = MOVES.contains(&(from, to));
                assert_eq!(cell.try_move(from, to).is_ok(), expected, "{from:?} -> {to:?}");
                assert_eq!(cell.get(), if expected { to } else { from });
            }
        }
    }

    #[test]
    fn a_move_from_another_state_is_refused_and_names_it() {
        let cell = StateCell(AtomicU8::new(State::Blocked as u8));
        assert_eq!(cell.try_move(State::Idle, State::Running), Err(State::Blocked));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    /// Two CPUs race for one idle context: one wins, and sees what the last owner left in the registers.
    #[test]
    fn loom_one_of_two_cpus_wins_and_sees_the_saved_registers() {
        loom::model(|| {
            let shared = Arc::new((StateCell(AtomicU8::new(State::Running as u8)), UnsafeCell::new(0u64)));
            let owner = {
                let s = shared.clone();
                loom::thread::spawn(move || {
                    s.1.with_mut(|_| ());
                    s.0.try_move(State::Running, State::Idle).is_ok()
                })
            };
            let enter = |s: &(StateCell, UnsafeCell<u64>)| {
                let won = s.0.try_move(State::Idle, State::Running).is_ok();
                if won {
                    // loom reports a race if two owners overlap or the release was not seen.
                    s.1.with_mut(|_| ());
                    s.0.try_move(State::Running, State::Blocked).unwrap();
                }
                won
            };
            let other = {
                let s = shared.clone();
                loom::thread::spawn(move || enter(&s))
            };
            let mine = enter(&shared);
            let theirs = other.join().unwrap();
            assert!(owner.join().unwrap());
            assert!(!(mine && theirs));
        });
    }
}
