//! Opening, writing and closing: groups, chains, keys, and a second opener.

use crate::home::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::{Chain, Options, Store, Tx, friend, message};

fn befriend(n: u8) -> impl FnOnce(&Tx<'_>) -> Result<i64> + Send + 'static {
    move |tx| friend::insert(tx, person(n), &record())
}

#[test]
fn what_was_written_is_there_after_closing() {
    let home = Home::new();
    let store = home.open();
    assert!(store.is_new());
    store.write_wait(befriend(1)).unwrap();
    let first_run = store.run();
    store.close().unwrap();
    store.close().unwrap();
    assert_eq!(store.write_wait(befriend(2)).unwrap_err().kind(), ErrorKind::WrongState);
    assert_eq!(store.read(|s| friend::get(s, person(1))).unwrap_err().kind(), ErrorKind::WrongState);
    let store = home.open();
    assert!(!store.is_new());
    assert_ne!(store.run(), first_run);
    assert_eq!(store.past_runs().unwrap(), [first_run]);
    assert_eq!(store.read(|s| friend::list(s, 0, 10)).unwrap().len(), 1);
}

#[test]
fn closing_leaves_one_file_and_the_last_clone_closes() {
    let home = Home::new();
    let store = home.open();
    store.write_wait(befriend(1)).unwrap();
    drop(store.clone());
    store.write_wait(befriend(2)).unwrap();
    drop(store);
    let wal = home.beside("-wal").metadata().map_or(0, |m| m.len());
    assert_eq!(wal, 0, "the log is empty");
    assert_eq!(home.open().read(|s| friend::list(s, 0, 10)).unwrap().len(), 2);
}

#[test]
fn jobs_that_come_together_share_a_commit() {
    let home = Home::new();
    let store = home.open();
    let gate = Arc::new(Barrier::new(2));
    let held = gate.clone();
    store
        .write(
            move |_| {
                held.wait();
                Ok(())
            },
            |_| (),
        )
        .unwrap();
    let (tell, told) = mpsc::channel();
    for n in 0..100u8 {
        let tell = tell.clone();
        store.write(befriend(n), move |r| tell.send(r).unwrap()).unwrap();
    }
    let before = store.commits();
    gate.wait();
    let rows: Vec<i64> = told.iter().take(100).map(Result::unwrap).collect();
    assert!(rows.is_sorted(), "in the order in which they were written");
    assert!(store.commits() - before <= 2, "{} commits", store.commits() - before);
}

#[test]
fn one_bad_job_does_not_hurt_the_others() {
    let home = Home::new();
    let store = home.open();
    let gate = Arc::new(Barrier::new(2));
    let held = gate.clone();
    store
        .write(
            move |_| {
                held.wait();
                Ok(())
            },
            |_| (),
        )
        .unwrap();
    let (tell, told) = mpsc::channel();
    let report = |n: u8| {
        let tell = tell.clone();
        move |r: Result<i64>| tell.send((n, r.map_err(|e| e.kind()))).unwrap()
    };
    store.write(befriend(1), report(1)).unwrap();
    store
        .write(
            |tx| {
                befriend(2)(tx)?;
                Err(Error::invalid("not this one"))
            },
            report(2),
        )
        .unwrap();
    store
        .write(
            |tx| {
                befriend(3)(tx)?;
                panic!("a defect")
            },
            report(3),
        )
        .unwrap();
    store.write(befriend(4), report(4)).unwrap();
    gate.wait();
    let answers: Vec<_> = told.iter().take(4).collect();
    assert_eq!(answers[1], (2, Err(ErrorKind::InvalidArgument)));
    assert_eq!(answers[2], (3, Err(ErrorKind::Internal)));
    assert!(answers[0].1.is_ok() && answers[3].1.is_ok());
    let there = store.read(|s| friend::list(s, 0, 10)).unwrap();
    assert_eq!(there.iter().map(|f| f.person).collect::<Vec<_>>(), [person(1), person(4)]);
}

#[test]
fn after_one_failure_a_chain_runs_no_more() {
    let home = Home::new();
    let store = home.open();
    let (chain, other) = (Chain::new(), Chain::new());
    let (tell, told) = mpsc::channel();
    let report = || {
        let tell = tell.clone();
        move |r: Result<i64>| tell.send(r.map_err(|e| e.kind())).unwrap()
    };
    store.write_chained(&chain, befriend(1), report()).unwrap();
    store.write_wait(|_| Ok(())).unwrap();
    store.write_chained(&chain, |_| Err(Error::invalid("no")), report()).unwrap();
    store.write_chained(&chain, befriend(2), report()).unwrap();
    store.write_chained(&other, befriend(3), report()).unwrap();
    let answers: Vec<_> = told.iter().take(4).collect();
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(ErrorKind::InvalidArgument));
    assert_eq!(answers[2], Err(ErrorKind::WrongState));
    assert!(answers[3].is_ok());
    assert!(chain.is_broken() && !other.is_broken());
}

