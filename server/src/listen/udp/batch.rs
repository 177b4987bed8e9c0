//! Batches of datagrams: `recvmmsg` and `sendmmsg` over buffers that are allocated once.
//!
//! This is the only file of the project with `unsafe`: everything that passes pointers to the kernel is here, and only
//! slices and socket addresses leave it. Buffers are not cleared between rounds: the kernel reports the length of each
//! datagram, and no octet beyond that is ever exposed.
#![allow(unsafe_code)]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    io,
    mem::size_of,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
    ptr::{self, NonNull},
    slice,
};

/// The most datagrams in a round. Beyond 64, the system calls no longer show in a profile, and replies wait longer for
/// their batch.
const BATCH: usize = 64;

/// The octets of a request that are kept. A query has fewer than 600, and an UPDATE that needs more belongs on TCP.
/// When a larger datagram is cut off, its counts disagree with its length, so it is answered with FORMERR.
const REQUEST: usize = 4096;

/// The most octets of a reply: `max-udp-size` cannot be set higher.
const REPLY: usize = 4096;

/// The distance between buffers: an odd number of cache lines, because 64 buffers exactly 4096 octets apart would put
/// all their headers into the same set of the first-level cache.
const STRIDE: usize = 4096 + 64;

/// Room for the one control message that is requested, `IP_PKTINFO` or `IPV6_PKTINFO`, aligned as the kernel requires.
#[repr(C, align(8))]
struct Control([u8; 40]);

/// The memory that the kernel reads and writes. Every pointer in the headers points into this same allocation.
#[repr(C)]
struct Slots {
    received: [libc::mmsghdr; BATCH],
    replies: [libc::mmsghdr; BATCH],
    request_parts: [libc::iovec; BATCH],
    reply_parts: [libc::iovec; BATCH],
    /// `sockaddr_in6` also has room for a `sockaddr_in`.
    peers: [libc::sockaddr_in6; BATCH],
    controls: [Control; BATCH],
    requests: [[u8; STRIDE]; BATCH],
    reply_bytes: [[u8; STRIDE]; BATCH],
}

/// A received datagram, as passed to the responder.
pub(super) struct Datagram<'a> {
    pub bytes: &'a [u8],
    pub peer: SocketAddr,
    /// The address that the datagram was sent to.
    pub local: SocketAddr,
}

/// One round of datagrams and the replies to them.
///
/// A batch is owned by one thread: the raw pointer makes it neither `Send` nor `Sync`.
pub(super) struct Batch {
    /// Invariant: a live allocation of `Slots`, exclusively owned, initialised, its headers set up by `new`.
    slots: NonNull<Slots>,
    bound: SocketAddr,
    /// The number of slots filled by the last `receive`; at most `BATCH`.
    received: usize,
    /// The number of replies queued by the last `answer`; at most `received`.
    replies: usize,
}

