//! `auto-itera chart`: any figure again, from a `data.json`.

use anyhow::{Context, bail};
use clap::Args;
use itera_report::chart::{self, Chart};
use itera_report::data_json::{self, DataJson};
use std::path::{Path, PathBuf};

/// What to draw, from what, and where to.
#[derive(Args)]
pub struct ChartArgs {
    /// arm-bar, forest-plot, cost-vs-accuracy, failure-modes, power, trajectory or loop.
    chart: Chart,
    /// A data.json: of this program, or of the original form.
    #[arg(long)]
    data: Option<PathBuf>,
    /// File to write; its extension, .png or .svg, decides the format.
    #[arg(long)]
    out: PathBuf,
}

enum Format {
    Png,
    Svg,
}

fn format(path: &Path) -> anyhow::Result<Format> {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("png") => Ok(Format::Png),
        Some("svg") => Ok(Format::Svg),
        _ => bail!("{}: the extension says no format that can be written; use .png or .svg", path.display()),
    }
}

/// Draws the chart.
///
/// # Errors
/// When the data cannot be read or lacks what the chart draws, or the file cannot be written.
pub fn run(args: &ChartArgs) -> anyhow::Result<bool> {
    let format = format(&args.out)?;
    let data = match &args.data {
        Some(path) => {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            data_json::parse(&bytes).with_context(|| format!("{} is not a data.json", path.display()))?
        }
        None if args.chart == Chart::Loop => DataJson::default(),
        None => bail!("{} is drawn from figures: name them with --data data.json", args.chart),
    };
    let svg = chart::svg(args.chart, &data).with_context(|| format!("cannot draw {}", args.chart))?;
    let bytes = match format {
        Format::Svg => svg.into_bytes(),
        Format::Png => chart::png(&svg)?,
    };
    std::fs::write(&args.out, bytes).with_context(|| format!("cannot write {}", args.out.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../itera-report/tests/fixtures/original.json");

    fn draw(chart: &str, data: Option<&str>, out: PathBuf) -> anyhow::Result<bool> {
        run(&ChartArgs { chart: chart.parse()?, data: data.map(PathBuf::from), out })
    }

    #[test]
    fn the_extension_decides_the_format() {
        let dir = tempfile::tempdir().expect("a folder");
        draw("forest-plot", Some(ORIGINAL), dir.path().join("f.svg")).expect("drawn");
        draw("loop", None, dir.path().join("loop.PNG")).expect("drawn");
        assert!(std::fs::read_to_string(dir.path().join("f.svg")).expect("a file").starts_with("<svg"));
        assert_eq!(&std::fs::read(dir.path().join("loop.PNG")).expect("a file")[1..4], b"PNG");
    }

    #[test]
    fn errors_say_what_to_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let said = |r: anyhow::Result<bool>| format!("{:#}", r.expect_err("an error"));
        assert!(said(draw("arm-bar", Some(ORIGINAL), dir.path().join("f.pdf"))).contains("use .png or .svg"));
        assert!(said(draw("arm-bar", None, dir.path().join("f.svg"))).contains("--data data.json"));
        assert!(said(draw("power", Some(ORIGINAL), dir.path().join("f.svg"))).contains("operating_characteristics"));
        assert!(said(draw("pie", None, dir.path().join("f.svg"))).contains("there are arm-bar, forest-plot"));
        assert!(said(draw("arm-bar", Some("/no/such.json"), dir.path().join("f.svg"))).contains("/no/such.json"));
    }
}
