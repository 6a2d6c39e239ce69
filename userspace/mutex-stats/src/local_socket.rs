// SPDX-License-Identifier: MIT OR Apache-2.0

//! Local sockets: files that programs connect to, for some of the host's users.

use std::fs;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

/// The file of a socket that is listened at. It is removed when this is dropped, unless it is another one by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`. Who may write to the file may connect: `mode` says who, and `group`, if there is one, whose
    /// group the file is. A socket that nobody listens at any more is replaced; a folder that is not there is made, for
    /// everybody to look into.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::AddrInUse`] if somebody listens there, or if it is no socket.
    pub fn listen(path: &Path, mode: u32, group: Option<u32>) -> io::Result<(UnixListener, Self)> {
        if let Ok(metadata) = fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                let what = format!("{} is no socket", path.display());
                return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
            }
            match UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => {
                    let what = format!("somebody listens at {}", path.display());
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
                }
            }
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            match fs::DirBuilder::new().mode(0o700).create(folder) {
                // Whatever the umask is: the socket has permissions of its own.
                Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o755))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        let socket = UnixListener::bind(path)?;
        let file = SocketFile { path: path.to_owned(), id: file_id(path)? };
        file.permit(mode, group)?;
        Ok((socket, file))
    }

    /// Whether the file is still there, and still this one.
    #[must_use]
    pub fn is_there(&self) -> bool {
        file_id(&self.path).is_ok_and(|id| id == self.id)
    }

    /// Changes who may connect from now on.
    ///
    /// # Errors
    ///
    /// The system's: to give the file to a group takes to be one of its members, or `CAP_CHOWN`.
    pub fn permit(&self, mode: u32, group: Option<u32>) -> io::Result<()> {
        if group.is_some() {
            std::os::unix::fs::lchown(&self.path, None, group)?;
        }
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }
}

fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The id of a group by its name in `/etc/group`, or by its number; `None` if there is none of that name.
///
/// # Errors
///
/// `/etc/group` cannot be read.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    if let Ok(id) = name.parse() {
        return Ok(Some(id));
    }
    Ok(find_group(&fs::read("/etc/group")?, name))
}

fn find_group(groups: &[u8], name: &str) -> Option<u32> {
    groups.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let is_it = fields.next() == Some(name.as_bytes());
        let id = fields.nth(1).and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        id.filter(|_| is_it)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_number() {
        let groups = b"root:x:0:\n\xff:x:1:\nwheel\nadm:x:4:alice,bob\nadmin:x:5:\n";
        assert_eq!(find_group(groups, "adm"), Some(4));
        assert_eq!(find_group(groups, "root"), Some(0));
        assert_eq!(find_group(groups, "wheel"), None);
        assert_eq!(find_group(groups, "bob"), None);
        assert_eq!(group_id("4711").expect("it is a number"), Some(4711));
    }

    #[test]
    fn a_socket_is_for_those_that_may_write_to_it() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("new/socket");
        let mode = |path: &Path| path.metadata().expect("it is there").mode() & 0o777;
        let (listener, file) = SocketFile::listen(&path, 0o600, None).expect("there is room");
        assert_eq!((mode(&path), mode(&folder.path().join("new"))), (0o600, 0o755));
        let group = path.metadata().expect("it is there").gid();
        file.permit(0o660, Some(group)).expect("it is our own group");
        assert_eq!(mode(&path), 0o660);
        let taken = SocketFile::listen(&path, 0o600, None).expect_err("somebody listens");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        // As after a kill: nobody listens any more, and the file is still there.
        drop(listener);
        std::mem::forget(file);
        let (_listener, other) = SocketFile::listen(&path, 0o600, None).expect("it is free");
        assert!(other.is_there());
        drop(other);
        assert!(!path.exists());
    }
}
