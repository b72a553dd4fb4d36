//! How the figures came about, and how to get them again.

use super::paragraph;
use super::repeat::repeated;
use crate::format::{Count, LEAST_CONFIDENCE, Percent};
use crate::judge::{CONTROL_BOUND, Results};
use crate::report::document::{Block, Cell, Section, Table};
use crate::stats::power::POWER;
use crate::stats::{Correction, FLOOR, SMALLEST_EFFECT, UNCALIBRATED};

pub(super) fn section(results: &Results) -> Section {
    let mut section = Section::new("method", "Method");
    section.push(Block::List(lines(results)));
    if !results.families.is_empty() {
        section.push(Block::Table(families(results)));
    }
    let mut repeating = Section::new("repeat", "How to repeat");
    repeating.push(paragraph(
        "The seed gives the same order of samples; the rows are the same in every run. apitap-bench is in target/release \
         after `cargo build --release --workspace`.",
    ));
    repeating.push(Block::Code(repeated(&results.command, results.seed)));
    section.parts.push(repeating);
    section
}

fn lines(results: &Results) -> Vec<String> {
    let again = if results.blocks_per_session.is_some() {
        "The interval holds what differs between sessions, so nothing was measured again. Sessions whose own \
         intervals do not touch are named in the warnings."
    } else if results.confirms {
        "A claim's own comparison that improved or regressed is measured again, beside identical arms, on a server \
         that was started anew (a server by URL is not). If the verdict is then another one, the comparison is \
         inconclusive; if only the verdict on the claim is, the claim is inconclusive."
    } else {
        "Differences of this run were not measured again."
    };
    let corrected = results
        .families
        .iter()
        .any(|family| matches!(family.correction, Correction::Holm { family } if family > 1));
    let false_discovery = results
        .families
        .iter()
        .any(|family| matches!(family.correction, Correction::FalseDiscovery { .. }));
    let together = if false_discovery {
        format!(
            "All comparisons of the run are corrected once, together (Benjamini and Hochberg): of the differences that \
             were found, at most {} are expected to be false, and so of the equivalences. The level of the intervals \
             follows from how many were found (Benjamini and Yekutieli). Identical arms are a family of their own.",
            Percent(1.0 - results.confidence_level)
        )
    } else if corrected {
        format!(
            "Comparisons that are read together are corrected together (Holm): in each family below, the chance of any false \
             difference is at most {}, and all intervals hold at once with {}.",
            Percent(1.0 - results.confidence_level),
            Percent(results.confidence_level)
        )
    } else {
        "There are too few blocks to correct for the number of comparisons, so some differences that were found are \
         noise."
            .to_owned()
    };
    let mut lines = vec![
        "A sample is one complete load in a fresh process against a fresh table. PostgreSQL counts and checks the rows \
         after each; a sample that loaded wrong data is a failure, never a figure."
            .to_owned(),
        "A block holds every arm once. Blocks come in mirrored pairs, ABBA or BAAB, drawn from the seed, so that linear \
         drift cancels. Samples that were spoiled from outside are void and taken again; outliers are kept."
            .to_owned(),
        interval(results),
        together,
        differences_that_matter(results),
        format!(
            "Improved or regressed: the difference is certain, and its estimate is larger than δ. Equivalent: {}. \
             Inconclusive: all else.",
            match results.blocks_per_session {
                Some(_) => "two one-sided tests show that any difference is below the smallest effect of interest",
                None => "the whole interval is within δ",
            }
        ),
        "A claim is supported if the whole interval is at or above the least that it promises, exceeded if above the \
         most, refuted if below the least; else it is inconclusive."
            .to_owned(),
        again.to_owned(),
        format!(
            "The smallest visible effect is the true effect that so many blocks of such noise show {} of the time.",
            Percent(POWER)
        ),
        format!(
            "The A/A control: two identical arms are measured in every session. It is established if their whole interval \
             lies within ±{}. If not, the verdicts on that preset are indicative; if they differ, the intervals on that \
             preset are judged as if they were wider by as much as identical arms may differ. An interval with a confidence below {} is not shown.",
            Percent(CONTROL_BOUND.share()),
            Percent(LEAST_CONFIDENCE)
        ),
        "Round trips are added by a relay before the server, and shown as measured through it.".to_owned(),
    ];
    if let Some(looks) = results.looks {
        lines.push(format!(
            "Blocks were added to claims that were not decided. Each of {} judgements has its equal part of an error of \
             {}, so that all together stay below it.",
            looks,
            Percent((1.0 - results.confidence_level) * looks.get() as f64)
        ));
    }
    lines
}

/// What an estimate and its interval are.
fn interval(results: &Results) -> String {
    let confidence = Percent(results.confidence_level);
    match results.blocks_per_session {
        Some(blocks) => format!(
            "The server is started anew after every {}: a session. A gain is the mean over sessions of the \
             Hodges–Lehmann estimates of their blocks' log-ratios, its interval that of Student's t over sessions \
             (Kalibera and Jones 2013).",
            Count::new(blocks.get(), "block")
        ),
        None => format!(
            "A gain is the Hodges–Lehmann estimate over the blocks' log-ratios, its interval the exact Wilcoxon \
             signed-rank interval at {confidence} or more. With too few blocks the level is lower, and printed with it. \
             All blocks are of one session of the server: the interval does not hold what differs between sessions."
        ),
    }
}

fn differences_that_matter(results: &Results) -> String {
    if results.blocks_per_session.is_some() {
        return format!(
            "Two limits: the smallest effect of interest, {} unless the claim says otherwise, and the noise, how much \
             identical arms differ on this machine, which is {} where that was not measured. δ is the larger one.",
            Percent(SMALLEST_EFFECT.share()),
            Percent(UNCALIBRATED.share())
        );
    }
    format!(
        "δ is the threshold below which a difference does not matter: costs within a factor of 1 + δ count as equal. It \
         follows from how much identical arms differ on this machine, is never below {}, and is {} where that was not \
         measured.",
        Percent(FLOOR.share()),
        Percent(UNCALIBRATED.share())
    )
}

fn families(results: &Results) -> Table {
    let mut table = Table::new(
        "What was judged together",
        &["Family", ">Comparisons", "Corrected"],
    );
    table.rows = results
        .families
        .iter()
        .map(|family| {
            let (count, corrected) = match family.correction {
                Correction::Holm { family }
                | Correction::FalseDiscovery { family }
                | Correction::None { family }
                    if family < 2 =>
                {
                    (family, "not needed")
                }
                Correction::FalseDiscovery { family } => (family, "by Benjamini and Hochberg"),
                Correction::Holm { family } => (family, "by Holm"),
                Correction::None { family } => (family, "no: too few blocks"),
            };
            vec![
                Cell::text(&family.name),
                Cell::figure(count.to_string(), count as f64),
                Cell::text(corrected),
            ]
        })
        .collect();
    table
}
