//! The first screen: which changes gain, how much, and how sure that is.

use super::format::{capitalised, claim_word, in_sentence, listed, name, on, promise, reason};
use super::{gains, holds, is_grave};
use crate::format::{Count, Number, Percent, Range, Times, one_line};
use crate::judge::{CONTROL_BOUND, ExperimentResults, Finding, PartOf, Recommendation, Results};
use crate::profile::record::{PAGE_FILE, PROFILES_FOLDER};
use crate::report::document::{Block, NamedList, Section, Tile, Tone};
use crate::stats::{ClaimVerdict, Verdict};

/// The run in one sentence.
pub(super) fn headline(results: &Results) -> String {
    let titles = |ids: &[String]| -> Vec<String> {
        let experiments = ids.iter().filter_map(|id| results.experiment(id));
        experiments
            .map(|one| in_sentence(&one.definition.title))
            .collect()
    };
    let pay = titles(&results.headline.pay);
    let do_not = titles(&results.headline.do_not);
    let pays = if is_plural(&pay) { "pay" } else { "pays" };
    let does = if is_plural(&do_not) { "do" } else { "does" };
    let found = match (pay.is_empty(), do_not.is_empty()) {
        (true, true) => "what each optimization brings, measured".to_owned(),
        (false, true) => format!("{} {pays}", listed(&pay)),
        (true, false) => format!("{} {does} not pay", listed(&do_not)),
        (false, false) => format!("{} {pays}; {} {does} not", listed(&pay), listed(&do_not)),
    };
    if results.control.is_established() {
        return capitalised(&found);
    }
    format!(
        "Control not established{}, so verdicts are indicative: {found}",
        places(results)
    )
}

/// The presets whose control is not established, if it is on others: ` on before`.
fn places(results: &Results) -> String {
    let wide = &results.control.wide;
    let places: Vec<String> = wide.iter().filter_map(|one| one.on.clone()).collect();
    match wide.len() == results.control.measured || places.len() < wide.len() {
        true => String::new(),
        false => format!(" on {}", listed(&places)),
    }
}

/// Whether the verb of these titles is in the plural: of several, or of one such as "larger batches
/// for COPY".
fn is_plural(titles: &[String]) -> bool {
    let [title] = titles else { return true };
    let subject = [" for ", " in ", " instead "]
        .iter()
        .fold(title.as_str(), |subject, word| {
            subject.split(word).next().unwrap_or(subject)
        });
    subject.ends_with('s')
}

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("summary", "In short");
    let grave = results.warnings.iter().filter(|warning| is_grave(warning));
    section.blocks = grave
        .map(|warning| Block::Warning(one_line(&warning.to_string())))
        .collect();
    section.push(Block::Tiles(tiles(results)));
    if !results.steps.is_empty() {
        section.push(Block::Chart(gains::chart(results)));
    }
    let lists = lists(results);
    if !lists.is_empty() {
        section.push(Block::Lists(lists));
    }
    if !results.profiles.is_empty() {
        section.push(Block::File {
            text: format!(
                "Where the time goes: {}",
                Count::new(results.profiles.len(), "profile")
            ),
            path: format!("{PROFILES_FOLDER}/{PAGE_FILE}"),
        });
    }
    section
}

fn tiles(results: &Results) -> Vec<Tile> {
    let mut tiles = whole(results);
    let claims = results.claims();
    let count = |verdict: ClaimVerdict| claims.iter().filter(|one| one.verdict == verdict).count();
    let holding = count(ClaimVerdict::Supported) + count(ClaimVerdict::Exceeded);
    if !claims.is_empty() {
        let mut text = format!(
            "claims hold; {} refuted, {} inconclusive",
            count(ClaimVerdict::Refuted),
            count(ClaimVerdict::Inconclusive)
        );
        let not_testable = count(ClaimVerdict::NotTestable);
        if not_testable > 0 {
            text += &format!(", {not_testable} not testable here");
        }
        tiles.push(Tile {
            figure: format!("{holding} of {}", claims.len()),
            text,
        });
    }
    let (figure, text) = control(results);
    tiles.push(Tile { figure, text });
    tiles
}

/// `tuned` against `before`: the gain, and the speed.
fn whole(results: &Results) -> Vec<Tile> {
    let Some((experiment, finding)) = results.whole() else {
        return vec![Tile {
            figure: "–".to_owned(),
            text: "Before against tuned was not measured".to_owned(),
        }];
    };
    let interval = finding.leading().map(|judged| {
        let gain = judged.comparison.inverted();
        format!(" ({})", Range::new(&gain, results.confidence_level))
    });
    let mut tiles = vec![Tile {
        figure: Times(finding.gain().unwrap_or(1.0)).to_string(),
        text: format!(
            "tuned against before{}; promised: {}, {}",
            interval.unwrap_or_default(),
            promise(&experiment.definition),
            claim_word(experiment)
        ),
    }];
    let scenario = results.scenario(&finding.scenario);
    let speed = |arm: &str| scenario?.arm(arm)?.rows_per_second;
    let baseline = &experiment.definition.baseline.name;
    if let (Some(tuned), Some(before)) = (speed(&finding.candidate), speed(baseline)) {
        tiles.push(Tile {
            figure: format!("{} rows/s", Number(tuned)),
            text: format!("with tuned; {} with before", Number(before)),
        });
    }
    tiles
}

