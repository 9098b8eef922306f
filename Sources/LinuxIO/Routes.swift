internal import CLinux
internal import Glibc
package import Wire

/// A unicast route.
package struct Route: Hashable, Sendable, CustomStringConvertible {
    package var destination: IPPrefix
    /// The device's number; 0 leaves it to the gateway.
    package var interface: UInt32
    /// The next hop; nil is on the link.
    package var gateway: IPAddress?
    /// The source address the host itself uses on this route.
    package var preferredSource: IPAddress?
    /// Smaller is preferred; 0 leaves it to the kernel (0 with IPv4, 1024 with IPv6).
    package var metric: UInt32
    /// 254 is the main table.
    package var table: UInt32
    /// Who made it, RTPROT_*: 4 an administrator (we), 2 the kernel, 16 DHCP.
    package var origin: UInt8

    package init(
        _ destination: IPPrefix, interface: UInt32, gateway: IPAddress? = nil, preferredSource: IPAddress? = nil, metric: UInt32 = 0,
        table: UInt32 = 254, origin: UInt8 = 4
    ) {
        self.destination = destination
        self.interface = interface
        self.gateway = gateway
        self.preferredSource = preferredSource
        self.metric = metric
        self.table = table
        self.origin = origin
    }

    package var description: String {
        "\(destination)" + (gateway.map { " via \($0)" } ?? "") + " on device \(interface)"
    }
}

extension Netlink {
    /// Adds a route; throws EEXIST when the same one is there.
    package mutating func addRoute(_ route: Route) throws(SystemError) {
        try change(
            Self.routeRequest(Int(RTM_NEWROUTE), flags: Int32(NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL), route), "RTM_NEWROUTE",
            "route to \(route)", hint: "the device must be up, and no equal route may be there (`ip route show \(route.destination)`)")
    }

    /// Deletes a route; throws ESRCH when there is none such.
    package mutating func deleteRoute(_ route: Route) throws(SystemError) {
        try change(Self.routeRequest(Int(RTM_DELROUTE), flags: Int32(NLM_F_ACK), route), "RTM_DELROUTE", "route to \(route)")
    }

    /// The unicast routes of a family in one table, or in all (nil); on one device, or on all (nil).
    package mutating func routes(
        _ family: AddressFamily, table: UInt32? = 254, interface: UInt32? = nil
    ) throws(SystemError) -> [Route] {
        let request = NetlinkRequest(
            Int(RTM_GETROUTE), flags: Int32(NLM_F_DUMP), fixed: [Self.family(family), 0, 0, 0, 0, 0, 0, 0] + NetlinkRequest.native(UInt32(0)))
        return try list(request, "RTM_GETROUTE", "routes").compactMap(Self.route).filter {
            (table == nil || $0.table == table) && (interface == nil || $0.interface == interface)
        }
    }

    /// The address that the default route of a family makes this host use: `gateway-address: auto`. Nil without such a route or address.
    package mutating func defaultAddress(_ family: AddressFamily) throws(SystemError) -> IPAddress? {
        let defaults = try routes(family).filter { $0.destination.length == 0 && $0.interface != 0 }.sorted { $0.metric < $1.metric }
        for route in defaults {
            if let source = route.preferredSource { return source }
            let candidates = try addresses(of: route.interface).filter { $0.address.family == family && $0.isGlobal && !$0.isSecondary }
            // the address on the next hop's link, as the kernel itself prefers it
            let onLink = candidates.first { candidate in
                guard let gateway = route.gateway, let link = IPPrefix(candidate.address, length: candidate.prefixLength) else { return false }
                return link.contains(gateway)
            }
            if let address = (onLink ?? candidates.first)?.address { return address }
        }
        return nil
    }

