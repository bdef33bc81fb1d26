//! What a pooled envelope costs beside its own bytes, counted by the allocator: at most half of what go-ethereum needs
//! (390 bytes, and 67 for each peer).
#![allow(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use subrosa_proto::envelope::{Draft, Topic};
use subrosa_proto::whisper::pool::{Bounds, Offered, Pool};

static BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is handed to the system's allocator as it came; only sizes are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn an_envelope_costs_little_beside_its_bytes() {
    const ENVELOPES: u32 = 50_000;
    let bounds = Bounds {
        bytes: 1 << 30,
        envelopes: 100_000,
        own_bytes: 0,
        own_envelopes: 0,
        remembered: 1_000,
        peers: 64,
    };
    let mut pool = Pool::new(bounds, 3);
    let before = BYTES.load(Ordering::Relaxed);
    let mut left = Vec::new();
    for n in 0..ENVELOPES {
        let sent = 1_700_000_000 + n / 100;
        let draft = Draft::new(sent, 50 + n % 1_000, Topic(n.to_be_bytes()), &n.to_be_bytes()).unwrap();
        let envelope = draft.with_nonce(0);
        let pow = envelope.pow();
        let Offered::Kept(id) = pool.offer(envelope, pow, false, &mut left) else { continue };
        pool.release(id);
        pool.mark(id, 7);
    }
    let count = pool.len();
    assert_eq!(count, 50_000);
    let content = usize::try_from(pool.bytes()).unwrap();
    let each = (BYTES.load(Ordering::Relaxed) - before - content) as f64 / count as f64;
    println!("{each:.0} bytes for each of {count} envelopes beside their own");
    // Eight of them are the marks of 64 peers, where go-ethereum needs 67 for each.
    assert!(each <= 195.0, "{each:.0} bytes");
}
