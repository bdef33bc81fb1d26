//! Collects figures and prints them as a table.

/// Which way is better, and by how much ours may be worse than theirs.
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
        self.0.push(Line { what: what.into(), unit, ours, theirs: None, budget: Budget::None });
    }

    pub(crate) fn print(&self) {
        println!("| what | ours: median (min to max) | beside it: median (min to max) | ratio | budget |");
        println!("|---|---|---|---|---|");
        for line in &self.0 {
            let (ours, spread) = summary(&line.ours, line.unit);
            let (beside, ratio) = match &line.theirs {
                None => ("".to_owned(), "".to_owned()),
                Some((peer, theirs)) => {
                    let (median, spread) = summary(theirs, line.unit);
                    (format!("{peer}: {spread}"), format!("{:.2}", ours / median))
                }
            };
            let budget = match (line.budget, ratio.parse::<f64>()) {
                (Budget::AtMost(most), Ok(r)) => verdict("<=", most, r <= most),
                (Budget::AtLeast(least), Ok(r)) => verdict(">=", least, r >= least),
                _ => String::new(),
            };
            println!("| {} | {spread} | {beside} | {ratio} | {budget} |", line.what);
        }
    }
}

fn verdict(sign: &str, bound: f64, met: bool) -> String {
    format!("{sign} {bound}{}", if met { "" } else { ": MISSED" })
}

fn summary(values: &[f64], unit: &str) -> (f64, String) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
    let median = at(sorted.len() / 2);
    let text = format!(
        "{} {unit} ({} to {})",
        number(median),
        number(at(0)),
        number(at(sorted.len().saturating_sub(1)))
    );
    (median, text)
}

fn number(n: f64) -> String {
    if n.abs() >= 100.0 { format!("{n:.0}") } else { format!("{n:.2}") }
}

/// The median of `values`.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
