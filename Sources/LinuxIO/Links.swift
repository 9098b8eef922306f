internal import CLinux
internal import Glibc

/// A network device as the kernel describes it.
package struct Link: Hashable, Sendable {
    /// The device's number, unique in its namespace.
    package let index: UInt32
    package let name: String
    /// Octets.
    package let mtu: Int
    package let isUp: Bool
    package let isLoopback: Bool
}

extension Netlink {
    /// The device of a name; nil when there is none.
    package mutating func link(named name: String) throws(SystemError) -> Link? {
        guard (1...15).contains(name.utf8.count) else { return nil }
        var request = NetlinkRequest(Int(RTM_GETLINK), flags: Int32(NLM_F_ACK), fixed: Self.linkHeader(0))
        request.attribute(Int(IFLA_IFNAME), Array(name.utf8) + [0])
        do {
            return try get(request, "RTM_GETLINK", "device \(name)").lazy.compactMap(Self.link).first
        } catch  where error.number == ENODEV {
            return nil
        }
    }

    /// All devices.
    package mutating func links() throws(SystemError) -> [Link] {
        try list(NetlinkRequest(Int(RTM_GETLINK), flags: Int32(NLM_F_DUMP), fixed: Self.linkHeader(0)), "RTM_GETLINK", "devices")
            .compactMap(Self.link)
    }

    /// Sets a device up or down.
    package mutating func setUp(_ index: UInt32, _ isUp: Bool = true) throws(SystemError) {
        let up = UInt32(IFF_UP)
        let request = NetlinkRequest(Int(RTM_NEWLINK), flags: Int32(NLM_F_ACK), fixed: Self.linkHeader(index, flags: isUp ? up : 0, change: up))
        try change(request, "RTM_NEWLINK", "device \(index)")
    }

    /// Sets a device's MTU, in octets.
    package mutating func setMTU(_ index: UInt32, _ mtu: Int) throws(SystemError) {
        var request = NetlinkRequest(Int(RTM_NEWLINK), flags: Int32(NLM_F_ACK), fixed: Self.linkHeader(index))
        request.attribute(Int(IFLA_MTU), UInt32(clamping: mtu))
        try change(request, "RTM_NEWLINK", "device \(index), MTU \(mtu)", hint: "the device takes no such MTU")
    }

    /// Sets how many packets wait for us on a device before the kernel drops.
    package mutating func setQueueLength(_ index: UInt32, _ packets: Int) throws(SystemError) {
        var request = NetlinkRequest(Int(RTM_NEWLINK), flags: Int32(NLM_F_ACK), fixed: Self.linkHeader(index))
        request.attribute(Int(IFLA_TXQLEN), UInt32(clamping: packets))
        try change(request, "RTM_NEWLINK", "device \(index), queue of \(packets)")
    }

    /// Stops the kernel from giving a device an IPv6 link-local address of its own: nobody on our side of a TUN device would answer to it.
    package mutating func withholdLinkLocalAddress(_ index: UInt32) throws(SystemError) {
        var request = NetlinkRequest(Int(RTM_NEWLINK), flags: Int32(NLM_F_ACK), fixed: Self.linkHeader(index))
        let mode = NetlinkRequest.nested([(Int(IFLA_INET6_ADDR_GEN_MODE), [UInt8(IN6_ADDR_GEN_MODE_NONE.rawValue)])])
        request.attribute(Int(IFLA_AF_SPEC), NetlinkRequest.nested([(Int(AF_INET6), mode)]))
        try change(request, "RTM_NEWLINK", "device \(index), IPv6 address generation")
    }

    /// Lets packets in whose source is an address of this host: ICMP messages of ours that a TUN device's owner writes for others. Without it the
    /// kernel takes them for martians.
    package mutating func acceptLocalSources(_ index: UInt32) throws(SystemError) {
        var request = NetlinkRequest(Int(RTM_NEWLINK), flags: Int32(NLM_F_ACK), fixed: Self.linkHeader(index))
        // IPV4_DEVCONF_ACCEPT_LOCAL of <linux/ip.h>, which cannot be imported beside the C library's <netinet/ip.h>
        let setting = NetlinkRequest.nested([(23, NetlinkRequest.native(UInt32(1)))])
        let ipv4 = NetlinkRequest.nested([(Int(IFLA_INET_CONF), setting)])
        request.attribute(Int(IFLA_AF_SPEC), NetlinkRequest.nested([(Int(AF_INET), ipv4)]))
        try change(request, "RTM_NEWLINK", "device \(index), accept_local")
    }

    /// Whether this namespace has IPv6 at all (a kernel may be built or started without).
    package func hasIPv6() -> Bool {
        unsafe access("/proc/sys/net/ipv6", F_OK) == 0
    }

    /// Moves a device to another namespace. Its addresses, routes and its being up stay behind; its open queues go on.
    package mutating func move(_ index: UInt32, to namespace: borrowing NetworkNamespace) throws(SystemError) {
        var request = NetlinkRequest(Int(RTM_NEWLINK), flags: Int32(NLM_F_ACK), fixed: Self.linkHeader(index))
        request.attribute(Int(IFLA_NET_NS_FD), UInt32(bitPattern: namespace.descriptor))
        try change(
            request, "RTM_NEWLINK", "device \(index) to network namespace \(namespace.name)", hint: "is there a device of that name already?")
    }

    /// Deletes a device.
    package mutating func delete(_ index: UInt32) throws(SystemError) {
        try change(
            NetlinkRequest(Int(RTM_DELLINK), flags: Int32(NLM_F_ACK), fixed: Self.linkHeader(index)), "RTM_DELLINK", "device \(index)")
    }

    /// struct ifinfomsg: family, pad, type, index, flags, change mask.
    private static func linkHeader(_ index: UInt32, flags: UInt32 = 0, change: UInt32 = 0) -> [UInt8] {
        [0, 0, 0, 0] + NetlinkRequest.native(index) + NetlinkRequest.native(flags) + NetlinkRequest.native(change)
    }

    private static func link(_ message: NetlinkMessage) -> Link? {
        guard message.type == Int(RTM_NEWLINK), let index = message.payload.native(UInt32.self, at: 4),
            let flags = message.payload.native(UInt32.self, at: 8)
        else { return nil }
        let attributes = message.attributes(after: 16)
        guard let name = attributes[Int(IFLA_IFNAME)]?.text else { return nil }
        return Link(
            index: index, name: name, mtu: Int(attributes[Int(IFLA_MTU)]?.native(UInt32.self, at: 0) ?? 0),
            isUp: flags & UInt32(IFF_UP) != 0, isLoopback: flags & UInt32(IFF_LOOPBACK) != 0)
    }
}
