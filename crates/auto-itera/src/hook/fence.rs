//! What the agent's own tools may not touch while rows are sealed, decided from the call's text
//! and the names on disk.
//!
//! What only running would show (an encoded program, a file read through a variable that another
//! process sets) gets past this; `source-fenced` is therefore a guard that the conclusion words as
//! "the fence was present", not as "nothing was read".

use super::{glob, shell};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Largest script whose text is read for names of sealed files, bytes.
const SCRIPT_BYTES: u64 = 512 * 1024;

/// Tools of other makers that carry no path to read: plans, questions, delegations (whose own
/// calls pass the fence in turn).
const HARMLESS: &[&str] = &[
    "Task",
    "Agent",
    "TodoWrite",
    "TaskCreate",
    "TaskUpdate",
    "TaskGet",
    "TaskList",
    "Skill",
    "AskUserQuestion",
    "ExitPlanMode",
    "EnterPlanMode",
    "ToolSearch",
    "WebSearch",
    "SendMessage",
    "KillShell",
    "BashOutput",
];

/// Program options that make a search or copy descend into folders.
const RECURSIVE: &[&str] = &["-r", "-R", "-a", "-rn", "-nr", "-rl", "-ri", "-rin", "-rni", "--recursive", "--archive"];

/// A file with sealed rows.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The path as the frame names it.
    pub shown: String,
    /// Where it is, symbolic links resolved.
    pub path: PathBuf,
    /// The experiment that sealed rows of it.
    pub experiment: String,
    name: String,
    inode: Option<(u64, u64)>,
}

impl Sealed {
    /// A sealed file of a project.
    pub fn new(root: &Path, shown: &str, experiment: &str) -> Self {
        let path = resolve(root, shown);
        let name =
            path.file_name().map_or_else(|| shown.to_owned(), |n| n.to_string_lossy().into_owned()).to_lowercase();
        Self { shown: shown.to_owned(), inode: inode(&path), path, experiment: experiment.to_owned(), name }
    }
}

/// Everything fenced in one project, as seen from where the call is made.
#[derive(Debug, Default)]
pub struct Fence {
    /// The folder in which the call's relative paths are read.
    pub cwd: PathBuf,
    /// Files with sealed rows.
    pub files: Vec<Sealed>,
    /// The store and the keys, symbolic links resolved.
    pub folders: Vec<PathBuf>,
}

/// Why a call is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial(pub String);

impl Fence {
    /// Whether the call must not be made.
    pub fn judge(&self, tool: &str, input: &Value) -> Option<Denial> {
        if self.files.is_empty() && self.folders.is_empty() || is_own(tool) || HARMLESS.contains(&tool) {
            return None;
        }
        let text = |key: &str| input.get(key).and_then(Value::as_str);
        match tool {
            "Read" | "Edit" | "MultiEdit" | "Write" | "NotebookEdit" | "NotebookRead" | "LS" => {
                ["file_path", "notebook_path", "path"]
                    .iter()
                    .filter_map(|k| text(k))
                    .find_map(|p| self.path(&self.cwd, p))
            }
            "Grep" => self.search(text("path"), &globs(text("glob")), text("type")),
            "Glob" => self.listing(text("path"), text("pattern").unwrap_or("**")),
            "Bash" | "PowerShell" | "Monitor" => text("command").and_then(|c| self.command(c)),
            _ => strings(input).into_iter().find_map(|s| self.path(&self.cwd, s).or_else(|| self.command(s))),
        }
    }

    /// Whether a path is, or lies in, something fenced.
    fn path(&self, cwd: &Path, path: &str) -> Option<Denial> {
        if path.is_empty() || path.len() > 4_096 || path.contains('\n') {
            return None;
        }
        let resolved = resolve(cwd, path.strip_prefix("file://").unwrap_or(path));
        self.resolved(&resolved)
    }

