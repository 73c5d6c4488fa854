//! Answers on disk, shared by the processes of a user, so that what one of them heard the others need
//! not ask for.
//!
//! One file an answer: a line of JSON that says what was asked and when it was answered, then the
//! body as it came. Its name is made of two digests: of the *series* (provider, base URL, place, what
//! for), of which one process asks at a time, and of the exact request, which may hold a time. Files
//! are written beside, synced and renamed; what cannot be read
//! is set aside and is a miss. No key or token is ever in a name or a file.
//!
//! Nothing here waits: a lock is tried, and whoever does not get it looks again later.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::limits::Keep;
use crate::caller::wire::{Answer, Ask};
use crate::dirs;
use crate::words::hex;

/// The form of a file; part of its name, so that other versions neither read nor disturb it.
const SCHEMA: &str = "catrain.answer/1";
/// The most that the line before a body may have.
const HEADER: u64 = 64 << 10;
/// Locks are shared by series whose digests begin alike; a few hundred series rarely meet, and those
/// that do wait for each other for a bounded time.
const LOCKS: u8 = 64;
/// What was left half-written is another process's work in progress for so long.
const ABANDONED: Duration = Duration::from_secs(3600);
/// A stored time that lies further ahead is a clock that was wrong.
const AHEAD: SignedDuration = SignedDuration::from_mins(2);

/// What an answer is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    series: Series,
    request: String,
}

/// What an answer is about, whatever time was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Series {
    provider: String,
    base_url: String,
    place: String,
    what: String,
}

impl Key {
    pub(super) fn new(provider: &str, base_url: &str, place: &str, ask: &Ask) -> Self {
        let mut request = ask.path.clone();
        for (name, value) in &ask.query {
            request.push_str(&format!("\n{name}={value}"));
        }
        let series = Series {
            provider: provider.to_owned(),
            base_url: base_url.to_owned(),
            place: place.to_owned(),
            what: ask.what.to_owned(),
        };
        Self { series, request }
    }

    fn name(&self) -> String {
        let request = digest(&[&self.request]);
        format!("{}-{request}.answer", self.series.digest())
    }

    fn lock_name(&self) -> String {
        let first = u8::from_str_radix(&self.series.digest()[..2], 16).unwrap_or_default();
        format!("{:02}.lock", first % LOCKS)
    }

    /// Of all that is asked of this provider there.
    fn wait_name(&self) -> String {
        let Series {
            provider, base_url, ..
        } = &self.series;
        format!("{}.wait", digest(&[provider, base_url]))
    }
}

impl Series {
    fn digest(&self) -> String {
        digest(&[&self.provider, &self.base_url, &self.place, &self.what])
    }
}

/// 64 bits of SHA-256 over the schema and the parts, each with its length before it. What is in a
/// file is compared as well, so that a collision is a miss.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(SCHEMA);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..8])
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
    pub(super) at: Timestamp,
    pub(super) valid_until: Timestamp,
}

impl Kept {
    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            content_type: self.content_type.as_deref(),
            retry_after: None,
            body: &self.body,
            at: self.at,
        }
    }

    /// Whether it saves a call: not after its validity, and not if it comes from the future.
    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        now < self.valid_until && self.at.duration_since(now) <= AHEAD
    }
}

/// The line before a body.
#[derive(Serialize, Deserialize)]
struct Header {
    schema: String,
    key: Key,
    status: u16,
    content_type: Option<String>,
    at: Timestamp,
    valid_until: Timestamp,
    bytes: usize,
    sha256: String,
}

/// That a provider wants to be left alone, heard by one process and kept by all.
#[derive(Serialize, Deserialize)]
struct Wait {
    schema: String,
    until: Timestamp,
}

/// The right to ask for a series while others wait for what comes; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: File,
}

/// A directory of answers.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    keep: Keep,
    /// Most bytes of a body.
    body: usize,
}

