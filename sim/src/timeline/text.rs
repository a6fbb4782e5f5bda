//! How times, numbers and foreign text are written on a page.

use std::fmt::Write as _;

/// Text as it may stand in HTML, between tags or in an attribute. What is no text there is shown as a middle dot.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() => escaped.push('·'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Not longer than `most` letters, escaped.
pub(super) fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => escape(text),
        Some((at, _)) => escape(&text[..at]) + "…",
    }
}

/// A number with its thousands set apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut spaced = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            spaced.push('\u{202f}');
        }
        spaced.push(digit);
    }
    spaced
}

/// So many of them: `one` or `many`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Nanoseconds in the unit that suits them, with as many digits as tell them from their neighbours.
pub(super) fn exact(nanos: u64) -> String {
    let (unit, per, digits) = unit(nanos);
    trimmed(nanos as f64 / per as f64, digits, unit)
}

/// Nanoseconds with three digits.
pub(super) fn rough(nanos: u64) -> String {
    let (unit, per, _) = unit(nanos);
    let value = nanos as f64 / per as f64;
    let digits = if value >= 100.0 { 0 } else { usize::from(value < 10.0) + 1 };
    trimmed(value, if per == 1 { 0 } else { digits }, unit)
}

/// The same moment as the log writes it.
pub(super) fn in_log(nanos: u64) -> String {
    format!("{}.{:06} ms", nanos / 1_000_000, nanos % 1_000_000)
}

fn unit(nanos: u64) -> (&'static str, u64, usize) {
    match nanos {
        0..1_000 => ("ns", 1, 0),
        1_000..1_000_000 => ("µs", 1_000, 3),
        1_000_000..1_000_000_000 => ("ms", 1_000_000, 6),
        _ => ("s", 1_000_000_000, 9),
    }
}

fn trimmed(value: f64, digits: usize, unit: &str) -> String {
    let mut text = format!("{value:.digits$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    let _ = write!(text, "\u{a0}{unit}");
    text
}

/// Milliseconds that a wall clock jumps by.
pub(super) fn jump(millis: i64) -> String {
    let (sign, left) = (if millis < 0 { "−" } else { "+" }, millis.unsigned_abs());
    let (hours, minutes, seconds) = (left / 3_600_000, left / 60_000 % 60, left / 1000 % 60);
    match (hours, minutes, seconds) {
        (0, 0, 0) => format!("{sign}{left}\u{a0}ms"),
        (0, 0, _) => format!("{sign}{seconds}.{:03}\u{a0}s", left % 1000),
        (0, ..) => format!("{sign}{minutes}\u{a0}min {seconds}\u{a0}s"),
        _ => format!("{sign}{hours}\u{a0}h {minutes}\u{a0}min"),
    }
}

/// The words of a name in CamelCase, in small letters.
pub(super) fn words(camel: &str) -> String {
    let mut words = String::new();
    for (at, letter) in camel.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// A coordinate: tenths of a hundredth are not seen.
pub(super) fn at(x: f64) -> String {
    let text = format!("{x:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_their_unit() {
        assert_eq!(
            [exact(812), exact(1_500), exact(2_000_001)],
            ["812\u{a0}ns", "1.5\u{a0}µs", "2.000001\u{a0}ms"]
        );
        assert_eq!(
            [rough(1_234_567), rough(123_456_789), rough(7)],
            ["1.23\u{a0}ms", "123\u{a0}ms", "7\u{a0}ns"]
        );
        assert_eq!(in_log(12_000_345), "12.000345 ms");
        assert_eq!([jump(-7_260_000), jump(1_002)], ["−2\u{a0}h 1\u{a0}min", "+1.002\u{a0}s"]);
    }

    #[test]
    fn nothing_of_a_text_is_taken_for_a_tag() {
        assert_eq!(escape("<a href='x'>&\"\u{7}"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;·");
        assert_eq!(clipped("äöü<", 3), "äöü…");
        assert_eq!([words("LatentSector"), count(1_234_567)], ["latent sector", "1\u{202f}234\u{202f}567"]);
    }
}