    fn resolved(&self, path: &Path) -> Option<Denial> {
        if let Some(folder) = self.folders.iter().find(|f| within(path, f)) {
            return Some(store(folder));
        }
        let inode = inode(path);
        self.files.iter().find(|f| same(path, &f.path) || (inode.is_some() && inode == f.inode)).map(source)
    }

    fn search(&self, path: Option<&str>, globs: &[String], kind: Option<&str>) -> Option<Denial> {
        if globs.iter().any(|g| g.to_lowercase().contains(".auto-itera") && !g.starts_with('!')) {
            return self.folders.first().map(|f| store(f));
        }
        let base = resolve(&self.cwd, path.unwrap_or("."));
        if let Some(denial) = self.resolved(&base) {
            return Some(denial);
        }
        self.files
            .iter()
            .find(|f| {
                let Some(below) = relative(&f.path, &base) else { return false };
                glob::reaches(globs.iter().map(String::as_str), &below) && kind.is_none_or(|k| kind_reaches(k, &f.name))
            })
            .map(|f| narrow(f, "Search one folder that does not hold it, or exclude it"))
    }

    fn listing(&self, path: Option<&str>, pattern: &str) -> Option<Denial> {
        if pattern.to_lowercase().contains(".auto-itera") {
            return self.folders.first().map(|f| store(f));
        }
        let base = resolve(&self.cwd, path.unwrap_or("."));
        if let Some(folder) = self.folders.iter().find(|f| within(&base, f)) {
            return Some(store(folder));
        }
        let (base, pattern) = match pattern.strip_prefix('/') {
            Some(absolute) => (PathBuf::from("/"), absolute.to_owned()),
            None => (base, pattern.to_owned()),
        };
        self.files
            .iter()
            .find(|f| {
                relative(&f.path, &base)
                    .is_some_and(|below| glob::braces(&pattern).iter().any(|p| glob::matches(p, &below)))
            })
            .map(|f| narrow(f, "Use a pattern that does not match it"))
    }

    /// Whether a shell command, or any text that might become one, names something fenced.
    fn command(&self, command: &str) -> Option<Denial> {
        let environment = |name: &str| match name {
            "PWD" => Some(self.cwd.display().to_string()),
            _ => std::env::var(name).ok(),
        };
        let text = shell::expanded(command, &environment);
        let lower = text.to_lowercase();
        if let Some(folder) = self.folders.iter().find(|f| {
            let end = f.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
            lower.contains(".auto-itera")
                || lower.contains(&f.display().to_string().to_lowercase())
                || (end == "keys" && lower.contains("auto-itera/keys"))
        }) {
            return Some(store(folder));
        }
        let segments = shell::segments(&text);
        let cwds = self.folders_visited(&segments);
        let runs_code = segments.iter().any(|s| shell::is_interpreter(shell::program(s)));
        let names_only = shell::only_names(&text);
        let spoken = without_exclusions(&text);
        for word in shell::words(&spoken) {
            for word in glob::braces(word) {
                if let Some(denial) =
                    self.word(&cwds, &word, runs_code).filter(|d| !names_only || d.0.contains(".auto-itera"))
                {
                    return Some(denial);
                }
            }
        }
        // Braces are breaks between words above; a shell expands them first.
        for word in text.split_whitespace().filter(|w| w.contains('{')) {
            for word in glob::braces(word) {
                if let Some(denial) = self.word(&cwds, &word, runs_code).filter(|_| !names_only) {
                    return Some(denial);
                }
            }
        }
        if let Some(spaced) = self.files.iter().find(|f| f.name.contains(' ') && lower.contains(&f.name)) {
            return (!names_only).then(|| source(spaced));
        }
        segments.iter().find_map(|s| self.descends(s, &cwds).or_else(|| self.script(s, &cwds)))
    }