impl Batch {
    /// Allocates buffers for a socket bound to `bound`. If that is a wildcard address, [`ask_for_destination`] must
    /// have been called on the socket; replies are then sent from the address that the request was sent to.
    pub(super) fn new(bound: SocketAddr) -> Batch {
        let layout = Layout::new::<Slots>();
        // SAFETY: the layout's size is not zero.
        #[expect(clippy::cast_ptr_alignment, reason = "the layout that was asked for has the alignment")]
        let Some(slots) = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<Slots>()) else {
            handle_alloc_error(layout)
        };
        let this = slots.as_ptr();
        for i in 0..BATCH {
            // SAFETY: `this` is valid for writes, and all-zero is a valid value of every field of `Slots` (C structs of
            // integers and pointers, and bytes). `i` is below the length of each array, so all pointers stored stay
            // inside the allocation; they are as long-lived as the headers, being in the same allocation.
            unsafe {
                (*this).request_parts[i] =
                    libc::iovec { iov_base: (&raw mut (*this).requests[i]).cast(), iov_len: REQUEST };
                (*this).reply_parts[i] = libc::iovec { iov_base: (&raw mut (*this).reply_bytes[i]).cast(), iov_len: 0 };
                let header = &raw mut (*this).received[i].msg_hdr;
                (*header).msg_name = (&raw mut (*this).peers[i]).cast();
                (*header).msg_iov = &raw mut (*this).request_parts[i];
                (*header).msg_iovlen = 1;
                let header = &raw mut (*this).replies[i].msg_hdr;
                (*header).msg_iov = &raw mut (*this).reply_parts[i];
                (*header).msg_iovlen = 1;
            }
        }
        // As if all slots had been used: the first `receive` then sets the lengths that must be set before every round.
        Batch { slots, bound, received: BATCH, replies: 0 }
    }

    /// Waits for a datagram, receives those available (up to 64) and returns how many.
    ///
    /// Errors are those of the socket, for example `WouldBlock` if its receive timeout passed without a datagram.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let this = self.slots.as_ptr();
        let wants_destination = self.bound.ip().is_unspecified();
        for i in 0..std::mem::take(&mut self.received) {
            // SAFETY: `slots` is live and ours, `i` is below BATCH. The control buffer given is the slot's own.
            unsafe {
                let header = &raw mut (*this).received[i].msg_hdr;
                (*header).msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                if wants_destination {
                    (*header).msg_control = (&raw mut (*this).controls[i]).cast();
                    (*header).msg_controllen = size_of::<Control>() as _;
                }
            }
        }
        // SAFETY: the headers point to BATCH valid slots whose buffers have the stated lengths and to which nothing
        // else refers: the slices lent by `answer` ended with it.
        let n = unsafe {
            let headers = (&raw mut (*this).received).cast();
            libc::recvmmsg(socket.as_raw_fd(), headers, BATCH as _, libc::MSG_WAITFORONE as _, ptr::null_mut())
        };
        let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
        // The kernel never returns more than requested; `min` keeps the field's invariant independent of that.
        self.received = n.min(BATCH);
        Ok(self.received)
    }

    /// Calls `respond` to write a reply to each datagram of the round; `None` sends nothing.
    pub(super) fn answer(&mut self, mut respond: impl FnMut(Datagram<'_>, &mut [u8]) -> Option<usize>) {
        let this = self.slots.as_ptr();
        self.replies = 0;
        for i in 0..self.received {
            let Some(peer) = self.peer(i) else { continue };
            // SAFETY: `slots` is live and ours; `i` and `self.replies <= i` are below BATCH. The two slices lie in
            // different arrays, each within its buffer (`min` for the request's), and end before the next system call.
            // All bytes are initialised: zeroed at first, then written by the kernel or by `respond`.
            let (bytes, out) = unsafe {
                let len = ((*this).received[i].msg_len as usize).min(REQUEST);
                let request = (&raw const (*this).requests[i]).cast::<u8>();
                let reply = (&raw mut (*this).reply_bytes[self.replies]).cast::<u8>();
                (slice::from_raw_parts(request, len), slice::from_raw_parts_mut(reply, REPLY))
            };
            let local = self.local(i);
            if let Some(len) = respond(Datagram { bytes, peer, local }, out) {
                self.queue(i, len.min(REPLY));
            }
        }
    }

    /// Sends the replies of the round and returns how many the kernel did not accept.
    ///
    /// It never waits: a reply that cannot be sent now (send buffer full, no route, refused by a firewall) is dropped
    /// and the next one tried, since the client will ask again.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> usize {
        let this = self.slots.as_ptr();
        let (mut done, mut dropped) = (0, 0);
        while done < self.replies {
            // SAFETY: headers `done..replies` were set up by `queue` in this round: they point to initialised buffers
            // in `slots`, to which nothing else refers. `done < replies <= BATCH`.
            let n = unsafe {
                let headers = (&raw mut (*this).replies).cast::<libc::mmsghdr>().add(done);
                libc::sendmmsg(socket.as_raw_fd(), headers, (self.replies - done) as _, libc::MSG_DONTWAIT as _)
            };
            match usize::try_from(n) {
                Ok(n) if n > 0 => done += n,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    done += 1;
                    dropped += 1;
                }
            }
        }
        self.replies = 0;
        dropped
    }

    /// Queues a reply of `len` octets to the sender of datagram `i`.
    fn queue(&mut self, i: usize, len: usize) {
        let this = self.slots.as_ptr();
        // SAFETY: `slots` is live and ours, `i < BATCH`, `replies <= i`. Name and control are those that the kernel
        // filled in for slot `i`, with the lengths it gave, and stay untouched until the next `receive`, which follows
        // `send`.
        unsafe {
            let request = &raw const (*this).received[i].msg_hdr;
            let reply = &raw mut (*this).replies[self.replies].msg_hdr;
            (*reply).msg_name = (*request).msg_name;
            (*reply).msg_namelen = (*request).msg_namelen;
            (*reply).msg_control = (*request).msg_control;
            (*reply).msg_controllen = (*request).msg_controllen;
            (*this).reply_parts[self.replies].iov_len = len;
        }
        self.replies += 1;
    }

    /// The sender of datagram `i`; `None` if there is nobody to reply to (port 0, or no address at all).
    fn peer(&self, i: usize) -> Option<SocketAddr> {
        let this = self.slots.as_ptr();
        // SAFETY: `slots` is live and ours, `i < BATCH`. The kernel wrote `msg_namelen` bytes of the address family's
        // structure, and both structures fit into the slot; integers are valid whatever their bits.
        let (name, len) = unsafe { (&raw const (*this).peers[i], (*this).received[i].msg_hdr.msg_namelen as usize) };
        let peer = match self.bound {
            SocketAddr::V4(_) if len >= size_of::<libc::sockaddr_in>() => {
                // SAFETY: as above; `sockaddr_in6` is larger than `sockaddr_in` and aligned at least as strictly.
                let name = unsafe { name.cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
                SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(name.sin_port)))
            }
            SocketAddr::V6(_) if len >= size_of::<libc::sockaddr_in6>() => {
                // SAFETY: as above.
                let name = unsafe { name.read() };
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                let port = u16::from_be(name.sin6_port);
                SocketAddr::V6(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id))
            }
            _ => return None,
        };
        (peer.port() != 0).then_some(peer)
    }

    /// The address that datagram `i` was sent to. Also prepares its control message for the reply.
    fn local(&mut self, i: usize) -> SocketAddr {
        if !self.bound.ip().is_unspecified() {
            return self.bound;
        }
        let this = self.slots.as_ptr();
        // SAFETY: `slots` is live and ours, `i < BATCH`. The kernel left in `msg_controllen` how many bytes of control
        // messages it wrote; the CMSG macros stay within that, and the payload is read unaligned and only if the
        // message's own length covers it. The write goes to the bytes just read.
        unsafe {
            let header = &raw const (*this).received[i].msg_hdr;
            let control = libc::CMSG_FIRSTHDR(header);
            if control.is_null() {
                return self.bound;
            }
            let holds = |len: usize| (*control).cmsg_len as usize >= libc::CMSG_LEN(len as _) as usize;
            let data = libc::CMSG_DATA(control);
            let ip = match ((*control).cmsg_level, (*control).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if holds(size_of::<libc::in_pktinfo>()) => {
                    let mut info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    // The routing table chooses the way back, not the interface on which the request happened to
                    // arrive.
                    info.ipi_ifindex = 0;
                    data.cast::<libc::in_pktinfo>().write_unaligned(info);
                    IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)))
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds(size_of::<libc::in6_pktinfo>()) => {
                    let mut info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    // A link-local address is meaningless without its interface.
                    if !ip.is_unicast_link_local() {
                        info.ipi6_ifindex = 0;
                    }
                    data.cast::<libc::in6_pktinfo>().write_unaligned(info);
                    IpAddr::V6(ip)
                }
                _ => return self.bound,
            };
            SocketAddr::new(ip, self.bound.port())
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and nothing refers to it any more. `Slots` needs no drop.
        unsafe { dealloc(self.slots.as_ptr().cast(), Layout::new::<Slots>()) }
    }
}

