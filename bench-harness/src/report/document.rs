//! What a report consists of, whatever it is written in.
//!
//! [`super::sections`] makes a [`Document`] of results, once; Markdown and HTML lay the same one out,
//! so both have the same facts. A [`Chart`] holds data: HTML draws it with its table behind it,
//! Markdown prints the table alone.

/// A whole report.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    pub(super) title: String,
    /// What it is of: date, machine, server, in one line.
    pub(super) subtitle: String,
    pub(super) sections: Vec<Section>,
}

/// A part with a heading. Its blocks come before its parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Section {
    /// Unique; made of `a-z`, `0-9` and `-`, so that links can name it.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
    pub(super) parts: Vec<Section>,
}

/// One thing below another.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Paragraph(String),
    List(Vec<String>),
    /// Of a shell.
    Code(String),
    /// A file beside the report, by its path from there.
    File {
        text: String,
        path: String,
    },
    /// Something that weakens what follows.
    Warning(String),
    /// The figures to read first.
    Tiles(Vec<Tile>),
    /// Lists beside each other.
    Lists(Vec<NamedList>),
    /// Drawings in files of their own, which the page shows within itself.
    Frames(Frames),
    /// The verdict on a claim, as the first thing of an experiment's part.
    Verdict {
        tone: Tone,
        word: String,
        text: String,
    },
    Table(Table),
    Chart(Chart),
}

/// One figure, and what it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tile {
    pub(super) figure: String,
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedList {
    pub(super) title: String,
    pub(super) tone: Tone,
    /// A cell and what is said of it.
    pub(super) items: Vec<(Cell, String)>,
}

/// Drawings, with one legend for all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frames {
    /// Titles and paths, from where the page is.
    pub(super) files: Vec<(String, String)>,
    /// Colours, and what they mean.
    pub(super) legend: Vec<(String, String)>,
}

/// What a word or figure means, for colours and signs. Colours are for gains and losses alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// ▲ A gain.
    Better,
    /// ▼ A loss.
    Worse,
    /// No difference that matters.
    Same,
    /// ✓ A claim holds.
    Yes,
    /// ✗ A claim does not hold.
    No,
    /// ? A claim is not decided.
    Unknown,
    /// A difference that is not decided.
    Open,
}

/// Cells in rows, every row as long as `columns`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Table {
    /// What it shows, for those who cannot see it in its place.
    pub(super) caption: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Whether a narrow page shows each row as a card.
    pub(super) is_cards: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) align: Align,
    /// Whether a terminal leaves it out.
    pub(super) is_detail: bool,
}

/// On which side of its column a cell is: names left, figures right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// What it is sorted by, if not its text.
    pub(super) order: Option<f64>,
    pub(super) tone: Tone,
    /// Id of the section that it leads to.
    pub(super) link: Option<String>,
    /// Path of the file that it leads to, from where the report is.
    pub(super) file: Option<String>,
}

/// Data to be drawn. Gains are factors: 2 is twice as good, 0.5 twice as bad; axes of gains are
/// logarithmic and mark 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chart {
    /// Unique, like that of a section.
    pub(super) id: String,
    /// What it shows, in one sentence: the title of the drawing.
    pub(super) title: String,
    pub(super) plot: Plot,
    /// The same data as cells.
    pub(super) data: Table,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plot {
    /// Steps from `before` (1×) to `tuned`, each beginning where the one before ended; the last two
    /// are the whole ÷ the product of the steps, and the whole.
    Waterfall { steps: Vec<WaterfallStep> },
    /// For each change two bars with intervals: added alone to `before`, taken alone out of `tuned`;
    /// behind them the range that was promised.
    Gains { rows: Vec<GainRow> },
    /// One point per sample, one strip per arm, in groups that share an axis (seconds, from 0).
    Strips { groups: Vec<StripGroup> },
    /// Gain over two parameters.
    HeatMap {
        across: String,
        across_values: Vec<String>,
        down: String,
        down_values: Vec<String>,
        /// Row by row; a cell that was not measured is `None`.
        cells: Vec<Vec<Option<HeatCell>>>,
    },
    /// Gain with its interval over one parameter, with the claimed range behind it.
    Line {
        across: String,
        points: Vec<LinePoint>,
        claimed: Option<ClaimedRange>,
        /// Where the gain crosses the claim's floor, interpolated, in the parameter's unit.
        crossover: Option<f64>,
    },
    /// Seconds and what they were spent on, a bar for each arm; all on one axis from 0.
    Budget {
        /// What there is to spend them on, in order.
        parts: Vec<String>,
        bars: Vec<BudgetBar>,
    },
    /// Something over a load, from its begin (0) to its end (1), a line for each arm.
    Course {
        /// The top of the axis.
        most: f64,
        /// The same, as it is printed.
        top: String,
        lines: Vec<CourseLine>,
    },
    /// A quantity over runs at equal distances: points with their quartiles, a line for
    /// each place, the levels between changes, and the changes as vertical lines.
    History {
        unit: String,
        /// The day of each run, in order.
        runs: Vec<String>,
        lines: Vec<HistoryLine>,
        changes: Vec<HistoryChange>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct HistoryLine {
    pub(super) name: String,
    pub(super) points: Vec<HistoryPoint>,
    pub(super) levels: Vec<HistoryLevel>,
}

/// A value of the run of that index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HistoryPoint {
    pub(super) run: usize,
    pub(super) value: f64,
    pub(super) lower_quartile: f64,
    pub(super) upper_quartile: f64,
}

/// A median from one run to another, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HistoryLevel {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) value: f64,
}

