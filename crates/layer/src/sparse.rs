//! Files with holes, as GNU tar stores them.

use std::collections::VecDeque;

use crate::ReadError;
use crate::block::{self, BLOCK, Block};
use crate::pax::{Records, decimal};

/// Where a file's stored bytes belong; the rest is zeros.
#[derive(Debug)]
pub(crate) struct Sparse {
    /// Offset and length of what is stored, ascending.
    runs: VecDeque<(u64, u64)>,
    size: u64,
    at: u64,
}

type Next<'a> = &'a mut dyn FnMut(&mut Block) -> Result<(), ReadError>;

impl Sparse {
    /// The map in and after a header of type `S`.
    pub(crate) fn old_gnu(
        header: &Block,
        mut next: impl FnMut(&mut Block) -> Result<(), ReadError>,
    ) -> Result<Option<Self>, ReadError> {
        let mut numbers = Vec::new();
        take_runs(&header[386..482], &mut numbers);
        let mut more = header[482] != 0;
        while more {
            let mut block = [0; BLOCK];
            next(&mut block)?;
            take_runs(&block[..504], &mut numbers);
            more = block[504] != 0;
        }
        let size = block::number(&header[483..495]).and_then(|size| size.try_into().ok());
        Ok(Some(Self::new(&numbers, size)))
    }

    /// The map that records announce, if they do: in a record (format 0.1), or
    /// at the start of the content (1.0). Records of format 0.0 repeat their keys
    /// and count as malformed.
    pub(crate) fn extended(
        records: &Records,
        mut next: impl FnMut(&mut Block) -> Result<(), ReadError>,
    ) -> Result<Option<Self>, ReadError> {
        let number = |key: &str| {
            records
                .get(key.as_bytes())
                .and_then(|text| decimal::<u64>(text))
        };
        let is_1_0 = number("GNU.sparse.major") == Some(1) && number("GNU.sparse.minor") == Some(0);
        if is_1_0 {
            return Ok(Some(Self::new(
                &map_in_content(&mut next)?,
                number("GNU.sparse.realsize"),
            )));
        }
        if let Some(map) = records.get(&b"GNU.sparse.map"[..]) {
            let numbers: Vec<_> = map.split(|byte| *byte == b',').map(decimal).collect();
            return Ok(Some(Self::new(&numbers, number("GNU.sparse.size"))));
        }
        Ok(number("GNU.sparse.numblocks").map(|_| Self::new(&[None], None)))
    }

    /// Without a size or with a number missing, a map that fails its check.
    fn new(numbers: &[Option<u64>], size: Option<u64>) -> Self {
        let run = |pair: &[Option<u64>]| match pair {
            [Some(offset), Some(length)] => Some((*offset, *length)),
            _ => None,
        };
        let runs: Option<VecDeque<_>> = numbers.chunks(2).map(run).collect();
        match (runs, size) {
            (Some(runs), Some(size)) => Self { runs, size, at: 0 },
            _ => Self {
                runs: [(1, 0)].into(),
                size: 0,
                at: 0,
            },
        }
    }

    /// Refuses runs that overlap, leave the file, or do not add up to what is stored.
    pub(crate) fn checked(mut self, stored: u64) -> Option<Self> {
        let mut end = 0_u64;
        let mut total = 0_u64;
        for (offset, length) in &self.runs {
            if *offset < end {
                return None;
            }
            end = offset.checked_add(*length)?;
            total = total.checked_add(*length)?;
        }
        self.runs.retain(|(_, length)| *length > 0);
        (end <= self.size && total == stored && i64::try_from(self.size).is_ok()).then_some(self)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// How far the next stretch goes, and whether it is a hole.
    pub(crate) fn next_run(&self) -> (u64, bool) {
        match self.runs.front() {
            Some((offset, length)) if *offset <= self.at => (offset + length - self.at, false),
            Some((offset, _)) => (offset - self.at, true),
            None => (self.size - self.at, true),
        }
    }

    pub(crate) fn advance(&mut self, bytes: u64) {
        self.at += bytes;
        if self
            .runs
            .front()
            .is_some_and(|(offset, length)| offset + length <= self.at)
        {
            self.runs.pop_front();
        }
    }
}

/// Pairs of 12-byte numbers up to the first empty one.
fn take_runs(fields: &[u8], numbers: &mut Vec<Option<u64>>) {
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 || pair[12] == 0 {
            return;
        }
        let number = |field: &[u8]| block::number(field).and_then(|number| number.try_into().ok());
        numbers.extend([number(&pair[..12]), number(&pair[12..])]);
    }
}

/// Lines of decimal numbers, the first their count of pairs, padded to a block.
fn map_in_content(next: Next<'_>) -> Result<Vec<Option<u64>>, ReadError> {
    let mut lines = Lines {
        next,
        block: [0; BLOCK],
        at: BLOCK,
    };
    let Some(pairs) = lines.number()? else {
        return Ok(vec![None]);
    };
    let mut numbers = Vec::new();
    for _ in 0..pairs.saturating_mul(2) {
        numbers.push(lines.number()?);
    }
    Ok(numbers)
}

struct Lines<'a> {
    next: Next<'a>,
    block: Block,
    at: usize,
}

impl Lines<'_> {
    fn number(&mut self) -> Result<Option<u64>, ReadError> {
        let mut digits = Vec::new();
        loop {
            if self.at == BLOCK {
                (self.next)(&mut self.block)?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return Ok(decimal(&digits)),
                _ if digits.len() == 20 => return Ok(None),
                digit => digits.push(digit),
            }
        }
    }
}
