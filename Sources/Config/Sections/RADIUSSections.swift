import Wire

/// `router: radius-server`, `aaa: radius`, `ipsec: radius`.
extension Draft {
    func readRADIUSServers(_ value: Value?) {
        radiusServers.read(value, max: 64) { key, value in
            value.section { section -> RADIUSServer? in
                let address = section.required("address", "the server's address")?.address()
                let secret = section.required("secret", "a text, { file: } or { env: }")?.secret()
                if let secret { refer(to: secret) }
                let authenticationPort = port(section["authentication-port"], 1812)
                let accountingPort = port(section["accounting-port"], 1813)
                let acceptsCoA = section["accept-coa"]?.boolean() ?? false
                let required = section["require-message-authenticator"]
                let requires = required?.boolean() ?? true
                if !requires { required?.warn(found: "\"false\"", allowed: "true: without it replies can be forged (CVE-2024-3596)") }
                guard let address, let secret else { return nil }
                return RADIUSServer(
                    name: key.name, address: address, secret: secret, authenticationPort: authenticationPort,
                    accountingPort: accountingPort, acceptsCoA: acceptsCoA, requiresMessageAuthenticator: requires)
            } ?? nil
        }
        configuration.radius.servers = radiusServers.objects
    }

    private func port(_ value: Value?, _ standard: UInt16) -> UInt16 {
        value?.integer(1...65535).map { UInt16($0) } ?? standard
    }

    func readAAA(_ value: Value?) {
        value?.section { section in
            section["radius"]?.section { section in
                serverPolicies.read(section["server-policy"], max: 256) { key, value in
                    value.section { readServerPolicy(key.name, $0) }
                }
                section["dynamic-authorization"]?.section { section in
                    var settings = DynamicAuthorizationSettings()
                    settings.port = port(section["port"], 3799)
                    settings.eventTimestampWindow = section["event-timestamp-window"]?.seconds(1...86_400) ?? .seconds(300)
                    settings.requiresEventTimestamp = section["require-event-timestamp"]?.boolean() ?? false
                    settings.requiresMessageAuthenticator = section["require-message-authenticator"]?.boolean() ?? false
                    settings.isStrictAboutIdentification = section["strict-identification"]?.boolean() ?? false
                    configuration.radius.dynamicAuthorization = settings
                    section.value.uses(.dynamicAuthorization)
                }
            }
        }
        configuration.radius.serverPolicies = serverPolicies.objects
    }

    private func readServerPolicy(_ name: String, _ section: Section) -> RADIUSServerPolicy {
        var servers: [String] = []
        for value in section.required("server", "a list of radius-servers")?.list(1, max: 16) ?? [] {
            _ = resolve(value, in: radiusServers, from: section.path)
            if let name = value.scalar { servers.append(name) }
            if servers.count != Set(servers).count {
                value.refuse(allowed: "each server once")
                servers.removeLast()
            }
        }
        var policy = RADIUSServerPolicy(name: name, servers: servers)
        policy.algorithm = section["access-algorithm"]?.choice() ?? .direct
        policy.timeout = section["timeout"]?.seconds(1...90) ?? policy.timeout
        policy.retryCount = section["retry-count"]?.integer(1...256) ?? policy.retryCount
        policy.holdDownTime = section["hold-down-time"]?.seconds(1...86_400) ?? policy.holdDownTime
        return policy
    }

    func readRADIUSPolicies(_ value: Value?) {
        value?.section { section in
            authenticationPolicies.read(section["authentication-policy"], max: 256) { key, value in
                value.section { section in
                    let server = section.required("radius-server-policy", "a server-policy")
                    let password = section["password"]?.secret()
                    if let password { refer(to: password) }
                    let attributes = attributeChoices(section["include-radius-attribute"], RADIUSAttributeChoice.inAuthentication, [])
                    value.uses(.radiusAuthentication)
                    return RADIUSAuthenticationPolicy(
                        name: key.name, serverPolicy: serverPolicy(server, from: value.path), password: password,
                        attributes: attributes)
                }
            }
            accountingPolicies.read(section["accounting-policy"], max: 256) { key, value in
                value.section { section in
                    let server = section.required("radius-server-policy", "a server-policy")
                    value.uses(.radiusAccounting)
                    var policy = RADIUSAccountingPolicy(name: key.name, serverPolicy: serverPolicy(server, from: value.path))
                    policy.attributes = attributeChoices(
                        section["include-radius-attribute"], RADIUSAttributeChoice.allCases, [.accountingStatistics])
                    section["update-interval"]?.section { section in
                        if let minutes = section.required("value", "0 or 5...259200 minutes") {
                            policy.updateInterval =
                                minutes.scalar == "0" ? nil : minutes.minutes(5...259_200, also: "0") ?? policy.updateInterval
                        }
                        policy.updateJitter = section["jitter"]?.seconds(0...3600) ?? .zero
                    }
                    return policy
                }
            }
        }
        configuration.radius.authenticationPolicies = authenticationPolicies.objects
        configuration.radius.accountingPolicies = accountingPolicies.objects
    }

    private func serverPolicy(_ value: Value?, from owner: String) -> String {
        guard let value else { return "" }
        return resolve(value, in: serverPolicies, from: owner)?.name ?? value.scalar ?? ""
    }

    private func attributeChoices(
        _ value: Value?, _ choices: [RADIUSAttributeChoice], _ standard: Set<RADIUSAttributeChoice>
    ) -> Set<RADIUSAttributeChoice> {
        var chosen = standard
        value?.section { section in
            for choice in choices {
                guard let isChosen = section[choice.rawValue]?.boolean() else { continue }
                if isChosen { chosen.insert(choice) } else { chosen.remove(choice) }
            }
        }
        return chosen
    }
}
