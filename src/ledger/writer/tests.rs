use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};

use super::*;
use crate::ledger::chain;
use crate::ledger::entry::{EnergyKind, Exit, Part, Reading, Segment};
use crate::units::Joules;

const LIMIT: Duration = Duration::from_secs(20);

fn at() -> Timestamp {
    "2026-11-24T17:00:00Z".parse().unwrap()
}

fn note(text: &str) -> What {
    What::Warning {
        text: text.to_owned(),
    }
}

fn end() -> What {
    What::End {
        exit: Some(Exit::Code(0)),
        why: None,
        sums: None,
    }
}

/// A disk in memory whose moods a test sets.
#[derive(Default)]
struct Disk {
    text: Mutex<Vec<u8>>,
    is_full: AtomicBool,
    /// Lines that it takes though it is full.
    room: AtomicIsize,
    refused: AtomicUsize,
    is_broken: AtomicBool,
    syncs: AtomicUsize,
    /// Locked by the test: the disk hangs.
    hang: Mutex<()>,
    is_asked: AtomicBool,
}

struct Plug(Arc<Disk>);

impl Sink for Plug {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.is_asked.store(true, Ordering::SeqCst);
        drop(locked(&self.0.hang));
        let is_full = self.0.is_full.load(Ordering::SeqCst);
        if is_full && self.0.room.fetch_add(-1, Ordering::SeqCst) <= 0 {
            self.0.refused.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::StorageFull.into());
        }
        locked(&self.0.text).extend_from_slice(lines);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        if self.0.is_broken.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

impl Disk {
    fn writer(self: &Arc<Self>) -> Writer {
        let disk = Arc::clone(self);
        Writer::to(move || Ok(Box::new(Plug(Arc::clone(&disk)))))
    }

    /// With its thread inside the first entry, so that the queue fills.
    fn writer_that_hangs(self: &Arc<Self>) -> Writer {
        let writer = self.writer();
        say(&writer, note("first"), Sync::Later);
        wait_for(|| self.is_asked.load(Ordering::SeqCst).then_some(()));
        writer
    }

