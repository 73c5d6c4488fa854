//! Bodies that are made to cost much: what providers read of them stays within bounds of memory and of
//! work. Memory is counted by an allocator that the tests of this library share, for each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use jiff::Timestamp;

use crate::caller::wire::{Answer, Provider};

/// Bytes of a body: less than is taken of an answer, so that the tests are quick.
const BODY: usize = 1 << 19;

/// What may be held beside a few copies of the body: the most rows that are read, and their points.
const ROWS: usize = 5 << 20;

/// The most allocations: some for each row that is read.
const ALLOCATIONS: usize = 200_000;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Copy, Default)]
struct Counts {
    held: usize,
    most: usize,
    allocations: usize,
}

thread_local! {
    static COUNTS: Cell<Counts> = const {
        Cell::new(Counts { held: 0, most: 0, allocations: 0 })
    };
}

fn count(held: impl FnOnce(usize) -> usize, allocations: usize) {
    // A thread that ends frees after its counts are gone.
    let _ = COUNTS.try_with(|cell| {
        let counts = cell.get();
        let held = held(counts.held);
        cell.set(Counts {
            held,
            most: counts.most.max(held),
            allocations: counts.allocations + allocations,
        });
    });
}

// SAFETY: the system's allocator does the work; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|held| held.saturating_add(layout.size()), 1);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // What another thread allocated may be freed here.
        count(|held| held.saturating_sub(layout.size()), 0);
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What `work` held at most beside what was there before, and how often it allocated.
fn cost(work: impl FnOnce()) -> (usize, usize) {
    let before = COUNTS.get();
    COUNTS.set(Counts {
        most: before.held,
        ..before
    });
    work();
    let after = COUNTS.get();
    let most = after.most - before.held;
    COUNTS.set(Counts {
        most: before.most.max(after.most),
        ..after
    });
    (most, after.allocations - before.allocations)
}

/// Values that are deep, many, long or none.
fn values() -> Vec<(&'static str, String)> {
    let filled = |part: &str| part.repeat(BODY / part.len());
    let names = |count: usize| -> String {
        let names = (0..count).map(|number| format!("\"{number:x}\":{{}},"));
        names.collect()
    };
    vec![
        ("lists in lists", filled("[")),
        ("objects in objects", filled("{\"a\":")),
        ("numbers", format!("[{}0]", filled("0,"))),
        ("lists", format!("[{}0]", filled("[],"))),
        ("objects", format!("[{}{{}}]", filled("{},"))),
        ("texts", format!("[{}\"\"]", filled("\"\","))),
        ("an exponent", "1e999999".to_owned()),
        ("digits", filled("7")),
        ("a text", format!("\"{}\"", filled("x"))),
        ("a text in a list", format!("[\"{}\"]", filled("\\u00fc"))),
        ("one name", format!("{{{}\"a\":0}}", filled("\"a\":0,"))),
        ("many names", format!("{{{}\"x\":{{}}}}", names(BODY / 12))),
        ("no text", "\u{fffd}".repeat(BODY / 3)),
    ]
}

/// Fails if a provider holds or does much more for a body than its size and the bound of rows warrant:
/// alone, and with `…` in the frames replaced by it, for all that is asked.
pub(super) fn assert_bounded(provider: &dyn Provider, place: &str, at: Timestamp, frames: &[&str]) {
    let asks = provider.asks(place, at);
    for (what, value) in values() {
        for frame in ["…"].iter().chain(frames) {
            let body = frame.replace('…', &value);
            for status in [200, 400] {
                let answer = Answer {
                    status,
                    content_type: None,
                    retry_after: None,
                    body: body.as_bytes(),
                    at,
                };
                let (held, allocations) = cost(|| {
                    for ask in &asks {
                        drop(provider.read(ask, place, &answer));
                    }
                    drop(provider.read_plan(place, &answer));
                });
                let told = format!("{what} in {frame} with {status}");
                assert!(held < 4 * BODY + ROWS, "{told}: {held} bytes");
                assert!(
                    allocations < ALLOCATIONS,
                    "{told}: {allocations} allocations"
                );
            }
        }
    }
}
