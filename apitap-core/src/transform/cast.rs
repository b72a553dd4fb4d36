//! Casts that may refuse a value. They name the column and the row, as DataFusion's own do not, and they
//! take text for a timestamp only if microseconds hold it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, new_empty_array};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampNanosecondType};
use arrow::util::display::FormatOptions;
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::encode::pg_type::sql_name;
use crate::error::{Error, ErrorKind, Stage};
use crate::time;

/// What becomes of a value that the type cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Refused {
    /// An error: `CAST`.
    Fails,
    /// NULL: `TRY_CAST`.
    IsNull,
}

/// What becomes of digits of a second behind the sixth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FinerDigits {
    /// They are refused, unless all are zero.
    Refused,
    /// They go: what is around the cast leaves them out anyway.
    Dropped,
}

/// A cast as a function of one argument.
#[derive(Clone)]
pub(super) struct CheckedCast {
    /// The columns that the argument reads, for messages.
    column: String,
    target: DataType,
    refused: Refused,
    finer: FinerDigits,
    signature: Signature,
    /// Rows of earlier batches, where the rows of a query come in order.
    rows: Option<Arc<AtomicU64>>,
}

impl CheckedCast {
    /// `argument` as `target`. `ordered` says whether its rows come in one lane, so that counting them
    /// tells where they are.
    pub(super) fn call(
        argument: Expr,
        target: DataType,
        refused: Refused,
        finer: FinerDigits,
        ordered: bool,
    ) -> Expr {
        // Who asks for fewer digits gets fewer.
        let finer = match &target {
            DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _) => {
                FinerDigits::Dropped
            }
            _ => finer,
        };
        let cast = Self {
            column: columns(&argument),
            target,
            refused,
            finer,
            signature: Signature::any(1, Volatility::Immutable),
            rows: ordered.then(Arc::default),
        };
        cast.over(argument)
    }

    /// The same cast, if `call` is one, without digits behind the sixth.
    pub(super) fn without_finer_digits(call: &ScalarFunction) -> Option<Expr> {
        let cast = call.func.inner().downcast_ref::<Self>()?;
        let cast = Self {
            finer: FinerDigits::Dropped,
            ..cast.clone()
        };
        Some(cast.over(call.args.first()?.clone()))
    }

    /// What `call` casts, if it makes nanoseconds of another timestamp.
    pub(super) fn made_nanoseconds_of(call: &ScalarFunction) -> Option<Expr> {
        let cast = call.func.inner().downcast_ref::<Self>()?;
        match cast.target {
            DataType::Timestamp(TimeUnit::Nanosecond, _) => call.args.first().cloned(),
            _ => None,
        }
    }

    fn over(self, argument: Expr) -> Expr {
        let function = Arc::new(ScalarUDF::new_from_impl(self));
        Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![argument]))
    }

    fn array(&self, array: &ArrayRef) -> Result<ArrayRef, Unfit> {
        match (array.data_type(), &self.target) {
            (from, DataType::Timestamp(unit, zone)) if is_text(from) => {
                let micros = self.moments(array, zone.as_deref())?;
                let micros: ArrayRef = Arc::new(micros.with_timezone_opt(zone.clone()));
                match unit {
                    TimeUnit::Microsecond => Ok(micros),
                    _ => self.by_arrow(&micros),
                }
            }
            (
                DataType::Timestamp(TimeUnit::Nanosecond, _),
                DataType::Timestamp(TimeUnit::Microsecond, zone),
            ) => {
                let nanos = array.as_primitive::<TimestampNanosecondType>();
                let finer = |nanos: i64| nanos.rem_euclid(1_000) != 0;
                let kept = self.finer == FinerDigits::Refused;
                let row = (0..nanos.len())
                    .find(|&row| kept && nanos.is_valid(row) && finer(nanos.value(row)));
                match row {
                    Some(row) if self.refused == Refused::Fails => Err(Unfit::finer(row)),
                    _ => {
                        let micros = nanos.unary_opt(|nanos| {
                            (!kept || !finer(nanos)).then_some(nanos.div_euclid(1_000))
                        });
                        let micros: TimestampMicrosecondArray = micros;
                        Ok(Arc::new(micros.with_timezone_opt(zone.clone())))
                    }
                }
            }
            _ => self.by_arrow(array),
        }
    }

    /// Texts as microseconds since 1970; those without an offset are local to `zone`.
    fn moments(
        &self,
        array: &ArrayRef,
        zone: Option<&str>,
    ) -> Result<TimestampMicrosecondArray, Unfit> {
        let zone: Tz = zone
            .unwrap_or("+00:00")
            .parse()
            .map_err(|_| Unfit::new(0, "a time zone that is not known".into()))?;
        let plain;
        let array = match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => array,
            _ => {
                plain = cast_with_options(array, &DataType::Utf8, &options(Refused::Fails))
                    .map_err(|_| Unfit::new(0, "a text that cannot be read".into()))?;
                &plain
            }
        };
        match array.data_type() {
            DataType::LargeUtf8 => self.each(array.as_string::<i64>().iter(), &zone),
            DataType::Utf8View => self.each(array.as_string_view().iter(), &zone),
            _ => self.each(array.as_string::<i32>().iter(), &zone),
        }
    }

    fn each<'a>(
        &self,
        texts: impl Iterator<Item = Option<&'a str>>,
        zone: &Tz,
    ) -> Result<TimestampMicrosecondArray, Unfit> {
        let values = texts.enumerate().map(|(row, text)| {
            let Some(text) = text else { return Ok(None) };
            match (moment(text, zone, self.finer), self.refused) {
                (Ok(micros), _) => Ok(Some(micros)),
                (Err(_), Refused::IsNull) => Ok(None),
                (Err(Unread::Finer), Refused::Fails) => Err(Unfit::finer(row)),
                (Err(Unread::NoTimestamp), Refused::Fails) => Err(Unfit::new(
                    row,
                    format!(
                        "a text that is no {} of the years 0001 to 9999",
                        sql_name(&self.target)
                    ),
                )),
            }
        });
        values.collect()
    }

    fn by_arrow(&self, array: &ArrayRef) -> Result<ArrayRef, Unfit> {
        let value = ColumnarValue::Array(array.clone());
        let cast =
            |value: &ColumnarValue| value.cast_to(&self.target, Some(&options(self.refused)));
        match cast(&value) {
            Ok(ColumnarValue::Array(array)) => Ok(array),
            Ok(ColumnarValue::Scalar(_)) => Ok(new_empty_array(&self.target)),
            Err(_) => {
                let refused =
                    |row: &usize| cast(&ColumnarValue::Array(array.slice(*row, 1))).is_err();
                let row = (0..array.len()).find(refused).unwrap_or_default();
                let (from, to) = (sql_name(array.data_type()), sql_name(&self.target));
                if matches!(self.target, DataType::Timestamp(TimeUnit::Nanosecond, _)) {
                    return Err(Unfit::beyond_nanoseconds(row, &from));
                }
                let range = range(&self.target).unwrap_or_default();
                Err(Unfit::new(row, format!("a {from} that is no {to}{range}")))
            }
        }
    }

    fn error(&self, unfit: Unfit, first_row: Option<u64>) -> DataFusionError {
        let mut place = match self.column.as_str() {
            "" => "a constant".to_owned(),
            column => format!("column {column}"),
        };
        if let (Some(first), false) = (first_row, self.column.is_empty()) {
            place.push_str(&format!(
                ", row {} of those cast",
                first + unfit.row as u64 + 1
            ));
        }
        let timestamp = matches!(self.target, DataType::Timestamp(..));
        let hint = unfit.hint.unwrap_or_else(|| {
            let type_name = sql_name(&self.target);
            let one_column = !self.column.is_empty() && !self.column.contains(", ");
            let declared = match timestamp && one_column {
                true => format!(
                    ", or declare `columns: {{{}: {type_name}}}` for the source, whose errors name the page too",
                    self.column
                ),
                false => String::new(),
            };
            format!("filter such rows, or use TRY_CAST or NULLIF in the module's SQL{declared}")
        });
        let error = Error::new(
            ErrorKind::Sql,
            Stage::Transform,
            format!("{place}: the SQL casts {}", unfit.what),
        );
        DataFusionError::External(Box::new(error.hint(hint)))
    }
}