    /// The folders in which a command's relative paths may be read: here, and wherever it goes.
    fn folders_visited(&self, segments: &[Vec<&str>]) -> Vec<PathBuf> {
        let mut cwds = vec![self.cwd.clone()];
        for segment in segments {
            if matches!(shell::program(segment), "cd" | "pushd")
                && let Some(to) = segment.iter().skip(1).find(|w| !w.starts_with('-'))
            {
                cwds.extend(cwds.clone().iter().map(|c| resolve(c, to)));
            }
            for pair in segment.windows(2).filter(|p| matches!(p[0], "-C" | "--directory" | "--cwd")) {
                cwds.push(resolve(&self.cwd, pair[1]));
            }
        }
        cwds.dedup();
        cwds.truncate(16);
        cwds
    }

    fn word(&self, cwds: &[PathBuf], word: &str, runs_code: bool) -> Option<Denial> {
        if word.len() > 4_096 {
            return None;
        }
        if glob::is_pattern(word) {
            return cwds.iter().find_map(|cwd| self.pattern(cwd, word, runs_code));
        }
        if let Some(denial) = cwds.iter().find_map(|cwd| self.path(cwd, word)) {
            return Some(denial);
        }
        let lower = word.to_lowercase();
        let named = self.files.iter().find(|f| names(&lower, &f.name))?;
        // The same name elsewhere is another file, where that file is known to exist.
        let other = cwds.iter().any(|cwd| resolve(cwd, word).exists());
        (!other).then(|| source(named))
    }

    fn pattern(&self, cwd: &Path, word: &str, runs_code: bool) -> Option<Denial> {
        let full = absolute(cwd, word).display().to_string();
        let parts: Vec<&str> = full.split('/').collect();
        for folder in &self.folders {
            let shown = folder.display().to_string();
            let depth = shown.split('/').count();
            // A leading `*` does not match a name that begins with a dot.
            let literal = parts
                .get(depth - 1)
                .is_some_and(|p| !p.starts_with(['*', '?', '[']) || !shown.contains("/.auto-itera"));
            if literal && parts.len() >= depth && glob::matches(&parts[..depth].join("/"), &shown) {
                return Some(store(folder));
            }
        }
        let last = word.rsplit('/').next().unwrap_or(word);
        let literal = last.chars().filter(|c| c.is_alphanumeric()).count();
        self.files
            .iter()
            .find(|f| {
                glob::matches(&full, &f.path.display().to_string())
                    || absolute(cwd, &f.shown).to_str().is_some_and(|p| glob::matches(&full, p))
                    || (runs_code && literal >= 2 && glob::matches(last, &f.name))
            })
            .map(|f| narrow(f, "Name the files you mean instead of a pattern that matches it"))
    }

    /// Whether a command reads a whole folder in which a sealed file lies.
    fn descends(&self, segment: &[&str], cwds: &[PathBuf]) -> Option<Denial> {
        let program = shell::program(segment);
        let git_grep = program == "git" && segment.get(1) == Some(&"grep");
        let always = matches!(program, "rg" | "ag" | "ack" | "tar" | "zip" | "rsync" | "ugrep") || git_grep;
        let sometimes = matches!(program, "grep" | "egrep" | "fgrep" | "cp" | "diff" | "7z" | "find" | "fd" | "mv")
            && (segment.iter().any(|w| RECURSIVE.contains(w)) || matches!(program, "7z" | "mv"))
            || matches!(program, "find" | "fd")
                && segment.iter().any(|w| w.starts_with("-exec") || *w == "-x" || *w == "-X");
        if !always && !sometimes {
            return None;
        }
        let options = |long: &[&str], short: &[&str]| -> Vec<String> {
            let mut found = Vec::new();
            for (i, word) in segment.iter().enumerate() {
                let (name, inline) = word.split_once('=').map_or((*word, None), |(n, v)| (n, Some(v)));
                if (long.contains(&name) || short.contains(&name))
                    && let Some(value) = inline.or_else(|| segment.get(i + 1).copied())
                {
                    found.push(value.to_owned());
                }
            }
            found
        };
        let mut globs = options(&["--glob", "--iglob", "--include", "-name", "-iname"], &["-g"]);
        globs.extend(
            options(&["--exclude", "--exclude-dir"], &["-x"])
                .into_iter()
                .filter(|_| program != "fd")
                .map(|g| format!("!{g}")),
        );
        let kind = options(&["--type"], &["-t"]).into_iter().next();
        let folders: Vec<PathBuf> = segment[1..]
            .iter()
            .filter(|w| !w.starts_with('-'))
            .flat_map(|w| cwds.iter().map(move |c| resolve(c, w)))
            .filter(|p| p.is_dir())
            .collect();
        let folders = if folders.is_empty() && (always || program.contains("grep") || program == "find") {
            cwds.to_vec()
        } else {
            folders
        };
        self.files
            .iter()
            .find(|f| {
                folders.iter().any(|d| {
                    relative(&f.path, d).is_some_and(|below| {
                        glob::reaches(globs.iter().map(String::as_str), &below)
                            && kind.as_deref().is_none_or(|k| kind_reaches(k, &f.name))
                    })
                })
            })
            .map(|f| narrow(f, "Name the folders you mean, or exclude it"))
    }

