//! What is asked of the kernel, and of the allocator, by calls that no library makes safe. The one file of Leno with `unsafe` code.
//!
//! **Giving back what is not needed any more.** A program's code is mapped from its file and becomes resident as it runs. A sidecar runs
//! most of its code once, at its start (settings, keys, the first handshake), and a small part of it for the rest of its life; nothing
//! takes the first part away again until the node is short of memory. [`release_code`] tells the kernel that it may: the pages leave the
//! process at once, stay in the page cache while there is room, and those that are needed come back by minor faults.
//!
//! What was allocated and freed stays with the allocator, for it may be needed again. After a burst (a whole mesh was read, many
//! proxies came) it will not be: [`release_freed`] gives those pages back too.
//!
//! **Many writes in one call.** Whoever is woken by a write takes the writer's place on the processor as soon as the call returns, and
//! finds one message. [`Batch`] makes all writes before that.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use nix::libc;
use nix::sys::mman::{MmapAdvise, madvise};

/// Lets go of all pages of code of this process, its own and its libraries'. Returns how many bytes of it are mapped.
///
/// # Errors
/// When `/proc/self/maps` cannot be read, or the kernel refuses.
pub fn release_code() -> io::Result<usize> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut total = 0;
    for range in maps.lines().filter_map(code) {
        let Some(start) = NonNull::new(std::ptr::without_provenance_mut::<c_void>(range.start)) else { continue };
        // SAFETY: the range is a whole private mapping of a file that can be read and executed and not written (`r-xp`),
        // so each page's content is the file's, and a later access reads it from there again: nothing that any code
        // could see changes. No reference to the range is made here.
        unsafe { madvise(start, range.len(), MmapAdvise::MADV_DONTNEED)? };
        total += range.len();
    }
    Ok(total)
}

/// Gives pages of the heap that hold nothing any more back to the kernel. It takes the allocator's locks for some
/// milliseconds; call it seldom, and not on a thread that others wait for. Does nothing with another C library than glibc.
pub fn release_freed() {
    // SAFETY: malloc_trim(3) takes a number of bytes and no pointer, may be called from any thread at any time, and
    // gives back free memory only, which nobody holds a reference to.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Linux's asynchronous I/O (io_submit(2)), used for writes to sockets, which it makes at once and in order. Unlike io_uring it is
/// allowed by the seccomp profiles that container runtimes have by default. A write to a socket that has ended raises SIGPIPE, which Rust's
/// start-up has ignored.
#[derive(Debug)]
pub struct Batch(libc::c_ulong);

/// One of many writes.
#[derive(Debug)]
pub struct Write<'a> {
    /// A socket that does not block.
    pub to: BorrowedFd<'a>,
    /// What is written.
    pub bytes: &'a [u8],
    /// How much of it was; `WouldBlock` where it was not tried.
    pub written: io::Result<usize>,
}

impl<'a> Write<'a> {
    /// One that is still to be made.
    pub fn new(to: BorrowedFd<'a>, bytes: &'a [u8]) -> Self {
        Self { to, bytes, written: Err(io::ErrorKind::WouldBlock.into()) }
    }
}

impl Batch {
    /// Writes that one call makes.
    pub const MOST: usize = 32;

    /// Room for such calls, some kilobytes in the kernel.
    ///
    /// # Errors
    /// Where the kernel has no such calls, a filter forbids them, or the node's limit is reached (`fs.aio-max-nr`).
    pub fn new() -> io::Result<Self> {
        let mut context: libc::c_ulong = 0;
        // SAFETY: io_setup(2) writes the new context's number to a place that is ours, and keeps no pointer.
        let answer = unsafe { libc::syscall(libc::SYS_io_setup, Self::MOST, &raw mut context) };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut batch = Self(context);
        // A filter could forbid this one alone, and then there would be no way to wait.
        batch.ended(&mut [Done::default(); Self::MOST], 0)?;
        Ok(batch)
    }

