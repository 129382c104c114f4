// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of the command service that `relay` and `percpu` run; `sp/protocol.md` says what each does.
#![no_std]
#![forbid(unsafe_code)]

/// Ids of the partitions.
pub mod id {
    /// `echo`.
    pub const ECHO: u16 = 0x8001;
    /// `relay`: one migratable context.
    pub const RELAY: u16 = 0x8002;
    /// `percpu`: a context for each CPU.
    pub const PERCPU: u16 = 0x8003;
    /// `hostile`: dies and is restarted, queues interrupts.
    pub const HOSTILE: u16 = 0x8004;
    /// `managed`: is told of Non-secure interrupts.
    pub const MANAGED: u16 = 0x8006;
    /// `hydra`: dies and is restarted, a context for each CPU.
    pub const HYDRA: u16 = 0x8007;
}

/// UUIDs of the partitions, as w1 to w4 of FFA_PARTITION_INFO_GET.
pub mod uuid {
    /// d1f249e7-9121-48df-a79f-0a9069e16bee.
    pub const ECHO: [u32; 4] = [0xe749_f2d1, 0xdf48_2191, 0x900a_9fa7, 0xee6b_e169];
    /// 7c81ba7b-f724-48c1-ba4c-2ce1c1cbb06a.
    pub const RELAY: [u32; 4] = [0x7bba_817c, 0xc148_24f7, 0xe12c_4cba, 0x6ab0_cbc1];
    /// 3f03d0b1-ebf8-4290-9de2-d36b27764a4f.
    pub const PERCPU: [u32; 4] = [0xb1d0_033f, 0x9042_f8eb, 0x6bd3_e29d, 0x4f4a_7627];
    /// 33f01b72-3371-4a94-a203-e89ceec154c3.
    pub const HOSTILE: [u32; 4] = [0x721b_f033, 0x944a_7133, 0x9ce8_03a2, 0xc354_c1ee];
    /// 6d3f2a51-8b0e-4c6d-9a47-52f1c07be834.
    pub const MANAGED: [u32; 4] = [0x512a_3f6d, 0x6d4c_0e8b, 0xf152_479a, 0x34e8_7bc0];
    /// 5d0f3c61-8e1b-4c0e-a7b4-90e2f61c7d35.
    pub const HYDRA: [u32; 4] = [0x613c_0f5d, 0x0e4c_1b8e, 0xe290_b4a7, 0x357d_1cf6];
}

/// Word 0 of a request.
pub mod command {
    /// Answers as `echo` does: word 1 raised by 0x1000, the others returned.
    pub const ECHO: u64 = 0x00;
    /// Adds.
    pub const ADD: u64 = 0x01;
    /// Tells id, version, context, messages.
    pub const INFO: u64 = 0x02;
    /// Tells the messages of a context.
    pub const COUNTS: u64 = 0x03;

    /// Sets registers of the next raw call.
    pub const STAGE: u64 = 0x10;
    /// Makes a raw call.
    pub const CALL: u64 = 0x11;
    /// Reads registers that the last raw call returned.
    pub const RESULT: u64 = 0x12;
    /// Makes a raw call within one extended message.
    pub const CALL_EXTENDED: u64 = 0x13;
    /// Reads the RX buffer.
    pub const RX_READ: u64 = 0x14;
    /// Writes the TX buffer.
    pub const TX_WRITE: u64 = 0x15;
    /// Tells where the buffers are, registering them if need be.
    pub const MAILBOX: u64 = 0x16;

    /// Sends a direct request to another partition.
    pub const FORWARD: u64 = 0x20;
    /// Passes a request along a list of partitions.
    pub const ROUTE: u64 = 0x21;
    /// Runs a partition that was preempted below a forwarded request.
    pub const RESUME: u64 = 0x22;
    /// Yields.
    pub const YIELD: u64 = 0x23;
    /// Spins for a time.
    pub const SPIN: u64 = 0x24;
    /// Spins for ever.
    pub const HANG: u64 = 0x25;
    /// Waits for an interrupt.
    pub const WFI: u64 = 0x26;

