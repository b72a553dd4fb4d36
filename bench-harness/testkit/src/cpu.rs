//! Who had the processor: steal of the machine and CPU time of a process tree, with its memory.
//!
//! Wall time on a shared host depends on the neighbours too. `/proc/stat`
//! says how much the hypervisor took away while a sample ran, and
//! `/proc/PID/stat` how much a server really computed.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context, Result};

/// The machine's CPU time since boot, in clock ticks over all cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// Everything: user, nice, system, idle, iowait, irq, softirq, steal.
    pub total_ticks: u64,
    /// What the hypervisor gave to others while this machine had work to do.
    pub steal_ticks: u64,
}

impl CpuTimes {
    /// Reads `/proc/stat`.
    ///
    /// # Errors
    /// When the file cannot be read or has no aggregate `cpu` line.
    pub fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        Self::parse(&text).context("/proc/stat has no readable `cpu` line")
    }

    /// The aggregate line of a `/proc/stat` text (proc(5)); `None` when it is missing.
    ///
    /// Guest time is part of user time already, so columns after steal are not summed.
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find(|line| line.starts_with("cpu "))?;
        let columns: Vec<u64> = line
            .split_ascii_whitespace()
            .skip(1)
            .take(8)
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        // Kernels before 2.6.11 have no steal column; four is the least there ever was.
        (columns.len() >= 4).then(|| Self {
            total_ticks: columns.iter().sum(),
            steal_ticks: columns.get(7).copied().unwrap_or(0),
        })
    }

    /// Share of the time between `self` and `later` that was stolen, 0.0 to 1.0.
    ///
    /// Readings closer together than a tick give 0.
    pub fn steal_share(&self, later: &Self) -> f64 {
        let total = later.total_ticks.saturating_sub(self.total_ticks);
        let steal = later.steal_ticks.saturating_sub(self.steal_ticks);
        if total == 0 {
            return 0.0;
        }
        (steal as f64 / total as f64).min(1.0)
    }
}

/// CPU time, user and system, of a process, its living descendants and the
/// children that they have reaped.
///
/// A PostgreSQL backend that ended counts through its postmaster, which reaps
/// it. Resolution is the kernel's tick, usually 10 ms. Read it while no child
/// is starting or ending: one that ends between two reads is missed here and
/// counted at the next reading.
///
/// # Errors
/// When `/proc` cannot be read or the root process is gone.
pub fn tree_cpu(root_pid: u32) -> Result<Duration> {
    let processes = processes()?;
    if !processes.contains_key(&root_pid) {
        anyhow::bail!("process {root_pid} is gone");
    }
    let ticks = tree_ticks(&processes, root_pid);
    Ok(Duration::from_secs_f64(
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
    ))
}

/// Resident memory of the descendants of a process, without its own. A page that several of them have
/// counts for each.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn descendants_memory(root_pid: u32) -> Result<u64> {
    let processes = processes()?;
    let descendants = descendants(&processes, root_pid);
    let pages: u64 = descendants.iter().map(|pid| processes[pid].pages).sum();
    Ok(pages * rustix::param::page_size() as u64)
}

/// The children of a process, those too that have ended and wait for it to notice.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let processes = processes()?.into_iter();
    let children = processes.filter(|(_, process)| process.parent_pid == pid);
    Ok(children.map(|(child, _)| child).collect())
}

/// Whether a process runs: it exists and is no zombie.
pub(crate) fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|text| Process::parse(&text))
        .is_some_and(|process| !process.is_zombie)
}

#[derive(Debug, PartialEq, Eq)]
struct Process {
    parent_pid: u32,
    is_zombie: bool,
    ticks: u64,
    /// Of resident memory.
    pages: u64,
}

impl Process {
    /// One `/proc/PID/stat` line. The command name may itself hold spaces and
    /// parentheses, so columns are counted from the last `)`.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let columns: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5): utime, stime, cutime and cstime are columns 14 to 17 of the whole line, rss is the 24th.
        let ticks = columns
            .get(11..15)?
            .iter()
            .map(|column| column.parse::<u64>());
        Some(Self {
            parent_pid: columns.get(1)?.parse().ok()?,
            is_zombie: matches!(columns.first(), Some(&"Z" | &"X")),
            ticks: ticks.sum::<Result<u64, _>>().ok()?,
            pages: columns.get(21)?.parse().ok()?,
        })
    }
}