impl ScalarUDFImpl for CheckedCast {
    fn name(&self) -> &str {
        "checked_cast"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        // As DataFusion names its own casts.
        Ok(args
            .iter()
            .map(|arg| arg.schema_name().to_string())
            .collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [argument] = args.arg_fields else {
            return internal_err!("a cast has one argument");
        };
        let nullable = argument.is_nullable() || self.refused == Refused::IsNull;
        let field = Field::new(argument.name(), self.target.clone(), nullable);
        Ok(Arc::new(field))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return exec_err!("a cast has one argument");
        };
        match value {
            ColumnarValue::Array(array) => {
                let before = self
                    .rows
                    .as_ref()
                    .map(|rows| rows.fetch_add(array.len() as u64, Relaxed));
                let array = self
                    .array(array)
                    .map_err(|unfit| self.error(unfit, before))?;
                Ok(ColumnarValue::Array(array))
            }
            ColumnarValue::Scalar(scalar) => {
                let array = self
                    .array(&scalar.to_array()?)
                    .map_err(|unfit| self.error(unfit, None))?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                    &array, 0,
                )?))
            }
        }
    }
}

impl fmt::Debug for CheckedCast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckedCast({} to {})", self.column, self.target)
    }
}

impl PartialEq for CheckedCast {
    fn eq(&self, other: &Self) -> bool {
        (&self.column, &self.target, self.refused, self.finer)
            == (&other.column, &other.target, other.refused, other.finer)
    }
}

impl Eq for CheckedCast {}