    /// Fills the SIMD registers.
    pub const SIMD_FILL: u64 = 0x30;
    /// Checks the SIMD registers.
    pub const SIMD_CHECK: u64 = 0x31;
    /// Looks for somebody else's value in the SIMD registers.
    pub const SIMD_LEAK: u64 = 0x32;
    /// Uses one SIMD register.
    pub const SIMD_TOUCH: u64 = 0x33;

    /// Fills EL1 and EL0 system registers.
    pub const REGS_FILL: u64 = 0x40;
    /// Checks them.
    pub const REGS_CHECK: u64 = 0x41;
    /// Looks for somebody else's value in every readable system register.
    pub const REGS_LEAK: u64 = 0x42;
    /// Fills x8 to x30, makes a call, checks x18 to x30.
    pub const GPRS_ACROSS: u64 = 0x43;
    /// Reads one system register of the list.
    pub const REG_READ: u64 = 0x44;

    /// Accesses an address.
    pub const ACCESS: u64 = 0x50;
    /// Tries an instruction that may be undefined.
    pub const PROBE: u64 = 0x51;
    /// Dies.
    pub const DIE: u64 = 0x52;

    /// Retrieves memory.
    pub const RETRIEVE: u64 = 0x60;
    /// Fills retrieved memory.
    pub const FILL: u64 = 0x61;
    /// Checks retrieved memory.
    pub const CHECK: u64 = 0x62;
    /// Relinquishes retrieved memory.
    pub const RELINQUISH: u64 = 0x63;
    /// Sends pages of the partition's own.
    pub const SEND: u64 = 0x64;
    /// Takes sent pages back.
    pub const RECLAIM: u64 = 0x65;
    /// Tells the address of a page of the partition's own, filling it.
    pub const OWN_PAGE: u64 = 0x66;
    /// Reads a word of retrieved memory.
    pub const READ: u64 = 0x67;
    /// Writes a word of retrieved memory.
    pub const WRITE: u64 = 0x68;
    /// Tells about retrieved memory.
    pub const REGION: u64 = 0x69;

    /// Measures a call.
    pub const MEASURE: u64 = 0x80;

    /// Enables a virtual interrupt.
    pub const INTERRUPT_ENABLE: u64 = 0x90;
    /// Says how interrupts are handled.
    pub const INTERRUPT_MODE: u64 = 0x91;
    /// Tells how many interrupts came.
    pub const INTERRUPT_COUNT: u64 = 0x92;
    /// Deactivates an interrupt.
    pub const INTERRUPT_DEACTIVATE: u64 = 0x93;
    /// Sends an interrupt to another context of the partition.
    pub const INTERRUPT_SEND: u64 = 0x94;
    /// Says which device's interrupt is to be quietened.
    pub const INTERRUPT_DEVICE: u64 = 0x95;
    /// Arms an EL1 timer.
    pub const TIMER_ARM: u64 = 0x98;
    /// Reads an EL1 timer.
    pub const TIMER_READ: u64 = 0x99;
}

/// Word 0 of a response.
pub mod status {
    /// Done.
    pub const OK: u64 = 0;
    /// The command is not known, or an argument is not possible.
    pub const BAD_COMMAND: u64 = 1;
    /// A call of the partition was refused: word 1 is the status code, as a signed number.
    pub const FFA_ERROR: u64 = 2;
    /// A fault at S-EL1: word 1 is ESR_EL1, word 2 FAR_EL1.
    pub const FAULT: u64 = 3;
    /// A value is not what it should be: word 1 where, word 2 what was found, word 3 what was expected.
    pub const MISMATCH: u64 = 4;
    /// Something else than a response came back: words 1 to 3 are x0 to x2.
    pub const UNEXPECTED: u64 = 5;
    /// A table of the partition is full, or there is no such region.
    pub const NO_ROOM: u64 = 6;
    /// The SPMC's memory descriptor makes no sense.
    pub const BAD_DESCRIPTOR: u64 = 7;
}

