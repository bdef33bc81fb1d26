//! What the functions of Whisper refuse.

use super::{INVALID, NULL, Table, c};
use crate::calls::{config, end, node};
use std::ptr::{dangling, null, null_mut};
use subrosa_ffi::bytes::*;
use subrosa_ffi::config::*;
use subrosa_ffi::peer::*;
use subrosa_ffi::publication::*;
use subrosa_ffi::request::*;
use subrosa_ffi::status::*;
use subrosa_ffi::subscription::*;
use subrosa_ffi::whisper::*;

/// A mistake in options, and what it is refused with.
type Wrong<T> = (subrosa_status, fn(&mut T));

pub(super) unsafe fn configs(t: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "config");
    let (good, bad, holes) = ([c(c"127.0.0.1:9")], [c(c"node")], [null()]);
    // SAFETY: as the caller says.
    unsafe {
        refuse!(
            t,
            NULL,
            subrosa_config_set_listen(null(), good.as_ptr(), 1),
            subrosa_config_set_listen(config, null(), 1),
            subrosa_config_set_peers(null(), good.as_ptr(), 1),
            subrosa_config_set_peers(config, null(), 1),
            subrosa_config_set_peers(config, holes.as_ptr(), 1),
            subrosa_config_set_node_advertise(null(), good.as_ptr(), 1),
            subrosa_config_set_node_advertise(config, null(), 1),
            subrosa_config_add_archive(null(), good[0], null(), 0),
            subrosa_config_add_archive(config, null(), null(), 0),
            subrosa_config_add_archive(config, good[0], null(), 1),
            subrosa_config_keep_archive(null(), c(c"x"), null()),
            subrosa_config_set_least_pow(null(), 0.1),
        );
        refuse!(
            t,
            INVALID,
            subrosa_config_set_listen(config, bad.as_ptr(), 1),
            subrosa_config_set_peers(config, bad.as_ptr(), 1),
            subrosa_config_set_node_advertise(config, bad.as_ptr(), 1),
            subrosa_config_add_archive(config, bad[0], null(), 0),
            subrosa_config_add_archive(config, c(c"\xff"), null(), 0),
            subrosa_config_add_archive(config, good[0], [0; 65].as_ptr(), 65),
            subrosa_config_keep_archive(config, c(c""), null()),
            subrosa_config_keep_archive(config, c(c"\xff"), null()),
            subrosa_config_set_least_pow(config, -0.1),
            subrosa_config_set_least_pow(config, f64::NAN),
            subrosa_config_set_least_pow(config, f64::INFINITY),
        );
        refuse!(
            t,
            SUBROSA_TOO_LARGE,
            subrosa_config_set_peers(config, dangling(), 65),
            subrosa_config_set_listen(config, dangling(), 65)
        );
        let keep = || {
            let mut keep = std::mem::zeroed::<subrosa_keep_options>();
            keep.size = size_of::<subrosa_keep_options>();
            keep
        };
        let grants =
            [subrosa_bytes { ptr: [1u8; 65].as_ptr(), len: 65 }, subrosa_bytes { ptr: null(), len: 0 }];
        let wrong: [Wrong<subrosa_keep_options>; 6] = [
            (INVALID, |keep| keep.size = 8),
            (INVALID, |keep| keep.least_pow = -1.0),
            (INVALID, |keep| keep.leaves = 2),
            (INVALID, |keep| keep.reserved = 1),
            (NULL, |keep| keep.grants_count = 1),
            (SUBROSA_TOO_LARGE, |keep| (keep.grants, keep.grants_count) = (dangling(), 1_025)),
        ];
        for (status, spoil) in wrong {
            let mut keep = keep();
            spoil(&mut keep);
            refuse!(t, status, subrosa_config_keep_archive(config, c(c"x"), &raw const keep));
        }
        for grant in &grants {
            let mut keep = keep();
            (keep.grants, keep.grants_count) = (grant, 1);
            refuse!(t, INVALID, subrosa_config_keep_archive(config, c(c"x"), &raw const keep));
        }
        for _ in 0..64 {
            refuse!(t, SUBROSA_OK, subrosa_config_add_archive(config, good[0], [1].as_ptr(), 1));
        }
        refuse!(t, SUBROSA_TOO_LARGE, subrosa_config_add_archive(config, good[0], null(), 0));
        let good_keep = keep();
        refuse!(
            t,
            SUBROSA_OK,
            subrosa_config_set_listen(config, good.as_ptr(), 1),
            subrosa_config_set_listen(config, null(), 0),
            subrosa_config_set_peers(config, good.as_ptr(), 1),
            subrosa_config_set_peers(config, null(), 0),
            subrosa_config_set_node_advertise(config, good.as_ptr(), 1),
            subrosa_config_set_node_advertise(config, null(), 0),
            subrosa_config_keep_archive(config, c(c"x"), &raw const good_keep),
            subrosa_config_keep_archive(config, null(), null()),
            subrosa_config_set_least_pow(config, 0.0),
        );
        subrosa_config_free(config);
    }
}

