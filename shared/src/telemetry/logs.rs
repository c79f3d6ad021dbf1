//! Log lines: which there are, how they look, and that each of them names its trace.

use std::fmt;
use std::str::FromStr;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::LogFormat;

/// Levels by module, as in `info,product_service=debug`:
/// <https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html#directives>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(String);

impl FromStr for Levels {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        EnvFilter::builder().parse(text).map(|_readable| Self(text.to_owned()))
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Levels {
    fn filter(&self) -> EnvFilter {
        // Nothing is lost: it was read before.
        EnvFilter::builder().parse_lossy(&self.0)
    }
}

/// Changes the levels of a process that runs.
#[derive(Clone, Debug)]
pub struct LevelSwitch(reload::Handle<EnvFilter, Registry>);

impl LevelSwitch {
    /// From now on these.
    pub fn turn_to(&self, levels: &Levels) {
        // It fails where the subscriber is gone, and with it all that could be logged.
        let _ = self.0.reload(levels.filter());
    }
}

/// What writes the lines there, and what changes which.
pub(super) fn layer(
    levels: &Levels,
    format: LogFormat,
    to: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> (Box<dyn Layer<Registry> + Send + Sync + 'static>, LevelSwitch) {
    let (filter, switch) = reload::Layer::new(levels.filter());
    let lines = tracing_subscriber::fmt::layer().with_writer(to);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).map_event_format(Traced::Json).boxed(),
        LogFormat::Text => lines.with_ansi(false).map_event_format(Traced::Text).boxed(),
    };
    (lines.with_filter(filter).boxed(), LevelSwitch(switch))
}

/// Names in each line the trace and the span in which it was written. They are those of the context that is entered, and not of
/// the spans that the line's own format sees: at `LOG_LEVEL=warn` it sees none, since spans are of level `info`.
enum Traced<F> {
    Json(F),
    Text(F),
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let current = Context::current();
        let span = current.span();
        let ids = span.span_context();
        let (Self::Json(inner) | Self::Text(inner)) = self;
        if !ids.is_valid() {
            return inner.format_event(context, out, event);
        }
        let mut line = String::new();
        inner.format_event(context, Writer::new(&mut line), event)?;
        let (trace, span) = (ids.trace_id(), ids.span_id());
        match self {
            Self::Json(_) => {
                let rest = line.strip_prefix('{').ok_or(fmt::Error)?;
                write!(out, "{{\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",{rest}")
            }
            Self::Text(_) => writeln!(out, "{} trace_id={trace} span_id={span}", line.trim_end_matches('\n')),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, some: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `work` runs, which may change the levels.
    fn written(levels: &str, format: LogFormat, work: impl FnOnce(LevelSwitch)) -> Vec<String> {
        let out = Arc::new(Mutex::new(Vec::new()));
        let (lines, switch) = layer(&levels.parse().unwrap(), format, {
            let out = Arc::clone(&out);
            move || Kept(Arc::clone(&out))
        });
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let spans = tracing_opentelemetry::layer().with_tracer(tracer);
        let spans = spans.with_filter(tracing_subscriber::filter::LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(lines).with(spans);
        tracing::subscriber::with_default(subscriber, || work(switch));
        let text = String::from_utf8(out.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_line_in_a_span_names_its_trace_whatever_the_levels() {
        for levels in ["info", "warn"] {
            let mut ids = (String::new(), String::new());
            let lines = written(levels, LogFormat::Json, |_| {
                tracing::warn!("outside");
                let _request = tracing::info_span!("request", order_id = 7).entered();
                let _call = tracing::debug_span!("call").entered();
                let current = Context::current();
                let current = current.span().span_context().clone();
                ids = (current.trace_id().to_string(), current.span_id().to_string());
                tracing::warn!(answer = 42, "inside");
            });
            let lines: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), 2);
            assert!(lines[0].get("trace_id").is_none(), "{}", lines[0]);
            assert_eq!(
                (&lines[1]["message"], &lines[1]["answer"]),
                (&"inside".into(), &42.into())
            );
            assert_eq!(lines[1]["trace_id"], *ids.0);
            assert_eq!(lines[1]["span_id"], *ids.1);
        }
        let lines = written("info", LogFormat::Text, |_| {
            let _request = tracing::info_span!("request").entered();
            tracing::info!("inside");
        });
        let (line, ids) = lines[0].split_once(" trace_id=").unwrap();
        assert!(line.ends_with("inside") && ids.contains(" span_id="), "{lines:?}");
    }

    #[test]
    fn levels_are_by_module_and_change_while_it_runs() {
        let say = |what: &str| {
            tracing::debug!(target: "shop", "{what}");
            tracing::debug!(target: "bus", "{what}");
        };
        let lines = written("info,shop=debug", LogFormat::Text, |switch| {
            say("before");
            switch.turn_to(&"info,bus=debug".parse().unwrap());
            say("after");
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("shop") && lines[0].ends_with("before"), "{lines:?}");
        assert!(lines[1].contains("bus") && lines[1].ends_with("after"), "{lines:?}");
    }
}
