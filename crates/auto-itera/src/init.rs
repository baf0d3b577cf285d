//! `auto-itera init`: registers the server with an editor, without damage to what is there.
//!
//! Files are edited as text, so that comments, order and layout stay. A diff comes first, a backup
//! before the write, and a second run changes nothing.

mod jsonc;

use anyhow::{Context, bail};
use clap::ValueEnum;
use itera_core::snapshot::SnapshotDiff;
use serde_json::{Value, json};
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Name under which the server is registered everywhere.
const SERVER: &str = "itera";

/// Editors and agents that can be registered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Claude Code, `.mcp.json` of the project (the plugin brings skill and fence besides).
    Claude,
    /// Cursor, `.cursor/mcp.json` of the project.
    Cursor,
    /// Visual Studio Code, `.vscode/mcp.json` of the project.
    Vscode,
    /// Windsurf, `~/.codeium/windsurf/mcp_config.json`.
    Windsurf,
    /// Zed, `.zed/settings.json` of the project.
    Zed,
    /// Codex, `config.toml` in `CODEX_HOME` or `~/.codex`.
    Codex,
    /// Gemini CLI, `.gemini/settings.json` of the project.
    Gemini,
    /// opencode, `opencode.json` (or `.jsonc`) of the project.
    Opencode,
    /// GitHub Copilot CLI, `~/.copilot/mcp-config.json`.
    Copilot,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Claude,
        Self::Cursor,
        Self::Vscode,
        Self::Windsurf,
        Self::Zed,
        Self::Codex,
        Self::Gemini,
        Self::Opencode,
        Self::Copilot,
    ];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "Claude Code",
            Self::Cursor => "Cursor",
            Self::Vscode => "VS Code",
            Self::Windsurf => "Windsurf",
            Self::Zed => "Zed",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
            Self::Opencode => "opencode",
            Self::Copilot => "Copilot CLI",
        }
    }

    /// The file that registers servers; nothing where the home folder is not known.
    pub fn file(self, dir: &Path) -> Option<PathBuf> {
        let home = std::env::home_dir();
        Some(match self {
            Self::Claude => dir.join(".mcp.json"),
            Self::Cursor => dir.join(".cursor/mcp.json"),
            Self::Vscode => dir.join(".vscode/mcp.json"),
            Self::Windsurf => home?.join(".codeium/windsurf/mcp_config.json"),
            Self::Zed => dir.join(".zed/settings.json"),
            Self::Codex => match std::env::var_os("CODEX_HOME").filter(|v| !v.is_empty()) {
                Some(folder) => PathBuf::from(folder).join("config.toml"),
                None => home?.join(".codex/config.toml"),
            },
            Self::Gemini => dir.join(".gemini/settings.json"),
            Self::Opencode => {
                let commented = dir.join("opencode.jsonc");
                if commented.exists() { commented } else { dir.join("opencode.json") }
            }
            Self::Copilot => home?.join(".copilot/mcp-config.json"),
        })
    }

    /// Key of the object that holds the servers.
    fn section(self) -> &'static str {
        match self {
            Self::Vscode => "servers",
            Self::Zed => "context_servers",
            Self::Codex => "mcp_servers",
            Self::Opencode => "mcp",
            _ => "mcpServers",
        }
    }

    /// The entry that starts the server.
    fn entry(self, program: &str, dir: &Path) -> Value {
        let args = json!(["serve"]);
        match self {
            Self::Vscode => json!({ "type": "stdio", "command": program, "args": args }),
            Self::Zed => json!({ "source": "custom", "command": program, "args": args, "env": {} }),
            Self::Opencode => json!({ "type": "local", "command": [program, "serve"], "enabled": true }),
            Self::Copilot => json!({ "type": "local", "command": program, "args": args, "tools": ["*"] }),
            // It starts servers outside of any project.
            Self::Windsurf => json!({ "command": program, "args": ["serve", "--project", dir.display().to_string()] }),
            _ => json!({ "command": program, "args": args }),
        }
    }

    /// The text with the server registered in it.
    ///
    /// # Errors
    /// The text is not what the editor reads, so that nothing can be added to it safely.
    pub fn merged(self, text: &str, program: &str, dir: &Path) -> anyhow::Result<String> {
        let entry = self.entry(program, dir);
        match self {
            Self::Codex => merged_toml(text, &entry),
            Self::Opencode if text.trim().is_empty() => {
                let start = "{\n  \"$schema\": \"https://opencode.ai/config.json\"\n}\n";
                jsonc::with_entry(start, self.section(), SERVER, &entry)
            }
            _ => jsonc::with_entry(text, self.section(), SERVER, &entry),
        }
    }

    /// What the registered entry starts, if there is one.
    pub fn registered(self, dir: &Path) -> Option<String> {
        let text = fs::read_to_string(self.file(dir)?).ok()?;
        if self == Self::Codex {
            let document: toml_edit::DocumentMut = text.parse().ok()?;
            return Some(document.get(self.section())?.get(SERVER)?.get("command")?.as_str()?.to_owned());
        }
        let value = jsonc::parse(&text).ok()?;
        let command = value.get(self.section())?.get(SERVER)?.get("command")?;
        command.as_str().or_else(|| command.get(0)?.as_str()).map(str::to_owned)
    }
}

