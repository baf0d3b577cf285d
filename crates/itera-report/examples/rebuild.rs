//! Rebuilds the folder of a conclusion from its ledger and scores: `rebuild FROM TO`.

use itera_report::{folder, record::Record};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (args.next(), args.next()) else { return Err("usage: rebuild FROM TO".into()) };
    let record = Record::read(&std::fs::read(from.join("ledger.jsonl"))?, &std::fs::read(from.join("scores.csv"))?)?;
    for (name, bytes) in folder::build(&record)? {
        let path = to.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&to))?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}
