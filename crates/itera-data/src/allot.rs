//! Dividing seats in proportion to weights, by largest remainders (Hare's quota).

/// Seats for each weight: in proportion, none above its capacity, together `seats` or all of the
/// capacity. Equal remainders go to the earlier weight. A weight of 0 gets nothing.
pub(crate) fn allot(seats: u64, weights: &[u64], capacity: &[u64]) -> Vec<u64> {
    let mut given = vec![0_u64; weights.len()];
    let mut open: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0 && capacity[i] > 0).collect();
    let mut left = seats;
    // Whoever would get more than it can take gets all it can; the rest is divided anew.
    loop {
        let sum: u128 = open.iter().map(|&i| u128::from(weights[i])).sum();
        let full: Vec<usize> = open
            .iter()
            .copied()
            .filter(|&i| u128::from(left) * u128::from(weights[i]) >= u128::from(capacity[i]) * sum)
            .collect();
        if full.is_empty() {
            break;
        }
        for &i in &full {
            given[i] = capacity[i].min(left);
            left -= given[i];
        }
        open.retain(|i| !full.contains(i));
    }
    let sum: u128 = open.iter().map(|&i| u128::from(weights[i])).sum();
    let mut remainders = Vec::with_capacity(open.len());
    let whole = u128::from(left);
    for &i in &open {
        let share = whole * u128::from(weights[i]);
        given[i] = u64::try_from(share / sum).unwrap_or(u64::MAX);
        left -= given[i];
        remainders.push((share % sum, i));
    }
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, i) in remainders {
        if left == 0 {
            break;
        }
        given[i] += 1;
        left -= 1;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::allot;
    use proptest::prelude::*;

    #[test]
    fn seats_follow_the_weights() {
        let plenty = [u64::MAX; 3];
        assert_eq!(allot(10, &[50, 30, 20], &plenty), [5, 3, 2]);
        assert_eq!(allot(1, &[1, 1, 1], &plenty), [1, 0, 0]);
        assert_eq!(allot(10, &[1, 1, 0], &plenty), [5, 5, 0]);
        assert_eq!(allot(10, &[50, 30, 20], &[2, 100, 100]), [2, 5, 3]);
        assert_eq!(allot(10, &[1, 1], &[2, 3]), [2, 3]);
        assert!(allot(5, &[], &[]).is_empty());
    }

    proptest! {
        #[test]
        fn all_seats_are_given_within_capacity_and_one_of_the_share(
            seats in 0_u64..1000,
            weights in prop::collection::vec(0_u64..1000, 0..20),
        ) {
            let given = allot(seats, &weights, &weights);
            prop_assert_eq!(given.iter().sum::<u64>(), seats.min(weights.iter().sum()));
            prop_assert!(given.iter().zip(&weights).all(|(g, w)| g <= w));
            let sum: u64 = weights.iter().sum();
            if seats < sum {
                for (&g, &w) in given.iter().zip(&weights) {
                    prop_assert!((g as f64 - seats as f64 * w as f64 / sum as f64).abs() < 1.0);
                }
            }
        }
    }
}
