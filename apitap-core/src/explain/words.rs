//! An explanation as text: a table with a sentence and the block to paste, or one line.

use super::rules::Case;
use super::{Advice, Explanation, PartShare, Server};
use crate::budget::{Gain, Part};

/// Parts that a sentence names, and the least share of one.
const NAMED: usize = 3;
const LEAST_NAMED: f64 = 0.05;

/// A share below which a part is not in the table.
const WORTH_A_LINE: f64 = 0.001;

/// Below this, nothing but a bound of a gain is known.
const AT_LEAST: f64 = 1.05;

impl Explanation {
    /// All of it about the run of `module`, line by line. The block comes last.
    #[must_use]
    pub fn lines(&self, module: &str) -> Vec<String> {
        let all: f64 = self.parts.iter().map(|one| one.seconds).sum();
        let mut lines = vec![format!("{module}: where {all:.2} s went")];
        let shown = self.parts.iter().filter(|one| one.share >= WORTH_A_LINE);
        lines.extend(shown.map(|one| {
            let (part, share) = (one.part.to_string(), 100.0 * one.share);
            format!("  {part:<18}  {:>9.3} s  {share:>5.1}%", one.seconds)
        }));
        lines.push(match &self.server {
            Server::NotAsked => "The server was not looked at.".to_owned(),
            Server::NotSeen(why) => format!("The server was not seen: {why}."),
            Server::Seen(looks) => format!("The server was seen {} times.", looks.answered),
        });
        lines.push(format!("{}.", self.conclusion()));
        let Some(advice) = &self.advice else {
            return lines;
        };
        if let Some(measured) = advice.measured {
            lines.push(format!(
                "The suite measured {}\u{d7} and {}\u{d7} {} (experiment {}).",
                measured.low, measured.high, measured.at, measured.experiment
            ));
        }
        lines.push("In pipelines.yaml:".to_owned());
        lines.extend(advice.engine.to_string().lines().map(str::to_owned));
        lines
    }

    /// Where the time went, what bounds the run, and what would help, on one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut parts: Vec<&PartShare> = self.parts.iter().collect();
        parts.sort_by(|a, b| b.share.total_cmp(&a.share));
        let named = parts.iter().filter(|one| one.share >= LEAST_NAMED);
        let named: Vec<String> = named
            .take(NAMED)
            .map(|one| format!("{} {:.0}%", one.part, 100.0 * one.share))
            .collect();
        let text = format!("{}. {}", named.join(", "), self.conclusion());
        match &self.advice {
            Some(advice) => format!("{text}. {}", advice.engine.line()),
            None => text,
        }
    }

    fn conclusion(&self) -> String {
        let bound = format!("The run is bound by {}", self.bound_by);
        match (&self.advice, &self.otherwise) {
            (Some(advice), _) => format!("{bound}; {}", advised(advice)),
            (None, Some(otherwise)) => format!("{bound}; {otherwise}"),
            (None, None) => bound,
        }
    }
}

fn advised(advice: &Advice) -> String {
    format!(
        "{} would make it {}: {}",
        advice.change.join(" with "),
        range(advice.gain),
        advice.why
    )
}

/// A gain as text.
fn range(gain: Gain) -> String {
    let [least, most] = [gain.at_least, gain.at_most].map(times);
    match gain.at_least < AT_LEAST {
        true => format!("up to {most} as fast"),
        false if least == most => format!("{most} as fast"),
        false => format!("{least} to {most} as fast"),
    }
}

fn times(factor: f64) -> String {
    match factor < 9.95 {
        true => format!("{factor:.1}\u{d7}"),
        false => format!("{factor:.0}\u{d7}"),
    }
}

/// What would help where no knob does.
pub(super) fn otherwise(bound_by: Part, case: &Case<'_>, server: &Server) -> String {
    let help = match bound_by {
        Part::HttpWait if case.is_refused() => "a higher rate limit of the API",
        Part::HttpWait => "a faster API, a place nearer to it, or fewer fields in its answers",
        Part::Fetch | Part::Scan => "fewer fields in the answers of the API",
        Part::Decode | Part::Encode => "fewer columns in the query, or a faster processor",
        Part::Infer => "declared columns",
        Part::Sql => "a simpler query, or a faster processor",
        Part::Send => "a faster link to the server",
        Part::SendWait => match server {
            Server::NotAsked => {
                return "--explain tells the server from the way to it".to_owned();
            }
            Server::NotSeen(_) => "a faster server, or a place nearer to it",
            Server::Seen(_) => "a place nearer to the server",
        },
        Part::ServerCpu => {
            "fewer indexes, constraints and triggers, or a faster processor of the server"
        }
        Part::ServerIo => return held_up(server),
        Part::Unexplained => return "--trace FILE shows what ran when".to_owned(),
    };
    format!("no knob helps, but {help} would")
}

/// What would help a server that waits more than it works.
fn held_up(server: &Server) -> String {
    let wait = server.looks().and_then(|looks| looks.waits.first());
    let (kind, event) = wait.map_or(("", ""), |wait| (wait.kind.as_str(), wait.event.as_str()));
    let is_wal = event.to_ascii_lowercase().starts_with("wal");
    let help = match kind {
        "Lock" => "the end of the session that holds the lock",
        _ if is_wal => "faster storage of the server's WAL, or wal_compression",
        _ => "faster storage of the server, or less load on it",
    };
    format!("the server waits most for {kind}/{event}: no knob helps, but {help} would")
}
