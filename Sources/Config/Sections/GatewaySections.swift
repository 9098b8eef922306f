import AddressAssignment
import IKE
import Wire

/// `ipsec-gateway`.
extension Draft {
    func readGateways(_ value: Value?) {
        gateways.read(value, max: 256) { key, value in
            value.section { readGateway(key, $0) } ?? nil
        }
        configuration.gateways = gateways.objects
        if let value, gateways.entries.isEmpty { value.refuse(allowed: "at least one gateway") }
    }

    private func readGateway(_ key: Key, _ section: Section) -> GatewayConfiguration? {
        let path = section.path
        let isEnabled = section["admin-state"]?.isEnabled() ?? true
        let sap = section["sap"]?.text()
        let group = readTunnelGroup(section)
        let policy = section.required("ike-policy", "an ike-policy").flatMap { resolve($0, in: policies, from: path) }
        let template = section.required("default-tunnel-template", "a tunnel-template")
            .flatMap { resolve($0, in: templates, from: path) }
        let interface =
            section.required("default-secure-service", "{ service-name: , interface: }")?
            .section { section -> PrivateInterface? in
                let service = section.required("service-name", "a service")
                let interface = section.required("interface", "an interface of the service")
                guard let service, let interface else { return nil }
                return secureInterface(service: service, interface: interface, from: path)
            } ?? nil
        let local = section.required("local", "{ gateway-address: }")?.section { readLocal($0, interface: interface) } ?? nil
        let dhcp = section["dhcp-address-assignment"].map { readDHCP($0) }
        let secret = section["pre-shared-key"].flatMap { preSharedKey($0) }
        let certificate = section["cert"]?.section { readCertificate($0, policy: policy, from: path) }
        let list = section["ts-list"].flatMap { resolve($0, in: selectorLists, from: path) }
        let clients =
            section["client-db"]?.section { section -> ClientDatabaseReference? in
                let database = section.required("name", "a client-db").flatMap { resolve($0, in: clientDatabases, from: path) }
                let fallback = section["fallback"]?.boolean() ?? true
                return database.map { ClientDatabaseReference(name: $0.name, fallback: fallback) }
            } ?? nil
        let radius = section["radius"]?.section { readRADIUS($0, policy: policy, from: path) }
        let uniqueness = section["uniqueness"]
        let kind: Uniqueness = uniqueness?.choice() ?? .replace
        if kind != .replace { uniqueness?.uses(.uniquenessPolicies) }
        let limit = section["max-sessions-per-user"]
        let maximum = limit?.integer(0...65_535) ?? 0
        if maximum > 0 { limit?.uses(.sessionLimit) }
        let action: SessionLimitAction = section["session-limit-action"]?.choice() ?? .replaceOldest
        if let policy {
            checkCredentials(policy, section, hasClientDatabase: section["client-db"] != nil)
            checkAddresses(policy, section)
        }
        guard let policy, let template, let interface, let local else { return nil }
        var gateway = GatewayConfiguration(
            name: key.name, tunnelGroup: group, policy: policy, template: template, interface: interface.name,
            address: local.address)
        gateway.isEnabled = isEnabled
        gateway.sap = sap
        gateway.identity = local.identity
        gateway.ipv4Pool = local.ipv4
        gateway.ipv6Pool = local.ipv6
        gateway.dhcpv4 = dhcp?.v4
        gateway.dhcpv6 = dhcp?.v6
        gateway.preSharedKey = secret
        gateway.certificate = certificate
        gateway.trafficSelectors = list
        gateway.clientDatabase = clients
        gateway.authenticationPolicy = radius?.authentication
        gateway.accountingPolicy = radius?.accounting
        gateway.uniqueness = kind
        gateway.maximumSessionsPerUser = maximum == 0 ? nil : maximum
        gateway.sessionLimitAction = action
        return gateway
    }

    private func readTunnelGroup(_ section: Section) -> Int {
        guard let value = section["tunnel-group"] else {
            if tunnelGroups.entries.count > 1 {
                _ = section.required("tunnel-group", "one of " + tunnelGroups.entries.map(\.name).joined(separator: ", "))
            }
            return configuration.tunnelGroups.first?.id ?? 1
        }
        return resolve(value, in: tunnelGroups, from: section.path)?.id ?? 1
    }

    /// An interface by the names of its service and its own.
    func secureInterface(service: Value, interface: Value, from owner: String) -> PrivateInterface? {
        guard let interfaces = resolve(service, in: services, from: owner) else { return nil }
        return resolve(interface, in: interfaces, from: owner)
    }

    private struct Local {
        var address: GatewayConfiguration.Address
        var identity: GatewayIdentity
        var ipv4: PoolName?
        var ipv6: PoolName?
    }

    private func readLocal(_ section: Section, interface: PrivateInterface?) -> Local? {
        let address = section.required("gateway-address", "an IPv4 or IPv6 address, or auto").flatMap {
            value -> GatewayConfiguration.Address? in
            if value.scalar == "auto" { return .automatic }
            guard let address = value.address() else { return nil }
            let isMulticast = address.value >> UInt128(address.family == .ipv4 ? 28 : 120) == (address.family == .ipv4 ? 14 : 255)
            guard !address.isUnspecified, !isMulticast else {
                value.refuse(allowed: "the address of this machine, or auto")
                return nil
            }
            if address.family == .ipv6 { value.uses(.outerIPv6) }
            return .fixed(address)
        }
        let identity = section["id"].flatMap { readIdentity($0) } ?? .auto
        var pools: [AddressFamily: PoolName] = [:]
        section["address-assignment"]?.section { section in
            for (name, family) in [("ipv4", AddressFamily.ipv4), ("ipv6", .ipv6)] {
                guard let value = section[name] else { continue }
                if family == .ipv6 { value.uses(.innerIPv6) }
                pools[family] = value.section { readPoolReference($0, family: family, interface: interface) } ?? nil
            }
        }
        return address.map { Local(address: $0, identity: identity, ipv4: pools[.ipv4], ipv6: pools[.ipv6]) }
    }

