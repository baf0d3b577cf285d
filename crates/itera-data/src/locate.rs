//! Finding the source: inside the project, and of a known format.

use crate::{DataError, Result};
use itera_core::frame::SourceFormat;
use std::path::{Component, Path, PathBuf};

/// The file at `path` inside the project, symbolic links and `..` resolved.
///
/// # Errors
/// [`DataError::Outside`] where it leads out of the project (whether or not anything is there),
/// [`DataError::NotFound`], or [`DataError::NotAFile`].
pub fn locate(project_root: &Path, path: &str) -> Result<PathBuf> {
    let root = project_root.canonicalize().map_err(|source| DataError::Io { path: project_root.to_owned(), source })?;
    let outside = || DataError::Outside { path: path.to_owned() };
    let joined = root.join(path);
    match joined.canonicalize() {
        Ok(found) if !found.starts_with(&root) => Err(outside()),
        Ok(found) if found.is_file() => Ok(found),
        Ok(_) => Err(DataError::NotAFile { path: path.to_owned() }),
        // What lies outside is none of the caller's business, not even that it is absent.
        Err(_) if !lexically_inside(&root, &joined) => Err(outside()),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(DataError::NotFound { path: path.to_owned() })
        }
        Err(source) => Err(DataError::Io { path: joined, source }),
    }
}

fn lexically_inside(root: &Path, path: &Path) -> bool {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain.starts_with(root)
}

/// The format that the name of a file tells: by `.csv`, `.tsv` (`.tab`), `.ndjson` (`.jsonl`) or
/// `.json`, in any case.
///
/// # Errors
/// [`DataError::UnknownFormat`] for any other name.
pub fn guess_format(path: &Path) -> Result<SourceFormat> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "csv" => Ok(SourceFormat::Csv),
        "tsv" | "tab" => Ok(SourceFormat::Tsv),
        "ndjson" | "jsonl" => Ok(SourceFormat::Ndjson),
        "json" => Ok(SourceFormat::Json),
        _ => {
            Err(DataError::UnknownFormat { path: path.file_name().unwrap_or_default().to_string_lossy().into_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_files_of_the_project_are_found() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("project");
        fs::create_dir_all(root.join("data")).unwrap();
        fs::write(root.join("data/rows.csv"), "a\n1\n").unwrap();
        fs::write(outer.path().join("other.csv"), "a\n1\n").unwrap();
        let found = root.canonicalize().unwrap().join("data/rows.csv");
        assert_eq!(locate(&root, "data/../data/rows.csv").unwrap(), found);
        assert_eq!(locate(&root, found.to_str().unwrap()).unwrap(), found);
        for path in ["../other.csv", "../absent.csv", "data/../../other.csv", "/etc/passwd", "/absent"] {
            assert!(matches!(locate(&root, path), Err(DataError::Outside { .. })), "{path}");
        }
        assert!(matches!(locate(&root, "data/absent.csv"), Err(DataError::NotFound { .. })));
        assert!(matches!(locate(&root, "data"), Err(DataError::NotAFile { .. })));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outer.path().join("other.csv"), root.join("link.csv")).unwrap();
            assert!(matches!(locate(&root, "link.csv"), Err(DataError::Outside { .. })));
        }
    }

    #[test]
    fn the_name_tells_the_format() {
        assert_eq!(guess_format(Path::new("x.CSV")).unwrap(), SourceFormat::Csv);
        assert_eq!(guess_format(Path::new("x.jsonl")).unwrap(), SourceFormat::Ndjson);
        assert!(matches!(guess_format(Path::new("dir.csv/x")), Err(DataError::UnknownFormat { .. })));
    }
}
