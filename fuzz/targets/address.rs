//! A friend's word about its addresses, from a link or a copy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_fuzz::people::NOW;
use subrosa_proto::friends::address::{LONGEST_LIFE, Network, offer, reachable, take};
use subrosa_proto::friends::frame::{Frame, MAX_ADDRESSES};
use subrosa_proto::friends::invite::check_hint;

fuzz_target!(|bytes: &[u8]| {
    let Some((&prefix, bytes)) = bytes.split_first() else { return };
    let Ok(Some(Frame::Addresses(said))) = Frame::decode(bytes) else { return };
    let Ok(taken) = take(&said, 0, true, NOW) else { return };
    assert!(taken.addresses.len() <= MAX_ADDRESSES && taken.until <= NOW.after(LONGEST_LIFE));
    for address in &taken.addresses {
        assert_eq!(check_hint(*address).ok(), Some(*address));
        let here = [Network { own: address.ip(), prefix }];
        assert!(reachable(*address, &here), "in its own network");
    }
    // What we take up we could say.
    assert_eq!(offer(1, &taken.addresses, NOW).addresses, taken.addresses);
});
