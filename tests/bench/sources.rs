//! What it costs to know the intensities ahead: `cargo bench --bench sources`.
//!
//! Whole processes as users have them, and the reading of the largest answers. Prints medians of many
//! and what they are to stay below; nothing is asserted, since a busy machine is no failure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and waits"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use catrain::archive::{Archive, Of};
use catrain::caller::wire::Answer;
use catrain::forecast::{Issue, Kind, Series};
use catrain::source::electricity_maps::ElectricityMaps;
use catrain::source::{Live, provider};
use catrain::units::GramsPerKwh;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

const ROUNDS: usize = 100;
const READINGS: usize = 300;
const LATENCY: Duration = Duration::from_millis(50);
const HALF_HOUR: Duration = Duration::from_secs(1800);
/// Three days in steps of five minutes: the most that any source says at once.
const ROWS: u64 = 864;

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let now = Timestamp::now();
    println!("{:<54}{:>10}  below", "", "median");
    from_the_cache(now);
    cold(now);
    secure_client();
    for (live, place, what, body) in largest(now) {
        reading(live, place, what, &body, now);
    }
}

fn row(what: &str, mut milliseconds: Vec<f64>, bar: &str) {
    milliseconds.sort_by(f64::total_cmp);
    let median = milliseconds[milliseconds.len() / 2];
    println!("{what:<54}{median:>7.2} ms  {bar}");
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

/// A user's directories.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room"))
    }

    /// One who has used Great Britain's source for 90 days.
    fn of_a_regular(now: Timestamp) -> Self {
        let home = Self::new();
        let archive = Archive::new(home.path("state/archive"));
        let neso = provider(Live::Neso, ElectricityMaps::default());
        let of = Of {
            source: neso.name().to_owned(),
            place: "GB".to_owned(),
            basis: neso.offers().basis,
        };
        let begin = now - SignedDuration::from_hours(24 * 90);
        let observed = series(begin, 2 * 24 * 90);
        let observed = observed.points();
        (archive.add(&of, observed, None, now)).expect("there is room");
        // What is kept of an issue an hour.
        for hours in (0..24 * 88).step_by(6).chain(24 * 88..24 * 90) {
            let issued_at = begin + SignedDuration::from_hours(hours);
            let issue = Issue {
                issued_at,
                series: series(issued_at, 2 * 48),
            };
            (archive.add(&of, &[], Some(&issue), issued_at)).expect("there is room");
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn forecast(&self, cache: &Path, base_url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catrain"));
        command
            .args(["forecast", "-z", "GB", "-s", "neso", "--format", "json"])
            .env("CATRAIN_CACHE_DIR", cache)
            .env("CATRAIN_CONFIG_DIR", self.path("config"))
            .env("CATRAIN_STATE_DIR", self.path("state"))
            .env("CATRAIN_RUNTIME_DIR", self.path("run"))
            .env("CATRAIN_NESO_BASE_URL", base_url)
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        command
    }

    /// Asks, and fails unless the answer is of this kind.
    fn warm(&self, cache: &Path, base_url: &str) {
        let out = (self.forecast(cache, base_url).output()).expect("it starts");
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("\"kind\": \"live\""), "{out:?}");
    }
}

fn timed(mut command: Command) -> f64 {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    milliseconds(|| {
        command.status().expect("it starts");
    })
}

/// Half hours whose days are alike but for noise, from the half hour of `begin` on.
fn series(begin: Timestamp, steps: i64) -> Series {
    let first = begin.as_second().div_euclid(1800);
    let value = |step: i64| {
        let day = (step.rem_euclid(48) as f64 / 48.0 * std::f64::consts::TAU).sin();
        GramsPerKwh(200.0 + 80.0 * day + (step * 7919 % 4001) as f64 / 100.0)
    };
    let values = (first..first + steps).map(|step| Some(value(step)));
    let begin = Timestamp::from_second(first * 1800).expect("it is near");
    Series::regular(begin, HALF_HOUR, values, Kind::Live)
}

