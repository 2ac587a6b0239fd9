//! Files and directories inside `output-dir`.
//!
//! The directory is the user's choice and may lie anywhere, but what is in it
//! may be anybody's, as in a workspace that a pull request checked out. A link
//! there could lead a write to a file of the user's, a pipe could hold the run up
//! for ever: only what is a file or a directory itself is used.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Opens a file in place, or creates it where `options` say so.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(strange(path, found.file_type(), "a file")),
        _ => {}
    }
    // What took the file's place since is not followed, and not waited for, either.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    let opened = file.metadata()?;
    if opened.is_file() { Ok(file) } else { Err(strange(path, opened.file_type(), "a file")) }
}

/// Opens a file to read it.
pub(crate) fn read(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

/// Creates an empty file in the place of whatever has its name. A link that has it is removed, not followed.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => OpenOptions::new().write(true).create_new(true).open(path),
    }
}

/// Whether two paths lead to the same place, even if nothing is there yet.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| match path.canonicalize() {
        Ok(real) => Some(real),
        Err(_) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(parent.canonicalize().ok()?.join(path.file_name()?))
        }
    };
    one == other || place(one).is_some_and(|one| Some(one) == place(other))
}

/// Makes a directory of these files, by their names in it: all of it takes the place of what is there, or nothing.
/// The files are linked, or copied where the disk has no links.
pub(crate) fn make_dir_of(files: &[(&Path, &str)], at: &Path) -> io::Result<()> {
    let part = at.with_extension("part");
    remove_dir(&part)?;
    fs::create_dir(&part)?;
    for (from, name) in files {
        let to = part.join(name);
        fs::hard_link(from, &to).or_else(|_| fs::copy(from, &to).map(drop))?;
    }
    remove_dir(at)?;
    fs::rename(part, at)
}

/// Removes a directory and all that is in it, or a link in its place, if there is one.
pub(crate) fn remove_dir(path: &Path) -> io::Result<()> {
    unlink(path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a link that has this name, and nothing that it leads to.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    if is_link { fs::remove_file(path) } else { Ok(()) }
}

/// Makes a directory unless it is there.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path)?;
            if found.is_dir() { Ok(()) } else { Err(strange(path, found.file_type(), "a directory")) }
        }
        made => made,
    }
}

fn strange(path: &Path, found: FileType, expected: &str) -> io::Error {
    let is = match found {
        found if found.is_symlink() => "a symbolic link, which is not followed",
        found if found.is_dir() => "a directory",
        found if found.is_file() => "a file",
        _ => "a pipe, a socket or a device",
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(ErrorKind::InvalidInput, format!("`{name}` must be {expected}, but it is {is}"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{create, make_dir, open, unlink};

    fn append(path: &Path) -> Result<(), String> {
        let opened = open(path, OpenOptions::new().create(true).read(true).append(true));
        opened.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_file_is_opened_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert_eq!((append(&path("new")), append(&path("new"))), (Ok(()), Ok(())));
        symlink(path("new"), path("link")).unwrap();
        symlink(path("outside"), path("dangling")).unwrap();
        symlink(path("fifo"), path("piped")).unwrap();
        fs::create_dir(path("dir")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        for (name, is) in [
            ("link", "a symbolic link, which is not followed"),
            ("dangling", "a symbolic link, which is not followed"),
            ("piped", "a symbolic link, which is not followed"),
            ("dir", "a directory"),
            ("fifo", "a pipe, a socket or a device"),
        ] {
            assert_eq!(append(&path(name)), Err(format!("`{name}` must be a file, but it is {is}")));
        }
        assert!(!path("outside").exists(), "nothing is created through a link");
    }

    #[test]
    fn a_new_file_takes_the_place_of_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, link) = (dir.path().join("outside"), dir.path().join("link"));
        fs::write(&outside, "precious").unwrap();
        symlink(&outside, &link).unwrap();
        drop(create(&link).unwrap());
        assert_eq!((fs::read_to_string(&outside).unwrap().as_str(), fs::read(&link).unwrap().len()), ("precious", 0));
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
    }

    #[test]
    fn a_directory_is_no_link_to_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert!(make_dir(&path("new")).is_ok() && make_dir(&path("new")).is_ok());
        symlink(path("new"), path("link")).unwrap();
        fs::write(path("file"), "").unwrap();
        for (name, is) in [("link", "a symbolic link, which is not followed"), ("file", "a file")] {
            let error = make_dir(&path(name)).unwrap_err().to_string();
            assert_eq!(error, format!("`{name}` must be a directory, but it is {is}"));
        }
        assert!(unlink(&path("link")).is_ok() && unlink(&path("link")).is_ok() && unlink(&path("new")).is_ok());
        assert!(make_dir(&path("link")).is_ok() && path("new").is_dir());
    }
}
