//! What a shell command says, read from its text alone.
//!
//! Nothing is run. Quotes, escapes, string concatenation, variables, braces and `$(echo ...)` are
//! resolved as far as text allows; what only running would show stays unknown.

use std::collections::BTreeMap;

/// Characters that end a word, in shells and in the languages that are passed to interpreters.
const BREAKS: &[char] =
    &[' ', '\t', '\n', '\r', ';', '|', '&', '<', '>', '(', ')', ',', '=', ':', '`', '{', '}', '@', '#', '%', '!'];

/// The text without quotes, backslashes and the `+` between two string literals, and with `\x41`,
/// `\101` and `\u0041` decoded.
pub fn plain(text: &str) -> String {
    let text = joined(text);
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        match chars[i] {
            '\'' | '"' => {}
            '\\' => {
                let (radix, from, most) = match chars.get(i + 1) {
                    Some('x') => (16, i + 2, 2),
                    Some('u') => (16, i + 2, 4),
                    Some('0'..='7') => (8, i + 1, 3),
                    Some('\n') => {
                        i += 2;
                        continue;
                    }
                    _ => (0, 0, 0),
                };
                if radix > 0 {
                    let digits: String = chars[from..].iter().take(most).take_while(|c| c.is_digit(radix)).collect();
                    if let Some(c) = u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32) {
                        out.push(c);
                        i = from + digits.len();
                        continue;
                    }
                }
            }
            c => out.push(c),
        }
        i += 1;
    }
    out
}

