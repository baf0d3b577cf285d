//! Shell and search globs, matched against text without looking at the disk.

/// Whether a pattern matches the whole of a path, without regard to case. `*` and `?` stop at `/`,
/// `**` does not.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let path: Vec<char> = path.to_lowercase().chars().collect();
    walk(&pattern, &path)
}

fn walk(pattern: &[char], path: &[char]) -> bool {
    let Some(first) = pattern.first() else { return path.is_empty() };
    match first {
        '*' if pattern.get(1) == Some(&'*') => {
            let mut rest = &pattern[2..];
            // `a/**/b` matches `a/b` as well.
            if rest.first() == Some(&'/') {
                if walk(&rest[1..], path) {
                    return true;
                }
                rest = &pattern[2..];
            }
            (0..=path.len()).any(|n| walk(rest, &path[n..]))
        }
        '*' => (0..=path.len()).take_while(|n| *n == 0 || path[n - 1] != '/').any(|n| walk(&pattern[1..], &path[n..])),
        '?' => path.first().is_some_and(|c| *c != '/') && walk(&pattern[1..], &path[1..]),
        '[' => match class(pattern, path.first().copied()) {
            Some((end, true)) => walk(&pattern[end..], &path[1..]),
            Some((_, false)) => false,
            None => path.first() == Some(&'[') && walk(&pattern[1..], &path[1..]),
        },
        c => path.first() == Some(c) && walk(&pattern[1..], &path[1..]),
    }
}

/// Where a `[...]` ends and whether it holds the character; nothing where it never closes.
fn class(pattern: &[char], c: Option<char>) -> Option<(usize, bool)> {
    let close = pattern.iter().skip(2).position(|p| *p == ']')? + 2;
    let negated = matches!(pattern[1], '!' | '^');
    let set = &pattern[if negated { 2 } else { 1 }..close];
    let c = c.filter(|c| *c != '/')?;
    let mut found = false;
    let mut i = 0;
    while i < set.len() {
        if i + 2 < set.len() && set[i + 1] == '-' {
            found |= (set[i]..=set[i + 2]).contains(&c);
            i += 3;
        } else {
            found |= set[i] == c;
            i += 1;
        }
    }
    Some((close + 1, found != negated))
}

/// Whether the text holds a character that a shell expands.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// `a{b,c}d` as `abd` and `acd`, nested braces included; at most 64 words.
pub fn braces(word: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![word.to_owned()];
    while let Some(word) = open.pop() {
        match first_braces(&word) {
            Some((start, end, options)) if open.len() + done.len() < 64 => {
                open.extend(options.iter().map(|o| format!("{}{o}{}", &word[..start], &word[end..])));
            }
            _ => done.push(word),
        }
    }
    done
}

fn first_braces(word: &str) -> Option<(usize, usize, Vec<String>)> {
    let start = word.find('{')?;
    let mut depth = 0_u32;
    let mut from = start + 1;
    let mut options = Vec::new();
    for (at, c) in word[start..].char_indices().map(|(i, c)| (i + start, c)) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                options.push(word[from..at].to_owned());
                from = at + 1;
            }
            '}' if depth == 1 => {
                options.push(word[from..at].to_owned());
                return (options.len() > 1).then_some((start, at + 1, options));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether search globs (as ripgrep reads them: a leading `!` excludes, no slash means any depth)
/// let a search below a folder reach a file, given by its path relative to that folder.
pub fn reaches<'a>(globs: impl IntoIterator<Item = &'a str>, relative: &str) -> bool {
    let mut wanted = None;
    for glob in globs {
        let (excludes, glob) = glob.strip_prefix('!').map_or((false, glob), |g| (true, g));
        let hit = braces(glob).iter().any(|g| one(g, relative));
        if excludes && hit {
            return false;
        }
        if !excludes {
            wanted = Some(wanted.unwrap_or(false) || hit);
        }
    }
    wanted.unwrap_or(true)
}

fn one(glob: &str, relative: &str) -> bool {
    let glob = glob.trim_start_matches("./");
    let anchored = glob.trim_end_matches('/').contains('/');
    let glob = glob.trim_start_matches('/');
    let folder = format!("{}/**", glob.trim_end_matches('/'));
    if anchored {
        return matches(glob, relative) || matches(&folder, relative);
    }
    matches(&format!("**/{glob}"), relative) || matches(&format!("**/{folder}"), relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_a_shell_would() {
        for (pattern, path, hit) in [
            ("/p/*.csv", "/p/rows.csv", true),
            ("/p/*.csv", "/p/d/rows.csv", false),
            ("/p/**/*.csv", "/p/d/rows.csv", true),
            ("/p/**/*.csv", "/p/rows.csv", true),
            ("/p/ro?s.c[a-t]v", "/p/rows.csv", true),
            ("/p/ro[!w]s.csv", "/p/rows.csv", false),
            ("/P/ROWS.CSV", "/p/rows.csv", true),
            ("/p/[rows.csv", "/p/rows.csv", false),
        ] {
            assert_eq!(matches(pattern, path), hit, "{pattern} {path}");
        }
    }

    #[test]
    fn braces_expand_and_stay_bounded() {
        let mut words = braces("{rows,x{1,2}}.csv");
        words.sort();
        assert_eq!(words, ["rows.csv", "x1.csv", "x2.csv"]);
        assert_eq!(braces("{one}"), ["{one}"]);
        assert!(braces(&"{a,b}".repeat(40)).len() <= 65);
    }

    #[test]
    fn search_globs_include_and_exclude() {
        assert!(reaches([], "data/rows.csv"));
        assert!(reaches(["*.csv"], "data/rows.csv"));
        assert!(!reaches(["*.{py,md}"], "data/rows.csv"));
        assert!(!reaches(["!*.csv"], "data/rows.csv"));
        assert!(!reaches(["!data/"], "data/rows.csv"));
        assert!(!reaches(["!data"], "data/rows.csv"));
        assert!(!reaches(["src/**"], "data/rows.csv"));
        assert!(reaches(["data/**"], "data/rows.csv"));
    }
}
