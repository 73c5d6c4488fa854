//! What a job says is heard wherever it writes it, and a checkpoint is proved when it is whole.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use catrain::listen::{Ear, Heard, Hearing, Listener, check_glob, is_regular};
use catrain::supervise::progress::{Patterns, Reading, bounded};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::support::{SOON, Sandbox};

/// A listener that is waited for.
struct Ears {
    runtime: Runtime,
    listener: Listener,
}

impl Ears {
    fn of(ear: Option<Ear>, checkpoint_path: Option<&Path>, line: Option<&str>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = Listener::start(Hearing {
            ear,
            patterns: Patterns::built_in(),
            checkpoint_path: checkpoint_path.map(|path| path.to_str().unwrap().to_owned()),
            checkpoint_line: line.map(|line| bounded(line).unwrap()),
        });
        Self {
            runtime,
            listener: listener.unwrap(),
        }
    }

    #[track_caller]
    fn next(&mut self) -> Heard {
        let next = async { timeout(SOON, self.listener.next()).await };
        let heard = self.runtime.block_on(next);
        heard.expect("something is heard soon").unwrap()
    }

    /// Returns when all that was written before was read.
    #[track_caller]
    fn want_proof(&mut self, pids: &[i32]) -> Vec<Heard> {
        let listener = &mut self.listener;
        // The limit is one of the runtime's clock.
        self.runtime.block_on(async { listener.want_proof(pids) });
        let mut before = Vec::new();
        loop {
            match self.next() {
                Heard::SnapshotTaken => return before,
                other => before.push(other),
            }
        }
    }
}

fn progress(done: f64, total: f64) -> Heard {
    Heard::Progress(Reading::new(done, total).unwrap())
}

fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_file_is_followed_from_before_it_exists_through_truncation_and_replacement() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("log");
    let mut ears = Ears::of(Some(Ear::File(path.clone())), None, None);
    ears.want_proof(&[]);
    fs::write(&path, "step 1/9000\nstep 2/9").unwrap();
    assert_eq!(ears.next(), progress(1.0, 9000.0));
    append(&path, "000\n");
    assert_eq!(ears.next(), progress(2.0, 9000.0));
    // Ours may go to the same file.
    append(&path, "catrain: step 5/9000\n");
    // Shorter than before: begun anew.
    fs::write(&path, "step 3/9000\n").unwrap();
    assert_eq!(ears.next(), progress(3.0, 9000.0));
    let other = sandbox.write("other", "step 4/9000\n");
    fs::rename(other, &path).unwrap();
    assert_eq!(ears.next(), progress(4.0, 9000.0));
}

#[test]
fn what_a_file_held_before_the_job_is_not_its_word() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("log", "step 8999/9000\n");
    let mut ears = Ears::of(Some(Ear::File(path.clone())), None, None);
    assert_eq!(ears.want_proof(&[]), []);
    append(&path, "step 1/9000\n");
    assert_eq!(ears.next(), progress(1.0, 9000.0));
}

#[test]
fn a_file_that_grows_by_gigabytes_is_skipped_through() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("log", "");
    let mut ears = Ears::of(Some(Ear::File(path.clone())), None, None);
    ears.want_proof(&[]);
    // The gap costs no disk.
    let mut file = File::options().write(true).open(&path).unwrap();
    file.write_all(b"step 1/9000\n").unwrap();
    file.seek(std::io::SeekFrom::Start(3 << 30)).unwrap();
    file.write_all(b"9/9\nstep 2/9000\n").unwrap();
    let mut heard = ears.next();
    // It may have been looked at between the two.
    if heard == progress(1.0, 9000.0) {
        heard = ears.next();
    }
    assert_eq!(heard, progress(2.0, 9000.0));
}

#[test]
fn what_is_no_file_is_refused_once_with_the_reason() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut ears = Ears::of(Some(Ear::File(path.clone())), None, None);
    let why = "the job's progress cannot be read: it is a pipe, not a regular file";
    assert_eq!(ears.next(), Heard::Trouble(why.to_owned()));
    fs::remove_file(&path).unwrap();
    assert_eq!(ears.want_proof(&[]), []);
    fs::write(&path, "step 1/9000\n").unwrap();
    assert_eq!(ears.next(), progress(1.0, 9000.0));
}

#[test]
fn an_inherited_stream_is_read_beside_and_not_touched() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("out", "step 8999/9000\n");
    let mut stream = File::options().write(true).open(&path).unwrap();
    stream.seek(std::io::SeekFrom::End(0)).unwrap();
    is_regular(stream.as_raw_fd()).unwrap();
    let mut ears = Ears::of(Some(Ear::Stream(stream.as_raw_fd())), None, None);
    ears.want_proof(&[]);
    let at = stream.stream_position().unwrap();
    let flags = || nix::fcntl::fcntl(&stream, nix::fcntl::FcntlArg::F_GETFL).unwrap();
    let before = flags();
    append(&path, "step 1/9000\n");
    assert_eq!(ears.next(), progress(1.0, 9000.0));
    assert_eq!(flags(), before);
    assert_eq!(stream.stream_position().unwrap(), at);
    let (pipe, _end) = std::io::pipe().unwrap();
    let refused = is_regular(pipe.as_raw_fd()).unwrap_err().to_string();
    assert_eq!(refused, "it is a pipe, not a regular file");
}

