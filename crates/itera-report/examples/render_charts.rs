//! Draws every chart of a `data.json` into a folder:
//! `cargo run -p itera-report --example render_charts -- data.json OUT`.

use itera_report::chart::{Chart, png, svg};
use itera_report::data_json::parse;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(data), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("expected a data.json and a folder".into());
    };
    let data = parse(&std::fs::read(data)?)?;
    std::fs::create_dir_all(&folder)?;
    for chart in Chart::ALL.into_iter().filter(|chart| chart.has_data(&data)) {
        let svg = svg(chart, &data)?;
        std::fs::write(folder.join(format!("{chart}.png")), png(&svg)?)?;
        std::fs::write(folder.join(format!("{chart}.svg")), svg)?;
    }
    Ok(())
}
