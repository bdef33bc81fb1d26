//! What is sealed in a store, once it is opened: records of other versions, or of whoever has the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_store::by_hand::{KINDS, reread};

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let kind = kind % KINDS;
    let Ok(written) = reread(kind, bytes) else { return };
    let again = reread(kind, &written).expect("our own bytes");
    assert_eq!(again, written);
});
