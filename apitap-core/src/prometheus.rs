//! What runs measure, in the text format that Prometheus scrapes.
//!
//! Nothing is counted twice while a run goes: a scrape reads its [`Metrics`]. When a run ends, what it counted
//! is added to the totals of its module, so that no counter goes back when the module runs again.

mod families;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use self::families::{FAMILIES, Reading, family, number};
use crate::metrics::{Metrics, process_usage, resident_memory_bytes};

/// The content type of [`Exposition::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The runs of a process, as series by module.
///
/// ```
/// # use std::sync::Arc;
/// use apitap_core::prometheus::Exposition;
///
/// let exposition = Exposition::new();
/// let metrics = Arc::default();
/// let run = exposition.watch("orders", Arc::clone(&metrics));
/// metrics.rows_decoded.store(7, std::sync::atomic::Ordering::Relaxed);
/// let text = exposition.text();
/// assert!(text.contains(r#"apitap_records_total{module="orders",stage="read"} 7"#));
/// run.succeeded();
/// ```
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
    runs: Runs,
}

impl Exposition {
    /// Without runs: it only shows the process.
    #[must_use]
    pub fn new() -> Self {
        let (registry, runs) = (Registry::new(), Runs::default());
        let collector = Box::new(RunCollector::new(runs.clone()));
        registry
            .register(collector)
            .unwrap_or_else(|_| unreachable!("each name is registered once"));
        Self { registry, runs }
    }

    /// A run begins. It counts as failed unless the guard hears otherwise.
    #[must_use]
    pub fn watch(&self, module: &str, metrics: Arc<Metrics>) -> Watched {
        self.runs.begin(module, &metrics);
        Watched {
            runs: self.runs.clone(),
            module: module.to_owned(),
            metrics,
            succeeded: false,
        }
    }

    /// Everything known now.
    #[must_use]
    pub fn text(&self) -> String {
        // It fails for families without a name or a sample alone, and those are not gathered.
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

impl Default for Exposition {
    fn default() -> Self {
        Self::new()
    }
}

/// A run under way; dropped, it has ended.
#[derive(Debug)]
pub struct Watched {
    runs: Runs,
    module: String,
    metrics: Arc<Metrics>,
    succeeded: bool,
}

impl Watched {
    /// The run has come to its commit.
    pub fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.runs.end(&self.module, &self.metrics, self.succeeded);
    }
}

/// The runs so far, by module.
#[derive(Debug, Clone, Default)]
struct Runs(Arc<Mutex<BTreeMap<String, Module>>>);

/// The runs of one module.
#[derive(Debug)]
struct Module {
    /// What the runs that ended add up to, in the order of [`FAMILIES`].
    ended: Vec<Reading>,
    under_way: Vec<Arc<Metrics>>,
    /// The run that began last.
    latest: Arc<Metrics>,
    succeeded: u64,
    failed: u64,
}

impl Runs {
    fn modules(&self) -> MutexGuard<'_, BTreeMap<String, Module>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, module: &str, metrics: &Arc<Metrics>) {
        let mut modules = self.modules();
        let module = modules.entry(module.to_owned()).or_insert_with(|| {
            let nothing = Metrics::default();
            Module {
                ended: FAMILIES.iter().map(|one| one.read(&nothing)).collect(),
                under_way: Vec::new(),
                latest: metrics.clone(),
                succeeded: 0,
                failed: 0,
            }
        });
        module.under_way.push(metrics.clone());
        module.latest = metrics.clone();
    }

    fn end(&self, module: &str, metrics: &Arc<Metrics>, succeeded: bool) {
        if let Some(module) = self.modules().get_mut(module) {
            module.end(metrics, succeeded);
        }
    }
}

impl Module {
    fn end(&mut self, metrics: &Arc<Metrics>, succeeded: bool) {
        self.under_way.retain(|run| !Arc::ptr_eq(run, metrics));
        let totals = FAMILIES.iter().zip(&mut self.ended);
        for (family, total) in totals.filter(|(family, _)| family.is_total()) {
            total.add(family.read(metrics));
        }
        match succeeded {
            true => self.succeeded += 1,
            false => self.failed += 1,
        }
    }

    /// All runs of the module together, in the order of [`FAMILIES`].
    fn readings(&self) -> impl Iterator<Item = Reading> {
        FAMILIES.iter().zip(&self.ended).map(|(family, ended)| {
            let mut reading = ended.clone();
            for run in &self.under_way {
                reading.add(family.read(run));
            }
            reading
        })
    }
}

/// Reads the runs when it is asked to.
struct RunCollector {
    runs: Runs,
    descriptions: Vec<Desc>,
}

/// Families that are no reading of a run's metrics: name, help, kind.
const RUNS: (&str, &str) = ("apitap_runs_total", "Runs that ended.");
const PROCESS: [(&str, &str, MetricType); 3] = [
    (
        "process_cpu_seconds_total",
        "User and system time of all threads.",
        MetricType::COUNTER,
    ),
    (
        "process_resident_memory_bytes",
        "Memory that the process holds now.",
        MetricType::GAUGE,
    ),
    (
        "process_peak_resident_memory_bytes",
        "The most memory that the process ever held.",
        MetricType::GAUGE,
    ),
];

impl RunCollector {
    fn new(runs: Runs) -> Self {
        let names = FAMILIES.iter().map(|family| (family.name, family.help));
        let process = PROCESS.iter().map(|(name, help, _)| (*name, *help));
        let descriptions = names.chain([RUNS]).chain(process);
        let description = |(name, help): (&str, &str)| {
            Desc::new(name.into(), help.into(), Vec::new(), Default::default())
                .unwrap_or_else(|_| unreachable!("`{name}` is a name with a help text"))
        };
        Self {
            runs,
            descriptions: descriptions.map(description).collect(),
        }
    }
}

impl Collector for RunCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut series: Vec<Vec<Metric>> = FAMILIES.iter().map(|_| Vec::new()).collect();
        let mut ended = Vec::new();
        for (name, module) in self.runs.modules().iter() {
            let readings = FAMILIES.iter().zip(module.readings());
            for (series, (family, reading)) in series.iter_mut().zip(readings) {
                series.extend(family.series(name, &reading, &module.latest));
            }
            for (outcome, runs) in [("succeeded", module.succeeded), ("failed", module.failed)] {
                let labels = [("module", name.as_str()), ("outcome", outcome)];
                ended.push(number(MetricType::COUNTER, &labels, runs as f64));
            }
        }
        let families = FAMILIES.iter().zip(series);
        families
            .map(|(one, series)| family(one.name, one.help, one.kind(), series))
            .chain([family(RUNS.0, RUNS.1, MetricType::COUNTER, ended)])
            .chain(process())
            .collect()
    }
}

/// What the system says of this process; what it does not say is left out.
fn process() -> Vec<MetricFamily> {
    let usage = process_usage();
    let values = [
        Some(usage.cpu_seconds),
        resident_memory_bytes().map(|bytes| bytes as f64),
        usage.peak_memory_bytes.map(|bytes| bytes as f64),
    ];
    let known = PROCESS.into_iter().zip(values);
    known
        .map(|((name, help, kind), value)| {
            let series = value.map(|value| number(kind, &[], value));
            family(name, help, kind, series.into_iter().collect())
        })
        .collect()
}

#[cfg(test)]
mod tests;
