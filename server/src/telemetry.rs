//! Logs, on the standard error output: readable on a terminal, one JSON object a line elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use crate::config::{Log, LogFormat};

/// Begins to log. In a process that logs already (the desktop app's, say) this changes nothing.
pub fn start(log: &Log) {
    let json = match log.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let _ = tracing::subscriber::set_global_default(subscriber(&log.filter, json, std::io::stderr));
}

fn subscriber<W>(filter: &str, json: bool, writer: W) -> impl tracing::Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let format = tracing_subscriber::fmt::layer().with_writer(writer);
    let format = if json {
        format.json().flatten_event(true).with_current_span(false).boxed()
    } else {
        format.with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    tracing_subscriber::registry().with(EnvFilter::new(filter)).with(format)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn json_lines_are_objects_with_the_fields_of_the_event() {
        let lines = Lines::default();
        let subscriber = subscriber("info", true, lines.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(port = 7880, "listening");
            tracing::debug!("not at this level");
        });
        let text = String::from_utf8(lines.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        let object: serde_json::Value = serde_json::from_str(text.trim()).expect("one line of JSON");
        assert_eq!((&object["message"], &object["port"]), (&"listening".into(), &7880.into()));
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }
}
