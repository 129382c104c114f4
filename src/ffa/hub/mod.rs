// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hub's management service: what its direct messages say, and the records that it writes to RX buffers.
//!
//! A request is an FFA_MSG_SEND_DIRECT_REQ of 64 bits to the service: x3 bits 7:0 name the call, the rest of x3 and
//! x4-x7 are its arguments. The response carries a [`HubError`] (0: none) in x3 and results in x4-x7. What is listed
//! comes as records of a fixed size in the caller's RX buffer, which is the caller's until FFA_RX_RELEASE: x4 counts
//! them, x5 is the size of one, x6 says whether there are more from the index that was asked for plus x4 on.
//! A caller whose RX buffer somebody else works with (a driver, a hypervisor) has the service keep the records instead,
//! and fetches them in responses. All fields are little-endian; bytes that no field names are zero.

mod call;
mod record;
#[cfg(test)]
mod tests;

pub use call::{Description, HubCall, List, OpenWindow, Request};
pub use record::{DeadLetterRecord, EventRecord, PartitionRecord, RouteRecord, WindowRecord, Words};

use crate::lines::{Line, Lines};
use crate::{Uuid, packed_lines};

/// Finds the service by `FFA_PARTITION_INFO_GET`.
pub const SERVICE: Uuid = match Uuid::parse("b4a2e6c1-7d35-4f0e-9a58-3c61d2f7e084") {
    Ok(uuid) => uuid,
    Err(_) => Uuid::NIL,
};
/// The version of everything on this page: major in bits 31:16.
pub const VERSION: u32 = 1 << 16;
/// Most participants of one window.
pub const MAX_PARTICIPANTS: usize = 4;
/// Most bytes that are kept.
pub const KEPT: usize = 4096;
/// Bytes that one fetch brings.
pub const FETCHED: usize = 32;
/// Bytes of a [`WindowRecord`].
pub const WINDOW_RECORD: usize = 96;
/// Bytes of a [`PartitionRecord`].
pub const PARTITION_RECORD: usize = 64;
/// Bytes of an [`EventRecord`].
pub const EVENT_RECORD: usize = 96;
/// Bytes of a [`RouteRecord`].
pub const ROUTE_RECORD: usize = 16;
/// Bytes of a [`DeadLetterRecord`].
pub const DEAD_LETTER_RECORD: usize = 96;
/// Bytes of the widest of them.
pub const WIDEST_RECORD: usize = 96;

/// Checks, in the compiler, that the first number is followed by the next, and so on.
const fn follow_each_other(codes: &[usize]) {
    let mut n = 0;
    while n < codes.len() {
        assert!(codes[n] == codes[0] + n);
        n += 1;
    }
}

macro_rules! codes {
    // The numbers of one enum follow each other.
    ($(#[$doc:meta])* $name:ident($repr:ident) { $($variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr($repr)]
        pub enum $name { $(#[doc = $text] $variant = $code,)* }

        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns its number.
            pub const fn code(self) -> $repr {
                self as $repr
            }

            /// Finds it by its number.
            pub const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    // No other number means anything.
                    _ => None,
                }
            }

            /// Says it in words.
            pub fn text(self) -> Line {
                const { follow_each_other(&[$($code),*]) };
                static TEXTS: Lines = packed_lines!($name::ALL.len(), concat!($($text, "\n"),*));
                TEXTS.get(usize::from(self.code() - Self::ALL[0].code()))
            }
        }
    };
}

codes! {
    /// Says why the service did not do as it was asked.
    HubError(u8) {
        Malformed = 1, "a field of the request is malformed, or a reserved one is not zero";
        UnknownCall = 2, "no such call";
        NotCoordinator = 3, "only the coordinator may change anything";
        UnknownParticipant = 4, "a participant is no endpoint here";
        ParticipantTwice = 5, "a participant is named twice";
        ParticipantCount = 6, "a window has two to four participants";
        CoordinatorInWindow = 7, "the coordinator needs no window";
        CorrelationReused = 8, "the correlation id is that of another window";
        PairHasWindow = 9, "two of the participants have a window already";
        TooManyWindows = 10, "as many windows are open as can be";
        NoSuchWindow = 11, "no open window has this id";
        NoBuffer = 12, "the caller has mapped no RX buffer";
        BufferBusy = 13, "the RX buffer still belongs to the caller: release it first";
        ParticipantDown = 14, "a participant has died or is cut off";
        NoSuchEntry = 15, "there is no such entry";
        NotHere = 16, "the service does not offer this here";
        Rights = 17, "the caller may not see this";
    }
}

codes! {
    /// Says who may send in a window.
    Direction(u8) {
        Both = 0, "both ways";
        FromFirst = 1, "from the first participant";
    }
}

codes! {
    /// Says why a window was closed.
    Closed(u8) {
        ByCoordinator = 1, "closed by the coordinator";
        Expired = 2, "its time was up";
        Exhausted = 3, "its last message has passed";
        Breaker = 4, "a participant was cut off";
        ParticipantDied = 5, "a participant died";
        CoordinatorGone = 6, "the coordinator died";
    }
}

codes! {
    /// Says why a message became a dead letter.
    DeadReason(u8) {
        Expired = 1, "its time to live was over";
        Attempts = 2, "it was delivered as often as is allowed and never acked";
        Breaker = 3, "a breaker on its way was open";
        Corrupt = 4, "its record was corrupt";
        Cancelled = 5, "its task was cancelled";
    }
}

codes! {
    /// Says what a breaker lets through.
    BreakerState(u8) {
        Closed = 0, "closed";
        Open = 1, "open";
        HalfOpen = 2, "half-open";
        Isolated = 3, "isolated";
        Paused = 4, "paused";
    }
}

codes! {
    /// Says what an event is about.
    EventKind(u8) {
        Refusal = 1, "refused";
        Fault = 2, "died";
        Restart = 3, "restarted";
        WindowOpened = 4, "window opened";
        WindowClosed = 5, "window closed";
        Breaker = 6, "breaker";
        Queue = 7, "queue";
        DeadLetter = 8, "dead letter";
    }
}

codes! {
    /// Names a call of the service: bits 7:0 of x3.
    CallCode(u8) {
        Describe = 1, "describe";
        OpenWindow = 2, "open a window";
        CloseWindow = 3, "close a window";
        Windows = 4, "list open windows";
        Summaries = 5, "list summaries of closed windows";
        ForgetSummaries = 6, "forget summaries";
        Events = 7, "list events";
        Partitions = 8, "list partitions";
        DeadLetters = 9, "list dead letters";
        DeadLetter = 10, "read a dead letter";
        PurgeDeadLetters = 11, "purge dead letters";
        Control = 12, "isolate, pause, resume, trip or reset";
        CancelTask = 13, "cancel a task";
        Keep = 14, "keep what another call lists";
        Fetch = 15, "fetch what was kept";
        Routes = 16, "list routes with a breaker that is not closed";
    }
}

codes! {
    /// Says what is done to a spoke.
    Control(u8) {
        Isolate = 1, "isolate";
        Pause = 2, "pause";
        Resume = 3, "resume";
        Trip = 4, "trip";
        Reset = 5, "reset";
    }
}
