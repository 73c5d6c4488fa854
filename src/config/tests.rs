use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::caller::limits::{Again, Bounds, Bulkhead, Keep, Pace, Patience, Trip};

const EVERYTHING: &str = r#"
zone = "de"

[run]
source = ["electricity-maps", "file:/traces/DE.csv", "built-in"]
account-with = "watttime"

[sources.electricity-maps]
base_url = "https://maps.example/api"
key = "secret-of-maps"
version = "v3"
emission_factors = "direct"
places = { DE = "DE-LU" }

[sources.watttime]
base_url = "http://127.0.0.1:8080"
key_file = "/run/keys/watttime"
key_command = "pass watttime"

[sources.neso]
base_url = "https://neso.example"

[sources.energy-charts.places]
FR = "fr"

[sources.energi-data-service]
base_url = "https://eds.example"

[sources.carbon-aware-sdk]
base_url = "http://localhost:8080"
places = { IE = "northeurope" }

[resilience]
attempts = 2
retry_delay = "500ms"
timeout_floor = "3s"
timeout_ceiling = "20s"
at_once = 0x10
burst = 1_000
interval = "2s"
slowest_interval = "2m"
breaker_failures = 0.25
breaker_least = 20
breaker_cool_down = "1m"
breaker_cool_down_most = "1h"
largest_answer_bytes = 1024

[cache]
entries = 7
bytes = 65_536
valid_least = "2m"
valid_most = "3h"
"#;

fn user() -> Layer {
    Layer::User(PathBuf::from("own.toml"))
}

/// What one file sets, and what is wrong with it.
fn checked(text: &str, layer: &Layer) -> (Config, Vec<String>) {
    let read = Read::text(layer.clone(), text.to_owned());
    let set = Config::of(read.files[0].1.base.clone(), None);
    match read.configuration(None, |_| None) {
        Ok(config) => (config, Vec::new()),
        Err(Problems(problems)) => (set, problems.iter().map(Problem::to_string).collect()),
    }
}

fn set(text: &str) -> Config {
    let (config, problems) = checked(text, &user());
    assert_eq!(problems, [""; 0], "{text}");
    config
}

fn problems(text: &str) -> Vec<String> {
    checked(text, &user()).1
}

/// The one problem of a text, without its place.
fn problem(text: &str) -> String {
    let (place, what) = match &problems(text)[..] {
        [one] => one
            .split_once(": ")
            .map(|(a, b)| (a.to_owned(), b.to_owned())),
        several => panic!("{text}: {several:?}"),
    }
    .unwrap();
    assert!(place.starts_with("own.toml:"), "{place}");
    what
}

fn value<T: Clone>(told: &Option<Told<T>>) -> Option<T> {
    told.as_ref().map(|told| told.value.clone())
}

/// Files of the three layers in directories of their own.
struct Files {
    base: TempDir,
}

impl Files {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        for directory in ["system", "user", "project"] {
            let path = base.path().join(directory);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        Self { base }
    }

    fn path(&self, directory: &str) -> PathBuf {
        self.base.path().join(directory).join("c.toml")
    }

    fn write(&self, directory: &str, text: &str) {
        let path = self.path(directory);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    }

    fn load(&self) -> Result<(Config, Vec<String>), Vec<String>> {
        self.load_with(|_| None)
    }

