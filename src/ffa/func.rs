// SPDX-License-Identifier: MIT OR Apache-2.0
//! Function identifiers (DEN0077A, "Function identifiers"; SMCCC DEN0028 for the encoding).

use crate::lines::{Line, Lines};

/// Bit 30 of a function identifier: the SMC64 calling convention.
pub const SMC64: u32 = 1 << 30;
const BASE: u32 = 0x8400_0000;

/// Defines the interfaces once: number, name and whether 32-bit and 64-bit forms exist.
macro_rules! funcs {
    ($($(#[$doc:meta])* $name:ident = $nn:literal, $text:literal, $w32:literal, $w64:literal;)*) => {
        /// Names an FF-A interface, whichever width it was called in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Func { $($(#[$doc])* $name = $nn,)* }

        impl Func {
            /// Lists every interface that this crate knows, in the order of their numbers.
            pub const ALL: &'static [Func] = &[$(Func::$name,)*];

            /// Returns the specification's name without `FFA_`, which all have.
            #[inline(never)]
            pub fn name(self) -> Line {
                let before = Self::ALL.iter().filter(|f| (**f as u8) < self as u8).count();
                NAMES.get(before)
            }

            /// Tells whether the 32-bit form exists.
            pub const fn has32(self) -> bool {
                match self { $(Func::$name => $w32,)* }
            }

            /// Tells whether the 64-bit form exists.
            pub const fn has64(self) -> bool {
                match self { $(Func::$name => $w64,)* }
            }
        }

        /// What [`Func::name`] returns: a line for each, in the order of [`Func::ALL`].
        static NAMES: Lines = crate::packed_lines!(Func::ALL.len(), concat!($($text, "\n"),*));
    };
}

funcs! {
    /// Reports a failed call.
    Error = 0x60, "ERROR", true, false;
    /// Reports a completed call.
    Success = 0x61, "SUCCESS", true, true;
    /// Hands an interrupt to its handler.
    Interrupt = 0x62, "INTERRUPT", true, false;
    /// Negotiates the version.
    Version = 0x63, "VERSION", true, false;
    /// Asks for an interface or a feature.
    Features = 0x64, "FEATURES", true, false;
    /// Gives the RX buffer back to its producer.
    RxRelease = 0x65, "RX_RELEASE", true, false;
    /// Registers an RX/TX pair.
    RxTxMap = 0x66, "RXTX_MAP", true, true;
    /// Removes an RX/TX pair.
    RxTxUnmap = 0x67, "RXTX_UNMAP", true, false;
    /// Lists partitions through the RX buffer.
    PartitionInfoGet = 0x68, "PARTITION_INFO_GET", true, false;
    /// Returns the caller's identifier.
    IdGet = 0x69, "ID_GET", true, false;
    /// Gives the CPU back until there is work.
    MsgWait = 0x6b, "MSG_WAIT", true, false;
    /// Gives the CPU back for a while.
    Yield = 0x6c, "YIELD", true, false;
    /// Lends CPU cycles to an execution context.
    Run = 0x6d, "RUN", true, false;
    /// Sends a direct request.
    DirectReq = 0x6f, "MSG_SEND_DIRECT_REQ", true, true;
    /// Sends a direct response.
    DirectResp = 0x70, "MSG_SEND_DIRECT_RESP", true, true;
    /// Transfers ownership of memory.
    MemDonate = 0x71, "MEM_DONATE", true, true;
    /// Lends memory, giving up access.
    MemLend = 0x72, "MEM_LEND", true, true;
    /// Shares memory, keeping access.
    MemShare = 0x73, "MEM_SHARE", true, true;
    /// Asks for access to memory sent earlier.
    MemRetrieveReq = 0x74, "MEM_RETRIEVE_REQ", true, true;
    /// Answers a retrieve request.
    MemRetrieveResp = 0x75, "MEM_RETRIEVE_RESP", true, false;
    /// Gives retrieved memory up.
    MemRelinquish = 0x76, "MEM_RELINQUISH", true, false;
    /// Takes sent memory back.
    MemReclaim = 0x77, "MEM_RECLAIM", true, false;
    /// Asks for the next fragment of a descriptor.
    MemFragRx = 0x7a, "MEM_FRAG_RX", true, false;
    /// Carries the next fragment of a descriptor.
    MemFragTx = 0x7b, "MEM_FRAG_TX", true, false;
    /// Resumes the Normal world after a secure interrupt.
    NormalWorldResume = 0x7c, "NORMAL_WORLD_RESUME", true, false;
    /// Creates a VM's notification bitmap.
    NotificationBitmapCreate = 0x7d, "NOTIFICATION_BITMAP_CREATE", true, false;
    /// Destroys a VM's notification bitmap.
    NotificationBitmapDestroy = 0x7e, "NOTIFICATION_BITMAP_DESTROY", true, false;
    /// Binds notifications to a sender.
    NotificationBind = 0x7f, "NOTIFICATION_BIND", true, false;
    /// Unbinds notifications.
    NotificationUnbind = 0x80, "NOTIFICATION_UNBIND", true, false;
    /// Signals notifications.
    NotificationSet = 0x81, "NOTIFICATION_SET", true, false;
    /// Reads and clears pending notifications.
    NotificationGet = 0x82, "NOTIFICATION_GET", true, false;
    /// Lists endpoints with pending notifications.
    NotificationInfoGet = 0x83, "NOTIFICATION_INFO_GET", true, true;
    /// Takes the ownership of a VM's RX buffer.
    RxAcquire = 0x84, "RX_ACQUIRE", true, false;
    /// Returns the SPMC's identifier.
    SpmIdGet = 0x85, "SPM_ID_GET", true, false;
    /// Sends an indirect message from the TX buffer.
    MsgSend2 = 0x86, "MSG_SEND2", true, false;
    /// Registers the entry point of secondary execution contexts.
    SecondaryEpRegister = 0x87, "SECONDARY_EP_REGISTER", false, true;
    /// Reads a page's permissions.
    MemPermGet = 0x88, "MEM_PERM_GET", true, true;
    /// Changes pages' permissions.
    MemPermSet = 0x89, "MEM_PERM_SET", true, true;
    /// Prints characters on the SPMC's console.
    ConsoleLog = 0x8a, "CONSOLE_LOG", true, true;
    /// Lists partitions in registers.
    PartitionInfoGetRegs = 0x8b, "PARTITION_INFO_GET_REGS", false, true;
    /// Delegates a group 0 interrupt to EL3.
    El3IntrHandle = 0x8c, "EL3_INTR_HANDLE", true, false;
    /// Sends a direct request to a UUID, with x4 to x17 as payload.
    DirectReq2 = 0x8d, "MSG_SEND_DIRECT_REQ2", false, true;
    /// Answers a [`Func::DirectReq2`].
    DirectResp2 = 0x8e, "MSG_SEND_DIRECT_RESP2", false, true;
}

/// The interfaces by number, from [`FIRST`] on: one array for each width.
const BY_NUMBER: [[Option<Func>; Func::NUMBERS]; 2] = {
    let mut table = [[None; Func::NUMBERS]; 2];
    let mut i = 0;
    while i < Func::ALL.len() {
        let func = Func::ALL[i];
        if func.has32() {
            table[0][func.index()] = Some(func);
        }
        if func.has64() {
            table[1][func.index()] = Some(func);
        }
        i += 1;
    }
    table
};

impl Func {
    /// One more than the greatest [`Func::index`].
    pub const NUMBERS: usize = Self::DirectResp2.index() + 1;

    /// Decodes a function identifier; `None` for an unknown number or a width that does not exist.
    #[inline(always)]
    pub fn decode(fid: u32) -> Option<Func> {
        let [narrow, wide] = &BY_NUMBER;
        let table = if fid & SMC64 != 0 { wide } else { narrow };
        *table.get((fid & !SMC64).wrapping_sub(FIRST) as usize)?
    }

    /// Decodes a function identifier, as [`Func::decode`] does: the copy that all share but the paths that matter.
    #[inline(never)]
    pub fn look_up(fid: u32) -> Option<Func> {
        Self::decode(fid)
    }

    /// Returns the interface's number, counted from [`FIRST`]: the place in tables of interfaces.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize - (FIRST - BASE) as usize
    }

    /// Returns the 32-bit function identifier (also of an interface that has only a 64-bit form).
    pub const fn id32(self) -> u32 {
        BASE | self as u32
    }

    /// Returns the 64-bit function identifier.
    pub const fn id64(self) -> u32 {
        self.id32() | SMC64
    }
}

/// The first function identifier of the FF-A range, 32-bit form.
pub const FIRST: u32 = 0x8400_0060;
/// The last function identifier of the FF-A range, 32-bit form.
pub const LAST: u32 = 0x8400_00ff;

/// Bit 16 of a function identifier: the caller has no live SVE state (SMCCC v1.3). A hint that any caller may set.
pub const SVE_HINT: u32 = 1 << 16;

/// Returns the identifier without [`SVE_HINT`].
pub const fn without_hint(fid: u32) -> u32 {
    fid & !SVE_HINT
}

/// Tells whether `fid` lies in the range that SMCCC reserves for FF-A, in either width.
pub const fn in_range(fid: u32) -> bool {
    let low = fid & !SMC64;
    low >= FIRST && low <= LAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_decodes_in_exactly_its_widths() {
        for &f in Func::ALL {
            assert_eq!(Func::decode(f.id32()), f.has32().then_some(f), "{f:?} 32");
            assert_eq!(Func::decode(f.id64()), f.has64().then_some(f), "{f:?} 64");
        }
    }

    #[test]
    fn strangers_do_not_decode() {
        for fid in [0, 0x8400_0000, 0x8400_006a, 0x8400_006e, 0x8400_0078, 0xc400_0079, 0x8400_00ff, 0x8500_0060] {
            assert_eq!(Func::decode(fid), None, "{fid:#x}");
        }
    }
}
