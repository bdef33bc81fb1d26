//! Takes the UDP sockets of this process away from under it, as iOS does to apps in the background.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, SockaddrIn, SockaddrIn6, sendto, shutdown};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Shuts every UDP socket down, and gives what sending on each of them says since: `EPIPE`, or `replaced` where the
/// node was quicker, closed it and perhaps has another under the same number already.
pub(crate) fn shut_down_all() -> io::Result<Vec<String>> {
    let mut broken = Vec::new();
    for socket in udp_sockets()? {
        // An unconnected socket answers ENOTCONN and is shut down all the same (inet_shutdown in Linux).
        match shutdown(socket.fd, Shutdown::Both) {
            Ok(()) | Err(Errno::ENOTCONN) => broken.push(socket),
            // It was closed meanwhile: one of an earlier time.
            Err(Errno::EBADF | Errno::ENOTSOCK) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let answer = |socket: &UdpSocket| {
        let sent = if socket.is_v6 {
            let to = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 0));
            sendto(socket.fd, b"x", &to, MsgFlags::MSG_NOSIGNAL)
        } else {
            let to = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));
            sendto(socket.fd, b"x", &to, MsgFlags::MSG_NOSIGNAL)
        };
        match sent {
            Err(Errno::EPIPE) => "EPIPE".to_owned(),
            _ if socket.is_gone() => "replaced".to_owned(),
            other => format!("{other:?}"),
        }
    };
    Ok(broken.iter().map(answer).collect())
}

/// A UDP socket of this process.
struct UdpSocket {
    fd: RawFd,
    /// What the number stood for when it was found.
    target: PathBuf,
    is_v6: bool,
}

impl UdpSocket {
    fn is_gone(&self) -> bool {
        fs::read_link(format!("/proc/self/fd/{}", self.fd)).ok().is_none_or(|target| target != self.target)
    }
}

/// The descriptors that are UDP sockets: those whose inode the kernel lists.
fn udp_sockets() -> io::Result<Vec<UdpSocket>> {
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
        let name = target.to_string_lossy().into_owned();
        let is_v6 = v6.contains(&name);
        if let (true, Ok(fd)) = (is_v6 || v4.contains(&name), entry.file_name().to_string_lossy().parse()) {
            found.push(UdpSocket { fd, target, is_v6 });
        }
    }
    Ok(found)
}
