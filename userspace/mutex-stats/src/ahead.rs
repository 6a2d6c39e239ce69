// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reading while what was read is being worked on.

use std::io;
use std::io::Read;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;

/// Reads in a thread of its own, some pieces ahead of who takes them: the kernel makes an image while
/// it is read, and on two processors that costs no time of who writes it in another format.
///
/// An error of the input comes where it happened, after what was read before it. The thread ends with
/// the input, or once this is dropped and what it was reading has come.
#[derive(Debug)]
pub struct Ahead {
    full: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    current: Vec<u8>,
    /// What was taken of `current`.
    taken: usize,
}

impl Ahead {
    /// Bytes that are read at a time.
    const PIECE: usize = 2 << 20;

    /// Pieces that there are: one that is taken, one that is read, one for whoever is quicker.
    const PIECES: usize = 3;

    /// Begins to read.
    ///
    /// # Errors
    ///
    /// Those of starting a thread.
    pub fn new(input: impl Read + Send + 'static) -> io::Result<Self> {
        let (empty, to_fill) = channel();
        let (filled, full) = channel();
        for _ in 0..Self::PIECES {
            // The other end is two lines above.
            let _ = empty.send(Vec::new());
        }
        thread::Builder::new().name("ahead".into()).spawn(move || {
            let mut input = input;
            for mut piece in to_fill {
                let result = read(&mut input, &mut piece).map(|()| piece);
                let is_last = result.as_ref().map_or(true, Vec::is_empty);
                if filled.send(result).is_err() || is_last {
                    break;
                }
            }
        })?;
        Ok(Ahead { full, empty, current: Vec::new(), taken: 0 })
    }
}

/// Reads a piece; an empty one is the end.
fn read(input: &mut impl Read, piece: &mut Vec<u8>) -> io::Result<()> {
    piece.resize(Ahead::PIECE, 0);
    loop {
        match input.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => {
                piece.truncate(result?);
                return Ok(());
            }
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.current.len() {
            // The thread has said why it ended, and nothing comes after that.
            let Ok(next) = self.full.recv() else { return Ok(0) };
            let before = std::mem::replace(&mut self.current, next?);
            self.taken = 0;
            // It may have ended.
            let _ = self.empty.send(before);
        }
        let rest = &self.current[self.taken..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    /// Gives bytes in portions, and then an error or the end; is interrupted all the time.
    struct Portions {
        bytes: Vec<u8>,
        portion: usize,
        fails: bool,
        calls: Arc<AtomicUsize>,
    }

    impl Read for Portions {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.calls.fetch_add(1, SeqCst) % 2 == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = self.portion.min(out.len()).min(self.bytes.len());
            if count == 0 && self.fails {
                return Err(io::Error::other("the disk is gone"));
            }
            out[..count].copy_from_slice(&self.bytes[..count]);
            self.bytes.drain(..count);
            Ok(count)
        }
    }

    fn ahead(size: usize, portion: usize, fails: bool) -> (Vec<u8>, Ahead, Arc<AtomicUsize>) {
        let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).expect("it fits")).collect();
        let calls = Arc::new(AtomicUsize::new(0));
        let input = Portions { bytes: bytes.clone(), portion, fails, calls: Arc::clone(&calls) };
        (bytes, Ahead::new(input).expect("there are threads"), calls)
    }

    #[test]
    fn all_comes_in_order_and_then_the_end() {
        for (size, portion) in [(0, 1), (1, 1), (5_000, 7), (3 << 20, 100_000), (9 << 20, 9 << 20)]
        {
            let (bytes, mut ahead, _) = ahead(size, portion, false);
            let mut read = Vec::new();
            ahead.read_to_end(&mut read).expect("nothing fails");
            assert!(read == bytes, "{size} bytes by {portion}");
            assert_eq!(ahead.read(&mut [0]).expect("nothing fails"), 0);
        }
    }

    #[test]
    fn an_error_comes_where_it_happened() {
        let (bytes, mut ahead, _) = ahead(2_500_000, 2 << 20, true);
        let mut read = Vec::new();
        let error = ahead.read_to_end(&mut read).expect_err("the disk is gone");
        assert_eq!(error.to_string(), "the disk is gone");
        assert!(read == bytes);
    }

    #[test]
    fn it_reads_no_further_than_it_has_pieces_and_ends_when_it_is_dropped() {
        let (_, ahead, calls) = ahead(1 << 20, 1, false);
        // Twice as many, because every other one is interrupted; and the input goes with the thread.
        while Arc::strong_count(&calls) == 2 && calls.load(SeqCst) < 2 * Ahead::PIECES {
            thread::yield_now();
        }
        thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(calls.load(SeqCst), 2 * Ahead::PIECES);
        drop(ahead);
        while Arc::strong_count(&calls) == 2 {
            thread::yield_now();
        }
    }
}
