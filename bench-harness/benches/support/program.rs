//! A program of benchmarks: criterion with its arguments, and flame graphs under `--profile-time`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_harness::{
    flamegraph::Caption, flamegraph::Orientation, flamegraph::Scaled, flamegraph::draw,
    sampler::FREQUENCY_HZ, sampler::Sampled, sampler::Sampler,
};
use criterion::Criterion;
use criterion::profiler::Profiler;

/// Long enough for tens of iterations of the longest benchmark without a server, and short enough
/// that all programs end in minutes. Arguments win over it.
const MEASUREMENT_TIME: Duration = Duration::from_secs(2);
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// Criterion's least: a sample is several iterations, except where they wait for a server.
const SAMPLE_SIZE: usize = 20;

/// Runs the benchmarks that `define` defines, as the arguments of this program say.
///
/// Unlike `criterion_main!` it returns, so that what the benchmarks have started ends with them.
pub(crate) fn run(define: impl FnOnce(&mut Criterion) -> Result<()>) -> Result<()> {
    let mut criterion = Criterion::default()
        .measurement_time(MEASUREMENT_TIME)
        .warm_up_time(WARM_UP_TIME)
        .sample_size(SAMPLE_SIZE)
        .with_profiler(FlameGraphs::default())
        .configure_from_args();
    define(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// Samples a benchmark under `--profile-time` and draws it.
#[derive(Default)]
struct FlameGraphs {
    sampler: Option<Sampler>,
}

impl Profiler for FlameGraphs {
    fn start_profiling(&mut self, benchmark: &str, _: &Path) {
        match Sampler::start(FREQUENCY_HZ) {
            Ok(sampler) => self.sampler = Some(sampler),
            Err(error) => eprintln!("error: no profile of {benchmark}: {error:#}"),
        }
    }

    fn stop_profiling(&mut self, benchmark: &str, folder: &Path) {
        let Some(sampler) = self.sampler.take() else {
            return;
        };
        let written = sampler
            .stop()
            .and_then(|sampled| write(benchmark, &sampled, folder));
        match written {
            Ok(()) => eprintln!("{benchmark}: {}", folder.join("flamegraph.svg").display()),
            Err(error) => eprintln!("error: no profile of {benchmark}: {error:#}"),
        }
    }
}

/// Writes `flamegraph.svg` and `stacks.folded`. Frames of criterion and of the runtime, outside of
/// the engine's own, are left out of the drawing alone.
fn write(benchmark: &str, sampled: &Sampled, folder: &Path) -> Result<()> {
    let subtitle = format!(
        "{} samples at {FREQUENCY_HZ} Hz of {:.1} s of processor time",
        sampled.stacks.total(),
        sampled.cpu_seconds
    );
    let svg = draw(
        Scaled {
            stacks: &sampled.stacks.readable(),
            unit: 1.0,
        },
        Orientation::Flames,
        Caption {
            title: benchmark,
            subtitle: &subtitle,
            unit: "samples",
        },
    )
    .context("give it more time: --profile-time 5")?;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let files = [
        ("flamegraph.svg", svg),
        ("stacks.folded", sampled.stacks.folded(1.0)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
