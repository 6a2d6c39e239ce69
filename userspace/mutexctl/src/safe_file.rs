// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that are there when they are whole, and not before.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;

/// A file that is being written and has no name yet.
///
/// Where the file system can do it, the file really has none, so that nothing is left of it however
/// this program ends. Elsewhere it has a hidden one until it is published or dropped.
struct Nameless {
    file: File,
    /// Its hidden name, if it needs one.
    hidden: Option<PathBuf>,
}

impl Nameless {
    /// Makes one that can be named in `folder` and elsewhere on its file system, with that mode, less what the umask takes
    /// away.
    fn create(folder: &Path, mode: u32) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let raw_mode = Mode::from_raw_mode(mode);
        if let Ok(file) = rustix::fs::openat(CWD, folder, flags, raw_mode).map(File::from) {
            // Without /proc it could not be named.
            if own_path(&file).exists() {
                return Ok(Nameless { file, hidden: None });
            }
        }
        let (hidden, file) = unique(folder, |path| {
            OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
        })?;
        Ok(Nameless { file, hidden: Some(hidden) })
    }

    /// Makes it for those whom the file at `path` is for, if there is one.
    fn take_permissions(&self, path: &Path) -> io::Result<()> {
        path.metadata().map_or(Ok(()), |old| self.file.set_permissions(old.permissions()))
    }

    /// Gives it its name, which must not be taken, when its content is on the disk.
    fn name(&mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(hidden) = &self.hidden {
            fs::rename(hidden, path)?;
        } else {
            let own = own_path(&self.file);
            rustix::fs::linkat(CWD, &own, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
        }
        self.hidden = None;
        Ok(())
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            // What cannot be removed stays hidden.
            let _ = fs::remove_file(hidden);
        }
    }
}

fn own_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Something under a hidden name, on its way to its own. Removed unless it gets there.
struct Staged(PathBuf);

impl Staged {
    fn file(folder: &Path, file: &mut Nameless) -> io::Result<Self> {
        unique(folder, |path| file.name(path)).map(|(path, ())| Staged(path))
    }

