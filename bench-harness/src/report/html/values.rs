//! A document as the values that the template walks over.

use minijinja::context;
use minijinja::value::Value;

use super::{chart, class};
use crate::report::document::{Align, Block, Cell, Document, NamedList, Section, Table, Tile};

pub(super) fn document(document: &Document) -> Value {
    context! {
        title => &document.title,
        subtitle => &document.subtitle,
        sections => document.sections.iter().map(section).collect::<Vec<_>>(),
    }
}

fn section(section: &Section) -> Value {
    context! {
        id => &section.id,
        title => &section.title,
        blocks => blocks(&section.blocks),
        parts => section.parts.iter().map(self::section).collect::<Vec<_>>(),
        // What the list of contents says of it.
        verdict => section.blocks.iter().find_map(verdict),
    }
}

fn verdict(block: &Block) -> Option<Value> {
    match block {
        Block::Verdict { tone, word, .. } => {
            Some(context! { tone => class(*tone), sign => tone.sign(), word })
        }
        _ => None,
    }
}

fn blocks(blocks: &[Block]) -> Vec<Value> {
    blocks.iter().map(block).collect()
}

fn block(block: &Block) -> Value {
    match block {
        Block::Paragraph(text) => context! { kind => "paragraph", text },
        Block::List(items) => context! { kind => "list", items },
        Block::Code(text) => context! { kind => "code", text },
        Block::File { text, path } => context! { kind => "file", text, path },
        Block::Warning(text) => context! { kind => "warning", text },
        Block::Tiles(tiles) => {
            let tile = |tile: &Tile| context! { figure => &tile.figure, text => &tile.text };
            context! { kind => "tiles", tiles => tiles.iter().map(tile).collect::<Vec<_>>() }
        }
        Block::Lists(lists) => {
            context! { kind => "lists", lists => lists.iter().map(named_list).collect::<Vec<_>>() }
        }
        Block::Frames(frames) => {
            context! { kind => "frames", files => &frames.files, legend => &frames.legend }
        }
        Block::Verdict { tone, word, text } => context! {
            kind => "verdict",
            tone => class(*tone),
            sign => tone.sign(),
            word,
            text,
        },
        Block::Table(table) => context! { kind => "table", table => self::table(table) },
        Block::Chart(chart) => context! {
            kind => "chart",
            id => &chart.id,
            title => &chart.title,
            drawing => Value::from_safe_string(chart::draw(chart)),
            data => table(&chart.data),
        },
    }
}

fn named_list(list: &NamedList) -> Value {
    let items = list.items.iter();
    context! {
        title => &list.title,
        sign => list.tone.sign(),
        items => items.map(|(name, text)| context! { name => cell(name), text }).collect::<Vec<_>>(),
    }
}

fn table(table: &Table) -> Value {
    let figures = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.align == Align::Right)
        .map(|(nth, _)| format!("r{}", nth + 1));
    context! {
        caption => &table.caption,
        // One class for a column of figures is shorter than one for each of its cells.
        figures => figures.collect::<Vec<_>>().join(" "),
        is_cards => table.is_cards,
        columns => table.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>(),
        rows => table
            .rows
            .iter()
            .map(|row| row.iter().map(cell).collect::<Vec<_>>())
            .collect::<Vec<_>>(),
    }
}

fn cell(cell: &Cell) -> Value {
    let order = cell.order.filter(|order| order.is_finite());
    context! {
        text => &cell.text,
        tone => class(cell.tone),
        sign => cell.tone.sign(),
        // Within the page, or to a file beside it.
        link => cell.link.as_ref().map(|id| format!("#{id}")).or_else(|| cell.file.clone()),
        is_long => cell.text.chars().count() > LONG_CHARACTERS,
        order => order.filter(|order| !sorts_as_printed(&cell.text, *order)).map(|order| format!("{}", rounded(order, 4))),
    }
}

/// Figures stay on one line; a text of more characters is no figure, whatever its column.
const LONG_CHARACTERS: usize = 40;

/// What the script multiplies the figure before a unit by.
const UNITS: [(&str, f64); 6] = [
    ("ms", 1e-3),
    ("µs", 1e-6),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("%", 0.01),
];

/// Most by which a printed figure, of two digits or three, differs from the whole one.
const PRINTED_SHARE: f64 = 0.05;

/// Whether the script can read `order` from `text`, so that it need not be written.
fn sorts_as_printed(text: &str, order: f64) -> bool {
    // Of no difference that shows the script says 1.
    if text == "~" || text.starts_with("~ (") {
        return true;
    }
    let plain = text.trim_start_matches("~ ").replace(',', "");
    let end = plain
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .unwrap_or(plain.len());
    let (figure, rest) = plain.split_at(end);
    let Ok(figure) = figure.parse::<f64>() else {
        return false;
    };
    let unit = UNITS
        .iter()
        .find(|(unit, _)| rest.trim_start().starts_with(unit));
    let printed = figure * unit.map_or(1.0, |(_, scale)| *scale);
    (printed - order).abs() <= PRINTED_SHARE * order.abs()
}

/// To so many significant digits.
pub(super) fn rounded(value: f64, digits: usize) -> f64 {
    let decimals = digits.saturating_sub(1);
    format!("{value:.decimals$e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_the_text_tells_is_left_out() {
        for (text, order) in [
            ("1,230,000", 1_234_567.0),
            ("612 ms", 0.6125),
            ("45.0 µs", 0.000_045),
            ("61.4 MB", 61.4e6),
            ("12.3 s", 12.34),
            ("3.17×", 3.1712),
            ("12.5%", 0.125),
            ("~ 1.03×", 1.032),
            ("~", 0.98),
            ("~ (0.95–1.02)", 0.98),
            ("0", 0.0),
        ] {
            assert!(sorts_as_printed(text, order), "{text}");
        }
        for (text, order) in [("–", 3.0), ("on tuned", 2.0), ("612 ms", 612.0), ("3", 7.0)] {
            assert!(!sorts_as_printed(text, order), "{text}");
        }
    }
}
