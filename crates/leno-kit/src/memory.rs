//! Giving back what is not needed any more. The one file of Leno with `unsafe` code.
//!
//! A program's code is mapped from its file and becomes resident as it runs. A sidecar runs most of its code once, at its
//! start (settings, keys, the first handshake), and a small part of it for the rest of its life; nothing takes the first
//! part away again until the node is short of memory. [`release_code`] tells the kernel that it may: the pages leave the
//! process at once, stay in the page cache while there is room, and those that are needed come back by minor faults.
//!
//! What was allocated and freed stays with the allocator, for it may be needed again. After a burst (a whole mesh was read, many
//! proxies came) it will not be: [`release_freed`] gives those pages back too.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs;
use std::io;
use std::ptr::NonNull;

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
        nix::libc::malloc_trim(0);
    }
}

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
    use super::{code, release_code, release_freed};

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