    private func readIdentity(_ value: Value) -> GatewayIdentity? {
        if value.scalar == "auto" { return .auto }
        guard value.isMapping else {
            value.refuse(allowed: "auto, { ipv4: }, { ipv6: } or { fqdn: }")
            return nil
        }
        return value.section { section -> GatewayIdentity? in
            var found: [GatewayIdentity?] = []
            if let value = section["ipv4"] { found.append(value.address(.ipv4).map { .ipv4($0) }) }
            if let value = section["ipv6"] { found.append(value.address(.ipv6).map { .ipv6($0) }) }
            if let value = section["fqdn"] { found.append(value.domainName().map { .fqdn($0) }) }
            guard found.count == 1 else {
                reader.report(
                    at: value.position, value.path, found: "\(found.count) ids",
                    allowed: "auto, { ipv4: }, { ipv6: } or { fqdn: }")
                return nil
            }
            return found[0]
        } ?? nil
    }

    /// `{ dhcp-server: , pool: }`; the pool must lie within the interface's prefixes (features.md V6-2).
    private func readPoolReference(_ section: Section, family: AddressFamily, interface: PrivateInterface?) -> PoolName? {
        let owner = section.path
        guard let server = section.required("dhcp-server", "a local-dhcp-server"),
            let pools = resolve(server, in: dhcpServers, from: owner),
            let value = section.required("pool", "a pool of the local-dhcp-server"),
            let pool = resolve(value, in: pools, from: owner)
        else {
            _ = section["pool"]
            return nil
        }
        guard pool.subnet.family == family else {
            value.refuse(allowed: "a pool of IPv\(family.rawValue) addresses; this one is \(pool.subnet)")
            return nil
        }
        guard let interface else { return pool.name }
        let prefixes = interface.addresses.map(\.prefix).filter { $0.family == family }
        guard prefixes.contains(where: { $0.contains(pool.subnet) }) else {
            let list = prefixes.isEmpty ? "none" : prefixes.map(\.description).joined(separator: ", ")
            reader.report(
                at: value.position, value.path, found: "the pool \(pool.name) of \(pool.subnet)",
                allowed: "a subnet within the prefixes of interface \(interface.device): \(list)")
            return nil
        }
        return pool.name
    }

    private func readDHCP(_ value: Value) -> (v4: DHCPSettings?, v6: DHCPSettings?) {
        value.uses(.dhcp)
        return value.section { section in
            let v4 = section["dhcpv4"]?.section { relay($0, "gi-address", .ipv4) } ?? nil
            let v6 = section["dhcpv6"]?.section { relay($0, "link-address", .ipv6) } ?? nil
            return (v4, v6)
        } ?? (nil, nil)
    }

    private func relay(_ section: Section, _ key: String, _ family: AddressFamily) -> DHCPSettings? {
        let isEnabled = section["admin-state"]?.isEnabled() ?? true
        let address = section.required(key, "an IPv\(family.rawValue) address of this machine")?.address(family)
        let servers = section.required("server", "a list of DHCP servers")?.list(1, max: 8)?.compactMap { $0.address(family) }
        let sendsRelease = section["send-release"]?.boolean() ?? true
        guard isEnabled, let address, let servers else { return nil }
        return DHCPSettings(relayAddress: address, servers: servers, sendsRelease: sendsRelease)
    }

    private func readCertificate(_ section: Section, policy: IKEPolicy?, from path: String) -> GatewayCertificate {
        // A gateway whose policy shows and checks no certificate does not need what stands here.
        let owner = policy.map { $0.signs || $0.acceptsCertificate } ?? true ? path : section.path
        var certificate = GatewayCertificate()
        certificate.profile = section["cert-profile"].flatMap { resolve($0, in: certificateProfiles, from: owner)?.name }
        certificate.trustAnchors = section["trust-anchor-profile"].flatMap {
            resolve($0, in: trustAnchorProfiles, from: owner)?.name
        }
        if let verify = section["status-verify"] {
            verify.section { section in
                certificate.statusVerify.primary = section["primary"]?.choice() ?? .crl
                if let secondary = section["secondary"], secondary.scalar != "none" {
                    certificate.statusVerify.secondary = secondary.choice()
                }
                certificate.statusVerify.defaultResult = section["default-result"]?.choice() ?? .revoked
            }
            if owner == path { verify.uses(.revocation) }
        }
        return certificate
    }

    private func readRADIUS(
        _ section: Section, policy: IKEPolicy?, from path: String
    ) -> (authentication: String?, accounting: String?) {
        let isUsed = policy.map { $0.authentication.method.asksRADIUS || $0.authentication.method.hasEAP } ?? true
        let owner = isUsed ? path : section.path
        let authentication = section["authentication-policy"].flatMap {
            resolve($0, in: authenticationPolicies, from: owner)?.name
        }
        let accounting = section["accounting-policy"].flatMap { resolve($0, in: accountingPolicies, from: owner)?.name }
        guard isUsed else {
            section.value.warn(
                found: "RADIUS policies, which auth-method \(policy?.authentication.method.rawValue ?? "") ignores",
                allowed: "psk-radius, cert-radius, eap, auto-eap or auto-eap-radius (AUTH-10)")
            return (nil, nil)
        }
        if configuration.radius.dynamicAuthorization != nil { names("aaa.radius.dynamic-authorization", from: path) }
        return (authentication, accounting)
    }
}
