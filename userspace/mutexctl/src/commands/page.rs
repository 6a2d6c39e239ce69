// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl page`.

use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value;

use crate::cli::PageArgs;
use crate::failure::Failure;
use crate::failure::printable;
use crate::failure::reason;
use crate::failure::say;
use crate::target::print;
use crate::web::Web;

/// How long a browser has to read the file that leads it to the page.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(args: &PageArgs) -> Result<(), Failure> {
    let answer = Web::Local(args.socket.clone()).post("/api/v1/login")?;
    let url = answer.get("url").and_then(Value::as_str).filter(|url| is_url(url));
    let url = url.ok_or_else(|| anyhow!("mutexd's answer has no link"))?;
    print(&format!("{}\n", printable(url)))?;
    if args.no_browser {
        return Ok(());
    }
    let Some(browser) = browser(|name| env::var_os(name), is_root()) else { return Ok(()) };
    // The link stays good: it has been shown.
    if let Err(error) = open(&browser, url) {
        let name = browser.to_string_lossy();
        say(format_args!("cannot open {name}: {}; open the link yourself", reason(&error)));
    }
    Ok(())
}

/// Whether it is nothing but an address, also as a part of HTML.
fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"[]:./?=-_%".contains(&byte);
    rest.is_some_and(|rest| rest.bytes().all(is_part))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The program that opens links: what `BROWSER` names, or else that of the desktop, if there is one; a browser is not to
/// run as root unless it is named.
fn browser(variable: impl Fn(&str) -> Option<OsString>, is_root: bool) -> Option<OsString> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    // Several can be named, with colons between them.
    let named = set("BROWSER").and_then(|named| {
        let first = named.to_str()?.split(':').next()?.to_owned();
        Some(OsString::from(first)).filter(|name| !name.is_empty())
    });
    let has_desktop = set("WAYLAND_DISPLAY").is_some() || set("DISPLAY").is_some();
    named.or_else(|| (has_desktop && !is_root).then(|| "xdg-open".into()))
}

/// Opens a link by a file that leads to it: what a program is called with can be seen by every user of the host, and one of
/// them could be faster.
fn open(browser: &OsStr, url: &str) -> io::Result<()> {
    let folder = env::var_os("XDG_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let file = Leading::new(&folder, url)?;
    let mut command = Command::new(browser);
    command.arg(&file.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    // It may hand the file over to a browser that runs, and end; or be one, and go on.
    for _ in 0..20 {
        sleep(PATIENCE / 20);
        if child.try_wait()?.is_some_and(|status| !status.success()) {
            return Err(io::Error::other("it has failed"));
        }
    }
    Ok(())
}

/// A file that leads a browser to a link, for its owner; it goes when this is dropped.
struct Leading(PathBuf);

impl Leading {
    fn new(folder: &Path, url: &str) -> io::Result<Self> {
        for number in 0..1000 {
            let path = folder.join(format!("mutexctl-{}-{number}.html", std::process::id()));
            match File::options().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(mut file) => {
                    let leading = Leading(path);
                    writeln!(
                        file,
                        "<!DOCTYPE html><meta charset=\"utf-8\">\
                         <meta http-equiv=\"refresh\" content=\"0;url={url}\">\
                         <title>MUTEX</title><a href=\"{url}\">MUTEX</a>"
                    )?;
                    return Ok(leading);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        // The link in it can be followed once, and not for long.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_started_where_there_is_one() {
        let found = |variables: &[(&str, &str)], is_root| {
            let variable = |name: &str| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            };
            browser(variable, is_root).and_then(|name| name.into_string().ok()).unwrap_or_default()
        };
        assert_eq!(found(&[], false), "");
        assert_eq!(found(&[("DISPLAY", ":0")], false), "xdg-open");
        assert_eq!(found(&[("WAYLAND_DISPLAY", "wayland-0")], false), "xdg-open");
        assert_eq!(found(&[("DISPLAY", ":0")], true), "");
        assert_eq!(found(&[("DISPLAY", "")], false), "");
        assert_eq!(found(&[("BROWSER", "lynx:w3m")], true), "lynx");
        assert_eq!(found(&[("BROWSER", ""), ("DISPLAY", ":0")], false), "xdg-open");
    }

    #[test]
    fn only_links_are_opened() {
        assert!(is_url("http://127.0.0.1:8787/login?code=0a"));
        assert!(is_url("https://[::1]:8787/login?code=0a"));
        for wrong in
            ["", "file:///etc/passwd", "http://a\"b", "http://a b", "javascript:x", "http://a\n"]
        {
            assert!(!is_url(wrong), "{wrong:?}");
        }
    }
}
