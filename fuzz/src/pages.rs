//! A file of pages that somebody changes.

use arbitrary::Arbitrary;

const PAGE: usize = 4096;

/// One change.
#[derive(Debug, Arbitrary)]
pub enum Change {
    /// A byte of a page, exclusive or.
    Flip(u8, u16, u8),
    /// Bytes of a page.
    Put(u8, u16, Vec<u8>),
    /// One page over another.
    Copy(u8, u8),
    /// Zeros over a page.
    Zero(u8),
    /// The file ends here.
    Cut(u32),
    /// The file goes on.
    Grow(Vec<u8>),
}

/// Makes one change.
pub fn apply(change: &Change, bytes: &mut Vec<u8>) {
    let pages = bytes.len().div_ceil(PAGE).max(1);
    let start = |page: u8| usize::from(page) % pages * PAGE;
    match change {
        Change::Flip(page, at, by) => {
            if let Some(byte) = bytes.get_mut(start(*page) + usize::from(*at) % PAGE) {
                *byte ^= by;
            }
        }
        Change::Put(page, at, new) => {
            let at = start(*page) + usize::from(*at) % PAGE;
            bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = *new);
        }
        Change::Copy(from, to) => {
            let page: Vec<u8> = bytes.iter().skip(start(*from)).take(PAGE).copied().collect();
            bytes.iter_mut().skip(start(*to)).zip(page).for_each(|(byte, new)| *byte = new);
        }
        Change::Zero(page) => bytes.iter_mut().skip(start(*page)).take(PAGE).for_each(|byte| *byte = 0),
        Change::Cut(length) => bytes.truncate(*length as usize),
        Change::Grow(more) => bytes.extend_from_slice(more),
    }
}
