package import Wire

/// Addresses that a RADIUS server names (features.md ADDR-2, V6-3, X-8): not chosen here, but owned here, so that no two sessions of a private
/// interface have the same. `LeaseRequest.wanted` is what the server said; with `LeaseRequest.within` a free host part of that prefix is chosen.
package struct GivenAddresses: AddressSource {
    package private(set) var settings: Settings
    private var owners: [IPAddress: Lease] = [:]

    /// Addresses in use at most (threats.md, rule 7).
    package static let maximumLeases = 1 << 20
    /// Host parts of a prefix that are tried before it counts as used up.
    static let attempts = 1024

    /// A private interface, as far as its clients' addresses are concerned.
    package struct Settings: Hashable, Sendable {
        /// Names the interface; no local pool has this name.
        package var name: PoolName
        /// Addresses of clients lie within these (features.md V6-2).
        package var prefixes: [IPPrefix]
        /// The gateway's own.
        package var reserved: Set<IPAddress>

        package init(name: PoolName, prefixes: [IPPrefix], reserved: Set<IPAddress>) {
            self.name = name
            self.prefixes = prefixes
            self.reserved = reserved
        }
    }

    package init(_ settings: Settings) {
        self.settings = settings
    }

    /// Goes on with new settings of the same interface; leases in use stay.
    package mutating func reconfigure(_ settings: Settings) {
        self.settings = settings
    }

    /// The session that has an address now.
    package func owner(of address: IPAddress) -> Lease? { owners[address] }

    package var count: Int { owners.count }

    package mutating func handle(_ input: AddressInput, at now: Instant, into outputs: inout [AddressOutput]) {
        switch input {
        case .request(let id, let request):
            do throws(AddressRefusal) {
                grant(try choose(request), to: request.session, identity: request.identity, for: id, into: &outputs)
            } catch {
                outputs.append(.refused(id, error))
            }
        case .takeOver(let id, let lease, let session):
            guard owners[lease.address] == lease else {
                outputs.append(.refused(id, .notLeased))
                return
            }
            grant((lease.address, lease.subnet), to: session, identity: lease.identity, for: id, into: &outputs)
        case .release(let lease):
            guard owners[lease.address] == lease else { return }
            owners[lease.address] = nil
            // Who comes next is the server's word: nothing is kept for anybody.
            outputs.append(.forget(record(lease)))
        case .stored, .deadline: break
        }
    }

    /// Nothing of an earlier daemon counts: the server names the addresses anew.
    package func restore(_ records: [LeaseRecord], into outputs: inout [AddressOutput]) {
        outputs += records.filter { $0.pool == settings.name }.map { .forget($0) }
    }

    private func choose(_ request: LeaseRequest) throws(AddressRefusal) -> (IPAddress, IPPrefix) {
        guard (1...LeaseRequest.maximumIdentityLength).contains(request.identity.utf8.count) else { throw .badIdentity }
        guard owners.count < Self.maximumLeases else { throw .exhausted(settings.name) }
        if let within = request.within { return try host(of: within, for: request) }
        guard let address = request.wanted else { throw .notGiven(request.family) }
        guard address.family == request.family else { throw .wrongFamily(request.family) }
        guard let subnet = subnet(of: address) else { throw .outside(address) }
        if let owner = owners[address] {
            throw owner.identity == request.identity ? .inUse(address, by: owner.session) : .ownedByAnother(address)
        }
        return (address, subnet)
    }

    /// Begins at a place that the identity decides, so that a client finds its address again where nobody took it.
    private func host(of prefix: IPPrefix, for request: LeaseRequest) throws(AddressRefusal) -> (IPAddress, IPPrefix) {
        guard prefix.family == request.family else { throw .wrongFamily(request.family) }
        let bits = prefix.family.bits - prefix.length
        let size: UInt128 = bits >= 128 ? .max : (1 << UInt128(bits)) - 1
        guard size > 0 else { throw .outside(prefix.address) }
        var place = request.identity.utf8.reduce(UInt128(14_695_981_039_346_656_037)) { ($0 ^ UInt128($1)) &* 1_099_511_628_211 } % size
        for _ in 0..<Self.attempts {
            // Never zero: that is the routers' anycast address (RFC 4291).
            let address = IPAddress(family: prefix.family, value: prefix.address.value | (place + 1))
            if owners[address] == nil, let subnet = subnet(of: address) { return (address, subnet) }
            place = (place + 1) % size
        }
        throw subnet(of: prefix.range.begin) == nil ? .outside(prefix.address) : .exhausted(settings.name)
    }

    /// Where a client's address may lie: in a prefix of the interface, and neither our own nor the subnet's first or IPv4 broadcast address.
    private func subnet(of address: IPAddress) -> IPPrefix? {
        guard !settings.reserved.contains(address), let subnet = settings.prefixes.first(where: { $0.contains(address) }) else { return nil }
        guard subnet.length < subnet.family.bits - 1 else { return subnet }
        let isSpecial = address == subnet.address || address.family == .ipv4 && address == subnet.range.end
        return isSpecial ? nil : subnet
    }

    private mutating func grant(
        _ place: (address: IPAddress, subnet: IPPrefix), to session: LeaseSession, identity: String, for id: RequestID,
        into outputs: inout [AddressOutput]
    ) {
        let lease = Lease(
            address: place.address, identity: identity, session: session, subnet: place.subnet, dns: [], pool: settings.name)
        owners[place.address] = lease
        outputs.append(.store(record(lease)))
        outputs.append(.granted(id, lease))
    }

    private func record(_ lease: Lease) -> LeaseRecord {
        LeaseRecord(pool: lease.pool, address: lease.address, identity: lease.identity, isLive: true)
    }
}
