// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the SPMC asks of the machine.

use core::fmt;
use std::string::ToString;

use super::*;
use crate::manifest::Interrupt;
use crate::{DEADLINE, KICK, Port, WAKE};

/// The interrupts of its controller have INTIDs below.
const INTERRUPTS: u32 = 512;

impl Port for SimMachine {
    fn call_monitor(&self, regs: &mut Regs) {
        self.monitor.lock().unwrap().push(regs.fid());
        regs.x[0] = FROM_MONITOR;
    }

    fn list_cpus(&self, mpidrs: &[u64]) -> Result<(), u64> {
        mpidrs.contains(&BOOT_CPU).then_some(()).ok_or(BOOT_CPU)
    }

    type Context = SimContext;

    fn new_context(&self) -> SimContext {
        SimContext::default()
    }

    fn reset(&self, context: &SimContext, entry: &Entry) {
        *context.entry.lock().unwrap() = Some(*entry);
        context.queued.store(true, Ordering::Relaxed);
        *context.timer.lock().unwrap() = None;
        let mut regs = context.regs.lock().unwrap();
        *regs = Regs::ZERO;
        regs.x[..8].copy_from_slice(&entry.x);
    }

    fn queue_interrupts(&self, context: &SimContext, queued: bool) {
        context.queued.store(queued, Ordering::Relaxed);
    }

    fn hold_normal(&self, hold: bool) {
        self.held.store(hold, Ordering::Relaxed);
    }

    fn restart_deadline(&self) {}

    fn timer(&self, context: &SimContext) -> Option<u64> {
        *context.timer.lock().unwrap()
    }

    fn set_wake(&self, at: Option<u64>) {
        let cpu = self.cpu.load(Ordering::Relaxed);
        let wakes = &mut self.gic.lock().unwrap().wakes;
        match at {
            Some(at) => wakes.insert(cpu, at),
            None => wakes.remove(&cpu),
        };
    }

    fn set_lines(&self, context: &SimContext, lines: Lines) {
        *context.lines.lock().unwrap() = lines;
    }

    fn start_interrupts(&self) {
        self.set_wake(None);
    }

    fn configure_interrupt(&self, interrupt: &Interrupt) -> bool {
        if interrupt.intid >= INTERRUPTS {
            return false;
        }
        let mut gic = self.gic.lock().unwrap();
        gic.enabled.insert(interrupt.intid);
        gic.active.remove(&interrupt.intid);
        gic.routes.insert(interrupt.intid, 0);
        true
    }

    fn acknowledge(&self) -> Option<u32> {
        let mut gic = self.gic.lock().unwrap();
        let cpu = self.cpu.load(Ordering::Relaxed);
        if gic.wakes.get(&cpu).is_some_and(|at| *at <= self.clock.load(Ordering::Relaxed)) {
            gic.wakes.remove(&cpu);
            return Some(WAKE);
        }
        let at = gic
            .pending
            .iter()
            .position(|i| matches!(*i, KICK | DEADLINE) || gic.enabled.contains(i) && !gic.active.contains(i))?;
        let intid = gic.pending.remove(at);
        if intid >= 16 && intid != DEADLINE {
            gic.active.insert(intid);
        }
        Some(intid)
    }

    fn deactivate_interrupt(&self, intid: u32, _: usize) {
        self.gic.lock().unwrap().active.remove(&intid);
    }

    fn enable_interrupt(&self, intid: u32, on: bool) {
        let mut gic = self.gic.lock().unwrap();
        if on {
            gic.enabled.insert(intid);
        } else {
            gic.enabled.remove(&intid);
        }
    }

    fn route_interrupt(&self, intid: u32, cpu: usize) -> bool {
        let good = intid >= 32 && cpu < 8;
        if good {
            self.gic.lock().unwrap().routes.insert(intid, cpu);
        }
        good
    }

    fn move_interrupt(&self, intid: u32, from: usize, to: usize) {
        if let Some(cpu) = self.gic.lock().unwrap().routes.get_mut(&intid).filter(|cpu| **cpu == from) {
            *cpu = to;
        }
    }

    fn kick(&self, cpu: Option<usize>) {
        self.gic.lock().unwrap().kicks.push(cpu);
    }

    fn park(&self, context: &SimContext, regs: &Regs) {
        context.regs.lock().unwrap().x[8..].copy_from_slice(&regs.x[8..]);
    }

    fn unpark(&self, context: &SimContext, regs: &mut Regs) {
        regs.x[8..].copy_from_slice(&context.regs.lock().unwrap().x[8..]);
    }

    fn park_interrupted(&self, context: &SimContext, regs: &Regs) {
        *context.regs.lock().unwrap() = *regs;
    }

