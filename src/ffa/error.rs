// SPDX-License-Identifier: MIT OR Apache-2.0
//! FF-A status codes (DEN0077A, "Error codes").

use crate::lines::{Line, Lines};

/// Names why a call was refused; [`Error::code`] is what `FFA_ERROR` carries in w2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum Error {
    /// The call or a requested feature is not implemented.
    NotSupported = -1,
    /// A register, descriptor or buffer address is malformed.
    InvalidParameters = -2,
    /// Memory to complete the call could not be had; nothing was changed.
    NoMemory = -3,
    /// The target (partition, buffer, queue) is in use; try again later.
    Busy = -4,
    /// The call was interrupted before it completed.
    Interrupted = -5,
    /// The caller may not do this in its current state or to this object.
    Denied = -6,
    /// The call may succeed when repeated.
    Retry = -7,
    /// The target aborted while it worked on the call.
    Aborted = -8,
    /// There is nothing to return.
    NoData = -9,
    /// The target is not ready to take part.
    NotReady = -10,
}

impl Error {
    /// Returns the signed 32-bit status code.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// Decodes a status code as found in w2 of `FFA_ERROR`.
    pub const fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            -1 => Self::NotSupported,
            -2 => Self::InvalidParameters,
            -3 => Self::NoMemory,
            -4 => Self::Busy,
            -5 => Self::Interrupted,
            -6 => Self::Denied,
            -7 => Self::Retry,
            -8 => Self::Aborted,
            -9 => Self::NoData,
            -10 => Self::NotReady,
            // Any other number is not a status code of FF-A v1.0 to v1.2.
            _ => return None,
        })
    }

    /// Returns the specification's name, for console lines.
    pub fn name(self) -> Line {
        NAMES.get((Self::NotSupported as i8 - self as i8) as usize)
    }
}

/// What [`Error::name`] returns: a line for each, from -1 on.
static NAMES: Lines = crate::packed_lines!(
    10,
    "NOT_SUPPORTED\nINVALID_PARAMETERS\nNO_MEMORY\nBUSY\nINTERRUPTED\nDENIED\nRETRY\nABORTED\nNO_DATA\nNOT_READY\n"
);

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.name().fmt(f)
    }
}

impl core::error::Error for Error {}

/// A status code in a register, as its sender wrote it: `Display` gives the signed number of the low 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u64);

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let code = self.0 as i32;
        // By u64's Display, which is there already: i32's is large.
        write!(f, "{}{}", if code < 0 { "-" } else { "" }, u64::from(code.unsigned_abs()))
    }
}
