// SPDX-License-Identifier: MIT OR Apache-2.0

//! What local sockets have in common: the group that they are for, and why there can be none.

use std::io;
use std::path::Path;

use anyhow::anyhow;
use mutex_stats::local_socket::group_id;

use crate::reason;

/// The id of the group that a setting names, if it names one.
///
/// # Errors
///
/// There is no such group.
pub fn group(setting: &str, name: &str) -> anyhow::Result<Option<u32>> {
    if name.is_empty() {
        return Ok(None);
    }
    let found = group_id(name)
        .map_err(|error| anyhow!("{setting}: cannot read /etc/group: {}", reason(&error)))?;
    let missing =
        || anyhow!("{setting}: /etc/group has no group \"{name}\"; make it with `groupadd {name}`");
    found.map(Some).ok_or_else(missing)
}

/// Why nobody can listen at a path, which the setting `socket` of that section names.
pub fn cannot_listen(section: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "; set {section}.socket to a path that mutexd may write, or to \"\" for none, and \
             {section}.group to a group that mutexd is a member of (SupplementaryGroups= of its \
             unit)"
        ),
        io::ErrorKind::AddrInUse => {
            format!("; set {section}.socket to another path, or to \"\" for none")
        }
        _ => String::new(),
    };
    anyhow!("{section}.socket: cannot listen at {}: {}{advice}", path.display(), reason(error))
}
