//! What modules import: nothing that points up, and no circle.
//!
//! The layers are the order of the modules in `src/lib.rs`, the highest first: a module may name
//! those below it. The parts of a directory have no order, but no circle either.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::architecture::sources;
use crate::parity::ROOT;

/// The modules of `src/lib.rs`, from the highest layer to the lowest.
fn layers() -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).expect("lib.rs");
    let module = |line: &str| {
        let rest = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?;
        rest.strip_suffix(';').map(str::to_owned)
    };
    text.lines().filter_map(module).collect()
}

/// A file's module, as `batch::attach`.
fn module(file: &str) -> String {
    let path = file.trim_end_matches(".rs");
    path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
}

/// The paths that a `use` with braces stands for.
fn expand(tree: &str) -> Vec<String> {
    let tree: String = tree.chars().filter(|c| !c.is_whitespace()).collect();
    let Some((prefix, rest)) = tree.split_once('{') else { return vec![tree] };
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (at, c) in rest.char_indices() {
        if depth == 0 && (c == ',' || c == '}') {
            let inner = expand(&rest[start..at]);
            paths.extend(inner.into_iter().filter(|path| !path.is_empty()).map(|path| format!("{prefix}{path}")));
            start = at + 1;
        }
        depth += i32::from(c == '{') - i32::from(c == '}');
    }
    paths
}

/// Every path of this crate that a file names.
fn paths(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let is_ours = |path: &str| ["crate::", "super::", "self::"].iter().any(|start| path.starts_with(start));
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::").filter(|(at, _)| {
        ["crate", "super", "self"].iter().any(|start| {
            let before = code[..*at].strip_suffix(start);
            before.is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
        })
    }) {
        let start = code[..at].rfind(|c: char| !c.is_alphanumeric()).map_or(0, |border| border + 1);
        let is_use = code[..start].trim_end().ends_with("use");
        let end =
            code[start..].find(|c: char| if is_use { c == ';' } else { !(c.is_alphanumeric() || "_:".contains(c)) });
        found.extend(expand(&code[start..end.map_or(code.len(), |end| start + end)]));
    }
    found.retain(|path| is_ours(path));
    found
}

/// Who names whom, by their modules' full paths.
fn imports() -> BTreeSet<(String, String)> {
    let sources = sources();
    let known: BTreeSet<String> = sources.iter().map(|(file, _)| module(file)).collect();
    let mut imports = BTreeSet::new();
    for (file, text) in sources.iter().filter(|(file, _)| !["lib.rs", "main.rs"].contains(&file.as_str())) {
        let me = module(file);
        for path in paths(text) {
            let mut place: Vec<&str> = me.split("::").collect();
            let mut words = path.split("::").peekable();
            if words.next_if_eq(&"crate").is_some() {
                place.clear();
            }
            while words.next_if(|word| ["self", "super"].contains(word)).is_some_and(|word| word == "super") {
                place.pop();
            }
            for word in words {
                place.push(word);
                if !known.contains(&place.join("::")) {
                    place.pop();
                    break;
                }
            }
            let whom = place.join("::");
            if !whom.is_empty() && whom != me {
                imports.insert((me.clone(), whom));
            }
        }
    }
    assert!(imports.len() > 200, "only {} imports were found", imports.len());
    imports
}

#[test]
fn no_import_points_up() {
    let layers = layers();
    let of = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let layer = |module: &str| {
        layers.iter().position(|name| name == module).unwrap_or_else(|| panic!("{module} is not in lib.rs"))
    };
    let between = imports().into_iter().map(|(who, whom)| (of(&who), of(&whom))).filter(|(who, whom)| who != whom);
    let up: Vec<String> = between
        .filter(|(who, whom)| layer(who) > layer(whom))
        .map(|(who, whom)| format!("{who} imports {whom}, which is above it in lib.rs"))
        .collect();
    assert_eq!(up, [""; 0], "move what is shared down, or the module up");
}

#[test]
fn no_parts_of_a_directory_import_each_other_in_a_circle() {
    // Seen from the directory that both are in, an import leads from one part to another.
    let mut directories: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for (who, whom) in imports() {
        let (from, to): (Vec<&str>, Vec<&str>) = (who.split("::").collect(), whom.split("::").collect());
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        // A part may name what its `mod.rs` shares, and that names its parts.
        if shared > 0 && shared < from.len() && shared < to.len() {
            let pair = (from[..=shared].join("::"), to[..=shared].join("::"));
            directories.entry(from[..shared].join("::")).or_default().insert(pair);
        }
    }
    let mut rest: BTreeSet<(String, String)> = directories.into_values().flatten().collect();
    // Parts that name no other are in no circle, nor are those that name only these.
    loop {
        let naming: BTreeSet<String> = rest.iter().map(|(who, _)| who.clone()).collect();
        let before = rest.len();
        rest.retain(|(_, whom)| naming.contains(whom));
        if rest.len() == before {
            break;
        }
    }
    assert!(rest.is_empty(), "there is a circle among {rest:?}");
}

#[test]
fn no_sink_names_another() {
    // What two of them are made of.
    let shared = "results::sinks::summary_line";
    let is_sink = |module: &str| module.starts_with("results::sinks::") && module != shared;
    let imports = imports();
    assert!(imports.iter().filter(|(who, _)| is_sink(who)).count() > 5, "the sinks were not found");
    let pairs: Vec<_> = imports.into_iter().filter(|(who, whom)| is_sink(who) && is_sink(whom)).collect();
    assert_eq!(pairs, [], "move what both need to where both may look");
}

#[test]
fn paths_are_found_as_rust_reads_them() {
    let text = "use crate::a::{self, b::{C, d}};\nuse super::e;\nlet x = crate::f::g(h::i); // crate::no\npub(crate) fn j() {}";
    assert_eq!(paths(text), ["crate::a::self", "crate::a::b::C", "crate::a::b::d", "super::e", "crate::f::g"]);
    assert_eq!((module("batch/mod.rs"), module("batch/attach.rs")), ("batch".into(), "batch::attach".into()));
}
