//! No crate has an import cycle between its modules, read from the paths in the sources.
//!
//! A module may use what the modules around it offer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Module = Vec<String>;
type Imports = BTreeMap<Module, BTreeSet<Module>>;

const CRATES: [&str; 3] = ["../apitap-core/src", "src", "testkit/src"];

#[test]
fn modules_have_no_import_cycles() {
    for folder in CRATES {
        let imports = imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        assert!(imports.len() > 5, "{folder}: the sources were not read");
        let rooms = between(&imports, |module| module[..1].to_vec());
        assert_eq!(cycle(&rooms), None, "{folder}: rooms import each other");
        let files = between(&imports, Clone::clone);
        assert_eq!(cycle(&files), None, "{folder}: files import each other");
    }
}

#[test]
fn a_cycle_is_found_through_any_kind_of_path() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; mod c;");
    write("a/mod.rs", "mod inner; use crate::b::{x, y::{self, Z}};");
    write("a/inner.rs", "use super::super::c::Thing;");
    write("b.rs", "// use crate::a::Comment;\nfn f() {}");
    write("c.rs", "fn f() { crate::b::x() }");
    write("d/mod.rs", "mod inner;");
    write("d/inner.rs", "use super::Own;");
    let rooms = |folder| between(&imports(folder), |module| module[..1].to_vec());
    assert_eq!(cycle(&rooms(folder.path())), None);
    write("b.rs", "use crate::c;");
    let found = cycle(&rooms(folder.path())).unwrap();
    assert_eq!(found, [["b"], ["c"]]);

    write("b.rs", "");
    write("c.rs", "use crate::d::inner::X;");
    write("d/inner.rs", "use crate::c;");
    let files = |folder| between(&imports(folder), Clone::clone);
    let found = cycle(&files(folder.path())).unwrap();
    assert_eq!(found, [vec!["c"], vec!["d", "inner"]]);
}

/// Every module's file with the modules whose names it uses. Tests are left out: they may know all.
fn imports(folder: &Path) -> Imports {
    let mut sources = BTreeMap::new();
    read(folder, &mut Module::new(), &mut sources);
    let all: BTreeSet<Module> = sources.keys().cloned().collect();
    sources
        .iter()
        .map(|(module, text)| {
            let used = paths(text).into_iter();
            let used = used.filter_map(|path| resolved(module, &path, &all));
            // A module uses its own modules, however it names them.
            let own = all.iter().filter(|one| is_child(one, module)).cloned();
            (module.clone(), used.chain(own).collect())
        })
        .collect()
}

fn is_child(one: &Module, module: &Module) -> bool {
    one.len() == module.len() + 1 && one.starts_with(module)
}

fn read(folder: &Path, module: &mut Module, sources: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.ends_with("tests") || name == "example" || name == "bin" {
            continue;
        }
        if path.is_dir() {
            module.push(name);
            read(&path, module, sources);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let root = module.is_empty() && ["lib", "main"].contains(&name.as_str());
            let own: Module = match name.as_str() {
                _ if root => continue,
                "mod" => module.clone(),
                _ => [&module[..], &[name]].concat(),
            };
            let text = fs::read_to_string(&path).unwrap();
            sources.insert(own, without_tests_and_comments(&text));
        }
    }
}

fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// Paths that begin with `crate` or `super`, in `use` declarations and anywhere else.
fn paths(text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for (at, start) in text
        .match_indices("crate::")
        .chain(text.match_indices("super::"))
    {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        // The middle of `super::super::` and names such as `my_crate::` are no beginnings.
        if !before.is_alphanumeric() && before != '_' && before != ':' && before != '$' {
            let first = start.trim_end_matches(':').to_owned();
            expand(&text[at + start.len()..], &vec![first], &mut found);
        }
    }
    found
}

/// Follows what comes after `prefix::`, one name or a group in braces; returns what is left.
fn expand<'a>(text: &'a str, prefix: &Module, found: &mut Vec<Module>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            match rest.strip_prefix('}') {
                Some(after) => return after,
                None if rest.is_empty() => return rest,
                None => {
                    let after = expand(rest, prefix, found);
                    // What cannot be read, such as `x as y`, ends at the next comma or brace.
                    let end = after.find([',', '}']).unwrap_or(after.len());
                    rest = &after[end..];
                }
            }
        }
    }
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = [&prefix[..], &[name.to_owned()]].concat();
    match rest.strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => expand(rest, &path, found),
        _ => {
            found.push(path);
            rest
        }
    }
}

/// The deepest module that `path`, written in `module`, leads to.
fn resolved(module: &Module, path: &Module, all: &BTreeSet<Module>) -> Option<Module> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let mut at = match path[0].as_str() {
        "crate" => Module::new(),
        _ => module[..module.len().checked_sub(ups)?].to_vec(),
    };
    for name in &path[ups.max(1)..] {
        at.push(name.clone());
        let exists = all.contains(&at) || all.iter().any(|one| one.starts_with(&at));
        if !exists {
            at.pop();
            break;
        }
    }
    (!at.is_empty()).then_some(at)
}

/// Imports between what `group` makes of modules, except those of a module around.
fn between(imports: &Imports, group: impl Fn(&Module) -> Module) -> Imports {
    let mut grouped = Imports::new();
    for (module, used) in imports {
        let own = group(module);
        let others = used.iter().map(&group);
        let others = others.filter(|one| !own.starts_with(one));
        let others: Vec<Module> = others.collect();
        grouped.entry(own).or_default().extend(others);
    }
    grouped
}

/// The modules of a cycle, if there is any: what remains when everything that imports nothing of the
/// rest, or that nothing of the rest imports, is taken away again and again.
fn cycle(imports: &Imports) -> Option<Vec<Module>> {
    let mut left = imports.clone();
    loop {
        let imported: BTreeSet<Module> = left.values().flatten().cloned().collect();
        let names: BTreeSet<Module> = left.keys().cloned().collect();
        let count = left.len();
        left.retain(|name, used| {
            imported.contains(name) && used.iter().any(|one| names.contains(one))
        });
        if left.len() == count {
            return (!left.is_empty()).then(|| left.into_keys().collect());
        }
    }
}
