import LinuxIO
import Logging
import Wire

/// Routes of the kernel to networks behind clients (Framed-Route, Delegated-IPv6-Prefix; features.md X-3), through the private interface's
/// device. They go with the device, so a crash leaves none.
actor ClientRoutes {
    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    /// Adds all of them, or none; throws `SystemError`, also where such a route stands already.
    func add(_ networks: [IPPrefix], through device: PrivateDevice) throws(SystemError) {
        try Self.withNetlink(of: device) { netlink, index throws(SystemError) in
            var added: [Route] = []
            do throws(SystemError) {
                for network in networks {
                    let route = Route(network, interface: index)
                    try netlink.addRoute(route)
                    added.append(route)
                }
            } catch {
                for route in added { try? netlink.deleteRoute(route) }
                throw error
            }
        }
    }

    /// Takes away what `add` made.
    func remove(_ networks: [IPPrefix], through device: PrivateDevice) {
        do throws(SystemError) {
            try Self.withNetlink(of: device) { netlink, index throws(SystemError) in
                for network in networks { try netlink.deleteRoute(Route(network, interface: index)) }
            }
        } catch {
            logger.error("a route to a network behind a client stays: \(error)", metadata: ["device": "\(device.name)"])
        }
    }

    private static func withNetlink(
        of device: PrivateDevice, _ body: (inout Netlink, UInt32) throws(SystemError) -> Void
    ) throws(SystemError) {
        guard let namespace = device.networkNamespace else { return try within(device, body) }
        try NetworkNamespace(named: namespace).within { () throws(SystemError) in try within(device, body) }
    }

    private static func within(
        _ device: PrivateDevice, _ body: (inout Netlink, UInt32) throws(SystemError) -> Void
    ) throws(SystemError) {
        var netlink = try Netlink()
        guard let index = try netlink.link(named: device.name)?.index else {
            throw SystemError(
                TUNDevice.noSuchDevice, call: "RTM_GETLINK", subject: "TUN device \(device.name)", hint: "somebody deleted or renamed it")
        }
        try body(&netlink, index)
    }
}

/// A private interface's device; another namespace may have one of the same name.
struct PrivateDevice: Hashable, Sendable {
    let name: String
    /// nil: the daemon's own.
    let networkNamespace: String?
}