impl Cache {
    pub(super) fn new(directory: PathBuf, keep: Keep, body: usize) -> Self {
        Self {
            directory,
            keep,
            body,
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn keep(&self) -> Keep {
        self.keep
    }

    /// The answer to exactly this, whatever its age; `None` where there is none that can be read.
    pub(super) fn get(&self, key: &Key) -> Option<Kept> {
        let path = self.directory.join(key.name());
        match self.read(&path) {
            Ok((found, kept)) if found == *key => Some(kept),
            // Another's: 64 bits have met. It stays where it is.
            Ok(_) => None,
            Err(error) => {
                self.set_aside(&path, &error);
                None
            }
        }
    }

    fn read(&self, path: &Path) -> io::Result<(Key, Kept)> {
        let damaged = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let bytes = dirs::read(path, HEADER + self.body as u64)?;
        let end = (bytes.iter().position(|byte| *byte == b'\n'))
            .ok_or_else(|| damaged("no header in it"))?;
        let header: Header =
            serde_json::from_slice(&bytes[..end]).map_err(|_| damaged("no header of ours"))?;
        let body = &bytes[end + 1..];
        if header.schema != SCHEMA {
            return Err(damaged("another form"));
        }
        if body.len() != header.bytes || hex(&Sha256::digest(body)) != header.sha256 {
            return Err(damaged("another body than its header says"));
        }
        let kept = Kept {
            status: header.status,
            content_type: header.content_type,
            body: body.to_vec(),
            at: header.at,
            valid_until: header.valid_until,
        };
        Ok((header.key, kept))
    }

    /// Moves away what is there and cannot be used, so that whoever wants to can look at it and we
    /// do not again. What merely cannot be opened is left alone.
    fn set_aside(&self, path: &Path, why: &io::Error) {
        if why.kind() == io::ErrorKind::InvalidData {
            let _ = fs::rename(path, path.with_extension("damaged"));
        }
    }

    /// Keeps an answer, then makes room.
    ///
    /// # Errors
    /// It cannot be written; what was there before still is.
    pub(super) fn put(&self, key: &Key, kept: &Kept, now: Timestamp) -> io::Result<()> {
        let header = Header {
            schema: SCHEMA.to_owned(),
            key: key.clone(),
            status: kept.status,
            content_type: kept.content_type.clone(),
            at: kept.at,
            valid_until: kept.valid_until,
            bytes: kept.body.len(),
            sha256: hex(&Sha256::digest(&kept.body)),
        };
        let mut bytes = serde_json::to_vec(&header)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&kept.body);
        self.write(&key.name(), &bytes)?;
        self.make_room(now)
    }

    /// Keeps for all that the provider wants to be left alone until then.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep_away(&self, key: &Key, until: Timestamp) -> io::Result<()> {
        let wait = Wait {
            schema: SCHEMA.to_owned(),
            until,
        };
        self.write(&key.wait_name(), &serde_json::to_vec(&wait)?)
    }

    /// How long the provider wants to be left alone, as any process of this user heard it.
    pub(super) fn away_for(&self, key: &Key, now: Timestamp) -> Option<Duration> {
        let bytes = dirs::read(&self.directory.join(key.wait_name()), HEADER);
        let wait: Wait = serde_json::from_slice(&bytes.ok()?).ok()?;
        let left = Duration::try_from(wait.until.duration_since(now)).ok()?;
        // A wrong clock must not lock a provider out for longer than any provider does.
        (left > Duration::ZERO && left < Duration::from_secs(86_400)).then_some(left)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        dirs::write(&self.directory.join(name), bytes)
    }

    /// The turn to ask for a series; `None` while another has it.
    ///
    /// # Errors
    /// There can be no lock: nothing can be written there.
    pub(super) fn turn(&self, key: &Key) -> io::Result<Option<Turn>> {
        dirs::secure(&self.directory)?;
        let lock = dirs::try_lock(&self.directory.join(key.lock_name()))?;
        Ok(lock.map(|lock| Turn { _lock: lock }))
    }

