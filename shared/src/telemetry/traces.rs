//! Which traces are told of, how a trace travels in headers, and what its ids look like: the settings that
//! OpenTelemetry has names for.
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration>

use std::str::FromStr;

use clap::ValueEnum;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_aws::trace::{XrayIdGenerator, XrayPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{Sampler, TracerProviderBuilder};

use crate::config::TelemetrySettings;

/// Which traces are told of. Those that begin with `parentbased` do as the caller does, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SamplerName {
    /// All.
    #[value(name = "always_on")]
    AlwaysOn,
    /// None.
    #[value(name = "always_off")]
    AlwaysOff,
    /// A share of them, by their ids.
    #[value(name = "traceidratio")]
    TraceIdRatio,
    /// All that begin here.
    #[value(name = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// None that begins here.
    #[value(name = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// A share of those that begin here.
    #[value(name = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

/// A share, from none (0) to all (1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

/// Not a share.
#[derive(Debug, thiserror::Error)]
#[error("it has to be a number from 0 to 1")]
pub struct NoRatio;

/// The headers by which a trace comes in and goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Propagator {
    /// `traceparent` and `tracestate`: <https://www.w3.org/TR/trace-context/>.
    #[value(name = "tracecontext")]
    TraceContext,
    /// `baggage`, which callers fill: it goes on to the other services and to the payment provider as it came.
    #[value(name = "baggage")]
    Baggage,
    /// `X-Amzn-Trace-Id`, and ids that X-Ray takes.
    #[value(name = "xray")]
    Xray,
    /// No header.
    #[value(name = "none")]
    None,
}

impl FromStr for Ratio {
    type Err = NoRatio;

    fn from_str(text: &str) -> Result<Self, NoRatio> {
        let share: f64 = text.parse().map_err(|_unreadable| NoRatio)?;
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(NoRatio)
        }
    }
}

/// As the settings say. The process' environment says the same, or is overruled by flags.
pub(super) fn configure(traces: TracerProviderBuilder, settings: &TelemetrySettings) -> TracerProviderBuilder {
    let traces = traces.with_sampler(sampler(settings.otel_traces_sampler, settings.otel_traces_sampler_arg));
    if settings.otel_propagators.contains(&Propagator::Xray) {
        traces.with_id_generator(XrayIdGenerator::default())
    } else {
        traces
    }
}

fn sampler(name: SamplerName, Ratio(share): Ratio) -> Sampler {
    let parent_based = |root: Sampler| Sampler::ParentBased(Box::new(root));
    match name {
        SamplerName::AlwaysOn => Sampler::AlwaysOn,
        SamplerName::AlwaysOff => Sampler::AlwaysOff,
        SamplerName::TraceIdRatio => Sampler::TraceIdRatioBased(share),
        SamplerName::ParentBasedAlwaysOn => parent_based(Sampler::AlwaysOn),
        SamplerName::ParentBasedAlwaysOff => parent_based(Sampler::AlwaysOff),
        SamplerName::ParentBasedTraceIdRatio => parent_based(Sampler::TraceIdRatioBased(share)),
    }
}

