//! What metering costs: processor time for a second of it with eight (fake) GPUs, four of them shared:
//! `cargo bench --bench metering`.
//!
//! Prints; nothing is asserted, since a busy machine is no failure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use catrain::clock::own_processor_time;
use catrain::executor::is_of_job;
use catrain::ledger::entry::{Part, Share};
use catrain::meter::At;
use catrain::meter::desk::{Cut, Worker};
use catrain::meter::gpu::nvml::NvmlOpener;
use catrain::meter::gpu::{self, Gpus};
use catrain::meter::host::{self, Host};
use catrain::meter::rapl::{Disk, Rapl};
use catrain::supervise::Usage;

const SECONDS: u64 = 2000;

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let library = dir.path().join("libnvidia-ml.so.1");
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvml/fake.rs");
    let built = Command::new("rustc")
        .args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-o"])
        .arg(&library)
        .arg(fake)
        .status();
    assert!(built.is_ok_and(|status| status.success()), "it needs rustc");
    let script = dir.path().join("script");
    std::fs::write(&script, eight_gpus()).expect("the script can be written");
    // SAFETY: there is no other thread yet.
    unsafe { std::env::set_var("CATRAIN_FAKE_NVML", &script) };
    let opener = NvmlOpener {
        library: Some(library),
        root: PathBuf::from("/nonexistent"),
    };
    let gpus = Gpus::new(Box::new(opener), gpu::Terms::default(), Arc::new(is_of_job));
    measure("eight GPUs, four of them shared", Box::new(gpus));
    let terms = host::Terms {
        share: Share::Job,
        reserved: false,
        proc: PathBuf::from("/proc"),
    };
    let rapl = Rapl::open(Path::new("/sys/class/powercap"), Box::new(Disk));
    measure("processor and memory", Box::new(Host::new(rapl, terms)));
}

fn eight_gpus() -> String {
    let own = std::process::id();
    let mut script = String::new();
    for gpu in 0..8 {
        script.push_str(&format!("device GPU-{gpu}abc NVIDIA_H100\n"));
    }
    for gpu in 0..8 {
        script.push_str(&format!(
            "wave {gpu} 400 200 37\nprocess {gpu} 0 1e9 {own} 50\n"
        ));
        if gpu < 4 {
            script.push_str(&format!("process {gpu} 0 1e9 1 30\n"));
        }
    }
    script
}

/// Lets seconds pass as the thread would, with a cut in ten.
fn measure(what: &str, mut worker: Box<dyn Worker>) {
    let at = |second: u64| At {
        elapsed: Duration::from_secs(second),
        awake: Duration::from_secs(second),
    };
    worker.begin(at(0));
    worker.started(at(0), std::process::id().cast_signed());
    let every = worker.every().as_secs();
    let begun = own_processor_time();
    for second in 1..=SECONDS {
        if second % every == 0 {
            worker.tick(at(second));
        }
        if second % 10 == 0 {
            let cut = Cut {
                part: Part::Running,
                from: at(second - 10),
                to: at(second),
                usage: Usage::default(),
            };
            worker.cut(at(second), &cut);
        }
    }
    let took = own_processor_time().saturating_sub(begun);
    let a_second = took.as_secs_f64() / SECONDS as f64;
    println!(
        "{what}: {:.0} us of processor time a second of metering, {:.4} % of a core",
        a_second * 1e6,
        a_second * 100.0
    );
}