    fn load_with(
        &self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(Config, Vec<String>), Vec<String>> {
        let layers = [
            Layer::System(self.path("system")),
            Layer::User(self.path("user")),
            Layer::Project(self.path("project")),
        ];
        let told = |text: String| text.replace(&self.base.path().display().to_string(), "");
        let problems = |Problems(problems): Problems| {
            let problems = problems.iter().map(Problem::to_string);
            problems.map(told).collect::<Vec<_>>()
        };
        let read = Read::files(layers);
        let config = read.configuration(None, variable).map_err(problems)?;
        Ok((config, read.passed_by.into_iter().map(told).collect()))
    }
}

#[test]
fn every_key_is_set_and_read_back() {
    let config = set(EVERYTHING);
    assert_eq!(value(&config.zone).unwrap(), "DE");
    let chain = value(&config.chain).unwrap();
    let chain: Vec<String> = chain.iter().map(Name::to_string).collect();
    assert_eq!(
        chain,
        ["electricity-maps", "file:/traces/DE.csv", "built-in"]
    );
    let account_with = value(&config.account_with);
    assert_eq!(account_with, Some(Name::Live(Live::WattTime)));

    let maps = &config.sources[&Live::ElectricityMaps];
    let url = value(&maps.base_url);
    assert_eq!(url.as_deref(), Some("https://maps.example/api"));
    assert_eq!(value(&maps.key).unwrap().expose_secret(), "secret-of-maps");
    assert_eq!(value(&maps.version), Some(Version::V3));
    assert_eq!(value(&maps.emission_factors), Some(Factors::Direct));
    assert_eq!(maps.places["DE"], "DE-LU");
    let watttime = &config.sources[&Live::WattTime];
    let file = value(&watttime.key_file);
    assert_eq!(file.as_deref(), Some(Path::new("/run/keys/watttime")));
    let command = value(&watttime.key_command);
    assert_eq!(command.as_deref(), Some("pass watttime"));
    assert_eq!(config.sources.len(), Live::ALL.len());

    let second = Duration::from_secs(1);
    let numbers = Resilience {
        retry: Some(Again {
            attempts: 2,
            delay: second / 2,
            ..Again::default()
        }),
        timeout: Some(Patience {
            floor: 3 * second,
            ceiling: 20 * second,
            ..Patience::default()
        }),
        bulkhead: Some(Bulkhead {
            at_once: 16,
            ..Bulkhead::default()
        }),
        bucket: Some(Pace {
            burst: 1000.0,
            ceiling: 0.5,
            floor: 1.0 / 120.0,
            ..Pace::default()
        }),
        breaker: Some(Trip {
            failing: 0.25,
            least: 20,
            cool_down: 60 * second,
            cool_down_most: 3600 * second,
            ..Trip::default()
        }),
        bounds: Bounds {
            body: 1024,
            exchange: 20 * second,
            ..Bounds::default()
        },
        cache: Some(Keep {
            entries: 7,
            bytes: 65_536,
            validity: (120 * second, 10_800 * second),
            ..Keep::default()
        }),
    };
    assert_eq!(config.resilience, numbers);
}

#[test]
fn nothing_set_is_as_built_in() {
    let config = set("# nothing\n");
    assert_eq!(config.resilience, Resilience::default());
    assert!(config.zone.is_none() && config.sources.is_empty());
}

#[test]
fn every_value_remembers_who_set_it() {
    let config = set(EVERYTHING);
    assert_eq!(config.zone.unwrap().by, user());
    let maps = &config.sources[&Live::ElectricityMaps];
    assert_eq!(maps.key.as_ref().unwrap().by, user());
}

#[test]
fn one_source_needs_no_list() {
    let chain = value(&set("run.source = \"neso\"").chain);
    assert_eq!(chain, Some(vec![Name::Live(Live::Neso)]));
}

#[test]
fn unknown_keys_come_with_the_nearest_spelling_or_with_all_there_are() {
    let cases = [
        ("zoen = 1", "`zoen` is not a key; did you mean `zone`?"),
        (
            "[run]\nsauce = 1",
            "`run.sauce` is not a key; did you mean `source`?",
        ),
        (
            "[run]\naccount_with = 1",
            "`run.account_with` is not a key; did you mean `account-with`?",
        ),
        (
            "sources.nesso.base_url = 1",
            "`sources.nesso` is not a key; did you mean `neso`?",
        ),
        (
            "sources.watttime.base-url = 1",
            "`sources.watttime.base-url` is not a key; did you mean `base_url`?",
        ),
        (
            "resilience.time_out_floor = 1",
            "`resilience.time_out_floor` is not a key; did you mean `timeout_floor`?",
        ),
        (
            "cache.entry = 1",
            "`cache.entry` is not a key; known are entries, bytes, valid_least, valid_most",
        ),
        (
            "\"a\\u001bb\" = 1",
            "`a\\u{1b}b` is not a key; known are zone, run, policy, sources, resilience, cache, energy, ledger, serve, log, alerts, profile",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problem(text), expected);
    }
}

#[test]
fn what_a_source_does_not_heed_cannot_be_set_of_it() {
    for live in Live::ALL {
        let heeded = |key: &str| {
            let text = format!("sources.{}.{key} = 1", live.name());
            !problem(&text).contains("is not a key")
        };
        let (is_maps, is_keyed) = match live {
            Live::ElectricityMaps => (true, true),
            Live::WattTime => (false, true),
            _ => (false, false),
        };
        assert!(heeded("base_url") && heeded("places"), "{live:?}");
        for key in ["key", "key_file", "key_command"] {
            assert_eq!(heeded(key), is_keyed, "{live:?} {key}");
        }
        for key in ["version", "emission_factors"] {
            assert_eq!(heeded(key), is_maps, "{live:?} {key}");
        }
    }
}

#[test]
fn wrong_types_are_named_with_what_was_expected() {
    let cases = [
        ("zone = 7", "`zone` is of type integer; expected text"),
        (
            "run = 7",
            "`run` is of type integer; expected a table: `[run]`",
        ),
        (
            "run.source = [true]",
            "`run.source` is of type boolean; expected text",
        ),
        (
            "sources.neso = \"x\"",
            "`sources.neso` is of type string; expected a table: `[sources.neso]`",
        ),
        (
            "sources.watttime.key = 7",
            "`sources.watttime.key` is of type integer; expected text",
        ),
        (
            "resilience.retry_delay = 1.5",
            "`resilience.retry_delay` is of type float; expected text",
        ),
        (
            "resilience.attempts = \"2\"",
            "`resilience.attempts` is of type string; expected a whole number from 1 to 10",
        ),
        (
            "resilience.breaker_failures = \"half\"",
            "`resilience.breaker_failures` is of type string; expected a share such as 0.5, above \
             0 and up to 1",
        ),
        (
            "cache = []",
            "`cache` is of type array; expected a table: `[cache]`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problem(text), expected);
    }
}

#[test]
fn impossible_values_are_quoted_with_what_was_expected() {
    let cases = [
        (
            "run.account-with = \"nesso\"",
            "`run.account-with`: unknown source `nesso`; expected `neso`, `energy-charts`, \
             `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, \
             `file:PATH` or `built-in`",
        ),
        (
            "sources.electricity-maps.version = \"4\"",
            "`sources.electricity-maps.version`: `4` is not known; known are v4, v3",
        ),
        (
            "sources.electricity-maps.emission_factors = \"dirct\"",
            "`sources.electricity-maps.emission_factors`: `dirct` is not known; did you mean \
             `direct`?",
        ),
        (
            "sources.neso.places.GB = \"a/b\"",
            "`sources.neso.places.GB`: `a/b` is no name of a place",
        ),
        (
            "resilience.attempts = 0",
            "`resilience.attempts` is 0; expected a whole number from 1 to 10",
        ),
        (
            "resilience.attempts = 2.5",
            "`resilience.attempts` is 2.5; expected a whole number from 1 to 10",
        ),
        (
            "resilience.at_once = 17",
            "`resilience.at_once` is 17; expected a whole number from 1 to 16",
        ),
        (
            "resilience.burst = -1",
            "`resilience.burst` is -1; expected a whole number from 1 to 1000",
        ),
        (
            "resilience.breaker_least = 21",
            "`resilience.breaker_least` is 21; expected a whole number from 1 to 20",
        ),
        (
            "resilience.breaker_failures = 0",
            "`resilience.breaker_failures` is 0; expected a share such as 0.5, above 0 and up to 1",
        ),
        (
            "resilience.breaker_failures = nan",
            "`resilience.breaker_failures` is nan; expected a share such as 0.5, above 0 and up \
             to 1",
        ),
        (
            "resilience.timeout_floor = \"11m\"",
            "`resilience.timeout_floor`: `11m` is not between 0.1 s and 600 s",
        ),
        (
            "cache.bytes = 4294967296",
            "`cache.bytes` is 4294967296; expected a whole number from 65536 to 2147483648",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problem(text), expected);
    }
    assert!(problem("zone = \"Germoney\"").starts_with("`zone`: unknown zone `Germoney`"));
    let place = problem("sources.neso.places.XYZ = \"x\"");
    assert!(
        place.starts_with("`sources.neso.places`: unknown zone"),
        "{place}"
    );
    let delay = problem("resilience.retry_delay = \"soon\"");
    assert!(delay.starts_with("`resilience.retry_delay`: "), "{delay}");
}

#[test]
fn a_share_may_be_a_whole_number() {
    let config = set("resilience.breaker_failures = 1");
    assert_eq!(config.resilience.breaker.unwrap().failing, 1.0);
}

#[test]
fn times_that_bound_each_other_are_checked_together() {
    let cases = [
        (
            "resilience.timeout_floor = \"40s\"",
            "`resilience.timeout_floor` is 40 s, longer than `resilience.timeout_ceiling`, 30 s",
        ),
        (
            "[resilience]\ntimeout_floor = \"4s\"\ntimeout_ceiling = \"3s\"",
            "`resilience.timeout_floor` is 4 s, longer than `resilience.timeout_ceiling`, 3 s",
        ),
        (
            "resilience.breaker_cool_down_most = \"20s\"",
            "`resilience.breaker_cool_down` is 30 s, longer than \
             `resilience.breaker_cool_down_most`, 20 s",
        ),
        (
            "resilience.interval = \"2m\"",
            "`resilience.interval` is 120 s, longer than `resilience.slowest_interval`, 60 s",
        ),
        (
            "cache.valid_least = \"2h\"",
            "`cache.valid_least` is 7200 s, longer than `cache.valid_most`, 3600 s",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problem(text), expected);
    }
    let files = Files::new();
    files.write("system", "[resilience]\ntimeout_ceiling = \"5s\"");
    files.write("user", "[resilience]\nattempts = 2\ntimeout_floor = \"6s\"");
    let expected = "/user/c.toml:3:17: `resilience.timeout_floor` is 6 s, longer than \
                    `resilience.timeout_ceiling`, 5 s";
    assert_eq!(files.load().unwrap_err(), [expected]);
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file_with_line_and_column() {
    let text = "zoen = \"DE\"\n\
                [run]\n\
                source = [\"neso\", \"ü\", 3]\n\
                [cache]\n\
                bytes = 1\n\
                'ü' = 2\n\
                entries = 'x'";
    let places: Vec<String> = (problems(text).iter())
        .map(|problem| problem.split(": ").next().unwrap().to_owned())
        .collect();
    let expected = ["1:1", "3:19", "3:24", "5:9", "6:1", "7:11"].map(|it| format!("own.toml:{it}"));
    assert_eq!(places, expected);
}

#[test]
fn columns_count_characters() {
    let found = problems("run = { 'ü' = 1, zoen = 2 }");
    let places: Vec<&str> = found
        .iter()
        .map(|it| it.split(": ").next().unwrap())
        .collect();
    assert_eq!(places, ["own.toml:1:9", "own.toml:1:18"]);
}

#[test]
fn wrong_syntax_is_told_with_its_place_and_alone() {
    let found = problems("zone = DE\nzoen = 1\nrun = \"unfinished\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("own.toml:1:8: "), "{found:?}");
    assert!(found[1].starts_with("own.toml:3:"), "{found:?}");
    let twice = problems("zone = \"DE\"\nzone = \"FR\"\n");
    assert_eq!(twice, ["own.toml:2:1: duplicate key"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_read() {
    let config = set("\u{feff}zone = \"FR\"\r\n[cache]\r\nentries = 3\r\n");
    assert_eq!(value(&config.zone).as_deref(), Some("FR"));
    assert_eq!(config.resilience.cache.unwrap().entries, 3);
    let wrong = problems("\u{feff}zone = \"FR\"\r\n[cache]\r\nentries = 0\r\n");
    assert!(wrong[0].starts_with("own.toml:3:11: "), "{wrong:?}");
}

#[test]
fn whatever_is_wrong_a_key_is_never_in_a_problem() {
    let secret = "s3cr3t";
    let texts = [
        format!("sources.watttime.key = [\"{secret}\"]"),
        format!("sources.watttime.key = {secret}"),
        format!("sources.watttime.key = \"{secret}"),
        format!("sources.watttime.key = \"{secret}\" {secret}"),
        format!("[sources.watttime]\nkey = \"a\"\nkey = \"{secret}\""),
        format!("sources.watttime.kye = \"{secret}\""),
        format!("sources.neso.key = \"{secret}\""),
        format!("sources.watttime.key_file = \"{secret}\""),
        format!("sources.watttime.key_command = [\"{secret}\"]"),
        format!("sources.watttime.base_url = \"https://me:{secret}@example.org\""),
        format!("sources.watttime.base_url = \"https://example.org?key={secret}\""),
        format!("run.key = \"{secret}\""),
        format!("key = \"{secret}\""),
    ];
    for text in texts {
        let found = problems(&text);
        assert!(!found.is_empty(), "{text}");
        assert!(!format!("{found:?}").contains(secret), "{found:?}");
    }
    let config = set(&format!("sources.watttime.key = \"{secret}\""));
    assert!(!format!("{config:?}").contains(secret));
    let files = Files::new();
    files.write("project", &format!("sources.watttime.key = \"{secret}\""));
    assert!(!format!("{:?}", files.load()).contains(secret));
}

#[test]
fn a_base_url_leads_to_a_host_and_is_nothing_more() {
    let cases = [
        ("example.org", "is no URL"),
        ("ftp://example.org", "is neither http nor https"),
        ("https://me:x@example.org", "has a user or a password in it"),
        ("https://example.org/?a=1", "has a query or a fragment"),
    ];
    let told = "expected `https://HOST[/PATH]`, without user, query or fragment";
    for (url, why) in cases {
        let found = problem(&format!("sources.neso.base_url = \"{url}\""));
        assert_eq!(found, format!("`sources.neso.base_url`: it {why}; {told}"));
    }
}

#[test]
fn later_layers_win_value_by_value() {
    let files = Files::new();
    files.write(
        "system",
        "zone = \"DE\"\n[sources.watttime]\nbase_url = \"https://system.example\"\nkey = \"system\"\n\
         [resilience]\nattempts = 2\nburst = 9\n",
    );
    files.write(
        "user",
        "zone = \"FR\"\n[sources.watttime]\nbase_url = \"https://user.example\"\n\
         [resilience]\nattempts = 3\n",
    );
    let watttime = |(config, _): &(Config, Vec<String>)| config.sources[&Live::WattTime].clone();
    let loaded = files.load().unwrap();
    assert_eq!(value(&loaded.0.zone).unwrap(), "FR");
    let source = watttime(&loaded);
    assert_eq!(value(&source.base_url).unwrap(), "https://user.example");
    let by = source.key.unwrap().by;
    assert_eq!(by, Layer::System(files.path("system")));
    let numbers = &loaded.0.resilience;
    assert_eq!(numbers.retry.unwrap().attempts, 3);
    assert_eq!(numbers.bucket.unwrap().burst, 9.0);

    files.write("project", "zone = \"GB\"\n");
    let name = "CATRAIN_WATTTIME_BASE_URL";
    let variable = |asked: &str| (asked == name).then(|| "https://env.example".into());
    let loaded = files.load_with(variable).unwrap();
    let zone = loaded.0.zone.clone().unwrap();
    assert_eq!(zone.value, "GB");
    assert_eq!(zone.by, Layer::Project(files.path("project")));
    let base_url = watttime(&loaded).base_url.unwrap();
    assert_eq!(base_url.value, "https://env.example");
    assert_eq!(base_url.by, Layer::Environment(name.to_owned()));
}

#[test]
fn a_variable_is_checked_like_a_file_and_an_empty_one_is_none() {
    use std::os::unix::ffi::OsStringExt;

    let files = Files::new();
    let loaded = files.load_with(|_| Some(OsString::new())).unwrap();
    assert!(loaded.0.sources.is_empty());
    let bad = |name: &str| match name {
        "CATRAIN_NESO_BASE_URL" => Some("x".into()),
        "CATRAIN_ENERGY_CHARTS_BASE_URL" => Some(OsString::from_vec(vec![0xff])),
        _ => None,
    };
    assert_eq!(
        files.load_with(bad).unwrap_err(),
        [
            "CATRAIN_NESO_BASE_URL: it is no URL; expected `https://HOST[/PATH]`, without user, \
             query or fragment",
            "CATRAIN_ENERGY_CHARTS_BASE_URL: is not UTF-8 text"
        ]
    );
}

#[test]
fn problems_of_all_layers_are_told_at_once() {
    let files = Files::new();
    for directory in ["system", "user", "project"] {
        files.write(directory, "\nzoen = 1\n");
    }
    let problems = files.load().unwrap_err();
    let places: Vec<&str> = problems
        .iter()
        .map(|it| it.split(": ").next().unwrap())
        .collect();
    let expected = [
        "/system/c.toml:2:1",
        "/user/c.toml:2:1",
        "/project/c.toml:2:1",
    ];
    assert_eq!(places, expected);
}

/// Of the manual:
/// > Anything else in it is refused with "only allowed in your own configuration", and nothing
/// > starts.
#[test]
fn a_project_may_set_the_zone_and_nothing_of_sources() {
    let project = Layer::Project(PathBuf::from("catrain.toml"));
    let (config, problems) = checked("zone = \"DE\"", &project);
    assert_eq!(
        (value(&config.zone).as_deref(), problems.len()),
        (Some("DE"), 0)
    );
    let (config, problems) = checked(EVERYTHING, &project);
    let not_theirs: Vec<String> = ["run.source", "run.account-with", "sources", "resilience"]
        .into_iter()
        .chain(["cache"])
        .map(|key| format!("`{key}` is only allowed in your own configuration"))
        .collect();
    let what = |problem: &String| problem.split_once(": ").unwrap().1.to_owned();
    let told: std::collections::BTreeSet<String> = problems.iter().map(what).collect();
    assert_eq!(told, not_theirs.into_iter().collect());
    assert!(config.chain.is_none() && config.account_with.is_none());
    assert!(config.sources.is_empty());
    assert_eq!(config.resilience, Resilience::default());
}

#[test]
fn no_files_are_no_problem_and_neither_is_a_file_for_a_directory() {
    let files = Files::new();
    assert_eq!(files.load().unwrap().1, [""; 0]);
    fs::remove_dir(files.base.path().join("user")).unwrap();
    fs::write(files.base.path().join("user"), "").unwrap();
    assert_eq!(files.load().unwrap().1, [""; 0]);
}

/// What is said of a project's file that is passed by.
fn passed_by(files: &Files) -> String {
    let (config, passed_by) = files.load().unwrap();
    assert!(config.zone.is_none());
    let [told] = &passed_by[..] else {
        panic!("{passed_by:?}")
    };
    let told = told.strip_prefix("/project/c.toml is passed by: ").unwrap();
    told.to_owned()
}

#[test]
fn a_project_file_that_others_may_write_is_passed_by() {
    let files = Files::new();
    files.write("project", "zone = \"DE\"\nsources = 1\n");
    let path = files.path("project");
    let around = path.parent().unwrap();
    for (path, mode, what) in [
        (path.as_path(), 0o666, "it"),
        (&path, 0o664, "it"),
        (around, 0o777, "its directory"),
        (around, 0o1777, "its directory"),
    ] {
        let before = path.metadata().unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let expected = format!("others may write {what} (chmod go-w)");
        assert_eq!(passed_by(&files), expected, "{mode:o}");
        fs::set_permissions(path, before).unwrap();
    }
    assert_eq!(files.load().unwrap_err().len(), 1);
}

#[test]
fn a_project_file_of_somebody_else_is_passed_by() {
    if !Uid::effective().is_root() {
        // Nobody else can give a file away.
        return;
    }
    let files = Files::new();
    files.write("project", "zone = \"DE\"\n");
    let path = files.path("project");
    chown(&path, Some(4711), None).unwrap();
    assert_eq!(passed_by(&files), "it belongs to uid 4711, not to you");
    chown(&path, Some(0), None).unwrap();
    chown(path.parent().unwrap(), Some(4711), None).unwrap();
    let expected = "its directory belongs to uid 4711, not to you";
    assert_eq!(passed_by(&files), expected);
}

#[test]
fn a_link_or_a_pipe_for_a_project_file_is_passed_by() {
    let files = Files::new();
    let path = files.path("project");
    files.write("user", "# of the user\n");
    symlink(files.path("user"), &path).unwrap();
    assert_eq!(passed_by(&files), "it is a link");
    fs::remove_file(&path).unwrap();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    assert_eq!(passed_by(&files), "it is no file");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(passed_by(&files), "it is no file");
}

#[test]
fn the_users_own_file_may_be_a_link_and_must_be_text_of_a_sensible_size() {
    let files = Files::new();
    let (own, elsewhere) = (files.path("user"), files.base.path().join("elsewhere"));
    fs::write(&elsewhere, "zone = \"DE\"").unwrap();
    symlink(elsewhere, &own).unwrap();
    assert!(files.load().unwrap().0.zone.is_some());
    fs::remove_file(&own).unwrap();
    let cases: [(&[u8], &str); 2] = [
        (b"zone = \"\xff\"", "stream did not contain valid UTF-8"),
        (&[b'\n'; (1 << 20) + 1], "it has more than 1 MiB"),
    ];
    for (bytes, why) in cases {
        fs::write(&own, bytes).unwrap();
        let expected = format!("/user/c.toml: cannot be read: {why}");
        assert_eq!(files.load().unwrap_err(), [expected]);
    }
    fs::remove_file(&own).unwrap();
    mkfifo(&own, Mode::S_IRWXU).unwrap();
    let expected = "/user/c.toml: cannot be read: it is no file";
    assert_eq!(files.load().unwrap_err(), [expected]);
}

/// Of the manual:
/// > A key is sent only to the host of the layer that set both.
#[test]
fn a_key_goes_to_the_base_url_of_whoever_set_both() {
    let system = Layer::System(PathBuf::from("/etc/catrain/config.toml"));
    let environment = Layer::Environment("CATRAIN_WATTTIME_BASE_URL".to_owned());
    // Who set the base URL, who the key (nobody: it stands in the environment or the key store).
    let cases = [
        (None, Some(&system), true),
        (None, Some(&user()), true),
        (None, None, true),
        (Some(&system), Some(&system), true),
        (Some(&system), Some(&user()), false),
        (Some(&system), None, false),
        (Some(&user()), Some(&system), false),
        (Some(&user()), Some(&user()), true),
        (Some(&user()), None, true),
        (Some(&environment), Some(&system), false),
        (Some(&environment), Some(&user()), true),
        (Some(&environment), None, true),
    ];
    for (base_url, key, goes) in cases {
        let source = Source {
            base_url: base_url.map(|by| Told {
                value: "https://example.org".to_owned(),
                by: by.clone(),
            }),
            ..Source::default()
        };
        assert_eq!(source.may_have_key_of(key), goes, "{base_url:?} {key:?}");
    }
}
