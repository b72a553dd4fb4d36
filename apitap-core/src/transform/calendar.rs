//! `date_trunc` and `date_bin` over all years that PostgreSQL has. DataFusion's own count in nanoseconds:
//! the first fails outside of 1677 to 2262, and the second yields NULL.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::FormatOptions;
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::error::DataFusionError;
use datafusion::functions::datetime;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::error::{Error, ErrorKind, Stage};
use crate::time::{civil_from_days, days_from_civil};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// The functions in the place of DataFusion's own.
pub(super) fn functions() -> [ScalarUDF; 2] {
    [
        (datetime::date_trunc(), Function::DateTrunc),
        (datetime::date_bin(), Function::DateBin),
    ]
    .map(|(inner, function)| ScalarUDF::new_from_impl(Calendar { inner, function }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Function {
    DateTrunc,
    DateBin,
}

/// A function over DataFusion's, which says all of it except its values.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Calendar {
    inner: Arc<ScalarUDF>,
    function: Function,
}

impl ScalarUDFImpl for Calendar {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.inner().output_ordering(inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match self.function {
            Function::DateTrunc => date_trunc(&self.inner, args),
            Function::DateBin => date_bin(&self.inner, args),
        }
    }
}

fn date_trunc(inner: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    let unit = match args.args.as_slice() {
        [ColumnarValue::Scalar(unit), _] => unit.try_as_str().flatten().and_then(Unit::parse),
        _ => None,
    };
    let (Some(unit), Some(DataType::Timestamp(resolution, zone))) =
        (unit, args.args.get(1).map(ColumnarValue::data_type))
    else {
        return inner.invoke_with_args(args);
    };
    if resolution == TimeUnit::Nanosecond {
        return inner.invoke_with_args(args);
    }
    let is_scalar = matches!(args.args[1], ColumnarValue::Scalar(_));
    let array = args.args[1].to_array(1.max(args.number_rows))?;
    let zone: Option<Tz> = match zone.as_deref() {
        None | Some("+00:00" | "UTC" | "Z") => None,
        Some(zone) => Some(zone.parse()?),
    };
    let array = truncated(&array, unit, zone)
        .map_err(|row| out_of_range("date_trunc", args.arg_fields[1].name(), row))?;
    Ok(match is_scalar {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
        false => ColumnarValue::Array(array),
    })
}

/// The array with each moment at the start of its unit, or the row that cannot be.
fn truncated(array: &ArrayRef, unit: Unit, zone: Option<Tz>) -> Result<ArrayRef, usize> {
    let data_type = array.data_type();
    let micros_type = match data_type {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        other => other.clone(),
    };
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    let cast = |array: &ArrayRef, to: &DataType| cast_with_options(array, to, &options);
    let micros = cast(array, &micros_type).map_err(|_| 0usize)?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let values = micros.iter().enumerate().map(|(row, micros)| {
        let Some(micros) = micros else {
            return Ok(None);
        };
        let start = match &zone {
            Some(zone) if unit.depends_on_zone() => unit.start_in(micros, zone),
            _ => unit.start(micros),
        };
        start.map(Some).ok_or(row)
    });
    let values = values.collect::<Result<TimestampMicrosecondArray, usize>>()?;
    let values: ArrayRef = Arc::new(values.with_data_type(micros_type));
    cast(&values, data_type).map_err(|_| 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// So many microseconds, from midnight on.
    Fixed(i64),
    Week,
    /// So many months, from January on.
    Months(i64),
}

impl Unit {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "microsecond" => Self::Fixed(1),
            "millisecond" => Self::Fixed(1_000),
            "second" => Self::Fixed(SECOND_US),
            "minute" => Self::Fixed(MINUTE_US),
            "hour" => Self::Fixed(HOUR_US),
            "day" => Self::Fixed(DAY_US),
            "week" => Self::Week,
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Months(12),
            _ => return None,
        })
    }

    fn depends_on_zone(self) -> bool {
        !matches!(self, Self::Fixed(micros) if micros < HOUR_US)
    }

    fn start(self, micros: i64) -> Option<i64> {
        let days = micros.div_euclid(DAY_US);
        let first_day = match self {
            Self::Fixed(unit) => return micros.checked_sub(micros.rem_euclid(unit)),
            // 1970-01-01 was a Thursday, and weeks begin on Mondays.
            Self::Week => days - (days + 3).rem_euclid(7),
            Self::Months(months) => {
                let (year, month, _) = civil_from_days(days);
                days_from_civil(year, (month - 1) / months * months + 1, 1)
            }
        };
        first_day.checked_mul(DAY_US)
    }

    /// The start by the clocks of `zone`.
    fn start_in(self, micros: i64, zone: &Tz) -> Option<i64> {
        let moment = DateTime::from_timestamp_micros(micros)?.with_timezone(zone);
        let local = moment.naive_local().and_utc().timestamp_micros();
        let start: NaiveDateTime = DateTime::from_timestamp_micros(self.start(local)?)?.naive_utc();
        let start = match zone.from_local_datetime(&start) {
            LocalResult::Single(start) => start,
            // It is in the hour that comes twice, so its start has the same offset.
            LocalResult::Ambiguous(one, other) => {
                match one.offset().fix() == moment.offset().fix() {
                    true => one,
                    false => other,
                }
            }
            // Clocks were put forward at that hour: an earlier one exists.
            LocalResult::None => {
                let earlier = TimeDelta::hours(3);
                let start = zone.from_local_datetime(&(start - earlier)).single()?;
                start + earlier
            }
        };
        Some(start.timestamp_micros())
    }
}

