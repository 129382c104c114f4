// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the management service is asked: x3 to x7 of a direct request.

use super::{CallCode, Control, Direction, HubError, MAX_PARTICIPANTS};
use crate::{PartitionId, Uuid};

/// Asks for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    /// How many of `participants` count.
    pub count: u8,
    /// Who takes part; the first one comes first. What `count` leaves out is 0.
    pub participants: [PartitionId; MAX_PARTICIPANTS],
    /// Who may send.
    pub direction: Direction,
    /// What the coordinator calls the work; no other window that is open or has a summary may have it.
    pub correlation: u64,
    /// The service that the work belongs to.
    pub purpose: Uuid,
    /// How long it lasts, in milliseconds of the generic counter; not 0.
    pub lifetime_ms: u32,
    /// How many messages may pass; not 0.
    pub limit: u16,
}

/// What can be listed, from an index or a number on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Open windows, as [`super::WindowRecord`]s.
    Windows(u32),
    /// Summaries of closed windows, oldest first, as [`super::WindowRecord`]s.
    Summaries(u32),
    /// Events, as [`super::EventRecord`]s.
    Events(u64),
    /// Partitions, as [`super::PartitionRecord`]s.
    Partitions(u32),
    /// Dead letters, as [`super::DeadLetterRecord`]s.
    DeadLetters(u32),
    /// One dead letter with its payload: one record of any size.
    DeadLetter(u64),
    /// Routes whose breaker is not closed, as [`super::RouteRecord`]s.
    Routes(u32),
}

impl List {
    /// Returns which call lists it, and from where.
    pub const fn parts(self) -> (CallCode, u64) {
        match self {
            Self::Windows(n) => (CallCode::Windows, n as u64),
            Self::Summaries(n) => (CallCode::Summaries, n as u64),
            Self::Events(n) => (CallCode::Events, n),
            Self::Partitions(n) => (CallCode::Partitions, n as u64),
            Self::DeadLetters(n) => (CallCode::DeadLetters, n as u64),
            Self::DeadLetter(n) => (CallCode::DeadLetter, n),
            Self::Routes(n) => (CallCode::Routes, n as u64),
        }
    }

    /// Lists from an index or a number on that is in its range; `None` if that call lists nothing.
    fn of(code: CallCode, from: u64) -> Option<Self> {
        let index = from as u32;
        Some(match code {
            CallCode::Windows => Self::Windows(index),
            CallCode::Summaries => Self::Summaries(index),
            CallCode::Events => Self::Events(from),
            CallCode::Partitions => Self::Partitions(index),
            CallCode::DeadLetters => Self::DeadLetters(index),
            CallCode::DeadLetter => Self::DeadLetter(from),
            CallCode::Routes => Self::Routes(index),
            CallCode::Describe
            | CallCode::OpenWindow
            | CallCode::CloseWindow
            | CallCode::ForgetSummaries
            | CallCode::PurgeDeadLetters
            | CallCode::Control
            | CallCode::CancelTask
            | CallCode::Keep
            | CallCode::Fetch => return None,
        })
    }
}

/// A call of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubCall {
    /// Says who coordinates and how much there is of everything.
    Describe,
    /// Opens a window; x4 of the response is its id.
    OpenWindow(OpenWindow),
    /// Closes the window with this id.
    CloseWindow(u32),
    /// Lists something in the caller's RX buffer.
    List(List),
    /// Forgets all summaries; x4 of the response counts them.
    ForgetSummaries,
    /// Purges all dead letters; x4 of the response counts them.
    PurgeDeadLetters,
    /// Cuts a spoke off or lets it in again.
    Control(Control, PartitionId),
    /// Cancels what is pending of a task; x4 of the response counts the messages.
    CancelTask(u64),
    /// Lists something, which is kept to be fetched: at most [`super::KEPT`] bytes.
    Keep(List),
    /// Returns [`super::FETCHED`] bytes of what was kept, from an offset on, in x4 to x7 of the response.
    Fetch(u32),
}

