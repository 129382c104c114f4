// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol of the receipts partition, for both sides of it.
//!
//! A call is an FF-A direct request (`FFA_MSG_SEND_DIRECT_REQ`, 64-bit): x3 the operation and its flags, x4 the handle
//! of a memory region that was shared with or lent to the partition, x5 where in it the message lies, x6 where the
//! answer goes. The message and the answer are sequences of [parts](PartWriter). [`Call::registers`] and
//! [`Reply::from_registers`] do the packing; how the registers travel is the caller's business.
//!
//! The partition copies the message before it looks at it. Nothing here allocates.
#![no_std]
#![forbid(unsafe_code)]

pub mod packed;

/// The UUID of the service, as `FFA_PARTITION_INFO_GET` takes and gives it: 9bd9b3c4-0de1-4bb6-8e2c-6f6a5e1d27a4.
pub const SERVICE_UUID: [u8; 16] =
    [0x9b, 0xd9, 0xb3, 0xc4, 0x0d, 0xe1, 0x4b, 0xb6, 0x8e, 0x2c, 0x6f, 0x6a, 0x5e, 0x1d, 0x27, 0xa4];

/// The version of this protocol: major in bits 31..16, minor in 15..0. A partition serves every minor up to its own.
pub const PROTOCOL_VERSION: u32 = 0x0001_0001;

/// The largest receipt or request, in bytes.
pub const MAX_RECEIPT: usize = 65536;

/// The largest message, in bytes: all parts with their headers.
pub const MAX_MESSAGE: usize = 73728;

