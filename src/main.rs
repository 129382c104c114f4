// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hematite: a Secure Partition Manager Core at Secure EL2. The composition root: what `spmc` decides, `arch`
//! does, in one loop per CPU.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod firmware {
    use arch::Machine;
    use arch::boot::{self, Boot};
    use ffa_abi::Regs;
    use spin::Mutex;
    use spmc::{BuiltIn, Cpu, Fatal, Next, Port, Spmc, absent};

    static SPMC: Mutex<Option<&'static Spmc<Machine>>> = Mutex::new(None);

    /// The packages that the image carries.
    static BUILT_IN: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

    arch::entry!(build, serve);

    /// Builds the SPMC, on the first CPU.
    fn build(boot: Boot) {
        let machine = boot.machine;
        machine.log(format_args!("Hematite {}", env!("CARGO_PKG_VERSION")));
        match Spmc::boot(machine, boot.manifest, BUILT_IN) {
            Ok(spmc) => *SPMC.lock() = Some(spmc),
            // The reason is on the console.
            Err(Fatal) => machine.log(format_args!("the Normal world goes on without FF-A")),
        }
        if !boot::register_secondary_entry() {
            machine.log(format_args!("the SPMD did not take the entry point of other CPUs: check binary_size"));
        }
        let (used, all) = machine.heap_use();
        machine.log(format_args!("heap: {used} of {all} bytes used"));
    }

    /// Answers the calls of this CPU, for ever.
    fn serve() -> ! {
        let Some(spmc) = *SPMC.lock() else { do_without() };
        let mut cpu = Cpu::new(arch::cpu_index());
        let mut regs = Regs::ZERO;
        let mut next = spmc.start(&mut cpu, &mut regs);
        loop {
            next = match next {
                Next::Reply => {
                    arch::smc(&mut regs);
                    spmc.on_normal_world(&mut cpu, &mut regs)
                }
                Next::Run(context) => {
                    let exit = arch::run(context.context(), &mut regs);
                    spmc.on_partition_exit(&mut cpu, context, exit, &mut regs)
                }
            };
        }
    }

    /// Answers for this CPU without an SPMC: the Normal world goes on, and finds no FF-A.
    fn do_without() -> ! {
        let mut regs = Regs::ZERO;
        absent::ready(&mut regs);
        loop {
            boot::call_monitor(&mut regs);
            absent::answer(&mut regs);
        }
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        arch::panicked(info)
    }
}

/// The firmware only exists for its own target.
#[cfg(not(target_os = "none"))]
fn main() {}
