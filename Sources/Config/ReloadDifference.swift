package import AddressAssignment

/// What a reload changes. Sessions whose settings did not change are untouched (configuration.md).
package struct ReloadDifference: Sendable, Equatable {
    /// Gateways that are new, or enabled again.
    package var addedGateways: [String] = []
    /// Gateways that are gone, or disabled; their sessions go.
    package var removedGateways: [String] = []
    /// Gateways with other settings than before, templates, policies and lists that they name included; for new sessions and the next rekey.
    package var changedGateways: [String] = []
    package var addedPools: [PoolName] = []
    package var removedPools: [PoolName] = []
    package var changedPools: [PoolName] = []
    package var changedTemplates: [Int] = []
    package var changesLogLevel = false
    /// Keys whose new values hold from the next start on.
    package var restarts: [String] = []

    package init() {}

    package var isEmpty: Bool { self == ReloadDifference() }
}

extension Configuration {
    /// What is different from an older configuration, names in order. Both have their secrets resolved, or a key that changed goes unseen.
    package func difference(from old: Configuration) -> ReloadDifference {
        var difference = ReloadDifference()
        let (before, after) = (old.gateways.filter(\.isEnabled), gateways.filter(\.isEnabled))
        let gateways = Self.compare(before, after, name: \.name)
        difference.addedGateways = gateways.added
        difference.removedGateways = gateways.removed
        difference.changedGateways = gateways.changed.filter { name in
            !isOnlyElsewhere(before.first { $0.name == name }, after.first { $0.name == name })
        }
        for name in gateways.changed where self.gateway(name)?.address != old.gateway(name)?.address {
            difference.restarts.append("ipsec-gateway.\(name).local.gateway-address")
        }
        let pools = Self.compare(old.pools, self.pools, name: \.name)
        difference.addedPools = pools.added
        difference.removedPools = pools.removed
        difference.changedPools = pools.changed
        let ids = Set(old.templates.keys).union(templates.keys)
        difference.changedTemplates = ids.filter { old.templates[$0] != templates[$0] }.sorted()
        difference.changesLogLevel = old.management.logLevel != management.logLevel
        difference.restarts += restarts(from: old)
        difference.restarts += newListeners(difference.addedGateways, before: before, after: after)
        return difference
    }

    /// Sockets are opened at start: a gateway on an address that had none, or one that leaves its address without, needs a restart.
    private func newListeners(
        _ added: [String], before: [GatewayConfiguration], after: [GatewayConfiguration]
    ) -> [String] {
        let addresses = Set(before.map(\.address))
        return added.filter { name in after.contains { $0.name == name && !addresses.contains($0.address) } }
            .map { "ipsec-gateway.\($0)" }
    }

    /// Nothing but the address differs, which takes a restart and changes nothing before it.
    private func isOnlyElsewhere(_ old: GatewayConfiguration?, _ new: GatewayConfiguration?) -> Bool {
        guard var old, let new else { return false }
        old.address = new.address
        return old == new
    }

    private func restarts(from old: Configuration) -> [String] {
        var keys: [String] = []
        func compare<Value: Equatable>(_ key: String, _ value: (Configuration) -> Value) {
            if value(self) != value(old) { keys.append(key) }
        }
        compare("management.control-socket") { $0.management.controlSocket }
        compare("management.state-directory") { $0.management.stateDirectory }
        compare("management.socket-access") { [$0.management.socketGroup, String($0.management.socketMode)] }
        compare("management.log.format") { $0.management.logFormat }
        compare("management.metrics") { $0.management.metrics }
        // Who may send requests, and how, changes at once; the port is opened at start.
        compare("aaa.radius.dynamic-authorization.port") { $0.radius.dynamicAuthorization?.port }
        // How long reassembly waits changes at once; whether there is one is a matter of the sockets
        compare("tunnel-group") {
            $0.tunnelGroups.map { group in
                var group = group
                group.reassemblyTimeout = group.reassemblyTimeout.map { _ in .zero }
                return group
            }
        }
        let interfaces = Self.compare(old.interfaces, self.interfaces, name: \.name)
        keys += (interfaces.added + interfaces.removed + interfaces.changed)
            .map { "service.\($0.service).interface.\($0.interface)" }.sorted()
        return keys
    }

    private static func compare<Element: Equatable, Name: Hashable & CustomStringConvertible>(
        _ old: [Element], _ new: [Element], name: (Element) -> Name
    ) -> (added: [Name], removed: [Name], changed: [Name]) {
        let before = Dictionary(old.map { (name($0), $0) }) { first, _ in first }
        let after = Dictionary(new.map { (name($0), $0) }) { first, _ in first }
        func sorted(_ names: some Sequence<Name>) -> [Name] { names.sorted { $0.description < $1.description } }
        return (
            sorted(after.keys.filter { before[$0] == nil }), sorted(before.keys.filter { after[$0] == nil }),
            sorted(after.keys.filter { before[$0] != nil && before[$0] != after[$0] })
        )
    }
}
