//! The codec of records, with fields of every shape that ours have: what is read says the same when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use subrosa_proto::wire::{self, Bytes, Record};

#[derive(Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct Shapes {
    #[n(0)]
    number: u64,
    #[n(1)]
    small: Option<u16>,
    #[n(2)]
    fixed: Option<ByteArray<16>>,
    #[n(3)]
    bytes: Option<Bytes>,
    #[n(4)]
    text: Option<String>,
    #[n(5)]
    list: Option<Vec<Item>>,
    #[n(6)]
    flag: Option<bool>,
    #[n(64)]
    pairs: Option<Vec<(u64, u64)>>,
    #[n(70)]
    texts: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Encode, Decode)]
#[cbor(array)]
struct Item {
    #[n(0)]
    number: u32,
    #[n(1)]
    more: Vec<(u64, u64)>,
}

impl Record for Shapes {
    const NAME: &'static str = "shapes";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 64, 70];
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = wire::decode::<Shapes>(bytes) else { return };
    let written = wire::encode(&read);
    assert_eq!(wire::decode::<Shapes>(&written).expect("our own bytes"), read);
});
