import ArgumentParser
import Wire

/// Our own end of it.
struct AddressOptions: ParsableArguments {
    @Option(
        name: .customLong("from"),
        help:
            "Our addresses: A, A-B or A/LENGTH, one socket after the other on the next of them. All of 127.0.0.0/8 is there; elsewhere `ip route add local A/LENGTH dev lo` makes them ours. A spoofed flood draws its own from A/LENGTH at random; without it from 198.18.0.0/15 or 2001:db8::/32."
    )
    var addresses: String?

    /// Nil: whichever the routes choose. Throws a `ValidationError`.
    func range(toward gateway: IPAddress) throws -> AddressRange? {
        guard let addresses else { return nil }
        guard let range = Sources.range(addresses), range.family == gateway.family else {
            throw ValidationError(
                "--from: \"\(addresses)\" is no range of addresses of the gateway's family, such as 127.1.0.1-127.1.0.9 or 10.9.0.0/16")
        }
        return range
    }

    /// What strangers' addresses are drawn from; throws a `ValidationError`.
    func prefix(toward gateway: IPAddress) throws -> IPPrefix {
        let text = addresses ?? (gateway.family == .ipv4 ? "198.18.0.0/15" : "2001:db8::/32")
        guard let prefix = IPPrefix(text), prefix.family == gateway.family else {
            throw ValidationError("--from: \"\(text)\" is no prefix of the gateway's family")
        }
        return prefix
    }
}

/// Where many clients come from.
struct SourceOptions: ParsableArguments {
    @OptionGroup var own: AddressOptions

    @Option(help: "Our ports, A-B; without it the kernel chooses, of about 28000 per address.")
    var ports: String?

    @Option(
        help:
            "Clients on one socket: 1 is what a gateway sees in the field, behind a NAT too. More need a gateway that tells clients by SPI alone, and few files."
    )
    var share = 1

    /// Throws a `ValidationError` where so many clients of the family have no place.
    func sources(for clients: Int, toward gateway: IPAddress) throws -> Sources {
        guard (1...1000).contains(share) else { throw ValidationError("--share: 1 to 1000") }
        let range = try own.range(toward: gateway)
        var span: ClosedRange<UInt16>?
        if let ports {
            let ends = ports.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first > 0, first <= last else {
                throw ValidationError("--ports: \"\(ports)\" is no range such as 20000-59999")
            }
            span = first...last
        }
        let sources = Sources(family: gateway.family, addresses: range, ports: span, share: share)
        guard sources.capacity(sockets: (clients + share - 1) / share) else {
            throw ValidationError("--from and --ports have no place for \(clients) clients; more addresses or --share help")
        }
        return sources
    }
}

/// The endpoints of many clients: each address once, then each with the next port.
struct Sources {
    let family: AddressFamily
    /// Nil: the one that the routes choose.
    let addresses: AddressRange?
    /// Nil: the kernel's choice.
    let ports: ClosedRange<UInt16>?
    /// Clients on one socket.
    let share: Int

    /// `A`, `A-B` or `A/LENGTH`; of an IPv4 block of four or more all but the first and the last.
    static func range(_ text: String) -> AddressRange? {
        if let prefix = IPPrefix(text) {
            let range = prefix.range
            guard prefix.family == .ipv4, prefix.length <= 30, let first = range.begin.next, let last = range.end.previous else { return range }
            return AddressRange(first, last)
        }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { IPAddress(String($0)) }
        guard ends.count == 2, let first = ends[0], let last = ends[1] else { return nil }
        return AddressRange(first, last)
    }

    /// Whether so many sockets have an endpoint each. What the kernel has free on one address is its own to say.
    func capacity(sockets: Int) -> Bool {
        let perAddress = ports.map { $0.count } ?? 65_535
        guard let addresses else { return sockets <= perAddress }
        return UInt128(sockets) <= min(addresses.count, 1 << 32) * UInt128(perAddress)
    }

    /// What the socket with this number is bound to.
    func endpoint(ofSocket number: Int) -> Endpoint {
        let count = addresses.map { Int(min($0.count, 1 << 32)) } ?? 1
        let first = addresses?.begin ?? IPAddress(family: family, value: 0)
        let address = IPAddress(family: family, value: first.value + UInt128(number % count))
        let port = ports.map { UInt16(truncatingIfNeeded: Int($0.lowerBound) + number / count) } ?? 0
        return Endpoint(address, port: port)
    }
}