/// What identical arms say about everything else: the resolution, and a sentence.
pub(super) fn control(results: &Results) -> (String, String) {
    let findings: Vec<&Finding> = results
        .identical()
        .into_iter()
        .flat_map(ExperimentResults::outside_grid)
        .collect();
    let resolution = format!("±{}", Percent(largest_possible(&findings)));
    match () {
        () if findings.is_empty() => (
            "–".to_owned(),
            "A/A control: not measured, so nothing shows how large a difference noise makes"
                .to_owned(),
        ),
        () if !results.control.differing.is_empty() => {
            let differing = results.control.differing.iter();
            let differing: Vec<String> = differing
                .map(|one| format!("by {}{}", Times(one.gain), on(one.on.as_deref())))
                .collect();
            let text = format!(
                "A/A control not established: identical arms differ {}, and may by {resolution}; \
                 verdicts on that preset allow for it and are indicative",
                listed(&differing)
            );
            (resolution, text)
        }
        () if !results.control.is_established() => {
            let bound = Percent(CONTROL_BOUND.share());
            let text = format!(
                "A/A control not established: identical arms may differ by {resolution}, and must not by more than ±{bound}; \
                 verdicts are indicative"
            );
            (resolution, text)
        }
        () => {
            let text = format!("A/A control: no difference seen (resolution {resolution})");
            (resolution, text)
        }
    }
}

/// The farthest end of any interval, as a difference in either direction.
fn largest_possible(findings: &[&Finding]) -> f64 {
    let judged = findings.iter().filter_map(|finding| finding.leading());
    judged
        .map(|judged| judged.comparison.interval.farthest() - 1.0)
        .fold(0.0, f64::max)
}

fn lists(results: &Results) -> Vec<NamedList> {
    let list =
        |title: &str, tone, wanted: &[Recommendation], order: fn(&ExperimentResults) -> f64| {
            let is_wanted = |one: &&ExperimentResults| {
                one.recommendation.is_some_and(|own| wanted.contains(&own))
            };
            let mut chosen: Vec<&ExperimentResults> =
                results.claims().into_iter().filter(is_wanted).collect();
            chosen.sort_by(|a, b| order(a).total_cmp(&order(b)));
            let items = chosen.into_iter().map(|one| {
                let definition = &one.definition;
                let title = name(&definition.title).linked(&definition.id);
                (title, evidence(results, one))
            });
            NamedList {
                title: title.to_owned(),
                tone,
                items: items.collect(),
            }
        };
    let gaining = [Recommendation::Do, Recommendation::DoElsewhere];
    [
        list("Do", Tone::Yes, &gaining, |one| -one.gain().unwrap_or(1.0)),
        list("Don’t", Tone::No, &[Recommendation::Dont], |one| {
            one.loss().unwrap_or(1.0)
        }),
        list(
            "Cannot tell",
            Tone::Unknown,
            &[Recommendation::Inconclusive],
            |_| 0.0,
        ),
    ]
    .into_iter()
    .filter(|list| !list.items.is_empty())
    .collect()
}

/// What a recommendation is based on.
fn evidence(results: &Results, experiment: &ExperimentResults) -> String {
    let gains = by_preset(experiment);
    match (experiment.recommendation, experiment.inconclusive) {
        (Some(Recommendation::Inconclusive), Some(why)) => reason(why),
        (Some(Recommendation::Do), _) if is_in_both(results, experiment) => {
            format!("{gains}; both presets have it")
        }
        (Some(Recommendation::DoElsewhere | Recommendation::Dont), _) => {
            match &experiment.gains.grid {
                Some(part) => format!("{gains}; a gain {}", holds::grid(part)),
                None => gains,
            }
        }
        _ => gains,
    }
}

/// `1.15× on before, ~ on tuned`
fn by_preset(experiment: &ExperimentResults) -> String {
    let gains: Vec<String> = experiment
        .outside_grid()
        .map(|finding| {
            let gain = match finding.verdict {
                Verdict::Improved | Verdict::Regressed => {
                    Times(finding.gain().unwrap_or(1.0)).to_string()
                }
                Verdict::Equivalent | Verdict::Inconclusive => "~".to_owned(),
            };
            format!("{gain}{}", on(finding.on.as_deref()))
        })
        .collect();
    let is_mixed = experiment.gain().is_some() && experiment.loss().is_some();
    gains.join(if is_mixed { ", but " } else { ", " })
}

fn is_in_both(results: &Results, experiment: &ExperimentResults) -> bool {
    let mut steps = results.steps.iter();
    steps.any(|step| step.experiment == experiment.definition.id && step.part_of == PartOf::Both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::control::Wide;
    use crate::report::example;

    #[test]
    fn the_first_line_says_where_the_control_is_not_established() {
        let mut results = example::results();
        assert_eq!(results.control.measured, 2);
        let wide = |preset: &str| Wide {
            scenario: format!("a-a on {preset}"),
            on: Some(preset.to_owned()),
        };
        results.control.wide = vec![wide("before")];
        let begins = |results: &Results, text| headline(results).starts_with(text);
        assert!(begins(
            &results,
            "Control not established on before, so verdicts are indicative: "
        ));
        results.control.wide.push(wide("tuned"));
        assert!(begins(
            &results,
            "Control not established, so verdicts are indicative: "
        ));
    }
}
