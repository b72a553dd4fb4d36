//! The engine beside psql with a file made beforehand: what is reached of the goals, and the floor
//! below it.

use super::format::{claim_tone, figure, name};
use super::paragraph;
use crate::experiment::Definition;
use crate::format::{Number, Percent, Promise, Range, Seconds, Times};
use crate::judge::{Finding, Floor, Results};
use crate::metric::Metric;
use crate::report::document::{Block, Cell, Section, Table};
use crate::stats::{Expected, Location};

/// What arms reach and could reach; none where no arm is compared with psql.
pub(super) fn section(results: &Results) -> Option<Section> {
    let measured = |floor: &&Floor| {
        let scenario = results.scenario(&floor.scenario);
        let arm = scenario.and_then(|scenario| scenario.arm(&floor.arm));
        arm.is_some_and(|arm| arm.wall_seconds.is_some())
    };
    let floors: Vec<&Floor> = results.floors.iter().filter(measured).collect();
    if floors.is_empty() {
        return None;
    }
    let mut section = Section::new("ceiling", "The ceiling");
    section.push(paragraph(
        "psql sends a file that was made beforehand; the engine also fetches, decodes and encodes. A ratio below 1 is \
         less than the time of psql.",
    ));
    section.push(Block::Table(times(results, &floors)));
    section.push(paragraph(format!(
        "The floor of an arm is the processor time of client and server, divided by the machine's cores: no other \
         arrangement of the same work takes less time. Over one connection, one process of the server takes the rows, \
         so there the server's processor time is a floor as well. The mock API works on the same cores, and its time is \
         not in the floor. Each interval has a confidence of {} by itself.",
        Percent(results.confidence_level)
    )));
    section.push(Block::Table(below(results, &floors)));
    Some(section)
}

fn times(results: &Results, floors: &[&Floor]) -> Table {
    let columns = [
        "Scenario",
        "Arm",
        ">Time",
        ">Ratio to psql",
        ">Goal",
        "Verdict",
    ];
    let mut table = Table::new("Times beside those of psql", &columns);
    table.rows = floors
        .iter()
        .map(|floor| time_row(results, floor))
        .collect();
    table
}

fn time_row(results: &Results, floor: &Floor) -> Vec<Cell> {
    let scenario = results.scenario(&floor.scenario);
    let arm = scenario.and_then(|scenario| scenario.arm(&floor.arm));
    let wall = arm.and_then(|arm| arm.wall_seconds);
    let experiment = scenario.and_then(|scenario| results.experiment(&scenario.plan.experiment));
    let finding = experiment.and_then(|experiment| {
        let mut findings = experiment.findings.iter();
        findings.find(|one| one.scenario == floor.scenario && one.candidate == floor.arm)
    });
    let mut row = vec![
        name(&floor.scenario),
        name(&floor.arm),
        figure(wall.map(|wall| wall.median), Seconds),
    ];
    row.extend(match (experiment, finding) {
        (Some(experiment), Some(finding)) => {
            against(&experiment.definition, finding, results.confidence_level)
        }
        _ => [Cell::absent(), Cell::absent(), Cell::absent()],
    });
    row
}

/// The ratio of a candidate, its goal, and the verdict on that.
fn against(definition: &Definition, finding: &Finding, confidence: f64) -> [Cell; 3] {
    let judged = finding.judged(Metric::WallSeconds);
    let ratio = judged.map_or_else(Cell::absent, |judged| {
        let ratio = &judged.comparison;
        let text = format!("{} ({})", Times(ratio.ratio), Range::new(ratio, confidence));
        Cell::figure(text, ratio.ratio)
    });
    let goal = match definition.expected_of(&finding.candidate) {
        Expected::Factor { low, high: None } => format!("at most {}", Times(1.0 / low)),
        other => Promise(other).to_string(),
    };
    let verdict = Cell::text(finding.claim.to_string()).toned(claim_tone(finding.claim));
    [ratio, Cell::text(goal), verdict]
}

fn below(results: &Results, floors: &[&Floor]) -> Table {
    let columns = [
        "Scenario",
        "Arm",
        "+>Connections",
        ">Floor, s",
        ">Floor ÷ psql",
        ">Server CPU, s",
        ">Client CPU s/M rows",
    ];
    let confidence = results.confidence_level;
    let mut table = Table::new("The floor", &columns);
    table.rows = floors
        .iter()
        .map(|floor| {
            let of_psql = floor.of_psql.as_ref();
            vec![
                name(&floor.scenario),
                name(&floor.arm),
                Cell::figure(floor.connections.to_string(), floor.connections as f64),
                located(floor.seconds, confidence),
                of_psql.map_or_else(Cell::absent, |ratio| {
                    let range = Range::new(ratio, confidence);
                    Cell::figure(format!("{} ({range})", Times(ratio.ratio)), ratio.ratio)
                }),
                located(floor.server_cpu_seconds, confidence),
                located(floor.client_cpu_seconds_per_million_rows, confidence),
            ]
        })
        .collect();
    table
}

/// `0.412 (0.398–0.430)`.
fn located(location: Option<Location>, wanted: f64) -> Cell {
    location.map_or_else(Cell::absent, |location| {
        let (estimate, range) = (location.estimate, Range::of_location(&location, wanted));
        Cell::figure(format!("{} ({range})", Number(estimate)), estimate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::Document;
    use crate::report::terminal::{self, Colour};
    use crate::report::{example, html, markdown};
    use crate::samples::Samples;

    fn results() -> Results {
        let (run, samples) = example::with_ceiling();
        Results::new(&run, &samples)
    }

    fn document() -> Document {
        Document {
            title: "A run".to_owned(),
            subtitle: String::new(),
            sections: section(&results()).into_iter().collect(),
        }
    }

    #[test]
    fn goals_and_floors_of_a_constructed_run() {
        insta::assert_snapshot!(markdown::page(&document()));
    }

    #[test]
    fn all_forms_have_both_tables() {
        let page = html::page(&document(), "").unwrap();
        let terminal = terminal::render(&results(), Colour::Never, false);
        for text in ["Times beside those of psql", "The floor", "at most 0.750×"] {
            assert!(page.contains(text), "{page}");
            assert!(terminal.contains(text), "{terminal}");
        }
    }

    #[test]
    fn a_variant_is_held_against_its_own_goal() {
        let results = results();
        let table = times(&results, &results.floors.iter().collect::<Vec<_>>());
        let texts = |row: usize| -> Vec<&str> {
            let cells = table.rows[row][3..].iter();
            cells.map(|cell| cell.text.as_str()).collect()
        };
        assert_eq!(texts(0), ["–", "–", "–"]);
        // 0.7 and 0.95 times the time of psql.
        assert_eq!(texts(1)[1..], ["at most 0.750×", "supported"]);
        assert_eq!(texts(2)[1..], ["at most 0.880×", "refuted"]);
    }

    #[test]
    fn what_was_not_measured_has_no_section() {
        let (run, _) = example::with_ceiling();
        assert_eq!(section(&Results::new(&run, &Samples::default())), None);
        assert_eq!(section(&example::results()), None);
    }
}
