//! What friends say on a link: what is read says the same when it is written, and never takes more room than it came in
//! but for addresses, which have several ways to be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_proto::friends::frame::{Frame, MAX_ADDRESSES, MAX_RECEIPT_LANES, MAX_RECEIPT_RANGES};

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(frame)) = Frame::decode(bytes) else { return };
    let written = frame.encode();
    assert_eq!(Frame::decode(&written).expect("our own bytes").as_ref(), Some(&frame));
    match &frame {
        Frame::Receipt(receipt) => {
            assert!(receipt.lanes.len() <= MAX_RECEIPT_LANES);
            assert!(receipt.lanes.iter().all(|lane| lane.held.len() <= MAX_RECEIPT_RANGES));
        }
        Frame::Addresses(addresses) => assert!(addresses.addresses.len() <= MAX_ADDRESSES),
        _ => assert!(written.len() <= bytes.len()),
    }
});
