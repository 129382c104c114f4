// SPDX-License-Identifier: MIT OR Apache-2.0
//! The port of `spmc`, implemented by the machine.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ffa_abi::Regs;
use spmc::manifest::Interrupt;
use spmc::{Entry, Fault, Ipa, Lines, MemFault, Pa, Port, Space, Stage2Roots};

use crate::context::Context;
use crate::pool::{self, POOL};
use crate::{asm, boot};
use crate::{gic, mmu, nsmem, percpu, sha256, switch, timer, tlb, trap, traps, uart};

/// The machine that this runs on. There is one, so a value holds nothing.
#[derive(Debug)]
pub struct Machine {
    _there_is_no_other: (),
}

pub(crate) static MACHINE: Machine = Machine { _there_is_no_other: () };

impl Machine {
    /// Returns how many bytes of the boot-time heap are used, and how many there are.
    pub fn heap_use(&self) -> (usize, usize) {
        pool::heap_use()
    }
}

impl Port for Machine {
    type Context = Context;

    fn new_context(&self) -> Context {
        const { Context::new() }
    }

    fn call_monitor(&self, regs: &mut Regs) {
        // The partition's EL1 state stays where it is: EL3 returns to its caller and touches none of it.
        boot::call_monitor(regs);
    }

    fn list_cpus(&self, mpidrs: &[u64]) -> Result<(), u64> {
        boot::list_cpus(mpidrs)
    }

    fn reset(&self, context: &Context, entry: &Entry) {
        context.reset(entry, traps::untrappable());
    }

    fn queue_interrupts(&self, context: &Context, queued: bool) {
        context.set_queued(queued);
        if queued {
            switch::keep_waiting(context);
        }
    }

    fn hold_normal(&self, hold: bool) {
        let cpu = percpu::this();
        cpu.hold.set(hold);
        cpu.unusual.set(1);
    }

    fn restart_deadline(&self) {
        if percpu::this().pmr.get().is_some() {
            timer::start_deadline();
        }
    }

    fn timer(&self, context: &Context) -> Option<u64> {
        trap::timer(context)
    }

    fn set_wake(&self, at: Option<u64>) {
        timer::set_wake(at);
    }

    fn set_lines(&self, context: &Context, lines: Lines) {
        switch::set_lines(context, lines.bits());
    }

    fn start_interrupts(&self) {
        gic::start(percpu::cpu_index());
    }

    fn configure_interrupt(&self, interrupt: &Interrupt) -> bool {
        gic::configure(interrupt, percpu::cpu_index())
    }

    fn acknowledge(&self) -> Option<u32> {
        gic::acknowledge(percpu::cpu_index())
    }

    fn deactivate_interrupt(&self, intid: u32, cpu: usize) {
        gic::deactivate(intid, cpu);
    }

    fn enable_interrupt(&self, intid: u32, on: bool) {
        gic::enable(intid, percpu::cpu_index(), on);
    }

    fn route_interrupt(&self, intid: u32, cpu: usize) -> bool {
        gic::route(intid, cpu)
    }

    fn move_interrupt(&self, intid: u32, from: usize, to: usize) {
        gic::reroute(intid, from, to);
    }

    fn kick(&self, cpu: Option<usize>) {
        gic::kick(cpu);
    }

    #[inline(never)]
    fn park(&self, context: &Context, regs: &Regs) {
        asm::message_save(context, regs);
        switch::park(context);
    }

    #[inline]
    fn unpark(&self, context: &Context, regs: &mut Regs) {
        asm::message_load(context, regs);
    }

    fn park_interrupted(&self, context: &Context, regs: &Regs) {
        for (slot, value) in context.x.iter().zip(regs.x).take(8) {
            slot.store(value, Relaxed);
        }
        self.park(context, regs);
    }

    fn unpark_interrupted(&self, context: &Context, regs: &mut Regs) {
        for (slot, value) in context.x.iter().zip(&mut regs.x) {
            *value = slot.load(Relaxed);
        }
    }

    fn fault(&self) -> Fault {
        percpu::this().fault.get()
    }

    fn read(&self, space: Space, pa: Pa, out: &mut [u8]) -> Result<(), MemFault> {
        nsmem::read(space, pa, out)
    }

    fn write(&self, space: Space, pa: Pa, data: &[u8]) -> Result<(), MemFault> {
        nsmem::write(space, pa, data)
    }

    fn read_words(&self, space: Space, pa: Pa, out: &mut [u64]) -> Result<(), MemFault> {
        nsmem::read_words(space, pa, out)
    }

    fn write_words(&self, space: Space, pa: Pa, data: &[u64]) -> Result<(), MemFault> {
        nsmem::write_words(space, pa, data)
    }

    fn zero(&self, space: Space, pa: Pa, len: u64) -> Result<(), MemFault> {
        nsmem::zero(space, pa, len)
    }

    fn own_memory(&self) -> (Pa, u64) {
        let (start, end) = mmu::own_memory();
        (Pa(start), end - start)
    }

    fn with_secure_bytes<R>(&self, pa: Pa, len: u64, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        nsmem::with_secure_bytes(pa, len, f)
    }

    fn sha256(&self, bytes: &[u8]) -> [u8; 32] {
        sha256::digest(bytes)
    }

    fn sync_code(&self, pa: Pa, len: u64) {
        nsmem::sync_code(pa, len);
    }

    fn add_pages(&self, pa: Pa, len: u64) -> bool {
        POOL.add(pa, len)
    }

    fn page_alloc(&self) -> Option<Pa> {
        POOL.alloc()
    }

    fn page_free(&self, page: Pa) {
        POOL.free(page);
    }

    fn keep<T>(&self, count: usize, make: impl FnMut() -> T) -> Option<&'static [T]> {
        POOL.keep(count, make)
    }

    fn pages_free(&self) -> usize {
        POOL.pages_free()
    }

    #[inline]
    fn words(&self, page: Pa) -> Option<&[AtomicU64; 512]> {
        POOL.words(page)
    }

    fn tables_written(&self) {
        barrier!("dsb ishst", "isb");
    }

    fn tlb_invalidate(&self, roots: &Stage2Roots, space: Space, ipa: Ipa, pages: u64) {
        tlb::invalidate(roots, space, ipa, pages);
    }

    fn tlb_invalidate_all(&self, roots: &Stage2Roots) {
        tlb::invalidate_all(roots);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        uart::line(line);
    }

    fn console(&self, text: &[u8]) {
        uart::raw(text);
    }

    fn donate_schedule_receiver(&self) {
        crate::gic::donate_schedule_receiver();
    }

    fn raise_schedule_receiver(&self) {
        crate::gic::raise_schedule_receiver();
    }

    fn now(&self) -> u64 {
        timer::now()
    }

    fn counter_hz(&self) -> u64 {
        timer::hz()
    }
}
