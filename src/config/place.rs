//! Where `batchstep.toml` is, and which paths it may name.

use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use super::FILE;
use crate::own_files;

/// The longest file, in bytes. One that sets every input is a twentieth of it.
const LONGEST: u64 = 64 * 1024;
/// Where git keeps what is not part of a checkout; in a CI job also a token.
const GIT: &str = ".git";

/// The directory that the file is in.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory.
    pub(super) root: PathBuf,
    /// How it is reached from the working directory: empty, or `../` for each step.
    pub(super) prefix: String,
}

impl Place {
    /// The place for a working directory, an absolute path: the root of the repository that it is in, else itself.
    ///
    /// None in a directory such as `/tmp`, where anybody may put a file, and no root is looked for above one.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let own = dir.ancestors().take_while(|dir| !is_shared(dir));
        let is_root = |(_, dir): &(usize, &Path)| dir.join(GIT).symlink_metadata().is_ok();
        let (steps, root) = own.enumerate().find(is_root).or_else(|| (!is_shared(dir)).then_some((0, dir)))?;
        Some(Self { root: root.to_owned(), prefix: "../".repeat(steps) })
    }

    /// The file's name as seen from the working directory.
    pub(super) fn file(&self) -> String {
        format!("{}{FILE}", self.prefix)
    }

    /// The file's bytes, if it is there.
    ///
    /// # Errors
    /// It is not a file, too long, or cannot be read.
    pub(super) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.root.join(FILE);
        if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        own_files::read(&path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST {
            return Err(io::Error::other(format!("it is longer than {} KiB", LONGEST / 1024)));
        }
        Ok(Some(bytes))
    }

    /// A path or pattern in the file, as it is written from the working directory. Links are not looked at.
    ///
    /// # Errors
    /// It may lead out of the repository, or to what is not part of it.
    pub(super) fn path(&self, pattern: &str) -> Result<String, String> {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if pattern == "-" || !Path::new(pattern).components().all(is_plain) {
            return Err("is not a path inside the repository, written from its root and without `..`".to_owned());
        }
        if has_git(Path::new(pattern)) {
            return Err(format!("leads into `{GIT}`"));
        }
        Ok(format!("{}{pattern}", self.prefix))
    }

    /// Looks where such a path or pattern leads now, through links.
    ///
    /// # Errors
    /// It leads out of the repository, or to what is not part of it.
    pub(super) fn follow(&self, path: &str) -> Result<(), String> {
        let home = self.root.canonicalize().map_err(|error| format!("cannot be looked for: {error}"))?;
        for found in self.matches(path.strip_prefix(&self.prefix).unwrap_or(path))? {
            // What is not there is reported where it is read.
            let Ok(real) = found.canonicalize() else { continue };
            let shown = found.strip_prefix(&self.root).unwrap_or(&found).display();
            match real.strip_prefix(&home) {
                Err(_) => return Err(format!("leads out of the repository, by `{shown}`")),
                Ok(inner) if has_git(inner) => return Err(format!("leads into `{GIT}`, by `{shown}`")),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// What a path or pattern stands for now: a path that exists is that file, as where requests are read.
    fn matches(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let literal = self.root.join(pattern);
        if literal.symlink_metadata().is_ok() {
            return Ok(vec![literal]);
        }
        let root = self.root.to_str().ok_or("is in a directory whose name is not Unicode")?;
        let whole = format!("{}/{pattern}", glob::Pattern::escape(root));
        // A pattern that is wrong, and a directory that cannot be read, are reported where they are used.
        Ok(glob::glob(&whole).into_iter().flatten().flatten().collect())
    }
}

fn has_git(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(GIT))
}

/// Whether anybody may put a file here, but remove only their own.
#[cfg(unix)]
fn is_shared(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    const STICKY_AND_WRITABLE: u32 = 0o1002;
    dir.metadata().is_ok_and(|found| found.mode() & STICKY_AND_WRITABLE == STICKY_AND_WRITABLE)
}

#[cfg(not(unix))]
fn is_shared(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{FILE, Place};

    fn place(dir: &Path) -> (String, String) {
        let place = Place::of(dir).unwrap();
        (place.root.display().to_string(), place.file())
    }

    #[test]
    fn the_root_is_that_of_the_repository_and_else_the_working_directory() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        let own = |dir: &Path, file: &str| (dir.display().to_string(), file.to_owned());
        assert_eq!(place(&below), own(&below, FILE), "there is no repository");
        fs::create_dir(dir.path().join(".git")).unwrap();
        assert_eq!(place(&below), own(dir.path(), "../../batchstep.toml"));
        // A worktree and a submodule have a file of that name.
        fs::write(dir.path().join("a/.git"), "gitdir: elsewhere").unwrap();
        assert_eq!(place(&below), own(&dir.path().join("a"), "../batchstep.toml"));
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_of_everybody_is_no_place_and_bounds_the_search() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (shared, below) = (dir.path().join("shared"), dir.path().join("shared/mine"));
        fs::create_dir_all(&below).unwrap();
        fs::create_dir(shared.join(".git")).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(Place::of(&shared).is_none());
        assert_eq!(place(&below).1, FILE);
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(place(&below).1, "../batchstep.toml", "a CI system may make its directories so");
    }

    #[cfg(unix)]
    #[test]
    fn only_paths_inside_the_repository_are_taken() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        // Characters that mean something in a pattern mean nothing in the name of the root.
        let dir = tempfile::Builder::new().prefix("[a]*").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for directory in [".git", "evals/deep", "mixed"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for file in [".git/config", "evals/a.jsonl", "evals/deep/b.jsonl", "mixed/a.jsonl"] {
            fs::write(at(file), "x").unwrap();
        }
        symlink(outside.path().join("secret"), at("link.jsonl")).unwrap();
        symlink(outside.path(), at("out")).unwrap();
        symlink(at(".git/config"), at("inner.jsonl")).unwrap();
        symlink("../evals/a.jsonl", at("mixed/well.jsonl")).unwrap();
        symlink(outside.path().join("secret"), at("mixed/z.jsonl")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        let place = Place { root: dir.path().to_owned(), prefix: "../".to_owned() };
        for path in ["evals/a.jsonl", "./evals/*.jsonl", "**/deep/*.jsonl", "mixed/[aw]*.jsonl", "none/*", "dangling"] {
            assert_eq!(place.path(path), Ok(format!("../{path}")));
            assert_eq!(place.follow(&format!("../{path}")), Ok(()));
        }
        for (path, why) in [
            ("-", "is not a path inside"),
            ("/proc/self/environ", "is not a path inside"),
            ("../x", "is not a path inside"),
            ("evals/../../x", "is not a path inside"),
            ("link.jsonl", "leads out of the repository, by `link.jsonl`"),
            ("out/secret", "leads out of the repository, by `out/secret`"),
            ("out/*", "leads out of the repository, by `out/secret`"),
            ("mixed/*.jsonl", "leads out of the repository, by `mixed/z.jsonl`"),
            (".*/*", "leads "),
            (".git/config", "leads into `.git`"),
            (".GIT/none", "leads into `.git`"),
            ("inner.jsonl", "leads into `.git`, by `inner.jsonl`"),
            (".g*/config", "leads into `.git`, by `.git/config`"),
        ] {
            let told = place.path(path).and_then(|path| place.follow(&path));
            let told = told.map_or_else(|why| why, |()| "it is taken".to_owned());
            assert!(told.starts_with(why), "{path}: {told}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { root: dir.path().to_owned(), prefix: String::new() };
        assert_eq!(place.read().unwrap(), None);
        fs::write(dir.path().join("other"), "csv = true").unwrap();
        std::os::unix::fs::symlink("other", dir.path().join(FILE)).unwrap();
        let told = place.read().unwrap_err().to_string();
        assert_eq!(told, "`batchstep.toml` must be a file, but it is a symbolic link, which is not followed");
        fs::remove_file(dir.path().join(FILE)).unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(place.read().unwrap_err().to_string().ends_with("it is a directory"));
        fs::remove_dir(dir.path().join(FILE)).unwrap();
        fs::rename(dir.path().join("other"), dir.path().join(FILE)).unwrap();
        assert_eq!(place.read().unwrap(), Some(b"csv = true".to_vec()));
    }
}
