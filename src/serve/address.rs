//! Where health and metrics are listened for, and as whom we may be asked. Nothing is opened here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What of a run is served and where; nothing unless it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where to listen; none: over the control socket alone.
    pub listen: Option<Address>,
    /// A name by which we may be asked, beside those of loopback.
    pub name: Option<String>,
    /// Holds the token, in place of one made at the start.
    pub token_file: Option<PathBuf>,
    /// Where metrics are written now and then: `.json`, `.csv` or `.prom`.
    pub metrics_file: Option<PathBuf>,
    /// How often.
    pub metrics_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: None,
            name: None,
            token_file: None,
            metrics_file: None,
            metrics_every: Duration::from_secs(15),
        }
    }
}

/// An address as it is typed: `9090`, `:9090`, `127.0.0.1:9090`, `[::1]:9090`, `localhost:9090`. Without
/// a host it is loopback's; no name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Address {
    /// Whether only this machine can reach it.
    pub fn is_loopback(self) -> bool {
        is_loopback(self.0.ip())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let typed = text.trim();
        let wrong = || {
            format!(
                "`{typed}` is no address to listen at; expected `9090`, `127.0.0.1:9090` or `[::1]:9090`"
            )
        };
        let loopback = |port: u16| Self(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        if let Ok(port) = typed.strip_prefix(':').unwrap_or(typed).parse() {
            return Ok(loopback(port));
        }
        if let Some((host, port)) = typed.rsplit_once(':')
            && host.eq_ignore_ascii_case("localhost")
        {
            return port.parse().map(loopback).map_err(|_| wrong());
        }
        typed.parse().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    }
}

/// Whether a `Host` means us: a name or an address of loopback, the `name` that we were given, or the
/// address of our own that was reached. Any other name leads here by somebody else's doing: a page
/// in a browser whose name was made to point at this machine reads what it likes otherwise.
pub fn is_ours(host: &str, name: Option<&str>, reached: IpAddr) -> bool {
    let Some(host) = without_port(host) else {
        return false;
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(host).parse::<IpAddr>() {
        let is_written_so = ip.is_ipv6() == bare.is_some();
        return is_written_so && (is_loopback(ip) || ip == reached);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || name.is_some_and(|name| host.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.rsplit_once(':') {
        // The colons of an address of version 6 stand in brackets.
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => return Some(host),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    is_port.then_some(name)
}

/// Whether this may be a name that we are asked by: letters, digits, `-` and `.`.
///
/// # Errors
/// Why not.
pub fn host_name(text: &str) -> Result<String, String> {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(is_sign)
        && text.parse::<Ipv6Addr>().is_err();
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is no name of a host; expected one such as `gpu7.example.org`, without a port"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_loopback_unless_another_is_written() {
        let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        for text in [
            "9090",
            ":9090",
            "127.0.0.1:9090",
            "localhost:9090",
            " 9090 ",
        ] {
            assert_eq!(read(text).as_deref(), Ok("127.0.0.1:9090"), "{text}");
        }
        assert_eq!(read("[::1]:0").as_deref(), Ok("[::1]:0"));
        let is_loopback = |text: &str| text.parse::<Address>().unwrap().is_loopback();
        for text in ["9090", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "192.0.2.7:1"] {
            assert!(!is_loopback(text), "{text}");
        }
        for text in [
            "",
            ":",
            "65536",
            "host:9090",
            "127.0.0.1",
            "::1:9090",
            "localhost:",
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains("expected `9090`"), "{text}: {why}");
        }
    }

    #[test]
    fn only_names_that_nobody_else_can_point_at_us_are_ours() {
        let reached = IpAddr::from([192, 0, 2, 7]);
        let ours = |host: &str| is_ours(host, Some("gpu7.example.org"), reached);
        for host in [
            "localhost",
            "LocalHost:9090",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.1.2.3",
            "[::1]",
            "[::1]:9090",
            "gpu7.example.org",
            "GPU7.example.org:9090",
            "192.0.2.7:9090",
        ] {
            assert!(ours(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:9090:1",
            "user@localhost",
            "::1",
            "[127.0.0.1]",
            "192.0.2.8",
            "[::1",
            "localhost:x",
        ] {
            assert!(!ours(host), "{host}");
        }
        assert!(!is_ours("gpu7.example.org", None, reached));
    }

    #[test]
    fn a_name_of_a_host_has_no_port_and_no_scheme() {
        assert!(host_name("gpu7.example.org").is_ok());
        for text in ["", "gpu7:9090", "http://gpu7", "gpu 7", "::1"] {
            assert!(host_name(text).is_err(), "{text}");
        }
    }
}
