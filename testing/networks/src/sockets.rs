//! Takes the UDP sockets of this process away from under it, as iOS does to apps in the background.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, SockaddrIn, SockaddrIn6, sendto, shutdown};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;

/// Shuts every UDP socket down, and gives what sending on each of them says since: `EPIPE`.
pub(crate) fn shut_down_all() -> io::Result<Vec<String>> {
    let mut answers = Vec::new();
    for (fd, is_v6) in udp_sockets()? {
        // An unconnected socket answers ENOTCONN and is shut down all the same (inet_shutdown in Linux).
        match shutdown(fd, Shutdown::Both) {
            Ok(()) | Err(Errno::ENOTCONN) => {}
            // It was closed meanwhile: one of an earlier time.
            Err(Errno::EBADF | Errno::ENOTSOCK) => continue,
            Err(error) => return Err(error.into()),
        }
        let sent = if is_v6 {
            let to = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 0));
            sendto(fd, b"x", &to, MsgFlags::MSG_NOSIGNAL)
        } else {
            let to = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));
            sendto(fd, b"x", &to, MsgFlags::MSG_NOSIGNAL)
        };
        answers.push(sent.map_or_else(|errno| format!("{errno:?}"), |n| format!("sent {n}")));
    }
    Ok(answers)
}

/// The descriptors that are UDP sockets, and whether of IPv6: those whose inode the kernel lists.
fn udp_sockets() -> io::Result<Vec<(RawFd, bool)>> {
    let inodes = |table: &str| -> io::Result<Vec<String>> {
        let table = fs::read_to_string(format!("/proc/self/net/{table}"))?;
        let inode = |line: &str| line.split_whitespace().nth(9).map(|inode| format!("socket:[{inode}]"));
        Ok(table.lines().skip(1).filter_map(inode).collect())
    };
    let (v4, v6) = (inodes("udp")?, inodes("udp6")?);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        let is_v6 = v6.contains(&target);
        if let (true, Ok(fd)) = (is_v6 || v4.contains(&target), entry.file_name().to_string_lossy().parse()) {
            found.push((fd, is_v6));
        }
    }
    Ok(found)
}
