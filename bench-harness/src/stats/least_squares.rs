//! Costs from sums of costs: least squares whose coefficients are not negative.

/// What least squares need of rows of counts and their values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums<const N: usize> {
    /// Of the products of each two columns.
    of_columns: [[f64; N]; N],
    /// Of each column's products with the values.
    of_values: [f64; N],
}

impl<const N: usize> Default for Sums<N> {
    fn default() -> Self {
        Self {
            of_columns: [[0.0; N]; N],
            of_values: [0.0; N],
        }
    }
}

impl<const N: usize> Sums<N> {
    /// Adds a row, and the value that it is to come near to.
    pub(crate) fn add(&mut self, row: [f64; N], value: f64) {
        for a in 0..N {
            self.of_values[a] += row[a] * value;
            for b in 0..N {
                self.of_columns[a][b] += row[a] * row[b];
            }
        }
    }

    /// The coefficients, none of them negative, whose sums with the rows come nearest to the values; those that are not
    /// among `columns` are zero. `None` if no column says anything.
    ///
    /// The solution is the least squares of some of the columns. There are seven sets of three columns, so all are
    /// tried: of those whose coefficients are not negative, the nearest one (Lawson and Hanson, *Solving Least Squares
    /// Problems*, 1974, chapter 23, for many columns).
    pub(crate) fn non_negative(&self, columns: &[usize]) -> Option<[f64; N]> {
        (1_usize..1 << columns.len())
            .filter_map(|set| {
                let chosen = columns.iter().enumerate();
                let chosen: Vec<usize> = chosen
                    .filter(|(nth, _)| set >> nth & 1 == 1)
                    .map(|(_, column)| *column)
                    .collect();
                self.least(&chosen)
            })
            .filter(|coefficients| coefficients.iter().all(|one| *one >= 0.0))
            .min_by(|a, b| self.distance(a).total_cmp(&self.distance(b)))
    }

    /// By the normal equations, of columns that are scaled to one size; `None` if they have no single solution.
    fn least(&self, chosen: &[usize]) -> Option<[f64; N]> {
        let sizes: Vec<f64> = chosen
            .iter()
            .map(|column| self.of_columns[*column][*column].sqrt())
            .collect();
        if sizes.contains(&0.0) {
            return None;
        }
        let equations = chosen.iter().zip(&sizes).map(|(a, size)| {
            let others = chosen.iter().zip(&sizes);
            let of_columns = others.map(|(b, other)| self.of_columns[*a][*b] / (size * other));
            of_columns.chain([self.of_values[*a] / size]).collect()
        });
        let solution = solved(equations.collect())?;
        let mut coefficients = [0.0; N];
        for ((column, size), scaled) in chosen.iter().zip(&sizes).zip(solution) {
            coefficients[*column] = scaled / size;
        }
        Some(coefficients)
    }

    /// The squared distance from the values, but for what is the same for all coefficients.
    fn distance(&self, coefficients: &[f64; N]) -> f64 {
        let mut distance = 0.0;
        for a in 0..N {
            distance -= 2.0 * coefficients[a] * self.of_values[a];
            for b in 0..N {
                distance += coefficients[a] * coefficients[b] * self.of_columns[a][b];
            }
        }
        distance
    }
}

/// Smallest pivot, of equations whose largest number is one, that is not taken for zero.
const LEAST_PIVOT: f64 = 1e-9;

/// Gauss and Jordan's elimination with partial pivoting; the last number of an equation is its right side.
fn solved(mut equations: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let count = equations.len();
    for at in 0..count {
        let pivot = (at..count).max_by(|a, b| {
            let size = |row: &usize| equations[*row][at].abs();
            size(a).total_cmp(&size(b))
        })?;
        equations.swap(at, pivot);
        let pivot = equations[at].clone();
        if pivot[at].abs() < LEAST_PIVOT {
            return None;
        }
        for (row, equation) in equations.iter_mut().enumerate() {
            if row != at {
                let factor = equation[at] / pivot[at];
                for (own, other) in equation.iter_mut().zip(&pivot) {
                    *own -= factor * other;
                }
            }
        }
    }
    let solution = equations.iter().enumerate();
    Some(
        solution
            .map(|(at, equation)| equation[count] / equation[at])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, by 100,000 rows and by page.
    const ROWS: [[f64; 3]; 5] = [
        [1.0, 5e3, 5.0],
        [1.0, 5e3, 100.0],
        [1.0, 4e4, 800.0],
        [1.0, 1.5e5, 150.0],
        [1.0, 1e6, 1000.0],
    ];

    fn sums<const N: usize>(rows: &[[f64; N]], value: impl Fn(&[f64; N]) -> f64) -> Sums<N> {
        let mut sums = Sums::default();
        for row in rows {
            sums.add(*row, value(row));
        }
        sums
    }

    fn of_costs(costs: [f64; 3]) -> Sums<3> {
        sums(&ROWS, |row| {
            row.iter().zip(&costs).map(|(a, b)| a * b).sum()
        })
    }

    #[test]
    fn costs_that_were_summed_come_back() {
        for costs in [[0.02, 2.6e-6, 1e-4], [0.0, 2.6e-6, 0.0], [0.5, 0.0, 1e-4]] {
            let found = of_costs(costs).non_negative(&[0, 1, 2]).unwrap();
            for (found, cost) in found.iter().zip(costs) {
                assert!((found - cost).abs() < 1e-6, "{found} {cost}");
            }
        }
    }

    #[test]
    fn no_coefficient_is_negative_and_those_not_asked_for_are_zero() {
        let found = of_costs([-0.01, 2.6e-6, 1e-5]).non_negative(&[0, 1, 2]);
        assert!(found.unwrap().iter().all(|one| *one >= 0.0), "{found:?}");
        let [once, by_row, by_page] = of_costs([0.02, 2.6e-6, 1e-4]).non_negative(&[1]).unwrap();
        assert!(once == 0.0 && by_row > 2.6e-6 && by_page == 0.0);
    }

    #[test]
    fn columns_that_cannot_be_told_apart_share_nothing() {
        let same = sums(&[[1.0, 2.0], [1.0, 2.0]], |_| 4.0);
        let [first, second] = same.non_negative(&[0, 1]).unwrap();
        assert!((first + 2.0 * second - 4.0).abs() < 1e-9);
        assert!(first == 0.0 || second == 0.0);
        assert_eq!(sums(&[[0.0, 0.0]], |_| 1.0).non_negative(&[0, 1]), None);
        assert_eq!(Sums::<2>::default().non_negative(&[0, 1]), None);
    }
}
