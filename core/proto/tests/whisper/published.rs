//! Constants that other implementations publish in their tests. Their tests are not ours; their numbers are facts.

use crate::case::{hex, unhex};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::hash::keccak256;
use subrosa_proto::envelope::plaintext::{self, Opened, Padding};
use subrosa_proto::envelope::work::{Search, Step};
use subrosa_proto::envelope::{Draft, Envelope, Refusal, Topic, ecies, password, symmetric};
use subrosa_proto::identity::{Identity, PersonId};

/// Leading zero bits of a hash of work.
fn zeros(hash: &str) -> u32 {
    let digits = hash.chars().take_while(|digit| *digit == '0').count();
    let next = u32::from_str_radix(&hash[digits..=digits], 16).unwrap();
    u32::try_from(digits).unwrap() * 4 + next.leading_zeros() - 28
}

/// An envelope that expires in 1970, as in go-ethereum's and nim-eth's tests: `[0, 1, 00000000, deadbeef, nonce]`.
#[test]
fn work_of_go_ethereum_and_nim() {
    for (nonce, rlp, id, work_hash, work) in [
        (
            276u64,
            "cf8001840000000084deadbeef820114",
            "300e63ed3c7a65d646006bd8f92ed35851ac71038f39912186f66bcb8003413f",
            "00e2374c6353c243e4073e209a7f2acb2506522af318b3b78cf9a88310a2a11c",
            19.692_307_692_307_693,
        ),
        (
            100_000,
            "d08001840000000084deadbeef830186a0",
            "660f65a268e219b51aa55347adab435ffa14835a64d247a72bc2ef88cae6dc58",
            "a788e02a95bfc673709e97ca81e39ca903bad5638d3388964c51eb64952172d6",
            0.076_923_076_923_076_93,
        ),
    ] {
        let envelope = Envelope::decode(&unhex(rlp)).unwrap();
        assert_eq!((envelope.expiry, envelope.ttl, envelope.nonce), (0, 1, nonce));
        assert_eq!(envelope.hash().to_string(), id);
        let short = [unhex("cc8001840000000084deadbeef"), nonce.to_be_bytes().to_vec()].concat();
        assert_eq!(hex(&keccak256(&short)), work_hash);
        assert_eq!(envelope.leading_zeros(), zeros(work_hash));
        // Its TTL is greater than its expiry, so it is worth nothing to us; the numbers are those of the formula.
        assert_eq!(envelope.pow(), 0.0);
        assert_eq!(f64::from(envelope.leading_zeros()).exp2() / 13.0, work);
    }
}

/// nim-eth's three envelopes of 256 bytes, expiring at 100 000.
#[test]
fn envelopes_of_nim() {
    let draft = Draft::new(99_970, 30, Topic([0; 4]), &[9; 256]).unwrap();
    let all = [1_010_101, 1_010_102, 1_010_103].map(|nonce| draft.with_nonce(nonce));
    assert_eq!(all.clone().map(|envelope| envelope.leading_zeros()), [0, 1, 2]);
    assert_eq!(all[0].raw().len(), 276);
    assert_eq!(all[0].hash().to_string(), "8aa530cd0338af856377c1ea9434c18df3562217f3f468a87eb077db2af259cf");
    assert_eq!(all[0].pow(), 1.0 / 272.0 / 30.0);
    assert_eq!(all[2].pow(), 4.0 / 272.0 / 30.0);
}

#[test]
fn keys_from_passwords() {
    for (password, key) in [
        ("test", "a82a520aff70f7a989098376e48ec128f25f767085e84d7fb995a9815eebff0a"),
        ("status-offline-inbox", "765df27c0765526f920ba742ff4b9452bb0064e016435ffccd81186aa6feaae8"),
    ] {
        assert_eq!(hex(password::key(password.as_bytes()).as_bytes()), key);
    }
}

