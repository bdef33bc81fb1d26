//! What somebody says of itself at the end of a knock.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_proto::friends::hello::Hello;

fuzz_target!(|bytes: &[u8]| {
    let Ok(hello) = Hello::decode(bytes) else { return };
    let written = hello.encode().expect("what was read can be said");
    assert!(Hello::decode(&written).expect("our own bytes").encode().expect("again") == written);
});
