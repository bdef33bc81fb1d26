//! What stands behind the handles that C holds. A handle is a number in the clothes of a pointer: nobody follows it,
//! it is looked up here. So a handle that was freed is known to be, however its memory is used by then, and freeing
//! one while another thread is in a call with it takes nothing away from that call.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// All handles of the process.
pub(super) static HANDLES: LazyLock<Table> = LazyLock::new(Table::default);

/// Handles lie so far apart, as pointers to anything would, for hosts that look at the low bits.
const STEP: usize = 16;

/// Anything a handle can stand for.
pub(super) type Value = Arc<dyn Any + Send + Sync>;

#[derive(Default)]
pub(super) struct Table(RwLock<Entries>);

#[derive(Default)]
struct Entries {
    last: usize,
    by_number: BTreeMap<usize, Entry>,
}

struct Entry {
    value: Value,
    /// Those that end with this one: the rows of a list.
    rows: Vec<usize>,
    /// Ends with its list, not by itself.
    is_row: bool,
}

impl Table {
    /// A new handle.
    pub(super) fn insert(&self, value: Value) -> usize {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(Entry { value, rows: Vec::new(), is_row: false })
    }

    /// A new handle of a list, which is made from the handles of its rows.
    pub(super) fn insert_list(&self, rows: Vec<Value>, list: impl FnOnce(Vec<usize>) -> Value) -> usize {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let row = |value| entries.insert(Entry { value, rows: Vec::new(), is_row: true });
        let rows: Vec<usize> = rows.into_iter().map(row).collect();
        let value = list(rows.clone());
        entries.insert(Entry { value, rows, is_row: false })
    }

    /// What a handle stands for; none if it was freed, or never was.
    pub(super) fn get(&self, number: usize) -> Option<Value> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.by_number.get(&number).map(|entry| Arc::clone(&entry.value))
    }

    /// Ends a handle of something that is a `T`, and those of its rows. None, and nothing happens, if it was freed
    /// before, never was, is of another kind, or is a row.
    pub(super) fn remove<T: Any + Send + Sync>(&self, number: usize) -> Option<Arc<T>> {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.by_number.get(&number)?;
        if entry.is_row || !entry.value.is::<T>() {
            return None;
        }
        let entry = entries.by_number.remove(&number)?;
        let rows: Vec<Entry> = entry.rows.iter().filter_map(|row| entries.by_number.remove(row)).collect();
        if entries.by_number.is_empty() {
            // Gives the last room back, too, so that no leak checker sees anything of a host that freed all it had.
            entries.by_number = BTreeMap::new();
        }
        drop(entries);
        // What they hold ends without the lock.
        drop(rows);
        entry.value.downcast().ok()
    }
}

impl Entries {
    fn insert(&mut self, entry: Entry) -> usize {
        loop {
            // Numbers come again only once all others were used, which 32 bits allow in years.
            self.last = self.last.wrapping_add(STEP);
            if self.last != 0 && !self.by_number.contains_key(&self.last) {
                self.by_number.insert(self.last, entry);
                return self.last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_ends_once() {
        let table = Table::default();
        let number = table.insert(Arc::new("a text"));
        assert!(number != 0 && number.is_multiple_of(STEP));
        assert!(table.get(number).is_some_and(|value| value.is::<&str>()));
        assert!(table.remove::<u8>(number).is_none(), "it is of another kind");
        assert_eq!(table.remove::<&str>(number).as_deref(), Some(&"a text"));
        assert!(table.remove::<&str>(number).is_none());
        assert!(table.get(number).is_none());
        assert_ne!(table.insert(Arc::new("another")), number, "numbers are not used again soon");
    }

    #[test]
    fn rows_end_with_their_list() {
        let table = Table::default();
        let rows: Vec<Value> = vec![Arc::new(1u8), Arc::new(2u8)];
        let list = table.insert_list(rows, |rows| Arc::new(rows));
        let rows = table.get(list).and_then(|list| list.downcast::<Vec<usize>>().ok()).unwrap();
        assert!(table.remove::<u8>(rows[0]).is_none());
        assert!(table.get(rows[0]).is_some_and(|row| row.downcast_ref() == Some(&1u8)));
        assert!(table.remove::<Vec<usize>>(list).is_some());
        assert!(rows.iter().all(|row| table.get(*row).is_none()));
        assert!(table.0.read().unwrap().by_number.is_empty());
    }

    #[test]
    fn numbers_wrap_around_those_in_use() {
        let table = Table::default();
        let first = table.insert(Arc::new(1));
        table.0.write().unwrap().last = usize::MAX - STEP + 1;
        let next = table.insert(Arc::new(2));
        assert!(next != 0 && next != first);
    }
}