    fn unpark_interrupted(&self, context: &SimContext, regs: &mut Regs) {
        *regs = *context.regs.lock().unwrap();
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn read(&self, space: Space, pa: Pa, out: &mut [u8]) -> Result<(), MemFault> {
        self.check(space, pa, out.len() as u64)?;
        let memory = self.memory.lock().unwrap();
        let mut at = pa.0;
        let mut out = out;
        while !out.is_empty() {
            let offset = (at % PAGE_SIZE) as usize;
            let n = out.len().min(PAGE_SIZE as usize - offset);
            let (now, rest) = out.split_at_mut(n);
            match memory.get(&(is_ns(space), at / PAGE_SIZE)) {
                Some(page) => now.copy_from_slice(&page[offset..offset + n]),
                None => now.fill(0),
            }
            out = rest;
            at += n as u64;
        }
        Ok(())
    }

    fn write(&self, space: Space, pa: Pa, data: &[u8]) -> Result<(), MemFault> {
        self.check(space, pa, data.len() as u64)?;
        let mut memory = self.memory.lock().unwrap();
        let mut at = pa.0;
        let mut data = data;
        while !data.is_empty() {
            let offset = (at % PAGE_SIZE) as usize;
            let n = data.len().min(PAGE_SIZE as usize - offset);
            let page = memory.entry((is_ns(space), at / PAGE_SIZE)).or_insert_with(|| Box::new([0; 4096]));
            page[offset..offset + n].copy_from_slice(&data[..n]);
            data = &data[n..];
            at += n as u64;
        }
        Ok(())
    }

    fn zero(&self, space: Space, pa: Pa, len: u64) -> Result<(), MemFault> {
        assert!(pa.0.is_multiple_of(PAGE_SIZE) && len.is_multiple_of(PAGE_SIZE), "zeroing takes whole pages");
        self.check(space, pa, len)?;
        let mut memory = self.memory.lock().unwrap();
        for page in pa.0 / PAGE_SIZE..(pa.0 + len) / PAGE_SIZE {
            memory.remove(&(is_ns(space), page));
        }
        Ok(())
    }

    fn with_secure_bytes<R>(&self, pa: Pa, len: u64, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let mut bytes = std::vec![0; usize::try_from(len).ok()?];
        self.read(Space::Secure, pa, &mut bytes).ok()?;
        Some(f(&bytes))
    }

    fn own_memory(&self) -> (Pa, u64) {
        (Pa(0x0e10_0000), 0x20_0000)
    }

    fn donate_schedule_receiver(&self) {
        self.donated.store(1, Ordering::Relaxed);
    }

    fn raise_schedule_receiver(&self) {
        assert_eq!(self.donated.load(Ordering::Relaxed), 1, "raised before the Normal world could take it");
        self.raised.fetch_add(1, Ordering::Relaxed);
    }

    fn sha256(&self, bytes: &[u8]) -> [u8; 32] {
        use sha2::Digest;
        sha2::Sha256::digest(bytes).into()
    }

    fn sync_code(&self, _: Pa, _: u64) {}

    // The pool has as many pages as the test wants it to have.
    fn add_pages(&self, _: Pa, _: u64) -> bool {
        false
    }

    fn page_alloc(&self) -> Option<Pa> {
        let mut pool = self.pool.lock().unwrap();
        if pool.fail_after.is_some_and(|n| pool.asked >= n) {
            return None;
        }
        pool.asked += 1;
        let page = pool.spare.pop_first()?;
        drop(pool);
        self.page(page)?.iter().for_each(|w| w.store(0, Ordering::Relaxed));
        Some(Pa(page))
    }

    fn page_free(&self, page: Pa) {
        let words = self.page(page.0).unwrap_or_else(|| panic!("free of {page}, which is not allocated"));
        // Whoever still looks at it finds no sense in it.
        words.iter().for_each(|w| w.store(0xdead_dead_dead_dead, Ordering::Relaxed));
        self.pool.lock().unwrap().spare.insert(page.0);
        let tlb = self.tlb.lock().unwrap();
        let user = tlb.iter().find(|(_, _, t)| t.tables.contains(&page.0));
        assert!(user.is_none(), "table {page} freed while the TLB holds {user:?}");
    }

    // Memory of the host's, so that a page is only asked for: tests look for pages that leaked.
    fn keep<T>(&self, count: usize, mut make: impl FnMut() -> T) -> Option<&'static [T]> {
        self.page_free(self.page_alloc()?);
        Some(Vec::leak((0..count).map(|_| make()).collect()))
    }

    fn pages_free(&self) -> usize {
        self.pool.lock().unwrap().spare.len()
    }

    fn words(&self, page: Pa) -> Option<&[AtomicU64; 512]> {
        Some(self.page(page.0).unwrap_or_else(|| panic!("use of {page}, which is no pool page")))
    }

    fn tables_written(&self) {}

    fn tlb_invalidate(&self, roots: &Stage2Roots, space: Space, ipa: Ipa, pages: u64) {
        let end = ipa.0 + pages * PAGE_SIZE;
        self.tlb.lock().unwrap().retain(|(vmid, s, t)| {
            let hit = t.ipa < end && t.ipa + t.pages * PAGE_SIZE > ipa.0;
            !(*vmid == roots.vmid && *s == space && hit)
        });
    }

    fn tlb_invalidate_all(&self, roots: &Stage2Roots) {
        self.tlb.lock().unwrap().retain(|(vmid, _, _)| *vmid != roots.vmid);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.log.lock().unwrap().push(line.to_string());
    }

    fn console(&self, text: &[u8]) {
        self.console.lock().unwrap().extend_from_slice(text);
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn counter_hz(&self) -> u64 {
        62_500_000
    }
}
