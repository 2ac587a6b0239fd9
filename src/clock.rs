//! The time of day, read once.
//!
//! The wall clock is read when the program starts; from then on all time is
//! tokio's. A test that pauses tokio's clock therefore also owns the time of
//! day, and a clock that is set back while a batch runs does no harm.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells the time of day as the wall clock's reading at the start plus what
/// tokio's clock has counted since.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    wall: Duration,
}

impl Clock {
    /// Reads the wall clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn system() -> Self {
        Self::starting_at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// Starts from a given time of day, counted from the Unix epoch.
    pub fn starting_at(wall: Duration) -> Self {
        Self { started: Instant::now(), wall }
    }

    /// The time of day, counted from the Unix epoch.
    pub fn now(&self) -> Duration {
        self.wall + self.started.elapsed()
    }

    /// The time of day in whole seconds since the Unix epoch.
    pub fn unix(&self) -> i64 {
        i64::try_from(self.now().as_secs()).unwrap_or(i64::MAX)
    }

    /// The time of day so long ago, in whole seconds since the Unix epoch.
    pub fn ago(&self, span: Duration) -> i64 {
        self.unix().saturating_sub(seconds(span))
    }
}

/// A span in whole seconds, to reckon with times of day.
pub(crate) fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// A time of day as RFC 3339 in UTC, to the second.
pub fn rfc3339(unix: i64) -> String {
    let since_epoch = Duration::from_secs(u64::try_from(unix).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch).to_string()
}

/// A span as people read it: `24h 30m`, `1m 4s`, `0.3s`. Fractions only below ten seconds.
pub fn span(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        return format!("{:.1}s", duration.as_secs_f64());
    }
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts = parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}"));
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Clock, Duration, rfc3339, span};

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_follows_the_paused_clock() {
        let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert_eq!(clock.unix(), 1_700_086_400);
        assert_eq!(rfc3339(clock.unix()), "2023-11-15T22:13:20Z");
    }

    #[test]
    fn spans_read_well() {
        assert_eq!(span(Duration::from_millis(340)), "0.3s");
        assert_eq!(span(Duration::from_millis(64_900)), "1m 4s");
        assert_eq!(span(Duration::from_secs(88_200)), "24h 30m");
    }
}
