// SPDX-License-Identifier: MIT OR Apache-2.0
//! `FFA_MEM_PERM_GET` and `FFA_MEM_PERM_SET` (DEN0077A v1.1, sections 16.11 and 16.12): a partition looks at and
//! changes the permissions of its own pages while it initialises.

use ffa_abi::{Func, Regs};

use super::Caller;
use crate::partition::Entered;
use crate::refusal::Refusal;
use crate::stage2::{Access, Change, Check, check_range};
use crate::{Ipa, Port, Space, Spmc};

/// Bits 1:0: data access; 0 none, 1 read and write, 3 read. Bit 2: no instruction access.
const READ_WRITE: u32 = 1;
const READ_ONLY: u32 = 3;
const EXECUTE_NEVER: u32 = 1 << 2;

fn decode(bits: u32) -> Result<Access, Refusal> {
    let data = match bits & !EXECUTE_NEVER {
        READ_WRITE => Access::READ_WRITE,
        READ_ONLY => Access::READ,
        // No access at all is not for a page that stays mapped; 2 and bits 31:3 are reserved.
        _ => return Err(Refusal::MemPermissions),
    };
    let execute = bits & EXECUTE_NEVER == 0;
    if execute && data == Access::READ_WRITE {
        return Err(Refusal::MemPermissions);
    }
    Ok(if execute { data | Access::EXECUTE } else { data })
}

fn encode(access: Access) -> u32 {
    let data = if access.contains(Access::WRITE) { READ_WRITE } else { READ_ONLY };
    let never = if access.contains(Access::EXECUTE) { 0 } else { EXECUTE_NEVER };
    if access.contains(Access::READ) { data | never } else { never }
}

fn address(wide: bool, word: u64) -> Result<Ipa, Refusal> {
    let at = Ipa(if wide { word } else { u64::from(word as u32) });
    if at.is_page_aligned() { Ok(at) } else { Err(Refusal::MemRange) }
}

impl<P: Port> Spmc<P> {
    /// Tells the permissions of a page.
    pub(super) fn perm_get(&self, caller: Caller<'_, P>, wide: bool, regs: &mut Regs) -> Result<(), Refusal> {
        let [_, at, ..] = regs.x;
        let Caller::Partition(partition) = caller else { return Err(Refusal::UnknownCall) };
        let at = address(wide, at)?;
        let entry = partition.stage2.lock().query(self.port, Space::Secure, at);
        Check::Own.apply(entry, at)?;
        let bits = encode(entry.access());
        regs.set8([Func::Success.id32().into(), 0, bits.into(), 0, 0, 0, 0, 0]);
        Ok(())
    }

    /// Changes the permissions of pages, all or none. Never both write and execute.
    pub(super) fn perm_set(
        &self,
        caller: Caller<'_, P>,
        wide: bool,
        entered: Entered,
        regs: &Regs,
    ) -> Result<(), Refusal> {
        let [_, at, pages, bits, ..] = regs.x;
        let Caller::Partition(partition) = caller else { return Err(Refusal::UnknownCall) };
        if entered != Entered::Init {
            return Err(Refusal::TooLate);
        }
        let (at, pages) = (address(wide, at)?, u64::from(pages as u32));
        check_range(at, pages).map_err(|_| Refusal::MemRange)?;
        let access = decode(bits as u32)?;
        let mut stage2 = partition.stage2.lock();
        let mut walk = stage2.walk(self.port, Space::Secure);
        walk.change_one(at, pages, Check::Own, &Change::Access(access))
    }
}
