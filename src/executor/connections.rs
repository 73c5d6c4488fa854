//! Whether the job talks to other hosts: a connection that is stopped at this end may be given up at
//! the other.
//!
//! The tables of `/proc/PID/net/tcp` and `tcp6` have every connection of a network namespace, with the
//! inode of its socket, which `/proc/PID/fd` has as well. A connection within this host is in
//! the tables twice, once from each end; so whose other end is there is not remote, whatever addresses
//! the host has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::process::Process;

/// How many processes are looked at; a job of more is taken for one that talks.
const PROCESSES: usize = 64;
/// How many descriptors are, of all processes together.
const DESCRIPTORS: usize = 4096;
/// How long a table may be, in bytes: some 25,000 connections.
const TABLE: u64 = 4 << 20;
/// `TCP_ESTABLISHED` of the kernel's `tcp_states.h`.
const ESTABLISHED: u8 = 1;

/// One line of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    local: SocketAddr,
    remote: SocketAddr,
    is_established: bool,
    inode: u64,
}

/// Whether any of these has an established connection to another host. Where that cannot be seen with
/// bounded work, or at all, the answer is yes.
pub(super) fn are_remote(processes: &[Process]) -> bool {
    if processes.len() > PROCESSES {
        return true;
    }
    // By network namespace: whose tables to read, and the sockets.
    let mut namespaces: BTreeMap<std::path::PathBuf, (i32, BTreeSet<u64>)> = BTreeMap::new();
    let mut left = DESCRIPTORS;
    for process in processes {
        let pid = process.id.pid;
        let sockets = match sockets_of(pid, &mut left) {
            Ok(Some(sockets)) => sockets,
            Ok(None) => return true,
            // It ended meanwhile, or is somebody else's.
            Err(_) if !process.id.exists() => continue,
            Err(_) => return true,
        };
        if sockets.is_empty() {
            continue;
        }
        let namespace = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
        let entry = namespaces
            .entry(namespace)
            .or_insert((pid, BTreeSet::new()));
        entry.1.extend(sockets);
    }
    namespaces.into_values().any(|(pid, sockets)| {
        let (Ok(Some(mut all)), Ok(Some(more))) = (table(pid, "tcp"), table(pid, "tcp6")) else {
            return true;
        };
        all.extend(more);
        has_remote(&all, &sockets)
    })
}

/// The inodes of a process's sockets; `None` if it has more descriptors than are left to be looked at.
fn sockets_of(pid: i32, left: &mut usize) -> io::Result<Option<Vec<u64>>> {
    let mut sockets = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Some(fewer) = left.checked_sub(1) else {
            return Ok(None);
        };
        *left = fewer;
        // One that was closed meanwhile is none.
        let target = std::fs::read_link(entry?.path()).unwrap_or_default();
        let inode = target.to_str().and_then(|text| {
            let inode = text.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse::<u64>().ok()
        });
        sockets.extend(inode);
    }
    Ok(Some(sockets))
}

/// `None` if it is too long. A kernel without IPv6 has no such table, and no such connections.
fn table(pid: i32, name: &str) -> io::Result<Option<Vec<Connection>>> {
    let file = match File::open(format!("/proc/{pid}/net/{name}")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && name == "tcp6" => {
            return Ok(Some(Vec::new()));
        }
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(TABLE).read_to_string(&mut text)?;
    Ok((text.len() as u64 != TABLE).then(|| parse(&text)))
}

fn has_remote(all: &[Connection], sockets: &BTreeSet<u64>) -> bool {
    let ends: BTreeSet<(SocketAddr, SocketAddr)> =
        all.iter().map(|one| (one.local, one.remote)).collect();
    all.iter()
        .filter(|one| one.is_established && sockets.contains(&one.inode))
        .filter(|one| !one.remote.ip().is_loopback())
        .any(|one| !ends.contains(&(one.remote, one.local)))
}

/// proc_pid_net(5): a heading, then `sl local remote st tx:rx tr:when retrnsmt uid timeout inode …`.
fn parse(table: &str) -> Vec<Connection> {
    table.lines().skip(1).filter_map(connection).collect()
}

fn connection(line: &str) -> Option<Connection> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    Some(Connection {
        local,
        remote,
        is_established: state == ESTABLISHED,
        inode: words.nth(5)?.parse().ok()?,
    })
}

