//! Notes the head of a record where heads are kept, signed by the user's key where there is one.

use std::path::PathBuf;
use std::time::Duration;

use super::heads::{self, Head};
use super::sign::{KeyTrouble, Signer};

/// How long is tried for the lock of the file of heads.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where heads go, and by whose key they are signed.
#[derive(Clone, Debug, Default)]
pub(super) struct Notary {
    /// The state directory; none: nowhere.
    pub(super) state: Option<PathBuf>,
    /// The file of the key.
    pub(super) key: Option<PathBuf>,
}

impl Notary {
    /// The key, read each time that it is needed: it must not lie in memory for weeks.
    pub(super) fn signer(&self) -> Result<Option<Signer>, KeyTrouble> {
        self.key.as_deref().map(Signer::load).transpose()
    }

    /// Notes a head; says what went wrong. One that cannot be signed is noted all the same.
    pub(super) fn note(&self, head: Head) -> Option<String> {
        let state = self.state.as_ref()?;
        let (head, unsigned) = match self.signer() {
            Ok(Some(signer)) => (signer.sign(head), None),
            Ok(None) => (head, None),
            Err(why) => (head, Some(format!("its head is not signed: {why}"))),
        };
        match heads::append(state, &head, PATIENCE) {
            Ok(()) => unsigned,
            Err(why) => {
                let path = heads::path(state);
                let path = path.display();
                Some(format!(
                    "its head is not noted in {path}: {why}; keep it elsewhere: {}",
                    head.head
                ))
            }
        }
    }
}
