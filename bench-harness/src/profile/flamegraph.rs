//! Stacks as drawings: flame graphs, icicles, and the difference of two profiles.
//!
//! Widths are in the caller's unit and never normalised: a side that costs less is drawn from less.
//! Equal stacks give equal bytes.

use anyhow::{Context, Result, ensure};
use inferno::differential;
use inferno::flamegraph::color::{Color, MultiPalette, Palette, PaletteMap};
use inferno::flamegraph::{Direction, Options, from_lines};

use super::marker::{crate_of, stage_of_frame};
use super::stacks::Stacks;

/// Processor time for the work that every scenario has in common.
pub const PER_1000_ROWS: &str = "µs per 1,000 rows";

/// Frames of the engine's own functions.
const ENGINE: Color = Color {
    r: 130,
    g: 160,
    b: 240,
};

/// Frames that mark a stage.
const STAGE: Color = Color {
    r: 70,
    g: 100,
    b: 225,
};

/// Colours of a drawing of one profile, and what they mean.
pub(crate) const LEGEND: [(&str, &str); 5] = [
    ("rgb(70,100,225)", "a stage of the engine"),
    ("rgb(130,160,240)", "the engine"),
    ("rgb(225,120,0)", "standard library"),
    ("rgb(80,195,195)", "other crates"),
    ("rgb(215,205,60)", "C and the kernel"),
];

/// Stacks, and what one sighting means.
#[derive(Debug, Clone, Copy)]
pub struct Scaled<'a> {
    /// The stacks.
    pub stacks: &'a Stacks,
    /// Of the drawing's unit. It is drawn in whole units: see `Stacks::folded`.
    pub unit: f64,
}

/// What is written on a drawing, as plain text.
#[derive(Debug, Clone, Copy)]
pub struct Caption<'a> {
    /// The first line.
    pub title: &'a str,
    /// The second one.
    pub subtitle: &'a str,
    /// What widths are in, such as [`PER_1000_ROWS`].
    pub unit: &'a str,
}

/// Where the outermost frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orientation {
    /// At the bottom: flames.
    Flames,
    /// At the top: icicles.
    Icicles,
}

/// The side of a difference that gives the widths. What it lacks is not seen, so that a difference
/// takes both drawings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widths {
    /// What is new is seen.
    Candidate,
    /// What has gone is seen.
    Baseline,
}

/// Draws one profile as SVG. The engine's own frames are blue, those of its stages darker; the
/// standard library is orange, other crates are teal, and C is yellow; see `LEGEND`.
///
/// # Errors
/// When there is nothing to draw.
pub fn draw(profile: Scaled, orientation: Orientation, caption: Caption) -> Result<String> {
    let mut colors = engine_colors(profile.stacks);
    let mut options = options(caption);
    options.palette_map = Some(&mut colors);
    options.direction = match orientation {
        Orientation::Flames => Direction::Straight,
        Orientation::Icicles => Direction::Inverted,
    };
    svg(&mut options, &folded(profile)?)
}

/// Draws the difference of two profiles as SVG, as flames of one side's widths. Red is more in the
/// candidate and blue less, whichever side that is.
///
/// Colours are those of a frame's own samples, without those of the functions that it calls.
///
/// # Errors
/// When the side that gives the widths has nothing to draw.
pub fn draw_difference(
    baseline: Scaled,
    candidate: Scaled,
    widths: Widths,
    caption: Caption,
) -> Result<String> {
    let (other, drawn) = match widths {
        Widths::Candidate => (baseline, candidate),
        Widths::Baseline => (candidate, baseline),
    };
    let other = other.stacks.folded(other.unit);
    let drawn = folded(drawn)?;
    let mut both = Vec::new();
    // Not normalised by default.
    let normal = differential::Options::default();
    differential::from_readers(normal, other.as_bytes(), drawn.as_bytes(), &mut both)
        .context("cannot set the two profiles side by side")?;
    let both = String::from_utf8(both).context("the two profiles are not UTF-8")?;
    let mut options = options(caption);
    options.negate_differentials = widths == Widths::Baseline;
    svg(&mut options, &both)
}

fn folded(profile: Scaled) -> Result<String> {
    let folded = profile.stacks.folded(profile.unit);
    ensure!(!folded.is_empty(), "there are no samples to draw");
    Ok(folded)
}

fn options<'a>(caption: Caption) -> Options<'a> {
    let mut options = Options::default();
    options.title = caption.title.to_owned();
    options.subtitle = Some(caption.subtitle.to_owned());
    options.count_name = caption.unit.to_owned();
    options.colors = Palette::Multi(MultiPalette::Rust);
    options.deterministic = true;
    options
}

fn svg(options: &mut Options, folded: &str) -> Result<String> {
    let mut svg = Vec::new();
    from_lines(options, folded.lines(), &mut svg).context("cannot draw the flame graph")?;
    String::from_utf8(svg).context("the flame graph is not UTF-8")
}

