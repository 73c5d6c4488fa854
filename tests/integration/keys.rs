//! `catrain key`, and that nothing of a key reaches arguments, screens, files or the job.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::child::{Ended, Running};
use crate::support::pty::{CTRL_C, CTRL_Z, PROMPT, Pty};
use crate::support::{SOON, Sandbox};

const CATRAIN: &str = env!("CARGO_BIN_EXE_catrain");
const ASKED: &str = "key for electricity-maps (not shown): ";

/// `catrain key` with these words and this on standard input.
pub(crate) fn key(sandbox: &Sandbox, line: &str, input: &str) -> Ended {
    with(
        sandbox.catrain(["key"]).args(line.split_whitespace()),
        input,
    )
}

fn with(command: &mut Command, input: &str) -> Ended {
    Running::start_with(command, input.as_bytes()).wait(SOON)
}

#[track_caller]
fn good(ended: Ended) -> String {
    assert!(
        ended.status.success() && ended.stderr.is_empty(),
        "{ended:?}"
    );
    ended.stdout
}

#[track_caller]
fn bad(ended: Ended, code: i32) -> String {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    assert_eq!(ended.stdout, "");
    ended.stderr
}

/// Every file below a directory that holds the text; none while there is no such directory.
pub(crate) fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if path.is_file() {
            // One that is being replaced may be gone.
            let bytes = fs::read(&path).unwrap_or_default();
            let holds = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            found.extend(holds.then(|| path.display().to_string()));
        }
    }
    found
}

