import AddressAssignment
import IKE
import Wire

/// What no single key can tell: whether the parts of a gateway, and the gateways, fit together.
extension Draft {
    /// A method needs what it proves itself by.
    func checkCredentials(_ policy: IKEPolicy, _ section: Section, hasClientDatabase: Bool) {
        let method = policy.authentication.method
        if policy.acceptsPSK || policy.provesByPSK, section["pre-shared-key"] == nil, !hasClientDatabase {
            _ = section.required("pre-shared-key", "a text, { file: } or { env: }: auth-method \(method.rawValue) needs it")
        }
        let needs = [
            ("cert-profile", policy.signs, "a cert-profile: the gateway signs"),
            ("trust-anchor-profile", policy.acceptsCertificate, "a trust-anchor-profile: clients show certificates"),
        ]
        for (key, isNeeded, allowed) in needs where isNeeded {
            guard let certificate = section["cert"] else {
                reader.report(at: section.position, "\(section.path).cert.\(key)", found: "nothing", allowed: allowed)
                continue
            }
            if certificate.has(key) { continue }
            reader.report(at: certificate.position, "\(certificate.path).\(key)", found: "nothing", allowed: allowed)
        }
        if method.asksRADIUS {
            guard let radius = section["radius"], radius.has("authentication-policy") else {
                reader.report(
                    at: section["radius"]?.position ?? section.position, "\(section.path).radius.authentication-policy",
                    found: "nothing", allowed: "an authentication-policy: auth-method \(method.rawValue) asks a RADIUS server")
                return
            }
        }
    }

    /// Without a RADIUS server an address must come from here (features.md AUTH-1).
    func checkAddresses(_ policy: IKEPolicy, _ section: Section) {
        guard !policy.authentication.method.asksRADIUS, section["dhcp-address-assignment"] == nil,
            let local = section["local"], local.isMapping, !local.hasEntries("address-assignment")
        else { return }
        reader.report(
            at: local.position, "\(local.path).address-assignment", found: "nothing",
            allowed: "{ ipv4: { dhcp-server: , pool: } }: auth-method \(policy.authentication.method.rawValue) has no other addresses")
    }

    /// Two gateways on one address are refused.
    func checkGateways() {
        var owners: [String: String] = [:]
        var enabled = 0
        for entry in gateways.entries {
            guard let gateway = entry.object, gateway.isEnabled else { continue }
            enabled += 1
            if enabled > 1 { reader.uses(.severalGateways, at: entry.position, entry.path, found: "a second gateway") }
            let address = gateway.address.description
            if let owner = owners[address] {
                reader.report(
                    at: entry.position, entry.path + ".local.gateway-address", found: address,
                    allowed: "one gateway on each address; \(owner) has it")
            }
            owners[address] = entry.name
            checkReach(gateway, entry)
            checkLifetimes(gateway, entry)
        }
    }

    /// Its address is no client's, and its pools suit the interfaces of its clients too.
    private func checkReach(_ gateway: GatewayConfiguration, _ entry: Table<GatewayConfiguration>.Entry) {
        for name in [gateway.ipv4Pool, gateway.ipv6Pool].compactMap({ $0 }) {
            guard let pool = configuration.pool(name) else { continue }
            if case .fixed(let address) = gateway.address, pool.ranges.contains(where: { $0.contains(address) }) {
                reader.report(
                    at: entry.position, entry.path + ".local.gateway-address", found: address.description,
                    allowed: "an address outside the pool \(name)")
            }
            let database = configuration.clientDatabases.first { $0.name == gateway.clientDatabase?.name }
            for client in database?.clients ?? [] {
                guard let service = client.service, let device = client.interface,
                    let interface = configuration.interface(InterfaceName(service: service, interface: device)),
                    !interface.addresses.contains(where: { $0.prefix.contains(pool.subnet) })
                else { continue }
                reader.report(
                    at: entry.position, entry.path + ".client-db",
                    found: "client \(client.id) on interface \(interface.name), whose prefixes lack \(pool.subnet)",
                    allowed: "clients whose interface has the prefix of the pool \(name)")
            }
        }
    }

