package import Wire

extension LocalPool {
    /// One pool of a `local-dhcp-server`.
    package struct Settings: Hashable, Sendable {
        /// Server and pool, such as `rw/staff`.
        package var name: PoolName
        package var subnet: IPPrefix
        /// Given from, in this order; they lie in `subnet` and do not overlap.
        package var ranges: [AddressRange]
        /// At most two are told to a client per family (features.md RAD-6).
        package var dns: [IPAddress]
        /// How long an address is kept for its identity after the quarantine.
        package var leaseHoldTime: Duration
        /// How long a returned address rests before anybody gets it (threats.md P30).
        package var quarantine: Duration
        /// Addresses of the subnet that are the gateway's own and are never given.
        package var reserved: Set<IPAddress>

        package static let defaultLeaseHoldTime = Duration.seconds(3600)
        package static let defaultQuarantine = Duration.seconds(30)

        package init(
            name: PoolName, subnet: IPPrefix, ranges: [AddressRange], dns: [IPAddress] = [],
            leaseHoldTime: Duration = Self.defaultLeaseHoldTime, quarantine: Duration = Self.defaultQuarantine,
            reserved: Set<IPAddress> = []
        ) {
            self.name = name
            self.subnet = subnet
            self.ranges = ranges
            self.dns = dns
            self.leaseHoldTime = leaseHoldTime
            self.quarantine = quarantine
            self.reserved = reserved
        }
    }
}

/// A pool's full name: `dhcp-server` and `pool` of an address assignment.
package struct PoolName: Hashable, Sendable, CustomStringConvertible {
    package let server: String
    package let pool: String

    package init(server: String, pool: String) {
        self.server = server
        self.pool = pool
    }

    package var description: String { "\(server)/\(pool)" }
}

extension LocalPool.Settings {
    /// Never given: the gateway's own addresses, the subnet's first (network, or the routers' anycast address of RFC 4291) and its IPv4 broadcast address.
    package func isReserved(_ address: IPAddress) -> Bool {
        if reserved.contains(address) { return true }
        guard subnet.contains(address), subnet.length < subnet.family.bits - 1 else { return false }
        return address == subnet.address || address.family == .ipv4 && address == subnet.range.end
    }

    /// Addresses that can be given, saturating.
    package var size: UInt64 {
        let inRanges = ranges.reduce(UInt128(0)) { sum, range in
            let (next, overflow) = sum.addingReportingOverflow(range.count)
            return overflow ? .max : next
        }
        var own = reserved
        if subnet.length < subnet.family.bits - 1 {
            own.insert(subnet.address)
            if subnet.family == .ipv4 { own.insert(subnet.range.end) }
        }
        let never = UInt128(own.count { address in ranges.contains { $0.contains(address) } })
        return UInt64(clamping: inRanges > never ? inRanges - never : 0)
    }
}