fn engine_colors(stacks: &Stacks) -> PaletteMap {
    let mut colors = PaletteMap::default();
    for frame in stacks.iter().flat_map(|(stack, _)| stack) {
        if stage_of_frame(frame).is_some() {
            colors.insert(frame, STAGE);
        } else if crate_of(frame) == Some("apitap_core") {
            colors.insert(frame, ENGINE);
        }
    }
    colors
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;

    const CAPTION: Caption = Caption {
        title: "orders <before> & after",
        subtitle: "1,000 \"rows\"",
        unit: PER_1000_ROWS,
    };

    const COMMON: &str = "main;apitap_core::stage::decode;<T as core::fmt::Debug>::fmt 40\n";

    fn stacks(folded: &str) -> Stacks {
        Stacks::parse(folded)
    }

    fn scaled(stacks: &Stacks) -> Scaled<'_> {
        Scaled { stacks, unit: 2.5 }
    }

    /// The texts of a drawing, once it is known to be XML.
    fn texts(svg: &str) -> Vec<String> {
        let mut reader = Reader::from_str(svg);
        let mut texts = vec![String::new()];
        loop {
            match reader.read_event().unwrap() {
                Event::Text(text) => texts.last_mut().unwrap().push_str(&text.decode().unwrap()),
                Event::GeneralRef(name) => {
                    let char = match &*name.decode().unwrap() {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        other => panic!("&{other};"),
                    };
                    texts.last_mut().unwrap().push(char);
                }
                Event::Eof => return texts,
                _ => texts.push(String::new()),
            }
        }
    }

    fn colour_of(svg: &str, frame: &str) -> (u8, u8, u8) {
        let at = svg.find(&format!("<title>{frame} (")).unwrap();
        let (_, fill) = svg[at..].split_once("rgb(").unwrap();
        let (fill, _) = fill.split_once(')').unwrap();
        let parts: Vec<u8> = fill.split(',').map(|part| part.parse().unwrap()).collect();
        (parts[0], parts[1], parts[2])
    }

    #[test]
    fn drawings_are_xml_that_names_every_frame_and_unit() {
        let stacks = stacks(COMMON);
        let flames = draw(scaled(&stacks), Orientation::Flames, CAPTION).unwrap();
        let icicles = draw(scaled(&stacks), Orientation::Icicles, CAPTION).unwrap();
        assert_ne!(flames, icicles);
        for svg in [flames, icicles] {
            let texts = texts(&svg);
            for expected in [
                CAPTION.title,
                CAPTION.subtitle,
                "main (100 µs per 1,000 rows, 100.00%)",
                "apitap_core::stage::decode (100 µs per 1,000 rows, 100.00%)",
                "<T as core::fmt::Debug>::fmt (100 µs per 1,000 rows, 100.00%)",
            ] {
                assert!(
                    texts.iter().any(|text| text == expected),
                    "{expected}: {texts:?}"
                );
            }
        }
    }

    #[test]
    fn equal_stacks_give_equal_bytes() {
        let (one, other) = (stacks(COMMON), stacks("main;new 7\nmain;other 9\n"));
        let draw_one = || draw(scaled(&one), Orientation::Flames, CAPTION).unwrap();
        assert_eq!(draw_one(), draw_one());
        let difference = || {
            let (one, other) = (scaled(&one), scaled(&other));
            draw_difference(one, other, Widths::Candidate, CAPTION).unwrap()
        };
        assert_eq!(difference(), difference());
    }

    #[test]
    fn the_engine_has_a_colour_of_its_own() {
        let stacks = stacks("main;apitap_core::stage::sql;apitap_core::json::scan;memchr::find 9");
        let svg = draw(scaled(&stacks), Orientation::Flames, CAPTION).unwrap();
        let rgb = |color: Color| (color.r, color.g, color.b);
        assert_eq!(colour_of(&svg, "apitap_core::stage::sql"), rgb(STAGE));
        assert_eq!(colour_of(&svg, "apitap_core::json::scan"), rgb(ENGINE));
        assert_ne!(colour_of(&svg, "memchr::find"), rgb(ENGINE));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let (empty, some) = (Stacks::default(), stacks(COMMON));
        let error = draw(scaled(&empty), Orientation::Flames, CAPTION).unwrap_err();
        assert_eq!(error.to_string(), "there are no samples to draw");
        let rounded_away = Scaled {
            stacks: &some,
            unit: 0.001,
        };
        draw(rounded_away, Orientation::Flames, CAPTION).unwrap_err();

        let (empty, some) = (scaled(&empty), scaled(&some));
        draw_difference(some, empty, Widths::Candidate, CAPTION).unwrap_err();
        draw_difference(some, empty, Widths::Baseline, CAPTION).unwrap();
    }

    #[test]
    fn each_direction_shows_what_the_other_lacks_and_red_is_more_in_the_candidate() {
        let baseline = stacks("main;gone 30\nmain;less 60\nmain;more 10\n");
        let candidate = stacks("main;new 30\nmain;less 10\nmain;more 60\n");
        let (baseline, candidate) = (scaled(&baseline), scaled(&candidate));
        let of = |widths| draw_difference(baseline, candidate, widths, CAPTION).unwrap();
        let (new, old) = (of(Widths::Candidate), of(Widths::Baseline));
        assert!(new.contains("<title>new (") && !new.contains("<title>gone ("));
        assert!(old.contains("<title>gone (") && !old.contains("<title>new ("));
        for svg in [&new, &old] {
            let (red, _, blue) = colour_of(svg, "more");
            assert!(red > blue, "{red} {blue}");
            let (red, _, blue) = colour_of(svg, "less");
            assert!(red < blue, "{red} {blue}");
        }
        let (red, _, blue) = colour_of(&new, "new");
        assert!(red > blue, "{red} {blue}");
        let (red, _, blue) = colour_of(&old, "gone");
        assert!(red < blue, "{red} {blue}");
    }
}
