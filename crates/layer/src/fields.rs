//! What a header says, records that override it included.

use yadokari_tree::{Metadata, Timestamp, Xattrs};

use crate::ReadError;
use crate::block::{self, Block};
use crate::pax::{self, Records};

/// One member, its names as raw bytes.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) type_flag: u8,
    pub(crate) metadata: Metadata,
    /// Length of the content once holes are filled.
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
}

/// A header together with the records that override it.
pub(crate) struct Fields<'a> {
    pub(crate) header: &'a Block,
    pub(crate) records: &'a Records,
}

impl Fields<'_> {
    pub(crate) fn member(
        &self,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Member, ReadError> {
        let name = long_name
            .or_else(|| self.text(pax::PATH))
            .unwrap_or_else(|| self.plain_name());
        let link = long_link.or_else(|| self.text(pax::LINKPATH));
        let link = link.unwrap_or_else(|| block::text(&self.header[block::LINK]).to_vec());
        let value = self.values().map_err(|field| ReadError::BadField {
            name: name.clone(),
            field,
        });
        let (metadata, size, device) = value?;
        let type_flag = match self.header[block::TYPE] {
            0 if name.ends_with(b"/") => b'5',
            0 | b'7' => b'0',
            other => other,
        };
        Ok(Member {
            name,
            link,
            type_flag,
            metadata,
            size,
            device,
        })
    }

    /// The name of the field that cannot be used, as the error.
    fn values(&self) -> Result<(Metadata, u64, (u32, u32)), &'static str> {
        let mode = block::number(&self.header[block::MODE]).ok_or("mode")?;
        let metadata = Metadata {
            mode: (mode & 0o7777) as u16,
            uid: self
                .unsigned(pax::UID, &self.header[block::UID])
                .ok_or("uid")?,
            gid: self
                .unsigned(pax::GID, &self.header[block::GID])
                .ok_or("gid")?,
            mtime: self.mtime().ok_or("mtime")?,
            xattrs: self.xattrs(),
        };
        let size = self.unsigned(pax::SIZE, &self.header[block::SIZE]);
        let size = size
            .filter(|size: &u64| i64::try_from(*size).is_ok())
            .ok_or("size")?;
        Ok((metadata, size, self.device().ok_or("device number")?))
    }

    fn unsigned<N: TryFrom<i64> + std::str::FromStr>(&self, key: &str, field: &[u8]) -> Option<N> {
        match self.record(key) {
            Some(text) => pax::decimal(text),
            None => block::number(field)?.try_into().ok(),
        }
    }

    fn mtime(&self) -> Option<Timestamp> {
        match self.record(pax::MTIME) {
            Some(text) => pax::parse_time(text),
            None => block::number(&self.header[block::MTIME]).map(Timestamp::from_seconds),
        }
    }

    /// Only formats with a magic have the fields, and only devices use them.
    fn device(&self) -> Option<(u32, u32)> {
        if !matches!(self.header[block::TYPE], b'3' | b'4') || !self.magic().starts_with(b"ustar") {
            return Some((0, 0));
        }
        let number = |field: &[u8]| block::number(field)?.try_into().ok();
        Some((
            number(&self.header[block::MAJOR])?,
            number(&self.header[block::MINOR])?,
        ))
    }

    fn xattrs(&self) -> Xattrs {
        let named = self
            .records
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(pax::XATTR.as_bytes())?, value)));
        named.filter(|(name, _)| !name.is_empty()).collect()
    }

    fn plain_name(&self) -> Vec<u8> {
        let name = block::text(&self.header[block::NAME]);
        let prefix = match self.magic() {
            magic if magic == block::USTAR && self.header[block::STAR_TRAILER] == *b"tar\0" => {
                block::STAR_PREFIX
            }
            // Anything else with this magic has the POSIX layout; GNU's differs.
            magic if magic.starts_with(b"ustar\0") => block::PREFIX,
            _ => return name.to_vec(),
        };
        match block::text(&self.header[prefix]) {
            b"" => name.to_vec(),
            prefix => [prefix, b"/", name].concat(),
        }
    }

    fn magic(&self) -> &[u8] {
        &self.header[block::MAGIC]
    }

    fn text(&self, key: &str) -> Option<Vec<u8>> {
        self.record(key).map(<[u8]>::to_vec)
    }

    /// An empty value means the header's own.
    fn record(&self, key: &str) -> Option<&[u8]> {
        self.records
            .get(key.as_bytes())
            .map(Vec::as_slice)
            .filter(|value| !value.is_empty())
    }
}
