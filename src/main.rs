//! Starts things: the guard or the relay if that is what this process is to be, else the command that was typed.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use catrain::command;
use catrain::error::Kind;
use catrain::executor::{self, Inherited};
use catrain::report::text::harmless;

fn main() -> ExitCode {
    if executor::is_guard() {
        executor::guard_main();
    }
    if executor::is_relay() {
        executor::relay_main();
    }
    let inherited = Inherited::capture();
    match command::dispatch(env::args_os().collect(), &inherited) {
        Ok(code) => code,
        Err(failure) => {
            // A panic hook or `RUST_BACKTRACE` must not decide how an error reads.
            let kind: Kind = failure.kind;
            // What it quotes was typed or stands in a file of others: a terminal must not obey it.
            let text = format!("catrain: error: {failure}");
            for line in text.lines() {
                let _ = writeln!(io::stderr().lock(), "{}", harmless(line));
            }
            ExitCode::from(kind.exit_code())
        }
    }
}
