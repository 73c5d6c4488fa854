//! Starting a process that outlives the terminal: in a session of its own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::Inherited;

/// The process that is started has a session of its own, so that no terminal hangs it up, and the
/// signal mask and dispositions that `catrain` was started with.
pub fn in_own_session(command: &mut Command, inherited: &Inherited) {
    let inherited = *inherited;
    // SAFETY: between fork and exec only system calls are made, on values that live on the stack;
    // nothing allocates, locks or unwinds.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            inherited.restore()
        });
    }
}
