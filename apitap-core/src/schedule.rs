//! Cron schedules: six fields with seconds, in UTC.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::error::{Error, ErrorKind, Result, Stage};

/// When a module runs.
///
/// Six fields: second, minute, hour, day of month, month, day of week. As in the scheduler of
/// the ApiTap whose files this reads, a day must satisfy both day fields, and `0/10` is taken
/// as `0-59/10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Cron);

impl Schedule {
    /// Reads a cron expression.
    ///
    /// # Errors
    /// Anything but six valid fields.
    ///
    /// ```
    /// # use apitap_core::schedule::Schedule;
    /// assert!(Schedule::parse("0 */5 * * * *").is_ok());
    /// assert!(Schedule::parse("*/5 * * * *").is_err());
    /// ```
    pub fn parse(expression: &str) -> Result<Self> {
        CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Disallowed)
            .dom_and_dow(true)
            .sloppy_ranges(true)
            .build()
            .parse(expression)
            .map(Self)
            .map_err(|cause| {
                Error::new(
                    ErrorKind::Config,
                    Stage::Config,
                    format!("schedule `{expression}` is not a cron expression: {cause}"),
                )
                .hint("write six fields, seconds first, for example `0 */5 * * * *`")
            })
    }

    /// The first moment after `moment` at which the schedule is due; none when there is no such day.
    pub fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.find_next_occurrence(&moment, false).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, after: &str) -> Option<String> {
        let after: DateTime<Utc> = after.parse().unwrap();
        let next = Schedule::parse(expression).unwrap().next_after(after);
        next.map(|moment| moment.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    #[test]
    fn counts_seconds_in_utc() {
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(
            next("*/10 * * * * *", "2024-01-01T00:00:00Z"),
            at("2024-01-01T00:00:10Z")
        );
        assert_eq!(
            next("0/10 * * * * *", "2024-01-01T00:00:01Z"),
            at("2024-01-01T00:00:10Z")
        );
        assert_eq!(
            next("0 30 6 * * MON", "2024-01-01T06:30:00Z"),
            at("2024-01-08T06:30:00Z")
        );
        assert_eq!(
            next("0 0 0 29 2 *", "2024-03-01T00:00:00Z"),
            at("2028-02-29T00:00:00Z")
        );
        assert_eq!(next("0 0 0 31 2 *", "2024-03-01T00:00:00Z"), None);
    }

    #[test]
    fn wants_six_fields() {
        for expression in ["", "* * * * *", "* * * * * * 2024", "61 * * * * *", "soon"] {
            let error = Schedule::parse(expression).unwrap_err();
            assert!(error.is_config() && error.next_step().is_some(), "{error}");
        }
    }
}
