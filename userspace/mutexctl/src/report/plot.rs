// SPDX-License-Identifier: MIT OR Apache-2.0

//! Plots in SVG: bars and lines. Their colors are the style sheet's.

use mutex_stats::printable;

use super::html::Text;
use crate::table::cut;

/// A bar of a plot.
pub struct Bar {
    pub name: String,
    pub value: u64,
    /// What stands behind it.
    pub label: String,
}

/// Horizontal bars under their names, the longest as long as there is room. Letters have the size that
/// they have elsewhere, however wide the plot is.
pub fn bars(what: &str, bars: &[Bar]) -> String {
    const LINE: u32 = 34;

    let height = LINE * u32::try_from(bars.len()).unwrap_or(0);
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or(0);
    let mut svg = begin(what, height);
    let mut y = 0;
    for bar in bars {
        let length = part(bar.value, most, 100);
        let (name, label) = (short(&bar.name, 26), &bar.label);
        svg.extend([format!("<text x=\"0\" y=\"{}\">{}</text>", y + 14, Text(&name))]);
        svg.extend([format!(
            "<text class=\"end\" x=\"100%\" y=\"{}\">{}</text>",
            y + 14,
            Text(label)
        )]);
        svg.extend([format!(
            "<rect class=\"room\" y=\"{0}\" width=\"100%\" height=\"9\"/>",
            y + 19
        )]);
        svg.extend([format!(
            "<rect class=\"a\" y=\"{}\" width=\"{length:.1}%\" height=\"9\"/>\n",
            y + 19
        )]);
        y += LINE;
    }
    svg + "</svg>\n"
}

/// A line of a plot: what it is, and its value at each moment.
pub struct Line {
    pub name: &'static str,
    pub values: Vec<u64>,
}

/// Lines over time, each moment at its place between the first and the last. A line is interrupted
/// before a moment that has a gap before it; a moment between two gaps is a dot.
pub fn lines(
    what: &str,
    times: &[u64],
    gaps: &[bool],
    ends: [&str; 2],
    all: &[Line],
    show: impl Fn(u64) -> String,
) -> String {
    const HEIGHT: u32 = 220;
    const TOP: u32 = 46;
    const BOTTOM: u32 = 24;
    const WIDTH: u32 = 720;

    let most = all.iter().flat_map(|line| &line.values).copied().max().unwrap_or(0);
    let (first, last) = (times.first().copied().unwrap_or(0), times.last().copied().unwrap_or(0));
    let room = HEIGHT - TOP - BOTTOM;
    let mut svg = begin(what, HEIGHT);
    for ((line, class), x) in all.iter().zip(["a", "b"]).zip(["0%", "50%"]) {
        svg.extend([format!(
            "<svg x=\"{x}\" height=\"20\"><polyline class=\"{class}\" points=\"1,10 25,10\"/>\
             <text x=\"32\" y=\"14\">{}</text></svg>\n",
            Text(line.name)
        )]);
    }
    svg.extend([format!("<text x=\"0\" y=\"{}\">{}</text>", TOP - 6, Text(&show(most)))]);
    for y in [TOP, HEIGHT - BOTTOM] {
        svg.extend([format!("<line class=\"axis\" x1=\"0\" y1=\"{y}\" x2=\"100%\" y2=\"{y}\"/>")]);
    }
    svg.extend([format!("<text x=\"0\" y=\"{}\">{}</text>", HEIGHT - 6, Text(ends[0]))]);
    svg.extend([format!(
        "<text class=\"end\" x=\"100%\" y=\"{}\">{}</text>\n",
        HEIGHT - 6,
        Text(ends[1])
    )]);
    // Only the lines are as wide as there is room, not the letters.
    svg.extend([format!(
        "<svg y=\"{TOP}\" height=\"{room}\" viewBox=\"0 0 {WIDTH} {room}\" preserveAspectRatio=\"none\">\n"
    )]);
    for (line, class) in all.iter().zip(["a", "b"]) {
        let mut runs: Vec<Vec<String>> = Vec::new();
        for ((&time, &value), &has_gap) in times.iter().zip(&line.values).zip(gaps) {
            let x = part(time.saturating_sub(first), last.saturating_sub(first), WIDTH);
            let y = f64::from(room) - part(value, most, room);
            let point = format!("{x:.1},{y:.1}");
            match runs.last_mut().filter(|_| !has_gap) {
                Some(run) => run.push(point),
                None => runs.push(vec![point]),
            }
        }
        for run in runs {
            let (points, dot) = match run.as_slice() {
                [one] => (format!("{one} {one}"), " dot"),
                more => (more.join(" "), ""),
            };
            svg.extend([format!("<polyline class=\"{class}{dot}\" points=\"{points}\"/>\n")]);
        }
    }
    svg + "</svg></svg>\n"
}