#[test]
fn a_key_is_set_listed_rotated_and_removed_and_never_shown() {
    let sandbox = Sandbox::new();
    let said = [
        good(key(&sandbox, "list", "")),
        good(key(&sandbox, "set electricity-maps", "hush-1\n")),
        good(key(&sandbox, "rotate electricity-maps", "hush-2\n")),
        good(key(&sandbox, "list", "")),
        good(key(&sandbox, "remove electricity-maps", "")),
        bad(key(&sandbox, "remove electricity-maps", ""), 1),
        bad(key(&sandbox, "rotate electricity-maps", "hush-3"), 1),
    ];
    insta::with_settings!({filters => vec![(r"\d\d:\d\d", "[time]")]}, {
        insta::assert_snapshot!(said.join(""), @r#"
    no key is set; `catrain key set NAME` keeps one: electricity-maps, watttime
    the key of electricity-maps is kept as version 1, sealed with the key file beside it
    the key of electricity-maps is version 2 now; the one before it is kept, to be tried once should this one be refused
    SOURCE            VERSION  SET               FROM
    electricity-maps  2        [time]             the encrypted store; the key before it is kept
    the key of electricity-maps is forgotten; electricity-maps has no key now
    catrain: error: there is no key of electricity-maps in the store
      hint: electricity-maps has no key now
    catrain: error: there is no key of electricity-maps in the store
      hint: catrain key set NAME
    "#);
    });
    assert_eq!(files_with(&sandbox.state_dir(), "hush"), [""; 0]);
}

#[test]
fn a_key_as_an_argument_is_refused_and_not_repeated() {
    let sandbox = Sandbox::new();
    for line in [
        "set electricity-maps hush",
        "set electricity-maps -hush",
        "set electricity-maps --key=hush",
        "rotate electricity-maps hush",
        "set hush-hush-hush",
    ] {
        let said = bad(key(&sandbox, line, ""), 2);
        assert!(!said.contains("hush"), "{line}: {said}");
    }
    let said = bad(key(&sandbox, "set electricity-maps hush", ""), 2);
    assert!(
        said.contains("every user of this machine could see it"),
        "{said}"
    );
    assert!(!sandbox.state_dir().join("keys").exists());
}

#[test]
fn a_name_that_is_misspelt_or_needs_no_key_is_told() {
    let sandbox = Sandbox::new();
    let said = [
        bad(key(&sandbox, "set watt-time", "a:b"), 2),
        bad(key(&sandbox, "remove neso", ""), 2),
        bad(key(&sandbox, "set carbon-aware-sdk", "k"), 2),
        bad(key(&sandbox, "set watttime", "no colon"), 1),
        bad(key(&sandbox, "set electricity-maps", ""), 1),
    ];
    insta::assert_snapshot!(said.join(""), @r#"
    catrain: error: unknown source `watt-time`
      hint: did you mean `watttime`?
      hint: keys are kept for electricity-maps and watttime
    catrain: error: neso needs no key
    catrain: error: carbon-aware-sdk needs no key
    catrain: error: this is no key of watttime: it is not of the form USER:PASSWORD
      hint: nothing was changed
    catrain: error: this is no key of electricity-maps: it is empty
      hint: nothing was changed
    "#);
}

#[test]
fn the_list_for_programs_tells_every_place_in_order() {
    let sandbox = Sandbox::new();
    good(key(&sandbox, "set watttime", "user:hush"));
    let mut list = sandbox.catrain(["key", "list", "--json"]);
    let file = sandbox.write("credentials/watttime", "user:hush");
    let list = list
        .env("CATRAIN_WATTTIME_KEY", "user:hush")
        .env("CREDENTIALS_DIRECTORY", file.parent().unwrap());
    let text = good(with(list, ""));
    assert!(!text.contains("hush"), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "catrain.keys/1");
    let rows: Vec<_> = (document["keys"].as_array().unwrap().iter())
        .map(|row| (row["place"].as_str().unwrap(), row["is_used"] == true))
        .collect();
    let wanted = [("variable", true), ("credential", false), ("store", false)];
    assert_eq!(rows, wanted);
    assert_eq!(document["keys"][2]["version"], 1);
}

#[test]
fn a_damaged_key_is_listed_as_such_and_setting_it_again_is_the_way_out() {
    let sandbox = Sandbox::new();
    good(key(&sandbox, "set watttime", "user:hush"));
    let keys = sandbox.state_dir().join("keys");
    fs::copy(keys.join("watttime.key"), keys.join("electricity-maps.key")).unwrap();
    let listed = good(key(&sandbox, "list", ""));
    assert!(listed.contains("it is that of `watttime`"), "{listed}");
    let said = bad(key(&sandbox, "rotate electricity-maps", "k"), 1);
    assert!(
        said.contains("hint: set the key again: catrain key set NAME"),
        "{said}"
    );
    good(key(&sandbox, "set electricity-maps", "k"));
}

#[test]
fn a_passphrase_seals_and_a_wrong_one_opens_nothing() {
    let sandbox = Sandbox::new();
    let with_passphrase = |line: &str, passphrase: &str, input: &str| {
        let mut command = sandbox.catrain(["key"]);
        let words = line.split_whitespace();
        with(
            command.args(words).env("CATRAIN_PASSPHRASE", passphrase),
            input,
        )
    };
    let said = good(with_passphrase(
        "set electricity-maps",
        "right-hush",
        "hush",
    ));
    assert!(said.contains("sealed with the passphrase"), "{said}");
    let said = bad(with_passphrase("rotate electricity-maps", "wrong", "k"), 1);
    assert!(said.contains("the passphrase is wrong"), "{said}");
    let said = bad(key(&sandbox, "rotate electricity-maps", "k"), 1);
    assert!(said.contains("hint: set CATRAIN_PASSPHRASE"), "{said}");
    good(with_passphrase(
        "rotate electricity-maps",
        "right-hush",
        "hush-2",
    ));
    assert_eq!(files_with(&sandbox.state_dir(), "hush"), [""; 0]);
    let said = bad(key(&sandbox, "set watttime --passphrase", "a:b"), 2);
    assert!(said.contains("on a terminal only"), "{said}");
}

#[test]
fn what_is_typed_on_a_terminal_is_not_shown() {
    let sandbox = Sandbox::new();
    let arguments = [CATRAIN, "key", "set", "electricity-maps", "--passphrase"];
    let mut pty = Pty::start(&sandbox, &arguments);
    pty.expect(ASKED, SOON);
    pty.send_line("hush");
    pty.expect("new passphrase (not shown): ", SOON);
    pty.send_line("hush-hush");
    pty.expect("the same again (not shown): ", SOON);
    pty.send_line("hush-hush");
    pty.expect("is kept as version 1, sealed with the passphrase", SOON);
    assert!(pty.wait(SOON).success());
    assert!(!pty.screen().contains("hush"), "{}", pty.screen());
    let listed = good(key(&sandbox, "list", ""));
    assert!(listed.contains("sealed with a passphrase"), "{listed}");
}

#[test]
fn two_passphrases_that_differ_change_nothing() {
    let sandbox = Sandbox::new();
    let arguments = [CATRAIN, "key", "set", "electricity-maps", "--passphrase"];
    let mut pty = Pty::start(&sandbox, &arguments);
    for (prompt, line) in [(ASKED, "k"), ("new passphrase", "one"), ("again", "two")] {
        pty.expect(prompt, SOON);
        pty.send_line(line);
    }
    pty.expect("the two passphrases differ", SOON);
    assert_eq!(pty.wait(SOON).code(), Some(1));
    assert!(!sandbox.state_dir().join("keys").exists());
}

#[test]
fn ctrl_c_gives_the_terminal_its_echo_back() {
    let sandbox = Sandbox::new();
    // A shell that survives the key, and does not repair the terminal as an interactive one does.
    let script =
        format!("trap : INT; {CATRAIN} key set electricity-maps; echo \"ended $?\"; stty -a");
    let mut pty = Pty::start(&sandbox, &["sh", "-c", &script]);
    pty.expect(ASKED, SOON);
    pty.send(CTRL_C);
    pty.expect("ended 130", SOON);
    let settings = pty.expect("echoke", SOON);
    assert!(!settings.contains("-echo "), "{settings}");
    assert!(settings.contains(" echo "), "{settings}");
    pty.wait(SOON);
}

#[test]
fn who_comes_back_from_a_stop_is_asked_again() {
    let sandbox = Sandbox::new();
    let mut pty = Pty::shell(&sandbox);
    pty.send_line(&format!("{CATRAIN} key set electricity-maps"));
    pty.expect(ASKED, SOON);
    pty.send(CTRL_Z);
    pty.expect(PROMPT, SOON);
    pty.send_line("fg");
    pty.expect(ASKED, SOON);
    pty.send_line("hush");
    pty.expect("is kept as version 1", SOON);
    pty.expect(PROMPT, SOON);
    assert!(!pty.screen().contains("hush"), "{}", pty.screen());
}

/// SPEC: "Secrets stay secret: never in logs, errors, ledger, reports, process arguments, metrics or
/// the environment of the job."
#[test]
fn the_job_sees_no_key_of_ours_and_no_record_holds_one() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.catrain(["run", "--policy", "now", "--", "env"]);
    let run = run
        .env("CATRAIN_ELECTRICITY_MAPS_KEY", "hush")
        .env("CATRAIN_WATTTIME_KEY_FILE", "/hush")
        .env("CATRAIN_PASSPHRASE", "hush")
        .env("WANDB_API_KEY", "the job's own");
    let ended = with(run, "");
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.contains("CATRAIN_STATE_DIR="), "{ended:?}");
    assert!(
        ended.stdout.contains("WANDB_API_KEY=the job's own"),
        "{ended:?}"
    );
    assert!(
        !ended.stdout.contains("hush") && !ended.stderr.contains("hush"),
        "{ended:?}"
    );
    for name in ["_MAPS_KEY", "_KEY_FILE", "PASSPHRASE"] {
        assert!(!ended.stdout.contains(name), "{name}: {}", ended.stdout);
    }
    assert_eq!(files_with(&sandbox.state_dir(), "hush"), [""; 0]);
}