/// cpp-ethereum's, which pydevp2p and nim-eth have too: an agreement, and ciphertexts of one letter.
#[test]
fn ecies_of_cpp_ethereum() {
    let identity = |text: &str| Identity::from_secret(&unhex(text)).unwrap();
    let own = identity("332143e9629eedff7d142d741f896258f5a1bfab54dab2121d3ec5000093d74b");
    let other = "04f0d2b97981bd0d415a843b5dfe8ab77a30300daab3658c578f2340308a2da1a07f0821367332598b6aa4e180a41e92f4ebbae3518da847f0b1c0bbfe20bcf4e1";
    let agreed = own.agree(&PersonId::from_uncompressed(&unhex(other)).unwrap()).unwrap();
    assert_eq!(hex(agreed.as_bytes()), "ee1418607c2fcfb57fda40380e885a707f49000a5dda056d828b7d9bd1f29a08");
    for (key, cipher) in [
        (
            "57baf2c62005ddec64c357d96183ebc90bf9100583280e848aa31d683cad73cb",
            "04ff2c874d0a47917c84eea0b2a4141ca95233720b5c70f81a8415bae1dc7b746b61df7558811c1d6054333907333ef9bb0cc2fbf8b34abb9730d14e0140f4553f4b15d705120af46cf653a1dc5b95b312cf8444714f95a4f7a0425b67fc064d18f4d0a528761565ca02d97faffdac23de10",
        ),
        (
            "472413e97f1fd58d84e28a559479e6b6902d2e8a0cee672ef38a3a35d263886b",
            "046f647e1bd8a5cd1446d31513bac233e18bdc28ec0e59d46de453137a72599533f1e97c98154343420d5f16e171e5107999a7c7f1a6e26f57bcb0d2280655d08fb148d36f1d4b28642d3bb4a136f0e33e3dd2e3cffe4b45a03fb7c5b5ea5e65617250fdc89e1a315563c20504b9d3a72555",
        ),
    ] {
        let (key, mut data) = (identity(key), unhex(cipher));
        assert_eq!(ecies::open(&key, &[], &data).unwrap().as_slice(), b"a");
        assert_eq!(ecies::open(&key, &[1], &data).unwrap_err(), Refusal::WrongKey, "shared information");
        data[70] ^= 1;
        assert_eq!(ecies::open(&key, &[], &data).unwrap_err(), Refusal::WrongKey);
    }
}

/// Lengths of padding in go-ethereum's and nim-eth's tests.
#[test]
fn lengths_of_padding() {
    let signer = Identity::from_secret(&[1; 32]).unwrap();
    let mut entropy = SeededEntropy::new(1);
    for (payload, signer, padding) in [
        (3usize, None, 251),
        (3, Some(&signer), 186),
        (254, None, 256),
        (253, None, 1),
        (246, Some(&signer), 199),
    ] {
        let plain = plaintext::write(&vec![5; payload], Padding::Random, signer, &mut entropy).unwrap();
        assert_eq!(plain.len() % 256, 0);
        let opened = Opened::read(plain).unwrap();
        assert_eq!((opened.padding().len(), opened.signer()), (padding, signer.map(Identity::person)));
    }
}

/// A length of three bytes, where go-ethereum's vectors are too large to carry about.
#[test]
fn a_length_of_three_bytes() {
    let key = Secret32::new([3; 32]);
    let mut entropy = SeededEntropy::new(1);
    let payload = vec![0x11; 0x01_0203];
    let plain = plaintext::write(&payload, Padding::Given(&[]), None, &mut entropy).unwrap();
    assert_eq!(plain[..4], [3, 3, 2, 1]);
    let data = symmetric::seal(&key, &plain, &mut entropy).unwrap();
    let draft = Draft::new(1_600_000_000, 50, Topic([1; 4]), &data).unwrap();
    let Step::Found(envelope) = Search::new(draft, 0.0).unwrap().step(1) else { panic!("no work was asked") };
    assert_eq!(envelope.raw()[0], 0xfa);
    let again = Envelope::decode(envelope.raw()).unwrap();
    let opened = Opened::read(symmetric::open(&key, again.data()).unwrap()).unwrap();
    assert_eq!(opened.payload(), payload);
}
