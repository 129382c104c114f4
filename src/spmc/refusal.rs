// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a call was refused: an enum that names the cause, and the one place that maps causes to FF-A codes.

use ffa_abi::memory::Malformed;
use ffa_abi::{Error, lines::Lines};

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
            pub fn why(self) -> &'static str {
                SENTENCES.get(self as usize)
            }
        }

        /// What [`Refusal::why`] says: a line for each cause, in their order.
        static SENTENCES: Lines<{ [$(Refusal::$name),*].len() }> = Lines::new(concat!($($why, "\n"),*));
    };
}

refusals! {
    UnknownCall => NotSupported, "no such call for this caller";
    UnknownFeature => NotSupported, "no such feature";
    UnknownPartition => InvalidParameters, "no partition has this id";
    UnknownVcpu => InvalidParameters, "the partition has no such execution context";
    UnknownUuid => InvalidParameters, "no partition has this UUID";
    ForgedSource => InvalidParameters, "the source id is not the caller's";
    ToSelf => InvalidParameters, "source and destination are the same endpoint";
    ReservedNotZero => InvalidParameters, "a reserved register is not zero";
    FrameworkMessage => InvalidParameters, "a framework message from an endpoint";
    NotAReceiver => Denied, "the destination does not receive direct requests";
    NotASender => Denied, "the source may not send direct requests (messaging-method)";
    ToNormalWorld => Denied, "a partition may not send direct requests to the Normal world";
    ToSpmc => InvalidParameters, "the SPMC takes no direct requests of this kind";
    PolicyDenies => Denied, "the routing policy does not let these two talk";
    WindowShut => Denied, "the window between these two is over";
    WindowChain => Denied, "work that came through a window may not be passed on";
    ModelDenies => Denied, "not allowed in the state in which the caller was entered";
    ChainTooDeep => Denied, "the call chain is at its limit";
    TargetBusy => Busy, "the target is running, blocked or preempted";
    TargetStarting => NotReady, "the target has not finished its initialisation";
    TargetAborted => Aborted, "the target has aborted";
    TargetStopped => Aborted, "the target has stopped for good";
    OtherCpu => Denied, "this execution context belongs to another CPU";
    NoRequest => Denied, "a response without a request";
    WrongRequester => InvalidParameters, "the response does not go to the requester";
    WrongWidth => InvalidParameters, "the response's form is not the request's";
    BufferMisaligned => InvalidParameters, "a buffer address is not page aligned";
    BufferPages => InvalidParameters, "the buffers' page count is zero or too large";
    BufferOverlap => InvalidParameters, "RX and TX overlap";
    BufferMemory => InvalidParameters, "the buffer is not memory of the caller";
    BufferMapped => Denied, "a buffer pair is mapped already";
    BufferNotMapped => InvalidParameters, "no buffer pair is mapped";
    BufferForOther => InvalidParameters, "the buffers belong to another endpoint";
    BufferTooSmall => NoMemory, "the answer does not fit in the RX buffer";
    BufferAbsent => Busy, "the caller has no RX buffer to answer in";
    BufferNotOwned => Denied, "the RX buffer does not belong to the caller now";
    BufferOwned => Busy, "the RX buffer still belongs to the caller: release it first";
    BufferFault => Aborted, "the buffer could not be accessed";
    VersionMajor => NotSupported, "an incompatible major version";
    VersionLocked => NotSupported, "the version is settled by an earlier call";
    VersionMalformed => NotSupported, "bit 31 of the version is set";
    BadFlags => InvalidParameters, "an undefined flag is set";
    BadEntryPoint => InvalidParameters, "the entry point is not executable memory of the caller";
    TooLate => Denied, "only allowed during initialisation of the first execution context";
    LogLength => InvalidParameters, "the count of characters is zero or more than the registers hold";
    StaleTag => Retry, "the information tag is not of this SPMC";
    IndexTooLarge => InvalidParameters, "the start index is not below the count";
    UuidMismatch => InvalidParameters, "the destination does not offer this service";
    NotAReceiver2 => Denied, "the destination does not receive FFA_MSG_SEND_DIRECT_REQ2";
    NotASender2 => Denied, "the source may not send FFA_MSG_SEND_DIRECT_REQ2";
    NotSubscribed => Denied, "the destination did not ask for these messages";
    BadAcquire => InvalidParameters, "no such VM's RX buffer";
    NoBitmap => InvalidParameters, "the receiver has no notification bitmap";
    BitmapExists => Denied, "the endpoint has a notification bitmap already";
    BitmapContexts => InvalidParameters, "the number of execution contexts is zero or too large";
    TooManyBitmaps => NoMemory, "no room for another notification bitmap";
    NoBits => InvalidParameters, "no notification is named";
    BitsBound => Denied, "a notification is bound already";
    BitsNotBound => Denied, "a notification is not bound to this sender";
    WrongBinding => InvalidParameters, "global and per-vCPU notifications are mixed up";
    NotificationPending => Denied, "a notification is pending";
    NothingPending => NoData, "no endpoint has pending notifications that were not told";
    NotReceiverItself => InvalidParameters, "the receiver is not the caller";
    NoNotifications => Denied, "the endpoint takes no notifications (notification-support)";
    NotIndirect => Denied, "an end does not take part in indirect messages (messaging-method)";
    MessageHeader => InvalidParameters, "the message's header is malformed";
    ReceiverNotReady => Denied, "the receiver has mapped no buffers";
    ReceiverFull => Busy, "the receiver's RX buffer holds an earlier message";
    HubMixed => Denied, "one end takes part in supervised messages and the other does not";
    Envelope => InvalidParameters, "the message's envelope is malformed";
    EnvelopeFields => InvalidParameters, "a field of the message's envelope is not for its sender to set";
    MessageLength => InvalidParameters, "the message is longer than its receiver takes";
    QueueFull => Busy, "the receiver's queue is full";
    Paused => Busy, "the coordinator has paused an endpoint on the way";
    BreakerOpen => Denied, "a circuit breaker on the way is open";
    NoSuchTicket => NoData, "no message with this ticket waits to be acked by the caller";
    TableMemory => NoMemory, "no table memory is left";
    MemLength => InvalidParameters, "a length of the memory descriptor disagrees with its parts or the buffer";
    MemDynamicBuffer => InvalidParameters, "memory descriptors go through the RX/TX buffers only";
    MemReserved => InvalidParameters, "a reserved field of the memory descriptor is not zero";
    MemOffset => InvalidParameters, "an offset in the memory descriptor is unaligned or points into another part";
    MemAccessSize => InvalidParameters, "the access descriptors have a size that the caller's version does not know";
    MemPermissions => InvalidParameters, "the access permissions are not allowed in this call";
    MemAttributes => InvalidParameters, "the memory attributes are not allowed in this call";
    MemKind => Denied, "only normal, write-back, inner-shareable memory can be sent and retrieved";
    MemRange => InvalidParameters, "an address range is empty, unaligned or ends outside the address space";
    MemCount => InvalidParameters, "the page counts of the memory descriptor disagree";
    MemTwice => InvalidParameters, "a page is named twice";
    MemReceivers => InvalidParameters, "no receiver, too many, or one named twice";
    MemReceiver => InvalidParameters, "the caller is not a receiver of this memory";
    MemToNormalWorld => Denied, "memory cannot be sent to an endpoint of the Normal world";
    MemSender => Denied, "the sender in the memory descriptor is not the caller";
    MemNotOwned => Denied, "a page is not the caller's alone";
    MemBuffer => Denied, "a page is an RX/TX buffer";
    MemMorePermission => Denied, "more permission is asked for than the owner has or gave";
    MemShares => NoMemory, "a page is shared as often as can be counted";
    MemTransactions => NoMemory, "as many memory transactions are open as can be";
    MemTransactionsOfOne => NoMemory, "the partition has as many memory transactions open as one may";
    MemHandle => InvalidParameters, "the caller has no such memory transaction";
    MemHalfSent => InvalidParameters, "the memory transaction is not fully sent, or is already";
    MemMismatch => InvalidParameters, "type, tag or list of receivers is not what the owner sent";
    MemNotRetrieved => InvalidParameters, "the caller has not retrieved this memory";
    MemRetrieved => Denied, "the memory is retrieved now";
    MemOccupied => Denied, "the receiver has something else at these addresses";
    MemZeroShared => InvalidParameters, "shared memory cannot be zeroed";
    MemZeroReadOnly => Denied, "zeroing was asked for by a receiver without write access, or not offered";
    MemFragment => InvalidParameters, "not the fragment that is expected";
    MemFault => Aborted, "the memory could not be accessed";
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
