//! Collects figures and prints them as a table.

/// Which way is better, and by how much ours may be worse than theirs; what stands alone is held against the bound itself.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    /// Ours at most so many times theirs.
    AtMost(f64),
    /// Ours at least so many times theirs.
    AtLeast(f64),
    /// For information.
    None,
}

struct Line {
    what: String,
    unit: &'static str,
    ours: Vec<f64>,
    theirs: Option<(&'static str, Vec<f64>)>,
    budget: Budget,
}

#[derive(Default)]
pub(crate) struct Table(Vec<Line>);

impl Table {
    pub(crate) fn compare(
        &mut self,
        what: &str,
        unit: &'static str,
        budget: Budget,
        ours: Vec<f64>,
        peer: &'static str,
        theirs: Vec<f64>,
    ) {
        self.0.push(Line { what: what.into(), unit, ours, theirs: Some((peer, theirs)), budget });
    }

    pub(crate) fn note(&mut self, what: &str, unit: &'static str, ours: Vec<f64>) {
        self.alone(what, unit, Budget::None, ours);
    }

    /// A figure with nothing beside it.
    pub(crate) fn alone(&mut self, what: &str, unit: &'static str, budget: Budget, ours: Vec<f64>) {
        self.0.push(Line { what: what.into(), unit, ours, theirs: None, budget });
    }

    pub(crate) fn print(&self) {
        println!(
            "| what | ours: median (min to max) | beside it: median (min to max) | ratio: median (min to max) | budget |"
        );
        println!("|---|---|---|---|---|");
        for line in &self.0 {
            let (beside, ratio) = match &line.theirs {
                None => (String::new(), None),
                Some((peer, theirs)) => (
                    format!("{peer}: {}", summary(theirs, line.unit)),
                    // Each turn of ours beside the turn of theirs that followed it.
                    Some(
                        line.ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>(),
                    ),
                ),
            };
            let held = median(ratio.as_ref().unwrap_or(&line.ours).clone());
            let budget = match line.budget {
                Budget::AtMost(most) => verdict("<=", most, held <= most),
                Budget::AtLeast(least) => verdict(">=", least, held >= least),
                Budget::None => String::new(),
            };
            let (spread, ratio) =
                (summary(&line.ours, line.unit), ratio.map_or(String::new(), |r| summary(&r, "")));
            println!("| {} | {spread} | {beside} | {ratio} | {budget} |", line.what);
        }
    }
}

fn verdict(sign: &str, bound: f64, met: bool) -> String {
    format!("{sign} {bound}{}", if met { "" } else { ": MISSED" })
}

/// The median of `values` and how far they spread.
fn summary(values: &[f64], unit: &str) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |i: usize| number(sorted.get(i).copied().unwrap_or(f64::NAN));
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    format!("{}{unit} ({} to {})", at(sorted.len() / 2), at(0), at(sorted.len().saturating_sub(1)))
}

fn number(n: f64) -> String {
    if n.abs() >= 100.0 { format!("{n:.0}") } else { format!("{n:.2}") }
}

/// The median of `values`.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