impl HubCall {
    /// Returns which call it is.
    pub const fn code(&self) -> CallCode {
        match self {
            Self::Describe => CallCode::Describe,
            Self::OpenWindow(_) => CallCode::OpenWindow,
            Self::CloseWindow(_) => CallCode::CloseWindow,
            Self::List(list) => list.parts().0,
            Self::ForgetSummaries => CallCode::ForgetSummaries,
            Self::PurgeDeadLetters => CallCode::PurgeDeadLetters,
            Self::Control(..) => CallCode::Control,
            Self::CancelTask(_) => CallCode::CancelTask,
            Self::Keep(_) => CallCode::Keep,
            Self::Fetch(_) => CallCode::Fetch,
        }
    }

    /// Writes x3 to x7.
    pub const fn encode(&self) -> [u64; 5] {
        let code = self.code().code() as u64;
        match *self {
            Self::Describe | Self::ForgetSummaries | Self::PurgeDeadLetters => [code, 0, 0, 0, 0],
            Self::OpenWindow(w) => {
                let [a, b, c, d] = w.participants;
                let ids = a.0 as u64 | (b.0 as u64) << 16 | (c.0 as u64) << 32 | (d.0 as u64) << 48;
                let (low, high) = w.purpose.pair();
                let x3 = code
                    | (w.direction.code() as u64) << 8
                    | (w.count as u64 & 0xf) << 12
                    | (w.limit as u64) << 16
                    | (w.lifetime_ms as u64) << 32;
                [x3, ids, w.correlation, low, high]
            }
            Self::CloseWindow(n) | Self::Fetch(n) => [code, n as u64, 0, 0, 0],
            Self::CancelTask(n) => [code, n, 0, 0, 0],
            Self::List(list) => [code, list.parts().1, 0, 0, 0],
            Self::Keep(list) => {
                let (kept, from) = list.parts();
                [code | (kept.code() as u64) << 8, from, 0, 0, 0]
            }
            Self::Control(what, id) => [code | (what.code() as u64) << 8, id.0 as u64, 0, 0, 0],
        }
    }

    /// Reads x3 to x7.
    pub fn decode(x: [u64; 5]) -> Result<Self, HubError> {
        let Request { code, of, what, number } = Request::read(&x)?;
        if let Some(list) = List::of(of, number) {
            return Ok(if code == CallCode::Keep { Self::Keep(list) } else { Self::List(list) });
        }
        Ok(match code {
            CallCode::Describe => Self::Describe,
            CallCode::OpenWindow => Self::OpenWindow(OpenWindow::of(&x)),
            CallCode::ForgetSummaries => Self::ForgetSummaries,
            CallCode::PurgeDeadLetters => Self::PurgeDeadLetters,
            CallCode::CloseWindow => Self::CloseWindow(number as u32),
            CallCode::Fetch => Self::Fetch(number as u32),
            CallCode::CancelTask => Self::CancelTask(number),
            CallCode::Control => Self::Control(what, PartitionId(number as u16)),
            // Lists, which were read above.
            _ => return Err(HubError::Malformed),
        })
    }
}

/// What the registers of a call say once every field is known to be in its range, before any is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which call it is.
    pub code: CallCode,
    /// The call whose argument `number` is: for [`CallCode::Keep`] what is kept, else `code`.
    pub of: CallCode,
    /// What [`CallCode::Control`] does.
    pub what: Control,
    /// x4: an index, a number, an identifier.
    pub number: u64,
}

impl Request {
    /// Reads x3 to x7. What a window is to be is checked, and left to [`OpenWindow::of`].
    pub fn read(x: &[u64; 5]) -> Result<Self, HubError> {
        let [x3, number, x5, x6, x7] = *x;
        let code = CallCode::from_code(x3 & 0xff).ok_or(HubError::UnknownCall)?;
        let (mut of, mut what, more) = (code, Control::Reset, x3 >> 8 & 0xff);
        let rest = match code {
            CallCode::OpenWindow => {
                OpenWindow::check(x3, number)?;
                return Ok(Self { code, of, what, number });
            }
            CallCode::Control => {
                what = Control::from_code(more).ok_or(HubError::Malformed)?;
                x3 >> 16
            }
            CallCode::Keep => {
                of = CallCode::from_code(more).filter(|of| of.lists()).ok_or(HubError::Malformed)?;
                x3 >> 16
            }
            _ => x3 >> 8,
        };
        let bits = match of {
            CallCode::Describe | CallCode::ForgetSummaries | CallCode::PurgeDeadLetters => 0,
            CallCode::Events | CallCode::DeadLetter | CallCode::CancelTask => 64,
            CallCode::Control => 16,
            // An index, an offset or the identifier of a window.
            _ => 32,
        };
        if (rest | x5 | x6 | x7 | number.unbounded_shr(bits)) != 0 {
            return Err(HubError::Malformed);
        }
        Ok(Self { code, of, what, number })
    }
}

