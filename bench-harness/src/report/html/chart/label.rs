//! Names of rows in the margin on the left.

use minijinja::HtmlEscape;

use super::svg::text_at;

/// Between the baselines of the lines of a label.
const LINE_HEIGHT: f64 = 14.0;

/// From the baseline up to the middle of small letters.
pub(super) const HALF_HEIGHT: f64 = 4.0;

/// Average width of a character, on the wide side of system fonts at 12 pixels.
const CHARACTER_WIDTH: f64 = 6.6;

/// Between a label and the plot, and before the label.
const GAP: f64 = 12.0;

/// Characters of a line: so wide a margin leaves a phone half its width for the plot.
const LINE_CHARACTERS: usize = 21;

/// Room for two lines.
pub(super) const TALL: f64 = 34.0;

/// Room for one.
pub(super) const LOW: f64 = 26.0;

/// Names, broken into lines, and the room that they take.
pub(super) struct Labels(Vec<Vec<String>>);

impl Labels {
    /// Labels of two lines at most; of a longer one the rest is left out.
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(|name| lines(name, 2)).collect())
    }

    /// Labels of one line.
    pub(super) fn of_one_line<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(|name| lines(name, 1)).collect())
    }

    /// Width of the margin.
    pub(super) fn margin(&self) -> f64 {
        let lines = self.0.iter().flatten();
        let longest = lines.map(|line| line.chars().count()).max().unwrap_or(0);
        (longest as f64 * CHARACTER_WIDTH + GAP).ceil()
    }

    /// Height of a row.
    pub(super) fn row_height(&self) -> f64 {
        if self.0.iter().any(|lines| lines.len() > 1) {
            TALL
        } else {
            LOW
        }
    }

    /// The label of a row around the height `middle`, as a link if it leads to a section.
    pub(super) fn row(&self, row: usize, middle: f64, link: Option<&str>) -> String {
        let lines = self.0.get(row).map_or(&[][..], Vec::as_slice);
        let first = middle + HALF_HEIGHT - (lines.len() as f64 - 1.0) / 2.0 * LINE_HEIGHT;
        let texts: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(nth, line)| text_at(0, first + nth as f64 * LINE_HEIGHT, "", line))
            .collect();
        match link {
            // The table behind the chart has the same links: for the keyboard these would be twice.
            Some(id) => format!(
                r##"<a href="#{}" tabindex=-1>{}</a>"##,
                HtmlEscape(id),
                texts.concat()
            ),
            None => texts.concat(),
        }
    }
}

/// `text` broken between words.
fn lines(text: &str, at_most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= LINE_CHARACTERS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let is_cut = lines.len() > at_most;
    lines.truncate(at_most);
    let last = lines.len().saturating_sub(1);
    for (nth, line) in lines.iter_mut().enumerate() {
        if line.chars().count() > LINE_CHARACTERS || (is_cut && nth == last) {
            *line = line
                .chars()
                .take(LINE_CHARACTERS - 1)
                .chain(['…'])
                .collect();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_broken_between_words_and_cut_at_their_end() {
        assert_eq!(
            lines("Pipelined statements in one connection", 2),
            ["Pipelined statements", "in one connection"]
        );
        assert_eq!(
            lines("one two three four five six seven", 1),
            ["one two three four…"]
        );
        assert_eq!(
            lines("Donaudampfschifffahrtsgesellschaft", 2),
            ["Donaudampfschifffahr…"]
        );
        assert!(lines("", 2).is_empty());
    }
}
