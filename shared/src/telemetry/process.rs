//! Figures of the process itself, read when metrics are sent.

use std::fs;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

/// In which `/proc` tells time, on every Linux there is.
const TICK: Duration = Duration::from_millis(10);

/// Has them told from now on. Memory, threads and time are read off `/proc`; where there is none they are not told.
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
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("Time on a processor, by mode")
        .with_callback(|told| {
            for (mode, time) in cpu_time().into_iter().flatten() {
                told.observe(time.as_secs_f64(), &[KeyValue::new("cpu.mode", mode)]);
            }
        })
        .build();
}

/// Of all its threads, by `/proc/self/stat`: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
fn cpu_time() -> Option<[(&'static str, Duration); 2]> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name, in which anything may stand.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name
        .split_whitespace()
        .skip(11)
        .map(|ticks| ticks.parse::<u32>().ok());
    let mut time = || Some(TICK.saturating_mul(ticks.next()??));
    Some([("user", time()?), ("system", time()?)])
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

    #[cfg(target_os = "linux")]
    #[test]
    fn work_takes_time_on_a_processor() {
        let spent = || cpu_time().unwrap().map(|(_, time)| time).iter().sum::<Duration>();
        let before = spent();
        let begun = std::time::Instant::now();
        while spent() == before {
            assert!(begun.elapsed() < Duration::from_secs(30), "{before:?}");
        }
        assert!(spent() < before + Duration::from_secs(60));
    }
}
