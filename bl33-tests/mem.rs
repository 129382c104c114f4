// SPDX-License-Identifier: MIT OR Apache-2.0
//! Normal-world memory for the cases: physical addresses, never Rust references.
//!
//! Pages from [`POOL`] on lie outside the image; an access that faults (a secure page, a hole) is an answer.

unsafe extern "C" {
    fn probe_read64(address: u64, out: *mut u64) -> u64;
    fn probe_write64(address: u64, value: u64) -> u64;
}

/// The size of an FF-A page.
pub const PAGE: u64 = 4096;
/// RAM that only cases use, to the end of the first GiB of RAM.
pub const POOL: u64 = 0x7000_0000;
/// The end of [`POOL`].
pub const POOL_END: u64 = 0x8000_0000;
/// The Normal world's RX buffer.
pub const RX: u64 = POOL;
/// The Normal world's TX buffer.
pub const TX: u64 = POOL + PAGE;
/// The first page of [`POOL`] that no buffer uses.
pub const FREE: u64 = POOL + 0x10_0000;

/// Pages that are no memory of the Normal world.
pub const NOT_NORMAL_MEMORY: [u64; 16] = [
    0x0000_0000, // flash
    0x0400_0000,
    0x0800_0000, // GIC distributor
    0x080a_0000, // GIC redistributor
    0x0900_0000, // UART0
    0x0904_0000, // UART1
    0x0e00_0000, // BL31
    0x0e10_0000, // the SPMC
    0x0e20_0000,
    0x0e30_0000,    // echo
    0x0e40_0000,    // relay
    0x0e50_0000,    // percpu
    0x0eff_f000,    // the end of Secure RAM
    0x0f00_0000,    // a hole
    0x3000_0000,    // PCI
    0x40_0000_0000, // beyond all RAM
];

/// Says that an access faulted; holds ESR_EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub u64);

fn outside_image(address: u64) -> bool {
    !(0x6000_0000..0x6020_0000).contains(&address)
}

/// Reads 8 bytes of physical memory; the address is rounded down to 8.
pub fn read(address: u64) -> Result<u64, Fault> {
    let mut value = 0;
    // SAFETY: reads memory that Rust does not know, or a fault that the vectors turn into a result.
    match unsafe { probe_read64(address & !7, &mut value) } {
        0 => Ok(value),
        esr => Err(Fault(esr)),
    }
}

/// Writes 8 bytes of physical memory outside the image; the address is rounded down to 8.
pub fn write(address: u64, value: u64) -> Result<(), Fault> {
    if !outside_image(address) {
        return Err(Fault(0));
    }
    // SAFETY: the image's own memory was excluded; a fault becomes a result.
    match unsafe { probe_write64(address & !7, value) } {
        0 => Ok(()),
        esr => Err(Fault(esr)),
    }
}

/// Reads memory of the pool; a fault there reads as all ones.
pub fn get(address: u64) -> u64 {
    read(address).unwrap_or(u64::MAX)
}

/// Reads a 32-bit word of the pool.
pub fn get32(address: u64) -> u32 {
    (get(address) >> ((address & 4) * 8)) as u32
}

/// Reads a byte of the pool.
pub fn get8(address: u64) -> u8 {
    (get(address) >> ((address & 7) * 8)) as u8
}

/// Writes memory of the pool; a fault there is seen by whoever reads it back.
pub fn put(address: u64, value: u64) {
    let _ = write(address, value);
}

/// Fills `pages` pages with one 64-bit value.
pub fn fill(address: u64, pages: u64, value: u64) {
    for offset in (0..pages * PAGE).step_by(8) {
        put(address + offset, value);
    }
}

/// Copies bytes to the pool; `address` is a multiple of 8, the last word is padded with zeros.
pub fn put_bytes(address: u64, bytes: &[u8]) {
    for (i, chunk) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        for (w, b) in word.iter_mut().zip(chunk) {
            *w = *b;
        }
        put(address + 8 * i as u64, u64::from_le_bytes(word));
    }
}

/// Tells whether a register of `size` bytes of a device (below the RAM) can be at an address.
fn is_register(address: u64, size: u64) -> bool {
    (0x0800_0000..0x4000_0000).contains(&address) && address.is_multiple_of(size)
}

/// Writes a 32-bit register of a device; nothing where that is no device's address.
pub fn write_device(address: u64, value: u32) {
    if is_register(address, 4) {
        // SAFETY: the platform has only devices there: no memory of the program.
        unsafe { core::ptr::write_volatile(address as *mut u32, value) };
    }
}

/// Does what [`write_device`] does with a 16-bit register.
pub fn write_device16(address: u64, value: u16) {
    if is_register(address, 2) {
        // SAFETY: as in `write_device`.
        unsafe { core::ptr::write_volatile(address as *mut u16, value) };
    }
}

/// Reads a 32-bit register of a device; all ones where that is no device's address.
pub fn read_device(address: u64) -> u32 {
    if !is_register(address, 4) {
        return u32::MAX;
    }
    // SAFETY: as in `write_device`.
    unsafe { core::ptr::read_volatile(address as *const u32) }
}
