//! Members of a tar archive as they are written, with every header that
//! extends them taken into account.

use std::io::{self, Read};

use crate::block::{self, BLOCK, Block};
use crate::fields::{Fields, Member};
use crate::pax::{self, Records};
use crate::sparse::Sparse;
use crate::stream::Stream;
use crate::{Limits, ReadError};

/// Goes through an archive; reading from it reads the current member's content.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    stream: Stream<'a>,
    limits: Limits,
    /// Headers seen.
    headers: u64,
    /// Bytes of the current content that are still in the stream.
    stored: u64,
    /// Bytes after the content up to the next block.
    padding: u64,
    sparse: Option<Sparse>,
    ended: bool,
}

/// What earlier headers say about the next member.
#[derive(Debug, Default)]
struct Extension {
    records: Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pending: bool,
}

impl<'a> Members<'a> {
    pub(crate) fn new(stream: Stream<'a>, limits: Limits) -> Self {
        Self {
            stream,
            limits,
            headers: 0,
            stored: 0,
            padding: 0,
            sparse: None,
            ended: false,
        }
    }

    /// The next member; what is left of the current one is passed over.
    pub(crate) fn next_member(&mut self) -> Result<Option<Member>, ReadError> {
        self.leave_member()?;
        let mut extension = Extension::default();
        while let Some(header) = self.next_header()? {
            if !self.extend(&header, &mut extension)? {
                return self.member(&header, extension).map(Some);
            }
        }
        if extension.pending {
            Err(ReadError::Truncated)
        } else {
            Ok(None)
        }
    }

    pub(crate) fn into_stream(self) -> Stream<'a> {
        self.stream
    }

    fn leave_member(&mut self) -> Result<(), ReadError> {
        self.sparse = None;
        let rest = self.stored + self.padding;
        (self.stored, self.padding) = (0, 0);
        self.stream.skip(rest)
    }

    /// The next header block; `None` at two empty blocks or the end of the bytes.
    fn next_header(&mut self) -> Result<Option<Block>, ReadError> {
        let mut header = [0; BLOCK];
        if self.ended || !self.stream.fill(&mut header)? {
            self.ended = true;
            return Ok(None);
        }
        if is_empty(&header) {
            self.ended = true;
            let more = self.stream.fill(&mut header)? && !is_empty(&header);
            return if more {
                Err(self.bad_checksum())
            } else {
                Ok(None)
            };
        }
        if !block::checksum_matches(&header) {
            return Err(self.bad_checksum());
        }
        self.headers += 1;
        let limit = self.limits.entries;
        if self.headers > limit {
            Err(ReadError::TooManyEntries { limit })
        } else {
            Ok(Some(header))
        }
    }

    fn bad_checksum(&self) -> ReadError {
        ReadError::BadChecksum {
            offset: self.stream.position() - BLOCK as u64,
        }
    }

    /// Takes in a header that only extends the next one; `false` for a member.
    fn extend(&mut self, header: &Block, extension: &mut Extension) -> Result<bool, ReadError> {
        match header[block::TYPE] {
            b'x' => {
                let records = self.extended(header)?;
                let offset = self.stream.position();
                extension.records =
                    pax::parse(&records).ok_or(ReadError::BadExtendedHeader { offset })?;
            }
            b'L' => extension.long_name = Some(block::text(&self.extended(header)?).to_vec()),
            b'K' => extension.long_link = Some(block::text(&self.extended(header)?).to_vec()),
            // Applies to everything after it; layers never mean anything by it.
            b'g' => return self.extended(header).map(|_| true),
            _ => return Ok(false),
        }
        extension.pending = true;
        Ok(true)
    }

    fn extended(&mut self, header: &Block) -> Result<Vec<u8>, ReadError> {
        let size = size_field(header)?;
        let limit = self.limits.pax_bytes;
        if size > limit {
            return Err(ReadError::HeaderTooLong { limit });
        }
        let mut bytes = vec![0; size as usize];
        if !self.stream.fill(&mut bytes)? && size > 0 {
            return Err(ReadError::Truncated);
        }
        self.stream.skip(block::padding(size) as u64)?;
        Ok(bytes)
    }

    fn member(&mut self, header: &Block, extension: Extension) -> Result<Member, ReadError> {
        let fields = Fields {
            header,
            records: &extension.records,
        };
        let mut member = fields.member(extension.long_name, extension.long_link)?;
        let has_content = !matches!(member.type_flag, b'1'..=b'6');
        self.stored = if has_content { member.size } else { 0 };
        self.padding = block::padding(self.stored) as u64;
        self.stream.expect(self.stored)?;
        self.sparse = self.sparse_map(header, &extension.records, &mut member)?;
        member.size = self.sparse.as_ref().map_or(self.stored, Sparse::size);
        if self.sparse.is_some() {
            self.stream
                .count_made(member.size.saturating_sub(self.stored))?;
        }
        Ok(member)
    }

    fn sparse_map(
        &mut self,
        header: &Block,
        records: &Records,
        member: &mut Member,
    ) -> Result<Option<Sparse>, ReadError> {
        let name = member.name.clone();
        let limit = self.limits.pax_bytes;
        let mut source = Bounded {
            members: self,
            left: limit,
        };
        let sparse = match header[block::TYPE] {
            b'S' => Sparse::old_gnu(header, |block| source.block(block))?,
            b'0' | 0 => Sparse::extended(records, |block| source.stored_block(block))?,
            _ => return Ok(None),
        };
        let Some(sparse) = sparse else {
            return Ok(None);
        };
        if let Some(real) = records.get(&b"GNU.sparse.name"[..]) {
            member.name = real.clone();
        }
        member.type_flag = b'0';
        match sparse.checked(self.stored) {
            Some(sparse) => Ok(Some(sparse)),
            None => Err(ReadError::BadSparseMap { name }),
        }
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (wanted, hole) = match &self.sparse {
            Some(sparse) => sparse.next_run(),
            None => (self.stored, false),
        };
        let length = buffer
            .len()
            .min(usize::try_from(wanted).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..length];
        let read = if hole {
            buffer.fill(0);
            length
        } else {
            self.read_stored(buffer)?
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.advance(read as u64);
        }
        Ok(read)
    }
}

