//! Figures that tests print, so that a run of `make test` shows what was measured.

/// Prints one measured figure beside its goal.
pub fn figure(what: &str, measured: &str, goal: &str) {
    println!("FIGURE {what}: {measured} (goal: {goal})");
}

/// The value below which the share `q` (0..1) of `values` lies, by the nearest rank.
///
/// # Panics
/// Where there is no value.
#[must_use]
pub fn percentile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let rank = ((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len());
    sorted[rank - 1]
}
