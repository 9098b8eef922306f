import ESP
import IKE
import Wire

/// `client-db`.
extension Draft {
    func readClientDatabases(_ value: Value?) {
        clientDatabases.read(value, max: 1000) { key, value in
            value.section { section in
                value.uses(.clientDatabase)
                var matchesIDi = true
                var matchesPeerPrefix = false
                section["match-list"]?.section { section in
                    matchesIDi = section["idi"]?.boolean() ?? true
                    matchesPeerPrefix = section["peer-ip-prefix"]?.boolean() ?? false
                    if !matchesIDi, !matchesPeerPrefix {
                        section.value.refuse(allowed: "idi: true or peer-ip-prefix: true")
                    }
                }
                var clients = Table<ClientDatabase.Client>("client")
                clients.read(ids: section["client"], max: 8000) { id, client in
                    client.section { readClient(id, $0, owner: value.path) }
                }
                return ClientDatabase(
                    name: key.name, matchesIDi: matchesIDi, matchesPeerPrefix: matchesPeerPrefix,
                    clients: clients.objects.sorted { $0.id < $1.id })
            }
        }
        configuration.clientDatabases = clientDatabases.objects
    }

    private func readClient(_ id: Int, _ section: Section, owner: String) -> ClientDatabase.Client {
        var client = ClientDatabase.Client(id: id)
        client.isEnabled = section["admin-state"]?.isEnabled() ?? true
        client.name = section["client-name"]?.text()
        section.required("identification", "{ idi: } or { peer-ip-prefix: }")?.section { section in
            client.identity = section["idi"]?.section { readIdentityMatch($0) } ?? nil
            client.peerPrefix = section["peer-ip-prefix"]?.prefix()
            if section["idi"] == nil, section["peer-ip-prefix"] == nil {
                section.value.refuse(allowed: "{ idi: } or { peer-ip-prefix: }")
            }
        }
        client.accepts = section["action"]?.word(of: ["accept", "reject"]) != "reject"
        section["credential"]?.section { section in
            if let value = section["pre-shared-key"] { client.preSharedKey = preSharedKey(value) }
        }
        if let template = section["tunnel-template"] {
            client.template = resolve(template, in: templates, from: owner)?.template.id
        }
        if let list = section["ts-list"] { client.trafficSelectors = resolve(list, in: selectorLists, from: owner)?.name }
        let service = section["private-service-name"]
        let interface = section["private-interface"]
        if let service, let interface {
            let found = secureInterface(service: service, interface: interface, from: owner)
            client.service = found?.name.service
            client.interface = found?.name.interface
        } else if let lone = service ?? interface {
            lone.refuse(allowed: "private-service-name and private-interface together")
        }
        return client
    }

    private func readIdentityMatch(_ section: Section) -> ClientDatabase.IdentityMatch? {
        var matches: [ClientDatabase.IdentityMatch?] = []
        if let any = section["any"] {
            if any.boolean() == false { any.refuse(allowed: "true") }
            matches.append(.any)
        }
        if let fqdn = section["fqdn"] { matches.append(fqdn.domainName().map { .fqdn($0) }) }
        if let suffix = section["fqdn-suffix"] { matches.append(suffix.text(1...253).map { .fqdnSuffix($0) }) }
        if let mail = section["rfc822"] { matches.append(mail.text(1...253).map { .rfc822($0) }) }
        if let suffix = section["rfc822-suffix"] { matches.append(suffix.text(1...253).map { .rfc822Suffix($0) }) }
        if let pattern = section["regexp"] {
            let text = pattern.text(1...253)
            if let text, (try? Regex(text)) == nil { pattern.refuse(allowed: "a regular expression") }
            matches.append(text.map { .regularExpression($0) })
        }
        if let prefix = section["ipv4-prefix"] { matches.append(prefix.prefix(.ipv4).map { .prefix($0) }) }
        if let prefix = section["ipv6-prefix"] { matches.append(prefix.prefix(.ipv6).map { .prefix($0) }) }
        guard matches.count == 1 else {
            reader.report(
                at: section.position, section.path, found: "\(matches.count) ways to match",
                allowed: "one of any, fqdn, fqdn-suffix, rfc822, rfc822-suffix, regexp, ipv4-prefix, ipv6-prefix")
            return nil
        }
        return matches[0]
    }

    /// A preshared key, with a warning for one that can be guessed.
    func preSharedKey(_ value: Value) -> ConfiguredSecret? {
        guard let secret = value.secret() else { return nil }
        if secret.isGuessable {
            value.warn(found: "a text of less than 128 bits of entropy, estimated", allowed: ConfiguredSecret.advice)
        }
        refer(to: secret)
        return secret
    }

    func refer(to secret: ConfiguredSecret) {
        let target: ExternalReference.Target
        switch secret.source {
        case .text: return
        case .file(let path): target = .file(path)
        case .environment(let name): target = .environment(name)
        }
        configuration.references.append(
            ExternalReference(target: target, keyPath: secret.keyPath, position: secret.position))
    }
}