impl Members<'_> {
    fn read_stored(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.stream.read(buffer)?;
        if read == 0 {
            return Err(ReadError::Truncated.into_io());
        }
        self.stored -= read as u64;
        Ok(read)
    }
}

/// Reads the blocks of a sparse map, not too many.
struct Bounded<'m, 'a> {
    members: &'m mut Members<'a>,
    left: u64,
}

impl Bounded<'_, '_> {
    /// A block between the header and the content.
    fn block(&mut self, block: &mut Block) -> Result<(), ReadError> {
        let limit = self.members.limits.pax_bytes;
        self.left = self
            .left
            .checked_sub(BLOCK as u64)
            .ok_or(ReadError::HeaderTooLong { limit })?;
        if self.members.stream.fill(block)? {
            Ok(())
        } else {
            Err(ReadError::Truncated)
        }
    }

    /// A block that is counted as content.
    fn stored_block(&mut self, block: &mut Block) -> Result<(), ReadError> {
        let rest = self.members.stored.checked_sub(BLOCK as u64);
        self.members.stored = rest.ok_or(ReadError::Truncated)?;
        self.block(block)
    }
}

fn size_field(header: &Block) -> Result<u64, ReadError> {
    let size = block::number(&header[block::SIZE]).and_then(|size| size.try_into().ok());
    let name = || block::text(&header[block::NAME]).to_vec();
    size.ok_or_else(|| ReadError::BadField {
        name: name(),
        field: "size",
    })
}

fn is_empty(block: &Block) -> bool {
    block.iter().all(|byte| *byte == 0)
}