#[test]
fn a_copy_is_heard_and_another_may_take_its_place() {
    for another in [false, true] {
        let mut pipes = [(); 2].map(|()| std::io::pipe().unwrap());
        let copies = pipes.each_ref().map(|(copy, _)| {
            let nonblocking = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
            nix::fcntl::fcntl(copy, nonblocking).unwrap();
            copy.try_clone().unwrap()
        });
        let [first, second] = copies;
        let mut ears = Ears::of(Some(Ear::Copy(first.into())), None, None);
        if another {
            ears.listener.follow(second.into());
        }
        let index = usize::from(another);
        pipes[index].1.write_all(b"step 1/9000\n").unwrap();
        assert_eq!(ears.next(), progress(1.0, 9000.0));
    }
}

#[test]
fn a_new_checkpoint_is_proved_and_an_old_or_unfinished_one_is_not() {
    let sandbox = Sandbox::new();
    let old = sandbox.write("out/checkpoint-1.pt", "old");
    let mut ears = Ears::of(None, Some(&sandbox.path("out/checkpoint-*")), None);
    ears.want_proof(&[]);
    // As if touched by a clock that is a day behind: what counts is that it differs.
    sandbox.write("out/checkpoint-2.pt.tmp", "half");
    sandbox.write("out/checkpoint-0.pt", "");
    let new = sandbox.write("out/checkpoint-3.pt", &"x".repeat(1_234_567));
    let day = fs::metadata(&old).unwrap().modified().unwrap() - 24 * SOON;
    File::options()
        .write(true)
        .open(&new)
        .unwrap()
        .set_modified(day)
        .unwrap();
    let how = "checkpoint-3.pt, 1.2 MB, new".to_owned();
    assert_eq!(ears.next(), Heard::Proved { how });
    ears.want_proof(&[]);
    let other = sandbox.write("other", "newer");
    fs::rename(other, &old).unwrap();
    let how = "checkpoint-1.pt, 5 B, replaced".to_owned();
    assert_eq!(ears.next(), Heard::Proved { how });
}

#[test]
fn half_a_file_that_its_writer_has_open_is_no_proof() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("out");
    fs::create_dir(&folder).unwrap();
    let mut ears = Ears::of(None, Some(&folder.join("*")), None);
    let own = std::process::id().cast_signed();
    ears.want_proof(&[own]);
    let mut half = File::create(folder.join("a.pt")).unwrap();
    half.write_all(b"half").unwrap();
    // Who reads it does not write it.
    let second = sandbox.write("out/b.pt", "whole");
    let _reader = File::open(&second).unwrap();
    let how = "b.pt, 5 B, new".to_owned();
    assert_eq!(ears.next(), Heard::Proved { how });
    // The same without a writer.
    ears.want_proof(&[own]);
    half.write_all(b" and whole").unwrap();
    drop(half);
    let how = "a.pt, 14 B, changed".to_owned();
    assert_eq!(ears.next(), Heard::Proved { how });
}

#[test]
fn a_folder_is_proved_when_it_fills_no_more() {
    let sandbox = Sandbox::new();
    let mut ears = Ears::of(None, Some(&sandbox.path("out/checkpoint-*")), None);
    ears.want_proof(&[]);
    sandbox.write("out/checkpoint-500/model.safetensors", "weights");
    sandbox.write("out/checkpoint-500/trainer_state.json", "{}");
    let how = "checkpoint-500/, 9 B in 2 entries, new".to_owned();
    assert_eq!(ears.next(), Heard::Proved { how });
}

#[test]
fn a_line_proves_only_after_it_was_wanted() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("log", "");
    let mut ears = Ears::of(
        Some(Ear::File(path.clone())),
        None,
        Some("(?i)^saved (\\S+)"),
    );
    ears.want_proof(&[]);
    append(&path, "Saved one\n");
    let how = "the line `Saved one`".to_owned();
    assert_eq!(ears.next(), Heard::Proved { how });
    append(&path, "Saved two\n");
    assert_eq!(ears.want_proof(&[]), []);
    append(&path, "Saved three\n");
    let how = "the line `Saved three`".to_owned();
    assert_eq!(ears.next(), Heard::Proved { how });
}

#[test]
fn a_pattern_that_matches_too_much_is_said_and_holds_nobody_up() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("many");
    fs::create_dir(&folder).unwrap();
    for number in 0..=10_000 {
        File::create(folder.join(number.to_string())).unwrap();
    }
    let mut ears = Ears::of(None, Some(&folder), None);
    let said = ears.want_proof(&[]);
    assert!(
        matches!(&said[..], [Heard::Trouble(text)] if text.contains("more than 10000")),
        "{said:?}"
    );
    assert!(check_glob("out/**/checkpoint-*").is_ok());
    assert!(check_glob("out/***").is_err());
}