/// Sends a datagram to `peer` through a socket bound to `bound`, from the address `local`. Does not wait.
pub(in crate::listen) fn send_from(
    socket: &UdpSocket,
    bound: SocketAddr,
    local: SocketAddr,
    peer: SocketAddr,
    octets: &[u8],
) -> io::Result<()> {
    let name = socket2::SockAddr::from(peer);
    let mut control = Control([0; 40]);
    let mut part = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    // SAFETY: all-zero is a valid `msghdr`. The pointers stored are to live locals and to `octets`, which the kernel
    // only reads, with their lengths.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = name.as_ptr().cast_mut().cast();
    header.msg_namelen = name.len();
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if bound.ip().is_unspecified() {
        header.msg_control = (&raw mut control).cast();
        // SAFETY: `control` is aligned for a `cmsghdr` and has room for one with either structure (16 + 12 or 20
        // octets); CMSG_FIRSTHDR and CMSG_DATA stay within it because `msg_controllen` is its size.
        unsafe {
            header.msg_controllen = size_of::<Control>() as _;
            let message = libc::CMSG_FIRSTHDR(&raw const header);
            let data = libc::CMSG_DATA(message);
            let (level, kind, size) = match local.ip() {
                IpAddr::V4(ip) => {
                    let mut info: libc::in_pktinfo = std::mem::zeroed();
                    info.ipi_spec_dst.s_addr = u32::from(ip).to_be();
                    data.cast::<libc::in_pktinfo>().write_unaligned(info);
                    (libc::IPPROTO_IP, libc::IP_PKTINFO, size_of::<libc::in_pktinfo>())
                }
                IpAddr::V6(ip) => {
                    let mut info: libc::in6_pktinfo = std::mem::zeroed();
                    info.ipi6_addr.s6_addr = ip.octets();
                    data.cast::<libc::in6_pktinfo>().write_unaligned(info);
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>())
                }
            };
            (*message).cmsg_level = level;
            (*message).cmsg_type = kind;
            (*message).cmsg_len = libc::CMSG_LEN(size as _) as _;
            header.msg_controllen = libc::CMSG_SPACE(size as _) as _;
        }
    }
    // SAFETY: the header is set up above, and what it points to is alive.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the kernel report the destination address of each datagram. Needed for sockets bound to a wildcard address.
pub(super) fn ask_for_destination(socket: &UdpSocket, bound: SocketAddr) -> io::Result<()> {
    match bound {
        SocketAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        SocketAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

/// Ignores path MTUs that strangers announce by ICMP: datagrams are fragmented only by the interface's MTU, so a forged
/// "fragmentation needed" cannot cause fragmented replies, which would be open to forged fragments.
pub(super) fn ignore_path_mtu(socket: &UdpSocket, bound: SocketAddr) -> io::Result<()> {
    match bound {
        SocketAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        SocketAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
    }
}

fn set_option(socket: &UdpSocket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer is to a live integer, and the length is its size.
    let result = unsafe {
        let len = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
