import IKE
import Wire

/// `ts-list`.
extension Draft {
    func readSelectorLists(_ value: Value?) {
        selectorLists.read(value, max: 32_768) { key, value in
            value.section { section in
                let local = section.required("local", "{ entry: }")?.section { readSelectors($0) }
                return TrafficSelectorList(name: key.name, local: local ?? [])
            }
        }
        for list in selectorLists.objects { configuration.trafficSelectorLists[list.name] = list }
    }

    private func readSelectors(_ section: Section) -> [TrafficSelectorList.Entry] {
        var table = Table<TrafficSelectorList.Entry>("entry")
        table.read(ids: section.required("entry", "at least one entry"), max: TrafficSelectorList.maximumEntries) { _, value in
            value.section { readSelector($0) } ?? nil
        }
        if let entries = section["entry"], table.entries.isEmpty, entries.isNothing {
            entries.refuse(allowed: "at least one entry")
        }
        var before: [(name: String, entry: TrafficSelectorList.Entry)] = []
        for entry in table.entries {
            guard let object = entry.object else { continue }
            if let other = before.first(where: { $0.entry.overlaps(object) }) {
                reader.report(
                    at: entry.position, entry.path, found: "\(object.addresses)",
                    allowed: "entries that do not overlap; entry \(other.name) has \(other.entry.addresses)")
            }
            before.append((entry.name, object))
        }
        return table.entries.sorted { (decimal($0.name) ?? 0) < (decimal($1.name) ?? 0) }.compactMap(\.object)
    }

    private func readSelector(_ section: Section) -> TrafficSelectorList.Entry? {
        let addresses = section.required("address", "{ prefix: } or { range: }")?.section { address -> AddressRange? in
            switch (address["prefix"], address["range"]) {
            case (let prefix?, nil): return prefix.prefix()?.range
            case (nil, let range?): return range.section { readRange($0, family: nil) } ?? nil
            default:
                reader.report(
                    at: address.position, address.path, found: "neither or both of prefix and range",
                    allowed: "one of { prefix: } and { range: }")
                return nil
            }
        }
        let transport = section["protocol"].map { readProtocol($0, family: (addresses ?? nil)?.family) }
        guard let addresses = addresses ?? nil else { return nil }
        guard let transport else { return TrafficSelectorList.Entry(addresses) }
        guard let transport else { return nil }
        return TrafficSelectorList.Entry(addresses, ipProtocol: transport.number, ports: transport.ports)
    }

    /// `any`, or one protocol: { tcp: { port-range: { begin, end } } }, { icmp: {} }, { id: 47 }.
    private func readProtocol(_ value: Value, family: AddressFamily?) -> (number: UInt8, ports: ClosedRange<UInt16>)? {
        if value.scalar == "any" { return (0, 0...65535) }
        let withPorts: [(String, UInt8)] = [("tcp", 6), ("udp", 17), ("sctp", 132)]
        let without: [(String, UInt8)] = [("icmp", 1), ("icmp6", 58)]
        return value.section { section -> (number: UInt8, ports: ClosedRange<UInt16>)? in
            var found: [(number: UInt8, ports: ClosedRange<UInt16>?)] = []
            for (name, number) in withPorts {
                if let ports = section[name] { found.append((number, ports.section { readPorts($0) } ?? nil)) }
            }
            for (name, number) in without {
                guard let empty = section[name] else { continue }
                empty.section { _ in }
                found.append((number, 0...65535))
                if let family, family != (number == 1 ? .ipv4 : .ipv6) {
                    reader.report(
                        at: empty.position, empty.path, found: name, allowed: "icmp with IPv4 addresses, icmp6 with IPv6 addresses")
                }
            }
            if let id = section["id"] { found.append((UInt8(id.integer(1...255) ?? 1), 0...65535)) }
            guard found.count == 1, let only = found.first else {
                reader.report(
                    at: section.position, section.path, found: "\(found.count) protocols",
                    allowed: "any, or one of tcp, udp, sctp, icmp, icmp6, id")
                return nil
            }
            return only.ports.map { (only.number, $0) }
        } ?? nil
    }

    private func readPorts(_ section: Section) -> ClosedRange<UInt16>? {
        guard let range = section["port-range"] else { return 0...65535 }
        return range.section { section -> ClosedRange<UInt16>? in
            let begin = section.required("begin", "0...65535")?.integer(0...65535)
            let endValue = section.required("end", "0...65535")
            let end = endValue?.integer(0...65535)
            guard let begin, let end else { return nil }
            guard begin <= end else {
                endValue?.refuse(allowed: "\(begin)...65535")
                return nil
            }
            return UInt16(begin)...UInt16(end)
        } ?? nil
    }
}
