//! The reader of packets of a node that is a stranger: whole packets come out however the bytes are cut, and little is set
//! aside for what was only announced.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_net::gossip::{Bytes, PacketsByHand};

const LONGEST: usize = 70_000;

fuzz_target!(|input: (Vec<Vec<u8>>, u8)| {
    let (pieces, cut) = input;
    let bytes = pieces.concat();
    let (mut whole, mut kept) = (PacketsByHand::new(LONGEST), Vec::new());
    let whole_ok = whole.push(Bytes::from(bytes.clone()), |code, payload| kept.push((code, payload)));
    let (mut reader, mut came) = (PacketsByHand::new(LONGEST), Vec::new());
    let (mut ok, mut read) = (true, 0);
    for piece in bytes.chunks(usize::from(cut) + 1) {
        ok = reader.push(Bytes::copy_from_slice(piece), |code, payload| came.push((code, payload)));
        if !ok {
            break;
        }
        read += piece.len();
        assert!(reader.reserved() <= (2 * read).max(1_024), "no more than came");
    }
    assert_eq!((ok, &came), (whole_ok, &kept));
    assert!(came.iter().all(|(_, payload)| payload.len() <= LONGEST));
});
