//! Where the wall time went, and what to try next.

use apitap_core::budget::{Budget, Part};

use super::BUDGET;
use crate::format::{Percent, Seconds, Times, one_line};
use crate::profile::advice::NextStep;
use crate::profile::results::{ArmProfile, ProfileResults};
use crate::report::document::{BudgetBar, Cell, Chart, Plot, Table};
use crate::report::sections::format::{capitalised, figure};

pub(super) fn budget(profile: &ProfileResults) -> Option<Chart> {
    let budgets: Vec<(&ArmProfile, &Budget)> = profile
        .arms
        .iter()
        .filter_map(|arm| Some((arm, arm.budget.as_ref()?)))
        .collect();
    if budgets.is_empty() {
        return None;
    }
    let mut columns = vec!["Part".to_owned()];
    for (arm, _) in &budgets {
        let name = one_line(&arm.name);
        columns.extend([
            format!(">{name}"),
            format!(">{name}, share"),
            format!(">{name}, at most"),
        ]);
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut data = Table::new(BUDGET, &columns);
    for part in Part::ALL {
        let mut cells = vec![Cell::text(capital(part))];
        for (_, budget) in &budgets {
            let one = budget.part(part);
            cells.push(figure(one.map(|one| one.seconds), Seconds));
            cells.push(figure(Some(budget.share(part)), Percent));
            cells.push(match one {
                Some(one) if part != Part::Unexplained => figure(Some(one.gain_at_most), Times),
                _ => Cell::absent(),
            });
        }
        data.rows.push(cells);
    }
    let mut total = vec![Cell::text("Wall time")];
    for (_, budget) in &budgets {
        let parts: f64 = budget.parts.iter().map(|part| part.seconds).sum();
        total.extend([
            figure(Some(budget.wall_seconds), Seconds),
            figure(Some(parts / budget.wall_seconds), Percent),
            Cell::absent(),
        ]);
    }
    data.rows.push(total);
    Some(Chart {
        id: format!("{}-budget", profile.folder),
        title: "Where the wall time of a load went".to_owned(),
        plot: Plot::Budget {
            parts: Part::ALL.iter().map(capital).collect(),
            bars: budgets
                .iter()
                .map(|(arm, budget)| BudgetBar {
                    name: one_line(&arm.name),
                    seconds: budget.parts.iter().map(|part| part.seconds).collect(),
                })
                .collect(),
        },
        data,
    })
}

fn capital(part: impl std::borrow::Borrow<Part>) -> String {
    capitalised(&part.borrow().to_string())
}

/// What to try next on the candidate, the most promising first.
pub(super) fn next(profile: &ProfileResults) -> Option<Vec<String>> {
    let items = profile.advice.iter().enumerate().map(|(nth, advice)| {
        let steps: Vec<String> = advice.steps.iter().map(step).collect();
        format!(
            "{} {} ({} at most): {}.",
            if nth == 0 { "To try next:" } else { "Then:" },
            advice.part,
            Times(advice.gain_at_most),
            if steps.is_empty() {
                "this arm has every change that the suite knows".to_owned()
            } else {
                steps.join(", ")
            }
        )
    });
    (!profile.advice.is_empty()).then(|| items.collect())
}

fn step(step: &NextStep) -> String {
    match (&step.experiment, step.gain) {
        (Some(id), Some(gain)) => format!("{} ({} in {id})", step.text, Times(gain)),
        (Some(id), None) => format!("{} (experiment {id})", step.text),
        (None, _) => step.text.clone(),
    }
}
