//! What is set up wrong, here or over there: each is named, with what was used instead.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::runs::{UNTIL_GO, go};
use super::{BUILT_IN, MAPS_KEY, QUICK, SECRET, forecast, good, notes, page, sandbox_with};
use crate::support::child::Running;
use crate::support::services::{Services, body, path_of};
use crate::support::supervised::{outcome, run};
use crate::support::{SOON, Sandbox, wait_until};

/// The first note of a page about a zone, where nothing but built-in data is left.
#[track_caller]
fn trouble(command: &mut Command) -> String {
    let said = good(outcome(command));
    notes(&said)
        .first()
        .unwrap_or_else(|| panic!("{said:?}"))
        .to_string()
}

#[test]
fn an_answer_about_another_zone_or_from_another_time_is_not_taken() {
    let services = Services::good();
    services.say(|head| {
        path_of(head)
            .starts_with("/v4/")
            .then(|| body(200, "electricitymaps/v4-history-data-envelope.json"))
    });
    let arguments = ["forecast", "-z", "DE", "-s", "electricity-maps"];
    let said = trouble(
        services
            .catrain(&Sandbox::new(), &arguments)
            .env(MAPS_KEY, SECRET),
    );
    assert!(said.contains("it answered for FR"), "{said}");
    assert!(said.ends_with(BUILT_IN), "{said}");
    // A clock that is five days behind.
    services.say(|_| Some(body(200, "energycharts/co2eq-de-day.json")));
    let known = forecast(&services, &Sandbox::new(), &["-z", "DE"]);
    assert_ne!(known["kind"], "live", "{known:#}");
}

#[test]
fn a_zone_that_a_service_does_not_serve_is_told_and_nobody_asked() {
    let services = Services::good();
    let said = page(
        &services,
        &Sandbox::new(),
        &["-z", "US-CAL-CISO", "-s", "energy-charts"],
    );
    insta::assert_snapshot!(notes(&said).join("\n"), @"energy-charts does not serve US-CAL-CISO (its name there can be set: [sources.energy-charts.places]); built-in data: usual days of 2020 instead");
    assert_eq!(services.connections(), 0);
}

