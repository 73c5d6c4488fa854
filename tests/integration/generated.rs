//! What is generated and committed is what the program generates: `completions/` and `man/`.

use std::fs;
use std::path::{Path, PathBuf};

use catrain::command::man::{completions, pages};
use clap_complete::Shell;

const SHELLS: [(Shell, &str); 5] = [
    (Shell::Bash, "catrain.bash"),
    (Shell::Zsh, "_catrain"),
    (Shell::Fish, "catrain.fish"),
    (Shell::PowerShell, "_catrain.ps1"),
    (Shell::Elvish, "catrain.elv"),
];

#[test]
fn committed_completions_are_those_of_this_program() {
    for (shell, name) in SHELLS {
        check(&root().join("completions").join(name), &completions(shell));
    }
}

#[test]
fn committed_manual_pages_are_those_of_this_program() {
    let pages = pages().unwrap();
    for (name, text) in &pages {
        check(&root().join("man").join(name), text);
    }
    let committed = fs::read_dir(root().join("man")).unwrap().count();
    assert_eq!(
        committed,
        pages.len(),
        "man/ has pages that no subcommand has"
    );
}

/// Compares, or with `CATRAIN_BLESS=1` writes anew.
fn check(path: &Path, wanted: &[u8]) {
    if std::env::var_os("CATRAIN_BLESS").is_some() {
        fs::write(path, wanted).unwrap();
    }
    let there = fs::read(path).unwrap_or_default();
    assert!(
        there == wanted,
        "{} is out of date: CATRAIN_BLESS=1 cargo test generated",
        path.display()
    );
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