    /// Makes the writes, at most [`Batch::MOST`], and says of each what became of it.
    ///
    /// # Errors
    /// When the call itself is refused: then nothing was written.
    pub fn write(&mut self, writes: &mut [Write<'_>]) -> io::Result<()> {
        let most = writes.len().min(Self::MOST);
        let writes = &mut writes[..most];
        let mut requests = [Request::default(); Self::MOST];
        let mut pointers = [std::ptr::null_mut::<Request>(); Self::MOST];
        for (number, ((write, request), pointer)) in writes.iter().zip(&mut requests).zip(&mut pointers).enumerate() {
            request.number = number as u64;
            request.operation = PWRITE;
            request.socket = write.to.as_raw_fd().cast_unsigned();
            request.buffer = write.bytes.as_ptr() as u64;
            request.length = write.bytes.len() as u64;
            *pointer = request;
        }
        // SAFETY: the kernel reads `writes.len()` pointers, each to a whole request that nobody else refers to, while the call runs, and
        // writes to the requests' `key`. What the requests point to is only read, and borrowed by `writes` for longer than that lasts: all
        // that were taken are waited for below. The sockets are open, as they are borrowed.
        let taken = unsafe { libc::syscall(libc::SYS_io_submit, self.0, writes.len(), pointers.as_mut_ptr()) };
        let taken = usize::try_from(taken).map_err(|_| io::Error::last_os_error())?;
        self.wait(taken, |done| {
            if let Some(write) = usize::try_from(done.number).ok().and_then(|n| writes.get_mut(n)) {
                write.written = usize::try_from(done.result)
                    .map_err(|_| io::Error::from_raw_os_error(i32::try_from(-done.result).unwrap_or(libc::EIO)));
            }
        });
        Ok(())
    }

    /// Waits for the end of so many, which have ended already where they were for sockets that do not block.
    fn wait(&mut self, mut taken: usize, mut each: impl FnMut(&Done)) {
        let mut done = [Done::default(); Self::MOST];
        while taken > 0 {
            // A signal may interrupt it. There is no other reason to fail, as it was tried at the start.
            let ended = self.ended(&mut done, taken).unwrap_or(0);
            done.iter().take(ended).for_each(&mut each);
            taken -= ended.min(taken);
        }
    }

    /// Waits until at least so many have ended, at most as many as there is room for.
    fn ended(&mut self, done: &mut [Done; Self::MOST], least: usize) -> io::Result<usize> {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let patience = if least == 0 { &raw const at_once } else { std::ptr::null() };
        // SAFETY: the kernel writes at most `MOST` results to `done`, which has room for them, and reads a time that lives until it returns.
        let ended =
            unsafe { libc::syscall(libc::SYS_io_getevents, self.0, least, Self::MOST, done.as_mut_ptr(), patience) };
        usize::try_from(ended).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: io_destroy(2) takes the number of a context, which nobody uses any more, and no pointer.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

/// `struct iocb` of `linux/aio_abi.h`. Fields without a meaning here are zero.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Request {
    number: u64,
    /// `aio_key` and `aio_rw_flags`, in an order that depends on the machine's.
    key: [u32; 2],
    operation: u16,
    priority: i16,
    socket: u32,
    buffer: u64,
    length: u64,
    /// Where in a file; a socket wants zero.
    offset: i64,
    reserved: u64,
    flags: u32,
    notify: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Done {
    number: u64,
    request: u64,
    result: i64,
    more: i64,
}

/// `IOCB_CMD_PWRITE`.
const PWRITE: u16 = 1;

/// The addresses of a line of `/proc/PID/maps` (proc(5)) that is code from a file.
fn code(line: &str) -> Option<std::ops::Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (addresses, access) = (fields.next()?, fields.next()?);
    let (_offset, _device, inode) = (fields.next()?, fields.next()?, fields.next()?);
    if access != "r-xp" || inode == "0" || !fields.next()?.starts_with('/') {
        return None;
    }
    let (start, end) = addresses.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::{Batch, Write, code, release_code, release_freed};

    #[test]
    fn many_writes_end_each_by_itself() {
        let pairs: Vec<_> = (0..Batch::MOST).map(|_| UnixStream::pair().expect("sockets")).collect();
        let texts: Vec<String> = (0..pairs.len()).map(|i| "x".repeat(i + 1)).collect();
        for (here, _) in &pairs {
            here.set_nonblocking(true).expect("an option");
        }
        // One that takes no more, and one whose peer is gone.
        while std::io::Write::write(&mut &pairs[3].0, &[0; 4096]).is_ok() {}
        pairs[5].1.shutdown(std::net::Shutdown::Both).expect("it ends");
        let mut writes: Vec<Write<'_>> =
            pairs.iter().zip(&texts).map(|((here, _), text)| Write::new(here.as_fd(), text.as_bytes())).collect();
        let mut batch = Batch::new().expect("asynchronous I/O");
        for _ in 0..2 {
            batch.write(&mut writes).expect("it is allowed");
        }
        for (i, write) in writes.iter().enumerate() {
            match (i, &write.written) {
                (3, Err(error)) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                (5, Err(error)) => assert_eq!(error.kind(), ErrorKind::BrokenPipe),
                (_, Ok(written)) => assert_eq!(*written, i + 1),
                (_, Err(error)) => panic!("{i}: {error}"),
            }
        }
        for (i, (_, there)) in pairs.iter().enumerate().filter(|(i, _)| ![3, 5].contains(i)) {
            let mut read = vec![0; 2 * (i + 1)];
            (&*there).read_exact(&mut read).expect("it came twice");
            assert!(read.iter().all(|b| *b == b'x'));
        }
    }

    #[test]
    fn only_code_from_files_is_let_go() {
        let code_of = |access: &str, rest: &str| code(&format!("1000-3000 {access} 00000000 fe:00 {rest}"));
        assert_eq!(code_of("r-xp", "12 /usr/bin/leno-proxy"), Some(0x1000..0x3000));
        for (access, rest) in [
            ("r--p", "12 /usr/bin/leno-proxy"),
            ("rw-p", "12 /usr/bin/leno-proxy"),
            ("rwxp", "12 /usr/bin/leno-proxy"),
            ("r-xp", "0 [vdso]"),
            ("r-xp", "0"),
        ] {
            assert_eq!(code_of(access, rest), None, "{access} {rest}");
        }
        assert_eq!(code("nonsense"), None);
        assert_eq!(code("3000-1000 r-xp 0 0:0 12 /x"), None);
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn what_was_freed_is_given_back() {
        let resident = crate::process::resident_bytes;
        // Too small to be mapped one by one; the last one keeps the end of the heap where it is.
        let mut blocks: Vec<Vec<u8>> = (0..16_384).map(|_| vec![1; 4096]).collect();
        let last = blocks.pop();
        drop(blocks);
        let before = resident();
        release_freed();
        let after = resident();
        assert!(after + (32 << 20) < before, "{before} {after}");
        assert!(last.is_some());
    }

    #[test]
    fn a_process_goes_on_afterwards() {
        let mapped = release_code().expect("the kernel agrees");
        assert!(mapped > 100_000, "{mapped}");
        assert_eq!((1..=10).sum::<u32>(), 55);
    }
}
