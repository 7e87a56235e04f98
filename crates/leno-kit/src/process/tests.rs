#[test]
fn cpu_time_is_found_behind_any_process_name() {
    let stat = "7 (a) b (c) S 1 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
    assert_eq!(super::times(stat), Some(3.0));
}

#[test]
fn this_process_has_memory_and_files() {
    let process = super::Process::read(std::time::SystemTime::now());
    assert!(process.resident_bytes > 100_000, "{process:?}");
    assert!(process.open_fds >= 3, "{process:?}");
}
