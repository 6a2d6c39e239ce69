// SPDX-License-Identifier: MIT OR Apache-2.0

//! A folder that looks like `/proc/mutex`, or does not.

use std::fs;

use mutex_stats::Error;
use mutex_stats::File;
use mutex_stats::Image;
use mutex_stats::Proc;

use crate::any::balanced;
use crate::any::bytes;

#[test]
fn the_kernels_files_are_read() {
    let folder = tempfile::tempdir().expect("there is room");
    fs::write(folder.path().join("stats"), "format 1\nuptime_ns 5\n").expect("there is room");
    fs::write(folder.path().join("snapshot"), bytes(&balanced())).expect("there is room");
    let proc = Proc::new(folder.path());
    assert_eq!(proc.stats().expect("it is there").get("uptime_ns"), Some(5));

    let mut image = Image { untracked: Vec::new(), ..Image::default() };
    let reader = proc.snapshot().expect("it is there");
    reader.visit(&mut image).expect("the image is whole");
    assert_eq!(image.connections, balanced().connections);
    assert_eq!(image.untracked, balanced().untracked);
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().expect("there is room");
    let proc = Proc::new(folder.path().join("mutex"));
    let path = proc.folder().display().to_string();
    let sentence = |file| proc.open(file).expect_err("it is not there").to_string();

    assert!(matches!(proc.open(File::Stats), Err(Error::NotLoaded { .. })));
    assert_eq!(sentence(File::Snapshot), format!("MUTEX is not loaded: {path} does not exist"));

    fs::create_dir(proc.folder()).expect("there is room");
    assert!(matches!(proc.open(File::Stats), Err(Error::Missing { .. })));
    assert!(sentence(File::Fds).starts_with(&format!("{path}/fds does not exist")));

    fs::remove_dir(proc.folder()).expect("it is ours");
    fs::write(proc.folder(), "").expect("there is room");
    assert_eq!(sentence(File::Connections), format!("{path} is not a directory"));
}

#[test]
fn a_text_that_is_none_is_an_error() {
    let folder = tempfile::tempdir().expect("there is room");
    fs::write(folder.path().join("stats"), [0xff, 0xfe]).expect("there is room");
    let error = Proc::new(folder.path()).stats().expect_err("it is not text");
    assert!(error.to_string().starts_with("cannot read "), "{error}");
}