fn begin(what: &str, height: u32) -> String {
    let what = Text(what);
    format!(
        "<svg class=\"plot\" height=\"{height}\" role=\"img\" aria-label=\"{what}\" \
         xmlns=\"http://www.w3.org/2000/svg\"><title>{what}</title>\n"
    )
}

/// As much of `room` as `value` is of `most`.
fn part(value: u64, most: u64, room: u32) -> f64 {
    if most == 0 {
        return 0.0;
    }
    // In tenths of a unit, as they are written.
    let tenths = u128::from(value) * u128::from(room) * 10 / u128::from(most);
    u32::try_from(tenths).map_or(f64::from(room), |tenths| f64::from(tenths) / 10.0)
}

/// The text, or as much of its beginning as fits into `most` columns, and a sign that there is more.
fn short(text: &str, most: usize) -> String {
    cut(&printable(text), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_values_are_large() {
        for (value, most, room, length) in
            [(1, 4, 100, "25.0"), (4, 4, 100, "100.0"), (0, 0, 100, "0.0"), (1, 3, 1, "0.3")]
        {
            assert_eq!(format!("{:.1}", part(value, most, room)), length);
        }
        assert_eq!(format!("{:.1}", part(u64::MAX, u64::MAX, 720)), "720.0");
        let bar = |name: &str, value| Bar { name: name.into(), value, label: "<b>".into() };
        let svg = bars("x < y", &[bar("a", 2), bar(&"n".repeat(30), 1)]);
        assert!(svg.contains("width=\"100.0%\"") && svg.contains("width=\"50.0%\""), "{svg}");
        assert!(svg.contains("&lt;b&gt;") && svg.contains("aria-label=\"x &lt; y\""), "{svg}");
        assert!(svg.contains(&format!("{}…<", "n".repeat(25))), "{svg}");
        assert_eq!(short(&"漢".repeat(13), 26), "漢".repeat(13));
        assert_eq!(short(&"漢".repeat(14), 26), format!("{}…", "漢".repeat(12)));
        assert_eq!(short("\u{202e}x", 26), "\\u{202e}x");
    }

    #[test]
    fn lines_are_where_their_times_are() {
        let line = Line { name: "in", values: vec![0, 10, 5] };
        let svg = lines("rates", &[100, 125, 200], &[false; 3], ["then", "now"], &[line], |most| {
            most.to_string()
        });
        assert!(svg.contains("points=\"0.0,150.0 180.0,0.0 720.0,75.0\""), "{svg}");
    }

    #[test]
    fn gaps_are_gaps() {
        let line = Line { name: "in", values: vec![10; 6] };
        let (times, gaps) = ([0, 1, 5, 8, 9, 10], [false, false, true, true, false, false]);
        let svg = lines("rates", &times, &gaps, ["", ""], &[line], |most| most.to_string());
        let drawn: Vec<_> = svg.lines().filter(|line| line.starts_with("<polyline")).collect();
        assert_eq!(
            drawn,
            [
                "<polyline class=\"a\" points=\"0.0,0.0 72.0,0.0\"/>",
                "<polyline class=\"a dot\" points=\"360.0,0.0 360.0,0.0\"/>",
                "<polyline class=\"a\" points=\"576.0,0.0 648.0,0.0 720.0,0.0\"/>",
            ]
        );
    }
}