    /// Gives it its own name; a file that has it is replaced at once.
    fn publish(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)?;
        self.0 = PathBuf::new();
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.0.is_dir() {
            // What cannot be removed stays hidden.
            let _ = fs::remove_dir_all(&self.0);
        } else if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Calls `make` with hidden names in `folder` until one is free.
fn unique<T>(
    folder: &Path,
    mut make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    const TRIES: u32 = 1000;

    for number in 0..TRIES {
        let path = folder.join(format!(".mutexctl-{}-{number}", std::process::id()));
        match make(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|made| (path, made)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The folder that holds `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Puts new names on the disk. What they name is there already, and they are seen by everyone, so a
/// file system that cannot do this spoils nothing.
fn sync_names(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// A file that takes the place of another, or of none, when it is whole.
pub struct NewFile {
    content: Nameless,
    path: PathBuf,
}

impl NewFile {
    /// Begins it, with that mode unless there is a file. What is at `path` stays as it is until [`NewFile::publish`].
    pub fn create(path: &Path, mode: u32) -> io::Result<Self> {
        // A symbolic link stays one.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let content = Nameless::create(parent(&path), mode)?;
        content.take_permissions(&path)?;
        Ok(NewFile { content, path })
    }

    /// What is to be written to.
    pub fn file(&self) -> &File {
        &self.content.file
    }

    /// Shows it.
    pub fn publish(mut self) -> io::Result<()> {
        let folder = parent(&self.path);
        Staged::file(folder, &mut self.content)?.publish(&self.path)?;
        sync_names(folder);
        Ok(())
    }
}

/// A set of files in a folder that appear when all of them are whole.
pub struct NewFiles {
    files: Vec<(&'static str, Nameless)>,
    path: PathBuf,
    /// Whether the folder was there before.
    old: bool,
}

impl NewFiles {
    /// Begins them, for their owner unless there are files of these names. The folder `path`, if it is there, stays as it is until [`NewFiles::publish`];
    /// if it is not, its parent has to be.
    pub fn create(path: &Path, names: &[&'static str]) -> io::Result<Self> {
        let old = path.is_dir();
        let folder = if old { path } else { parent(path) };
        let file = |name| {
            let content = Nameless::create(folder, 0o600)?;
            content.take_permissions(&path.join(name))?;
            Ok((name, content))
        };
        let files = names.iter().copied().map(file).collect::<io::Result<_>>()?;
        Ok(NewFiles { files, path: path.to_owned(), old })
    }

    /// What is to be written to, by name.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &File)> {
        self.files.iter().map(|(name, content)| (*name, &content.file))
    }

    /// Shows them.
    pub fn publish(mut self) -> io::Result<()> {
        if self.old {
            // All that can fail for want of room comes before the first of them is to be seen.
            let staged = self.files.iter_mut().map(|(name, content)| {
                Ok((Staged::file(&self.path, content)?, self.path.join(name)))
            });
            for (staged, path) in staged.collect::<io::Result<Vec<_>>>()? {
                staged.publish(&path)?;
            }
            sync_names(&self.path);
        } else {
            let parent = parent(&self.path);
            let private = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
            let (folder, ()) = unique(parent, private)?;
            let folder = Staged(folder);
            for (name, content) in &mut self.files {
                content.name(&folder.0.join(name))?;
            }
            sync_names(&folder.0);
            folder.publish(&self.path)?;
            sync_names(parent);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().expect("the folder is there");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("it can be read").file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// As where the file system cannot do better.
    fn hidden(folder: &Path) -> io::Result<Nameless> {
        let (path, file) = unique(folder, |path| File::create_new(path))?;
        Ok(Nameless { file, hidden: Some(path) })
    }

    const WAYS: [fn(&Path) -> io::Result<Nameless>; 2] =
        [|folder| Nameless::create(folder, 0o600), hidden];

    #[test]
    fn a_file_is_replaced_when_it_is_whole_and_not_before() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("file");
        fs::write(&path, "old").expect("there is room");
        for way in WAYS {
            let content = way(folder.path()).expect("the folder can be written");
            let mut new = NewFile { content, path: path.clone() };
            new.content.file.write_all(b"new").expect("there is room");
            assert_eq!(fs::read(&path).expect("it is there"), b"old");
            new.publish().expect("there is room");
            assert_eq!(fs::read(&path).expect("it is there"), b"new");
            assert_eq!(names(folder.path()), ["file"]);
            fs::write(&path, "old").expect("there is room");
        }
    }

    #[test]
    fn what_is_not_published_leaves_nothing() {
        let folder = tempfile::tempdir().expect("there is room");
        for way in WAYS {
            let content = way(folder.path()).expect("the folder can be written");
            drop(NewFile { content, path: folder.path().join("file") });
            assert!(names(folder.path()).is_empty());
        }
    }

    #[test]
    fn a_link_stays_one_and_a_mode_too() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("there is room");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "old").expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
        std::os::unix::fs::symlink("file", &link).expect("there is room");

        let new = NewFile::create(&link, 0o600).expect("the folder can be written");
        new.file().write_all(b"new").expect("there is room");
        new.publish().expect("there is room");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
        let mode = path.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn a_set_appears_at_once_in_a_new_folder_and_in_an_old_one() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("set");
        for content in [b"1", b"2"] {
            let new = NewFiles::create(&path, &["a", "b"]).expect("the folder can be written");
            for (_, mut file) in new.files() {
                file.write_all(content).expect("there is room");
            }
            assert_eq!(names(folder.path()).len(), usize::from(content == b"2"));
            new.publish().expect("there is room");
            assert_eq!(names(folder.path()), ["set"]);
            assert_eq!(fs::read(path.join("a")).expect("it is there"), content);
            assert_eq!(fs::read(path.join("b")).expect("it is there"), content);
            fs::write(path.join("other"), "kept").expect("there is room");
        }
        assert_eq!(names(&path), ["a", "b", "other"]);
        assert_eq!(fs::read(path.join("other")).expect("it is there"), b"kept");
    }

    #[test]
    fn a_set_that_cannot_be_shown_leaves_nothing() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("set");
        fs::create_dir(&path).expect("there is room");
        // A folder is in the way of the second file.
        fs::create_dir_all(path.join("b/c")).expect("there is room");
        let new = NewFiles::create(&path, &["b"]).expect("the folder can be written");
        assert!(new.publish().is_err());
        assert_eq!(names(&path), ["b"]);

        let new = NewFiles::create(&folder.path().join("new"), &["a"]).expect("it can be written");
        fs::create_dir_all(folder.path().join("new/in the way")).expect("there is room");
        assert!(new.publish().is_err());
        assert_eq!(names(folder.path()), ["new", "set"]);
    }
}
