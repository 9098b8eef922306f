package import Wire

/// One `ts-list`: what TSr is narrowed to (features.md TS-1, TS-2). No list means everything in the families of the assigned addresses.
package struct TrafficSelectorList: Hashable, Sendable {
    package var name: String
    /// In the order of their ids; they do not overlap.
    package var local: [Entry]

    package static let maximumEntries = 32

    package init(name: String, local: [Entry]) {
        self.name = name
        self.local = local
    }

    /// Addresses with a protocol and its ports.
    package struct Entry: Hashable, Sendable {
        package var addresses: AddressRange
        /// IP protocol; 0 is any.
        package var ipProtocol: UInt8
        /// 0...65535 where the protocol has no ports.
        package var ports: ClosedRange<UInt16>

        package init(_ addresses: AddressRange, ipProtocol: UInt8 = 0, ports: ClosedRange<UInt16> = 0...65535) {
            self.addresses = addresses
            self.ipProtocol = ipProtocol
            self.ports = ports
        }

        /// Some packet is in both.
        package func overlaps(_ other: Entry) -> Bool {
            addresses.overlaps(other.addresses) && ports.overlaps(other.ports)
                && (ipProtocol == other.ipProtocol || ipProtocol == 0 || other.ipProtocol == 0)
        }
    }
}
