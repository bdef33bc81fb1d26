//! The reader of frames on a stream: whole frames come out however the bytes are cut, and it keeps no more than one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_net::link::{FramesByHand, MAX_FRAME};

fuzz_target!(|input: (Vec<Vec<u8>>, u8)| {
    let (pieces, cut) = input;
    let (mut whole, mut kept) = (FramesByHand::default(), Vec::new());
    let bytes = pieces.concat();
    let whole_ok = whole.push(&bytes, |frame| kept.push(frame));
    let (mut reader, mut came) = (FramesByHand::default(), Vec::new());
    let mut ok = true;
    for piece in bytes.chunks(usize::from(cut) + 1) {
        ok = reader.push(piece, |frame| came.push(frame));
        if !ok {
            break;
        }
        assert!(reader.waiting() < 4 + MAX_FRAME);
    }
    assert_eq!((ok, &came), (whole_ok, &kept));
    assert!(came.iter().all(|frame| !frame.is_empty() && frame.len() <= MAX_FRAME));
});
