// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a call was refused: an enum that names the cause, and the one place that maps causes to FF-A codes.

use ffa_abi::lines::{Line, Lines};
use ffa_abi::memory::Malformed;
use ffa_abi::{Error, packed_lines};

macro_rules! refusals {
    ($($name:ident => $code:ident, $why:literal;)*) => {
        /// Names the cause of a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Refusal { $(#[doc = $why] $name,)* }

        impl Refusal {
            /// Returns the status code that the caller receives.
            #[inline]
            pub const fn code(self) -> Error {
                match self { $(Self::$name => Error::$code,)* }
            }

            /// Says the cause in plain words, for the secure console.
            pub fn why(self) -> Line {
                SENTENCES.get(self as usize)
            }
        }

        /// What [`Refusal::why`] says: a line for each cause, in their order.
        static SENTENCES: Lines = packed_lines!([$(Refusal::$name),*].len(), concat!($($why, "\n"),*));
    };
}

refusals! {
    UnknownCall => NotSupported, "no such call for this caller";
    UnknownFeature => NotSupported, "no such feature";
    UnknownPartition => InvalidParameters, "no partition has this id";
    UnknownVcpu => InvalidParameters, "the partition has no such vCPU";
    UnknownUuid => InvalidParameters, "no partition has this UUID";
    ForgedSource => InvalidParameters, "the source id is not the caller's";
    ToSelf => InvalidParameters, "source and destination are the same";
    ReservedNotZero => InvalidParameters, "a reserved register is not zero";
    FrameworkMessage => InvalidParameters, "a framework message from an endpoint";
    NotAReceiver => Denied, "the destination takes no direct requests";
    NotASender => Denied, "the source sends no direct requests (messaging-method)";
    ToNormalWorld => Denied, "no direct requests to the Normal world";
    ToSpmc => InvalidParameters, "the SPMC takes no such direct requests";
    PolicyDenies => Denied, "the routing policy denies it";
    WindowShut => Denied, "the window between them is over";
    WindowChain => Denied, "work from a window may not be passed on";
    ModelDenies => Denied, "not in the state in which the caller was entered";
    ChainTooDeep => Denied, "the call chain is at its limit";
    TargetBusy => Busy, "the target is running, blocked or preempted";
    TargetStarting => NotReady, "the target still initialises";
    TargetAborted => Aborted, "the target has aborted";
    TargetStopped => Aborted, "the target has stopped for good";
    OtherCpu => Denied, "this vCPU belongs to another CPU";
    NoRequest => Denied, "a response without a request";
    WrongRequester => InvalidParameters, "the response is not to the requester";
    WrongWidth => InvalidParameters, "the response's form is not the request's";
    BufferMisaligned => InvalidParameters, "a buffer is not page aligned";
    BufferPages => InvalidParameters, "the page count is zero or too large";
    BufferOverlap => InvalidParameters, "RX and TX overlap";
    BufferMemory => InvalidParameters, "the buffer is not the caller's memory";
    BufferMapped => Denied, "a buffer pair is mapped already";
    BufferNotMapped => InvalidParameters, "no buffer pair is mapped";
    BufferForOther => InvalidParameters, "the buffers are another endpoint's";
    BufferTooSmall => NoMemory, "the answer does not fit in the RX buffer";
    BufferAbsent => Busy, "the caller has no RX buffer";
    BufferNotOwned => Denied, "the caller does not own the RX buffer now";
    BufferOwned => Busy, "the caller owns the RX buffer: release it first";
    BufferFault => Aborted, "the buffer is inaccessible";
    VersionMajor => NotSupported, "an incompatible major version";
    VersionLocked => NotSupported, "an earlier call settled the version";
    VersionMalformed => NotSupported, "bit 31 of the version is set";
    BadFlags => InvalidParameters, "an undefined flag is set";
    BadEntryPoint => InvalidParameters, "the entry point is not the caller's executable memory";
    TooLate => Denied, "only while the first vCPU initialises";
    LogLength => InvalidParameters, "no characters, or more than the registers hold";
    StaleTag => Retry, "the information tag is not of this SPMC";
    IndexTooLarge => InvalidParameters, "the start index is not below the count";
    UuidMismatch => InvalidParameters, "the destination has no such service";
    NotAReceiver2 => Denied, "the destination takes no FFA_MSG_SEND_DIRECT_REQ2";
    NotASender2 => Denied, "the source sends no FFA_MSG_SEND_DIRECT_REQ2";
    NotSubscribed => Denied, "the destination did not ask for such messages";
    BadAcquire => InvalidParameters, "no such VM's RX buffer";
    NoBitmap => InvalidParameters, "the receiver has no notification bitmap";
    BitmapExists => Denied, "the endpoint has a bitmap already";
    BitmapContexts => InvalidParameters, "the number of vCPUs is zero or too large";
    TooManyBitmaps => NoMemory, "no room for another bitmap";
    NoBits => InvalidParameters, "no notification is named";
    BitsBound => Denied, "a notification is bound already";
    BitsNotBound => Denied, "a notification is not bound to this sender";
    WrongBinding => InvalidParameters, "global and per-vCPU notifications are mixed";
    NotificationPending => Denied, "a notification is pending";
    NothingPending => NoData, "nothing is pending that was not told";
    NotReceiverItself => InvalidParameters, "the receiver is not the caller";
    NoNotifications => Denied, "the endpoint takes no notifications (notification-support)";
    NotIndirect => Denied, "an end takes no indirect messages (messaging-method)";
    MessageHeader => InvalidParameters, "the message header is malformed";
    ReceiverNotReady => Denied, "the receiver has mapped no buffers";
    ReceiverFull => Busy, "the receiver's RX buffer is full";
    HubMixed => Denied, "only one end is supervised";
    Envelope => InvalidParameters, "the envelope is malformed";
    EnvelopeFields => InvalidParameters, "a field of the envelope is not its sender's to set";
    MessageLength => InvalidParameters, "the message is too long for its receiver";
    QueueFull => Busy, "the receiver's queue is full";
    Paused => Busy, "the coordinator paused an endpoint on the way";
    BreakerOpen => Denied, "a circuit breaker on the way is open";
    NoSuchTicket => NoData, "no message with this ticket awaits the caller's ack";
    TableMemory => NoMemory, "no table memory is left";
    MemLength => InvalidParameters, "a descriptor's length disagrees with its parts or the buffer";
    MemDynamicBuffer => InvalidParameters, "memory descriptors go through RX/TX buffers only";
    MemReserved => InvalidParameters, "a descriptor's reserved field is not zero";
    MemOffset => InvalidParameters, "a descriptor's offset is unaligned or in another part";
    MemAccessSize => InvalidParameters, "no access descriptors have this size in the caller's version";
    MemPermissions => InvalidParameters, "these permissions are not allowed in this call";
    MemAttributes => InvalidParameters, "these attributes are not allowed in this call";
    MemKind => Denied, "only normal, write-back, inner-shareable memory is sent";
    MemRange => InvalidParameters, "a range is empty, unaligned or past the address space";
    MemCount => InvalidParameters, "the page counts disagree";
    MemTwice => InvalidParameters, "a page is named twice";
    MemReceivers => InvalidParameters, "no receiver, too many, or one twice";
    MemReceiver => InvalidParameters, "the caller is no receiver of this memory";
    MemToNormalWorld => Denied, "memory cannot be sent to the Normal world";
    MemSender => Denied, "the descriptor's sender is not the caller";
    MemNotOwned => Denied, "a page is not the caller's alone";
    MemBuffer => Denied, "a page is an RX/TX buffer";
    MemMorePermission => Denied, "more permission than the owner has or gave";
    MemShares => NoMemory, "a page is shared as often as can be";
    MemTransactions => NoMemory, "too many memory transactions are open";
    MemTransactionsOfOne => NoMemory, "the partition has too many memory transactions open";
    MemHandle => InvalidParameters, "the caller has no such memory transaction";
    MemHalfSent => InvalidParameters, "the transaction is not fully sent, or is already";
    MemMismatch => InvalidParameters, "type, tag or receivers are not what the owner sent";
    MemNotRetrieved => InvalidParameters, "the caller has not retrieved this memory";
    MemRetrieved => Denied, "the memory is retrieved now";
    MemOccupied => Denied, "the receiver has something else there";
    MemZeroShared => InvalidParameters, "shared memory cannot be zeroed";
    MemZeroReadOnly => Denied, "zeroing without write access or offer";
    MemFragment => InvalidParameters, "not the fragment that is expected";
    MemFault => Aborted, "the memory is inaccessible";
}

impl From<Malformed> for Refusal {
    #[inline(never)]
    fn from(m: Malformed) -> Self {
        match m {
            Malformed::Length => Self::MemLength,
            Malformed::Reserved => Self::MemReserved,
            Malformed::Offset => Self::MemOffset,
            Malformed::AccessSize => Self::MemAccessSize,
            Malformed::Permissions => Self::MemPermissions,
            Malformed::Attributes => Self::MemAttributes,
            Malformed::Range => Self::MemRange,
        }
    }
}

// A decoded message is large: it is looked at where it is, and only what was wrong with it moves.
impl From<&Malformed> for Refusal {
    fn from(m: &Malformed) -> Self {
        Self::from(*m)
    }
}
