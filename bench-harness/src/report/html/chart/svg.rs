//! Elements, and the frame around them.
//!
//! Attributes have no quotation marks where HTML allows it: a report has thousands of them.

use std::fmt::{self, Display, Write as _};

use minijinja::HtmlEscape;

/// Units across the plot of a path: whole ones are fine enough, and short.
const PATH_WIDTH: f64 = 1000.0;

/// A share of the plot's width, from 0 to 1.
#[derive(Clone, Copy)]
pub(super) struct X(pub(super) f64);

impl Display for X {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Px(self.0 * 100.0).to_string().as_str() {
            "0" => f.write_str("0"),
            share => write!(f, "{share}%"),
        }
    }
}

/// Pixels, to a tenth.
#[derive(Clone, Copy)]
pub(super) struct Px(pub(super) f64);

impl Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding zero turns -0 into 0.
        let tenths = if self.0.is_finite() {
            (self.0 * 10.0).round() + 0.0
        } else {
            0.0
        };
        write!(f, "{}", tenths / 10.0)
    }
}

/// Where the texts of a row of texts are.
#[derive(Clone, Copy)]
pub(super) enum Beside {
    /// Left of the plot, ending at it.
    Left,
    /// Right of the plot, beginning at it.
    Right,
}

/// A drawing under way: its elements and the room that it takes.
pub(super) struct Drawing {
    elements: String,
    height: f64,
    left: f64,
    right: f64,
}

impl Drawing {
    /// An empty drawing with margins, in pixels.
    pub(super) fn new(left: f64, right: f64, height: f64) -> Self {
        Self {
            elements: String::new(),
            height,
            left,
            right,
        }
    }

    pub(super) fn left(&self) -> f64 {
        self.left
    }

    /// Adds elements as they are.
    pub(super) fn raw(&mut self, elements: impl Display) {
        // Writing into a string cannot fail.
        let _ = write!(self.elements, "{elements}");
    }

    /// Adds elements one of whose coordinates is the left or right edge of the plot.
    pub(super) fn beside(&mut self, side: Beside, elements: &str) {
        let (x, class) = match side {
            Beside::Left => ("-10", "e"),
            Beside::Right => ("100%", "v"),
        };
        self.raw(format_args!("<svg x={x} class={class}>{elements}</svg>"));
    }

    /// A box between two shares of the width, from `top` downwards; `more` are further attributes.
    pub(super) fn rect(
        &mut self,
        class: &str,
        across: (f64, f64),
        top: f64,
        height: f64,
        more: &str,
    ) {
        let (from, to) = (across.0.min(across.1), across.0.max(across.1));
        // A box without width would not be drawn at all.
        let (x, y, width, height) = (X(from), Px(top), X((to - from).max(0.001)), Px(height));
        self.raw(format_args!(
            r#"<rect x={x} y={y} width={width} height={height}{more} class="{class}"/>"#
        ));
    }

    /// A text that begins, or with class `m` has its middle, or with `e` ends at `x`.
    pub(super) fn text(&mut self, x: impl Display, y: f64, class: &str, text: &str) {
        self.raw(text_at(x, y, class, text));
    }

    /// Texts of one class.
    pub(super) fn texts(&mut self, class: &str, texts: &str) {
        self.raw(format_args!(r#"<g class="{class}">{texts}</g>"#));
    }

    /// Paths over the whole plot.
    pub(super) fn paths(&mut self, paths: &[(&str, Path)]) {
        let paths: Vec<String> = paths
            .iter()
            .filter(|(_, path)| !path.0.is_empty())
            .map(|(class, path)| format!("<path{} d=\"{}\"/>", attribute(class), path.0))
            .collect();
        if !paths.is_empty() {
            self.raw(format_args!(
                r#"<svg class=p viewBox="0 0 {PATH_WIDTH} {0}" height={0} preserveAspectRatio=none>{1}</svg>"#,
                Px(self.height),
                paths.concat()
            ));
        }
    }

    /// The whole drawing, named by `title`.
    pub(super) fn finish(self, title: &str) -> String {
        let title = HtmlEscape(title);
        let (left, right, height) = (Px(self.left), Px(self.right), Px(self.height));
        format!(
            r#"<svg class=plot role=img height={height} style="padding:0 {right}px 0 {left}px"><title>{title}</title>{}</svg>"#,
            self.elements
        )
    }

    /// The whole drawing as a file of so many pixels of width.
    pub(super) fn finish_alone(self, title: &str, width: f64, style: &str) -> String {
        let height = Px(self.height);
        let inner = Px(width - self.left - self.right - 2.0 * MARGIN);
        let whole = Px(self.height + 2.0 * MARGIN);
        let at = Px(self.left + MARGIN);
        let elements = quoted(&self.elements);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{whole}\" viewBox=\"0 0 {width} {whole}\" role=\"img\">\
             <title>{}</title><style>{style}.plot {{ font-family: system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif; max-width: none; }}</style>\
             <svg class=\"plot\" x=\"{at}\" y=\"{MARGIN}\" width=\"{inner}\" height=\"{height}\" style=\"width:{inner}px\">{elements}</svg></svg>\n",
            HtmlEscape(title)
        )
    }
}

/// Around a drawing that is a file of its own.
const MARGIN: f64 = 8.0;

/// Style whose `light-dark(a, b)` are one of the two.
pub(super) fn in_one_theme(style: &str, is_dark: bool) -> String {
    let mut parts = style.split("light-dark(");
    let mut resolved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (colours, rest) = part.split_once(')').unwrap_or((part, ""));
        let (light, dark) = colours.split_once(", ").unwrap_or((colours, colours));
        resolved += if is_dark { dark } else { light };
        resolved += rest;
    }
    resolved
}