    /// Whether a script that the command runs names something fenced.
    fn script(&self, segment: &[&str], cwds: &[PathBuf]) -> Option<Denial> {
        let program = shell::program(segment);
        let direct = segment.first().is_some_and(|w| w.contains('/'));
        if !direct && !shell::is_interpreter(program) {
            return None;
        }
        let words = if direct { &segment[..1] } else { &segment[1..] };
        words.iter().filter(|w| !w.starts_with('-')).flat_map(|w| cwds.iter().map(move |c| resolve(c, w))).find_map(|path| {
            let meta = fs::metadata(&path).ok().filter(|m| m.is_file() && m.len() <= SCRIPT_BYTES)?;
            let text = fs::read_to_string(&path).ok().filter(|_| meta.len() > 0)?;
            let text = shell::plain(&text).to_lowercase();
            if text.contains(".auto-itera/") {
                return self.folders.first().map(|f| store(f));
            }
            let file = self.files.iter().find(|f| shell::words(&text).any(|w| names(w, &f.name)))?;
            Some(Denial(format!(
                "source-fenced: `{}` names {}, whose rows are sealed by experiment {}. Run code on train rows instead: `read_rows` with `save_as` writes them to a file of their own.",
                path.display(), file.shown, file.experiment
            )))
        })
    }

    /// Denies whatever names the store or looks like a data file: for when the store cannot be read.
    pub fn unreadable(root: &Path, cwd: &Path, input: &Value, why: &str) -> Option<Denial> {
        let said = |ends: &str| {
            Denial(format!(
                "source-fenced: the record of this project's experiments cannot be read ({why}), so {ends} stays closed. Call `status`; run `auto-itera doctor` to see what is wrong."
            ))
        };
        for text in strings(input) {
            let plain = shell::plain(text).to_lowercase();
            let inside = within(&resolve(cwd, text), &root.join(".auto-itera"));
            if plain.contains(".auto-itera") || plain.contains("auto-itera/keys") || inside {
                return Some(said("the store"));
            }
            let data =
                |w: &str| [".csv", ".tsv", ".ndjson", ".jsonl", ".parquet", ".arrow"].iter().any(|e| w.ends_with(e));
            if shell::words(&plain).any(data) {
                return Some(said("every data file"));
            }
        }
        None
    }
}

/// Whether the call goes to this engine, which guards itself.
pub fn is_own(tool: &str) -> bool {
    own_tool(tool).is_some()
}

/// The engine's own tool of that full name.
pub fn own_tool(tool: &str) -> Option<&str> {
    let rest = tool.strip_prefix("mcp__")?;
    let (server, name) = rest.rsplit_once("__")?;
    (matches!(server, "plugin_auto-itera_itera" | "itera" | "auto-itera") && crate::tools::tool(name).is_some())
        .then_some(name)
}

