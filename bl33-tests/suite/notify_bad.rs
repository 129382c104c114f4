// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notifications: what is refused, and leaves everything as it was.

use bl33::ffa::*;
use bl33::harness::{Case, Outcome};

use crate::notify::{
    DELAY, FROM_PARTITIONS, FROM_VMS, PER_VCPU, bind, by, call_as, cleaned, create, destroy, expect_got, expect_listed,
    nothing_listed, regs, set, set_raw, to_vcpu, unbind,
};

pub(crate) const CASES: &[Case] = &[
    Case::new("notify_bad::bind", || cleaned(bind_refused)),
    Case::new("notify_bad::set", || cleaned(set_refused)),
    Case::new("notify_bad::get", || cleaned(get_refused)),
    Case::new("notify_bad::pending_is_kept", || cleaned(pending_is_kept)),
    Case::new("notify_bad::partitions_have_no_say_in_bitmaps", || cleaned(partitions_have_no_say_in_bitmaps)),
];

fn bind_refused() -> Outcome {
    create(0, 4)?;
    for fid in [NOTIFICATION_BIND, NOTIFICATION_UNBIND] {
        for (by, sender, receiver, x2, bits, code) in [
            (0, RELAY, 0, 0, 0, INVALID_PARAMETERS),          // no bit
            (0, RELAY, PERCPU, 0, 1, INVALID_PARAMETERS),     // for a partition
            (0, RELAY, 9, 0, 1, INVALID_PARAMETERS),          // a VM without a bitmap
            (0, 0, 0, 0, 1, INVALID_PARAMETERS),              // from itself
            (0, 5, 0, 0, 1, INVALID_PARAMETERS),              // between VMs
            (0, 0x80ff, 0, 0, 1, INVALID_PARAMETERS),         // from nobody
            (RELAY, RELAY, RELAY, 0, 1, INVALID_PARAMETERS),  // from itself
            (RELAY, 0, PERCPU, 0, 1, INVALID_PARAMETERS),     // for another partition
            (RELAY, PERCPU, 0, 0, 1, INVALID_PARAMETERS),     // for the Normal world
            (RELAY, 0x80ff, RELAY, 0, 1, INVALID_PARAMETERS), // from nobody
            (RELAY, PERCPU, RELAY, 0, 0, INVALID_PARAMETERS), // no bit
        ] {
            let r = call_as(by, regs(fid, sender, receiver, x2, bits))?;
            expect_error(&r, code).map_err(|f| f.at(sender << 16 | receiver))?;
        }
    }
    for flags in [2, 1 << 16, 1 << 31] {
        let r = call(regs(NOTIFICATION_BIND, RELAY, 0, flags, 1))?;
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(flags))?;
    }
    // All or none: bit 63 alone is taken, and nothing of the rest is bound with it.
    bind(0, RELAY, 1 << 63, 0)?;
    expect_error(&call(regs(NOTIFICATION_BIND, PERCPU, 0, 0, u64::MAX))?, DENIED)?;
    expect_error(&call(regs(NOTIFICATION_BIND, RELAY, 0, 0, 1 << 63))?, DENIED)?;
    expect_error(&set_raw(PERCPU, 0, 1, 0)?, DENIED)?;
    // Neither unbound by another sender's name, nor in part.
    expect_error(&call(regs(NOTIFICATION_UNBIND, PERCPU, 0, 0, 1 << 63))?, DENIED)?;
    expect_error(&call(regs(NOTIFICATION_UNBIND, RELAY, 0, 0, 1 << 63 | 1))?, DENIED)?;
    unbind(0, RELAY, 1 << 63)?;
    expect_error(&call(regs(NOTIFICATION_UNBIND, RELAY, 0, 0, 1 << 63))?, DENIED)?;
    destroy(0)
}

