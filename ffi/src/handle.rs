//! Pointers that cross the boundary, and nothing else does it: borrowing and giving away handles, reading arguments,
//! writing results. What the handles hold is in the files of their nouns.
//!
//! Every `unsafe fn` here asks the same of its caller: that the pointer, unless null, is what the first page of the
//! header demands (a live handle of this library, or memory of the stated size), for as long as the call runs.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::Arc;
use subrosa::{Error, ErrorKind, Result};

/// The handle is a box: one owner, freed once.
pub(crate) struct Boxed;
/// The handle is one count of an `Arc`: calls that run keep what it names alive.
pub(crate) struct Shared;

/// An opaque type of C and the type behind it. One ownership per handle, so that the compiler refuses to free it the
/// wrong way.
pub(crate) trait Handle {
    /// What the pointer really points to.
    type Inner;
    /// [`Boxed`] or [`Shared`].
    type Ownership;
    /// For error texts.
    const NAME: &'static str;
}

/// Declares the opaque type of a noun.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $ownership:ident) => {
        impl crate::handle::Handle for $name {
            type Inner = $inner;
            type Ownership = crate::handle::$ownership;
            const NAME: &'static str = stringify!($name);
        }
    };
}
pub(crate) use handle;

fn null(what: &str) -> Error {
    Error::new(ErrorKind::NullOrClosed, format!("{what} is NULL"))
}

/// Hands a value to C, which frees it by [`free`].
pub(crate) fn give<C: Handle<Ownership = Boxed>>(value: C::Inner) -> *mut C {
    Box::into_raw(Box::new(value)).cast()
}

/// Looks at what C owns.
pub(crate) unsafe fn borrow<'a, C: Handle<Ownership = Boxed>>(handle: *const C) -> Result<&'a C::Inner> {
    // SAFETY: the caller vouches for a live handle, which `give` made of a box of this type.
    unsafe { handle.cast::<C::Inner>().as_ref() }.ok_or_else(|| null(C::NAME))
}

/// Takes back what `give` gave. Null is nothing.
pub(crate) unsafe fn free<C: Handle<Ownership = Boxed>>(handle: *mut C) {
    if !handle.is_null() {
        // SAFETY: the caller vouches for a live handle, which `give` made of a box of this type, and gives it up.
        drop(unsafe { Box::from_raw(handle.cast::<C::Inner>()) });
    }
}

/// Hands one count to C, which gives it back by [`take_share`].
pub(crate) fn give_share<C: Handle<Ownership = Shared>>(value: Arc<C::Inner>) -> *mut C {
    Arc::into_raw(value).cast_mut().cast()
}

/// A count of our own of what C holds.
pub(crate) unsafe fn share<C: Handle<Ownership = Shared>>(handle: *const C) -> Result<Arc<C::Inner>> {
    if handle.is_null() {
        return Err(null(C::NAME));
    }
    // SAFETY: the caller vouches for a live handle, which `give_share` made of an `Arc` of this type; the count
    // added is the one that is returned.
    unsafe {
        Arc::increment_strong_count(handle.cast::<C::Inner>());
        Ok(Arc::from_raw(handle.cast::<C::Inner>()))
    }
}

/// Takes back the count that C holds. Null is nothing.
pub(crate) unsafe fn take_share<C: Handle<Ownership = Shared>>(handle: *mut C) -> Option<Arc<C::Inner>> {
    if handle.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for a live handle, which `give_share` made, and gives it up.
    Some(unsafe { Arc::from_raw(handle.cast::<C::Inner>()) })
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

/// A list of C strings that are addresses with ports. Null is fine when there are none.
pub(crate) unsafe fn addresses(
    list: *const *const c_char,
    count: usize,
    what: &str,
) -> Result<Vec<SocketAddr>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if list.is_null() {
        return Err(null(what));
    }
    if count > MOST_ADDRESSES {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("{what} holds at most {MOST_ADDRESSES}, not {count}"),
        ));
    }
    let parse = |index| {
        // SAFETY: the caller vouches for `count` pointers to strings that end with a zero byte.
        let address = unsafe { text(*list.add(index), what) }?;
        address.trim().parse().map_err(|_| {
            Error::invalid(format!(
                "{what}: an address is written 192.0.2.1:4000 or [2001:db8::1]:4000, not `{address}`"
            ))
        })
    };
    (0..count).map(parse).collect()
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
