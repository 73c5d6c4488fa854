//! The script that is submitted: the user's, with a supervisor of its own. Pure.
//!
//! A shell's script gets a few lines behind its `#SBATCH` lines, which replace the shell by `catrain run` on the
//! script itself; the second time through, the supervisor is there and the script goes on. Scripts of other
//! interpreters are carried by a script of the shell's: it puts the original in its own place, the file that
//! Slurm has made for this job and takes away after it, so that the job sees the file name that it would
//! have seen and nothing is left behind; no shell stays between the supervisor and the job, so signals
//! reach it once. Where the supervisor does not run on the node, the job runs without it and says so.

use std::ffi::OsStr;

use super::place::SUPERVISES;
use super::sbatch::is_leading;

/// What [`SUPERVISES`] says of this job, for a shell: see [`super::place::supervises`].
const MARK: &str = "${SLURM_JOB_ID-}.${SLURM_RESTART_COUNT-0}";

/// Why a script is none that Slurm takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing is in it.
    #[error("the script is empty")]
    Empty,
    /// Its first line names no interpreter.
    #[error(
        "the script's first line names no interpreter: it must begin with `#!`, such as `#!/bin/sh`"
    )]
    NoInterpreter,
    /// Its lines end as on Windows.
    #[error("the script's lines end with carriage returns, which Slurm refuses")]
    CarriageReturns,
    /// It is no text.
    #[error("the script contains a NUL character, which Slurm refuses: is it a program?")]
    Nul,
}

impl Refused {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Empty | Self::NoInterpreter => {
                "begin it with the line `#!/bin/sh`, or give a command with --wrap 'COMMAND'"
            }
            Self::CarriageReturns => "`sed -i 's/\\r$//' SCRIPT` makes them line feeds",
            Self::Nul => "submit a script that runs it, or give the command with --wrap 'COMMAND'",
        }
    }
}

/// How the supervisor is started on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supervisor {
    /// The program, as an absolute path.
    pub program: String,
    /// Options before `run`.
    pub globals: Vec<String>,
    /// Options of `run`.
    pub options: Vec<String>,
    /// Variables that it needs and the job may be without: `--export=NONE` gives it none of the user's.
    pub variables: Vec<(String, String)>,
}

/// The script that `sbatch --wrap` makes of a command.
pub fn wrapped(command: &[u8]) -> Vec<u8> {
    let mut script = b"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n".to_vec();
    script.extend_from_slice(command);
    script.push(b'\n');
    script
}

/// Refuses what Slurm would refuse, in the same order.
///
/// # Errors
/// What is wrong with it.
pub fn check(script: &[u8]) -> Result<(), Refused> {
    match script {
        [] => Err(Refused::Empty),
        _ if !script.starts_with(b"#!") => Err(Refused::NoInterpreter),
        _ if script.contains(&0) => Err(Refused::Nul),
        _ if script.windows(2).any(|pair| pair == b"\r\n") => Err(Refused::CarriageReturns),
        _ => Ok(()),
    }
}

/// The script with its supervisor.
///
/// # Errors
/// It is none that Slurm takes.
pub fn supervised(script: &[u8], supervisor: &Supervisor) -> Result<Vec<u8>, Refused> {
    check(script)?;
    let leading = leading(script);
    let (head, body) = script.split_at(leading);
    match is_of_a_shell(script) {
        true => {
            let mut made = head.to_vec();
            if !made.ends_with(b"\n") {
                made.push(b'\n');
            }
            made.extend_from_slice(within(supervisor).as_bytes());
            made.extend_from_slice(body);
            Ok(made)
        }
        false => Ok(carrying(script, head, supervisor)),
    }
}

/// Bytes of the lines before the first that is neither a comment nor empty.
fn leading(script: &[u8]) -> usize {
    let lines = script.split_inclusive(|byte| *byte == b'\n');
    let leading = lines.take_while(|line| is_leading(&String::from_utf8_lossy(line)));
    leading.map(<[u8]>::len).sum()
}

