//! RLP from anyone: each item has one form, lists to any depth, and a failed read consumes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_proto::envelope::rlp::{self, Reader};

/// Lists in lists that are looked into; the reader itself has no recursion.
const DEEPEST: u32 = 64;

fn walk(mut items: Reader<'_>, depth: u32) {
    loop {
        let before = items.clone();
        let Ok(item) = items.raw() else {
            assert_eq!(items, before, "nothing is consumed");
            assert!(items.bytes().is_err() && items.list().is_err() && items.uint().is_err());
            return;
        };
        assert_eq!(item.len() + items.len(), before.len());
        let mut again = Vec::new();
        match (Reader::new(item).bytes(), Reader::new(item).list()) {
            (Ok(content), Err(_)) => rlp::put_bytes(&mut again, content),
            (Err(_), Ok(inside)) => {
                rlp::put_list(&mut again, inside.rest());
                if depth < DEEPEST {
                    walk(inside, depth + 1);
                }
            }
            other => panic!("a string or a list, not both: {other:?}"),
        }
        assert_eq!(again, item);
        if let Ok(number) = Reader::new(item).uint() {
            let mut again = Vec::new();
            rlp::put_uint(&mut again, number);
            assert_eq!(again, item);
            assert_eq!(rlp::uint_length(number), item.len());
            assert_eq!(Reader::new(item).u32().ok(), u32::try_from(number).ok());
        }
    }
}

fuzz_target!(|bytes: &[u8]| walk(Reader::new(bytes), 0));
