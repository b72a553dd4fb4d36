//! Whose a throw-away server is, so that a killed harness leaves no litter for good.
//!
//! Drop never runs in a process that was killed. Every server therefore carries
//! the mark of the process that started it, and the next start removes servers
//! whose owner is gone.

use std::fs;

/// The mark of this process: boot, PID namespace, PID and start time.
///
/// A PID alone could by then belong to someone else, or mean nothing in a
/// container that shares only the Docker socket or the temporary folder.
pub(super) fn this_process() -> String {
    let pid = std::process::id();
    format!("{} {pid} {}", scope(), start_time(pid).unwrap_or_default())
}

/// Whether `mark` names a process that could be seen here and has ended.
pub(super) fn is_gone(mark: &str) -> bool {
    let Some((rest, started)) = mark.rsplit_once(' ') else {
        return false;
    };
    let Some((owner_scope, pid)) = rest.rsplit_once(' ') else {
        return false;
    };
    let Ok(pid) = pid.parse() else {
        return false;
    };
    owner_scope == scope() && start_time(pid).as_deref() != Some(started)
}

fn scope() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

/// Column 22 of `/proc/PID/stat`, in ticks since boot.
fn start_time(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    rest.split_ascii_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_owner_is_not_gone() {
        assert!(!is_gone(&this_process()));
    }

    #[test]
    fn an_ended_or_replaced_owner_is_gone() {
        let pid = std::process::id();
        assert!(is_gone(&format!("{} {} 1", scope(), u32::MAX)));
        assert!(is_gone(&format!("{} {pid} 1", scope())));
    }

    #[test]
    fn what_cannot_be_judged_is_left_alone() {
        assert!(!is_gone(&format!("other-boot pid:[1] {} 1", u32::MAX)));
        assert!(!is_gone(""));
        assert!(!is_gone("a b c"));
    }
}
