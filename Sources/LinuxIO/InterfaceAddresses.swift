internal import CLinux
internal import Glibc
package import Wire

/// An address of a device, with the bits that are on its link.
package struct InterfaceAddress: Hashable, Sendable, CustomStringConvertible {
    /// The device's number.
    package let interface: UInt32
    package let address: IPAddress
    /// Bits, 0 to 32 or 128.
    package let prefixLength: Int
    /// Good for the whole network, not for the link or the host alone.
    package let isGlobal: Bool
    /// Not chosen as a source by itself: a second IPv4 address of one block, or a temporary IPv6 one.
    package let isSecondary: Bool

    package var description: String { "\(address)/\(prefixLength)" }
}

extension Netlink {
    /// Gives a device an address. IPv6 addresses are usable at once (no duplicate detection: a TUN device has no neighbours).
    package mutating func addAddress(_ address: IPAddress, prefixLength: Int, to interface: UInt32) throws(SystemError) {
        var request = Self.addressRequest(
            Int(RTM_NEWADDR), flags: Int32(NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL), address, prefixLength, interface)
        if address.family == .ipv6 { request.attribute(Int(IFA_FLAGS), UInt32(IFA_F_NODAD)) }
        try change(
            request, "RTM_NEWADDR", "\(address)/\(prefixLength) on device \(interface)",
            hint: address.family == .ipv6 ? "is IPv6 switched off (sysctl net.ipv6.conf.all.disable_ipv6)?" : "")
    }

    /// Takes an address from a device.
    package mutating func removeAddress(_ address: IPAddress, prefixLength: Int, from interface: UInt32) throws(SystemError) {
        try change(
            Self.addressRequest(Int(RTM_DELADDR), flags: Int32(NLM_F_ACK), address, prefixLength, interface), "RTM_DELADDR",
            "\(address)/\(prefixLength) on device \(interface)")
    }

    /// All addresses of the namespace, or those of one device.
    package mutating func addresses(of interface: UInt32? = nil) throws(SystemError) -> [InterfaceAddress] {
        let request = NetlinkRequest(Int(RTM_GETADDR), flags: Int32(NLM_F_DUMP), fixed: [0, 0, 0, 0] + NetlinkRequest.native(UInt32(0)))
        return try list(request, "RTM_GETADDR", "addresses").compactMap(Self.address).filter { interface == nil || $0.interface == interface }
    }

    /// struct ifaddrmsg: family, prefix length, flags, scope, index.
    private static func addressRequest(
        _ type: Int, flags: Int32, _ address: IPAddress, _ prefixLength: Int, _ interface: UInt32
    ) -> NetlinkRequest {
        var request = NetlinkRequest(
            type, flags: flags,
            fixed: [family(address.family), UInt8(clamping: prefixLength), 0, UInt8(RT_SCOPE_UNIVERSE.rawValue)]
                + NetlinkRequest.native(interface))
        request.attribute(Int(IFA_LOCAL), address.octets)
        request.attribute(Int(IFA_ADDRESS), address.octets)
        return request
    }

    private static func address(_ message: NetlinkMessage) -> InterfaceAddress? {
        guard message.type == Int(RTM_NEWADDR), message.payload.count >= 8, family(number: message.payload[0]) != nil,
            let interface = message.payload.native(UInt32.self, at: 4)
        else { return nil }
        let attributes = message.attributes(after: 8)
        // IFA_LOCAL is ours; IFA_ADDRESS is the other end's on a point-to-point device, and the only one with IPv6
        guard let octets = attributes[Int(IFA_LOCAL)] ?? attributes[Int(IFA_ADDRESS)], let address = IPAddress(octets: octets) else {
            return nil
        }
        let flags = attributes[Int(IFA_FLAGS)]?.native(UInt32.self, at: 0) ?? UInt32(message.payload[2])
        return InterfaceAddress(
            interface: interface, address: address, prefixLength: Int(message.payload[1]),
            isGlobal: UInt32(message.payload[3]) == RT_SCOPE_UNIVERSE.rawValue, isSecondary: flags & UInt32(IFA_F_SECONDARY) != 0)
    }
}