/// Word 1 of [`command::PROBE`]: what to try.
pub mod probe {
    /// UDF.
    pub const UDF: u64 = 0;
    /// SVE: RDVL.
    pub const SVE: u64 = 1;
    /// SME: SMSTART.
    pub const SME: u64 = 2;
    /// PMU: PMCCNTR_EL0.
    pub const PMU: u64 = 3;
    /// Debug: MDSCR_EL1.
    pub const DEBUG: u64 = 4;
    /// Debug: DBGBVR0_EL1.
    pub const BREAKPOINT: u64 = 5;
    /// Statistical profiling: PMSCR_EL1.
    pub const SPE: u64 = 6;
    /// Trace: TRFCR_EL1.
    pub const TRACE: u64 = 7;
    /// Activity monitors: AMCR_EL0.
    pub const AMU: u64 = 8;
    /// Memory tagging: GCR_EL1.
    pub const MTE: u64 = 9;
    /// Pointer authentication: APIAKEYLO_EL1.
    pub const PAUTH_KEY: u64 = 10;
    /// CNTPCT_EL0.
    pub const PHYSICAL_COUNTER: u64 = 11;
    /// CNTP_CTL_EL0.
    pub const PHYSICAL_TIMER: u64 = 12;
    /// CNTV_CTL_EL0.
    pub const VIRTUAL_TIMER: u64 = 13;
    /// CNTPS_CTL_EL1.
    pub const SECURE_TIMER: u64 = 14;
    /// HCR_EL2.
    pub const EL2_REGISTER: u64 = 15;
    /// SCR_EL3.
    pub const EL3_REGISTER: u64 = 16;
    /// RNDR.
    pub const RNDR: u64 = 17;
    /// ICC_PMR_EL1.
    pub const GIC_PRIORITY: u64 = 18;
    /// ICC_IAR1_EL1.
    pub const GIC_ACKNOWLEDGE: u64 = 19;
    /// ICC_SGI1R_EL1.
    pub const GIC_SGI: u64 = 20;
    /// ICC_SRE_EL1.
    pub const GIC_SRE: u64 = 21;
    /// ACTLR_EL1.
    pub const ACTLR: u64 = 22;
    /// AT S12E1R.
    pub const TRANSLATE_EL2: u64 = 23;
    /// TLBI ALLE1.
    pub const TLBI_EL2: u64 = 24;
    /// DC CISW, a set/way operation.
    pub const SET_WAY: u64 = 25;
    /// HLT.
    pub const HLT: u64 = 26;
    /// OSLAR_EL1.
    pub const OS_LOCK: u64 = 27;
}

/// Word 1 of [`command::DIE`]: how.
pub mod death {
    /// A read of an address that stage 1 does not map.
    pub const STAGE1_FAULT: u64 = 0;
    /// Endless recursion.
    pub const STACK_OVERFLOW: u64 = 1;
    /// FFA_ABORT.
    pub const FFA_ABORT: u64 = 2;
    /// FFA_ERROR.
    pub const FFA_ERROR: u64 = 3;
    /// An undefined instruction.
    pub const UNDEFINED: u64 = 4;
    /// A Rust panic.
    pub const PANIC: u64 = 5;
    /// A read of an address that stage 2 does not map.
    pub const STAGE2_FAULT: u64 = 6;
    /// A fetch from such an address.
    pub const STAGE2_FETCH: u64 = 7;
    /// BRK.
    pub const BREAKPOINT: u64 = 8;
}

/// Word 3 of [`command::ACCESS`]: how stage 1 maps the page for the access.
pub mod mapping {
    /// As it is.
    pub const KEEP: u64 = 0;
    /// Secure, Normal.
    pub const SECURE: u64 = 1;
    /// Non-secure, Normal.
    pub const NON_SECURE: u64 = 2;
    /// Secure, Device.
    pub const SECURE_DEVICE: u64 = 3;
    /// Non-secure, Device.
    pub const NON_SECURE_DEVICE: u64 = 4;
    /// Leaves it mapped afterwards.
    pub const STAY: u64 = 0x10;
}

/// What is added to the first word of a call of the receipts service for the partition that serves it to die.
pub mod mortal {
    /// Bit 32 on: how, of [`death`](super::death).
    pub const HOW: u32 = 32;
    /// Bit 48 on: when.
    pub const WHEN: u32 = 48;
    /// Before it serves the call.
    pub const BEFORE: u64 = 1;
    /// After it served the call, before it answers.
    pub const AFTER: u64 = 2;
    /// It serves none and does not die, but is interrupted while it uses the SIMD registers, by a handler that does, too;
    /// word 0 of its answer counts the halves of registers that were changed.
    pub const INTERRUPTED: u64 = 3;
}
