// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every vector as a call of the service.

mod common;

use receipts_client::packed::Steps;
use receipts_client::{Call, MAX_ANSWER, Span};
use std::path::Path;

#[test]
fn every_vector_is_answered_as_the_reference_does() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../judge/vectors/signet");
    let cases = receipts_cases::load(&directory);
    assert_eq!(cases.len(), 258 + 473 + 13);
    let (mut service, mut platform) = common::service();
    let packed = receipts_cases::pack(&cases);
    let mut steps = Steps::new(&packed);
    let mut name = String::new();
    let mut seen = 0;
    for step in &mut steps {
        if !step.name.is_empty() {
            name = String::from_utf8_lossy(step.name).into_owned();
            seen += 1;
        }
        let call = Call {
            operation: step.operation,
            flags: step.flags,
            handle: 0,
            message: Span::default(),
            answer: Span { offset: 0, length: MAX_ANSWER as u32 },
        };
        let (reply, answer) = service.serve(&mut platform, call, step.message);
        let what = format!("{name}: code {:#08x}", reply.code);
        assert_eq!((reply.code >> 16) as u8, step.class, "{what}");
        assert!(step.value.is_none_or(|value| reply.values[0] == value), "{what}: {:?}", reply.values);
        assert!(step.answer.is_none_or(|expected| expected == answer), "{what}: {answer:?}");
        assert_eq!(reply.written as usize, answer.len());
    }
    assert!(steps.is_done());
    assert_eq!(seen, cases.len());
}
