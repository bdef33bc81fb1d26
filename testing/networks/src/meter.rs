//! What a process takes from the machine, as Linux tells it under /proc.

use std::fs;

/// Memory in use, in bytes.
pub fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).expect("the process lives");
    let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("statm has a second number");
    // Of every machine these tests run on.
    pages * 4096
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives").count()
}

/// Processor time used so far, user and system, in hundredths of a second.
pub fn processor(pid: u32) -> u64 {
    let fields = after_name(pid);
    fields[11..13].iter().map(|n| n.parse::<u64>().expect("a number")).sum()
}

/// The state of the process: `T` while it is stopped.
pub fn state(pid: u32) -> char {
    after_name(pid)[0].chars().next().expect("a letter")
}

/// The fields of stat after the name, which may hold anything: state, parent, and so on.
fn after_name(pid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let (_, rest) = stat.rsplit_once(')').expect("the name is in parentheses");
    rest.split_whitespace().map(str::to_owned).collect()
}

/// Bytes that wait to be read on the UDP socket at 127.0.0.1 and this port.
pub fn waiting(port: u16) -> u64 {
    let queues = udp(port, 4);
    let (_, read) = queues.split_once(':').expect("two queues");
    u64::from_str_radix(read, 16).expect("a number")
}

/// Datagrams that the UDP socket at 127.0.0.1 and this port could not take.
pub fn lost(port: u16) -> u64 {
    udp(port, 12).parse().expect("a number")
}

/// A column of the kernel's list of UDP sockets.
fn udp(port: u16, column: usize) -> String {
    let table = fs::read_to_string("/proc/net/udp").expect("Linux lists its sockets");
    let wanted = format!("0100007F:{port:04X}");
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|fields| fields.get(1).is_some_and(|local| *local == wanted));
    (*line.expect("the socket is there").get(column).expect("as many columns")).to_owned()
}
