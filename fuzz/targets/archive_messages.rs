//! Questions to archives and their replies: what is understood is said again and understood the same; an archive answers
//! whatever it is asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_fuzz::people::NOW;
use subrosa_proto::whisper::archive::desk::{Desk, DeskLimits, Task};
use subrosa_proto::whisper::archive::{Grant, MAX_ENVELOPES, MAX_TOPICS, Question, Reply};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(question) = Question::decode(bytes) {
        assert_eq!(Question::decode(&question.encode()).expect("our own bytes"), question);
    }
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(Reply::decode(&reply.encode()).expect("our own bytes"), reply);
    }
    let grant = Grant::new(vec![1; 4]).expect("a grant");
    let mut desk = Desk::new(DeskLimits::default(), vec![grant], NOW);
    match desk.question(1, bytes, NOW) {
        Task::Find(query) => {
            assert!(query.from <= query.to && (1..=usize::from(MAX_ENVELOPES)).contains(&query.limit));
            assert!(query.topics.is_none_or(|topics| (1..=MAX_TOPICS).contains(&topics.len())));
        }
        Task::Keep(envelope) => {
            assert!(envelope.ttl > 0 && envelope.size() <= DeskLimits::default().envelope)
        }
        Task::Refuse(why) => assert!(Reply::decode(&Reply::Refused(why).encode()).is_ok()),
    }
});