fn source(file: &Sealed) -> Denial {
    Denial(format!(
        "source-fenced: {} holds the rows that experiment {} has sealed, and a peeked row is a tuned-on row. Read train rows with `read_rows` (`save_as` writes them to a file for your own code); counts and columns come from `describe_source`.",
        file.shown, file.experiment
    ))
}

fn narrow(file: &Sealed, how: &str) -> Denial {
    Denial(format!(
        "source-fenced: this call would reach {}, whose rows experiment {} has sealed. {how} (for example the glob `!{}`). Train rows come from `read_rows`.",
        file.shown,
        file.experiment,
        file.shown.rsplit('/').next().unwrap_or(&file.shown)
    ))
}

fn store(folder: &Path) -> Denial {
    let what = if folder.file_name().is_some_and(|n| n == "keys") {
        "the keys of sealed rows (beside .auto-itera)"
    } else {
        ".auto-itera, the record and the sealed rows,"
    };
    Denial(format!(
        "source-fenced: {what} cannot be read or changed by hand. `status` tells where the experiment stands, `read_rows` shows train rows, and `abandon` ends it."
    ))
}

/// The command without the words that keep a search away from files.
fn without_exclusions(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let excluded = |i: usize| {
        let option = |w: &str| matches!(w, "--exclude" | "--exclude-dir");
        words[i].starts_with('!')
            || words[i].starts_with("--exclude=")
            || words[i].starts_with("--exclude-dir=")
            || (i > 0 && option(words[i - 1]))
    };
    (0..words.len()).filter(|i| !excluded(*i)).map(|i| words[i]).collect::<Vec<_>>().join(" ")
}