fn set_refused() -> Outcome {
    create(0, 4)?;
    bind(0, RELAY, 0b001, 0)?;
    bind(0, RELAY, 0b010, PER_VCPU)?;
    // A partition with one context has context 0 and no other.
    bind(RELAY, 0, 0b001, 0)?;
    bind(RELAY, 0, 0b010, PER_VCPU)?;
    for (by, sender, receiver, flags, bits, code) in [
        (RELAY, RELAY, 0, 0, 0, INVALID_PARAMETERS), // no bit
        (RELAY, RELAY, 0, 0, 0b100, DENIED),         // unbound
        (RELAY, RELAY, 0, 0, 0b101, DENIED),         // in part
        (RELAY, RELAY, 0, 0, 1 << 63, DENIED),
        (PERCPU, PERCPU, 0, 0, 0b001, DENIED),                  // bound to another
        (PERCPU, RELAY, 0, 0, 0b001, INVALID_PARAMETERS),       // with another's id
        (RELAY, 0, RELAY, 0, 0b001, INVALID_PARAMETERS),        // with the Normal world's
        (0, RELAY, 0, 0, 0b001, INVALID_PARAMETERS),            // with a partition's
        (0, 0, 5, 0, 0b001, INVALID_PARAMETERS),                // between VMs
        (0, 0, 0x80ff, 0, 0b001, INVALID_PARAMETERS),           // to nobody
        (0, 0, ECHO, 0, 0b001, INVALID_PARAMETERS),             // takes none
        (RELAY, RELAY, 0, 4, 0b001, INVALID_PARAMETERS),        // a flag that is none
        (RELAY, RELAY, 0, 1 << 16, 0b001, INVALID_PARAMETERS),  // a vCPU of a global one
        (RELAY, RELAY, 0, PER_VCPU, 0b001, INVALID_PARAMETERS), // global ones to a vCPU
        (RELAY, RELAY, 0, 0, 0b010, INVALID_PARAMETERS),        // and the other way round
        (RELAY, RELAY, 0, PER_VCPU, 0b011, INVALID_PARAMETERS), // both at once
        (RELAY, RELAY, 0, 4 << 16 | PER_VCPU, 0b010, INVALID_PARAMETERS),
        (0, 0, RELAY, 1 << 16 | PER_VCPU, 0b010, INVALID_PARAMETERS),
        (0, 0, RELAY, 0xffff << 16 | PER_VCPU, 0b010, INVALID_PARAMETERS),
    ] {
        let r = call_as(by, regs(NOTIFICATION_SET, sender, receiver, flags, bits))?;
        expect_error(&r, code).map_err(|f| f.at(flags << 32 | bits))?;
    }
    nothing_listed()?;
    set(0, RELAY, 0b010, to_vcpu(0))?;
    expect_got(RELAY, 0, FROM_VMS, [0, 0b010, 0])?;
    unbind(RELAY, 0, 0b011)?;
    unbind(0, RELAY, 0b011)?;
    destroy(0)
}

fn get_refused() -> Outcome {
    let get = |receiver, vcpu: u64, flags| call_with(NOTIFICATION_GET, &[vcpu << 16 | receiver, flags]);
    expect_error(&get(0, 0, 1)?, INVALID_PARAMETERS)?;
    create(0, 4)?;
    for (receiver, vcpu, flags) in [(0, 4, 1), (0, 0xffff, 1), (0, 0, 0x10), (0, 0, 1 << 31), (5, 0, 1), (RELAY, 0, 1)]
    {
        expect_error(&get(receiver, vcpu, flags)?, INVALID_PARAMETERS).map_err(|f| f.at(vcpu << 16 | receiver))?;
    }
    for (receiver, vcpu) in [(0, 0), (PERCPU, 0), (RELAY, 1), (RELAY, 0xffff)] {
        let r = by(RELAY, [NOTIFICATION_GET, vcpu << 16 | receiver, 1, 0, 0, 0, 0, 0])?;
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(vcpu << 16 | receiver))?;
    }
    // Nothing is asked for, and nothing is a fine answer.
    expect_got(0, 0, 0, [0; 3])?;
    destroy(0)
}

/// What is pending can neither be unbound nor be lost with the bitmap.
fn pending_is_kept() -> Outcome {
    create(0, 4)?;
    bind(0, RELAY, 0b11, 0)?;
    set(RELAY, 0, 0b01, DELAY)?;
    expect_error(&call(regs(NOTIFICATION_UNBIND, RELAY, 0, 0, 0b01))?, DENIED)?;
    expect_error(&call(regs(NOTIFICATION_UNBIND, RELAY, 0, 0, 0b11))?, DENIED)?;
    expect_error(&call_with(NOTIFICATION_BITMAP_DESTROY, &[0])?, DENIED)?;
    unbind(0, RELAY, 0b10)?;
    expect_listed(0, &[])?;
    expect_got(0, 0, FROM_PARTITIONS, [0b01, 0, 0])?;
    unbind(0, RELAY, 0b01)?;
    destroy(0)
}

fn partitions_have_no_say_in_bitmaps() -> Outcome {
    for (fid, x1, x2) in [
        (NOTIFICATION_BITMAP_CREATE, 0, 4),
        (NOTIFICATION_BITMAP_CREATE, 5, 4),
        (NOTIFICATION_BITMAP_DESTROY, 0, 0),
        (NOTIFICATION_INFO_GET_32, 0, 0),
        (NOTIFICATION_INFO_GET_64, 0, 0),
    ] {
        expect_error(&by(RELAY, [fid, x1, x2, 0, 0, 0, 0, 0])?, NOT_SUPPORTED).map_err(|f| f.at(fid))?;
    }
    Ok(())
}