/// Removes what joins two string literals: `'a' + 'b'`, `'a' . 'b'` and `"a" "b"` in interpreters.
fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '"']) {
        out.push_str(&rest[..=at]);
        let after = &rest[at + 1..];
        let trimmed = after.trim_start();
        let next = trimmed.strip_prefix(['+', '.']).map(str::trim_start);
        match next.filter(|n| n.starts_with(['\'', '"'])) {
            Some(next) => rest = &next[1..],
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

/// The command with its own assignments, the given variables and `$(echo ...)` put in.
pub fn expanded(command: &str, environment: &dyn Fn(&str) -> Option<String>) -> String {
    let text = echoes(&plain(command));
    let mut own: BTreeMap<String, String> = BTreeMap::new();
    for word in text.split([' ', '\t', '\n', ';', '&', '|', '(']) {
        if let Some((name, value)) = word.split_once('=')
            && is_name(name)
        {
            let value = substitute(value, &|n| own.get(n).cloned().or_else(|| environment(n)));
            own.insert(name.to_owned(), value);
        }
    }
    substitute(&text, &|n| own.get(n).cloned().or_else(|| environment(n)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

fn substitute(text: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (braced, body) = rest.strip_prefix('{').map_or((false, rest), |b| (true, b));
        let end = body.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(body.len());
        let name = &body[..end];
        // `${NAME:-default}` and its kin: the default may be what is meant.
        let (default, after) = if braced {
            let close = body[end..].find('}').map_or(body.len(), |c| c + end);
            let default = body[end..close].trim_start_matches([':', '-', '=', '+', '?']);
            (default, body.get(close + 1..).unwrap_or(""))
        } else {
            ("", &body[end..])
        };
        match value(name).filter(|_| is_name(name)) {
            Some(value) => out.push_str(&value),
            None if braced && is_name(name) => out.push_str(default),
            None if is_name(name) => {}
            None => {
                out.push('$');
                continue;
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `$(echo x)` and its kin become `x`.
fn echoes(text: &str) -> String {
    let mut text = text.to_owned();
    for (open, close) in [("$(echo ", ')'), ("$(printf ", ')'), ("`echo ", '`'), ("`printf ", '`')] {
        while let Some(at) = text.find(open) {
            let from = at + open.len();
            let Some(end) = text[from..].find(close) else { break };
            let said = text[from..from + end].trim().trim_start_matches("-n ").trim_start_matches("%s ").to_owned();
            text.replace_range(at..=from + end, &said);
        }
    }
    text
}

/// The words of a text: what could be a path.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(BREAKS).filter(|w| !w.is_empty())
}

/// The simple commands of a line, each as its words.
pub fn segments(text: &str) -> Vec<Vec<&str>> {
    text.split([';', '|', '&', '\n', '(', ')', '`'])
        .map(|s| {
            s.split_whitespace()
                // Leading assignments and `env`-like prefixes are not the command.
                .skip_while(|w| {
                    w.split_once('=').is_some_and(|(n, _)| is_name(n))
                        || ["env", "sudo", "time", "nohup", "command", "exec", "nice", "then", "do", "else", "{", "!"]
                            .contains(w)
                })
                .collect::<Vec<_>>()
        })
        .filter(|s| !s.is_empty())
        .collect()
}

/// The last part of a command's name.
pub fn program<'a>(segment: &[&'a str]) -> &'a str {
    segment.first().map_or("", |p| p.rsplit('/').next().unwrap_or(p))
}

/// Whether a program runs code that it is given.
pub fn is_interpreter(program: &str) -> bool {
    let stem = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    [
        "python",
        "pypy",
        "node",
        "deno",
        "bun",
        "ruby",
        "perl",
        "php",
        "Rscript",
        "R",
        "lua",
        "julia",
        "sh",
        "bash",
        "zsh",
        "dash",
        "ksh",
        "fish",
        "source",
        "uv",
        "uvx",
        "npx",
        "tsx",
        "awk",
        "gawk",
        "mawk",
        "sed",
        "jq",
        "sqlite",
        "duckdb",
        "osascript",
        "pwsh",
        "eval",
        "find",
        "fd",
        "xargs",
        "parallel",
    ]
    .contains(&stem)
        || program == "."
}

/// Whether every command of the line shows names only, never content.
pub fn only_names(command: &str) -> bool {
    if command.contains("$(") || command.contains('`') || command.contains('<') {
        return false;
    }
    segments(command).iter().all(|s| match program(s) {
        "ls" | "echo" | "cd" | "pwd" | "stat" | "test" | "[" | "du" | "basename" | "dirname" | "realpath" | "mkdir"
        | "true" => true,
        "git" => matches!(s.get(1), Some(&("add" | "status" | "check-ignore" | "ls-files"))),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tricks_of_spelling_come_out_plain() {
        let env = |n: &str| (n == "DATA").then(|| "data".to_owned());
        for trick in [
            "cat data/rows.csv",
            "cat 'data'/\"rows\".csv",
            "cat da\\ta/rows.csv",
            "cat $DATA/rows.csv",
            "cat ${DATA}/rows.csv",
            "D=data; cat $D/rows.csv",
            "D=da E=${D}ta; cat $E/rows.csv",
            "cat ${NOPE:-data}/rows.csv",
            "cat $(echo data)/rows.csv",
            "cat `echo data`/rows.csv",
            "python -c \"open('data/' + 'rows' + '.csv')\"",
            "perl -e 'open F, \"data/\" . \"rows.csv\"'",
            "printf '\\x64ata/rows.csv'",
        ] {
            assert!(expanded(trick, &env).contains("data/rows.csv"), "{trick}: {}", expanded(trick, &env));
        }
    }

    #[test]
    fn names_only_is_narrow() {
        assert!(only_names("ls -la data && git add data/rows.csv"));
        for reads in ["ls | xargs cat", "cat x", "ls $(cat x)", "git diff", "git show HEAD:x", "ls < x"] {
            assert!(!only_names(reads), "{reads}");
        }
    }

    #[test]
    fn programs_are_recognised() {
        assert_eq!(program(&segments("A=1 env /usr/bin/python3.12 -c x")[0]), "python3.12");
        assert!(is_interpreter("python3.12") && is_interpreter("node") && !is_interpreter("cat"));
    }
}