fn merged_toml(text: &str, entry: &Value) -> anyhow::Result<String> {
    let mut document: toml_edit::DocumentMut = text.parse().context("the file is not TOML")?;
    let servers = document.entry("mcp_servers").or_insert_with(|| {
        let mut table = toml_edit::Table::new();
        table.set_implicit(true);
        toml_edit::Item::Table(table)
    });
    let Some(servers) = servers.as_table_like_mut() else { bail!("`mcp_servers` is not a table") };
    let mut args = toml_edit::Array::new();
    for arg in entry["args"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        args.push(arg);
    }
    let command = entry["command"].as_str().unwrap_or_default();
    match servers.get_mut(SERVER).and_then(toml_edit::Item::as_table_like_mut) {
        Some(mine) => {
            let same = mine.get("command").and_then(toml_edit::Item::as_str) == Some(command)
                && mine.get("args").is_some_and(|a| {
                    a.to_string().split_whitespace().collect::<String>()
                        == args.to_string().split_whitespace().collect::<String>()
                });
            if !same {
                mine.insert("command", toml_edit::value(command));
                mine.insert("args", toml_edit::value(args));
            }
        }
        None => {
            let mut mine = toml_edit::Table::new();
            mine.insert("command", toml_edit::value(command));
            mine.insert("args", toml_edit::value(args));
            servers.insert(SERVER, toml_edit::Item::Table(mine));
        }
    }
    Ok(document.to_string())
}

/// The program as an editor should start it: by name where the path leads to this version.
fn program() -> anyhow::Result<String> {
    let own =
        std::env::current_exe().and_then(|p| p.canonicalize()).context("the path of this program is not known")?;
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|p| p.join("auto-itera")).find(|p| p.is_file()))
        .and_then(|p| p.canonicalize().ok());
    Ok(if found.as_ref() == Some(&own) { "auto-itera".to_owned() } else { own.display().to_string() })
}

/// Registers the server; false where the person said no.
///
/// # Errors
/// The file cannot be read, understood or written; nothing was changed then.
pub fn run(client: Client, dir: &Path, yes: bool) -> anyhow::Result<bool> {
    let dir = dir.canonicalize().with_context(|| format!("there is no folder {}", dir.display()))?;
    let program = program()?;
    let file = client.file(&dir).context("the home folder is not known; set HOME")?;
    // A configuration that is a link to another place is edited in that place.
    let file = file.canonicalize().unwrap_or(file);
    let mut out = std::io::stdout();
    let before = match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => bail!("{} cannot be read: {error}", file.display()),
    };
    let after = match client.merged(before.as_deref().unwrap_or(""), &program, &dir) {
        Ok(after) => after,
        Err(error) => bail!(
            "{} is left as it is: {error:#}. Put this under `{}` yourself:\n\"{SERVER}\": {}",
            file.display(),
            client.section(),
            serde_json::to_string_pretty(&client.entry(&program, &dir)).unwrap_or_default()
        ),
    };
    if before.as_deref() == Some(after.as_str()) {
        writeln!(out, "{}: already registered in {}", client.name(), file.display())?;
        return Ok(true);
    }
    let name = file.display().to_string().trim_start_matches('/').to_owned();
    let diff =
        SnapshotDiff::between(&[(name, before.clone().map(String::into_bytes), Some(after.clone().into_bytes()))]);
    writeln!(out, "{}", diff.text.trim_end())?;
    if !yes && !agreed(&mut out, &file)? {
        return Ok(false);
    }
    if let Some(before) = &before {
        let backup = backup_of(&file);
        fs::write(&backup, before).with_context(|| format!("no backup could be written to {}", backup.display()))?;
        writeln!(out, "backup: {}", backup.display())?;
    }
    write(&file, &after).with_context(|| format!("{} cannot be written", file.display()))?;
    writeln!(
        out,
        "{}: registered in {}. Restart it, and ask \"should we use X or Y?\".",
        client.name(),
        file.display()
    )?;
    if client == Client::Claude {
        writeln!(
            out,
            "The plugin brings the skill and the fence around sealed rows besides: /plugin marketplace add auto-itera/auto-itera"
        )?;
    } else {
        writeln!(
            out,
            "The prompt `decide` carries the discipline. Outside of Claude Code no hook fences the sealed rows; conclusions say so."
        )?;
    }
    Ok(true)
}

