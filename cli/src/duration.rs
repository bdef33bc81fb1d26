//! Durations as people write them: `90`, `90s`, `15m`, `12h`, `7d`.

use std::time::Duration;

/// Reads a number of seconds, or a number with a unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let factor = match unit {
        "ms" => return whole(digits).map(Duration::from_millis),
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("`{unit}` is no unit of time: write ms, s, m, h or d")),
    };
    let seconds = whole(digits)?.checked_mul(factor).ok_or("the duration is too long")?;
    Ok(Duration::from_secs(seconds))
}

/// As [`parse`], for what ends at once if it is given no time.
pub(crate) fn some(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("it would be over at once: give it some time".into()),
        duration => Ok(duration),
    }
}

fn whole(digits: &str) -> Result<u64, String> {
    digits.parse().map_err(|_| "write a duration as a whole number and a unit: 90s, 15m, 12h, 7d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse(" 15m "), Ok(Duration::from_secs(900)));
        assert_eq!(parse("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(parse("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(some("1ms"), Ok(Duration::from_millis(1)));
        for nothing in ["0", "0s", "0d"] {
            assert_eq!(parse(nothing), Ok(Duration::ZERO));
            assert!(some(nothing).is_err(), "{nothing:?}");
        }
        for wrong in ["", "s", "-1s", "1.5h", "3 weeks", "99999999999999999d"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