/// Elements with quotation marks around every attribute, as XML has them.
fn quoted(elements: &str) -> String {
    let mut text = String::with_capacity(elements.len() * 5 / 4);
    let (mut is_tag, mut is_value, mut is_quoted) = (false, false, false);
    let mut characters = elements.chars().peekable();
    while let Some(character) = characters.next() {
        if is_value && (character == ' ' || character == '>') {
            text.push('"');
            is_value = false;
        }
        match character {
            '<' => is_tag = true,
            '>' if !is_quoted => is_tag = false,
            '"' if is_tag => is_quoted = !is_quoted,
            _ => {}
        }
        text.push(character);
        if is_tag && !is_quoted && !is_value && character == '=' && characters.peek() != Some(&'"')
        {
            text.push('"');
            is_value = true;
        }
    }
    text
}

/// The attribute of one class or several, not at the end of an element that ends itself.
fn attribute(class: &str) -> String {
    if class.contains(' ') {
        format!(r#" class="{class}""#)
    } else {
        format!(" class={class}")
    }
}

/// A text; without coordinate or class where that is 0 or empty.
pub(super) fn text_at(x: impl Display, y: f64, class: &str, text: &str) -> String {
    let x = match x.to_string().as_str() {
        "0" => String::new(),
        x => format!(" x={x}"),
    };
    let class = match class {
        "" => String::new(),
        class => attribute(class),
    };
    format!("<text{x} y={}{class}>{}</text>", Px(y), HtmlEscape(text))
}

/// Lines and points across the plot. They keep their width and their roundness, however wide the
/// plot is.
#[derive(Clone, Default)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn vertical(&mut self, x: f64, top: f64, bottom: f64) {
        self.add(format_args!(
            "M{} {}v{}",
            along(x),
            Px(top),
            Px(bottom - top)
        ));
    }

    pub(super) fn horizontal(&mut self, from: f64, to: f64, y: f64) {
        self.add(format_args!(
            "M{} {}h{}",
            along(from),
            Px(y),
            along(to) - along(from)
        ));
    }

    pub(super) fn to(&mut self, x: f64, y: f64) {
        let command = if self.0.is_empty() { 'M' } else { 'L' };
        self.add(format_args!("{command}{} {}", along(x), Px(y)));
    }

    /// Points as lines without length, which round ends make visible. Each is placed from the one
    /// before, as small numbers are short; `offsets` are whole pixels below `middle`.
    pub(super) fn dots(&mut self, middle: f64, places: impl IntoIterator<Item = (f64, i32)>) {
        let mut places: Vec<(i64, i32)> = places
            .into_iter()
            .map(|(x, offset)| (along(x), offset))
            .collect();
        places.sort_unstable();
        let mut before = None;
        for (x, y) in places {
            match before {
                None => self.add(format_args!("M{x} {}z", Px(middle + f64::from(y)))),
                Some((last_x, last_y)) => {
                    let space = if y < last_y { "" } else { " " };
                    self.add(format_args!("m{}{space}{}z", x - last_x, y - last_y));
                }
            }
            before = Some((x, y));
        }
    }

    fn add(&mut self, commands: fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = self.0.write_fmt(commands);
    }
}

/// A share of the width in units of a path.
fn along(x: f64) -> i64 {
    (x * PATH_WIDTH).round() as i64
}
