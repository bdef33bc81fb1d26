//! What crosses the boundary besides numbers, and nothing else does it: making, looking up and freeing handles,
//! reading arguments, writing results. What the handles hold is in the files of their nouns.
//!
//! Every `unsafe fn` here asks the same of its caller: that the pointer, unless null, is what the first page of the
//! header demands (memory of the stated size), for as long as the call runs. Handles ask nothing: they are looked up.

mod fork;
mod table;

pub(crate) use fork::{error as fork_error, forked};

use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::ptr::without_provenance_mut;
use std::sync::Arc;
use subrosa::{Error, ErrorKind, Result};
use table::{HANDLES, Value};

/// An opaque type of C and the type behind it.
pub(crate) trait Handle {
    /// What the handle stands for.
    type Inner: Any + Send + Sync;
    /// For error texts.
    const NAME: &'static str;
}

/// Says what stands behind the opaque type of a noun.
macro_rules! handle {
    ($name:ident, $inner:ty) => {
        impl crate::handle::Handle for $name {
            type Inner = $inner;
            const NAME: &'static str = stringify!($name);
        }
    };
}
pub(crate) use handle;

/// A list: the handles of its rows, which end with it.
pub(crate) struct List<C> {
    rows: Vec<usize>,
    kind: PhantomData<fn() -> C>,
}

fn null(what: &str) -> Error {
    Error::new(ErrorKind::NullOrClosed, format!("{what} is NULL"))
}

/// Hands a value to C, which frees it by [`take`].
pub(crate) fn give<C: Handle>(value: C::Inner) -> *mut C {
    fork::watch();
    without_provenance_mut(HANDLES.insert(Arc::new(value)))
}

/// Hands a list to C, which frees it by [`take`]; its rows cannot be freed by themselves.
pub(crate) fn give_list<L: Handle<Inner = List<C>>, C: Handle + 'static>(rows: Vec<C::Inner>) -> *mut L {
    fork::watch();
    let rows = rows.into_iter().map(|row| Arc::new(row) as Value).collect();
    let list = HANDLES.insert_list(rows, |rows| Arc::new(List::<C> { rows, kind: PhantomData }));
    without_provenance_mut(list)
}

/// What a handle stands for. Stays there for as long as the call needs it, also when the handle is freed meanwhile.
pub(crate) fn get<C: Handle>(handle: *const C) -> Result<Arc<C::Inner>> {
    if handle.is_null() {
        return Err(null(C::NAME));
    }
    if forked() {
        // Its lock may be held by a thread that is not here.
        return Err(fork::error());
    }
    let Some(value) = HANDLES.get(handle.addr()) else {
        return Err(Error::new(ErrorKind::NullOrClosed, format!("this {} was freed already", C::NAME)));
    };
    value.downcast().map_err(|_| Error::invalid(format!("this is a handle, but no {}", C::NAME)))
}

/// Takes a handle back from C. None for null and for what cannot be freed (again), which is logged.
pub(crate) fn take<C: Handle>(handle: *mut C) -> Option<Arc<C::Inner>> {
    if handle.is_null() || forked() {
        return None;
    }
    let value = HANDLES.remove(handle.addr());
    if value.is_none() {
        log::error!("a {} was freed that is none, is part of a list, or was freed before", C::NAME);
    }
    value
}

/// How many rows a list has: 0 for null, and for a list that was freed.
pub(crate) fn len<L: Handle<Inner = List<C>>, C: Handle + 'static>(list: *const L) -> usize {
    get(list).map_or(0, |list| list.rows.len())
}

/// A row of a list; null beyond its end.
pub(crate) fn at<L: Handle<Inner = List<C>>, C: Handle + 'static>(list: *const L, index: usize) -> *const C {
    let row = get(list).ok().and_then(|list| list.rows.get(index).copied());
    row.map_or(std::ptr::null(), |row| without_provenance_mut::<C>(row).cast_const())
}

/// What a getter finds.
pub(crate) enum Field<T> {
    Here(T),
    /// It could have this, and has not.
    Missing,
    /// Its kind never has this.
    Never,
}

impl<T> From<Option<T>> for Field<T> {
    fn from(value: Option<T>) -> Field<T> {
        value.map_or(Field::Missing, Field::Here)
    }
}

/// Finds a field and hands it out.
pub(crate) unsafe fn field<C: Handle, T>(
    handle: *const C,
    to: *mut T,
    what: &str,
    find: impl FnOnce(&C::Inner) -> Field<T>,
) -> Result<()> {
    // SAFETY: the caller keeps the rules of the header.
    let (value, to) = (get(handle)?, unsafe { out(to, what) }?);
    let noun = C::NAME.trim_start_matches("subrosa_");
    match find(&value) {
        Field::Here(found) => to.write(found),
        Field::Missing => return Err(Error::new(ErrorKind::NotFound, format!("this {noun} has no {what}"))),
        Field::Never => return Err(Error::invalid(format!("{noun}s of this kind have no {what}"))),
    }
    Ok(())
}

/// Where a result goes. Written at most once, on success only.
pub(crate) struct Out<T>(*mut T);

/// A place for a result; null is refused.
pub(crate) unsafe fn out<T>(pointer: *mut T, what: &str) -> Result<Out<T>> {
    if pointer.is_null() { Err(null(what)) } else { Ok(Out(pointer)) }
}

impl<T> Out<T> {
    /// Writes the result; what was there is not looked at.
    pub(crate) fn write(self, value: T) {
        // SAFETY: whoever made this vouched for memory of this type, and checked that it is not null.
        unsafe { self.0.write(value) }
    }
}