    /// Waits until the kernel delivers packets for an address of ours. With IPv6 it arranges that in the background after the device is up,
    /// and refuses packets until then. Throws ETIMEDOUT after five seconds.
    package mutating func awaitDelivery(to address: IPAddress) throws(SystemError) {
        let deadline = MonotonicClock.now + .seconds(5)
        while try !isLocal(address) {
            guard MonotonicClock.now < deadline else {
                throw SystemError(ETIMEDOUT, call: "RTM_GETROUTE", subject: "address \(address)", hint: "is its device up, and IPv6 on?")
            }
            usleep(1_000)
        }
    }

    /// Whether packets to an address are for this host.
    package mutating func isLocal(_ address: IPAddress) throws(SystemError) -> Bool {
        var request = NetlinkRequest(
            Int(RTM_GETROUTE), flags: Int32(NLM_F_ACK),
            fixed: [Self.family(address.family), UInt8(address.family.bits), 0, 0, 0, 0, 0, 0] + NetlinkRequest.native(UInt32(0)))
        request.attribute(Int(RTA_DST.rawValue), address.octets)
        do {
            return try get(request, "RTM_GETROUTE", "route to \(address)").contains {
                $0.type == Int(RTM_NEWROUTE) && $0.payload.count > 7 && $0.payload[7] == UInt8(RTN_LOCAL)
            }
        } catch  where [ENETUNREACH, EHOSTUNREACH, ESRCH].contains(error.number) {
            return false
        }
    }

    /// struct rtmsg: family, destination and source length, TOS, table, protocol, scope, type, flags.
    private static func routeRequest(_ type: Int, flags: Int32, _ route: Route) -> NetlinkRequest {
        let family = route.destination.family
        let scope = family == .ipv4 && route.gateway == nil ? UInt8(RT_SCOPE_LINK.rawValue) : UInt8(RT_SCOPE_UNIVERSE.rawValue)
        var request = NetlinkRequest(
            type, flags: flags,
            fixed: [
                Self.family(family), UInt8(clamping: route.destination.length), 0, 0,
                route.table < 256 ? UInt8(route.table) : UInt8(RT_TABLE_UNSPEC.rawValue), route.origin, scope, UInt8(RTN_UNICAST),
            ] + NetlinkRequest.native(UInt32(0)))
        request.attribute(Int(RTA_DST.rawValue), route.destination.address.octets)
        request.attribute(Int(RTA_TABLE.rawValue), route.table)
        if route.interface != 0 { request.attribute(Int(RTA_OIF.rawValue), route.interface) }
        if let gateway = route.gateway { request.attribute(Int(RTA_GATEWAY.rawValue), gateway.octets) }
        if let source = route.preferredSource { request.attribute(Int(RTA_PREFSRC.rawValue), source.octets) }
        if route.metric != 0 { request.attribute(Int(RTA_PRIORITY.rawValue), route.metric) }
        return request
    }

    private static func route(_ message: NetlinkMessage) -> Route? {
        guard message.type == Int(RTM_NEWROUTE), message.payload.count >= 12, let family = family(number: message.payload[0]),
            message.payload[7] == UInt8(RTN_UNICAST)
        else { return nil }
        let attributes = message.attributes(after: 12)
        let zero = IPAddress(family: family, value: 0)
        let address = attributes[Int(RTA_DST.rawValue)].flatMap { IPAddress(octets: $0) } ?? zero
        guard let destination = IPPrefix(address, length: Int(message.payload[1])) else { return nil }
        return Route(
            destination, interface: attributes[Int(RTA_OIF.rawValue)]?.native(UInt32.self, at: 0) ?? 0,
            gateway: attributes[Int(RTA_GATEWAY.rawValue)].flatMap { IPAddress(octets: $0) },
            preferredSource: attributes[Int(RTA_PREFSRC.rawValue)].flatMap { IPAddress(octets: $0) },
            metric: attributes[Int(RTA_PRIORITY.rawValue)]?.native(UInt32.self, at: 0) ?? 0,
            table: attributes[Int(RTA_TABLE.rawValue)]?.native(UInt32.self, at: 0) ?? UInt32(message.payload[4]), origin: message.payload[5])
    }
}
