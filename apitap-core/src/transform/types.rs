//! The types that SQL asks for: PostgreSQL's timestamps count microseconds, and those with a time zone
//! are kept in UTC.

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::datatype::DataTypeExt as _;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::functions::datetime::{to_timestamp_micros, to_timestamp_seconds};
use datafusion::functions::math::round;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};

use super::cast::{CheckedCast, FinerDigits, Refused, between_number_and_moment, may_refuse};

/// What `timestamp` and `timestamptz` mean. DataFusion's own have nanoseconds, which reach from 1677 to 2262,
/// and no time zone.
#[derive(Debug)]
pub(super) struct Timestamps;

impl TypePlanner for Timestamps {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        let SqlType::Timestamp(digits, zone) = sql_type else {
            return Ok(None);
        };
        let unit = match digits {
            Some(0) => TimeUnit::Second,
            Some(3) => TimeUnit::Millisecond,
            // PostgreSQL keeps six of nine digits too.
            None | Some(6 | 9) => TimeUnit::Microsecond,
            Some(_) => return Ok(None),
        };
        let zone = match zone {
            TimezoneInfo::Tz | TimezoneInfo::WithTimeZone => Some("+00:00".into()),
            TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => None,
        };
        let data_type = DataType::Timestamp(unit, zone);
        Ok(Some(data_type.into_nullable_field_ref()))
    }
}

/// Puts microseconds where DataFusion chose nanoseconds of its own accord: for what it compares with text or
/// dates, `AT TIME ZONE`, `now()` and `to_timestamp`. DataFusion's coercion must run again afterwards: some
/// functions insist on nanoseconds.
#[derive(Debug)]
pub(super) struct Microseconds {
    pub(super) ordered: bool,
}

impl AnalyzerRule for Microseconds {
    fn name(&self) -> &str {
        "microseconds"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if super::is_recursive(&plan) {
            // The table that its rounds share keeps the types that it was planned with.
            return Ok(plan);
        }
        rewrite(plan, |expr, schema| self.expression(expr, schema))
    }
}

impl Microseconds {
    fn expression(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::Cast(Cast { expr, field }) => match micros_of(field.data_type()) {
                Some(target) => Transformed::yes((*expr).cast_to(&target, schema)?),
                None => Transformed::no(Expr::Cast(Cast { expr, field })),
            },
            Expr::TryCast(TryCast { expr, field }) => match micros_of(field.data_type()) {
                Some(target) => Transformed::yes(Expr::TryCast(TryCast::new(expr, target))),
                None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
            },
            Expr::Literal(ScalarValue::TimestampNanosecond(Some(nanos), zone), metadata)
                if nanos % 1_000 == 0 =>
            {
                let micros = ScalarValue::TimestampMicrosecond(Some(nanos / 1_000), zone);
                Transformed::yes(Expr::Literal(micros, metadata))
            }
            Expr::ScalarFunction(call) => self.call(call, schema)?,
            other => Transformed::no(other),
        })
    }

    fn call(&self, call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
        if let Some(moment) = number_as_moment(&call, schema)? {
            return Ok(Transformed::yes(moment));
        }
        let finer = match call.name() {
            // The clock's nanoseconds are nobody's data.
            "now" => FinerDigits::Dropped,
            _ => FinerDigits::Refused,
        };
        let expr = Expr::ScalarFunction(call);
        // A function may no longer take its arguments; the coercion that follows sees to that.
        let returned = expr.get_type(schema).ok();
        let target = returned.as_ref().and_then(micros_of);
        Ok(match target {
            Some(target) => Transformed::yes(CheckedCast::call(
                expr,
                target,
                Refused::Fails,
                finer,
                self.ordered,
            )),
            None => Transformed::no(expr),
        })
    }
}

