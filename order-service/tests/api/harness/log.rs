//! What the process of the tests logs.

use std::sync::{Arc, Mutex, OnceLock};

/// What this process logs from now on, as the services would.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log of this process, with all that our own code says.
pub(crate) fn logged() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Log::default();
        let written = log.clone();
        let levels = "info,order_service=trace,shared=trace";
        let lines = tracing_subscriber::fmt()
            .json()
            .with_env_filter(levels)
            .with_writer(move || written.clone());
        lines.init();
        log
    });
    log.clone()
}
