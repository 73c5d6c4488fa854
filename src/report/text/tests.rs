use super::*;
use crate::report::tests as ledgers;

fn berlin() -> TimeZone {
    TimeZone::posix("CET-1").unwrap()
}

fn end(ledger: &crate::ledger::Ledger) -> String {
    let summary = ledgers::summary(ledger);
    let now = ledgers::at("2026-11-25T06:30:00Z");
    end_of_run(&summary, Look::PLAIN, now, &berlin())
}
#[test]
fn show() {
    for l in [
        ledgers::example(),
        ledgers::wrong_forecast(),
        ledgers::ended(Some(Exit::Code(3)), None),
        ledgers::ended(Some(Exit::Signal(9)), Some("stopped by an operator")),
        ledgers::unfinished(),
        ledgers::replay(),
        ledgers::assumed(),
    ] {
        println!("{}", end(&l));
    }
    let s = ledgers::summary(&ledgers::example());
    println!(
        "{}",
        full(
            &s,
            Look::PLAIN,
            ledgers::at("2026-11-25T06:30:00Z"),
            &berlin()
        )
    );
    println!(
        "{}",
        crate::report::json::document(
            &[s],
            ledgers::at("2026-11-25T06:30:00Z"),
            ledgers::at("2026-11-25T06:30:00Z")
        )
    );
}