/// The largest answer, in bytes: all parts with their headers.
pub const MAX_ANSWER: usize = 73728;

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident($number:ty) { $($(#[$vdoc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr($number)]
        pub enum $name { $($(#[$vdoc])* $variant = $value,)* }

        impl $name {
            /// Finds the value with this number.
            pub const fn from_number(number: $number) -> Option<Self> {
                match number { $($value => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

numbered! {
    /// What is asked of the service. `docs/receipts.md` says which parts each takes and gives.
    Operation(u16) {
        /// Tells version and limits; needs no memory.
        Hello = 0,
        /// Verifies a receipt of any version.
        Verify = 1,
        /// Verifies a co-signed receipt (version 3) against a session, a call and an agent.
        VerifyBilateral = 2,
        /// Verifies a tool-call request.
        VerifyRequest = 3,
        /// Verifies a delegated receipt (version 4) with its chain, decision and revocations.
        VerifyAuthorized = 4,
        /// Verifies one delegation token.
        VerifyDelegation = 5,
        /// Verifies one authorization decision.
        VerifyDecision = 6,
        /// Looks for a revocation of some tokens and decisions.
        CheckRevocation = 7,
        /// Gives the canonical form of a JSON text.
        Canonicalize = 8,
        /// Gives the bytes that the signature of a receipt covers.
        SignedBytes = 9,
        /// Verifies a bare signature.
        VerifySignature = 10,
        /// Appends a receipt to the audit chain.
        Append = 16,
        /// Tells the head of the audit chain; needs memory for the hash.
        Head = 17,
        /// Signs a checkpoint of the audit chain.
        Checkpoint = 18,
        /// Verifies lines of the log among themselves.
        VerifyLines = 19,
        /// Verifies lines of the log that run up to the head.
        VerifyToHead = 20,
        /// Verifies, after the fact, the signature of the receipt in one line of the log.
        VerifyRecorded = 21,
        /// Co-signs a receipt and what was answered.
        Cosign = 32,
        /// Loads a trust bundle.
        TrustLoad = 48,
        /// Tells what trust is loaded.
        TrustQuery = 49,
        /// Forgets the loaded trust.
        TrustClear = 50,
        /// Forgets the nonces that compat calls recorded (never the strict ones).
        CompatReplayClear = 51,
    }
}

/// Flags of a call, in bits 31..16 of x3.
pub mod flags {
    /// Judge as the reference does; strict is the default.
    pub const COMPAT: u16 = 1;
    /// Judge as a record of the past: no expiry, decision, window or replay.
    pub const FORENSIC: u16 = 1 << 1;
    /// With `COMPAT`: record the nonce. Strict calls always do.
    pub const REPLAY: u16 = 1 << 2;
    /// Accept a request without a receipt.
    pub const UNSIGNED: u16 = 1 << 3;
    /// Read the receipt as a structure of version 1: the version is not looked at. Only with `COMPAT`.
    pub const STRUCTURE: u16 = 1 << 4;
    /// Check decision and revocations with the loaded trust, too.
    pub const TRUST: u16 = 1 << 5;
    /// Keep the region for the next call; without it, the partition relinquishes it before it answers.
    pub const KEEP: u16 = 1 << 6;
    /// All that are defined.
    pub const ALL: u16 = (1 << 7) - 1;
}

numbered! {
    /// What a part of a message or an answer is.
    Tag(u16) {
        /// A receipt, request, token, decision or record: JSON.
        Receipt = 1,
        /// A public key, spelled `ed25519:...`; some operations take several.
        Key = 2,
        /// The trusted agent's public key.
        Agent = 3,
        /// The expected session.
        Session = 4,
        /// The expected call.
        CallId = 5,
        /// The most seconds between agent and server: eight bytes.
        Window = 6,
        /// The expected target.
        Target = 7,
        /// An unsigned trust bundle (compat), or the signed one to load: JSON.
        Bundle = 8,
        /// Delegation tokens: a JSON array.
        Tokens = 9,
        /// Authorization decisions: a JSON array.
        Decisions = 10,
        /// The action that a decision is about: JSON.
        Action = 11,
        /// A principal.
        Principal = 12,
        /// The time to judge at, RFC 3339. Only with `COMPAT`; the answer then says that the clock was the caller's.
        At = 13,
        /// Lines of the audit log.
        Lines = 14,
        /// A hash to start from, spelled `sha256:...`; the genesis if absent.
        Start = 15,
        /// The content of an answer: JSON.
        Content = 16,
        /// How a call ended: JSON.
        Outcome = 17,
        /// A signature: 64 bytes.
        Signature = 18,
        /// The longest delegation chain: eight bytes.
        Depth = 19,
        /// The oldest a receipt may be, in seconds: eight bytes.
        MaxAge = 20,
        /// The effective scope: JSON.
        Scope = 32,
        /// A signed statement: JSON.
        Statement = 33,
        /// Canonical or signed bytes.
        Bytes = 34,
        /// A hash, spelled `sha256:...`.
        Hash = 35,
        /// The hash before it, or the one that was expected.
        Previous = 36,
        /// When something was revoked.
        RevokedAt = 37,
        /// By whom.
        RevokedBy = 38,
        /// The identifier of a recorded receipt.
        Id = 39,
    }
}

numbered! {
    /// The clock that a judgement used.
    ClockSource(u8) {
        /// None: the operation needs no time.
        None = 0,
        /// The real-time clock, read once before the Normal world ran, and the generic counter since.
        RtcAtBoot = 1,
        /// The caller's own word, in a compat call with [`Tag::At`].
        Caller = 2,
    }
}

/// Where in the shared region something lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// From the start of the region, in bytes.
    pub offset: u32,
    /// The length, in bytes.
    pub length: u32,
}

impl Span {
    const fn pack(self) -> u64 {
        self.offset as u64 | (self.length as u64) << 32
    }

    const fn unpack(packed: u64) -> Self {
        Self { offset: packed as u32, length: (packed >> 32) as u32 }
    }
}

/// A call, as it travels in x3 to x7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The operation.
    pub operation: u16,
    /// [`flags`].
    pub flags: u16,
    /// The FF-A memory handle of the region; anything if there is no message and no room for an answer.
    pub handle: u64,
    /// The message.
    pub message: Span,
    /// The room for the answer.
    pub answer: Span,
}

impl Call {
    /// Packs the call into x3 to x7.
    pub const fn registers(&self) -> [u64; 5] {
        let first = self.operation as u64 | (self.flags as u64) << 16;
        [first, self.handle, self.message.pack(), self.answer.pack(), 0]
    }

    /// Reads a call from x3 to x7. `None` if bits are set that have no meaning yet.
    pub const fn from_registers(registers: [u64; 5]) -> Option<Self> {
        let [first, handle, message, answer, reserved] = registers;
        if first >> 32 != 0 || reserved != 0 {
            return None;
        }
        Some(Self {
            operation: first as u16,
            flags: (first >> 16) as u16,
            handle,
            message: Span::unpack(message),
            answer: Span::unpack(answer),
        })
    }
}

/// An answer, as it travels in x3 to x7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The verdict: 0 for accepted, else class, field and reason (bits 23..16, 15..8, 7..0).
    pub code: u32,
    /// The clock that was used.
    pub clock: ClockSource,
    /// The bytes of the answer that were written.
    pub written: u32,
    /// What the operation counts or tells; of all but `Hello`, the third is how many ticks of the counter it took inside
    /// the partition.
    pub values: [u64; 3],
}

impl Reply {
    /// Packs the answer into x3 to x7.
    pub const fn registers(&self) -> [u64; 5] {
        let [first, second, third] = self.values;
        [self.code as u64, self.written as u64 | (self.clock as u64) << 32, first, second, third]
    }

    /// Reads an answer from x3 to x7. `None` if it is none.
    pub const fn from_registers(registers: [u64; 5]) -> Option<Self> {
        let [code, second, a, b, c] = registers;
        if code >> 32 != 0 || second >> 40 != 0 {
            return None;
        }
        match ClockSource::from_number((second >> 32) as u8) {
            Some(clock) => Some(Self { code: code as u32, clock, written: second as u32, values: [a, b, c] }),
            None => None,
        }
    }

    /// Tells whether the verdict is that it passes.
    pub const fn is_accepted(&self) -> bool {
        self.code == 0
    }
}

/// The size of the header of a part: tag (two bytes), zero (two bytes), length (four bytes), all little-endian.
pub const PART_HEADER: usize = 8;

const ALIGNMENT: usize = 8;

/// Writes parts into a buffer, one after the other, each padded with zeros to eight bytes.
pub struct PartWriter<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl<'a> PartWriter<'a> {
    /// Starts at the beginning of a buffer.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// Adds a part. `None` if there is no room for it; then nothing was added.
    pub fn add(&mut self, tag: Tag, value: &[u8]) -> Option<()> {
        let length = u32::try_from(value.len()).ok()?;
        let padded = value.len().checked_next_multiple_of(ALIGNMENT)?;
        let end = self.used.checked_add(PART_HEADER)?.checked_add(padded)?;
        let part = self.buffer.get_mut(self.used..end)?;
        let (header, content) = part.split_at_mut(PART_HEADER);
        header.fill(0);
        header.get_mut(..2)?.copy_from_slice(&(tag as u16).to_le_bytes());
        header.get_mut(4..)?.copy_from_slice(&length.to_le_bytes());
        let (content, padding) = content.split_at_mut(value.len());
        content.copy_from_slice(value);
        padding.fill(0);
        self.used = end;
        Some(())
    }

    /// Adds a part that is a number.
    pub fn add_number(&mut self, tag: Tag, value: u64) -> Option<()> {
        self.add(tag, &value.to_le_bytes())
    }

    /// Gives the bytes that were used.
    pub fn used(&self) -> usize {
        self.used
    }
}

/// Reads parts. A part that does not fit, or has a tag or a padding that has no meaning, ends it with an error.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    rest: &'a [u8],
}

/// The bytes are not parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Parts<'a> {
    /// Reads the parts of a message or an answer.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn split(&mut self) -> Option<(Tag, &'a [u8])> {
        let (header, rest) = self.rest.split_at_checked(PART_HEADER)?;
        let &[tag0, tag1, 0, 0, a, b, c, d] = header else { return None };
        let tag = Tag::from_number(u16::from_le_bytes([tag0, tag1]))?;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        let (padded, rest) = rest.split_at_checked(length.checked_next_multiple_of(ALIGNMENT)?)?;
        let (value, padding) = padded.split_at_checked(length)?;
        if padding.iter().any(|&byte| byte != 0) {
            return None;
        }
        self.rest = rest;
        Some((tag, value))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<(Tag, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let part = self.split();
        if part.is_none() {
            self.rest = &[];
        }
        Some(part.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back() {
        let mut buffer = [0xff; 64];
        let mut writer = PartWriter::new(&mut buffer);
        assert_eq!(writer.add(Tag::Receipt, b"{}"), Some(()));
        assert_eq!(writer.add_number(Tag::Window, 300), Some(()));
        assert_eq!(writer.add(Tag::Key, b""), Some(()));
        assert_eq!(writer.add(Tag::Key, &[0; 64]), None);
        let used = writer.used();
        assert_eq!(used, 40);
        let mut parts = Parts::new(&buffer[..used]);
        assert_eq!(parts.next(), Some(Ok((Tag::Receipt, &b"{}"[..]))));
        assert_eq!(parts.next(), Some(Ok((Tag::Window, &300u64.to_le_bytes()[..]))));
        assert_eq!(parts.next(), Some(Ok((Tag::Key, &b""[..]))));
        assert_eq!(parts.next(), None);
    }

    #[test]
    fn what_are_no_parts_is_refused_once() {
        for bytes in [
            &[1, 0, 0, 0, 0, 0, 0][..],                           // short header
            &[1, 0, 0, 0, 1, 0, 0, 0],                            // no content
            &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],                // a lying length
            &[1, 0, 1, 0, 0, 0, 0, 0],                            // a reserved bit
            &[0xff, 0xff, 0, 0, 0, 0, 0, 0],                      // an unknown tag
            &[1, 0, 0, 0, 1, 0, 0, 0, b'x', 0, 0, 0, 0, 0, 0, 1], // padding that is not zero
        ] {
            let mut parts = Parts::new(bytes);
            assert_eq!((parts.next(), parts.next()), (Some(Err(Malformed)), None));
        }
    }

    #[test]
    fn registers_read_back() {
        let call = Call {
            operation: Operation::Verify as u16,
            flags: flags::COMPAT,
            handle: u64::MAX,
            message: Span { offset: 1, length: u32::MAX },
            answer: Span { offset: 4096, length: 2 },
        };
        assert_eq!(Call::from_registers(call.registers()), Some(call));
        assert_eq!(Call::from_registers([0, 0, 0, 0, 1]), None);
        assert_eq!(Call::from_registers([1 << 32, 0, 0, 0, 0]), None);
        let reply = Reply { code: 0x10203, clock: ClockSource::Caller, written: 7, values: [1, 2, 3] };
        assert_eq!(Reply::from_registers(reply.registers()), Some(reply));
        assert_eq!(Reply::from_registers([0, 9 << 32, 0, 0, 0]), None);
    }
}
