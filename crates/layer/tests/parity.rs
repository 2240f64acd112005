//! Archives have the digests of BuildKit's archives of the same members.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use yadokari_image::Digest;
use yadokari_layer::{LayerReader, Limits, TarOptions, write_tar};
use yadokari_tree::{Change, Changes, Kind, Metadata, Node, Timestamp, TreePath, Xattrs};

const RECORDED: &str = include_str!("data/layers.jsonl");

#[derive(Default)]
struct Layer {
    changes: Vec<Change>,
    nodes: HashMap<TreePath, Node>,
    contents: BTreeMap<TreePath, Vec<u8>>,
}

fn number(entry: &Value, key: &str) -> i64 {
    entry[key].as_i64().unwrap()
}

fn metadata(entry: &Value) -> Metadata {
    let mode = u16::from_str_radix(entry["mode"].as_str().unwrap(), 8).unwrap();
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    let xattrs = entry["xattrs"].as_object().into_iter().flatten();
    let xattrs: Xattrs = xattrs
        .map(|(name, value)| (name, hex(value.as_str().unwrap())))
        .collect();
    Metadata::new(mode)
        .owned_by(number(entry, "uid") as u32, number(entry, "gid") as u32)
        .modified_at(Timestamp::new(number(entry, "mtime"), 999_999_999))
        .with_xattrs(xattrs)
}

fn device(entry: &Value) -> (u32, u32) {
    let (major, minor) = entry["dev"].as_str().unwrap().split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

impl Layer {
    fn add(&mut self, entry: &Value) {
        let path = TreePath::parse(entry["path"].as_str().unwrap());
        let name = path.file_name().unwrap();
        if let (Some(removed), "0000") =
            (name.strip_prefix(b".wh."), entry["mode"].as_str().unwrap())
        {
            let path = path.parent().unwrap().join(removed);
            self.changes.push(Change::Remove { path });
            return;
        }
        let node = self.node(entry, &path);
        self.nodes.insert(path.clone(), node.clone());
        self.changes.push(Change::Put { path, node });
    }

    fn node(&mut self, entry: &Value, path: &TreePath) -> Node {
        let metadata = metadata(entry);
        let link = entry["link"].as_str();
        match entry["type"].as_str().unwrap() {
            "dir" => Node::empty_directory(metadata),
            "symlink" => Node::symlink(metadata, link.unwrap()),
            "hardlink" => self.nodes[&TreePath::parse(link.unwrap())].clone(),
            "fifo" => Node::new(metadata, Kind::Fifo),
            "char" => {
                let (major, minor) = device(entry);
                Node::new(metadata, Kind::CharDevice { major, minor })
            }
            "file" => {
                let text = entry["text"].as_str().unwrap_or_default();
                self.contents.insert(path.clone(), text.into());
                Node::file(metadata, number(entry, "size") as u64)
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn recorded_layers_have_their_recorded_digests() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in RECORDED.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let mut layer = Layer::default();
        recorded["entries"]
            .as_array()
            .unwrap()
            .iter()
            .for_each(|entry| layer.add(entry));
        let changes: Changes = layer.changes.iter().cloned().collect();
        let mut tar = Vec::new();
        write_tar(&changes, &layer.contents, &TarOptions::default(), &mut tar).unwrap();
        if Digest::of(&tar).to_string() != recorded["diff_id"].as_str().unwrap() {
            wrong.push(recorded["case"].to_string());
        }
        assert_eq!(
            read_back(&tar),
            changes
                .iter()
                .map(|change| change.path().clone())
                .collect::<Vec<_>>()
        );
        count += 1;
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} differ: {wrong:#?}",
        wrong.len()
    );
    assert!(count > 150);
}

/// The names of all members in order, without what whiteouts add to them.
fn read_back(tar: &[u8]) -> Vec<TreePath> {
    let mut reader = LayerReader::inline(tar, Limits::default()).unwrap();
    let mut paths = Vec::new();
    while let Some((entry, _)) = reader.next_entry().unwrap() {
        paths.push(entry.path().clone());
    }
    paths
}
