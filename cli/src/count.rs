//! How many of something, for people: the one place that knows the plural.

use std::fmt::Display;

/// "1 message", "2 messages". The noun makes its plural with an s.
pub(crate) fn counted<N: Copy + Display + TryInto<u64>>(number: N, noun: &str) -> String {
    match number.try_into() {
        Ok(1) => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(0u64, "message"), "0 messages");
        assert_eq!(counted(1usize, "message"), "1 message");
        assert_eq!(counted(21u32, "byte"), "21 bytes");
    }
}
