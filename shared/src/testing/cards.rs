//! Numbers of payment cards, which may stand nowhere: neither in an event nor in a log.

use std::sync::LazyLock;

use regex_lite::Regex;

/// In one piece, in groups of four, or as American Express groups them; as a word of its own, since an id may
/// hold any digits. Cards begin with 2 to 6: a time in nanoseconds begins with 1.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?x)
        (?:^|[^0-9A-Za-z])
        ( [2-6][0-9]{12,18}
        | [2-6][0-9]{3}(?:[\ -][0-9]{4}){2,3}[\ -][0-9]{1,7}
        | 3[47][0-9]{2}[\ -][0-9]{6}[\ -][0-9]{5}
        )
        (?:[^0-9A-Za-z]|$)";
    #[expect(clippy::expect_used, reason = "each test that looks for cards compiles it")]
    Regex::new(pattern).expect("the pattern is right")
});

/// Where the first number of a text begins that has a card's length (ISO/IEC 7812: here 13 to 19 digits) and
/// check digit.
#[must_use]
pub fn card_number(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(number) = NUMBER.captures_at(text, from).and_then(|found| found.get(1)) {
        if has_check_digit(number.as_str()) {
            return Some(number.start());
        }
        from = number.end();
    }
    None
}

/// By Luhn's formula.
fn has_check_digit(number: &str) -> bool {
    let digits: Vec<u32> = number.chars().filter_map(|c| c.to_digit(10)).collect();
    let doubled = |(place, digit): (usize, &u32)| {
        let digit = if place % 2 == 1 { digit * 2 } else { *digit };
        digit / 10 + digit % 10
    };
    let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::in_one_piece("5555555555554444")]
    #[case::in_groups("number: 4000 0566 5566 5556.")]
    #[case::before_a_word("4000 0566 5566 5556 or another")]
    #[case::after_a_number("7 4000 0566 5566 5556")]
    #[case::after_one_that_is_none("4242424242424241 4242424242424242")]
    #[case::with_hyphens("6011-1111-1111-1117")]
    #[case::with_both("my card 4242 4242-4242 4242")]
    #[case::american_express("378282246310005")]
    #[case::american_express_in_groups("3782 822463 10005")]
    #[case::of_nineteen("4000000000000000006")]
    #[case::in_json(r#"{"card":"4242424242424242"}"#)]
    #[case::after_a_name("card_4242424242424242")]
    fn a_cards_number_is_found(#[case] text: &str) {
        assert!(card_number(text).is_some());
    }

    #[rstest]
    #[case::of_a_wrong_check_digit("4242424242424241")]
    #[case::a_time("1700000000000000008")]
    #[case::an_end_of_an_id("a4242424242424242")]
    #[case::inside_an_id("dp_79a2b4000056655665556f01")]
    #[case::a_uuid("4242-4242-4242-424242424242")]
    #[case::a_uuid_of_digits("42424242-4242-4242-8242-424242424242")]
    #[case::too_short("424242424242")]
    fn what_is_none_is_not(#[case] text: &str) {
        assert_eq!(card_number(text), None);
    }

    #[test]
    fn it_tells_where() {
        assert_eq!(card_number("no: 4242424242424242"), Some(4));
    }
}
