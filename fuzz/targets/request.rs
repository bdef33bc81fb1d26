//! What strangers put into an envelope on our contact topic, with a proper tag or without.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use subrosa_fuzz::people::{NOW, them, us};
use subrosa_proto::crypto::{Secret32, derive, mac};
use subrosa_proto::entropy::{OsEntropy, SeededEntropy};
use subrosa_proto::envelope::plaintext::Padding;
use subrosa_proto::envelope::seal::{Letter, To};
use subrosa_proto::friends::invite::InviteSecret;
use subrosa_proto::friends::request::{
    Claim, PADDED, Policy, Requests, Saved, Standing, open_request, seal_request,
};

const PURPOSE: &[u8] = b"subrosa request 1";

fuzz_target!(|bytes: &[u8]| {
    let Some((&form, bytes)) = bytes.split_first() else { return };
    let (me, stranger) = (us(), them());
    let payload = match form % 3 {
        // The payload as it is.
        0 => bytes.to_vec(),
        // A record in its frame.
        1 => framed(bytes),
        // An offer with the stranger's own proof of it.
        _ => {
            let mut record = vec![0xa2, 0, 0x59];
            record.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            record.extend_from_slice(bytes);
            record.extend_from_slice(&[1, 0x58, 32]);
            record.extend_from_slice(&mac(tag_key().as_bytes(), &[PURPOSE, bytes]));
            framed(&record)
        }
    };
    let to = To::Person(&me.id());
    let letter = Letter { to, payload: &payload, padding: Padding::Given(&[]), signer: None };
    let Ok(data) = letter.seal(&mut SeededEntropy::new(1)) else { return };
    let secret = InviteSecret::from_slice(&[7; 16]).expect("16 bytes");
    let Ok(request) = open_request(&me.identity, &data, |_| Some(secret.clone())) else { return };
    let offer = &request.offer;
    assert!(offer.to == me.id() && offer.from == offer.certificate.person());
    assert_eq!(offer.from, stranger.id(), "nobody else's key is known to the fuzzer");
    assert_eq!(request.claim, Claim::None, "nor the secret of the invite");
    if offer.from == stranger.id() {
        // What can be read can be said.
        let again = seal_request(&stranger.identity, offer, None, &mut OsEntropy).expect("as it was read");
        assert_eq!(open_request(&me.identity, &again.data, |_| None).expect("our own").offer, *offer);
    }
    let mut requests = Requests::load(me.id(), Saved::default());
    let mut changes = Vec::new();
    for policy in [Policy::Drop, Policy::InvitesOnly, Policy::Show] {
        let standing = Standing { policy, ..Standing::default() };
        requests.incoming(&request, &standing, NOW, &mut changes);
    }
    assert!(changes.len() <= 1, "remembered once");
});

fn tag_key() -> &'static Secret32 {
    static KEY: OnceLock<Secret32> = OnceLock::new();
    KEY.get_or_init(|| {
        let people = [them().id(), us().id()];
        let shared = them().identity.agree(&people[1]).expect("two keys");
        derive(shared.as_bytes(), "request tag", &[people[0].as_bytes(), people[1].as_bytes()])
    })
}

fn framed(record: &[u8]) -> Vec<u8> {
    let mut payload = PURPOSE.to_vec();
    payload.extend_from_slice(&(record.len() as u16).to_be_bytes());
    payload.extend_from_slice(record);
    payload.resize(PURPOSE.len() + PADDED, 0);
    payload
}