fn processes() -> Result<HashMap<u32, Process>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    Ok(entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // A process may end between the listing and this read.
            let text = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, Process::parse(&text)?))
        })
        .collect())
}

fn tree_ticks(processes: &HashMap<u32, Process>, root_pid: u32) -> u64 {
    let mut tree = descendants(processes, root_pid);
    tree.push(root_pid);
    let known = tree.iter().filter_map(|pid| processes.get(pid));
    known.map(|process| process.ticks).sum()
}

/// Those that `root_pid` started, and those that these started, and so on.
fn descendants(processes: &HashMap<u32, Process>, root_pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut pending = vec![root_pid];
    while let Some(pid) = pending.pop() {
        let children = processes
            .iter()
            .filter(|(_, process)| process.parent_pid == pid)
            .map(|(&child, _)| child);
        let before = found.len();
        found.extend(children);
        pending.extend_from_slice(&found[before..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cpu  100 0 50 800 10 0 0 40 5 0\ncpu0 1 2 3 4\nintr 5\n";
    const AFTER: &str = "cpu  150 0 70 850 10 0 0 120 5 0\ncpu0 1 2 3 4\nintr 5\n";

    #[test]
    fn steal_is_its_share_of_all_time_between_two_readings() {
        let before = CpuTimes::parse(BEFORE).unwrap();
        let after = CpuTimes::parse(AFTER).unwrap();
        assert_eq!((before.total_ticks, before.steal_ticks), (1000, 40));
        assert_eq!(before.steal_share(&after), 0.4);
    }

    #[test]
    fn equal_or_swapped_readings_have_no_steal() {
        let before = CpuTimes::parse(BEFORE).unwrap();
        let after = CpuTimes::parse(AFTER).unwrap();
        assert_eq!(before.steal_share(&before), 0.0);
        assert_eq!(after.steal_share(&before), 0.0);
    }

    #[test]
    fn a_text_without_the_aggregate_line_is_no_reading() {
        assert_eq!(CpuTimes::parse("cpu0 1 2 3 4 5 6 7 8\n"), None);
        assert_eq!(CpuTimes::parse("cpu  1 2 x 4\n"), None);
        assert_eq!(CpuTimes::parse(""), None);
    }

    #[test]
    fn process_line_survives_awkward_command_names() {
        let line =
            "77 (a) b (c) S 5 77 77 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 99 4096 7 18446744";
        let expected = Process {
            parent_pid: 5,
            is_zombie: false,
            ticks: 100,
            pages: 7,
        };
        assert_eq!(Process::parse(line), Some(expected));
        assert_eq!(Process::parse("77 (cut"), None);
    }

    #[test]
    fn a_tree_sums_all_its_descendants_and_nobody_else() {
        let process = |parent_pid, ticks| Process {
            parent_pid,
            is_zombie: false,
            ticks,
            pages: 0,
        };
        let processes = HashMap::from([
            (10, process(1, 1)),
            (11, process(10, 20)),
            (12, process(11, 300)),
            (13, process(1, 4000)),
        ]);
        assert_eq!(tree_ticks(&processes, 10), 321);
        let mut below = descendants(&processes, 10);
        below.sort_unstable();
        assert_eq!(below, [11, 12]);
    }

    #[test]
    fn what_children_hold_in_memory_is_theirs() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let own = std::process::id();
        let (memory, children) = (descendants_memory(own).unwrap(), children(own).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(children.contains(&child.id()) && memory > 0);
    }

    #[test]
    fn this_process_runs_and_has_a_readable_tree() {
        assert!(is_running(std::process::id()));
        tree_cpu(std::process::id()).unwrap();
        assert!(!is_running(u32::MAX));
        assert!(tree_cpu(u32::MAX).is_err());
    }
}
