// SPDX-License-Identifier: MIT OR Apache-2.0
//! Envelopes and acks that are not what they should be.

use bl33::ffa::*;
use bl33::harness::{Outcome, expect_at};
use bl33::mem::PAGE;

use super::*;

pub(super) fn bad_envelopes() -> Outcome {
    let good = Mail::new(DISPATCH);
    for from in [0, STORMY] {
        let to = if from == 0 { STEADY } else { 0 };
        for (n, bad) in [
            Mail { class: 0, ..good },
            Mail { class: 9, ..good },
            Mail { class: 255, ..good },
            Mail { class: CONTROL, ..good },
            Mail { flags: 1, ..good },
            Mail { flags: 0x80, ..good },
            Mail { hops: 17, ..good },
            Mail { ticket: 1, ..good },
            Mail { time_to_live: 0, ..good },
            Mail { reserved: [1, 0, 0], ..good },
            Mail { reserved: [0, 0, 1 << 63], ..good },
        ]
        .iter()
        .enumerate()
        {
            refused(from, to, bad, INVALID_PARAMETERS).map_err(|f| f.at(n as u64))?;
        }
        for size in [1, ENVELOPE - 1, 257, PAGE, u64::from(u32::MAX)] {
            write(from, to, size, &good)?;
            let r = call_as(from, [MSG_SEND2, from << 16, 0, 0, 0, 0, 0, 0])?;
            expect_at("w2 of the refusal, size", size, r[2] as u32 as u64, INVALID_PARAMETERS as u32 as u64)?;
        }
        nothing(to)?;
    }
    Ok(())
}

pub(super) fn forged_acks() -> Outcome {
    let mail = Mail::new(DISPATCH);
    accepted(0, STEADY, &mail)?;
    let got = take(STEADY, 0, mail.key)?;
    refused(STEADY, 0, &Mail::ack(got.ticket + 1), NO_DATA)?;
    refused(STEADY, 0, &Mail::ack(0), NO_DATA)?;
    // By others; the ticket is not theirs.
    refused(SLOW, 0, &Mail::ack(got.ticket), NO_DATA)?;
    refused(0, STEADY, &Mail::ack(got.ticket), NO_DATA)?;
    accepted(STEADY, 0, &Mail::ack(got.ticket))?;
    refused(STEADY, 0, &Mail::ack(got.ticket), NO_DATA)
}