/// Writes `bytes` to the start of `pointer`, which has room for `len`.
pub(crate) unsafe fn fill(pointer: *mut u8, len: usize, bytes: &[u8], what: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(null(what));
    }
    if len < bytes.len() {
        let room = bytes.len();
        return Err(Error::invalid(format!("{what} must have room for {room} bytes, and has {len}")));
    }
    // SAFETY: the caller vouches for `len` bytes of its own, and they are enough.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), pointer, bytes.len()) };
    Ok(())
}

/// A copy of a plain value.
pub(crate) unsafe fn value<T: Copy>(pointer: *const T, what: &str) -> Result<T> {
    // SAFETY: the caller vouches for a value of this type.
    unsafe { pointer.as_ref() }.copied().ok_or_else(|| null(what))
}

/// A copy of a plain value that may be missing.
pub(crate) unsafe fn optional<T: Copy>(pointer: *const T) -> Option<T> {
    // SAFETY: the caller vouches for a value of this type.
    unsafe { pointer.as_ref() }.copied()
}

/// Bytes of the host. Null is fine when there are none.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, len: usize, what: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null(what));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::invalid(format!("{what} cannot be {len} bytes long")));
    }
    // SAFETY: the caller vouches for `len` bytes, which no object exceeds `isize::MAX` of.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// A C string in UTF-8.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(null(what));
    }
    // SAFETY: the caller vouches for a string that ends with a zero byte.
    unsafe { CStr::from_ptr(pointer) }.to_str().map_err(|_| Error::invalid(format!("{what} is not UTF-8")))
}

/// A C string in UTF-8, or none.
pub(crate) unsafe fn optional_text<'a>(pointer: *const c_char, what: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: what the caller vouches for is what `text` asks for.
    unsafe { text(pointer, what) }.map(Some)
}

/// Most addresses in one list: more is a mistake.
const MOST_ADDRESSES: usize = 64;

/// A list of C strings. Null is fine when there are none.
pub(crate) unsafe fn texts<'a>(list: *const *const c_char, count: usize, what: &str) -> Result<Vec<&'a str>> {
    // SAFETY: what the caller vouches for is what `list_of` asks for.
    let pointers = unsafe { list_of(list, count, MOST_ADDRESSES, what) }?;
    // SAFETY: the caller vouches for strings that end with a zero byte.
    pointers.iter().map(|pointer| unsafe { text(*pointer, what) }).collect()
}

/// A list of plain values of the host. Null is fine when there are none; more than `most` are refused unseen.
pub(crate) unsafe fn list_of<'a, T>(
    list: *const T,
    count: usize,
    most: usize,
    what: &str,
) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if list.is_null() {
        return Err(null(what));
    }
    if count > most {
        return Err(Error::new(ErrorKind::TooLarge, format!("{what} holds at most {most}, not {count}")));
    }
    // SAFETY: the caller vouches for `count` values.
    Ok(unsafe { std::slice::from_raw_parts(list, count) })
}

/// A list of C strings that are addresses with ports. Null is fine when there are none.
pub(crate) unsafe fn addresses(
    list: *const *const c_char,
    count: usize,
    what: &str,
) -> Result<Vec<SocketAddr>> {
    let parse = |address: &str| {
        address.trim().parse().map_err(|_| {
            Error::invalid(format!(
                "{what}: an address is written 192.0.2.1:4000 or [2001:db8::1]:4000, not `{address}`"
            ))
        })
    };
    // SAFETY: what the caller vouches for is what `texts` asks for.
    unsafe { texts(list, count, what) }?.into_iter().map(parse).collect()
}

/// An options struct of C, which grows at its end in later versions.
///
/// # Safety
/// `repr(C)`; its first field is its size (`usize`); all zeros is a value of it.
pub(crate) unsafe trait Options: Sized {
    /// The size it had when it was first published: less is a mistake of the host.
    const FIRST_SIZE: usize;
    /// All defaults.
    const DEFAULT: Self;
}

/// A copy of the options of the host, which may have been compiled with an older or a newer header: fields it does
/// not know are at their defaults, and fields we do not know must be ([`ErrorKind::NotSupported`]).
pub(crate) unsafe fn options<T: Options>(pointer: *const T) -> Result<T> {
    if pointer.is_null() {
        return Ok(T::DEFAULT);
    }
    // SAFETY: the caller vouches for a struct that starts with its size.
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    if !(T::FIRST_SIZE..=1 << 16).contains(&size) {
        return Err(Error::invalid(format!(
            "the options are {size} bytes large by their size field, and must be {}: set it with the _INIT macro",
            size_of::<T>(),
        )));
    }
    let known = size.min(size_of::<T>());
    let mut options = MaybeUninit::<T>::zeroed();
    // SAFETY: the caller vouches for as many bytes as the size field says; ours are `size_of::<T>()`.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), options.as_mut_ptr().cast::<u8>(), known) };
    // SAFETY: as above; these bytes are beyond the fields we know.
    let unknown = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if unknown.iter().any(|byte| *byte != 0) {
        return Err(Error::new(
            ErrorKind::NotSupported,
            "an option is set that this version of the library does not know: update it",
        ));
    }
    // SAFETY: all zeros is a value of `T`, and so is what the host wrote over it: numbers and pointers.
    Ok(unsafe { options.assume_init() })
}

/// What the host wants back with every callback. It promises that the pointer may be used from any thread.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

// SAFETY: only handed back to the host, never followed; the header says that callbacks come on any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}
