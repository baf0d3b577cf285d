use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// A project with these files; a name that ends in `*` is executable.
fn project(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let plain = path.trim_end_matches('*');
        let full = dir.path().join(plain);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(&full, text).unwrap();
        let mode = if plain == *path { 0o644 } else { 0o755 };
        fs::set_permissions(&full, fs::Permissions::from_mode(mode)).unwrap();
    }
    dir
}

fn arm(command: &[&str], files: &[&str]) -> ArmSpec {
    serde_json::from_value(serde_json::json!({"id": "a", "reference": "r", "command": command, "files": files}))
        .unwrap()
}

fn kept(taken: &Taken) -> impl Fn(&Digest) -> io::Result<Vec<u8>> {
    let blobs: BTreeMap<_, _> = taken.blobs.iter().cloned().collect();
    move |digest| blobs.get(digest).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn paths(taken: &Taken) -> Vec<&str> {
    taken.snapshot.files.iter().map(|f| f.path.as_str()).collect()
}

#[test]
fn files_and_folders_are_expanded_in_order_with_their_bits() {
    let project = project(&[
        ("run.sh*", "x"),
        ("arms/b.py", "b"),
        ("arms/sub/a.py", "b"),
        ("arms/__pycache__/b.pyc", "junk"),
        ("other.py", "o"),
    ]);
    let taken = take(project.path(), &arm(&["./run.sh"], &["run.sh", "./arms/", "arms/b.py"])).unwrap();
    assert_eq!(paths(&taken), ["arms/b.py", "arms/sub/a.py", "run.sh"]);
    assert_eq!(taken.blobs.len(), 2, "equal contents are kept once");
    let run = taken.snapshot.file("run.sh").unwrap();
    assert!(run.executable && run.bytes == 1 && run.digest == Digest::of(b"x"));
    assert!(!taken.snapshot.file("arms/b.py").unwrap().executable);
    assert_eq!(taken.warnings, Vec::<String>::new());
}

#[test]
fn what_may_not_be_part_of_an_arm() {
    let outside = project(&[("secret", "s")]);
    let project = project(&[("a.py", "a"), (".git/config", "g"), (".auto-itera/key", "k"), ("deep/.git/x", "x")]);
    symlink(outside.path().join("secret"), project.path().join("link")).unwrap();
    symlink(outside.path(), project.path().join("folder")).unwrap();
    symlink(".git/config", project.path().join("sly")).unwrap();
    symlink("nowhere", project.path().join("broken")).unwrap();
    for (declared, needle) in [
        ("/etc/passwd", "relative to the project"),
        ("../x", "relative to the project"),
        ("deep/../a.py", "relative to the project"),
        ("", "relative to the project"),
        ("missing.py", "does not exist"),
        ("broken", "does not exist"),
        ("link", "leads out of the project"),
        ("folder", "leads out of the project"),
        ("folder/secret", "leads out of the project"),
        ("sly", "`.git/`"),
        (".git/config", "`.git/`"),
        (".GIT", "`.git/`"),
        (".auto-itera", "`.auto-itera/`"),
        ("deep", "`.git/`"),
        (".", "nothing under"),
    ] {
        if declared == ".GIT" && !project.path().join(".GIT").exists() {
            continue;
        }
        let error = take(project.path(), &arm(&["true"], &[declared])).unwrap_err().to_string();
        let reason = error.contains(needle) || (declared == "." && error.contains("cannot be part"));
        assert!(reason, "{declared}: {error}");
    }
}

#[test]
fn a_link_inside_the_project_is_read_and_a_circle_ends() {
    let project = project(&[("real/x.txt", "x")]);
    symlink("real", project.path().join("alias")).unwrap();
    let taken = take(project.path(), &arm(&["true"], &["alias"])).unwrap();
    assert_eq!(paths(&taken), ["alias/x.txt"]);
    symlink("..", project.path().join("real/round")).unwrap();
    assert!(take(project.path(), &arm(&["true"], &["real"])).is_err());
}

#[test]
fn size_and_number_are_bounded() {
    let project = project(&[]);
    let big = File::create(project.path().join("big")).unwrap();
    big.set_len(MAX_BYTES).unwrap();
    assert!(take(project.path(), &arm(&["true"], &["big"])).is_ok());
    big.set_len(MAX_BYTES + 1).unwrap();
    assert!(matches!(take(project.path(), &arm(&["true"], &["big"])), Err(ArmError::TooLarge { .. })));
    fs::create_dir(project.path().join("many")).unwrap();
    for n in 0..=MAX_FILES {
        File::create(project.path().join(format!("many/{n}"))).unwrap();
    }
    assert!(matches!(take(project.path(), &arm(&["true"], &["many"])), Err(ArmError::TooLarge { .. })));
}

#[test]
fn undeclared_files_are_warned_of() {
    let project = project(&[("arm.py", "a"), ("conf.json", "c"), ("run.sh", "r")]);
    let warned = |command: &[&str], files: &[&str]| take(project.path(), &arm(command, files)).unwrap().warnings;
    assert_eq!(warned(&["python3", "arm.py"], &["arm.py"]), Vec::<String>::new());
    assert!(warned(&["python3", "arm.py"], &[])[0].contains("`arm.py` exists"));
    assert!(warned(&["python3", "arm.py", "--conf=conf.json"], &["arm.py"])[0].contains("`conf.json` exists"));
    assert!(warned(&["./run.sh"], &["run.sh"])[0].contains("not executable"));
    assert!(warned(&["bin/gone"], &[])[0].contains("neither declared"));
    let root = project.path().canonicalize().unwrap();
    assert!(warned(&["python3", root.join("arm.py").to_str().unwrap()], &["arm.py"])[0].contains("full path"));
}

#[test]
fn materialised_files_are_read_only_and_any_change_is_seen() {
    let project = project(&[("run.sh*", "#!/bin/sh\n"), ("lib/m.py", "m")]);
    let taken = take(project.path(), &arm(&["./run.sh"], &["run.sh", "lib"])).unwrap();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("arms/a-1");
    fs::create_dir(home.path().join("arms")).unwrap();
    materialise(&taken.snapshot, &kept(&taken), &dir).unwrap();
    let mode = |path: &str| fs::metadata(dir.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run.sh"), mode("lib/m.py")), (0o500, 0o400));
    check(&taken.snapshot, &dir).unwrap();
    let stamp = Stamp::of(&taken.snapshot, &dir).unwrap();
    stamp.unchanged().unwrap();

    // The same size and a restored time do not hide a change of content.
    let file = dir.join("lib/m.py");
    let times = fs::metadata(&file).unwrap().modified().unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "n").unwrap();
    File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(matches!(stamp.unchanged(), Err(ArmError::Changed { path, .. }) if path == "lib/m.py"));
    assert!(matches!(check(&taken.snapshot, &dir), Err(ArmError::Changed { path, .. }) if path == "lib/m.py"));

    // Materialising again restores the folder, strays removed.
    fs::write(dir.join("stray"), "s").unwrap();
    materialise(&taken.snapshot, &kept(&taken), &dir).unwrap();
    check(&taken.snapshot, &dir).unwrap();
    assert!(!dir.join("stray").exists());
    assert_eq!(fs::read_dir(dir.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");

    fs::remove_file(&file).unwrap();
    symlink("/etc/hostname", &file).unwrap();
    assert!(check(&taken.snapshot, &dir).is_err(), "a link is no regular file");
}

#[test]
fn a_wrong_blob_or_path_is_never_written() {
    let project = project(&[("a", "a")]);
    let taken = take(project.path(), &arm(&["true"], &["a"])).unwrap();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("d");
    let wrong = materialise(&taken.snapshot, &|_| Ok(b"b".to_vec()), &dir);
    assert!(matches!(wrong, Err(ArmError::Changed { .. })));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let mut evil = taken.snapshot.clone();
    evil.files[0].path = "../a".to_owned();
    assert!(matches!(materialise(&evil, &kept(&taken), &dir), Err(ArmError::Undeclarable { .. })));
}

#[test]
fn drift_names_changed_added_and_removed_files() {
    let project = project(&[("lib/a", "a"), ("lib/b", "b"), ("c", "c"), ("d*", "d")]);
    let spec = arm(&["true"], &["lib", "c", "d"]);
    let taken = take(project.path(), &spec).unwrap();
    assert_eq!(drift(project.path(), &spec, &taken.snapshot), Vec::<String>::new());
    fs::write(project.path().join("lib/a"), "aa").unwrap();
    fs::write(project.path().join("lib/new"), "n").unwrap();
    fs::remove_file(project.path().join("c")).unwrap();
    fs::set_permissions(project.path().join("d"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(drift(project.path(), &spec, &taken.snapshot), ["c", "d", "lib/a", "lib/new"]);
}