/// `catrain forecast` by a cached answer and 90 days of archive.
fn from_the_cache(now: Timestamp) {
    let home = Home::of_a_regular(now);
    let server = serve(Duration::ZERO);
    let cache = home.path("cache");
    home.warm(&cache, &server);
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catrain"));
        command.arg("--version");
        command
    };
    let starts = (0..ROUNDS).map(|_| timed(start())).collect();
    row("catrain --version", starts, "");
    let took = (0..ROUNDS).map(|_| timed(home.forecast(&cache, &server)));
    row("catrain forecast, from the cache", took.collect(), "10 ms");
    let mut learning = Vec::new();
    for _ in 0..5 {
        for file in fs::read_dir(home.path("state/archive")).expect("it is there") {
            let path = file.expect("it can be read").path();
            if path.extension().is_some_and(|it| it == "lessons") {
                fs::remove_file(path).expect("it is there");
            }
        }
        learning.push(timed(home.forecast(&cache, &server)));
    }
    row("… which learns as well, once a day", learning, "");
}

/// `catrain forecast` where nothing is cached, by a server that takes its time.
fn cold(now: Timestamp) {
    let server = serve(LATENCY);
    for (what, home) in [
        (
            "cold call over the server's latency, first ever",
            Home::new(),
        ),
        ("… with 90 days of archive", Home::of_a_regular(now)),
    ] {
        home.warm(&home.path("warm"), &server);
        let took = (0..ROUNDS).map(|round| {
            let cache = home.path(&format!("cache-{round}"));
            timed(home.forecast(&cache, &server)) - LATENCY.as_secs_f64() * 1e3
        });
        row(what, took.collect(), "15 ms");
    }
}

/// What https adds before the first byte: certificates are read and a client is made. Nobody listens.
fn secure_client() {
    let home = Home::new();
    fs::create_dir(home.path("config")).expect("there is room");
    let config = "[resilience]\nattempts = 1\n";
    fs::write(home.path("config/config.toml"), config).expect("there is room");
    let free = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let (mut plain, mut secure) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let cache = home.path(&format!("cache-{round}"));
        plain.push(timed(home.forecast(&cache, &format!("http://{address}"))));
        secure.push(timed(home.forecast(&cache, &format!("https://{address}"))));
    }
    row("a call that nobody takes, http", plain, "");
    row("a call that nobody takes, https", secure, "");
}

/// Reads an answer of [`ROWS`] points.
fn reading(live: Live, place: &str, what: &str, body: &str, now: Timestamp) {
    let provider = provider(live, ElectricityMaps::default());
    let asks = provider.asks(place, now);
    let ask = (asks.iter().find(|ask| ask.what == what)).expect("it asks that");
    let answer = Answer {
        status: 200,
        content_type: Some("application/json"),
        retry_after: None,
        body: body.as_bytes(),
        at: now,
    };
    let took = (0..READINGS).map(|_| {
        milliseconds(|| {
            let said = (provider.read(ask, place, &answer)).expect("it can be read");
            let issue = said.issue.expect("something is expected");
            assert_eq!(issue.series.points().len() as u64, ROWS);
        })
    });
    let name = format!("reading {ROWS} points of {}", live.name());
    row(&name, took.collect(), "1 ms");
}