fn globs(text: Option<&str>) -> Vec<String> {
    // Several globs are parted by spaces, or by commas outside of braces.
    let mut found = Vec::new();
    let mut word = String::new();
    let mut depth = 0_i32;
    for c in text.unwrap_or("").chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c.is_whitespace() || (c == ',' && depth == 0) {
            found.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    found.push(word);
    found.retain(|g| !g.is_empty());
    found
}

/// Whether a search restricted to a file type could still read a file.
fn kind_reaches(kind: &str, name: &str) -> bool {
    let kind = kind.to_lowercase();
    let end = name.rsplit('.').next().unwrap_or("");
    let known: &[&str] = match kind.as_str() {
        "py" | "python" => &["py", "pyi"],
        "js" => &["js", "jsx", "mjs", "cjs", "vue"],
        "ts" | "typescript" => &["ts", "tsx", "cts", "mts"],
        "rust" => &["rs"],
        "md" | "markdown" => &["md", "markdown", "mdx"],
        "json" => &["json", "sarif"],
        "csv" => &["csv"],
        "yaml" => &["yaml", "yml"],
        "toml" => &["toml", "lock"],
        "html" => &["html", "htm", "ejs"],
        "css" => &["css", "scss"],
        "sh" => &["sh", "bash", "zsh"],
        "go" | "java" | "c" | "cpp" | "ruby" | "php" | "swift" | "kotlin" | "sql" | "scala" | "lua" | "r" => {
            return !matches!(end, "csv" | "tsv" | "ndjson" | "jsonl" | "json" | "parquet" | "arrow" | "db" | "sqlite");
        }
        _ => return true,
    };
    known.contains(&end)
}

/// Every text of a value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(map) => map.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Whether a word ends in a file's name, at a boundary of names.
fn names(word: &str, name: &str) -> bool {
    let bound = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'));
    word.match_indices(name).any(|(at, _)| {
        bound(word[..at].chars().next_back())
            && word[at + name.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-')
    })
}

/// A path made absolute, `~` and `..` resolved by text.
fn absolute(cwd: &Path, path: &str) -> PathBuf {
    let path = match path.strip_prefix("~/").or((path == "~").then_some("")) {
        Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
        None => PathBuf::from(path),
    };
    let mut clean = PathBuf::new();
    for part in cwd.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// A path made absolute with symbolic links resolved as far as it exists. `..` is resolved by the
/// disk first, as a link may lead elsewhere.
pub fn resolve(cwd: &Path, path: &str) -> PathBuf {
    let direct = match path.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
        None => cwd.join(path),
    };
    if let Ok(found) = direct.canonicalize() {
        return found;
    }
    let mut existing = absolute(cwd, path);
    let mut missing: Vec<OsString> = Vec::new();
    loop {
        if let Ok(found) = existing.canonicalize() {
            return missing.iter().rev().fold(found, |p, part| p.join(part));
        }
        match (existing.file_name().map(ToOwned::to_owned), existing.parent().map(ToOwned::to_owned)) {
            (Some(name), Some(parent)) => {
                missing.push(name);
                existing = parent;
            }
            _ => return absolute(cwd, path),
        }
    }
}

fn folded(path: &Path) -> String {
    path.display().to_string().to_lowercase()
}

/// Equality without regard to case: a file system may not regard it either.
fn same(a: &Path, b: &Path) -> bool {
    folded(a) == folded(b)
}

fn within(path: &Path, folder: &Path) -> bool {
    let (path, folder) = (folded(path), folded(folder));
    path.strip_prefix(&folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A file's path relative to a folder that holds it.
fn relative(file: &Path, folder: &Path) -> Option<String> {
    let (file, folder) = (folded(file), folded(folder));
    let rest = file.strip_prefix(folder.trim_end_matches('/'))?;
    rest.strip_prefix('/').map(str::to_owned)
}

#[cfg(unix)]
fn inode(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|m| (m.dev(), m.ino()))
}

#[cfg(not(unix))]
fn inode(_: &Path) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Place {
        _dir: tempfile::TempDir,
        root: PathBuf,
        fence: Fence,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["data", "src", "other", ".auto-itera/experiments/e"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("data/rows.csv"), "id\n1\n").unwrap();
        fs::write(root.join("data/notes.md"), "notes\n").unwrap();
        fs::write(root.join("other/rows.csv"), "id\n").unwrap();
        fs::write(root.join("src/main.py"), "print(1)\n").unwrap();
        fs::write(root.join("src/steal.py"), "print(open('data/' 'rows.csv').read())\n").unwrap();
        fs::write(root.join(".auto-itera/experiments/e/store.db"), "x").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("data/rows.csv"), root.join("src/link.txt")).unwrap();
            std::os::unix::fs::symlink(root.join("data"), root.join("src/linked")).unwrap();
            std::os::unix::fs::symlink(root.join(".auto-itera"), root.join("src/vault")).unwrap();
            fs::hard_link(root.join("data/rows.csv"), root.join("src/hard.txt")).unwrap();
        }
        let fence = Fence {
            cwd: root.clone(),
            files: vec![Sealed::new(&root, "data/rows.csv", "e")],
            folders: vec![root.join(".auto-itera"), root.join("home/auto-itera/keys")],
        };
        Place { _dir: dir, root, fence }
    }

    fn bash(fence: &Fence, command: &str) -> Option<Denial> {
        fence.judge("Bash", &json!({ "command": command }))
    }

    #[test]
    fn file_tools_are_denied_by_any_spelling_of_the_path() {
        let p = place();
        let full = p.root.join("data/rows.csv").display().to_string();
        for path in [
            full.as_str(),
            "data/rows.csv",
            "./data/../data/rows.csv",
            "DATA/Rows.CSV",
            "src/link.txt",
            "src/linked/rows.csv",
            "src/hard.txt",
            ".auto-itera/project-id",
            "src/vault/experiments/e/store.db",
            ".AUTO-ITERA",
        ] {
            for tool in ["Read", "Edit", "Write"] {
                assert!(p.fence.judge(tool, &json!({ "file_path": path })).is_some(), "{tool} {path}");
            }
        }
        for path in ["data/notes.md", "src/main.py", "other/rows.csv", "data/new.csv", "data/rows.csv.md"] {
            assert_eq!(p.fence.judge("Read", &json!({ "file_path": path })), None, "{path}");
        }
    }

    #[test]
    fn searches_are_denied_unless_they_cannot_reach_the_source() {
        let p = place();
        let grep = |input: Value| p.fence.judge("Grep", &input);
        for input in [
            json!({"pattern": "x"}),
            json!({"pattern": "x", "path": "data"}),
            json!({"pattern": "x", "path": "data/rows.csv"}),
            json!({"pattern": "x", "glob": "*.csv"}),
            json!({"pattern": "x", "type": "csv"}),
            json!({"pattern": "x", "glob": "**/*"}),
            json!({"pattern": "x", "path": ".auto-itera"}),
            json!({"pattern": "x", "path": "src/linked"}),
            json!({"pattern": "x", "glob": ".auto-itera/**"}),
        ] {
            assert!(grep(input.clone()).is_some(), "{input}");
        }
        for input in [
            json!({"pattern": "x", "path": "src"}),
            json!({"pattern": "x", "glob": "*.py"}),
            json!({"pattern": "x", "glob": "!data/rows.csv"}),
            json!({"pattern": "x", "glob": "!*.csv"}),
            json!({"pattern": "x", "type": "py"}),
            json!({"pattern": "x", "glob": "*.{py,md}, !x"}),
        ] {
            assert_eq!(grep(input.clone()), None, "{input}");
        }
        let said = grep(json!({"pattern": "x"})).unwrap().0;
        assert!(said.contains("!rows.csv"), "{said}");
        let list = |pattern: &str| p.fence.judge("Glob", &json!({ "pattern": pattern }));
        assert!(list("**/*").is_some() && list("data/*.csv").is_some() && list(".auto-itera/**").is_some());
        assert!(list("**/*.py").is_none() && list("src/**").is_none());
    }

    #[test]
    fn shell_commands_that_name_the_source_are_denied() {
        let p = place();
        let full = p.root.join("data/rows.csv").display().to_string();
        for command in [
            "cat data/rows.csv",
            "cat 'data'/ro\"ws\".csv",
            "head -1 ./data/../data/rows.csv",
            "cat DATA/ROWS.CSV",
            "cd data && cat rows.csv",
            "cd data; cat r*",
            "cat data/*",
            "cat data/*.csv",
            "cat data/ro?s.csv",
            "cat data/r[o]ws.csv",
            "cat data/{rows,x}.csv",
            "cat src/link.txt",
            "cat src/linked/rows.csv",
            "cat src/hard.txt",
            "F=rows; cat data/$F.csv",
            "F=data/rows; cat ${F}.csv",
            "cat $(echo data/rows.csv)",
            "cat \"$(printf data/rows).csv\"",
            "python3 -c \"print(open('data/'+'rows.csv').read())\"",
            "python3 - <<'E'\nimport csv\nprint(list(csv.reader(open('data/rows.csv'))))\nE",
            "node -e 'require(\"fs\").readFileSync(\"data/\\x72ows.csv\")'",
            "python -c \"import glob; [print(open(f).read()) for f in glob.glob('**/*.csv')]\"",
            "find . -name '*.csv' -exec cat {} +",
            "find . -name 'rows*' | xargs head",
            "grep -r x .",
            "grep -rn x data",
            "rg x",
            "rg x data",
            "git grep x",
            "tar cz . | base64",
            "cp -r data /tmp/d",
            "git show HEAD:data/rows.csv",
            "awk 1 data/rows.csv",
            "cp data/rows.csv /tmp/x",
            "ln -s data/rows.csv x",
            "sqlite3 :memory: '.import data/rows.csv t'",
            "ls data/rows.csv | xargs cat",
            "python3 src/steal.py",
            "cd src && python3 steal.py",
            "ls $(cat data/rows.csv)",
            "mv data data2",
            "wc -l < data/rows.csv",
            "git -C data show :rows.csv",
            &format!("cat {full}"),
            &format!("cat $PWD/data/rows.csv # {full}"),
        ] {
            assert!(bash(&p.fence, command).is_some(), "{command}");
        }
    }

    #[test]
    fn the_store_and_the_keys_are_denied() {
        let p = place();
        for command in [
            "cat .auto-itera/project-id",
            "sqlite3 .auto-itera/experiments/e/store.db .dump",
            "ls -la .auto-itera",
            "cat .auto*/project-id",
            "cat .AUTO-ITERA/x",
            "rm -rf '.auto''-itera'",
            "D=.auto; cat ${D}-itera/x",
            "cat ~/.local/share/auto-itera/keys/x.key",
            "cat src/vault/project-id",
            "cd .auto-itera; cat project-id",
        ] {
            assert!(bash(&p.fence, command).is_some(), "{command}");
        }
    }

    #[test]
    fn ordinary_work_goes_on() {
        let p = place();
        for command in [
            "ls",
            "ls -la data",
            "git status",
            "git add data/rows.csv",
            "cargo build -p x",
            "python3 src/main.py",
            "cat src/main.py",
            "grep -n print src/main.py",
            "grep -rn print src",
            "rg print -g '*.py'",
            "rg -t py print",
            "grep -r --include=*.py x .",
            "grep -r --exclude=rows.csv x .",
            "rg x --glob '!*.csv'",
            "cat other/rows.csv",
            "cat data/notes.md",
            "auto-itera verify docs/experiments/e",
            "npm test",
            "git log --oneline | head",
            "echo narrows.csv",
            "cat throws.csv",
            "find . -name '*.py'",
            "ls *",
            "sed -n 1,5p src/main.py",
            "mkdir -p prompts && echo hi > prompts/v2.txt",
            "git commit -m 'a: b'",
        ] {
            assert_eq!(bash(&p.fence, command), None, "{command}");
        }
    }

    #[test]
    fn other_servers_are_fenced_and_this_one_is_not() {
        let p = place();
        assert!(p.fence.judge("mcp__filesystem__read_file", &json!({ "path": "data/rows.csv" })).is_some());
        assert!(p.fence.judge("mcp__fs__read_many", &json!({ "paths": ["src/main.py", "src/link.txt"] })).is_some());
        assert!(p.fence.judge("mcp__duckdb__query", &json!({ "sql": "select * from 'data/rows.csv'" })).is_some());
        assert!(
            p.fence
                .judge("mcp__x__y", &json!({ "uri": format!("file://{}", p.root.join("data/rows.csv").display()) }))
                .is_some()
        );
        assert_eq!(
            p.fence.judge("mcp__plugin_auto-itera_itera__describe_source", &json!({ "path": "data/rows.csv" })),
            None
        );
        assert!(p.fence.judge("mcp__evil_itera__status", &json!({ "path": "data/rows.csv" })).is_some());
        assert!(p.fence.judge("mcp__itera__not_a_tool", &json!({ "path": "data/rows.csv" })).is_some());
    }

    #[test]
    fn nothing_sealed_means_nothing_denied() {
        assert_eq!(Fence::default().judge("Bash", &json!({ "command": "cat .auto-itera/x" })), None);
    }

    #[test]
    fn an_unreadable_store_closes_what_it_might_have_named() {
        let root = Path::new("/p");
        let deny = |input: Value| Fence::unreadable(root, root, &input, "no key").is_some();
        assert!(deny(json!({ "command": "cat .auto-itera/x" })) && deny(json!({ "file_path": "data/any.csv" })));
        assert!(!deny(json!({ "file_path": "src/main.py" })));
    }
}
