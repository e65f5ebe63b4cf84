//! Parts of a whole as columns of a bar.

/// So many of `columns` for each part: its exact share rounded down, and what is left to those whose remainders are
/// largest. The sum is `columns`, unless every part is 0.
pub fn shares(parts: &[u64], columns: usize) -> Vec<usize> {
    let total: u128 = parts.iter().map(|part| u128::from(*part)).sum();
    if total == 0 {
        return vec![0; parts.len()];
    }
    let exact = |part: &u64| u128::from(*part) * columns as u128;
    let mut shares: Vec<usize> = parts.iter().map(|part| usize::try_from(exact(part) / total).unwrap_or(0)).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(exact(&parts[*at]) % total));
    let left = columns.saturating_sub(shares.iter().sum());
    for at in order.into_iter().take(left) {
        shares[at] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_remainders_get_what_is_left() {
        assert_eq!(shares(&[1, 1, 1], 10), [4, 3, 3]);
        assert_eq!(shares(&[409, 1024, 256, 974, 1433], 40), [4, 10, 2, 10, 14]);
        assert_eq!(shares(&[0, 0], 5), [0, 0]);
        assert_eq!(shares(&[], 5), [0; 0]);
    }

    proptest! {
        #[test]
        fn no_share_is_a_column_off(parts in prop::collection::vec(any::<u64>(), 1..8), columns in 0_usize..300) {
            let shares = shares(&parts, columns);
            let total: u128 = parts.iter().map(|part| u128::from(*part)).sum();
            prop_assert!(total == 0 || shares.iter().sum::<usize>() == columns);
            for (part, share) in parts.iter().zip(shares) {
                let exact = u128::from(*part) * columns as u128;
                prop_assert!((share as u128 * total).abs_diff(exact) < total.max(1));
            }
        }
    }
}
