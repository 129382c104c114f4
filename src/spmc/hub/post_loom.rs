// SPDX-License-Identifier: MIT OR Apache-2.0
//! The post office between CPUs, over every interleaving.

use ffa_abi::envelope::{Class, Envelope};
use loom::sync::Arc;
use loom::thread;

use super::Seat;
use super::breaker::{Limits, Strike};
use super::post::{Admitted, Bounds, Post};
use crate::sync::{AtomicU32, Mutex, Ordering};

const BOUNDS: Bounds = Bounds {
    attempts: 3,
    ack: 5,
    millisecond: 1,
    high: 80,
    low: 30,
    keys: 4,
    dead: 4,
    limits: Limits { strikes: [2; Strike::COUNT], storm: 9, cool_down: 9 },
    coordinator: Some(Seat(0)),
};

fn envelope(class: Class, key: u64, ticket: u64) -> Envelope {
    Envelope { class, hops: 0, redelivered: false, time_to_live: 100, task: 1, correlation: key, key, ticket }
}

fn send(post: &Mutex<Post>, from: Seat, to: Seat, key: u64) -> bool {
    let e = envelope(Class::Dispatch, key, 0);
    let mut post = post.lock();
    match post.admit(from, to, &e, 0, 1) {
        Ok(Admitted::Place(place)) => {
            post.commit(from, to, place, &e, 0, 1);
            true
        }
        Ok(Admitted::Duplicate) | Err(_) => false,
    }
}

/// A sender, a receiver that acks, and the receiver's death, each on its own CPU: every message that was accepted
/// is acked once, or still there, or dead; and the word of suspects that paths without the lock read is in the end
/// what the breakers say.
#[test]
fn loom_a_message_is_acked_or_waits_or_is_dead() {
    loom::model(|| {
        let mut post = Post::new(BOUNDS);
        post.make_room(&[Some((2, 64)), Some((2, 64))]).unwrap();
        let post = Arc::new(Mutex::new(post));
        let suspects = Arc::new(AtomicU32::new(0));
        let (a, b) = (Seat(0), Seat(1));
        let sender = {
            let post = post.clone();
            thread::spawn(move || u64::from(send(&post, a, b, 1)) + u64::from(send(&post, a, b, 2)))
        };
        let killer = {
            let (post, suspects) = (post.clone(), suspects.clone());
            thread::spawn(move || {
                let mut post = post.lock();
                post.died(b, 2);
                // With the lock held, as the shipped path does.
                suspects.store(post.cut(), Ordering::Relaxed);
            })
        };
        let mut acked = 0;
        let parcel = post.lock().hand_out(b, true, 3);
        if let Some(parcel) = parcel {
            let ack = envelope(Class::Ack, 0, parcel.envelope.ticket);
            acked += u64::from(post.lock().settle(b, a, &ack, 4).is_ok());
        }
        let accepted = sender.join().unwrap();
        killer.join().unwrap();
        let post = post.lock();
        let inbox = &post.spoke(b).unwrap().inbox;
        let (dead, _) = post.dead.counts();
        assert_eq!(accepted, acked + u64::from(inbox.queue.len()) + dead);
        assert_eq!((inbox.counts.accepted, inbox.counts.acked, inbox.counts.dead), (accepted, acked, dead));
        assert_eq!(suspects.load(Ordering::Relaxed), post.cut());
    });
}
