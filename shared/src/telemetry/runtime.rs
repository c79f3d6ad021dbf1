//! Figures of the process' runtimes: the one that `main` runs in, and those of the HTTP server's threads, each of which has
//! its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use tokio::runtime::{Handle, RuntimeMetrics};

static NEXT: AtomicU64 = AtomicU64::new(0);
static WATCHED: Mutex<BTreeMap<u64, (&'static str, RuntimeMetrics)>> = Mutex::new(BTreeMap::new());

/// A runtime whose figures are told, for as long as this is held.
#[derive(Debug)]
pub(crate) struct Watched(u64);

/// The runtime that this is called in. Figures of those with the same name are added up.
///
/// # Panics
/// It is called outside of any.
pub(crate) fn watch(name: &'static str) -> Watched {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let metrics = Handle::current().metrics();
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    watched.insert(id, (name, metrics));
    Watched(id)
}

impl Drop for Watched {
    fn drop(&mut self) {
        // What it held is dropped after the lock is let go of.
        let _gone = WATCHED.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Has them told from now on.
pub(super) fn observe(meter: &Meter) {
    meter
        .u64_observable_gauge("tokio.workers")
        .with_unit("{thread}")
        .with_description("Threads that run tasks, by runtime")
        .with_callback(|told| {
            for (attributes, workers) in of_each(|runtime| whole(runtime.num_workers())) {
                told.observe(workers, &attributes);
            }
        })
        .build();
    meter
        .u64_observable_gauge("tokio.alive_tasks")
        .with_unit("{task}")
        .with_description("Tasks that have begun and not ended, by runtime")
        .with_callback(|told| {
            for (attributes, tasks) in of_each(|runtime| whole(runtime.num_alive_tasks())) {
                told.observe(tasks, &attributes);
            }
        })
        .build();
    meter
        .u64_observable_gauge("tokio.global_queue_depth")
        .with_unit("{task}")
        .with_description("Tasks that could run and that no thread has taken yet, by runtime")
        .with_callback(|told| {
            for (attributes, tasks) in of_each(|runtime| whole(runtime.global_queue_depth())) {
                told.observe(tasks, &attributes);
            }
        })
        .build();
    meter
        .u64_observable_counter("tokio.busy_time")
        .with_unit("ms")
        .with_description(
            "For how long threads ran tasks, all of a runtime together; divided by time and threads: how busy they are",
        )
        .with_callback(|told| {
            for (attributes, busy) in of_each(busy_ms) {
                told.observe(busy, &attributes);
            }
        })
        .build();
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn busy_ms(runtime: &RuntimeMetrics) -> u64 {
    let threads = 0..runtime.num_workers();
    let busy = threads.map(|thread| runtime.worker_total_busy_duration(thread).as_millis());
    u64::try_from(busy.sum::<u128>()).unwrap_or(u64::MAX)
}

fn of_each(figure: impl Fn(&RuntimeMetrics) -> u64) -> Vec<([KeyValue; 1], u64)> {
    let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sums: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (name, runtime) in watched.values() {
        *sums.entry(name).or_default() += figure(runtime);
    }
    sums.into_iter()
        .map(|(name, sum)| ([KeyValue::new("runtime", name)], sum))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_runtime_is_told_of_while_it_is_watched() {
        let tasks = || {
            let all = of_each(|runtime| whole(runtime.num_alive_tasks()));
            let own = all
                .into_iter()
                .find(|([name], _)| name.value.as_str() == "of this test");
            own.map(|(_, tasks)| tasks)
        };
        assert_eq!(tasks(), None);
        let watched = watch("of this test");
        let before = tasks().unwrap();
        let waiting = tokio::spawn(std::future::pending::<()>());
        assert_eq!(tasks(), Some(before + 1));
        waiting.abort();
        drop(watched);
        assert_eq!(tasks(), None);
    }
}