    fn entries(&self) -> Vec<Entry> {
        let text = locked(&self.text).clone();
        text.split_inclusive(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

fn wait(ticket: Ticket) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(ticket.within(LIMIT))
}

fn say(writer: &Writer, what: What, sync: Sync) -> Ticket {
    writer.record(at(), Duration::from_secs(1), what, sync)
}

#[test]
fn an_entry_recorded_for_good_is_on_the_disk_when_its_ticket_says_so() {
    let disk = Arc::new(Disk::default());
    let writer = disk.writer();
    assert!(wait(say(&writer, note("one"), Sync::Now)));
    assert_eq!(disk.entries()[0].what, note("one"));
    assert_eq!(disk.syncs.load(Ordering::SeqCst), 1);
    assert!(writer.finish(LIMIT).is_complete);
}

#[test]
fn entries_are_numbered_without_gaps_and_the_end_is_synced() {
    let disk = Arc::new(Disk::default());
    let writer = disk.writer();
    for at in 0..100 {
        say(&writer, note(&at.to_string()), Sync::Later);
    }
    assert!(writer.finish(LIMIT).is_complete);
    let numbers: Vec<u64> = disk.entries().iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert!(disk.syncs.load(Ordering::SeqCst) >= 1);
}

#[test]
fn a_full_disk_is_told_once_and_what_it_missed_is_written_when_there_is_room() {
    let disk = Arc::new(Disk::default());
    disk.is_full.store(true, Ordering::SeqCst);
    let writer = disk.writer();
    say(&writer, note("one"), Sync::Later);
    let trouble = wait_for(|| writer.trouble());
    assert!(trouble.contains("kept in memory"), "{trouble}");
    assert_eq!((writer.trouble(), writer.relief()), (None, None));
    disk.is_full.store(false, Ordering::SeqCst);
    assert!(wait(say(&writer, note("two"), Sync::Now)));
    assert!(writer.relief().unwrap().contains("written again"));
    assert_eq!(writer.relief(), None);
    assert!(writer.finish(LIMIT).is_complete);
    let said: Vec<What> = disk.entries().into_iter().map(|entry| entry.what).collect();
    assert_eq!(said, [note("one"), note("two")]);
}

#[test]
fn what_a_full_disk_still_takes_does_not_end_the_trouble() {
    let disk = Arc::new(Disk::default());
    let opened = Arc::clone(&disk);
    let options = Options {
        sync: Duration::from_millis(1),
        ..Options::default()
    };
    let open: Opener = Box::new(move || Ok(Box::new(Plug(Arc::clone(&opened)))));
    let writer = Writer::start(
        open,
        Arc::default(),
        Notary::default(),
        options,
        Written::default(),
    );
    disk.is_full.store(true, Ordering::SeqCst);
    say(&writer, note("one"), Sync::Later);
    wait_for(|| writer.trouble());
    disk.room.store(1, Ordering::SeqCst);
    say(&writer, note("two"), Sync::Later);
    // One goes through and is synced, the other is refused.
    wait_for(|| (disk.syncs.load(Ordering::SeqCst) > 0).then_some(()));
    let refused = disk.refused.load(Ordering::SeqCst);
    say(&writer, note("three"), Sync::Later);
    wait_for(|| (disk.refused.load(Ordering::SeqCst) > refused).then_some(()));
    disk.is_full.store(false, Ordering::SeqCst);
    assert!(wait(say(&writer, note("four"), Sync::Now)));
    assert_eq!(writer.trouble(), None);
    assert!(writer.relief().is_some());
}

/// A run with a first line on the disk, and its file.
fn begun(state: &std::path::Path) -> (Writer, PathBuf) {
    let writer = Writer::begin(state.to_owned(), 7, Options::default());
    assert!(wait(say(&writer, begin(), Sync::Now)));
    let path = crate::ledger::ledger_path(state, &writer.id().within(LIMIT));
    (writer, path)
}

#[test]
fn a_record_that_is_destroyed_while_it_is_written_is_told_and_no_head_is_noted_of_it() {
    type Destroy = fn(&std::path::Path);
    let ways: [(&str, Destroy); 3] = [
        ("deleted", |path| {
            let runs = path.parent().unwrap().parent().unwrap();
            std::fs::remove_dir_all(runs).unwrap();
        }),
        ("cut", |path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(0).unwrap();
        }),
        ("something else writes", |path| {
            let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
            io::Write::write_all(&mut file, b"x\n").unwrap();
        }),
    ];
    for (word, destroy) in ways {
        let state = tempfile::tempdir().unwrap();
        let (writer, path) = begun(state.path());
        destroy(&path);
        assert!(!wait(say(&writer, note("one"), Sync::Now)), "{word}");
        let trouble = writer.trouble().unwrap();
        assert!(trouble.contains(word), "{word}: {trouble}");
        assert!(!trouble.contains("tried again"), "{trouble}");
        say(&writer, end(), Sync::Now);
        let closed = writer.finish(LIMIT);
        assert_eq!((closed.is_complete, closed.head), (false, None), "{word}");
        assert!(closed.trouble.unwrap().contains(word));
        let heads = crate::ledger::heads::read(state.path()).unwrap();
        assert_eq!(heads.heads, [], "{word}");
    }
}

#[test]
fn a_record_that_is_destroyed_after_its_last_line_has_no_head_noted_either() {
    let state = tempfile::tempdir().unwrap();
    let (writer, path) = begun(state.path());
    assert!(wait(say(&writer, end(), Sync::Now)));
    std::fs::remove_file(&path).unwrap();
    let closed = writer.finish(LIMIT);
    assert_eq!((closed.is_complete, closed.head), (false, None));
    assert!(closed.trouble.unwrap().contains("deleted"));
    let heads = crate::ledger::heads::read(state.path()).unwrap();
    assert_eq!(heads.heads, []);
}

#[test]
fn a_hanging_disk_holds_up_neither_the_driver_nor_the_exit_and_losses_are_counted() {
    let disk = Arc::new(Disk::default());
    let hang = locked(&disk.hang);
    let writer = disk.writer_that_hangs();
    let all = QUEUE + 100;
    let mut tickets: Vec<Ticket> = (0..all)
        .map(|at| say(&writer, note(&at.to_string()), Sync::Later))
        .collect();
    assert!(!wait(tickets.pop().unwrap()), "the last one found no room");
    assert!(writer.trouble().unwrap().contains("does not answer"));
    assert_eq!(writer.so_far().entries.len(), all + 1);
    drop(hang);
    // Once it answers again, the loss is written in its place.
    assert!(wait_for(|| {
        let is_safe = wait(say(&writer, note("after"), Sync::Now));
        is_safe.then_some(true)
    }));
    assert!(writer.finish(LIMIT).is_complete);
    let entries = disk.entries();
    let lost: u64 = entries
        .iter()
        .map(|entry| match entry.what {
            What::Gap { lost, .. } => lost,
            _ => 0,
        })
        .sum();
    let kept = entries
        .iter()
        .filter(|entry| matches!(&entry.what, What::Warning { text } if text != "after"))
        .count();
    assert!(lost > 0);
    let afters = entries.iter().filter(|entry| entry.what == note("after"));
    // Each entry is either there or counted; an `after` may be among the counted ones.
    assert!(kept + lost as usize >= all, "{kept} + {lost} of {all}");
    assert!(afters.count() >= 1);
    assert!(
        entries
            .iter()
            .enumerate()
            .all(|(at, entry)| entry.seq == at as u64)
    );
}

#[test]
fn the_exit_leaves_a_hanging_disk_behind() {
    let disk = Arc::new(Disk::default());
    let hang = locked(&disk.hang);
    let writer = disk.writer();
    say(&writer, end(), Sync::Now);
    assert!(!writer.finish(Duration::from_millis(50)).is_complete);
    drop(hang);
}

#[test]
fn a_loss_that_nothing_came_after_is_written_at_the_end() {
    let disk = Arc::new(Disk::default());
    let hang = locked(&disk.hang);
    let writer = disk.writer_that_hangs();
    for _ in 0..QUEUE + 50 {
        say(&writer, note("x"), Sync::Later);
    }
    drop(hang);
    assert!(writer.finish(LIMIT).is_complete);
    let entries = disk.entries();
    let Some(What::Gap { lost, .. }) = entries.last().map(|entry| entry.what.clone()) else {
        panic!("the last entry counts the lost ones");
    };
    assert_eq!(entries.len() - 1 + lost as usize, 1 + QUEUE + 50);
    assert_eq!(lost, 50);
}

#[test]
fn what_is_kept_for_a_full_disk_is_bounded_and_the_end_always_fits() {
    let disk = Arc::new(Disk::default());
    let plug = Plug(Arc::clone(&disk));
    let mut plug = Some(plug);
    let open = move || Ok(Box::new(plug.take().expect("opened once")) as Box<dyn Sink>);
    let mut thread = Thread::new(
        Box::new(open),
        Arc::default(),
        Notary::default(),
        Duration::from_secs(10),
        Written::default(),
    );
    let item = |what| Item {
        entry: Entry {
            seq: 0,
            at: at(),
            elapsed_s: 1.0,
            what,
        },
        sync: Sync::Later,
        ticket: None,
    };
    (0..KEPT + 50).for_each(|_| thread.keep(item(note("x"))));
    thread.keep(item(end()));
    thread.write();
    let entries = disk.entries();
    assert_eq!(entries.len(), KEPT + 2);
    assert_eq!(
        entries[KEPT].what,
        What::Gap {
            lost: 50,
            summed: 0
        }
    );
    let last = &entries[KEPT + 1].what;
    assert!(matches!(last, What::End { sums: Some(sums), .. } if sums.entries == KEPT as u64 + 1));
}

#[test]
fn a_failed_sync_is_never_called_safe() {
    let disk = Arc::new(Disk::default());
    disk.is_broken.store(true, Ordering::SeqCst);
    let writer = disk.writer();
    assert!(!wait(say(&writer, note("one"), Sync::Now)));
    assert!(writer.trouble().is_some());
    disk.is_broken.store(false, Ordering::SeqCst);
    assert!(
        !writer.finish(LIMIT).is_complete,
        "what the failed sync dropped is not known"
    );
}

#[test]
fn a_ledger_nowhere_says_why_and_remembers_the_run() {
    let writer = Writer::nowhere("the state directory is read-only", 7);
    say(&writer, end(), Sync::Later);
    let trouble = wait_for(|| writer.trouble());
    assert!(trouble.contains("read-only"), "{trouble}");
    assert!(!writer.so_far().unfinished);
    assert!(!writer.finish(LIMIT).is_complete);
}

#[test]
fn a_new_run_is_written_where_its_id_says() {
    let state = tempfile::tempdir().unwrap();
    let writer = Writer::begin(state.path().to_owned(), 7, Options::default());
    let id = writer.id().within(LIMIT);
    assert_eq!(id.len(), 4);
    say(&writer, end(), Sync::Later);
    assert!(writer.finish(LIMIT).is_complete);
    let text = std::fs::read_to_string(crate::ledger::ledger_path(state.path(), &id)).unwrap();
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn without_a_usable_state_directory_a_run_has_an_id_and_says_why_nothing_is_kept() {
    let state = tempfile::NamedTempFile::new().unwrap();
    let writer = Writer::begin(state.path().to_owned(), 7, Options::default());
    let id = writer.id().within(LIMIT);
    assert_eq!(id.len(), 8);
    say(&writer, end(), Sync::Later);
    assert!(wait_for(|| writer.trouble()).contains("cannot write the ledger"));
    assert!(!writer.so_far().unfinished);
    let closed = writer.finish(LIMIT);
    assert!(!closed.is_complete && closed.is_empty);
    let why = closed.trouble.unwrap();
    assert!(why.contains("Not a directory"), "{why}");
    assert!(!why.contains("tried again"), "{why}");
}

#[test]
fn a_state_directory_that_answers_late_still_gets_the_ledger_under_the_id_that_was_told() {
    let state = tempfile::tempdir().unwrap();
    let writer = Writer::begin(state.path().to_owned(), 7, Options::default());
    let id = writer.id().within(Duration::ZERO);
    say(&writer, end(), Sync::Later);
    assert!(writer.finish(LIMIT).is_complete);
    let runs: Vec<String> = std::fs::read_dir(state.path().join("runs"))
        .unwrap()
        .map(|run| run.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(runs, [id]);
}

#[test]
fn a_write_that_failed_half_way_leaves_no_part_of_a_line_behind() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("ledger");
    let mut file = std::fs::OpenOptions::new();
    let file = file.append(true).create(true).open(&path).unwrap();
    let mut sink = FileSink::new(file);
    sink.append(b"one\n").unwrap();
    // What a full disk does: a part is written, then the call fails.
    let mut other = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    io::Write::write_all(&mut other, b"tw").unwrap();
    sink.tear();
    sink.append(b"two\n").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
}

/// A stretch of ten seconds, the `nth` of many, with one joule.
fn stretch(nth: u64) -> What {
    let reading = Reading {
        component: "all".to_owned(),
        joules: Joules(1.0),
        kind: EnergyKind::Assumed,
        method: None,
        source: "--power 300 W".to_owned(),
        whole: None,
    };
    let start = at() + jiff::SignedDuration::from_secs(10 * nth as i64);
    What::Segment(Segment {
        part: Part::Running,
        causes: Vec::new(),
        from_s: 10.0 * nth as f64,
        to_s: 10.0 * (nth + 1) as f64,
        start,
        end: start + jiff::SignedDuration::from_secs(10),
        energy: vec![reading],
        unattributed: Vec::new(),
    })
}

/// Seconds and joules of all segments, which must tile, and how many were told to be added up.
fn added_up(entries: &[Entry]) -> (f64, f64, u64) {
    let segments: Vec<&Segment> = entries.iter().filter_map(Entry::segment).collect();
    assert!(segments.windows(2).all(|two| two[0].to_s == two[1].from_s));
    let joules = |s: &&Segment| s.energy.iter().map(|r| r.joules.0).sum::<f64>();
    let summed = entries.iter().map(|entry| match entry.what {
        What::Gap { summed, .. } => summed,
        _ => 0,
    });
    let seconds = segments.iter().map(|s| s.to_s - s.from_s).sum();
    (seconds, segments.iter().map(joules).sum(), summed.sum())
}

fn chain_of(disk: &Disk) -> chain::Chain {
    let mut chain = chain::Chain::default();
    let text = locked(&disk.text).clone();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        chain.line(line.strip_suffix(b"\n").unwrap());
    }
    chain
}

#[test]
fn a_full_disk_loses_no_energy_and_what_was_added_up_is_told_before_it() {
    let disk = Arc::new(Disk::default());
    disk.is_full.store(true, Ordering::SeqCst);
    let writer = disk.writer();
    say(&writer, begin(), Sync::Later);
    wait_for(|| writer.trouble());
    let week = 7 * 24 * 360;
    for nth in 0..week {
        let ticket = say(&writer, stretch(nth), Sync::Later);
        // Its answer tells that the thread has taken it: it is the disk that is full here.
        if nth % (QUEUE as u64 / 2) == 0 {
            wait(ticket);
        }
    }
    say(&writer, end(), Sync::Now);
    disk.is_full.store(false, Ordering::SeqCst);
    let closed = writer.finish(LIMIT);
    assert!(closed.is_complete);
    let entries = disk.entries();
    assert!(entries.len() < KEPT, "{}", entries.len());
    let (seconds, joules, summed) = added_up(&entries);
    assert_eq!((seconds, joules), (10.0 * week as f64, week as f64));
    let segments = entries.iter().filter_map(Entry::segment).count();
    assert_eq!(summed + segments as u64, week);
    assert!(matches!(entries[0].what, What::Begin(_)));
    assert!(matches!(entries[1].what, What::Gap { lost: 0, .. }));
    let Some(What::End {
        sums: Some(sums), ..
    }) = entries.last().map(|e| e.what.clone())
    else {
        panic!("the end counts what stands before it");
    };
    assert_eq!(sums.entries, entries.len() as u64 - 1);
    assert_eq!((sums.seconds, sums.joules.0), (seconds, joules));
    let chain = chain_of(&disk);
    assert_eq!((chain.broken(), Some(chain.head())), (None, closed.head));
}

#[test]
fn a_hanging_disk_loses_no_energy_either() {
    let disk = Arc::new(Disk::default());
    let hang = locked(&disk.hang);
    let writer = disk.writer_that_hangs();
    let week = 7 * 24 * 360;
    for nth in 0..week {
        say(&writer, stretch(nth), Sync::Later);
    }
    say(&writer, note("lost"), Sync::Later);
    say(&writer, end(), Sync::Now);
    drop(hang);
    let closed = writer.finish(LIMIT);
    assert!(closed.is_complete && closed.head.is_some());
    let entries = disk.entries();
    assert!(entries.len() < 2 * QUEUE, "{}", entries.len());
    let (seconds, joules, summed) = added_up(&entries);
    assert_eq!((seconds, joules), (10.0 * week as f64, week as f64));
    let segments = entries.iter().filter_map(Entry::segment).count();
    assert_eq!(summed + segments as u64, week);
    let lost = |e: &&Entry| matches!(e.what, What::Gap { lost: 1, .. });
    assert_eq!(entries.iter().filter(lost).count(), 1);
    assert!(matches!(entries.last().unwrap().what, What::End { .. }));
}

#[test]
fn a_month_of_samples_stays_small_in_memory() {
    let writer = Writer::nowhere("the state directory is read-only", 7);
    let month = 30 * 24 * 360;
    for nth in 0..month {
        say(&writer, stretch(nth), Sync::Later);
    }
    let remembered = writer.so_far().entries;
    assert!(remembered.len() < 1200, "{}", remembered.len());
    assert_eq!(added_up(&remembered).1, month as f64);
}

#[test]
fn what_is_recorded_after_the_end_is_not_written() {
    let disk = Arc::new(Disk::default());
    let writer = disk.writer();
    say(&writer, end(), Sync::Now);
    assert!(!wait(say(&writer, note("late"), Sync::Now)));
    let closed = writer.finish(LIMIT);
    assert_eq!(disk.entries().len(), 1);
    assert_eq!(closed.head, Some(chain_of(&disk).head()));
}

#[test]
fn samples_are_synced_in_time_however_many_follow() {
    let disk = Arc::new(Disk::default());
    let opened = Arc::clone(&disk);
    let options = Options {
        sync: Duration::from_millis(50),
        ..Options::default()
    };
    let open: Opener = Box::new(move || Ok(Box::new(Plug(Arc::clone(&opened)))));
    let writer = Writer::start(
        open,
        Arc::default(),
        Notary::default(),
        options,
        Written::default(),
    );
    let mut nth = 0;
    wait_for(|| {
        say(&writer, stretch(nth), Sync::Later);
        nth += 1;
        (disk.syncs.load(Ordering::SeqCst) > 0).then_some(())
    });
}

#[test]
fn segments_get_longer_as_the_file_fills() {
    let writer = Arc::new(Disk::default()).writer();
    assert_eq!(writer.segment_at_most(), Duration::from_secs(10));
    writer.shared.written.store(12 << 20, Ordering::Relaxed);
    assert_eq!(writer.segment_at_most(), Duration::from_secs(40));
}

#[test]
fn a_run_that_ended_has_its_head_noted_and_signed_and_its_file_was_locked_till_then() {
    let state = tempfile::tempdir().unwrap();
    let key = state.path().join("key.pem");
    // RFC 8410, section 10.3.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    std::fs::write(&key, pem).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let options = Options {
        signing_key: Some(key),
        ..Options::default()
    };
    let writer = Writer::begin(state.path().to_owned(), 7, options);
    assert!(wait(say(&writer, begin(), Sync::Now)));
    let run = writer.id().within(LIMIT);
    let file = std::fs::File::open(crate::ledger::ledger_path(state.path(), &run)).unwrap();
    assert!(file.try_lock_shared().is_err(), "it is being written");
    say(&writer, end(), Sync::Now);
    let closed = writer.finish(LIMIT);
    assert_eq!(closed.trouble, None);
    let heads = crate::ledger::heads::read(state.path()).unwrap();
    let head = heads.of(&run).unwrap();
    assert_eq!((head.lines, Some(head.head)), (2, closed.head));
    let key = crate::ledger::sign::PublicKey::from_hex(head.key.as_deref().unwrap()).unwrap();
    assert_eq!(key.has_signed(head), Some(true));
    assert!(wait_for(|| file.try_lock_shared().is_ok().then_some(true)));
}

