//! Persons, as text and as bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_proto::friends::safety::safety_number;
use subrosa_proto::identity::PersonId;

fuzz_target!(|input: &[u8]| {
    if let Ok(person) = PersonId::from_slice(input) {
        assert_eq!(person.as_bytes().as_slice(), input);
        assert_eq!(PersonId::parse(&person.text()).expect("our own text"), person);
        assert_eq!(safety_number(&person, &person), safety_number(&person, &person));
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(person) = PersonId::parse(text) {
        assert!(text.trim().eq_ignore_ascii_case(&person.text()), "there is one way to write it");
    }
});
