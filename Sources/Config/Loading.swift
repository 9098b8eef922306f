import IKE
import Wire

extension Configuration {
    /// Reads a configuration. All its problems come back at once, in the order of the file; there is a configuration unless one of them is an error.
    /// Nothing outside the text is looked at: see `examineReferences` and `resolveSecrets`.
    package static func load(
        text: String, file: String, supporting capabilities: Capabilities = .current
    ) -> (configuration: Configuration?, problems: [Problem]) {
        func failure(_ position: Position, _ found: String, _ allowed: String) -> Problem {
            Problem(file: file, position: position, severity: .error, keyPath: "", found: found, allowed: allowed)
        }
        let refusals = YAMLSubset.check(text)
        guard refusals.isEmpty else {
            return (nil, refusals.map { failure($0.position, $0.found, $0.allowed) })
        }
        let document: Document
        do {
            document = try Document(text)
        } catch {
            return (nil, [failure(error.position, "a fault of YAML: " + error.problem, "YAML: key: value, [a, list], \"text\"")])
        }
        guard let root = document.root else {
            return (nil, [failure(.start, "an empty file", "a configuration with an ipsec-gateway")])
        }
        let reader = Reader(file: file, document: document)
        let draft = Draft(reader: reader, capabilities: capabilities)
        draft.read(Value(root, path: "", fallback: .start, reader: reader))
        let unsupported = draft.sortOutFeatures()
        draft.configuration.unsupported = unsupported
        let problems = reader.problems.sorted { ($0.position, $0.keyPath) < ($1.position, $1.keyPath) }
        return (problems.contains { $0.severity == .error } ? nil : draft.configuration, problems)
    }
}

extension Draft {
    /// Reads the sections in the order in which they name each other, not in that of the file.
    func read(_ root: Value) {
        root.section { section in
            readSystem(section["system"])
            readManagement(section["management"])
            readTunnelGroups(section["tunnel-group"])
            readServices(section["service"])
            readPools(section["local-dhcp-server"])
            section["router"]?.section { readRADIUSServers($0["radius-server"]) }
            readAAA(section["aaa"])
            readPKI(section["pki"])
            section["ipsec"]?.section { ipsec in
                readIKETransforms(ipsec["ike-transform"])
                readIPsecTransforms(ipsec["ipsec-transform"])
                readPolicies(ipsec["ike-policy"])
                readTemplates(ipsec["tunnel-template"])
                readSelectorLists(ipsec["ts-list"])
                readCertificateProfiles(ipsec["cert-profile"])
                readTrustAnchorProfiles(ipsec["trust-anchor-profile"])
                ipsec["radius"].map { readRADIUSPolicies($0) }
                readClientDatabases(ipsec["client-db"])
            }
            readGateways(section.required("ipsec-gateway", "at least one gateway"))
        }
        checkInterfaces()
        checkGateways()
        checkPools()
        reserveAddresses()
    }

    /// Warns of every feature that this version lacks; gives back those that an enabled gateway needs.
    func sortOutFeatures() -> [Problem] {
        let enabled = gateways.entries.filter { $0.object?.isEnabled ?? false }.map(\.path)
        let alwaysUsed = ["system", "management", "tunnel-group", "service"]
        let reached = reached(from: enabled + alwaysUsed)
        var needed: [Problem] = []
        for use in reader.featureUses where !capabilities.features.contains(use.feature) {
            let isNeeded = ancestors(of: use.keyPath).contains { reached.contains($0) }
            let what = use.found + " (\(use.feature.rawValue))"
            let allowed =
                isNeeded
                ? "nothing that asks for it: a later version brings it, and run refuses until then"
                : "as it is: nothing uses it; a later version brings it"
            reader.report(.warning, at: use.position, use.keyPath, found: what, allowed: allowed)
            guard isNeeded else { continue }
            needed.append(
                Problem(
                    file: reader.file, position: use.position, severity: .error, keyPath: use.keyPath, found: what,
                    allowed: "nothing that asks for it; a later version brings it"))
        }
        return needed.sorted { $0.position < $1.position }
    }

    /// The path itself and every path that it lies in.
    private func ancestors(of path: String) -> [String] {
        var ancestors = [path]
        var rest = path[...]
        while let dot = rest.lastIndex(where: { $0 == "." || $0 == "[" }) {
            rest = rest[..<dot]
            ancestors.append(String(rest))
        }
        return ancestors
    }
}
