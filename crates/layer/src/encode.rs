//! One member's headers, byte for byte as Go's `archive/tar` writes them.
//!
//! Layers are compared by digest with those of other builders, so this follows
//! that writer where POSIX leaves a choice: `ustar` if everything fits, else one
//! extended header before a `ustar` header with what fits of it.

use yadokari_tree::{CAPABILITY, Metadata};

use crate::block::{self, BLOCK, Block};
use crate::pax;

/// What a header says, in tar's terms.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    /// Without a leading slash, directories with a final one.
    pub(crate) name: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) type_flag: u8,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) device: (u32, u32),
    pub(crate) capability: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    pub(crate) fn new(name: &'a [u8], type_flag: u8, metadata: &'a Metadata, mtime: i64) -> Self {
        Self {
            name,
            link: b"",
            type_flag,
            mode: metadata.mode & 0o7777,
            uid: metadata.uid,
            gid: metadata.gid,
            size: 0,
            mtime,
            device: (0, 0),
            capability: metadata.xattrs.capability(),
        }
    }

    /// Whether both device numbers fit their fields; there is no record for them.
    pub(crate) fn device_fits(&self) -> bool {
        let fits = |number: u32| block::fits_octal(block::MAJOR.len(), number.into());
        fits(self.device.0) && fits(self.device.1)
    }

    /// Appends the header blocks.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let records = self.records();
        let split = split_path(self.name);
        if self.fits_ustar(split) {
            let (prefix, name) = split.unwrap_or((b"", self.name));
            out.extend_from_slice(&self.block(name, self.link, prefix));
            return;
        }
        put_extended(self.name, &records, out);
        out.extend_from_slice(&self.block(&ascii(self.name), &ascii(self.link), b""));
    }

    /// Every value a plain header cannot hold. A long path that could be
    /// split is among them: it counts once something else needs a record.
    fn records(&self) -> pax::Records {
        let mut records = pax::Records::new();
        let mut put = |key: &str, value: &[u8]| records.insert(key.into(), value.into());
        for (key, value, field) in [
            (pax::PATH, self.name, block::NAME),
            (pax::LINKPATH, self.link, block::LINK),
        ] {
            if value.len() > field.len() || !value.is_ascii() {
                put(key, value);
            }
        }
        for (key, value, field) in self.numbers() {
            if !block::fits_octal(field, value) {
                put(key, value.to_string().as_bytes());
            }
        }
        if let Some(capability) = self.capability {
            records.insert(
                [pax::XATTR.as_bytes(), CAPABILITY].concat(),
                capability.to_vec(),
            );
        }
        records
    }

    fn numbers(&self) -> [(&'static str, i64, usize); 4] {
        [
            (pax::UID, self.uid.into(), block::UID.len()),
            (pax::GID, self.gid.into(), block::GID.len()),
            (pax::SIZE, self.size.cast_signed(), block::SIZE.len()),
            (pax::MTIME, self.mtime, block::MTIME.len()),
        ]
    }

    fn fits_ustar(&self, split: Option<(&[u8], &[u8])>) -> bool {
        let short_name = self.name.len() <= block::NAME.len() && self.name.is_ascii();
        (short_name || split.is_some())
            && self.link.len() <= block::LINK.len()
            && self.link.is_ascii()
            && self
                .numbers()
                .iter()
                .all(|(_, value, field)| block::fits_octal(*field, *value))
            && self.capability.is_none()
    }

    fn block(&self, name: &[u8], link: &[u8], prefix: &[u8]) -> Block {
        let mut block = [0; BLOCK];
        block[block::TYPE] = self.type_flag;
        put_text(&mut block[block::NAME], name);
        put_text(&mut block[block::LINK], link);
        put_text(&mut block[block::PREFIX], prefix);
        block::put_octal(&mut block[block::MODE], self.mode.into());
        block::put_octal(&mut block[block::UID], self.uid.into());
        block::put_octal(&mut block[block::GID], self.gid.into());
        block::put_octal(&mut block[block::SIZE], self.size.cast_signed());
        block::put_octal(&mut block[block::MTIME], self.mtime);
        block::put_octal(&mut block[block::MAJOR], self.device.0.into());
        block::put_octal(&mut block[block::MINOR], self.device.1.into());
        block[block::MAGIC].copy_from_slice(block::USTAR);
        block::seal(&mut block);
        block
    }
}

/// Appends an extended header: its own block, whose device fields stay empty,
/// and its records, padded.
fn put_extended(name: &[u8], records: &pax::Records, out: &mut Vec<u8>) {
    let mut data = Vec::new();
    for (key, value) in records {
        pax::put_record(&mut data, key, value);
    }
    let mut block = [0; BLOCK];
    block[block::TYPE] = b'x';
    put_text(&mut block[block::NAME], &extended_name(name));
    for field in [block::MODE, block::UID, block::GID, block::MTIME] {
        block::put_octal(&mut block[field], 0);
    }
    block::put_octal(&mut block[block::SIZE], data.len() as i64);
    block[block::MAGIC].copy_from_slice(block::USTAR);
    block::seal(&mut block);
    data.resize(data.len() + block::padding(data.len() as u64), 0);
    out.extend_from_slice(&block);
    out.extend_from_slice(&data);
}

/// `DIRECTORY/PaxHeaders.0/BASE`, cut to the field, without final slashes.
fn extended_name(name: &[u8]) -> Vec<u8> {
    let slash = name
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    let (directory, base) = name.split_at(slash);
    let mut joined = [directory, b"PaxHeaders.0/", base].concat();
    if base.is_empty() {
        joined.pop();
    }
    let mut joined = ascii(&joined);
    joined.truncate(block::NAME.len());
    let end = joined
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(0, |at| at + 1);
    joined.truncate(end);
    joined
}

/// Splits a long path at a slash into the prefix and name fields, if it is
/// ASCII and there is a slash in the right place.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= block::NAME.len() || !path.is_ascii() {
        return None;
    }
    let head = match path.len() {
        long if long > block::PREFIX.len() + 1 => &path[..=block::PREFIX.len()],
        _ => path.strip_suffix(b"/").unwrap_or(path),
    };
    let at = head
        .iter()
        .rposition(|byte| *byte == b'/')
        .filter(|at| *at > 0)?;
    let (prefix, name) = (&path[..at], &path[at + 1..]);
    (!name.is_empty() && name.len() <= block::NAME.len()).then_some((prefix, name))
}

/// The text with everything that is not ASCII left out.
fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(u8::is_ascii).collect()
}

/// Copies what fits. A file's name that is cut right after a slash loses the
/// slash, or readers would take the file for a directory.
fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    if text.len() > field.len() && field.ends_with(b"/") {
        let last = field
            .iter()
            .rposition(|byte| *byte != b'/')
            .map_or(0, |at| at + 1);
        field[last] = 0;
    }
}