fn date_bin(inner: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    let [stride, value, ..] = args.args.as_slice() else {
        return internal_err!("date_bin has two arguments or three");
    };
    if matches!(stride, ColumnarValue::Scalar(stride) if stride.is_null()) {
        return inner.invoke_with_args(args);
    }
    let rows = args.number_rows;
    let column = args.arg_fields[1].name().clone();
    let given = value.to_array(rows)?;
    let bins = inner.invoke_with_args(args)?;
    let starts = bins.to_array(rows)?;
    let lost = (0..rows).find(|&row| given.is_valid(row) && starts.is_null(row));
    match lost {
        Some(row) => Err(out_of_range("date_bin", &column, row)),
        None => Ok(bins),
    }
}

fn out_of_range(function: &str, column: &str, row: usize) -> DataFusionError {
    let range = match function {
        "date_bin" => "1677-09-21 to 2262-04-11, for which date_bin counts nanoseconds",
        _ => "what a timestamp holds",
    };
    let error = Error::new(
        ErrorKind::Value,
        Stage::Transform,
        format!(
            "column {column}, row {} of its batch: a time outside of {range}",
            row + 1
        ),
    );
    DataFusionError::External(Box::new(
        error.hint("use date_trunc, or filter such rows in the module's SQL"),
    ))
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Timelike};
    use proptest::prelude::*;

    use super::*;

    fn micros(text: &str) -> i64 {
        crate::time::timestamp_with_zone(text).unwrap()
    }

    #[test]
    fn weeks_and_months_begin_where_calendars_say() {
        for (unit, text, start) in [
            (
                "week",
                "9999-12-31T23:59:59.999999Z",
                "9999-12-27T00:00:00Z",
            ),
            ("week", "1969-12-28T00:00:00Z", "1969-12-22T00:00:00Z"),
            ("month", "1600-02-29T12:00:00Z", "1600-02-01T00:00:00Z"),
            ("quarter", "0001-09-30T01:00:00Z", "0001-07-01T00:00:00Z"),
            ("YEAR", "0001-12-31T01:00:00Z", "0001-01-01T00:00:00Z"),
            ("hour", "1677-01-01T01:59:59.5Z", "1677-01-01T01:00:00Z"),
            ("day", "0001-01-01T00:00:00.000001Z", "0001-01-01T00:00:00Z"),
        ] {
            let unit = Unit::parse(unit).unwrap();
            assert_eq!(unit.start(micros(text)), Some(micros(start)), "{text}");
        }
    }

    #[test]
    fn days_begin_at_the_zones_midnight() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        for (unit, text, start) in [
            ("day", "2024-07-01T00:30:00Z", "2024-06-30T22:00:00Z"),
            ("month", "9999-12-31T23:30:00Z", "9999-12-31T23:00:00Z"),
            // The hour that comes twice, both times.
            ("hour", "2024-10-27T00:30:00Z", "2024-10-27T00:00:00Z"),
            ("hour", "2024-10-27T01:30:00Z", "2024-10-27T01:00:00Z"),
        ] {
            let unit = Unit::parse(unit).unwrap();
            assert_eq!(
                unit.start_in(micros(text), &berlin),
                Some(micros(start)),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn starts_agree_with_chrono(micros in -62_135_596_800_000_000i64..253_402_300_800_000_000) {
            let moment = DateTime::from_timestamp_micros(micros).unwrap();
            let midnight = |year, month, day| {
                let date = chrono::NaiveDate::from_ymd_opt(year, month, day).unwrap();
                date.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_micros()
            };
            let start = |unit| Unit::parse(unit).unwrap().start(micros).unwrap();
            prop_assert_eq!(start("year"), midnight(moment.year(), 1, 1));
            prop_assert_eq!(start("month"), midnight(moment.year(), moment.month(), 1));
            prop_assert_eq!(start("quarter"), midnight(moment.year(), moment.month0() / 3 * 3 + 1, 1));
            prop_assert_eq!(start("day"), midnight(moment.year(), moment.month(), moment.day()));
            let hour = moment.with_minute(0).unwrap().with_second(0).unwrap().with_nanosecond(0).unwrap();
            prop_assert_eq!(start("hour"), hour.timestamp_micros());
        }
    }
}
