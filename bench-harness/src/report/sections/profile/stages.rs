//! Processor time by stage, by clocks and by samples, and how much the samples saw.

use super::{STAGES, count};
use crate::format::{Number, Percent, Times, one_line};
use crate::profile::results::{ArmProfile, ProfileResults};
use crate::report::document::{Cell, Table, Tone};
use crate::report::sections::format::figure;

/// Processor time by stage, by clocks and by samples.
pub(super) fn stages(profile: &ProfileResults) -> Table {
    let [a, b] = profile.subject.arms.each_ref().map(|name| one_line(name));
    let columns = [
        "Stage".to_owned(),
        format!(">{a}, by clocks"),
        format!(">{a}, by samples"),
        format!(">{b}, by clocks"),
        format!(">{b}, by samples"),
    ];
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(STAGES, &columns);
    let stage_of = |arm: &ArmProfile, stage: &str| {
        let attribution = arm.attribution.as_ref()?;
        let mut all = attribution.stages.iter().chain([&attribution.other]);
        all.find(|one| one.stage == stage).cloned()
    };
    let names = apitap_core::stage::ALL.iter().map(|(name, _)| *name);
    for name in names.chain(["other"]) {
        let mut cells = vec![Cell::text(name)];
        for arm in &profile.arms {
            let stage = stage_of(arm, name);
            let tone = match &stage {
                Some(stage) if !stage.agrees() => Tone::Unknown,
                _ => Tone::Plain,
            };
            cells.push(figure(stage.as_ref().map(|one| one.clocked), Number));
            cells.push(figure(stage.map(|one| one.sampled), Number).toned(tone));
        }
        table.rows.push(cells);
    }
    let mut server = vec![Cell::text("server process")];
    for arm in &profile.arms {
        server.extend([figure(arm.server_cpu, Number), Cell::absent()]);
    }
    table.rows.push(server);
    table
}

pub(super) fn quality(profile: &ProfileResults) -> Table {
    let mut table = Table::new(
        "How much the samples saw",
        &[
            "Arm",
            ">Loads",
            ">Samples",
            ">Coverage",
            ">Frames without a name",
            ">Cut stacks",
            ">Time while sampled",
        ],
    );
    for arm in &profile.arms {
        let sampling = arm.sampling;
        table.rows.push(vec![
            Cell::text(one_line(&arm.name)),
            count(sampling.map(|one| one.loads as u64)),
            count(sampling.map(|one| one.samples)),
            figure(sampling.map(|one| one.coverage), Percent),
            figure(sampling.map(|one| one.unknown_share), Percent),
            figure(sampling.and_then(|one| one.truncated_share), Percent),
            figure(sampling.and_then(|one| one.overhead), Times),
        ]);
    }
    table
}
