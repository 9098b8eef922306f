import IKE
import Wire

/// Where gateways are served after a reload. Sockets are opened at start: whoever is served already stays at its address until the next one, and a
/// newcomer needs an address that is listened at and free.
struct Placement {
    let served: [IPAddress: GatewayRuntime]
    /// Names of those that have to wait for a restart.
    let waiting: [String]

    init(of planned: [IPAddress: GatewayRuntime], running: [IPAddress: GatewayRuntime], listeners: Set<IPAddress>) {
        let places = Dictionary(running.values.map { ($0.name, $0.address) }) { first, _ in first }
        var served: [IPAddress: GatewayRuntime] = [:]
        var waiting: [String] = []
        let gateways = planned.values.sorted { $0.name < $1.name }
        for gateway in gateways {
            guard let place = places[gateway.name] else { continue }
            served[place] = gateway.staying(at: place)
        }
        for gateway in gateways where places[gateway.name] == nil {
            if listeners.contains(gateway.address), served[gateway.address] == nil {
                served[gateway.address] = gateway
            } else {
                waiting.append(gateway.name)
            }
        }
        self.served = served
        self.waiting = waiting
    }

    /// Keys of those that wait, as far as no other key says so.
    func restarts(beside others: [String]) -> [String] {
        waiting.map { "ipsec-gateway.\($0)" }.filter { key in !others.contains { $0 == key || $0.hasPrefix(key + ".") } }
    }
}

extension GatewayRuntime {
    fileprivate func staying(at place: IPAddress) -> GatewayRuntime {
        with { settings in
            settings.address = place
            // `id: auto` is that of the address that clients connect to.
            if settings.choosesIdentity { settings.profile.identity = Plan.identity(of: place) }
        }
    }
}
