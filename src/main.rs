//! Starts `catrain`, or the watchdog when called by its name.

use catrain::executor::watchdog::{NAME, guard_main};

fn main() {
    if std::env::args_os().next().is_some_and(|name| name == NAME) {
        guard_main();
    }
}