    private func checkLifetimes(_ gateway: GatewayConfiguration, _ entry: Table<GatewayConfiguration>.Entry) {
        let shortest = gateway.policy.transforms.map(\.lifetime).min() ?? IKETransform.defaultLifetime
        for transform in gateway.template.transforms {
            guard let lifetime = transform.lifetime, shortest < lifetime * 3 else { continue }
            reader.report(
                .warning, at: entry.position, entry.path,
                found: "ipsec-transform \(transform.id) with a lifetime of \(lifetime.components.seconds) s",
                allowed: "at most a third of isakmp-lifetime, \(shortest.components.seconds) s (IKE-16)")
        }
    }

    /// Interface names are unique in their namespace, and so are the addresses behind them.
    func checkInterfaces() {
        var devices: [String: String] = [:]
        var blocks: [(namespace: String, prefix: IPPrefix, path: String)] = []
        for entry in services.entries.flatMap({ $0.object?.entries ?? [] }) {
            let namespace = entry.object?.networkNamespace ?? ""
            let device = "\(namespace)\u{0}\(entry.name)"
            if let other = devices[device] {
                reader.report(
                    at: entry.position, entry.path, found: "the interface \(entry.name) again",
                    allowed: "each name once in a network namespace; \(other) has it")
            }
            devices[device] = entry.path
            for address in entry.object?.addresses ?? [] {
                if let other = blocks.first(where: {
                    $0.namespace == namespace && $0.prefix.range.overlaps(address.prefix.range)
                }) {
                    reader.report(
                        at: entry.position, entry.path + ".address", found: address.description,
                        allowed: "prefixes that do not overlap in one namespace; \(other.path) has \(other.prefix)")
                }
                blocks.append((namespace, address.prefix, entry.path))
            }
        }
    }

    /// One owner for each address: pools do not overlap, unless gateways use them in different namespaces.
    func checkPools() {
        let entries = dhcpServers.entries.flatMap { $0.object?.entries ?? [] }
        var ranges: [(range: AddressRange, pool: Int)] = []
        for (index, entry) in entries.enumerated() {
            for range in entry.object?.ranges ?? [] { ranges.append((range, index)) }
        }
        ranges.sort { $0.range.begin < $1.range.begin }
        // In order of their beginnings, so that one that overlaps an earlier one overlaps the one that reaches farthest.
        var farthest: (range: AddressRange, pool: Int)?
        for candidate in ranges {
            if let before = farthest, before.range.overlaps(candidate.range), before.pool != candidate.pool {
                let (first, second) = (min(before.pool, candidate.pool), max(before.pool, candidate.pool))
                if !areApart(entries[first].object, entries[second].object) {
                    reader.report(
                        at: entries[second].position, entries[second].path + ".range",
                        found: "\(candidate.range.begin)-\(candidate.range.end)",
                        allowed: "addresses that no other pool has; \(entries[first].path) has \(before.range.begin)-\(before.range.end)")
                }
            }
            if farthest.map({ $0.range.family != candidate.range.family || $0.range.end < candidate.range.end }) ?? true {
                farthest = candidate
            }
        }
    }

    private func areApart(_ left: LocalPool.Settings?, _ right: LocalPool.Settings?) -> Bool {
        guard let left, let right else { return true }
        let (first, second) = (namespaces(of: left), namespaces(of: right))
        return !first.isEmpty && !second.isEmpty && first.isDisjoint(with: second)
    }

    private func namespaces(of pool: LocalPool.Settings) -> Set<String> {
        Set(
            configuration.gateways.filter { $0.ipv4Pool == pool.name || $0.ipv6Pool == pool.name }
                .compactMap { configuration.interface($0.interface).map { $0.networkNamespace ?? "" } })
    }

    /// A pool's own addresses: those of the interfaces whose prefixes it lies in.
    func reserveAddresses() {
        let own = configuration.interfaces.flatMap { $0.addresses.map(\.address) }
        for index in configuration.pools.indices {
            let subnet = configuration.pools[index].subnet
            configuration.pools[index].reserved = Set(own.filter { subnet.contains($0) })
            guard configuration.pools[index].size == 0 else { continue }
            let name = configuration.pools[index].name
            guard let entry = dhcpServers[name.server]?.object?[name.pool] else { continue }
            reader.report(
                at: entry.position, entry.path + ".range", found: "no address that a client can have",
                allowed: "addresses beside the network's, the broadcast and the interface's own")
        }
    }
}
