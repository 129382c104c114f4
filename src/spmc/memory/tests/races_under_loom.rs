// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two CPUs in calls about one transaction, in every interleaving that loom can make of them.

use alloc::sync::Arc;

use super::*;

/// Plays `left` and `right` at the same time on fresh worlds that `prepare` made; `check` looks at the outcome.
fn race<T: 'static, L: 'static, R: 'static>(
    prepare: fn(&World) -> T,
    left: fn(&World, &T) -> L,
    right: fn(&World, &T) -> R,
    check: fn(&World, &T, L, R),
) where
    T: Send + Sync,
    L: Send,
{
    let m = SimMachine::leaked(64);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    let play = move || {
        let free = m.pages_free();
        let w = World::new(m, 2);
        let t = prepare(&w);
        let shared = Arc::new((w, t));
        let other = Arc::clone(&shared);
        let thread = on_a_stack(move || left(&other.0, &other.1));
        let right = right(&shared.0, &shared.1);
        let left = thread.join().unwrap();
        let Ok((w, t)) = Arc::try_unwrap(shared) else { panic!("the thread is over") };
        check(&w, &t, left, right);
        w.destroy();
        assert_eq!(m.pages_free(), free, "pages leaked");
    };
    model.check(move || on_a_stack(play).join().unwrap());
}

/// Spawns a thread whose stack has room for what the calls keep on it; loom's own has not.
fn on_a_stack<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> loom::thread::JoinHandle<T> {
    loom::thread::Builder::new().stack_size(1 << 17).spawn(f).unwrap()
}

fn shared(w: &World) -> Handle {
    w.send(0, &Sending::new(Kind::Share, &[1], &[(NW, 1)])).unwrap()
}

fn retrieved(w: &World) -> Handle {
    let h = shared(w);
    w.retrieve(1, h, 0, Kind::Share).unwrap();
    h
}

#[test]
fn reclaim_against_retrieve() {
    race(
        shared,
        |w, h| w.reclaim(0, *h, 0),
        |w, h| w.retrieve(1, *h, 0, Kind::Share),
        |w, h, reclaim, retrieve| {
            match (reclaim, retrieve) {
                (Ok(()), Err(Error::InvalidParameters)) => {}
                (Err(Error::Denied), Ok(_)) => {
                    assert!(w.access(1, NW).is_some());
                    w.relinquish(1, *h, 0).unwrap();
                    w.reclaim(0, *h, 0).unwrap();
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(w.access(1, NW), None);
        },
    );
}

#[test]
fn two_borrowers_retrieve() {
    fn get(w: &World, who: usize, h: Handle) -> Result<Retrieved, Error> {
        let rw = perms(Data::ReadWrite);
        w.retrieve_bytes(who, &w.request(who, h, 0, &[(IDS[1], rw), (IDS[2], rw)], 0, 7))
    }
    race(
        |w| w.send(0, &Sending::new(Kind::Lend, &[1, 2], &[(NW, 1)])).unwrap(),
        |w, h| get(w, 1, *h),
        |w, h| get(w, 2, *h),
        |w, h, left, right| {
            assert!(left.is_ok() && right.is_ok(), "{left:?} {right:?}");
            assert_eq!(w.reclaim(0, *h, 0), Err(Error::Denied));
            for who in [1, 2] {
                assert!(w.access(who, NW).is_some());
                w.relinquish(who, *h, 0).unwrap();
            }
            w.reclaim(0, *h, 0).unwrap();
        },
    );
}

#[test]
fn relinquish_against_reclaim() {
    race(
        retrieved,
        |w, h| w.relinquish(1, *h, 0),
        |w, h| w.reclaim(0, *h, 0),
        |w, h, relinquish, reclaim| {
            assert_eq!(relinquish, Ok(()));
            match reclaim {
                Ok(()) => {}
                Err(Error::Denied) => w.reclaim(0, *h, 0).unwrap(),
                other => panic!("{other:?}"),
            }
            assert_eq!(w.access(1, NW), None);
        },
    );
}

#[test]
fn two_calls_relinquish_once() {
    race(
        retrieved,
        |w, h| w.relinquish(1, *h, 0),
        |w, h| w.relinquish(1, *h, 0),
        |w, h, left, right| {
            assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
            w.reclaim(0, *h, 0).unwrap();
        },
    );
}

#[test]
fn two_reclaims_free_once() {
    race(
        shared,
        |w, h| w.reclaim(0, *h, 0),
        |w, h| w.reclaim(0, *h, 0),
        |w, _, left, right| {
            assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
            // Both places are free, and only once each.
            let one = shared(w);
            let two = shared(w);
            assert_ne!(one.0 & 0xffff, two.0 & 0xffff);
            assert_eq!(w.send(0, &Sending::new(Kind::Share, &[1], &[(NW, 1)])), Err(Error::NoMemory));
            w.reclaim(0, one, 0).unwrap();
            w.reclaim(0, two, 0).unwrap();
        },
    );
}

#[test]
fn the_same_page_is_lent_once() {
    fn lend(w: &World) -> Result<Handle, Error> {
        w.send(0, &Sending::new(Kind::Lend, &[1], &[(NW, 1)]))
    }
    race(
        |_| (),
        |w, _| lend(w),
        |w, _| lend(w),
        |w, _, left, right| {
            let h = match (left, right) {
                (Ok(h), Err(Error::Denied)) | (Err(Error::Denied), Ok(h)) => h,
                other => panic!("{other:?}"),
            };
            w.reclaim(0, h, 0).unwrap();
        },
    );
}

#[test]
fn a_borrower_dies_while_the_owner_reclaims() {
    race(
        retrieved,
        |w, _| w.spmc.release_memory(w.partition(1)),
        |w, h| w.reclaim(0, *h, 0),
        |w, h, (), reclaim| {
            if reclaim == Err(Error::Denied) {
                w.reclaim(0, *h, 0).unwrap();
            }
            assert_eq!(w.access(1, NW), None);
        },
    );
}

#[test]
fn an_owner_dies_while_a_borrower_relinquishes() {
    race(
        |w| {
            let h = w.send(1, &Sending::new(Kind::Lend, &[2], &[(base(1), 1)])).unwrap();
            w.retrieve(2, h, 1, Kind::Lend).unwrap();
            h
        },
        |w, _| w.spmc.release_memory(w.partition(1)),
        |w, h| w.relinquish(2, *h, 0),
        |w, h, (), relinquish| {
            assert_eq!(relinquish, Ok(()));
            assert_eq!(w.access(1, base(1)), Some((true, true, true)));
            assert_eq!(w.reclaim(1, *h, 0), Err(Error::InvalidParameters));
        },
    );
}
