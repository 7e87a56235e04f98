//! `leno-shop watch`: when did the answer change?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, MissedTickBehavior};

use crate::client::{Client, RequestArgs, Target};
use crate::server::asked_to_end;
use crate::units::duration;

/// Asks again and again, and prints `MILLISECONDS_SINCE_1970 VERSION` whenever the answer's version changes.
///
/// The first line is the first answer. An answer without a version counts as its status, no answer as the kind of error.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `http://HOST[:PORT]/PATH`
    url: String,
    /// How often.
    #[arg(long, default_value = "10ms", value_parser = duration)]
    every: Duration,
    /// How long [default: until told to end].
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    request: RequestArgs,
}

/// Watches.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let target = Target::new(&args.url, &args.request)?;
    let watching = async {
        let start = Instant::now();
        let mut client = Client::default();
        let mut last = None;
        let mut ticks = tokio::time::interval(args.every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while args.duration.is_none_or(|length| start.elapsed() < length) {
            ticks.tick().await;
            let (outcome, _) = client.send(&target).await;
            let status = outcome.status.map(|status| status.to_string());
            let kind = outcome.error.unwrap_or("error");
            let answer = outcome.version.or(status).unwrap_or_else(|| kind.to_owned());
            if last.as_ref() != Some(&answer) {
                println!("{} {answer}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis());
                last = Some(answer);
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = asked_to_end() => {}
    }
    Ok(())
}
