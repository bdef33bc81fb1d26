//! Every packet of gossip nodes, from a node of ours or from another one: code, then its RLP. What is understood is said
//! again and understood the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::whisper::packet::{self, Packet};
use subrosa_proto::whisper::status::Status;

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (code, own, payload) = input;
    let read = |code, payload: &[u8]| match Packet::decode(code, payload, own) {
        Ok(Packet::Messages(_) | Packet::PeerMessage(_) | Packet::PeerRequest(_)) | Err(_) => None,
        Ok(Packet::Status(Ok(status))) => {
            let written = if own { status.encode_own() } else { status.encode() };
            let again = Status::decode(&written, own).expect("our own bytes");
            assert_eq!(again, status);
            None
        }
        Ok(Packet::Work(Some(work))) => Some((packet::WORK, packet::work(work))),
        Ok(Packet::Bloom(Some(bloom))) => Some((packet::BLOOM, packet::bloom(&bloom))),
        Ok(Packet::Interest(topics)) => Some((packet::INTEREST, packet::interest(topics.as_ref()))),
        Ok(_) => None,
    };
    for code in [code, packet::STATUS, packet::MESSAGES, packet::WORK, packet::BLOOM, packet::INTEREST] {
        if let Some((code, written)) = read(code, payload) {
            assert_eq!(read(code, &written), Some((code, written)));
        }
    }
    for code in [packet::MESSAGES, packet::PEER_MESSAGE] {
        let Ok(Packet::Messages(bundle) | Packet::PeerMessage(bundle)) = Packet::decode(code, payload, own)
        else {
            continue;
        };
        let good: Vec<&[u8]> =
            bundle.map_while(Result::ok).filter(|raw| Envelope::decode(raw).is_ok()).collect();
        let written = packet::messages(good.iter().copied());
        let Ok(Packet::Messages(again)) = Packet::decode(packet::MESSAGES, &written, own) else {
            panic!("our own bundle");
        };
        assert!(again.map(|raw| raw.expect("an envelope")).eq(good));
    }
});
