//! Labels that keep out of each other's way.

use super::canvas::Area;

/// A label that belongs to a point: its size, and how far from the point it must stay.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// The point.
    pub point: (f64, f64),
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
    /// Distance from the point.
    pub gap: f64,
}

/// Where each label goes, inside `bounds` and as clear of `obstacles` and of each other as can be.
///
/// Each label tries the places around its point in order of preference; a few rounds let the later
/// ones push the earlier ones aside.
pub fn place(wishes: &[Wish], obstacles: &[Area], bounds: Area) -> Vec<Area> {
    let mut placed: Vec<Option<Area>> = vec![None; wishes.len()];
    for _ in 0..4 {
        for (i, wish) in wishes.iter().enumerate() {
            let cost = |area: &Area| {
                let inside = area.overlap(&bounds);
                let outside = area.w * area.h - inside;
                let over: f64 = obstacles.iter().map(|o| o.overlap(area)).sum();
                let others: f64 = placed
                    .iter()
                    .enumerate()
                    .filter(|(j, _)| *j != i)
                    .filter_map(|(_, p)| *p)
                    .map(|p| p.overlap(area))
                    .sum();
                20.0 * outside + over + 4.0 * others
            };
            let mut best: Option<(f64, Area)> = None;
            for (rank, area) in places(wish).into_iter().enumerate() {
                let cost = cost(&area) + rank as f64 * 4.0;
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, area));
                }
            }
            placed[i] = best.map(|(_, area)| area);
        }
    }
    placed.into_iter().flatten().collect()
}

fn places(wish: &Wish) -> Vec<Area> {
    let Wish { point: (x, y), w, h, gap } = *wish;
    let mut places = Vec::new();
    for distance in [gap, gap + 14.0, gap + 30.0, gap + 48.0, gap + 75.0] {
        let d = distance * 0.75;
        places.extend([
            (x + distance, y - h / 2.0),
            (x - distance - w, y - h / 2.0),
            (x + d, y - d - h),
            (x + d, y + d),
            (x - d - w, y - d - h),
            (x - d - w, y + d),
            (x - w / 2.0, y - distance - h),
            (x - w / 2.0, y + distance),
        ]);
    }
    places.into_iter().map(|(x, y)| Area { x, y, w, h }).collect()
}

/// Moves centres apart along one axis so that each keeps `size` to itself within `low..high`; the
/// order is kept.
pub fn spread(centres: &[f64], size: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..centres.len()).collect();
    order.sort_by(|a, b| centres[*a].total_cmp(&centres[*b]));
    let mut moved = centres.to_vec();
    let mut least = low + size / 2.0;
    for &i in &order {
        moved[i] = moved[i].max(least);
        least = moved[i] + size;
    }
    let mut most = high - size / 2.0;
    for &i in order.iter().rev() {
        moved[i] = moved[i].min(most);
        most = moved[i] - size;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_points_get_labels_that_do_not_meet() {
        let bounds = Area { x: 0.0, y: 0.0, w: 500.0, h: 300.0 };
        let wish = |x, y| Wish { point: (x, y), w: 120.0, h: 30.0, gap: 10.0 };
        let areas = place(&[wish(250.0, 150.0), wish(252.0, 151.0), wish(255.0, 149.0), wish(490.0, 5.0)], &[], bounds);
        for (i, a) in areas.iter().enumerate() {
            assert!((a.overlap(&bounds) - a.w * a.h).abs() < 1e-6, "{a:?} leaves the bounds");
            assert!(areas[i + 1..].iter().all(|b| a.overlap(b) == 0.0), "{a:?} meets another label");
        }
    }

    #[test]
    fn spread_keeps_order_and_distance() {
        let moved = spread(&[50.0, 51.0, 49.0], 14.0, 0.0, 100.0);
        assert!(moved[2] + 14.0 <= moved[0] + 1e-9 && moved[0] + 14.0 <= moved[1] + 1e-9, "{moved:?}");
    }
}