/// What is not committed yet when a job of its chain fails is undone with it.
#[test]
fn a_chain_fails_together() {
    let home = Home::new();
    let store = home.open();
    let (gate, chain) = (Arc::new(Barrier::new(2)), Chain::new());
    let held = gate.clone();
    store
        .write(
            move |_| {
                held.wait();
                Ok(())
            },
            |_| (),
        )
        .unwrap();
    let (tell, told) = mpsc::channel();
    let report = || {
        let tell = tell.clone();
        move |r: Result<i64>| tell.send(r.map_err(|e| e.kind())).unwrap()
    };
    store.write_chained(&chain, befriend(1), report()).unwrap();
    store.write_chained(&chain, |_| Err(Error::invalid("no")), report()).unwrap();
    store.write_chained(&chain, befriend(2), report()).unwrap();
    store.write_chained(&Chain::new(), befriend(3), report()).unwrap();
    gate.wait();
    let answers: Vec<_> = told.iter().take(4).collect();
    assert_eq!(answers[..2], [Err(ErrorKind::InvalidArgument), Err(ErrorKind::InvalidArgument)]);
    assert_eq!(answers[2], Err(ErrorKind::WrongState));
    let there = store.read(|s| friend::list(s, 0, 10)).unwrap();
    assert_eq!(there.iter().map(|f| f.person).collect::<Vec<_>>(), [person(3)]);
}

#[test]
fn a_full_queue_says_so_and_takes_nothing() {
    let home = Home::new();
    let store = Store::open(Options { queue_limit: 3, group_limit: 1, ..home.options() }).unwrap();
    let gate = Arc::new(Barrier::new(2));
    let (held, (started, running)) = (gate.clone(), mpsc::channel());
    store
        .write(
            move |_| {
                started.send(()).unwrap();
                held.wait();
                Ok(())
            },
            |_| (),
        )
        .unwrap();
    running.recv().unwrap();
    for n in 0..3 {
        store.write(befriend(n), |r| assert!(r.is_ok())).unwrap();
    }
    let chain = Chain::new();
    let refused = store.write_chained(&chain, befriend(3), |_| panic!("never called"));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::QueueFull);
    assert!(chain.is_broken(), "a chain with a gap goes no further");
    gate.wait();
    store.close().unwrap();
    assert_eq!(home.open().read(|s| friend::list(s, 0, 10)).unwrap().len(), 3);
}

#[test]
fn many_threads_write_and_read() {
    let home = Home::new();
    let store = home.open();
    let written = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let (store, written) = (&store, &written);
            scope.spawn(move || {
                for n in 0..20u8 {
                    store.write_wait(befriend(thread * 20 + n)).unwrap();
                    let seen_before = written.fetch_add(1, Ordering::SeqCst) + 1;
                    let there = store.read(|s| friend::list(s, 0, 1000)).unwrap().len() as u64;
                    assert!(
                        there >= seen_before.saturating_sub(8),
                        "a read sees what was committed before it"
                    );
                    assert!(store.read(|s| friend::get(s, person(thread * 20 + n))).unwrap().is_some());
                }
            });
        }
    });
    assert_eq!(store.read(|s| friend::list(s, 0, 1000)).unwrap().len(), 160);
}

#[test]
fn what_runs_after_a_commit_may_drop_the_store() {
    let home = Home::new();
    let store = home.open();
    let (tell, told) = mpsc::channel();
    let last = store.clone();
    store
        .write(befriend(1), move |r| {
            drop(last);
            tell.send(r).unwrap();
        })
        .unwrap();
    drop(store);
    told.recv().unwrap().unwrap();
    let store = until_free(&home);
    assert_eq!(store.read(|s| friend::list(s, 0, 10)).unwrap().len(), 1);
}

#[test]
fn a_reader_does_not_hold_up_a_removal() {
    let home = Home::new();
    let store = home.open();
    store.write_wait(befriend(1)).unwrap();
    let (started, reading) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let reader = &store;
        scope.spawn(move || {
            reader
                .read(|s| {
                    started.send(()).unwrap();
                    released.recv().unwrap();
                    assert!(friend::get(s, person(1))?.unwrap().record.direct, "a snapshot holds still");
                    Ok(())
                })
                .unwrap();
        });
        reading.recv().unwrap();
        store.write_wait(|tx| friend::remove(tx, person(1))).unwrap();
        assert_ne!(home.beside("-wal").metadata().unwrap().len(), 0, "the reader needs the log");
        release.send(()).unwrap();
    });
    store.write_wait(befriend(2)).unwrap();
    assert_eq!(home.beside("-wal").metadata().unwrap().len(), 0, "emptied when it could be");
}

