//! Figures of the process itself, read when metrics are sent.

use std::fs;

use opentelemetry::metrics::Meter;

/// Has them told from now on. Memory and threads are read off `/proc`; where there is none they are not told.
pub(super) fn observe(meter: &Meter) {
    meter
        .u64_observable_gauge("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory")
        .with_callback(|told| {
            if let Some(kib) = status("VmRSS:") {
                told.observe(kib * 1024, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.thread.count")
        .with_unit("{thread}")
        .with_callback(|told| {
            if let Some(threads) = status("Threads:") {
                told.observe(threads, &[]);
            }
        })
        .build();
}

/// A figure of `/proc/self/status`.
fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_threads_and_memory() {
        assert!(status("Threads:").unwrap() >= 1);
        assert!(status("VmRSS:").unwrap() > 1_000);
        assert_eq!(status("NoSuchThing:"), None);
    }
}
