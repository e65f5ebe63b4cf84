//! The next number up or down, in steps that fit its size.

use crate::guide::Question;

/// The number after (or before) the one in `text`, within what the question allows; none where it ends, or where
/// the text is no number.
pub fn from(text: &str, question: &Question, up: bool) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    let next = if up {
        let by = width(number);
        (number.div_euclid(by) + 1).checked_mul(by)?
    } else {
        let by = width(number.checked_sub(1)?);
        number.checked_add(by - 1)?.div_euclid(by).checked_sub(1)?.checked_mul(by)?
    };
    let next = next.clamp(question.min.unwrap_or(i64::MIN), question.max.unwrap_or(i64::MAX));
    (next != number && (next > number) == up).then_some(next)
}

/// 1 below 20, 5 below 100, then a tenth or a twentieth of the next power of ten.
fn width(number: i64) -> i64 {
    let mut power: i64 = 10;
    while number.unsigned_abs() / 10 >= power.unsigned_abs() {
        power *= 10;
    }
    match number.unsigned_abs() / power.unsigned_abs() {
        0 => 1,
        1 => power / 10,
        _ => power / 2,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn question(min: i64, max: i64) -> Question {
        serde_json::from_value(json!({"id": "n", "ask": "How many?", "type": "integer", "min": min, "max": max}))
            .unwrap()
    }

    #[test]
    fn steps_grow_with_the_number_and_end_at_the_limits() {
        let question = question(1, 1000);
        let walk = |start: &str, up| {
            let mut numbers = vec![start.to_owned()];
            while let Some(next) = from(numbers.last().unwrap(), &question, up) {
                numbers.push(next.to_string());
            }
            numbers
        };
        let up = walk("17", true);
        assert_eq!(up[..6], ["17", "18", "19", "20", "25", "30"]);
        assert_eq!(up[up.len() - 3..], ["900", "950", "1000"]);
        assert_eq!(walk("22", false)[..4], ["22", "20", "19", "18"]);
        assert_eq!(walk("3", false), ["3", "2", "1"]);
        assert_eq!(from("x", &question, true), None);
        assert_eq!(from("48", &question, true), Some(50));
    }

    proptest! {
        #[test]
        fn a_step_goes_the_right_way_and_stays_within(number: i64, up: bool, min in -1000_i64..0, max in 1_i64..100_000) {
            if let Some(next) = from(&number.to_string(), &question(min, max), up) {
                prop_assert_eq!(next > number, up);
                prop_assert!((min..=max).contains(&next));
            }
        }
    }
}
