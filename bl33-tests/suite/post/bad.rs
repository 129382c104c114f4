// SPDX-License-Identifier: MIT OR Apache-2.0
//! Envelopes and acks that are not what they should be.

use bl33::ffa::*;
use bl33::harness::{Outcome, expect_at};
use bl33::mem::{self, PAGE, TX};
use bl33::sp::command;

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

/// A sender that says it is another one, in the header or in the call, for what it may send and what it may not.
pub(super) fn forged_senders() -> Outcome {
    for (from, says) in [(SLOW, STEADY), (SLOW, SPMC), (SLOW, 0), (0, STEADY), (0, 1)] {
        let to = if from == 0 { SLOW } else { STEADY };
        write(from, to, ENVELOPE + 8, &Mail::new(DISPATCH))?;
        let ends = (says << 16 | to) << 32 | HEADER;
        if from == 0 {
            mem::put(TX + 8, ends);
        } else {
            ask(from, command::TX_WRITE, [0, 0, ends, ENVELOPE + 8])?;
        }
        let r = call_as(from, [MSG_SEND2, from << 16, 0, 0, 0, 0, 0, 0])?;
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(says))?;
        write(from, to, ENVELOPE + 8, &Mail::new(DISPATCH))?;
        let r = call_as(from, [MSG_SEND2, (says | 1) << 16, 0, 0, 0, 0, 0, 0])?;
        expect_error(&r, INVALID_PARAMETERS).map_err(|f| f.at(says))?;
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
