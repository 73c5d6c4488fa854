use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

/// Serves a socket with `answer`, on a thread of its own, until the test has done.
fn serving(runtime: &Path, answer: impl Fn(Request) + Send + 'static) -> PathBuf {
    let listener = listen(runtime, "r7k2").unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (sender, mut requests) = mpsc::channel(4);
            tokio::spawn(serve(listener, sender, None));
            while let Some(request) = requests.recv().await {
                answer(request);
            }
        });
    });
    socket(runtime, "r7k2")
}

/// Says back which word came.
fn echo(request: Request) {
    let answer = serde_json::json!({ "ok": true, "word": format!("{:?}", request.word) });
    let _ = request.answer.send(answer.to_string());
}

/// The answer to what is sent, up to its end.
fn raw(path: &Path, text: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// The status code of the answer to a request without a body, and its error.
fn refused(path: &Path, method: &str, target: &str) -> (String, String) {
    let answer = raw(
        path,
        &format!("{method} {target} HTTP/1.1\r\nhost: x\r\n\r\n"),
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, "{}"));
    let code = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    (code, body["error"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn each_word_arrives_as_it_was_said() {
    let runtime = tempfile::tempdir().unwrap();
    let path = serving(runtime.path(), echo);
    let hours = Some(Duration::from_secs(7200));
    for word in [
        Word::Status,
        Word::Pause,
        Word::Resume { time: None },
        Word::Resume { time: hours },
        Word::Stop,
        Word::Reload,
    ] {
        let answer: serde_json::Value = serde_json::from_str(&ask(&path, word).unwrap()).unwrap();
        assert_eq!(answer["word"], format!("{word:?}"));
    }
    let many = ask_all(
        &[path.clone(), runtime.path().join("none.sock"), path],
        Word::Status,
    );
    let came: Vec<bool> = many.unwrap().iter().map(Result::is_ok).collect();
    assert_eq!(came, [true, false, true]);
}

#[test]
fn what_cannot_be_understood_is_refused_with_its_code() {
    let runtime = tempfile::tempdir().unwrap();
    let path = serving(runtime.path(), echo);
    let code = |method: &str, target: &str| refused(&path, method, target).0;
    assert_eq!(code("POST", "/resume?for=2h"), "200");
    assert_eq!(code("GET", "/destroy"), "404");
    assert_eq!(code("GET", "/pause"), "405");
    assert_eq!(code("POST", "/status"), "405");
    let (code, why) = refused(&path, "POST", "/resume?for=soon");
    assert_eq!(code, "400");
    assert!(why.contains("`soon` is not a duration"), "{why}");
    assert_eq!(refused(&path, "POST", "/resume?until=now").0, "400");
    assert_eq!(
        refused(&path, "GET", &format!("/{}", "x".repeat(9000))).0,
        "431"
    );
    assert!(raw(&path, "status\n\n").starts_with("HTTP/1.1 400"));
    let long = "POST /stop HTTP/1.1\r\nhost: x\r\ncontent-length: 4097\r\n\r\n";
    assert!(raw(&path, &format!("{long}{}", "x".repeat(4097))).starts_with("HTTP/1.1 413"));
    let short = "POST /stop HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    assert!(raw(&path, short).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_run_that_refuses_or_ends_says_so_with_a_code() {
    let runtime = tempfile::tempdir().unwrap();
    let path = serving(runtime.path(), |request| match request.word {
        Word::Pause => drop(request.answer.send(refusal("it cannot be"))),
        _ => drop(request.answer),
    });
    let refused = |method: &str, target: &str| refused(&path, method, target);
    let conflict = ("409".to_owned(), "it cannot be".to_owned());
    assert_eq!(refused("POST", "/pause"), conflict);
    assert!(ask(&path, Word::Pause).unwrap().contains("it cannot be"));
    let ending = ("503".to_owned(), "the run is ending".to_owned());
    assert_eq!(refused("POST", "/stop"), ending);
}

#[test]
fn silent_peers_are_turned_out_and_leave_room_for_others() {
    let runtime = tempfile::tempdir().unwrap();
    let path = serving(runtime.path(), echo);
    // All places are taken; they come free after two seconds.
    let silent: Vec<UnixStream> = (0..17)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    let until = crate::clock::monotonic() + Duration::from_secs(30);
    while ask(&path, Word::Status).is_err() {
        assert!(
            crate::clock::monotonic() < until,
            "no room in half a minute"
        );
    }
    let mut left = String::new();
    let _ = (&silent[0]).read_to_string(&mut left);
    assert!(
        left.is_empty() || left.starts_with("HTTP/1.1 408"),
        "{left}"
    );
}

#[test]
fn the_socket_is_for_its_owner_alone_and_does_not_take_the_place_of_one_that_answers() {
    let runtime = tempfile::tempdir().unwrap();
    let listener = listen(runtime.path(), "r7k2").unwrap();
    let path = socket(runtime.path(), "r7k2");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let taken = listen(runtime.path(), "r7k2").unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    drop(listener);
    listen(runtime.path(), "r7k2").unwrap();
}

#[test]
fn a_socket_whose_directory_was_removed_is_made_anew_and_the_old_one_closed() {
    let base = tempfile::tempdir().unwrap();
    let (first, second) = (base.path().join("a"), base.path().join("b"));
    let (sender, opened) = std::sync::mpsc::channel();
    let place = std::sync::Arc::new(std::sync::Mutex::new(first.clone()));
    let theirs = place.clone();
    std::thread::spawn(move || {
        let runtime = || Some(theirs.lock().unwrap().clone());
        let every = Duration::from_millis(1);
        keep(
            runtime,
            "r7k2",
            every,
            || false,
            |it| sender.send(it).is_ok(),
        );
    });
    let next = || opened.recv_timeout(Duration::from_secs(20)).unwrap();
    let mut old = next().unwrap();
    assert!(old.in_place.try_recv() == Err(TryRecvError::Empty));
    fs::remove_dir_all(&first).unwrap();
    let new = next().unwrap();
    assert!(old.in_place.try_recv() == Err(TryRecvError::Closed));
    UnixStream::connect(socket(&first, "r7k2")).unwrap();
    new.socket.accept().unwrap();
    // The user's runtime directory is there again.
    *place.lock().unwrap() = second.clone();
    let moved = next().unwrap();
    UnixStream::connect(socket(&second, "r7k2")).unwrap();
    moved.socket.accept().unwrap();
    assert!(!socket(&first, "r7k2").exists());
    // Trouble is told once, and its end by another socket.
    fs::remove_dir_all(&second).unwrap();
    fs::write(&second, "").unwrap();
    let mut told = next();
    while told.is_ok() {
        told = next();
    }
    fs::remove_file(&second).unwrap();
    next().unwrap();
}
