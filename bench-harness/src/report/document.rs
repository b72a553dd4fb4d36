//! What a report consists of, whatever it is written in.
//!
//! [`super::sections`] makes a [`Document`] of results, once; Markdown and HTML lay the same one out,
//! so both have the same facts. A [`Chart`] holds data: HTML draws it with its table behind it,
//! Markdown prints the table alone.

/// A whole report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) title: String,
    /// What it is of: date, machine, server, in one line.
    pub(crate) subtitle: String,
    pub(crate) sections: Vec<Section>,
}

/// A part with a heading. Its blocks come before its parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    /// Unique; made of `a-z`, `0-9` and `-`, so that links can name it.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
    pub(crate) parts: Vec<Section>,
}

/// One thing below another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
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
pub(crate) struct Tile {
    pub(crate) figure: String,
    pub(crate) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedList {
    pub(crate) title: String,
    pub(crate) tone: Tone,
    /// A cell and what is said of it.
    pub(crate) items: Vec<(Cell, String)>,
}

/// Drawings, with one legend for all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frames {
    /// Titles and paths, from where the page is.
    pub(crate) files: Vec<(String, String)>,
    /// Colours, and what they mean.
    pub(crate) legend: Vec<(String, String)>,
}

/// What a word or figure means, for colours and signs. Colours are for gains and losses alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
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
pub(crate) struct Table {
    /// What it shows, for those who cannot see it in its place.
    pub(crate) caption: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Whether a narrow page shows each row as a card.
    pub(crate) is_cards: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) align: Align,
    /// Whether a terminal leaves it out.
    pub(crate) is_detail: bool,
}

/// On which side of its column a cell is: names left, figures right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    /// What it is sorted by, if not its text.
    pub(crate) order: Option<f64>,
    pub(crate) tone: Tone,
    /// Id of the section that it leads to.
    pub(crate) link: Option<String>,
    /// Path of the file that it leads to, from where the report is.
    pub(crate) file: Option<String>,
}

/// Data to be drawn. Gains are factors: 2 is twice as good, 0.5 twice as bad; axes of gains are
/// logarithmic and mark 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// Unique, like that of a section.
    pub(crate) id: String,
    /// What it shows, in one sentence: the title of the drawing.
    pub(crate) title: String,
    pub(crate) plot: Plot,
    /// The same data as cells.
    pub(crate) data: Table,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plot {
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
    /// Predicted gains with their intervals over measured ones; on the diagonal both are the same.
    Agreement { points: Vec<AgreementPoint> },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AgreementPoint {
    pub(crate) measured: f64,
    pub(crate) predicted: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl AgreementPoint {
    /// Whether the interval holds what was measured.
    pub(crate) fn agrees(&self) -> bool {
        (self.low..=self.high).contains(&self.measured)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistoryLine {
    pub(crate) name: String,
    pub(crate) points: Vec<HistoryPoint>,
    pub(crate) levels: Vec<HistoryLevel>,
}

/// A value of the run of that index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HistoryPoint {
    pub(crate) run: usize,
    pub(crate) value: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) upper_quartile: f64,
}

/// A median from one run to another, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HistoryLevel {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) value: f64,
}

/// A change before the run of that index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistoryChange {
    pub(crate) run: usize,
    pub(crate) label: String,
    pub(crate) tone: Tone,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BudgetBar {
    pub(crate) name: String,
    /// One for each of the parts.
    pub(crate) seconds: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CourseLine {
    pub(crate) name: String,
    /// Shares of the load and values, in order.
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WaterfallStep {
    pub(crate) name: String,
    /// Its own factor.
    pub(crate) gain: f64,
    pub(crate) kind: StepKind,
    pub(crate) link: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// A change with its gain.
    Change,
    /// By how much the whole is more or less than the product of the changes.
    Rest,
    /// The whole, measured: drawn from 1×.
    Total,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GainRow {
    pub(crate) name: String,
    pub(crate) added: Option<GainBar>,
    pub(crate) taken_out: Option<GainBar>,
    pub(crate) promised: Option<ClaimedRange>,
    pub(crate) link: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GainBar {
    pub(crate) gain: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) tone: Tone,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StripGroup {
    pub(crate) name: String,
    pub(crate) strips: Vec<Strip>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Strip {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
    pub(crate) median: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HeatCell {
    pub(crate) gain: f64,
    pub(crate) tone: Tone,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinePoint {
    pub(crate) at: f64,
    pub(crate) gain: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) tone: Tone,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClaimedRange {
    pub(crate) low: f64,
    pub(crate) high: Option<f64>,
}

impl Tone {
    /// What it adds to a text, so that it is more than a colour; empty for nothing.
    pub(crate) fn sign(self) -> &'static str {
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
    pub(crate) fn signed(self, text: &str) -> String {
        format!("{} {text}", self.sign()).trim_start().to_owned()
    }
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A figure as it is printed, sorted by its value.
    pub(crate) fn figure(text: impl Into<String>, value: f64) -> Self {
        Self {
            order: Some(value),
            ..Self::text(text)
        }
    }

    /// A figure that is not there.
    pub(crate) fn absent() -> Self {
        Self::text("–")
    }

    pub(crate) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    pub(crate) fn with_file(self, path: impl Into<String>) -> Self {
        Self {
            file: Some(path.into()),
            ..self
        }
    }

    pub(crate) fn linked(self, id: impl Into<String>) -> Self {
        Self {
            link: Some(id.into()),
            ..self
        }
    }
}

impl Table {
    /// A table whose columns named with a leading `>` hold figures; those with a `+` before that are
    /// details.
    pub(crate) fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
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

    /// The same without the columns in which every row has [`Cell::absent`].
    pub(crate) fn without_absent_columns(mut self) -> Self {
        let absent = Cell::absent();
        let is_there = |column: usize| self.rows.iter().any(|row| row[column] != absent);
        let kept: Vec<bool> = (0..self.columns.len()).map(is_there).collect();
        let mut kept_columns = kept.iter();
        self.columns.retain(|_| kept_columns.next() == Some(&true));
        for row in &mut self.rows {
            let mut kept_cells = kept.iter();
            row.retain(|_| kept_cells.next() == Some(&true));
        }
        self
    }

    /// The table of the same with each row as a card on a narrow page.
    pub(crate) fn into_cards(self) -> Self {
        Self {
            is_cards: true,
            ..self
        }
    }
}

impl Section {
    pub(crate) fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            blocks: Vec::new(),
            parts: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }
}