    /// Removes the oldest until number and size are within their bounds, and what was left
    /// half-written.
    fn make_room(&self, now: Timestamp) -> io::Result<()> {
        let mut files = self.files()?;
        // Newest first: what comes before the bound stays.
        files.sort_by_key(|file| std::cmp::Reverse(file.changed));
        let (mut answers, mut bytes, mut damaged) = (0, 0, 0);
        for file in &files {
            let is_over = if file.is_answer() {
                answers += 1;
                bytes += file.bytes;
                answers > self.keep.entries || bytes > self.keep.bytes
            } else if file.name.ends_with(".damaged") {
                damaged += 1;
                damaged > self.keep.damaged
            } else if file.name.starts_with(".new-") {
                let age = SystemTime::from(now).duration_since(file.changed);
                age.is_ok_and(|age| age > ABANDONED)
            } else {
                false
            };
            if is_over {
                // Another process may have been faster.
                let _ = fs::remove_file(self.directory.join(&file.name));
            }
        }
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<Entry>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let (Ok(name), Ok(facts)) = (entry.file_name().into_string(), entry.metadata()) else {
                continue;
            };
            files.push(Entry {
                name,
                bytes: facts.len(),
                changed: facts.modified()?,
            });
        }
        Ok(files)
    }
}

/// A file of the cache.
struct Entry {
    name: String,
    bytes: u64,
    changed: SystemTime,
}

impl Entry {
    fn is_answer(&self) -> bool {
        self.name.ends_with(".answer")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::caller::wire::Credential;

    fn ask(path: &str) -> Ask {
        Ask {
            what: "forecast",
            path: path.to_owned(),
            query: vec![("zone", "DE".to_owned())],
            credential: Credential::None,
        }
    }

    fn key(path: &str) -> Key {
        Key::new("neso", "https://example.org", "GB", &ask(path))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2026-11-25T10:00:00Z")
    }

    fn kept(body: &str) -> Kept {
        Kept {
            status: 200,
            content_type: Some("application/json".to_owned()),
            body: body.as_bytes().to_vec(),
            at: now(),
            valid_until: at("2026-11-25T10:30:00Z"),
        }
    }

    fn cache(keep: Keep) -> (TempDir, Cache) {
        let base = tempfile::tempdir().unwrap();
        let cache = Cache::new(base.path().join("answers"), keep, 1 << 20);
        (base, cache)
    }

    fn names(cache: &Cache, end: &str) -> Vec<String> {
        let files = cache.files().unwrap_or_default();
        let names = files.into_iter().map(|file| file.name);
        names.filter(|name| name.ends_with(end)).collect()
    }

    #[test]
    fn an_answer_comes_back_as_it_was_for_exactly_what_was_asked() {
        let (_base, cache) = cache(Keep::default());
        assert_eq!(cache.get(&key("/a")), None);
        cache.put(&key("/a"), &kept("{}\n{}"), now()).unwrap();
        assert_eq!(cache.get(&key("/a")), Some(kept("{}\n{}")));
        assert_eq!(cache.get(&key("/b")), None);
        let elsewhere = Key::new("neso", "https://example.com", "GB", &ask("/a"));
        assert_eq!(cache.get(&elsewhere), None);
    }

    #[test]
    fn files_are_for_their_owner_alone() {
        let (_base, cache) = cache(Keep::default());
        cache.put(&key("/a"), &kept("{}"), now()).unwrap();
        let _turn = cache.turn(&key("/a")).unwrap().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode(cache.directory()), 0o700);
        for name in names(&cache, "") {
            assert_eq!(mode(&cache.directory().join(&name)), 0o600, "{name}");
        }
    }

    #[test]
    fn validity_ends_and_the_future_is_not_believed() {
        let answer = kept("{}");
        assert!(answer.is_valid(at("2026-11-25T10:29:59Z")));
        assert!(!answer.is_valid(at("2026-11-25T10:30:00Z")));
        assert!(!answer.is_valid(at("2026-11-25T09:00:00Z")));
    }

