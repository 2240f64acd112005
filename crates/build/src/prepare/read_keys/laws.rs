//! Over generated contexts: what is copied under one key is one layer, and what shows in no layer changes no key.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use yadokari_context::{BuildContext, ContextFiles};
use yadokari_dockerfile::ignore::Patterns;
use yadokari_tree::{Kind, Timestamp};

use super::*;
use crate::copy::{Placement, Rules};
use crate::prepare::schedule::tests::planned;

/// What lies at a path of a context.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Entry {
    File(&'static str, u32),
    Link(&'static str),
    /// Another name of the file `a`.
    SameAsA,
}

/// Entries by path, and the ignore file.
#[derive(Debug, Clone)]
struct Context {
    entries: BTreeMap<&'static str, Entry>,
    ignore: &'static str,
}

const PATHS: [&str; 9] = ["a", "b", "d/a", "d/b", "d/e/a", "e/a", "e/b", "l", "ab"];

fn context() -> impl Strategy<Value = Context> {
    let file = (
        prop::sample::select(vec!["", "x", "y", "xy"]),
        prop::sample::select(vec![0o644, 0o755]),
    );
    let entry = prop_oneof![
        4 => file.prop_map(|(text, mode)| Entry::File(text, mode)),
        1 => prop::sample::select(vec!["a", "d", "../a", "e/b", "nowhere"]).prop_map(Entry::Link),
        1 => Just(Entry::SameAsA),
    ];
    let entries = prop::collection::btree_map(prop::sample::select(PATHS.to_vec()), entry, 0..7);
    let ignore = prop::sample::select(vec!["", "d", "*/b", "**/a\n!d/a", "e\n!e/b", "*\n!l"]);
    (entries, ignore).prop_map(|(entries, ignore)| Context { entries, ignore })
}

/// One change to a context.
fn edit() -> impl Strategy<Value = (&'static str, Option<Entry>)> {
    let entry = prop::option::of(prop_oneof![
        Just(Entry::File("z", 0o644)),
        Just(Entry::File("x", 0o600)),
        Just(Entry::Link("b")),
    ]);
    (prop::sample::select(PATHS.to_vec()), entry)
}

fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "COPY . /o/",
        "COPY d /o/",
        "COPY d/ /o",
        "COPY a b /o/",
        "COPY b a /o/",
        "COPY a /o",
        "COPY l /o/",
        "COPY * /o/",
        "COPY */a /o/",
        "COPY a* d/* /o/",
        "COPY --exclude=a . /o/",
        "COPY --exclude=**/b --exclude=e d e /o/",
        "COPY --parents d/a e/a /o/",
        "COPY --parents */a /o/",
        "COPY --parents d/./e /o/",
        "COPY --parents --exclude=e d /o/",
        "COPY --chmod=go-rwx . /o/",
        "ADD a d /o/",
    ])
}

