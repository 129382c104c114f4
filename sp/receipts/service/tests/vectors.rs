// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every vector as a call of the service.

mod cases;
mod common;

use receipts_client::{Call, MAX_ANSWER, Span};
use std::path::Path;

#[test]
fn every_vector_is_answered_as_the_reference_does() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../judge/vectors/signet");
    let cases = cases::load(&directory);
    assert_eq!(cases.len(), 258 + 473 + 13);
    let (mut service, mut platform) = common::service();
    let mut answer = vec![0; MAX_ANSWER];
    for case in &cases {
        for (number, step) in case.steps.iter().enumerate() {
            let call = Call {
                operation: step.operation as u16,
                flags: step.flags,
                handle: 0,
                message: Span::default(),
                answer: Span::default(),
            };
            let reply = service.serve(&mut platform, call, &step.message, &mut answer);
            let what = format!("{} step {number}: code {:#08x}", case.name, reply.code);
            assert_eq!((reply.code >> 16) as u8, step.class, "{what}");
            assert!(step.value.is_none_or(|value| reply.values[0] == value), "{what}: {:?}", reply.values);
            if let Some(expected) = &step.answer {
                assert_eq!(&answer[..reply.written as usize], &expected[..], "{what}");
            }
        }
    }
}
