// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs cases and reports them: `test <group>::<name> ... ` then `ok` or `FAILED: ...`, and at the end
//! `N passed, N failed` before the machine is switched off.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::{cpus, gic, mode, print, println, psci};

/// A case has this long, in seconds, before the watchdog ends the run; more in the long mode.
const LIMIT_S: u64 = 60;
const LONG_LIMIT_S: u64 = 1500;

static PASSED: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);

/// Says what a case expected and what it got.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    what: &'static str,
    at: Option<u64>,
    expected: u64,
    got: u64,
}

impl Failure {
    /// Describes a difference.
    pub const fn new(what: &'static str, expected: u64, got: u64) -> Self {
        Self { what, at: None, expected, got }
    }

    /// Describes a condition that did not hold, with a number that helps.
    pub const fn because(what: &'static str, got: u64) -> Self {
        Self { what, at: Some(got), expected: 1, got: 0 }
    }

    /// Adds where it happened (an iteration, a register, a function id).
    pub const fn at(mut self, at: u64) -> Self {
        self.at = Some(at);
        self
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(at) = self.at {
            write!(f, " {at} ({at:#x})")?;
        }
        write!(f, ": expected {:#x}, got {:#x}", self.expected, self.got)
    }
}

/// What a case returns.
pub type Outcome = Result<(), Failure>;

/// When a case runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// In the long mode.
    Long,
    /// Where the runner asks for it by name: the case needs a boot of its own.
    Asked,
}

/// A case: its name is `group::name`.
pub struct Case {
    name: &'static str,
    run: fn() -> Outcome,
    when: When,
    noisy: bool,
}

impl Case {
    /// A case of every run.
    pub const fn new(name: &'static str, run: fn() -> Outcome) -> Self {
        Self { name, run, when: When::Always, noisy: false }
    }

    /// The same, in the long mode alone.
    pub const fn long(self) -> Self {
        Self { when: When::Long, ..self }
    }

    /// The same, only where the runner names it: nothing else of the suite runs in that boot.
    pub const fn asked(self) -> Self {
        Self { when: When::Asked, ..self }
    }

    /// The same, during which BL31 or the case itself prints lines: its own line is printed whole, afterwards.
    pub const fn noisy(self) -> Self {
        Self { noisy: true, ..self }
    }

    fn wanted(&self) -> bool {
        let now = match self.when {
            When::Always => true,
            When::Long => mode::long(),
            When::Asked => mode::selective(),
        };
        now && mode::wanted(self.name)
    }
}

/// Demands `got == expected`.
pub fn expect(what: &'static str, got: u64, expected: u64) -> Outcome {
    if got == expected { Ok(()) } else { Err(Failure::new(what, expected, got)) }
}

/// Demands `got == expected`, naming an index.
pub fn expect_at(what: &'static str, at: u64, got: u64, expected: u64) -> Outcome {
    expect(what, got, expected).map_err(|f| f.at(at))
}

/// Demands a condition; `detail` is reported when it does not hold.
pub fn expect_that(what: &'static str, condition: bool, detail: u64) -> Outcome {
    if condition { Ok(()) } else { Err(Failure::because(what, detail)) }
}

/// A case in assembly, as `case.S` lays it in the section `.asm_cases`.
#[repr(C)]
struct AsmCase {
    name: *const core::ffi::c_char,
    run: extern "C" fn(report: &mut [u64; 3]) -> u64,
}

unsafe extern "C" {
    static __asm_cases_start: [AsmCase; 0];
    static __asm_cases_end: [AsmCase; 0];
}

fn asm_cases() -> &'static [AsmCase] {
    let start = &raw const __asm_cases_start as *const AsmCase;
    let end = &raw const __asm_cases_end as *const AsmCase;
    // SAFETY: the linker script bounds an array of these with the two symbols.
    unsafe { core::slice::from_raw_parts(start, end.offset_from(start) as usize) }
}

/// The noisy case that runs now, so that a fatal report can name it: address and length, 0 for none.
static NOISY_NAME: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

fn run_one(name: &'static str, noisy: bool, run: impl FnOnce() -> Outcome) {
    cpus::sleep();
    if noisy {
        NOISY_NAME[0].store(name.as_ptr() as usize, Relaxed);
        NOISY_NAME[1].store(name.len(), Relaxed);
    } else {
        print!("test {name} ... ");
    }
    gic::watchdog_start(if mode::long() { LONG_LIMIT_S } else { LIMIT_S });
    let outcome = run();
    gic::watchdog_stop();
    finish_noisy_name();
    match outcome {
        Ok(()) => {
            PASSED.fetch_add(1, Relaxed);
            println!("ok");
        }
        Err(f) => {
            FAILED.fetch_add(1, Relaxed);
            println!("FAILED: {f}");
        }
    }
}

/// Prints the beginning of a noisy case's line, which was put off.
fn finish_noisy_name() {
    let len = NOISY_NAME[1].swap(0, Relaxed);
    if len != 0 {
        // SAFETY: `run_one` stored the parts of a `&'static str`.
        let name = unsafe { core::slice::from_raw_parts(NOISY_NAME[0].load(Relaxed) as *const u8, len) };
        print!("test {} ... ", core::str::from_utf8(name).unwrap_or("?"));
    }
}

/// Runs every case in assembly, in the order of the sources.
pub fn run_asm() {
    for case in asm_cases() {
        // SAFETY: `case.S` writes zero-terminated ASCII.
        let name = unsafe { core::ffi::CStr::from_ptr(case.name) }.to_str().unwrap_or("abi::unnamed");
        if !mode::wanted(name) {
            continue;
        }
        run_one(name, name.starts_with("hostile::"), || {
            let mut report = [0; 3];
            match (case.run)(&mut report) {
                0 => Ok(()),
                _ => {
                    let [register, expected, got] = report;
                    Err(Failure::new("register x", expected, got).at(register))
                }
            }
        });
    }
}

/// Runs the cases of a group.
pub fn run(cases: &[Case]) {
    for case in cases {
        if case.wanted() {
            run_one(case.name, case.noisy, case.run);
        }
    }
}

/// Prints the last line.
fn summary() {
    println!("{} passed, {} failed", PASSED.load(Relaxed), FAILED.load(Relaxed));
}

/// Prints the last line and switches the machine off.
pub fn finish() -> ! {
    summary();
    psci::system_off()
}

/// Ends the run: the current case has failed in a way that leaves nothing to go on with.
pub fn abandon(why: core::fmt::Arguments<'_>) -> ! {
    finish_noisy_name();
    println!("FAILED: {why}");
    FAILED.fetch_add(1, Relaxed);
    summary();
    psci::system_off()
}