/// `0100007F:1F90`: words of four bytes as this machine has them in memory, and the port as a number.
fn address(word: &str) -> Option<SocketAddr> {
    let (digits, port) = word.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    let (words, rest) = digits.as_bytes().as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    for word in words {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        // One end may speak IPv4 and the other IPv4 within IPv6.
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    /// As Linux 6.18 prints them.
    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 100 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 101 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 102 1 0000000000000000 20 4 30 10 -1
   3: 0500A8C0:C352 0500A8C0:0050 01 00000000:00000000 00:00000000 00000000  1000        0 103 1 0000000000000000 20 4 30 10 -1
   4: 0500A8C0:C354 09430D02:01BB 01 00000000:00000000 02:00000A1B 00000000  1000        0 104 2 0000000000000000 20 4 30 10 -1
   5: 0500A8C0:C356 09430D02:01BB 06 00000000:00000000 03:00000A1B 00000000     0        0 0 3 0000000000000000
   6: 0500A8C0:C358 09430D02:01BB 08 00000000:00000000 00:00000000 00000000  1000        0 106 1 0000000000000000 20 4 30 10 -1
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F91 00000000000000000000000001000000:C35A 01 00000000:00000000 00:00000000 00000000  1000        0 201 1 0000000000000000 20 4 30 10 -1
   1: 0000000000000000FFFF00000500A8C0:0050 0000000000000000FFFF00000500A8C0:C352 01 00000000:00000000 00:00000000 00000000  1000        0 202 1 0000000000000000 20 4 30 10 -1
   2: B80D01200000000000000000010000FF:C35C B80D01200000000000000000020000FF:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 203 1 0000000000000000 20 4 30 10 -1
   3: 0000000000000000FFFF00000500A8C0:C35E 0000000000000000FFFF000009430D02:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 204 1 0000000000000000 20 4 30 10 -1
";

    fn all() -> Vec<Connection> {
        let mut all = parse(TCP);
        all.extend(parse(TCP6));
        all
    }

    #[test]
    fn only_an_established_connection_to_another_host_is_remote() {
        for (inode, is_remote, what) in [
            (100, false, "listens"),
            (101, false, "loopback"),
            (102, false, "loopback, the other end"),
            (
                103,
                false,
                "an address of this host, the other end within IPv6",
            ),
            (104, true, "another host"),
            (106, false, "the other host has closed it"),
            (201, false, "loopback of IPv6"),
            (202, false, "an address of this host, within IPv6"),
            (203, true, "another host by IPv6"),
            (204, true, "another host, within IPv6"),
            (999, false, "none"),
        ] {
            assert_eq!(
                has_remote(&all(), &BTreeSet::from([inode])),
                is_remote,
                "{what}"
            );
        }
    }

    #[test]
    fn addresses_are_read_as_they_are_meant() {
        let all = all();
        assert_eq!(all.len(), 11);
        assert_eq!(all[4].remote.to_string(), "2.13.67.9:443");
        assert_eq!(all[8].local.to_string(), "192.168.0.5:80");
        assert_eq!(all[9].remote.to_string(), "[2001:db8::ff00:2]:443");
    }

    #[test]
    fn a_torn_or_strange_line_is_no_connection() {
        for line in [
            "",
            "   0: 0100007F:1F90",
            "   0: 0100007F 0100007F:1 01 0:0 0:0 0 0 0 1",
            "   0: 01000:1 0100007F:1 01 0:0 0:0 0 0 0 1",
            "   0: 0100007F:1 0100007F:1 zz 0:0 0:0 0 0 0 1",
        ] {
            assert_eq!(connection(line), None, "{line}");
        }
    }
}