/// `to_timestamp` and its kin of numbers and texts without a format: DataFusion's own leave out fractions and
/// what lies before 1677 or behind 2262, without a word.
fn number_as_moment(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let micros_per_unit = match call.name() {
        "to_timestamp" | "to_timestamp_seconds" => 1e6,
        "to_timestamp_millis" => 1e3,
        "to_timestamp_micros" => 1.0,
        _ => return Ok(None),
    };
    let [argument] = call.args.as_slice() else {
        return Ok(None);
    };
    let cast = |expr: Expr, target| Expr::Cast(Cast::new(Box::new(expr), target));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let argument = argument.clone();
    Ok(match argument.get_type(schema)? {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(cast(argument, micros)),
        number if number.is_floating() || number.is_decimal() => {
            let micros_since_1970 = cast(argument, DataType::Float64) * lit(micros_per_unit);
            let whole = cast(round().call(vec![micros_since_1970]), DataType::Int64);
            Some(to_timestamp_micros(&ConfigOptions::default()).call(vec![whole]))
        }
        whole if whole.is_integer() && call.name() == "to_timestamp" => {
            let argument = cast(argument, DataType::Int64);
            Some(to_timestamp_seconds(&ConfigOptions::default()).call(vec![argument]))
        }
        _ => None,
    })
}

fn micros_of(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        _ => None,
    }
}

/// Puts [`CheckedCast`] in the place of each cast that may refuse a value.
#[derive(Debug)]
pub(super) struct CheckedCasts {
    pub(super) ordered: bool,
}

impl AnalyzerRule for CheckedCasts {
    fn name(&self) -> &str {
        "checked_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite(plan, |expr, schema| {
            let (argument, target, refused) = match expr {
                Expr::Cast(Cast { expr, field }) => (expr, field, Refused::Fails),
                Expr::TryCast(TryCast { expr, field }) => (expr, field, Refused::IsNull),
                Expr::ScalarFunction(call) => return Ok(without_needless_cast(call)),
                other => return Ok(Transformed::no(other)),
            };
            let from = argument.get_type(schema)?;
            let target_type = target.data_type();
            if let Some(error) = between_number_and_moment(&argument, &from, target_type) {
                return Err(error);
            }
            // What Arrow casts as PostgreSQL would, TRY_CAST too, is left to it.
            let is_own = may_refuse(&from, target_type)
                && (refused == Refused::Fails || matches!(target_type, DataType::Timestamp(..)));
            if is_own {
                let target = target_type.clone();
                return Ok(Transformed::yes(CheckedCast::call(
                    *argument,
                    target,
                    refused,
                    FinerDigits::Refused,
                    self.ordered,
                )));
            }
            Ok(Transformed::no(match refused {
                Refused::Fails => Expr::Cast(Cast::new_from_field(argument, target)),
                Refused::IsNull => Expr::TryCast(TryCast::new_from_field(argument, target)),
            }))
        })
    }
}

/// `date_trunc` leaves out whatever is finer than a microsecond, so a cast inside it may. `to_char` takes any
/// timestamp, though DataFusion casts its argument to nanoseconds.
fn without_needless_cast(mut call: ScalarFunction) -> Transformed<Expr> {
    let argument = match (call.name(), call.args.as_slice()) {
        ("date_trunc", [_, Expr::ScalarFunction(cast)]) => {
            CheckedCast::without_finer_digits(cast).map(|argument| (1, argument))
        }
        ("to_char", [Expr::ScalarFunction(cast), _]) => {
            CheckedCast::made_nanoseconds_of(cast).map(|argument| (0, argument))
        }
        _ => None,
    };
    match argument {
        Some((place, argument)) => {
            call.args[place] = argument;
            Transformed::yes(Expr::ScalarFunction(call))
        }
        None => Transformed::no(Expr::ScalarFunction(call)),
    }
}

/// Rewrites every expression of a plan and of its subqueries, from the leaves up. Columns keep their names.
fn rewrite(
    plan: LogicalPlan,
    mut expression: impl FnMut(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        if matches!(plan, LogicalPlan::Values(_)) {
            // Its schema is not computed from its expressions.
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        let plan = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| expression(expr, &schema))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        // The inputs may have changed, even if the expressions have not.
        let transformed = plan.transformed;
        let plan = plan.data.recompute_schema()?;
        Ok(Transformed::new(
            plan,
            transformed,
            TreeNodeRecursion::Continue,
        ))
    })?;
    Ok(rewritten.data)
}