/// An answer of [`ROWS`] points of each provider: its place, what was asked, and the body.
fn largest(now: Timestamp) -> [(Live, &'static str, &'static str, String); 6] {
    let steps = |minutes: u64| {
        let step = SignedDuration::from_mins(minutes as i64);
        let first = now.as_second().div_euclid(3600) * 3600 + 3600;
        let first = Timestamp::from_second(first).expect("it is near");
        (0..ROWS as i32).map(move |index| (first + step * index, first + step * (index + 1), index))
    };
    let rows = |minutes: u64, row: &dyn Fn(Timestamp, Timestamp, i32) -> String| {
        let rows: Vec<String> = steps(minutes).map(|(at, to, n)| row(at, to, n)).collect();
        rows.join(",\n  ")
    };
    let minute = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%MZ").to_string();
    let neso = rows(30, &|at, to, n| {
        half_hour(&minute(at), &minute(to), &format!("{n}"), "null")
    });
    let charts = [
        rows(15, &|at, _, _| at.as_second().to_string()),
        rows(15, &|_, _, _| "null".to_owned()),
        rows(15, &|_, _, n| format!("{n}.25")),
    ];
    let denmark = rows(5, &|at, _, n| {
        let [utc, danish] =
            [at, at + SignedDuration::from_hours(1)].map(|at| at.strftime("%Y-%m-%dT%H:%M:%S"));
        format!(
            "{{\"Minutes5UTC\":\"{utc}\",\"Minutes5DK\":\"{danish}\",\"PriceArea\":\"DK1\",\
             \"CO2Emission\":{n}.0}}"
        )
    });
    let maps = rows(5, &|at, _, n| {
        format!("{{\"carbonIntensity\":{n},\"datetime\":\"{at:.3}\"}}")
    });
    let watttime = rows(5, &|at, _, n| {
        let at = at.strftime("%Y-%m-%dT%H:%M:%S+00:00");
        format!("{{\"point_time\":\"{at}\",\"value\":{n}.5}}")
    });
    let sdk = rows(5, &|at, _, n| {
        let at = at.strftime("%Y-%m-%dT%H:%M:%S+00:00");
        format!("{{\"location\":\"IE\",\"timestamp\":\"{at}\",\"duration\":5,\"value\":{n}.76}}")
    });
    let [times, measured, expected] = charts;
    [
        (
            Live::Neso,
            "GB",
            "forecast",
            format!("{{\"data\":[{neso}]}}"),
        ),
        (
            Live::EnergyCharts,
            "de",
            "intensity",
            format!(
                "{{\"unix_seconds\":[{times}],\"co2eq\":[{measured}],\
                 \"co2eq_forecast\":[{expected}],\"deprecated\":false}}"
            ),
        ),
        (
            Live::EnergiDataService,
            "DK1",
            "forecast",
            format!("{{\"total\":{ROWS},\"records\":[{denmark}]}}"),
        ),
        (
            Live::ElectricityMaps,
            "DE",
            "forecast",
            format!("{{\"zone\":\"DE\",\"forecast\":[{maps}],\"updatedAt\":\"{now:.3}\"}}"),
        ),
        (
            Live::WattTime,
            "CAISO_NORTH",
            "forecast",
            format!(
                "{{\"data\":[{watttime}],\"meta\":{{\"data_point_period_seconds\":300,\
                 \"region\":\"CAISO_NORTH\",\"signal_type\":\"co2_moer\",\
                 \"units\":\"lbs_co2_per_mwh\",\"generated_at\":\"{now:.0}\"}}}}"
            ),
        ),
        (
            Live::CarbonAwareSdk,
            "northeurope",
            "forecast",
            format!(
                "[{{\"generatedAt\":\"{now:.7}\",\"location\":\"northeurope\",\
                 \"forecastData\":[{sdk}]}}]"
            ),
        ),
    ]
}

fn half_hour(from: &str, to: &str, forecast: &str, actual: &str) -> String {
    format!(
        "{{\"from\":\"{from}\",\"to\":\"{to}\",\"intensity\":\
         {{\"forecast\":{forecast},\"actual\":{actual},\"index\":\"moderate\"}}}}"
    )
}

/// Great Britain's source on loopback: answers after `latency`, until the end of the process.
fn serve(latency: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, latency));
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, latency: Duration) {
    let mut head = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        head.extend_from_slice(&part[..length]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        thread::sleep(latency);
        let body = intensities(&String::from_utf8_lossy(&head));
        let length = body.len();
        let whole = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n\
             {body}"
        );
        if stream.write_all(whole.as_bytes()).is_err() {
            return;
        }
        head.clear();
    }
}

/// The two days before or after the time in the path of a request.
fn intensities(head: &str) -> String {
    let from = head.split(['/', ' ']).find_map(|part| part.parse().ok());
    let from: Timestamp = from.expect("the path has a time");
    let is_past = head.contains("pt24h");
    let (begin, steps) = match is_past {
        true => (from - SignedDuration::from_hours(24), 48),
        false => (from, 96),
    };
    let series = series(begin, steps);
    let rows: Vec<String> = (series.points().iter())
        .map(|point| {
            let [from, to] = [point.span.start, point.span.end]
                .map(|at| at.strftime("%Y-%m-%dT%H:%MZ").to_string());
            let value = format!("{:.0}", point.intensity.0);
            let actual = if is_past { value.as_str() } else { "null" };
            half_hour(&from, &to, &value, actual)
        })
        .collect();
    format!("{{\"data\":[{}]}}", rows.join(","))
}