/// All of them: each writes its header, and where several find one, the last is believed.
pub(super) fn propagator(named: &[Propagator]) -> TextMapCompositePropagator {
    let each = named
        .iter()
        .filter_map(|name| -> Option<Box<dyn TextMapPropagator + Send + Sync>> {
            match name {
                Propagator::TraceContext => Some(Box::new(TraceContextPropagator::new())),
                Propagator::Baggage => Some(Box::new(BaggagePropagator::new())),
                Propagator::Xray => Some(Box::new(XrayPropagator::new())),
                Propagator::None => None,
            }
        });
    TextMapCompositePropagator::new(each.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clap::Parser;
    use opentelemetry::Context;
    use opentelemetry::trace::{Span, SpanContext, TraceContextExt, TraceFlags, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{SdkTracerProvider, Span as SdkSpan};

    use super::*;
    use crate::config;

    const TRACE: &str = "6a0f3b4c4bf92f3577b34da6a3ce929d";
    const SPAN: &str = "00f067aa0ba902b7";

    #[derive(Debug, Parser)]
    struct Settings {
        #[command(flatten)]
        telemetry: TelemetrySettings,
    }

    fn settings(flags: &[&str]) -> Result<TelemetrySettings, String> {
        let arguments = ["some"].iter().chain(flags).map(Into::into).collect();
        let parsed = config::try_parse::<Settings>(arguments).map_err(|refused| refused.to_string())?;
        Ok(parsed.telemetry)
    }

    /// A span as it begins here, below that caller.
    fn begun(flags: &[&str], caller: Option<TraceFlags>) -> SdkSpan {
        let provider = configure(SdkTracerProvider::builder(), &settings(flags).unwrap()).build();
        let above = caller.map_or_else(Context::new, |flags| {
            Context::new().with_remote_span_context(of_caller(flags))
        });
        provider.tracer("test").start_with_context("span", &above)
    }

    fn of_caller(flags: TraceFlags) -> SpanContext {
        let trace = opentelemetry::TraceId::from_hex(TRACE).unwrap();
        let span = opentelemetry::SpanId::from_hex(SPAN).unwrap();
        SpanContext::new(trace, span, flags, true, opentelemetry::trace::TraceState::default())
    }

    #[test]
    fn what_the_caller_does_decides_unless_it_is_not_asked() {
        let (on, off) = (Some(TraceFlags::SAMPLED), Some(TraceFlags::NOT_SAMPLED));
        // Below one who samples, below one who does not, and as the first.
        let table = [
            (&[][..], [true, false, true]),
            (&["--otel-traces-sampler=parentbased_always_off"], [true, false, false]),
            (
                &[
                    "--otel-traces-sampler=parentbased_traceidratio",
                    "--otel-traces-sampler-arg=0",
                ],
                [true, false, false],
            ),
            (&["--otel-traces-sampler=parentbased_traceidratio"], [true, false, true]),
            (&["--otel-traces-sampler=always_on"], [true, true, true]),
            (&["--otel-traces-sampler=always_off"], [false, false, false]),
            (
                &["--otel-traces-sampler=traceidratio", "--otel-traces-sampler-arg=0.0"],
                [false, false, false],
            ),
        ];
        for (flags, wanted) in table {
            let sampled = [on, off, None].map(|caller| begun(flags, caller).span_context().is_sampled());
            assert_eq!(sampled, wanted, "{flags:?}");
        }
        // Whether it is told or not, it is the caller's trace.
        assert_eq!(begun(&[], off).span_context().trace_id().to_string(), TRACE);
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (flag, name) in [
            ("--otel-traces-sampler=sometimes", "OTEL_TRACES_SAMPLER"),
            ("--otel-traces-sampler-arg=1.5", "OTEL_TRACES_SAMPLER_ARG"),
            ("--otel-traces-sampler-arg=NaN", "OTEL_TRACES_SAMPLER_ARG"),
            ("--otel-propagators=tracecontext,b3", "OTEL_PROPAGATORS"),
            ("--otlp-endpoint=nowhere", "OTEL_EXPORTER_OTLP_ENDPOINT"),
            ("--log-level=info,shop=loud", "LOG_LEVEL"),
        ] {
            let refused = settings(&[flag]).unwrap_err();
            assert!(refused.starts_with(&format!("setting {name}: ")), "{flag}: {refused}");
        }
    }

    #[test]
    fn ids_for_xray_begin_with_the_time_and_others_do_not() {
        let now = || u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
        let time_of = |flags: &[&str]| {
            let id = begun(flags, None).span_context().trace_id().to_string();
            assert_eq!(id.len(), 32, "{id}");
            u64::from_str_radix(&id[..8], 16).unwrap()
        };
        let xray = &["--otel-propagators=tracecontext,baggage,xray"];
        for _ in 0..100 {
            let before = now();
            let time = time_of(xray);
            assert!((before..=now()).contains(&time), "{time} at {before}");
        }
        let far = (0..100).filter(|_| time_of(&[]).abs_diff(now()) > 3_600).count();
        assert!(far > 90, "{far}");
    }

    #[test]
    fn each_header_is_written_and_read() {
        let sent = |names: &[Propagator], flags| {
            let mut headers = HashMap::new();
            let context = Context::new().with_remote_span_context(of_caller(flags));
            propagator(names).inject_context(&context, &mut headers);
            headers
        };
        // <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
        let header = |sampled| format!("Root=1-{}-{};Parent={SPAN};Sampled={sampled}", &TRACE[..8], &TRACE[8..]);
        let both = [Propagator::Xray, Propagator::TraceContext];
        for (flags, sampled) in [(TraceFlags::SAMPLED, 1), (TraceFlags::NOT_SAMPLED, 0)] {
            let headers = sent(&both, flags);
            assert_eq!(headers["x-amzn-trace-id"], header(sampled));
            assert_eq!(headers["traceparent"], format!("00-{TRACE}-{SPAN}-0{sampled}"));
            for name in both {
                let read = propagator(&[name]).extract(&headers);
                let read = read.span().span_context().clone();
                assert_eq!(read, of_caller(flags), "{name:?}");
            }
        }
        assert!(sent(&[Propagator::None], TraceFlags::SAMPLED).is_empty());
        let malformed = HashMap::from([("x-amzn-trace-id".to_owned(), "Root=1-2;Parent=3".to_owned())]);
        assert!(!propagator(&both).extract(&malformed).has_active_span());
    }
}