#[test]
fn a_malformed_base_url_is_named_with_its_place_and_nothing_starts() {
    let sandbox = sandbox_with("[sources.neso]\nbase_url = \"ftp://example.org\"\n");
    let job = ["run", "-z", "GB", "--", "touch", "started"];
    let in_file = outcome(sandbox.catrain(job).env_remove("CATRAIN_OFFLINE"));
    let elsewhere = Sandbox::new();
    let mut command = elsewhere.catrain(job);
    let in_environment =
        outcome(command.env("CATRAIN_NESO_BASE_URL", "https://user:hush@example.org"));
    assert_eq!(
        [in_file.status.code(), in_environment.status.code()],
        [Some(2); 2]
    );
    let said = in_file
        .stderr
        .replace(sandbox.path("").to_str().unwrap(), "")
        + &in_environment.stderr;
    insta::assert_snapshot!(said, @"
    catrain: error: config/config.toml:2:12: `sources.neso.base_url`: it is neither http nor https; expected `https://HOST[/PATH]`, without user, query or fragment
      hint: one problem; nothing was started
    catrain: error: CATRAIN_NESO_BASE_URL: it has a user or a password in it; expected `https://HOST[/PATH]`, without user, query or fragment
      hint: one problem; nothing was started
    ");
    for sandbox in [&sandbox, &elsewhere] {
        assert!(!sandbox.home().join("started").exists());
    }
}

#[test]
fn a_connection_that_cannot_be_made_secure_is_told() {
    let services = Services::good();
    let asked = |base_url: &str, certificates: &str| {
        let sandbox = sandbox_with(QUICK);
        let mut command = services.catrain(&sandbox, &["forecast", "-z", "DE"]);
        command.env("CATRAIN_ENERGY_CHARTS_BASE_URL", base_url);
        if !certificates.is_empty() {
            command
                .env("SSL_CERT_FILE", certificates)
                .env("SSL_CERT_DIR", certificates);
        }
        trouble(&mut command)
    };
    let plain = services.base_url().replace("http:", "https:");
    let said = [asked(&plain, ""), asked("https://192.0.2.1", "/dev/null")];
    assert!(
        said.iter().all(|line| line.ends_with(BUILT_IN)),
        "{said:#?}"
    );
    insta::assert_snapshot!(said.join("\n"), @"
    cannot reach energy-charts at 127.0.0.1: received corrupt message of type InvalidContentType; built-in data: usual days of 2020 instead
    energy-charts: no secure connection can be made: unexpected error: No CA certificates were loaded from the system (install ca-certificates or set SSL_CERT_FILE); built-in data: usual days of 2020 instead
    ");
}

#[test]
fn a_directory_that_cannot_be_written_costs_what_would_be_kept_in_it_and_nothing_else() {
    // Files in their place: whoever is root may write anywhere.
    let (services, sandbox) = (Services::good(), Sandbox::new());
    sandbox.write("cache", "");
    sandbox.write("state", "");
    let said = page(&services, &sandbox, &["-z", "DE"]);
    assert!(said.stdout.contains("energy-charts · live, "), "{said:?}");
    let root = sandbox.path("").display().to_string();
    insta::assert_snapshot!(notes(&said).join("\n").replace(&root, "/"), @"
    answers cannot be kept in /cache/answers: Not a directory (os error 20); each start asks again
    what energy-charts said cannot be kept: /state/archive: Not a directory (os error 20); nothing is learned of it
    cannot read the archive: /state/archive/b92e841f951c9fe8.archive: Not a directory (os error 20)
    ");
    let script = format!("{UNTIL_GO}; exit 7");
    let mut command = run(&sandbox, &["-z", "DE"], ["sh", "-c", &script]);
    services.serve(&mut command);
    let mut running = Running::start(&mut command);
    wait_until("that is told", SOON, || {
        running.stderr().contains("answers cannot be kept in ")
    });
    go(&sandbox);
    assert_eq!(running.wait(SOON).status.code(), Some(7));
}

/// A working directory with a file for all in it, which nobody else may write.
fn beside(project: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let path = sandbox.write("home/catrain.toml", project);
    for (path, mode) in [(sandbox.home(), 0o755), (path, 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    sandbox
}

#[test]
fn the_file_of_the_directory_may_set_the_zone() {
    let known = forecast(&Services::good(), &beside("zone = \"GB\"\n"), &[]);
    assert_eq!([&known["zone"], &known["source"]], ["GB", "neso"]);
}

#[test]
fn the_file_of_the_directory_may_set_nothing_of_sources_and_then_nothing_starts() {
    let own = [
        "[sources.neso]\nbase_url = \"https://example.org\"\n",
        "[sources.watttime]\nkey = \"hush-hush-hush\"\n",
        "[sources.watttime]\nkey_command = \"touch started\"\n",
        "[resilience]\nattempts = 9\n",
        "[cache]\nentries = 1\n",
        "[run]\nsource = \"watttime\"\n",
        "[run]\naccount-with = \"watttime\"\n",
    ];
    for project in own {
        let (services, sandbox) = (Services::good(), beside(project));
        let arguments = ["run", "-z", "GB", "--", "touch", "started"];
        let ended = outcome(&mut services.catrain(&sandbox, &arguments));
        assert_eq!(ended.status.code(), Some(2), "{project}: {ended:?}");
        assert!(!sandbox.home().join("started").exists(), "{project}");
        assert_eq!(services.connections(), 0, "{project}");
        let said = ended.stderr;
        assert!(
            said.contains("is only allowed in your own configuration"),
            "{project}: {said}"
        );
        assert!(
            said.contains("/home/catrain.toml:") && said.contains("nothing was started"),
            "{said}"
        );
        assert!(!said.contains(SECRET), "{said}");
    }
}

#[test]
fn a_file_of_the_directory_that_others_may_write_is_passed_by_and_that_is_said() {
    let services = Services::good();
    let sandbox = beside("zone = \"GB\"\n[cache]\nentries = 1\n");
    let path = sandbox.home().join("catrain.toml");
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let arguments = ["run", "-z", "DE", "--", "true"];
    let ended = good(outcome(&mut services.catrain(&sandbox, &arguments)));
    let wanted = format!(
        "{} is passed by: others may write it (chmod go-w)",
        path.display()
    );
    assert!(ended.stderr.contains(&wanted), "{ended:?}");
    let said = page(&services, &sandbox, &["-z", "DE"]);
    assert_eq!(notes(&said), [wanted]);
}

#[test]
fn a_host_that_is_not_found_is_told() {
    let sandbox = sandbox_with(QUICK);
    let mut command = Services::good().catrain(&sandbox, &["forecast", "-z", "DE"]);
    command.env("CATRAIN_ENERGY_CHARTS_BASE_URL", "http://nowhere.invalid");
    let said = trouble(&mut command);
    assert!(said.contains("energy-charts"), "{said}");
    assert!(said.ends_with(BUILT_IN), "{said}");
}
