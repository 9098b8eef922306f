package import Wire

/// How a TUN device stands in its network.
package struct TUNConfiguration: Sendable {
    /// Octets; sessions have their own, smaller MTU (features.md DP-3).
    package var mtu = 9000
    /// Packets that may wait for one worker.
    package var queueLength = 1000
    /// Addresses with the bits on their link.
    package var addresses: [(address: IPAddress, prefixLength: Int)] = []
    /// What is reached through the device, beside the blocks of its addresses.
    package var routes: [IPPrefix] = []
    /// The namespace it serves, by name; nil is the calling thread's.
    package var namespace: String?

    package init() {}
}

extension TUNDevice {
    /// Moves the device to its namespace, addresses it, sets it up and routes to it; in that order, since a move loses all else.
    /// Called once, on a thread of the namespace where the device was made. Returns the device's number where it now is.
    package borrowing func configure(_ wanted: TUNConfiguration) throws(SystemError) -> UInt32 {
        var here = try Netlink()
        guard let link = try here.link(named: name) else { throw gone }
        guard let namespace = wanted.namespace else { return try settle(wanted) }
        let target = try NetworkNamespace(named: namespace)
        try here.move(link.index, to: target)
        return try target.within { () throws(SystemError) in try settle(wanted) }
    }

    private borrowing func settle(_ wanted: TUNConfiguration) throws(SystemError) -> UInt32 {
        var netlink = try Netlink()
        guard let index = try netlink.link(named: name)?.index else { throw gone }
        try netlink.setMTU(index, wanted.mtu)
        try netlink.setQueueLength(index, wanted.queueLength)
        if netlink.hasIPv6() { try netlink.withholdLinkLocalAddress(index) }
        try netlink.furnish(index, wanted)
        return index
    }

    /// Gives a device of the calling thread's namespace, configured without addresses, those that became known later, and routes into it.
    package static func furnish(_ name: String, addresses: [(address: IPAddress, prefixLength: Int)], routes: [IPPrefix]) throws(SystemError) {
        var wanted = TUNConfiguration()
        wanted.addresses = addresses
        wanted.routes = routes
        var netlink = try Netlink()
        guard let index = try netlink.link(named: name)?.index else { throw gone(name) }
        try netlink.furnish(index, wanted)
    }

    private var gone: SystemError { Self.gone(name) }

    private static func gone(_ name: String) -> SystemError {
        SystemError(noSuchDevice, call: "RTM_GETLINK", subject: "TUN device \(name)", hint: "somebody deleted or renamed it")
    }
}

extension Netlink {
    /// Addresses, up, routes: each needs the one before it.
    fileprivate mutating func furnish(_ index: UInt32, _ wanted: TUNConfiguration) throws(SystemError) {
        if wanted.addresses.contains(where: { $0.address.family == .ipv4 }) { try acceptLocalSources(index) }
        for (address, length) in wanted.addresses { try addAddress(address, prefixLength: length, to: index) }
        try setUp(index)
        for (address, _) in wanted.addresses where address.family == .ipv6 { try awaitDelivery(to: address) }
        for route in wanted.routes where !wanted.addresses.contains(where: { IPPrefix($0.address, length: $0.prefixLength) == route }) {
            try addRoute(Route(route, interface: index))
        }
    }
}
