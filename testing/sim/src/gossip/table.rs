//! The report of a network as one row of a table.

use super::{NetworkPlan, NetworkReport};

/// The heading of the table; [`row`] fits under it.
pub const HEADINGS: &str = "\
network   nodes  full/light/bad  reached  hops        delay, s          spread, ms         copies  KiB in      bans  caught up
                                          p50/p95/max p50/p95/max       p50/p95/max        each    mean/most";

/// One row. Delay counts from publishing, the author's own wait of up to 3 s included; spread from the first packet.
pub fn row(plan: &NetworkPlan, report: &NetworkReport) -> String {
    let [full, light, bad] = report.members;
    let [h50, h95, h] = report.hops;
    let seconds = report.latency.map(|ms| format!("{:.1}", ms as f64 / 1_000.0)).join("/");
    let [s50, s95, s] = report.spread;
    let [mean, most] = report.bytes.map(|bytes| bytes / 1_024);
    format!(
        "{:<9} {:>5}  {:<14}  {:>7}  {:<10}  {:<16}  {:<17}  {:>5.2}   {:<10}  {:>4}  {:>5}",
        plan.name,
        plan.nodes,
        format!("{full}/{light}/{bad}"),
        report.deliveries,
        format!("{h50}/{h95}/{h}"),
        seconds,
        format!("{s50}/{s95}/{s}"),
        report.copies as f64 / 100.0,
        format!("{mean}/{most}"),
        report.bans,
        report.caught_up,
    )
}