/// A change before the run of that index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HistoryChange {
    pub(super) run: usize,
    pub(super) label: String,
    pub(super) tone: Tone,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct BudgetBar {
    pub(super) name: String,
    /// One for each of the parts.
    pub(super) seconds: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct CourseLine {
    pub(super) name: String,
    /// Shares of the load and values, in order.
    pub(super) points: Vec<(f64, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct WaterfallStep {
    pub(super) name: String,
    /// Its own factor.
    pub(super) gain: f64,
    pub(super) kind: StepKind,
    pub(super) link: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKind {
    /// A change with its gain.
    Change,
    /// By how much the whole is more or less than the product of the changes.
    Rest,
    /// The whole, measured: drawn from 1×.
    Total,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct GainRow {
    pub(super) name: String,
    pub(super) added: Option<GainBar>,
    pub(super) taken_out: Option<GainBar>,
    pub(super) promised: Option<ClaimedRange>,
    pub(super) link: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GainBar {
    pub(super) gain: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) tone: Tone,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct StripGroup {
    pub(super) name: String,
    pub(super) strips: Vec<Strip>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strip {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
    pub(super) median: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeatCell {
    pub(super) gain: f64,
    pub(super) tone: Tone,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LinePoint {
    pub(super) at: f64,
    pub(super) gain: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) tone: Tone,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ClaimedRange {
    pub(super) low: f64,
    pub(super) high: Option<f64>,
}

impl Tone {
    /// What it adds to a text, so that it is more than a colour; empty for nothing.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Better => "▲",
            Self::Worse => "▼",
            Self::Yes => "✓",
            Self::No => "✗",
            Self::Unknown => "?",
            Self::Plain | Self::Same | Self::Open => "",
        }
    }

    /// `text` with the sign before it.
    pub(super) fn signed(self, text: &str) -> String {
        format!("{} {text}", self.sign()).trim_start().to_owned()
    }
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A figure as it is printed, sorted by its value.
    pub(super) fn figure(text: impl Into<String>, value: f64) -> Self {
        Self {
            order: Some(value),
            ..Self::text(text)
        }
    }

    /// A figure that is not there.
    pub(super) fn absent() -> Self {
        Self::text("–")
    }

    pub(super) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    pub(super) fn with_file(self, path: impl Into<String>) -> Self {
        Self {
            file: Some(path.into()),
            ..self
        }
    }

    pub(super) fn linked(self, id: impl Into<String>) -> Self {
        Self {
            link: Some(id.into()),
            ..self
        }
    }
}

impl Table {
    /// A table whose columns named with a leading `>` hold figures; those with a `+` before that are
    /// details.
    pub(super) fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        let column = |name: &&str| {
            let plain = name.trim_start_matches('+');
            let align = if plain.starts_with('>') {
                Align::Right
            } else {
                Align::Left
            };
            Column {
                name: plain.trim_start_matches('>').to_owned(),
                align,
                is_detail: name.starts_with('+'),
            }
        };
        Self {
            caption: caption.into(),
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
            is_cards: false,
        }
    }

    /// The table of the same with each row as a card on a narrow page.
    pub(super) fn into_cards(self) -> Self {
        Self {
            is_cards: true,
            ..self
        }
    }
}

impl Section {
    pub(super) fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            blocks: Vec::new(),
            parts: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }
}