/// The thread that outlives its store frees the lock when it ends; there is nothing else to wait for.
fn until_free(home: &Home) -> Store {
    loop {
        match Store::open(home.options()) {
            Err(e) if e.kind() == ErrorKind::StoreInUse => std::thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

#[test]
fn the_key_can_be_changed() {
    let home = Home::new();
    let store = home.open();
    let row = store.write_wait(befriend(1)).unwrap();
    store.write_wait(move |tx| receive(tx, row, 0, &text(1, "before"))).unwrap();
    store.change_key(words("a passphrase")).unwrap();
    store.write_wait(move |tx| receive(tx, row, 1, &text(2, "after"))).unwrap();
    store.close().unwrap();
    assert_eq!(Store::open(home.options()).unwrap_err().kind(), ErrorKind::WrongKey);
    let store = Store::open(Options { key: words("a passphrase"), ..home.options() }).unwrap();
    assert_eq!(store.read(|s| message::list(s, row, None, 10)).unwrap().len(), 2);
    store.change_key(raw(9)).unwrap();
    drop(store);
    let store = Store::open(Options { key: raw(9), ..home.options() }).unwrap();
    assert_eq!(store.read(|s| message::list(s, row, None, 10)).unwrap().len(), 2);
    drop(store);
    let wrong = Store::open(Options { key: words("a passphrase"), ..home.options() });
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::WrongKey);
}

#[test]
fn wiping_leaves_nothing() {
    let home = Home::new();
    let store = home.open();
    assert_eq!(Store::wipe(&home.path).unwrap_err().kind(), ErrorKind::StoreInUse);
    drop(store);
    Store::wipe(&home.path).unwrap();
    assert_eq!(std::fs::read_dir(home.dir.path()).unwrap().count(), 0);
    assert_eq!(Store::wipe(&home.path).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(home.open().is_new());
}

#[cfg(unix)]
#[test]
fn only_the_user_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let store = home.open();
    store.write_wait(befriend(1)).unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mode = home.beside(suffix).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{suffix}");
    }
}

/// Bytes of the store's file, without its log.
fn size(home: &Home) -> u64 {
    home.path.metadata().unwrap().len()
}

/// One job: friends from `first` on, enough to change some pages.
fn befriend_many(first: u8) -> impl FnOnce(&Tx<'_>) -> Result<()> + Send + 'static {
    move |tx| (first..first + 40).try_for_each(|n| friend::insert(tx, person(n), &record()).map(|_| ()))
}

#[test]
fn a_long_log_is_copied_after_the_answer_and_nothing_waits_for_it() {
    let home = Home::new();
    let store = Store::open(Options { log_limit: 4, ..home.options() }).unwrap();
    let before = size(&home);
    store.write_wait(befriend_many(0)).unwrap();
    // The copy comes before the next job, and this one changes nothing.
    store.write_wait(|_| Ok(())).unwrap();
    assert!(size(&home) > before, "the log was copied");
}

#[test]
fn in_an_idle_moment_the_log_is_copied_early() {
    let home = Home::new();
    let store = Store::open(Options { log_limit: 40, ..home.options() }).unwrap();
    let before = size(&home);
    store.write_wait(befriend_many(0)).unwrap();
    let pages = home.beside("-wal").metadata().unwrap().len() / 4096;
    assert!((10..40).contains(&pages), "a log that is copied only when nobody waits: {pages} pages");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while size(&home) == before && std::time::Instant::now() < end {
        std::thread::yield_now();
    }
    assert!(size(&home) > before, "the log was copied");
    assert_eq!(store.read(|s| friend::list(s, 0, 50)).unwrap().len(), 40);
}

#[test]
fn jobs_that_only_read_cost_no_commit() {
    let home = Home::new();
    let store = home.open();
    store.write_wait(befriend(1)).unwrap();
    let before = store.commits();
    let (tell, told) = mpsc::channel();
    let read = |tx: &Tx<'_>| friend::list(tx, 0, 10);
    store.read_chained(&Chain::new(), read, move |seen| tell.send(seen.unwrap().len()).unwrap()).unwrap();
    assert_eq!((told.recv().unwrap(), store.commits()), (1, before));
    store.write_wait(befriend(2)).unwrap();
    assert_eq!(store.commits(), before + 1);
}

#[test]
fn a_chain_that_fails_with_nobody_beside_it_leaves_nothing() {
    let home = Home::new();
    let store = home.open();
    let (gate, chain) = (Arc::new(Barrier::new(2)), Chain::new());
    let (held, (started, running)) = (gate.clone(), mpsc::channel());
    let hold = move |_: &Tx<'_>| {
        started.send(()).unwrap();
        held.wait();
        Ok(())
    };
    store.write(hold, |_| ()).unwrap();
    running.recv().unwrap();
    // Both wait behind the first job, so they are a group of their own.
    let (tell, told) = mpsc::channel();
    let report = || {
        let tell = tell.clone();
        move |result: Result<i64>| tell.send(result.map(|_| ()).map_err(|e| e.kind())).unwrap()
    };
    store.write_chained(&chain, befriend(1), report()).unwrap();
    store.write_chained(&chain, |_| Err(Error::invalid("no")), report()).unwrap();
    gate.wait();
    let answers: Vec<_> = told.iter().take(2).collect();
    assert_eq!(answers, [Err(ErrorKind::InvalidArgument), Err(ErrorKind::InvalidArgument)]);
    store.write_wait(befriend(2)).unwrap();
    let there = store.read(|s| friend::list(s, 0, 10)).unwrap();
    assert_eq!(there.iter().map(|f| f.person).collect::<Vec<_>>(), [person(2)]);
}
