//! What a friend puts into an envelope copy: inside Noise, and around it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_fuzz::people::{them, us};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::plaintext::Padding;
use subrosa_proto::envelope::seal::{Letter, To};
use subrosa_proto::friends::copy::{self, MAX_FRAMES, MOST_FRAMES, Route};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::onetime::{FriendKey, KeyKind, OwnKey};
use subrosa_proto::friends::pair::PairSecret;
use subrosa_proto::friends::topics::{Day, day_keys};
use subrosa_proto::time::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let Some((&form, bytes)) = bytes.split_first() else { return };
    let (me, friend) = (us(), them());
    let pair = PairSecret::from_bytes(&[3; 32]).expect("32 bytes");
    let secret = Secret32::new([5; 32]);
    let own = OwnKey { number: 2, secret, kind: KeyKind::OneTime, created: Timestamp::ZERO, dies: None };
    let keys = day_keys(pair.as_bytes(), &friend.id(), &me.id(), Day(20_000));
    let senders = [friend.own.key.public()];
    if form & 1 == 0 {
        let Ok(said) = copy::read(bytes) else { return };
        assert!(said.frames.len() <= MOST_FRAMES && said.size() <= MAX_FRAMES);
        for frame in &said.frames {
            let _ = Frame::decode(frame);
        }
        // What can be read can be sealed, and comes back.
        let key = FriendKey { number: 2, public: own.public(), kind: KeyKind::OneTime };
        let (from, to) = (friend.id(), me.id());
        let device = &friend.own.key;
        let route = Route { pair: &pair, from: &from, to: &to, device, key: &key, day: Day(20_000) };
        let sealed = copy::seal(&route, &said, &mut SeededEntropy::new(1)).expect("as it was read");
        let peeked = copy::peek(&keys, &sealed.data).expect("our own");
        assert_eq!(peeked.open(&pair, &from, &to, &own, &senders).expect("our own"), said);
        return;
    }
    let to = To::Symmetric(&keys.key);
    let letter = Letter { to, payload: bytes, padding: Padding::Given(&[]), signer: None };
    let Ok(data) = letter.seal(&mut SeededEntropy::new(1)) else { return };
    let Ok(peeked) = copy::peek(&keys, &data) else { return };
    let own = OwnKey { number: peeked.number(), ..own };
    assert!(peeked.open(&pair, &friend.id(), &me.id(), &own, &senders).is_err(), "nobody sealed it");
});
