// SPDX-License-Identifier: MIT OR Apache-2.0

//! A race and a read of what is not there, as the only argument says: a sanitizer that finds neither
//! proves nothing.

use std::hint::black_box;
use std::ptr;
use std::thread;

static mut SHARED: u64 = 0;

fn add() {
    for _ in 0..1000 {
        // SAFETY: none. That nobody keeps the other thread out is the fault to be found.
        unsafe { SHARED = black_box(ptr::read(&raw const SHARED)) + 1 };
    }
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("thread") {
        let other = thread::spawn(add);
        add();
        other.join().expect("it adds");
    } else {
        let words = black_box(vec![1u64; 4]);
        // SAFETY: none. That there is no fifth word is the fault to be found.
        println!("{}", unsafe { words.as_ptr().add(4).read() });
    }
}
