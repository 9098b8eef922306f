import AddressAssignment
import Wire

/// `service` and `local-dhcp-server`.
extension Draft {
    func readServices(_ value: Value?) {
        services.read(value, max: 1000) { key, value in
            value.section { section in
                let id = section.required("id", "1...2147483647")?.integer(1...Int(Int32.max))
                var interfaces = Table<PrivateInterface>("interface of service \(key.name)")
                interfaces.read(section.required("interface", "at least one interface"), max: 64, nameLength: 15) {
                    interface, value in
                    readInterface(InterfaceName(service: key.name, interface: interface.name), id: id, value)
                }
                return interfaces
            }
        }
        let all = services.entries.flatMap { $0.object?.entries ?? [] }
        for entry in all.dropFirst() {
            reader.uses(.severalInterfaces, at: entry.position, entry.path, found: "a second private interface")
        }
        configuration.interfaces = all.compactMap(\.object)
    }

    private func readInterface(_ name: InterfaceName, id: Int?, _ value: Value) -> PrivateInterface? {
        value.section { section -> PrivateInterface? in
            let addresses = section.required("address", "a list of addresses with their prefix length")?
                .list(1, max: 16)?.map { interfaceAddress($0) }
            let sap = section["sap"]?.text()
            let namespace = section["network-namespace"]
            namespace?.uses(.networkNamespaces)
            let domains = section["dns-domain"]
            domains?.uses(.splitDNS)
            let domainNames = domains?.list(max: 16)?.compactMap { $0.domainName() } ?? []
            let namespaceName = namespace?.name()
            guard let addresses, let id, !addresses.contains(nil) else { return nil }
            return PrivateInterface(
                name: name, serviceID: id, sap: sap, addresses: addresses.compactMap { $0 },
                networkNamespace: namespaceName, dnsDomains: domainNames)
        } ?? nil
    }

    /// `10.20.0.1/16`: an address of a host with the length of its prefix.
    private func interfaceAddress(_ value: Value) -> InterfaceAddress? {
        let parts = value.scalar?.split(separator: "/", omittingEmptySubsequences: false) ?? []
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let length = decimal(String(parts[1])),
            let prefix = IPPrefix(address, length: length), length > 0
        else {
            value.refuse(allowed: "an address with its prefix length, such as 10.20.0.1/16")
            return nil
        }
        let isHost =
            length >= address.family.bits - 1
            || address != prefix.address && (address.family == .ipv6 || address != prefix.range.end)
        guard isHost, !address.isLoopback, !address.isUnspecified else {
            value.refuse(allowed: "the address of a host, not that of the network", suggestion: prefix.address.next.map { "\($0)/\(length)" })
            return nil
        }
        if address.family == .ipv6 { value.uses(.innerIPv6) }
        return InterfaceAddress(address, prefix: prefix)
    }

    func readPools(_ value: Value?) {
        dhcpServers.read(value, max: 256) { server, value in
            value.section { section in
                var pools = Table<LocalPool.Settings>("pool of local-dhcp-server \(server.name)")
                pools.read(section["pool"], max: 1000) { pool, value in
                    readPool(PoolName(server: server.name, pool: pool.name), value)
                }
                return pools
            }
        }
        configuration.pools = dhcpServers.objects.flatMap(\.objects)
    }

    private func readPool(_ name: PoolName, _ value: Value) -> LocalPool.Settings? {
        value.section { section -> LocalPool.Settings? in
            let subnet = section.required("subnet", "a prefix, such as 10.20.0.0/16")?.prefix()
            if subnet?.family == .ipv6 { section["subnet"]?.uses(.innerIPv6) }
            let ranges = section.required("range", "a list of { begin: , end: }")?.list(1, max: 16)
                .map { readRanges($0, in: subnet) }
            let dns = section["dns"]?.list(max: 2)?.compactMap { $0.address(subnet?.family) } ?? []
            let holdTime = section["lease-hold-time"]?.seconds(0...31_536_000) ?? LocalPool.Settings.defaultLeaseHoldTime
            guard let subnet, let ranges, !ranges.isEmpty else { return nil }
            return LocalPool.Settings(name: name, subnet: subnet, ranges: ranges, dns: dns, leaseHoldTime: holdTime)
        } ?? nil
    }

    private func readRanges(_ values: [Value], in subnet: IPPrefix?) -> [AddressRange] {
        var ranges: [AddressRange] = []
        for value in values {
            let range = value.section { readRange($0, family: subnet?.family) } ?? nil
            guard let range, let subnet else { continue }
            guard subnet.range.contains(range) else {
                reader.report(
                    at: value.position, value.path, found: "the range \(range.begin)-\(range.end)",
                    allowed: "addresses of the subnet \(subnet)")
                continue
            }
            if let other = ranges.first(where: { $0.overlaps(range) }) {
                reader.report(
                    at: value.position, value.path, found: "the range \(range.begin)-\(range.end)",
                    allowed: "ranges that do not overlap; \(other.begin)-\(other.end) stands before")
                continue
            }
            ranges.append(range)
        }
        return ranges
    }

    /// `begin` and `end`.
    func readRange(_ section: Section, family: AddressFamily?) -> AddressRange? {
        let begin = section.required("begin", "the first address")?.address(family)
        let endValue = section.required("end", "the last address")
        let end = endValue?.address(family)
        guard let begin, let end else { return nil }
        guard let range = AddressRange(begin, end) else {
            endValue?.refuse(allowed: "an address from \(begin) on")
            return nil
        }
        return range
    }
}