impl CallCode {
    /// Tells whether only the coordinator may make it.
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::OpenWindow
                | Self::CloseWindow
                | Self::ForgetSummaries
                | Self::PurgeDeadLetters
                | Self::Control
                | Self::CancelTask
        )
    }

    /// Tells whether it lists something, or one entry of something.
    pub const fn lists(self) -> bool {
        matches!(
            self,
            Self::Windows
                | Self::Summaries
                | Self::Events
                | Self::Partitions
                | Self::DeadLetters
                | Self::DeadLetter
                | Self::Routes
        )
    }
}

impl OpenWindow {
    /// Checks x3 and x4.
    fn check(x3: u64, ids: u64) -> Result<(), HubError> {
        Direction::from_code(x3 >> 8 & 0xf).ok_or(HubError::Malformed)?;
        let count = x3 >> 12 & 0xf;
        if !(2..=MAX_PARTICIPANTS as u64).contains(&count) {
            return Err(HubError::ParticipantCount);
        }
        if x3 >> 16 & 0xffff == 0 || x3 >> 32 == 0 || ids.unbounded_shr(16 * count as u32) != 0 {
            return Err(HubError::Malformed);
        }
        for one in 1..count {
            for other in 0..one {
                if (ids >> (16 * one) ^ ids >> (16 * other)) & 0xffff == 0 {
                    return Err(HubError::ParticipantTwice);
                }
            }
        }
        Ok(())
    }

    /// Reads x3 to x7 of a [`Request`] for a window.
    pub fn of(&[x3, ids, correlation, low, high]: &[u64; 5]) -> Self {
        let id = |shift: u32| PartitionId((ids >> shift) as u16);
        Self {
            count: (x3 >> 12 & 0xf) as u8,
            participants: [id(0), id(16), id(32), id(48)],
            direction: if x3 >> 8 & 0xf == 0 { Direction::Both } else { Direction::FromFirst },
            correlation,
            purpose: Uuid::from_pair(low, high),
            lifetime_ms: (x3 >> 32) as u32,
            limit: (x3 >> 16) as u16,
        }
    }

    /// Returns those who take part.
    pub fn participants(&self) -> &[PartitionId] {
        self.participants.get(..self.count.into()).unwrap_or_default()
    }
}

/// Describes the hub: x4 to x7 of the response to [`HubCall::Describe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// [`super::VERSION`] of the service.
    pub version: u32,
    /// Who coordinates, 0xffff if that is a partition that was left out.
    pub coordinator: PartitionId,
    /// The caller is the coordinator.
    pub is_caller: bool,
    /// Windows that are open.
    pub open_windows: u8,
    /// How many can be.
    pub most_windows: u8,
    /// Summaries of closed windows.
    pub summaries: u16,
    /// Summaries that younger ones pushed out.
    pub evicted: u32,
    /// Ticks of the generic counter in a second.
    pub counter_hz: u32,
    /// Free pages for translation tables.
    pub table_pages: u32,
    /// The sequence number that the next event will have.
    pub next_event: u64,
}

impl Description {
    /// Writes x4 to x7.
    pub const fn encode(&self) -> [u64; 4] {
        [
            self.version as u64 | (self.coordinator.0 as u64) << 32 | (self.is_caller as u64) << 48,
            self.open_windows as u64
                | (self.most_windows as u64) << 8
                | (self.summaries as u64) << 16
                | (self.evicted as u64) << 32,
            self.counter_hz as u64 | (self.table_pages as u64) << 32,
            self.next_event,
        ]
    }

    /// Reads x4 to x7.
    pub const fn decode([a, b, c, next_event]: [u64; 4]) -> Self {
        Self {
            version: a as u32,
            coordinator: PartitionId((a >> 32) as u16),
            is_caller: a >> 48 & 1 != 0,
            open_windows: b as u8,
            most_windows: (b >> 8) as u8,
            summaries: (b >> 16) as u16,
            evicted: (b >> 32) as u32,
            counter_hz: c as u32,
            table_pages: (c >> 32) as u32,
            next_event,
        }
    }
}