/// Whether a script is one of a shell that understands what POSIX says of shells, by its first line.
fn is_of_a_shell(script: &[u8]) -> bool {
    const SHELLS: [&str; 10] = [
        "sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "pdksh", "zsh", "rbash",
    ];
    let line = script.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim_start_matches("#!").split_whitespace();
    let name = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let first = words.next().map(name).unwrap_or_default();
    let shell = match first.as_str() {
        // `env -S VAR=value bash -e`
        "env" => words
            .find(|word| !word.starts_with('-') && !word.contains('='))
            .map(name)
            .unwrap_or_default(),
        _ => first,
    };
    SHELLS.contains(&shell.as_str())
}

/// One word for a shell.
fn quoted(word: &str) -> String {
    // Only a NUL cannot be quoted, and neither an argument nor a variable has one.
    shlex::try_quote(word).map_or_else(|_| "''".to_owned(), |word| word.into_owned())
}

/// A command line for a shell.
pub fn line<T: AsRef<OsStr>>(words: impl IntoIterator<Item = T>) -> String {
    let words = words
        .into_iter()
        .map(|word| quoted(&word.as_ref().to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

/// Sets what the supervisor needs, and puts it in the place of the shell, with `command` for its job.
fn start(supervisor: &Supervisor, indent: &str, command: &str) -> String {
    let Supervisor {
        program,
        globals,
        options,
        variables,
    } = supervisor;
    let mut words = vec![program.clone()];
    words.extend(globals.iter().cloned());
    words.push("run".to_owned());
    words.extend(options.iter().cloned());
    let mut text = String::new();
    for (name, value) in variables {
        let value = quoted(value);
        text.push_str(&format!("{indent}{name}={value}; export {name}\n"));
    }
    text.push_str(&format!(
        "{indent}{SUPERVISES}=\"{MARK}\"; export {SUPERVISES}\n"
    ));
    text.push_str(&format!("{indent}exec {} -- {command}\n", line(words)));
    text
}

/// Whether the supervisor runs on this node: a path may lead nowhere there, or to a program of another
/// architecture, and a shell ends when its `exec` fails.
fn runs(supervisor: &Supervisor) -> String {
    format!("{} --version >/dev/null 2>&1", quoted(&supervisor.program))
}

fn is_missing(supervisor: &Supervisor) -> String {
    let what = format!(
        "catrain: {} does not run on this node; the job runs without it",
        supervisor.program
    );
    format!("echo {} >&2", quoted(&what))
}

/// What is put into a shell's script.
fn within(supervisor: &Supervisor) -> String {
    format!(
        "# catrain: what follows runs under its own supervisor (catrain slurm submit)\n\
         if [ \"${{{SUPERVISES}-}}\" != \"{MARK}\" ]; then\n    \
             if {}; then\n{}    \
             fi\n    \
             {}\n\
         fi\n",
        runs(supervisor),
        start(supervisor, "        ", "\"$0\" \"$@\""),
        is_missing(supervisor),
    )
}

/// A shell's script that carries another.
fn carrying(script: &[u8], head: &[u8], supervisor: &Supervisor) -> Vec<u8> {
    let end = delimiter(script);
    let mut made = b"#!/bin/sh\n".to_vec();
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"#SBATCH") {
            made.extend_from_slice(line);
        }
    }
    if !made.ends_with(b"\n") {
        made.push(b'\n');
    }
    // The braces: a shell reads all of this before it begins, and its file is about to change.
    let before = format!(
        "# catrain: the script below takes the place of this one, and runs under its own supervisor\n\
         # (catrain slurm submit)\n\
         {{\n\
         catrain_script=$0\n\
         if ! [ -w \"$0\" ]; then\n    \
             catrain_script=$(mktemp \"${{SLURM_TMPDIR:-${{TMPDIR:-/tmp}}}}/catrain.XXXXXX\") || exit 1\n    \
             chmod 700 \"$catrain_script\" || exit 1\n\
         fi\n\
         cat >\"$catrain_script\" <<'{end}' || exit 1\n"
    );
    made.extend_from_slice(before.as_bytes());
    made.extend_from_slice(script);
    if !made.ends_with(b"\n") {
        made.push(b'\n');
    }
    let after = format!(
        "{end}\n\
         if [ \"$catrain_script\" = \"$0\" ]; then\n    \
             set -- \"$0\" \"$@\"\n\
         else\n    \
             set -- /bin/sh -c '\"$0\" \"$@\"; code=$?; rm -f \"$0\"; exit \"$code\"' \"$catrain_script\" \"$@\"\n\
         fi\n\
         if {}; then\n{}\
         fi\n\
         {}\n\
         exec \"$@\"\n\
         }}\n",
        runs(supervisor),
        start(supervisor, "    ", "\"$@\""),
        is_missing(supervisor),
    );
    made.extend_from_slice(after.as_bytes());
    made
}

/// A line that does not occur in the script.
fn delimiter(script: &[u8]) -> String {
    let occurs = |word: &str| {
        let mut lines = script.split(|byte| *byte == b'\n');
        lines.any(|line| line == word.as_bytes())
    };
    let mut number = 0_u32;
    loop {
        let word = match number {
            0 => "CATRAIN_END".to_owned(),
            number => format!("CATRAIN_END_{number}"),
        };
        if !occurs(&word) {
            return word;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor() -> Supervisor {
        Supervisor {
            program: "/opt/it's/catrain".to_owned(),
            globals: vec!["--profile=night".to_owned()],
            options: ["--submitted", "--name=a b", "-d", "6h"]
                .map(str::to_owned)
                .into(),
            variables: vec![("CATRAIN_STATE_DIR".to_owned(), "/home/a b".to_owned())],
        }
    }

    fn made(script: &str) -> String {
        String::from_utf8(supervised(script.as_bytes(), &supervisor()).unwrap()).unwrap()
    }

    #[test]
    fn a_shells_script_gets_its_supervisor_behind_its_directives() {
        let made = made("#!/bin/bash -e\n#SBATCH -t 5\n\n# words\nset -u\necho hi\n");
        let expected = r#"#!/bin/bash -e
#SBATCH -t 5

# words
# catrain: what follows runs under its own supervisor (catrain slurm submit)
if [ "${CATRAIN_SUPERVISES-}" != "${SLURM_JOB_ID-}.${SLURM_RESTART_COUNT-0}" ]; then
    if "/opt/it's/catrain" --version >/dev/null 2>&1; then
        CATRAIN_STATE_DIR='/home/a b'; export CATRAIN_STATE_DIR
        CATRAIN_SUPERVISES="${SLURM_JOB_ID-}.${SLURM_RESTART_COUNT-0}"; export CATRAIN_SUPERVISES
        exec "/opt/it's/catrain" '--profile=night' run --submitted '--name=a b' -d 6h -- "$0" "$@"
    fi
    echo "catrain: /opt/it's/catrain does not run on this node; the job runs without it" >&2
fi
set -u
echo hi
"#;
        assert_eq!(made, expected);
    }

    #[test]
    fn shells_are_told_by_their_first_line() {
        for (line, is_shell) in [
            ("#!/bin/sh", true),
            ("#! /usr/bin/bash -l", true),
            ("#!/usr/bin/env bash", true),
            ("#!/usr/bin/env -S LANG=C zsh -e", true),
            ("#!/usr/bin/env python3", false),
            ("#!/usr/bin/python3", false),
            ("#!/bin/csh", false),
            ("#!/bin/tcsh -f", false),
            ("#!/usr/bin/fish", false),
            ("#!", false),
        ] {
            assert_eq!(is_of_a_shell(line.as_bytes()), is_shell, "{line}");
        }
    }

    #[test]
    fn what_slurm_refuses_is_refused_in_our_words() {
        for (script, why) in [
            (&b""[..], Refused::Empty),
            (b"echo\n", Refused::NoInterpreter),
            (b"\n#!/bin/sh\n", Refused::NoInterpreter),
            (b"#!/bin/sh\r\necho\r\n", Refused::CarriageReturns),
            (b"#!/bin/sh\necho \0\n", Refused::Nul),
        ] {
            assert_eq!(supervised(script, &supervisor()), Err(why));
            assert!(!why.hint().is_empty());
        }
    }

    #[test]
    fn a_command_is_wrapped_as_sbatch_wraps_it() {
        let script = wrapped(b"python t.py");
        let expected = "#!/bin/sh\n# This script was created by sbatch --wrap.\n\npython t.py\n";
        assert_eq!(script, expected.as_bytes());
    }

    #[test]
    fn a_script_without_a_last_line_feed_is_whole() {
        assert!(made("#!/bin/sh\n#SBATCH -t 5").contains("#SBATCH -t 5\n# catrain"));
        assert!(made("#!/bin/sh\necho hi").ends_with("fi\necho hi"));
        assert!(made("#!/usr/bin/perl\nprint 1;").contains("\nprint 1;\nCATRAIN_END\n"));
    }

    #[test]
    fn the_script_of_another_interpreter_is_carried_whole_with_its_directives() {
        let python = "#!/usr/bin/env python3\n#SBATCH -t 5\n# words\nprint('$HOME `x`')\n\
                      #SBATCH -p late\nCATRAIN_END\n";
        let made = made(python);
        assert!(
            made.starts_with("#!/bin/sh\n#SBATCH -t 5\n# catrain"),
            "{made}"
        );
        assert!(made.contains(&format!(
            "<<'CATRAIN_END_1' || exit 1\n{python}CATRAIN_END_1\n"
        )));
    }

    /// Runs what was made as Slurm would, with `echo` for the supervisor.
    fn ran(script: &str, program: &str, arguments: &[&str]) -> (String, String, String) {
        use std::os::unix::fs::PermissionsExt;
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("slurm_script");
        let fake = here.path().join("fake");
        let text = "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho \"$CATRAIN_SUPERVISES $*\" >&2\n\
                    while [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n";
        std::fs::write(&fake, text).unwrap();
        let supervisor = Supervisor {
            program: match program {
                "fake" => fake.display().to_string(),
                other => other.to_owned(),
            },
            options: vec!["--submitted".to_owned()],
            ..Supervisor::default()
        };
        std::fs::write(&path, supervised(script.as_bytes(), &supervisor).unwrap()).unwrap();
        for file in [&path, &fake] {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        let mut command = std::process::Command::new(&path);
        command.args(arguments).env("SLURM_JOB_ID", "17");
        let ended = command.output().unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.replace(&here.path().display().to_string(), "HERE")
        };
        let after = std::fs::read(&path).unwrap();
        assert_eq!(ended.status.code(), Some(3), "{}", text(&ended.stderr));
        (text(&ended.stdout), text(&ended.stderr), text(&after))
    }

    #[test]
    fn a_job_runs_once_under_its_supervisor_with_its_arguments_and_its_exit_code() {
        let shell = "#!/bin/sh\nprintf '%s,' \"$0\" \"$@\"\nexit 3\n";
        let (out, told, _) = ran(shell, "fake", &["a b", "*"]);
        assert_eq!(out, "HERE/slurm_script,a b,*,");
        assert_eq!(told, "17.0 run --submitted -- HERE/slurm_script a b *\n");
        // The interpreter stands for any that is no shell of ours.
        let other = "#!/usr/bin/env -S awk -f\nBEGIN { printf \"%s,\", ARGV[1]; exit 3 }\n";
        let (out, told, after) = ran(other, "fake", &["a b"]);
        assert_eq!(out, "a b,");
        assert_eq!(told, "17.0 run --submitted -- HERE/slurm_script a b\n");
        assert_eq!(after, other, "the job's file is the script itself");
    }

    #[test]
    fn a_job_runs_without_a_supervisor_that_is_not_there() {
        let shell = "#!/bin/sh\nprintf '%s,' \"$@\"\nexit 3\n";
        let other = "#!/usr/bin/env -S awk -f\nBEGIN { printf \"%s,\", ARGV[1]; exit 3 }\n";
        for script in [shell, other] {
            let (out, told, _) = ran(script, "/nowhere/catrain", &["a b"]);
            assert_eq!(out, "a b,");
            assert!(
                told.contains("/nowhere/catrain does not run on this node"),
                "{told}"
            );
        }
    }
}
