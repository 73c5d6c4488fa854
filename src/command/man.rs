//! `catrain man` and `catrain completions`: what stands in `man/` and `completions/`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::config::table::keys;
use crate::config::template::default_of;
use crate::error::{EXIT_CODES, Failure};

/// What `run` promises. Each has a test that quotes it.
pub const PROMISES: [(&str, &str); 7] = [
    (
        "The job outranks the planner.",
        "No data, a broken ledger, a full or hanging disk, a terminal that takes no output, or a bug \
         in planning leads to a running job, a warning and a record, never to a job left stopped.",
    ),
    (
        "A job is never stranded.",
        "catrain killed, at any moment and in any way: within one second no process of the job is \
         left stopped by us. catrain hung (disk, terminal, stopped itself): within 70 s.",
    ),
    (
        "Paused means paused.",
        "A pause is reported only when every process and thread of the job, workers in sessions of \
         their own included, is seen stopped. What the job itself had stopped is left alone.",
    ),
    (
        "The exit is the job's exit.",
        "Same code, or the same signal. Own failures before the start: 125, not executable 126, not \
         found 127, usage or configuration 2.",
    ),
    (
        "Deadlines hold",
        "whenever the job's true remainder is within what was promised to the planner; if a deadline \
         cannot be met, or is too tight to wait, catrain says which at once and runs without pausing.",
    ),
    (
        "No number without a source.",
        "Each intensity, joule and gram carries its kind (measured, estimated, assumed), source and \
         age. Missing is never zero.",
    ),
    (
        "Out of the way.",
        "No visible slow-down of the job: start-up in milliseconds, one thread that decides and \
         helpers only for what may block, about one wake-up a second, none of the job's output touched.",
    ),
];

/// How signals are treated, in the manual of `run`.
const SIGNALS: &str = "\
INT, TERM, HUP, QUIT, USR1, USR2 and WINCH that reach catrain are passed to the job once each; all \
but WINCH wake a paused job so that it hears them. Whether it ends is the job's affair. TERM, and INT \
or HUP when no terminal is left, start the grace period; INT and QUIT from a terminal start none; a \
third INT within two seconds kills. A held run, with no job yet, ends by INT, TERM, HUP or QUIT. A \
signal that came ignored stays ignored in both; the job gets the dispositions and the mask that \
catrain was started with. Signals that are sent to every process alike are not delivered twice. \
Ctrl-Z stops job and catrain together, fg continues both without undoing a pause of the plan.";

/// What stands before the keys, in the manual of the configuration.
const CONFIGURATION: &str = "\
TOML. Later wins: what is built in, /etc/catrain/config.toml, config.toml in the user's configuration \
directory ($XDG_CONFIG_HOME/catrain), catrain.toml in the working directory, the profile ([profile.NAME], \
chosen by --profile or CATRAIN_PROFILE), the variables named here, flags. catrain.toml in the working \
directory is data from a stranger: it may set only what is marked, is read only if nobody else may \
write it, and is never read again while a run goes on. A run takes a changed file by itself; a bad one \
is refused whole. When a change counts for a run that goes on: at once, with its next plan, or only for \
a new run. Every key of [run] is the flag of catrain run of the same name.";

/// The command line as `clap` knows it, its subcommands included.
pub fn command_line() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// The name and text of each manual page.
///
/// # Errors
/// None in practice: it writes to memory.
pub fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let whole = command_line();
    let mut pages = vec![page("catrain", &whole)?];
    for part in whole.get_subcommands() {
        let name = format!("catrain-{}", part.get_name());
        pages.push(page(&name, part)?);
        for part in part.get_subcommands() {
            pages.push(page(&format!("{name}-{}", part.get_name()), part)?);
        }
    }
    pages.push(("catrain.toml.5".to_owned(), keys_page()));
    Ok(pages)
}

/// The manual page of the configuration: the table of keys.
fn keys_page() -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        ".TH CATRAIN.TOML 5 \"\" \"catrain {version}\" \"catrain manual\"\n.SH NAME\n\
         catrain.toml \\- configuration of catrain\n.SH DESCRIPTION\n{}\n",
        roff(CONFIGURATION)
    );
    let mut above = None;
    for key in keys() {
        if above != Some(key.above()) {
            above = Some(key.above());
            let head = match key.above() {
                "" => "at the top".to_owned(),
                above => match above.strip_suffix("[]") {
                    Some(list) => format!("[[{list}]]"),
                    None => format!("[{above}]"),
                },
            };
            text.push_str(&format!(".SH \"{}\"\n", roff(&head)));
        }
        let value = default_of(key).map_or_else(
            || "nothing is set by itself".to_owned(),
            |value| format!("{value} where it is not set"),
        );
        let anyones = if key.is_anyones {
            "; ./catrain.toml may set it"
        } else {
            ""
        };
        let variable = (key.variable.as_ref()).map_or_else(String::new, |name| format!("; {name}"));
        let facts = format!("{value}; counts: {}{anyones}{variable}", key.takes.as_str());
        text.push_str(&format!(
            ".TP\n\\fB{}\\fR\n{}.\n.br\n{}.\n",
            roff(key.name()),
            roff(&key.help),
            roff(&facts)
        ));
    }
    text.into_bytes()
}

fn page(name: &str, command: &Command) -> io::Result<(String, Vec<u8>)> {
    let title = name.to_owned();
    let version = format!("catrain {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(
        command
            .clone()
            .name(title.clone())
            .version(env!("CARGO_PKG_VERSION")),
    )
    .title(title.to_uppercase())
    .source(version)
    .manual("catrain manual");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_extra_section(&mut text)?;
    if name == "catrain-run" {
        writeln!(text, ".SH PROMISES")?;
        for (promise, detail) in PROMISES {
            writeln!(text, ".TP\n{}\n{}", roff(promise), roff(detail))?;
        }
        writeln!(text, ".SH SIGNALS\n{}", roff(SIGNALS))?;
        writeln!(text, ".SH \"EXIT CODES\"\n.nf\n{}\n.fi", roff(EXIT_CODES))?;
    }
    Ok((format!("{name}.1"), text))
}

fn roff(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace("\n.", "\n\\&.")
        .replace('\'', "\\(aq")
}

/// `catrain man [DIRECTORY]`.
///
/// # Errors
/// The directory cannot be written.
pub fn man(directory: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let pages = pages().map_err(anyhow::Error::from)?;
    let Some(directory) = directory else {
        let main = String::from_utf8_lossy(&pages[0].1).into_owned();
        return super::print(out, &main);
    };
    let failed = |error: io::Error, path: &Path| {
        anyhow::Error::new(error).context(format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| failed(error, directory))?;
    for (name, text) in pages {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| failed(error, &path))?;
    }
    Ok(())
}

/// The completion script of a shell.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "catrain", &mut script);
    script
}
