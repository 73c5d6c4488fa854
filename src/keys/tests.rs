use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;

/// Every place of one user, each empty at first.
struct Places {
    base: TempDir,
    variables: HashMap<String, OsString>,
    configured: Configured,
    store: Store,
}

impl Places {
    fn none() -> Self {
        let base = tempfile::tempdir().unwrap();
        let store = Store::at(base.path().join("keys"));
        Self {
            base,
            variables: HashMap::new(),
            configured: Configured::default(),
            store,
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.base.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    fn store(&self, source: &str, key: &str) {
        let now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        self.store.set(source, &key.into(), None, now).unwrap();
    }

    fn find(&self, source: &str) -> Result<Option<Found>, KeyError> {
        let env = |name: &str| self.variables.get(name).cloned();
        find(source, &self.configured, &env, Some(&self.store))
    }

    fn key(&self, source: &str) -> Option<String> {
        let found = self.find(source).unwrap()?;
        Some(found.key.expose_secret().to_owned())
    }

    fn error(&self, source: &str) -> String {
        let error = anyhow::Error::from(self.find(source).unwrap_err());
        format!("{error:#}").replace(&self.base.path().display().to_string(), "")
    }
}

#[test]
fn the_first_place_that_has_a_key_wins() {
    const SOURCE: &str = "electricity-maps";
    let mut all = Places::none();
    let mut found = vec![all.key(SOURCE)];
    all.store(SOURCE, "from the store");
    assert_eq!(all.key("watttime"), None);
    found.push(all.key(SOURCE));
    all.configured.key_file = Some(all.file("configured", "from the configured file\n"));
    found.push(all.key(SOURCE));
    all.configured.key = Some("from the configuration".into());
    found.push(all.key(SOURCE));
    all.configured.key_command = Some("echo from the command".to_owned());
    found.push(all.key(SOURCE));
    let directory = all.base.path().to_owned();
    all.set("CREDENTIALS_DIRECTORY", directory);
    found.push(all.key(SOURCE));
    all.file(SOURCE, "from the plain credential");
    found.push(all.key(SOURCE));
    all.file("catrain-electricity-maps-key", "from the credential\r\n");
    found.push(all.key(SOURCE));
    let path = all.file("named", "from the named file");
    all.set("CATRAIN_ELECTRICITY_MAPS_KEY_FILE", path);
    found.push(all.key(SOURCE));
    all.set("CATRAIN_ELECTRICITY_MAPS_KEY", "from the variable");
    found.push(all.key(SOURCE));
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(
        found,
        [
            None,
            Some("from the store"),
            Some("from the configured file"),
            Some("from the configuration"),
            Some("from the command"),
            Some("from the command"),
            Some("from the plain credential"),
            Some("from the credential"),
            Some("from the named file"),
            Some("from the variable"),
        ]
    );
    let from = all.find(SOURCE).unwrap().unwrap().from;
    assert_eq!(
        from.to_string(),
        "the variable `CATRAIN_ELECTRICITY_MAPS_KEY`"
    );
}

#[test]
fn a_place_that_has_a_bad_key_is_an_error_and_none_further_down_is_taken() {
    let mut all = Places::none();
    all.store("watttime", "user:password");
    let mut refused = |value: &str| {
        all.set("CATRAIN_WATTTIME_KEY", value);
        let error = all.error("watttime");
        let (before, why) = error.rsplit_once(": ").unwrap();
        assert!(before.contains("`CATRAIN_WATTTIME_KEY`"), "{error}");
        why.to_owned()
    };
    assert_eq!(refused(""), "it is empty");
    assert_eq!(refused(" \n"), "it is empty");
    assert_eq!(
        refused("user:pass\nword"),
        "it has a line end or another control character in it"
    );
    assert_eq!(refused("hush"), "it is not of the form USER:PASSWORD");
    assert_eq!(refused(":hush"), "it is not of the form USER:PASSWORD");
    assert_eq!(
        refused(&"x".repeat(LONGEST + 1)),
        "it is longer than 64 KiB"
    );
    all.set("CATRAIN_WATTTIME_KEY", OsString::from_vec(vec![0xff]));
    assert!(all.error("watttime").ends_with("it is not UTF-8 text"));
}

#[test]
fn a_file_that_is_named_must_be_there_and_others_that_can_read_it_are_told_of() {
    let mut all = Places::none();
    let path = all.file("named", "hush");
    let link = all.base.path().join("link");
    symlink(&path, &link).unwrap();
    all.set("CATRAIN_ELECTRICITY_MAPS_KEY_FILE", &link);
    let warning = |all: &Places| all.find("electricity-maps").unwrap().unwrap().warning;
    assert_eq!(warning(&all), None);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let told = warning(&all).unwrap();
    assert!(told.starts_with("others can read the key"), "{told}");
    fs::remove_file(&path).unwrap();
    insta::assert_snapshot!(
        all.error("electricity-maps"),
        @"cannot read the key of electricity-maps from `/link`, named by `CATRAIN_ELECTRICITY_MAPS_KEY_FILE`: No such file or directory (os error 2)"
    );
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(all.error("electricity-maps").ends_with("it is no file"));
}

#[test]
fn a_rotated_key_comes_with_the_one_before_it_until_that_is_retired() {
    let mut all = Places::none();
    let env = |_: &str| Some("passphrase".into());
    all.set(PASSPHRASE, "passphrase");
    let (now, passphrase) = (Timestamp::UNIX_EPOCH, passphrase(&env));
    let (store, source) = (&all.store, "electricity-maps");
    store
        .set(source, &"old".into(), passphrase.as_ref(), now)
        .unwrap();
    store
        .rotate(source, &"new".into(), passphrase.as_ref(), now)
        .unwrap();
    let found = all.find(source).unwrap().unwrap();
    assert_eq!(found.key.expose_secret(), "new");
    assert_eq!(found.previous.unwrap().expose_secret(), "old");
    retire(source, &env, store).unwrap();
    assert!(all.find(source).unwrap().unwrap().previous.is_none());
}

#[test]
fn no_debug_print_and_no_error_shows_a_key() {
    let mut all = Places::none();
    all.configured.key = Some("hush".into());
    let found = all.find("electricity-maps").unwrap().unwrap();
    let shown = format!("{found:?} {:?}", all.configured);
    assert!(
        shown.contains("REDACTED") && !shown.contains("hush"),
        "{shown}"
    );
    let error = all.find("watttime").unwrap_err();
    let shown = format!("{error} {error:?} {}", error.hint());
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn a_misspelt_source_is_recognised_and_what_may_be_a_secret_is_like_none() {
    assert_eq!(nearest("watt-time"), Some("watttime"));
    assert_eq!(nearest("electricitymap"), Some("electricity-maps"));
    assert_eq!(nearest("Neso"), Some("neso"));
    assert_eq!(nearest("hush-hush-0123456789abcdef"), None);
    assert_eq!(nearest(""), None);
    assert_eq!(
        keyed().collect::<Vec<_>>(),
        ["electricity-maps", "watttime"]
    );
}

#[test]
fn the_variables_that_hold_or_lead_to_a_key_are_known_by_their_names() {
    let names = [
        "CATRAIN_WATTTIME_KEY",
        "CATRAIN_WATTTIME_KEY_FILE",
        "CATRAIN_PASSPHRASE",
        "CATRAIN_ZONE",
        "CATRAIN_CONFIG_DIR",
        "WANDB_API_KEY",
        "CREDENTIALS_DIRECTORY",
    ];
    let secret = secret_variables(names.into_iter().map(OsString::from));
    assert_eq!(secret, names[..3]);
}