fn agreed(out: &mut impl Write, file: &Path) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nothing was written: confirm with --yes, or run in a terminal");
    }
    write!(out, "Write this to {}? [y/N] ", file.display())?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn backup_of(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (1..)
        .map(|n| {
            file.with_file_name(if n == 1 {
                format!("{name}.before-auto-itera")
            } else {
                format!("{name}.before-auto-itera-{n}")
            })
        })
        .find(|p| !p.exists())
        .unwrap_or_else(|| file.with_file_name(format!("{name}.before-auto-itera")))
}

/// Writes beside and renames, so that no half file is ever there; the mode of the file stays.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = file.with_file_name(format!(".auto-itera-{}.new", std::process::id()));
    fs::write(&fresh, text)?;
    if let Ok(meta) = fs::metadata(file) {
        fs::set_permissions(&fresh, meta.permissions())?;
    }
    fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(client: Client, text: &str) -> String {
        client.merged(text, "/bin/auto-itera", Path::new("/p")).unwrap()
    }

    #[test]
    fn every_client_starts_from_nothing_and_a_second_run_changes_nothing() {
        for client in Client::ALL {
            let once = merged(client, "");
            assert!(once.contains("/bin/auto-itera") && once.contains("serve"), "{once}");
            assert_eq!(merged(client, &once), once, "{}", client.name());
        }
    }

    #[test]
    fn what_was_there_stays() {
        let before = "{\n  // mine\n  \"servers\": {\n    \"other\": { \"command\": \"x\" }, // keep\n  },\n  \"inputs\": []\n}\n";
        let after = merged(Client::Vscode, before);
        for part in ["// mine", "// keep", "\"other\": { \"command\": \"x\" }", "\"inputs\": []"] {
            assert!(after.contains(part), "{after}");
        }
        let value = jsonc::parse(&after).unwrap();
        assert_eq!(value["servers"]["itera"]["type"], "stdio");
        assert_eq!(value["servers"]["other"]["command"], "x");
    }

    #[test]
    fn an_older_entry_is_replaced_in_its_place() {
        let before = "{ \"mcpServers\": { \"itera\": { \"command\": \"/old\" }, \"b\": {} } }";
        let after = merged(Client::Cursor, before);
        assert!(!after.contains("/old") && after.contains("\"b\": {}"), "{after}");
    }

    #[test]
    fn toml_keeps_its_comments() {
        let before = "# mine\nmodel = \"m\" # keep\n\n[mcp_servers.other]\ncommand = \"x\"\n";
        let after = merged(Client::Codex, before);
        assert!(
            after.starts_with("# mine\nmodel = \"m\" # keep\n")
                && after.contains("[mcp_servers.other]")
                && after.contains("[mcp_servers.itera]"),
            "{after}"
        );
        let replaced = merged(Client::Codex, &after.replace("/bin/auto-itera", "/old"));
        assert!(!replaced.contains("/old"), "{replaced}");
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for text in ["[1]", "{ \"mcpServers\": [] }", "{ \"a\": ", "nonsense", "{} trailing"] {
            assert!(Client::Cursor.merged(text, "x", Path::new("/p")).is_err(), "{text}");
        }
        assert!(Client::Codex.merged("mcp_servers = 3", "x", Path::new("/p")).is_err());
        assert!(Client::Codex.merged("a = = b", "x", Path::new("/p")).is_err());
    }

    #[test]
    fn backups_never_overwrite_one_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mcp.json");
        let first = backup_of(&file);
        fs::write(&first, "1").unwrap();
        assert_ne!(backup_of(&file), first);
    }
}