pub(super) unsafe fn nodes(t: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), "node");
    let stranger = crate::calls::stranger();
    let (who, zeros) = (&raw const stranger, subrosa_person { bytes: [0; 33] });
    let mut published = subrosa_publication_id { bytes: [9; 16] };
    let mut subscribed = subrosa_subscription_id { bytes: [9; 16] };
    let (mut page, mut rows, mut cancelled) = (null_mut(), null_mut(), 9);
    let (mut bits, mut hashes) = (9u32, 9f64);
    let (address, key) = (c(c"127.0.0.1:9"), [1u8; 33]);
    // SAFETY: as the caller says.
    unsafe {
        let publish = || {
            let mut options = std::mem::zeroed::<subrosa_publish_options>();
            options.size = size_of::<subrosa_publish_options>();
            options
        };
        let subscribe = || {
            let mut options = std::mem::zeroed::<subrosa_subscribe_options>();
            options.size = size_of::<subrosa_subscribe_options>();
            options
        };
        let mut good = publish();
        good.person = who;
        let good = &raw const good;
        refuse!(
            t,
            NULL,
            subrosa_request_send(null(), who, null()),
            subrosa_request_send(node, null(), null()),
            subrosa_publish(null(), null(), 0, good, &raw mut published),
            subrosa_publish(node, null(), 1, good, &raw mut published),
            subrosa_publish(node, null(), 0, null(), &raw mut published),
            subrosa_publish_cancel(null(), &raw const published, &raw mut cancelled),
            subrosa_publish_cancel(node, null(), &raw mut cancelled),
            subrosa_publish_cancel(node, &raw const published, null_mut()),
            subrosa_pow_cost(null(), 1, 1_000, 0.0, &raw mut bits, null_mut(), null_mut()),
            subrosa_subscribe(null(), null(), &raw mut subscribed),
            subrosa_unsubscribe(null(), &raw const subscribed),
            subrosa_unsubscribe(node, null()),
            subrosa_subscription_list(null(), null(), 1, &raw mut rows),
            subrosa_subscription_list(node, null(), 1, null_mut()),
            subrosa_peer_add(null(), address),
            subrosa_peer_add(node, null()),
            subrosa_peer_remove(null(), address),
            subrosa_peer_remove(node, null()),
            subrosa_peer_list(null(), null(), 1, &raw mut page),
            subrosa_peer_list(node, null(), 1, null_mut()),
            subrosa_archive_add(null(), address, null(), 0),
            subrosa_archive_add(node, null(), null(), 0),
            subrosa_archive_add(node, address, null(), 1),
            subrosa_archive_remove(null(), address),
            subrosa_archive_remove(node, null()),
            subrosa_archive_list(null(), null(), 1, &raw mut page),
            subrosa_archive_list(node, null(), 1, null_mut()),
        );
        // Without a peer nothing can leave, and nothing is taken.
        refuse!(
            t,
            SUBROSA_NO_WAY,
            subrosa_request_send(node, who, null()),
            subrosa_publish(node, null(), 0, good, &raw mut published),
        );
        refuse!(
            t,
            INVALID,
            subrosa_request_send(node, &raw const zeros, null()),
            subrosa_request_send(node, who, c(c"\xff")),
            subrosa_publish(node, dangling(), usize::MAX, good, &raw mut published),
            subrosa_pow_cost(node, 1, 0, 0.0, null_mut(), null_mut(), null_mut()),
            subrosa_pow_cost(node, 1, u64::MAX, 0.0, null_mut(), null_mut(), null_mut()),
            subrosa_pow_cost(node, 1, 1_000, f64::NAN, null_mut(), &raw mut hashes, null_mut()),
            subrosa_peer_add(node, c(c"node")),
            subrosa_peer_add(node, c(c"\xff")),
            subrosa_peer_remove(node, c(c"node")),
            subrosa_archive_add(node, c(c"node:0x1"), null(), 0),
            subrosa_archive_add(node, address, key.as_ptr(), 65),
            subrosa_archive_remove(node, c(c"")),
        );
        refuse!(
            t,
            SUBROSA_TOO_LARGE,
            subrosa_pow_cost(node, usize::MAX, 1_000, 0.0, &raw mut bits, null_mut(), null_mut()),
            subrosa_publish(node, dangling(), 65_537, good, &raw mut published),
        );
        let wrong: [Wrong<subrosa_publish_options>; 8] = [
            (INVALID, |_| {}),
            (INVALID, |o| o.size -= 1),
            (INVALID, |o| o.password = c(c"")),
            (INVALID, |o| (o.password, o.key, o.key_len) = (c(c"x"), [1u8; 32].as_ptr(), 32)),
            (INVALID, |o| (o.key, o.key_len) = ([1u8; 31].as_ptr(), 31)),
            (NULL, |o| o.key_len = 32),
            (INVALID, |o| (o.password, o.sign) = (c(c"x"), 2)),
            (INVALID, |o| (o.password, o.pow) = (c(c"x"), -1.0)),
        ];
        for (status, spoil) in wrong {
            let mut options = publish();
            spoil(&mut options);
            let got = subrosa_publish(node, null(), 0, &raw const options, &raw mut published);
            t.status("subrosa_publish", status, got);
        }
        let wrong: [Wrong<subrosa_subscribe_options>; 8] = [
            (INVALID, |o| o.size -= 1),
            (INVALID, |o| o.password = c(c"x")), // without a topic
            (INVALID, |o| o.password = c(c"\xff")),
            (INVALID, |o| (o.key, o.key_len) = ([1u8; 33].as_ptr(), 33)),
            (NULL, |o| o.topics_count = 1),
            (SUBROSA_TOO_LARGE, |o| (o.topics, o.topics_count) = (dangling(), 1_025)),
            (INVALID, |o| o.least_pow = f64::NEG_INFINITY),
            (NULL, |o| o.identity = dangling()),
        ];
        for (status, spoil) in wrong {
            let mut options = subscribe();
            spoil(&mut options);
            let got = subrosa_subscribe(node, &raw const options, &raw mut subscribed);
            t.status("subrosa_subscribe", status, got);
        }
        refuse!(
            t,
            SUBROSA_NOT_FOUND,
            subrosa_unsubscribe(node, &raw const subscribed),
            subrosa_peer_remove(node, address),
            subrosa_archive_remove(node, address),
        );
        assert!(page.is_null() && rows.is_null());
        assert_eq!((published.bytes, subscribed.bytes), ([9; 16], [9; 16]));
        assert_eq!((cancelled, bits, hashes), (9, 9, 9.0));
    }
    end(node);
}
