// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl config`.

use std::path::Path;

use mutex_stats::Cell;
use mutex_stats::File;
use mutex_stats::Proc;
use mutex_stats::Set;
use mutex_stats::formats::RowNames;

use crate::cells::Cells;
use crate::cli::ListFormat;
use crate::failure::Failure;
use crate::source::kernel_failure;
use crate::target::Target;

/// Shows the settings, or those that are named. A single one that is named is shown as its value
/// alone, for scripts.
pub fn get(proc: &Path, keys: &[String], format: ListFormat) -> Result<(), Failure> {
    let proc = Proc::new(proc);
    let settings = proc.settings().map_err(|error| kernel_failure(error, &proc, File::Config))?;
    let shown: Vec<&Set> = if keys.is_empty() {
        settings.iter().collect()
    } else {
        let find = |key: &String| {
            settings.iter().find(|set| set.key == *key).ok_or_else(|| unknown(key, &settings))
        };
        keys.iter().map(find).collect::<Result<_, _>>()?
    };
    if let ([_], [set], ListFormat::Table) = (keys, shown.as_slice(), format) {
        return crate::target::print(&format!("{}\n", set.value));
    }
    let cells = Cells {
        names: RowNames { list: "settings", one: "setting" },
        columns: ["key", "value", "unit", "default", "about"].map(String::from).to_vec(),
        rows: shown.into_iter().map(row).collect(),
    };
    cells.write(format, &Target::Output)
}

fn unknown(key: &str, settings: &[Set]) -> Failure {
    let known: Vec<_> = settings.iter().map(|set| set.key.as_str()).collect();
    Failure::Usage(format!("there is no setting `{key}`; there are {}", known.join(", ")))
}

fn row(set: &Set) -> Vec<Cell> {
    let text = |text: String| text.parse().map_or(Cell::Text(text), Cell::Integer);
    let known = set.known();
    let of = |cell: fn(&'static mutex_stats::Setting) -> String| {
        known.map_or(Cell::Unknown, |setting| text(cell(setting)))
    };
    vec![
        Cell::Text(set.key.clone()),
        text(set.value.clone()),
        of(|setting| setting.unit.name().into()),
        of(|setting| setting.show(setting.default).to_string()),
        of(|setting| setting.about.into()),
    ]
}

/// Changes all of the settings or, if one is refused, none.
pub fn set(proc: &Path, pairs: &[String]) -> Result<(), Failure> {
    let set = |pair: &String| {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Failure::Usage(format!("`{pair}` sets nothing: expected is KEY=VALUE"))
        })?;
        Ok(Set { key: key.into(), value: value.into() })
    };
    let sets = pairs.iter().map(set).collect::<Result<Vec<_>, Failure>>()?;
    let proc = Proc::new(proc);
    proc.set(&sets).map_err(|error| kernel_failure(error, &proc, File::Config))
}
