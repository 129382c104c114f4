// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SMC and HVC instructions.

use core::arch::asm;
use ffa_abi::{Func, Regs};

/// Makes the body of a call with x0 to x7.
macro_rules! call8 {
    ($instruction:literal, $x:ident) => {{
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = $x;
        // SAFETY: SMCCC: a call returns in x0 to x17 and leaves the other registers alone. The SPMC writes this
        // partition's memory only where the call names it: the buffers that `ffa::map_mailbox` gave it.
        unsafe {
            asm!($instruction,
                inlateout("x0") a, inlateout("x1") b, inlateout("x2") c, inlateout("x3") d,
                inlateout("x4") e, inlateout("x5") f, inlateout("x6") g, inlateout("x7") h,
                lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _,
                lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _,
                options(nostack));
        }
        [a, b, c, d, e, f, g, h]
    }};
}

/// Calls the SPMC with x0 to x7 by SMC; returns x0 to x7.
#[inline]
pub fn smc(x: [u64; 8]) -> [u64; 8] {
    call8!("smc #0", x)
}

/// Calls the SPMC with x0 to x7 by HVC; returns x0 to x7.
#[inline]
pub fn hvc(x: [u64; 8]) -> [u64; 8] {
    call8!("hvc #0", x)
}

/// Makes the body of a call with x0 to x17, through memory.
macro_rules! call18 {
    ($instruction:literal, $regs:ident) => {
        // SAFETY: as in `call8`; x20 holds the address of `regs`, which nothing else borrows, and SMCCC keeps it.
        unsafe {
            asm!(
                "ldp x0, x1, [x20]", "ldp x2, x3, [x20, #16]", "ldp x4, x5, [x20, #32]", "ldp x6, x7, [x20, #48]",
                "ldp x8, x9, [x20, #64]", "ldp x10, x11, [x20, #80]", "ldp x12, x13, [x20, #96]",
                "ldp x14, x15, [x20, #112]", "ldp x16, x17, [x20, #128]",
                $instruction,
                "stp x0, x1, [x20]", "stp x2, x3, [x20, #16]", "stp x4, x5, [x20, #32]", "stp x6, x7, [x20, #48]",
                "stp x8, x9, [x20, #64]", "stp x10, x11, [x20, #80]", "stp x12, x13, [x20, #96]",
                "stp x14, x15, [x20, #112]", "stp x16, x17, [x20, #128]",
                in("x20") $regs.x.as_mut_ptr(),
                out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _,
                out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _,
                out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                options(nostack));
        }
    };
}

/// Calls the SPMC with x0 to x17 by SMC, which the answer replaces.
pub fn smc_all(regs: &mut Regs) {
    call18!("smc #0", regs);
}

/// Calls the SPMC with x0 to x17 by HVC, which the answer replaces.
pub fn hvc_all(regs: &mut Regs) {
    call18!("hvc #0", regs);
}

/// Calls the SPMC with x0 to x7 by SMC; returns x0 to x7, and writes x8 to x17 to `more` where a request of the extended
/// form brought them, so that an ordinary message costs no more than it must.
#[inline(always)]
pub(crate) fn exchange(
    [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h]: [u64; 8],
    more: &mut Regs,
) -> [u64; 8] {
    // SAFETY: as in `call8`; x20 holds the address of `more`, which nothing else borrows, and SMCCC keeps x18 and up.
    unsafe {
        asm!(
            "smc #0",
            "cmp w0, w21",
            "b.ne 2f",
            "stp x8, x9, [x20, #64]", "stp x10, x11, [x20, #80]", "stp x12, x13, [x20, #96]",
            "stp x14, x15, [x20, #112]", "stp x16, x17, [x20, #128]",
            "2:",
            in("x20") more.x.as_mut_ptr(),
            in("x21") Func::DirectReq2.id64(),
            inlateout("x0") a, inlateout("x1") b, inlateout("x2") c, inlateout("x3") d,
            inlateout("x4") e, inlateout("x5") f, inlateout("x6") g, inlateout("x7") h,
            lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _,
            lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _,
            options(nostack));
    }
    [a, b, c, d, e, f, g, h]
}