#[test]
fn a_key_that_cannot_be_used_is_told_at_the_start_and_the_head_is_noted_unsigned() {
    let state = tempfile::tempdir().unwrap();
    let options = Options {
        signing_key: Some(state.path().join("none.pem")),
        ..Options::default()
    };
    let writer = Writer::begin(state.path().to_owned(), 7, options);
    let trouble = wait_for(|| writer.trouble());
    assert!(trouble.contains("will not be signed"), "{trouble}");
    say(&writer, begin(), Sync::Now);
    say(&writer, end(), Sync::Now);
    let closed = writer.finish(LIMIT);
    assert!(closed.is_complete);
    assert!(closed.trouble.unwrap().contains("not signed"));
    let heads = crate::ledger::heads::read(state.path()).unwrap().heads;
    assert!(heads.len() == 1 && heads[0].signature.is_none());
}

fn begin() -> What {
    let fixture = include_str!("../../../tests/fixtures/ledger_v2.jsonl");
    let first: Entry = serde_json::from_str(fixture.lines().next().unwrap()).unwrap();
    let What::Begin(mut begin) = first.what else {
        panic!("the fixture begins with a beginning");
    };
    begin.run = String::new();
    What::Begin(begin)
}

/// Polls without a fixed sleep, for at most [`LIMIT`].
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = crate::clock::monotonic();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(crate::clock::monotonic() - start < LIMIT, "it did not come");
        std::thread::yield_now();
    }
}
