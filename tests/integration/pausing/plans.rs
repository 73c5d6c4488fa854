//! A plan that chooses its way for each pause: it keeps the memory through a short one and releases
//! it for a long one.

use catrain::ledger::entry::{Action, What};

use super::Scene;
use crate::support::supervised::{LONG, Supervised, run, script, trace};

#[test]
fn a_plan_stops_through_a_short_dip_and_releases_for_a_long_night() {
    let scene = Scene::new();
    // Two clean hours, a dirty one, two clean ones, ten dirty ones.
    let trace = trace(&scene.sandbox, |hour| match hour {
        2 | 5..15 => 300.0,
        _ => 100.0,
    });
    let path = scene.folder.join("*.json").display().to_string();
    // To save and to leave is taken to cost 5 Wh, which is half a gram at the end of a clean hour and
    // one and a half at the beginning of a dirty one; to keep the memory a quarter of a gram in the
    // dip and over two in the night. Twelve hours of delay are too few to be away from the one to the
    // end of the other.
    let options = [
        "--replay",
        trace.to_str().unwrap(),
        "--speed",
        "1800",
        "--duration",
        "5h",
        "--duration-exact",
        "--max-delay",
        "12h",
        "--pause-with",
        "auto",
        "--checkpoint-signal",
        "TERM",
        "--checkpoint-path",
        &path,
        "--power",
        "300",
        "--idle-power",
        "0.9",
        "--min-run",
        "0s",
        "--min-pause",
        "0s",
        "--summary",
        "none",
    ];
    let folder = scene.folder.to_str().unwrap();
    // Ten seconds without a pause: past the night, and not much longer.
    let words = [
        "--steps",
        "240",
        "--pace",
        "0.04",
        "--workers",
        "2",
        "--sessions",
    ];
    let job = script(
        "train.py",
        [&words[..], &["--checkpoint-dir", folder]].concat(),
    );
    let mut supervised = Supervised::start(&scene.sandbox, &mut run(&scene.sandbox, &options, job));
    let ended = supervised.running.wait(LONG);
    assert!(ended.status.success(), "{ended:?}");
    let hash = ended.stdout.lines().last().unwrap();
    assert_eq!(
        hash.strip_prefix("final weights sha256 "),
        Some(super::moments::undisturbed(240))
    );
    let record = scene.record();
    let ways: Vec<Action> = (record.iter())
        .filter_map(|entry| match entry.what {
            What::Confirmed {
                action: action @ (Action::Pause | Action::Release),
                ..
            } => Some(action),
            _ => None,
        })
        .collect();
    assert_eq!(ways, [Action::Pause, Action::Release], "{}", ended.stderr);
    let report = scene.report();
    assert_eq!(report["attempts"], 2);
    assert_eq!(report["pauses"], 2);
}