impl Hash for CheckedCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.column, &self.target, self.refused, self.finer).hash(state);
    }
}

/// The columns that an expression reads.
fn columns(expr: &Expr) -> String {
    let columns = expr.column_refs();
    let mut names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// The error of a cast between a number and a moment, which PostgreSQL refuses too: it does not say what the
/// number counts. None for all others.
pub(super) fn between_number_and_moment(
    argument: &Expr,
    from: &DataType,
    to: &DataType,
) -> Option<DataFusionError> {
    let is_moment = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
    let hint = if from.is_numeric() && is_moment(to) {
        "use to_timestamp_seconds, to_timestamp_millis or to_timestamp_micros"
    } else if is_moment(from) && to.is_numeric() {
        "use date_part('epoch', …), which gives seconds"
    } else {
        return None;
    };
    let place = match columns(argument).as_str() {
        "" => "a constant".to_owned(),
        columns => format!("column {columns}"),
    };
    let error = Error::new(
        ErrorKind::Sql,
        Stage::Transform,
        format!(
            "{place}: the SQL casts {} to {}, which does not say what the number counts",
            sql_name(from),
            sql_name(to)
        ),
    );
    Some(DataFusionError::External(Box::new(error.hint(hint))))
}

/// Why a value does not fit, and its row in the batch. Never holds the value.
struct Unfit {
    row: usize,
    what: String,
    hint: Option<String>,
}

impl Unfit {
    fn new(row: usize, what: String) -> Self {
        let hint = None;
        Self { row, what, hint }
    }

    fn beyond_nanoseconds(row: usize, from: &str) -> Self {
        let what = format!(
            "a {from} outside of 1677-09-21 to 2262-04-11 for a function that counts nanoseconds"
        );
        let hint =
            Some("use date_trunc instead, or filter such rows in the module's SQL".to_owned());
        Self { row, what, hint }
    }

    fn finer(row: usize) -> Self {
        let what = "a time with nanoseconds, which PostgreSQL would round".to_owned();
        let hint = Some("drop them with date_trunc('microsecond', …) around the cast".to_owned());
        Self { row, what, hint }
    }
}

enum Unread {
    NoTimestamp,
    Finer,
}

/// Microseconds since 1970 of a text such as `2024-01-31T12:00:00.5+05:30`, `2024-01-31 12:00:00+0530`,
/// `2024-01-31 12:00:00 Europe/Berlin` or `2024-01-31`.
fn moment(text: &str, zone: &Tz, finer: FinerDigits) -> Result<i64, Unread> {
    if let Some(micros) = time::timestamp_with_zone(text) {
        return Ok(micros);
    }
    let parsed = string_to_datetime(zone, text).map_err(|_| Unread::NoTimestamp)?;
    // Arrow leaves out what lies behind its ninth digit.
    let digits = text.get(20..).unwrap_or_default().bytes();
    let mut behind_the_sixth = digits
        .take_while(u8::is_ascii_digit)
        .skip(6)
        .take(text.len());
    let has_fraction = text.as_bytes().get(19) == Some(&b'.');
    if finer == FinerDigits::Refused && has_fraction && behind_the_sixth.any(|digit| digit != b'0')
    {
        return Err(Unread::Finer);
    }
    Ok(parsed.timestamp_micros())
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        plain => matches!(
            plain,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        ),
    }
}

fn options(refused: Refused) -> CastOptions<'static> {
    CastOptions {
        safe: refused == Refused::IsNull,
        format_options: FormatOptions::default(),
    }
}

/// What a type holds, where that is worth saying.
fn range(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Int16 => " (-32768 to 32767)",
        DataType::Int32 => " (-2147483648 to 2147483647)",
        DataType::Int64 => " (-9223372036854775808 to 9223372036854775807)",
        _ => return None,
    })
}

/// Whether a cast from one type to the other may refuse a value.
pub(super) fn may_refuse(from: &DataType, to: &DataType) -> bool {
    let bits = |data_type: &DataType| data_type.primitive_width().unwrap_or_default();
    let whole = |data_type: &DataType| data_type.is_integer();
    match (from, to) {
        _ if from == to || *from == DataType::Null || from.is_nested() || to.is_nested() => false,
        (_, to) if is_text(to) => false,
        (DataType::Boolean, _) | (_, DataType::Boolean) => is_text(from),
        (from, to) if whole(from) && to.is_floating() => false,
        (from, to) if from.is_floating() && to.is_floating() => false,
        (from, to) if from.is_signed_integer() && to.is_signed_integer() => bits(to) < bits(from),
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => {
            use TimeUnit::{Microsecond, Nanosecond};
            (*from, *to) == (Nanosecond, Microsecond) || is_finer(to, from)
        }
        (DataType::Timestamp(..), DataType::Date32 | DataType::Time64(_)) => false,
        _ => true,
    }
}

fn is_finer(one: &TimeUnit, other: &TimeUnit) -> bool {
    let rank = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    rank(one) > rank(other)
}
