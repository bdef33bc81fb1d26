//! The ledger must notice what it is there to notice.

use super::*;

/// Two lanes with three messages each, all accepted; the ids by lane and index.
fn ledger() -> (Ledger, HashMap<(u32, u64), String>) {
    let mut ledger = Ledger::new(7, 0);
    for _ in 0..3 {
        ledger.plan(0, 10);
        ledger.plan(5, 10);
    }
    let orders = ledger.take_orders();
    assert_eq!(orders.len(), 6);
    let ids: HashMap<_, _> = ledger.entries.iter().map(|e| ((e.lane, e.index), e.id.clone())).collect();
    for order in &orders {
        ledger.sent(&order.id).unwrap();
    }
    (ledger, ids)
}

fn show(ledger: &mut Ledger, event: i64, id: &str, lane: u32) -> Result<(), String> {
    let digest = content::digest(&content::body(&subrosa::MessageId::parse(id).unwrap(), 10));
    ledger.shown(event, id, lane, &digest)
}

#[test]
fn a_good_run_is_good() {
    let (mut ledger, ids) = ledger();
    assert_eq!(ledger.under_way(), 6);
    for (event, lane, index) in [(1, 0, 0), (2, 5, 0), (3, 0, 1), (4, 0, 2), (5, 5, 1), (6, 5, 2)] {
        let id = &ids[&(lane, index)];
        show(&mut ledger, event, id, lane).unwrap();
        // Again before the ack: allowed.
        show(&mut ledger, event, id, lane).unwrap();
        ledger.shown_acked(id);
        ledger.ended(event, id, "delivered").unwrap();
        ledger.ended(event, id, "delivered").unwrap();
        assert!(!ledger.is_settled());
        ledger.ended_acked(id);
        ledger.ended_acked(id);
    }
    assert!(ledger.is_settled());
    let figures = ledger.figures();
    assert!(figures.is_good(), "{figures:?}");
    assert_eq!((figures.sent, figures.delivered, figures.repeated), (6, 6, 6));
}

#[test]
fn a_lost_message_is_noticed() {
    let (mut ledger, ids) = ledger();
    for (event, index) in [(1, 0), (2, 1)] {
        show(&mut ledger, event, &ids[&(0, index)], 0).unwrap();
    }
    ledger.ended(1, &ids[&(0, 2)], "delivered").unwrap();
    ledger.ended_acked(&ids[&(0, 2)]);
    assert_eq!(ledger.figures().lost, 4);
    assert!(!ledger.is_settled());
}

#[test]
fn a_repetition_after_the_ack_is_noticed() {
    let (mut ledger, ids) = ledger();
    let id = &ids[&(0, 0)];
    show(&mut ledger, 1, id, 0).unwrap();
    ledger.shown_acked(id);
    show(&mut ledger, 1, id, 0).unwrap_err();
    assert_eq!(ledger.figures().duplicated, 1);
}

#[test]
fn a_repetition_under_another_event_is_noticed() {
    let (mut ledger, ids) = ledger();
    show(&mut ledger, 1, &ids[&(0, 0)], 0).unwrap();
    show(&mut ledger, 2, &ids[&(0, 0)], 0).unwrap_err();
    assert_eq!(ledger.figures().duplicated, 1);
}

#[test]
fn a_change_of_order_is_noticed() {
    let (mut ledger, ids) = ledger();
    show(&mut ledger, 1, &ids[&(0, 1)], 0).unwrap();
    show(&mut ledger, 2, &ids[&(5, 0)], 5).unwrap();
    show(&mut ledger, 3, &ids[&(0, 0)], 0).unwrap_err();
    assert_eq!(ledger.figures().reordered, 1);
}

#[test]
fn damage_is_noticed() {
    let (mut ledger, ids) = ledger();
    ledger.shown(1, &ids[&(0, 0)], 0, "another digest").unwrap_err();
    show(&mut ledger, 2, &ids[&(0, 1)], 1).unwrap_err();
    ledger.shown(3, "00", 0, "").unwrap_err();
    assert_eq!(ledger.figures().damaged, 3);
}

#[test]
fn a_cancelled_message_must_not_come() {
    let (mut ledger, _) = ledger();
    let id = ledger.choose_to_cancel().unwrap();
    ledger.cancel_returned(&id, true).unwrap();
    ledger.ended(1, &id, "delivered").unwrap_err();
    let id = ledger.choose_to_cancel().unwrap();
    ledger.cancel_returned(&id, true).unwrap();
    let lane = ledger.entries[ledger.by_id[&id]].lane;
    show(&mut ledger, 1, &id, lane).unwrap_err();
    let id = ledger.choose_to_cancel().unwrap();
    ledger.cancel_returned(&id, false).unwrap();
    ledger.ended(2, &id, "cancelled").unwrap_err();
}

#[test]
fn a_cancel_without_an_answer_may_end_either_way() {
    let (mut ledger, ids) = ledger();
    let id = ledger.choose_to_cancel().unwrap();
    ledger.ended(1, &id, "cancelled").unwrap();
    ledger.ended_acked(&id);
    assert_eq!(ledger.figures().cancelled, 1);
    assert_eq!(ledger.unsettled(), 5);
    ledger.ended(2, &ids[&(0, 0)], "cancelled").unwrap_err();
}

#[test]
fn a_dead_sender_sends_again_in_order() {
    let mut ledger = Ledger::new(1, 1);
    for _ in 0..40 {
        ledger.plan(0, 1);
    }
    let first = ledger.take_orders();
    assert_eq!(first.len(), WINDOW);
    ledger.sent(&first[0].id).unwrap();
    ledger.sent(&first[2].id).unwrap_err();
    ledger.sender_died();
    assert_eq!(ledger.unsent(), 39);
    let again = ledger.take_orders();
    assert_eq!(again[0], first[1]);
    assert_eq!(again[30], first[31]);
}
