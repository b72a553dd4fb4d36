//! Pipeline files and modules as nobody should write them: an error that names the file, and no panic.

use std::path::Path;

use apitap_core::Job;
use apitap_core::config::WriteConfig;
use apitap_core::module::Module;
use apitap_core::pipeline_file::PipelineFile;
use proptest::prelude::*;
use proptest::sample::Index;

/// What is put into texts: pieces of the syntaxes, and characters that some code does not expect.
const PIECES: [&str; 40] = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "${",
    "}",
    "[",
    "]",
    "{",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary x",
    "!t ",
    "|",
    ">",
    "? ",
    "---\n",
    "...",
    "\u{feff}",
    "\u{0}",
    "\u{1b}",
    "\u{2028}",
    "é",
    "1e999",
    "-0",
    "18446744073709551616",
    "null",
    "use_source(",
    "sink(name=",
];

/// A change of a text, at some place of it.
#[derive(Debug, Clone)]
enum Edit {
    Insert(Index, Index),
    Delete(Index, u8),
    Repeat(Index, u8),
    /// A piece of another text.
    Graft(Index, Index, Index, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    prop_oneof![
        (index(), index()).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        (index(), 1..40_u8).prop_map(|(at, length)| Edit::Delete(at, length)),
        (index(), 1..40_u8).prop_map(|(at, length)| Edit::Repeat(at, length)),
        (index(), index(), index(), 1..80_u8)
            .prop_map(|(at, text, from, length)| Edit::Graft(at, text, from, length)),
    ]
}

fn apply(text: &mut Vec<char>, edit: &Edit, texts: &[String]) {
    let place = |at: &Index, text: &[char]| at.index(text.len() + 1);
    let slice = |from: usize, length: u8, text: &[char]| {
        text[from..text.len().min(from + usize::from(length))].to_vec()
    };
    match edit {
        Edit::Insert(at, piece) => {
            let at = place(at, text);
            text.splice(at..at, PIECES[piece.index(PIECES.len())].chars());
        }
        Edit::Delete(at, length) => {
            let at = place(at, text);
            let end = text.len().min(at + usize::from(*length));
            text.drain(at..end);
        }
        Edit::Repeat(at, length) => {
            let at = place(at, text);
            let slice = slice(at, *length, text);
            text.splice(at..at, slice);
        }
        Edit::Graft(at, other, from, length) => {
            let other: Vec<char> = texts[other.index(texts.len())].chars().collect();
            let slice = slice(place(from, &other), *length, &other);
            let at = place(at, text);
            text.splice(at..at, slice);
        }
    }
}

/// The kept texts of one kind.
fn corpus(kind: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(kind);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// Reads a file as the command does, and uses all of it.
fn read(text: &str) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, text).unwrap();
    let shown = path.display().to_string();
    match PipelineFile::load(&path) {
        Ok(file) => {
            for module in corpus("module") {
                let module = Module::parse("m", Path::new("m.sql"), &module).unwrap();
                if let Err(error) = Job::new(&module, &file, &WriteConfig::default()) {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
        Err(error) => {
            prop_assert!(error.is_config(), "{error}");
            prop_assert!(error.to_string().contains(&shown), "{error}");
        }
    }
    Ok(())
}

fn read_module(text: &str) -> Result<(), TestCaseError> {
    match Module::parse("m", Path::new("folder/m.sql"), text) {
        Ok(module) => prop_assert!(module.sink.is_some() && !module.sources.is_empty()),
        Err(error) => {
            prop_assert!(error.is_config(), "{error}");
            prop_assert!(error.to_string().contains("folder/m.sql"), "{error}");
        }
    }
    Ok(())
}

fn mutated(kind: &'static str) -> impl Strategy<Value = String> {
    let texts = corpus(kind);
    (any::<Index>(), prop::collection::vec(edit(), 0..8)).prop_map(move |(which, edits)| {
        let mut text: Vec<char> = texts[which.index(texts.len())].chars().collect();
        edits.iter().for_each(|edit| apply(&mut text, edit, &texts));
        text.into_iter().collect()
    })
}

/// Anything, much of it made of pieces of the syntaxes.
fn arbitrary() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z_]{1,8}",
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pipeline_file_is_read_or_named(text in prop_oneof![mutated("pipeline_file"), arbitrary()]) {
        read(&text)?;
    }

    #[test]
    fn any_module_is_read_or_named(text in prop_oneof![mutated("module"), arbitrary()]) {
        read_module(&text)?;
    }
}

#[test]
fn kept_texts_are_read_or_named() {
    for text in corpus("pipeline_file") {
        read(&text).unwrap();
    }
    for text in corpus("module") {
        read_module(&text).unwrap();
    }
}

#[test]
fn depth_and_bytes_are_errors_too() {
    for (open, close) in [
        ("[", "]"),
        ("{a: ", "}"),
        ("- ", ""),
        ("? ", ""),
        ("{{ (", ") }}"),
        ("{% if (", "{% endif %}"),
    ] {
        for depth in [100, 10_000] {
            let text = open.repeat(depth) + &close.repeat(depth);
            read(&text).unwrap();
            read(&format!("sources: {text}")).unwrap();
            read_module(&text).unwrap();
        }
    }
    let parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
    read_module(&parentheses).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, b"sources: \xff\xfe").unwrap();
    let error = PipelineFile::load(&path).unwrap_err();
    assert!(
        error.is_config() && error.to_string().contains("p.yaml"),
        "{error}"
    );
    std::fs::write(folder.path().join("m.sql"), b"\xff").unwrap();
    let error = Module::load_all(folder.path()).unwrap_err();
    assert!(
        error.is_config() && error.to_string().contains("m.sql"),
        "{error}"
    );
}