impl Context {
    fn edited(&self, edits: &[(&'static str, Option<Entry>)]) -> Self {
        let mut edited = self.clone();
        for (path, entry) in edits {
            match entry {
                Some(entry) => edited.entries.insert(path, *entry),
                None => edited.entries.remove(path),
            };
        }
        edited
    }

    /// Writes it, with this time for all files, and lists what is not ignored.
    fn listed(&self, directory: &Path, seconds: u64) -> ContextFiles {
        for (path, entry) in &self.entries {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match entry {
                Entry::File(text, mode) => {
                    fs::write(&path, text).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                    let file = fs::File::open(&path).unwrap();
                    let time = UNIX_EPOCH + Duration::from_secs(seconds);
                    file.set_modified(time).unwrap();
                }
                Entry::Link(target) => std::os::unix::fs::symlink(target, &path).unwrap(),
                // Where there is none to link to, there is one name less.
                Entry::SameAsA => drop(fs::hard_link(directory.join("a"), &path)),
            }
        }
        let context = BuildContext::directory(directory).unwrap();
        let patterns = Patterns::parse(self.ignore.as_bytes()).unwrap();
        let files = context.files_without(&patterns, 1).unwrap();
        files.digests(&[TreePath::root()]).unwrap();
        files
    }

    /// The key of what a copy takes from it, and the layer that the copy gives; no layer where a source is missing.
    fn copied(&self, line: &str, seconds: u64) -> (Option<ContentKey>, Option<String>) {
        let directory = tempfile::tempdir().unwrap();
        let files = self.listed(directory.path(), seconds);
        let plan = planned(&format!("FROM scratch\n{line}"), &[]);
        let Operation::Copy(copy) = &plan.target_stage().steps[0].operation else {
            panic!("{line} is no copy");
        };
        let key = selected_content(files.tree(), copy, &|_| Ok(())).unwrap();
        (key, layer(files.tree(), copy).ok())
    }
}

fn layer(tree: &Tree, copy: &Copy) -> Result<String, CopyFailure> {
    let rules = Rules {
        owner: None,
        chmod: copy.chmod.as_ref().map(|chmod| &chmod.mode),
        exclude: copy.exclude.as_ref().map(|(_, patterns)| patterns),
        now: Timestamp::default(),
        shares: true,
    };
    let mut placement = Placement::new(Tree::empty(), rules);
    for word in &copy.sources {
        if copy.parents {
            let source = select_with_parents(tree, word)?;
            placement.copy_with_parents(&source, None, &copy.destination)?;
            continue;
        }
        for selected in select(tree, word)? {
            placement.copy(&selected, None, &copy.destination)?;
        }
    }
    Ok(shown(&placement.finish().0))
}

/// All of a tree but its times.
fn shown(tree: &Tree) -> String {
    let mut first: HashMap<usize, String> = HashMap::new();
    let lines = tree.walk().map(|(path, node)| {
        let metadata = node.metadata();
        let kind = match node.kind() {
            Kind::File(content) => format!("{:?} {:?}", content.size, content.digest()),
            Kind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
            _ => String::new(),
        };
        let name = path.to_string();
        let same = match node.is_directory() {
            true => name.clone(),
            false => first
                .entry(node.identity())
                .or_insert_with(|| name.clone())
                .clone(),
        };
        let (mode, uid, gid) = (metadata.mode, metadata.uid, metadata.gid);
        format!("{name} {same} {mode:o} {uid}:{gid} {kind}\n")
    });
    lines.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn copies_under_one_key_are_one_layer(
        line in line(),
        start in context(),
        edits in prop::collection::vec(edit(), 6),
        other in context(),
    ) {
        let mut layers: HashMap<[u8; 32], (String, Context)> = HashMap::new();
        let mut contexts = vec![start.clone(), other];
        contexts.extend((1..=edits.len()).map(|count| start.edited(&edits[..count])));
        for context in contexts {
            let (key, layer) = context.copied(line, 1);
            let (Some(ContentKey(key)), Some(layer)) = (key, layer) else {
                continue;
            };
            let known = layers.entry(key).or_insert_with(|| (layer.clone(), context.clone()));
            prop_assert_eq!(&known.0, &layer, "{} of {:?} and {:?}", line, known.1, context);
        }
    }

    #[test]
    fn what_is_not_in_the_context_and_times_change_no_key(
        line in line(),
        start in context(),
        edits in prop::collection::vec(edit(), 1..4),
    ) {
        let ignored = Patterns::parse(start.ignore.as_bytes()).unwrap();
        let hidden = |path: &str| ignored.excludes(path.as_bytes()).is_some();
        // A hidden file that is alone in its directory brings that along, which is seen; one at the top brings nothing.
        let unseen = |path: &str| hidden(path) && !path.contains('/');
        let unseen: Vec<_> = edits.into_iter().filter(|(path, _)| unseen(path)).collect();
        // A second name of a hidden file is a matter of its own.
        let has_names = start.entries.values().any(|entry| *entry == Entry::SameAsA);
        prop_assume!(!has_names);
        let (key, layer) = start.copied(line, 1);
        let (again, same) = start.edited(&unseen).copied(line, 2);
        prop_assert_eq!(layer, same);
        prop_assert_eq!(key, again);
    }
}
