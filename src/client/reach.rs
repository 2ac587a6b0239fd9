//! How far a redirect may lead: a server's word must not make us call what only
//! we can reach, as a port of this machine, the metadata service of its cloud, or
//! a neighbour in its network.
//!
//! A literal address is judged as it stands, a name once it is resolved, by the
//! resolver that the connection is made with: no second look-up could answer
//! otherwise. Through a proxy, names are the proxy's to resolve.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Who can reach an address, those nearest to us first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// This machine, or whoever is on the same wire: loopback, link-local and what names no one machine.
    Near,
    /// The network around us: RFC 1918, RFC 4193, carriers' NAT (RFC 6598) and the like.
    Private,
    /// Everybody.
    Public,
}

impl Reach {
    /// That of an address. One that carries another inside is that other one.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => inside(address).map_or_else(|| of_v6(address), of_v4),
        }
    }

    /// That of an address's host where it is a literal or a name of this machine; none where it must be resolved.
    pub(super) fn of_host(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        if host == "localhost" || host.ends_with(".localhost") {
            return Some(Self::Near);
        }
        host.parse().ok().map(Self::of)
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        // "This network", loopback, link-local, multicast, reserved, broadcast.
        (0 | 127 | 224.., ..) | (169, 254, _) => Reach::Near,
        // RFC 1918 and 6598; IETF protocols and benchmarks, which no public server has.
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) => {
            Reach::Private
        }
        _ => Reach::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    let first = address.segments()[0];
    match first {
        // `::` and `::1`; link-local; multicast.
        _ if address.is_loopback() || address.is_unspecified() => Reach::Near,
        0xfe80..=0xfebf | 0xff00.. => Reach::Near,
        // Unique local; the site-local of old.
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Reach::Private,
        _ => Reach::Public,
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (RFC 6052, 8215) or 6to4.
fn inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(pair(high, low)),
        [0x64, 0xff9b, 1, _, _, _, high, low] | [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

/// Resolves names, and remembers which of them a redirect led to.
#[derive(Clone)]
pub(super) struct Names(Arc<Shared>);

struct Shared {
    /// The name in the base URL.
    base: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Names that must not lead nearer to us than the base URL does.
    bounded: HashSet<String>,
    /// Whether the base URL is at a private address: all of those that it was last resolved to.
    base_is_private: bool,
}

impl Names {
    /// Resolves for the server at `base`.
    pub(super) fn new(base: &Url) -> Self {
        let known = Known { base_is_private: Reach::of_host(base) == Some(Reach::Private), ..Known::default() };
        let base = base.host_str().unwrap_or_default().to_ascii_lowercase();
        Self(Arc::new(Shared { base, known: known.into() }))
    }

    /// Whether a redirect may lead to this address. A name is judged when it is resolved.
    pub(super) fn may_follow(&self, url: &Url) -> bool {
        match Reach::of_host(url) {
            Some(reach) => reach >= self.nearest(),
            None => {
                self.with(|known| known.bounded.insert(url.host_str().unwrap_or_default().to_ascii_lowercase()));
                true
            }
        }
    }

    fn nearest(&self) -> Reach {
        if self.with(|known| known.base_is_private) { Reach::Private } else { Reach::Public }
    }

    /// Keeps the addresses of a name that may be connected to.
    fn admit(&self, name: &str, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let name = name.to_ascii_lowercase();
        if name == self.0.base {
            let is_private = found.iter().all(|found| Reach::of(found.ip()) == Reach::Private);
            self.with(|known| known.base_is_private = is_private);
        }
        if !self.with(|known| known.bounded.contains(&name)) {
            return found;
        }
        let nearest = self.nearest();
        found.into_iter().filter(|found| Reach::of(found.ip()) >= nearest).collect()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.0.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let admitted = names.admit(name.as_str(), found);
            if admitted.is_empty() {
                return Err("the download was redirected to a name of this machine or its network".into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, Reach, Resolve as _, SocketAddr, Url};

    fn reach(host: &str) -> Option<Reach> {
        Reach::of_host(&Url::parse(&format!("https://{host}/x")).unwrap())
    }

    #[test]
    fn every_way_of_writing_an_address_is_seen_through() {
        for near in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0.0.0.0",
            "0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[64:ff9b:1::a9fe:a9fe]",
        ] {
            assert_eq!(reach(near), Some(Reach::Near), "{near}");
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fec0::1]",
            "[::ffff:10.1.2.3]",
            "[64:ff9b::c0a8:101]",
        ] {
            assert_eq!(reach(private), Some(Reach::Private), "{private}");
        }
        for public in ["9.255.255.255", "172.32.0.1", "100.128.0.1", "192.0.2.1", "[2001:db8::1]", "[::ffff:8.8.8.8]"] {
            assert_eq!(reach(public), Some(Reach::Public), "{public}");
        }
        for name in ["localhost.example", "notlocalhost", "10.0.0.1.example", "metadata.google.internal"] {
            assert_eq!(reach(name), None, "{name}");
        }
    }

    fn names(base: &str) -> Names {
        Names::new(&Url::parse(base).unwrap())
    }

    fn may(names: &Names, url: &str) -> bool {
        names.may_follow(&Url::parse(url).unwrap())
    }

    fn addresses(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| format!("{address}:0").parse().unwrap()).collect()
    }

    #[test]
    fn a_private_address_is_followed_only_from_a_private_one() {
        for (base, private) in
            [("https://api.example/v1", false), ("https://10.0.0.5/v1", true), ("https://127.0.0.1", false)]
        {
            let names = names(base);
            assert_eq!(may(&names, "https://192.168.0.9/f"), private, "{base}");
            assert!(!may(&names, "https://127.0.0.1/f") && !may(&names, "https://169.254.169.254/f"), "{base}");
            assert!(may(&names, "https://192.0.2.7/f") && may(&names, "https://cdn.example/f"), "{base}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_not_resolved_for_a_redirect() {
        let names = names("https://api.example/v1");
        let resolve = || names.resolve("localhost".parse().unwrap());
        assert!(resolve().await.is_ok(), "it stands in for a name that the machine itself knows");
        names.with(|known| known.bounded.insert("localhost".to_owned()));
        let refused = resolve().await.err().unwrap().to_string();
        assert!(refused.contains("was redirected"), "{refused}");
    }

    #[test]
    fn a_name_is_judged_by_what_it_resolves_to() {
        let names = names("https://api.example/v1");
        let mixed = addresses(&["127.0.0.1", "10.0.0.1", "192.0.2.1"]);
        assert_eq!(names.admit("proxy.corp", mixed.clone()), mixed, "no redirect led there");
        assert!(may(&names, "https://Rebound.example/f"));
        assert_eq!(names.admit("rebound.example", mixed.clone()), addresses(&["192.0.2.1"]));
        // Once the server itself is known to be private, so may others be.
        assert_eq!(names.admit("api.example", addresses(&["10.9.9.9"])).len(), 1);
        assert_eq!(names.admit("rebound.example", mixed), addresses(&["10.0.0.1", "192.0.2.1"]));
    }
}