    #[test]
    fn a_file_that_was_cut_at_any_byte_is_a_miss_and_set_aside() {
        let (_base, cache) = cache(Keep::default());
        cache.put(&key("/a"), &kept("[1,2,3]"), now()).unwrap();
        let path = cache.directory().join(key("/a").name());
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            cache.write(&key("/a").name(), &whole[..cut]).unwrap();
            assert_eq!(cache.get(&key("/a")), None, "cut at {cut}");
            assert!(!path.exists(), "cut at {cut}");
        }
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        cache.write(&key("/a").name(), &changed).unwrap();
        assert_eq!(cache.get(&key("/a")), None);
        assert_eq!(names(&cache, ".damaged").len(), 1);
    }

    #[test]
    fn what_others_put_there_is_not_read() {
        let (base, cache) = cache(Keep::default());
        cache.put(&key("/a"), &kept("{}"), now()).unwrap();
        let path = cache.directory().join(key("/a").name());
        let real = base.path().join("real");
        fs::rename(&path, &real).unwrap();
        symlink(&real, &path).unwrap();
        assert_eq!(cache.get(&key("/a")), None, "a link");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(cache.get(&key("/a")), None, "a pipe");
    }

    #[test]
    fn number_and_size_are_bounded_and_the_oldest_goes_first() {
        let put = |cache: &Cache, number: u64, body: &str| {
            let key = key(&format!("/{number}"));
            cache.put(&key, &kept(body), now()).unwrap();
            let path = cache.directory().join(key.name());
            let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + number);
            // Written by the next `put` as newer than all of these: only their order counts.
            File::open(path).unwrap().set_modified(changed).unwrap();
        };
        let (_base, few) = cache(Keep {
            entries: 3,
            damaged: 2,
            ..Keep::default()
        });
        for number in 0..10 {
            put(&few, number, "{}");
            few.write(&format!("{number}.damaged"), b"x").unwrap();
        }
        few.make_room(now()).unwrap();
        let left: Vec<_> = (0..10)
            .filter(|number| few.get(&key(&format!("/{number}"))).is_some())
            .collect();
        assert_eq!(left, [7, 8, 9]);
        assert_eq!(names(&few, ".damaged").len(), 2);

        let (_base, small) = cache(Keep {
            bytes: 3000,
            ..Keep::default()
        });
        for number in 0..10 {
            put(&small, number, &"x".repeat(500));
        }
        let bytes: u64 = small.files().unwrap().iter().map(|file| file.bytes).sum();
        assert!((1000..=3000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn what_was_left_half_written_goes_after_an_hour() {
        let (_base, cache) = cache(Keep::default());
        cache.put(&key("/a"), &kept("{}"), now()).unwrap();
        fs::write(cache.directory().join(".new-1"), "x").unwrap();
        let changed = cache.files().unwrap().iter().map(|file| file.changed).max();
        let changed = Timestamp::try_from(changed.unwrap()).unwrap();
        cache.make_room(changed).unwrap();
        assert_eq!(names(&cache, ".new-1").len(), 1);
        let later = changed + SignedDuration::from_hours(2);
        cache.make_room(later).unwrap();
        assert_eq!(names(&cache, ".new-1").len(), 0);
    }

    #[test]
    fn one_has_the_turn_at_a_time() {
        let (_base, cache) = cache(Keep::default());
        let turn = cache.turn(&key("/a")).unwrap();
        assert!(turn.is_some());
        assert!(cache.turn(&key("/a")).unwrap().is_none());
        drop(turn);
        assert!(cache.turn(&key("/a")).unwrap().is_some());
    }

    #[test]
    fn that_a_provider_wants_to_be_left_alone_is_known_to_all_and_not_for_ever() {
        let (_base, cache) = cache(Keep::default());
        let until = at("2026-11-25T10:05:00Z");
        cache.keep_away(&key("/a"), until).unwrap();
        let away = cache.away_for(&key("/b"), now());
        assert_eq!(away, Some(Duration::from_secs(300)));
        assert_eq!(cache.away_for(&key("/b"), until), None);
        let wrong = at("2030-01-01T00:00:00Z");
        cache.keep_away(&key("/a"), wrong).unwrap();
        assert_eq!(cache.away_for(&key("/b"), now()), None);
    }
}
