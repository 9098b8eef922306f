import Foundation
import Synchronization

/// A wire with faults: carries UDP 500 and 4500 between a namespace on the client's side and one on the gateway's.
///
/// ```
///  client ---- [gateway's address] near | relay | far [client's address] ---- gateway
/// ```
/// On the gateway's side each client has a socket bound to its own address and port, so addresses and ports pass unchanged
/// and the wire does not look like a NAT; or, with a `Translation`, to an address of the relay and a port that is drawn. What is done to a
/// datagram comes from a seeded generator.
package final class Relay: Sendable {
    /// What happens to datagrams, in each direction alike. Shares are 0 … 1.
    package struct Faults: Sendable {
        package var loss = 0.0
        package var duplication = 0.0
        /// Share of datagrams held back until later ones have passed.
        package var reordering = 0.0
        /// Share of datagrams with one bit turned over. IKE_SA_INIT is spared: nothing protects it, by design, so a turned bit there
        /// rightly ends in AUTHENTICATION_FAILED and would prove nothing.
        package var corruption = 0.0
        package var delay: Duration = .zero
        package init(loss: Double = 0, duplication: Double = 0, reordering: Double = 0, corruption: Double = 0, delay: Duration = .zero) {
            (self.loss, self.duplication, self.reordering, self.corruption, self.delay) = (loss, duplication, reordering, corruption, delay)
        }
    }

    /// Makes the relay a NAT: one mapping for each address and port of a client and port of the gateway.
    package struct Translation: Sendable {
        package var address: String
        package var ports: ClosedRange<UInt16>
        package init(address: String, ports: ClosedRange<UInt16>) { (self.address, self.ports) = (address, ports) }
    }

    /// What was done.
    package struct Counts: Sendable, Equatable {
        package var carried = 0
        package var lost = 0
        package var duplicated = 0
        package var reordered = 0
        package var corrupted = 0
    }

    package let seed: UInt64
    private let translation: Translation?
    private struct State {
        var faults: Faults
        var counts = Counts()
        var isStopped = false
        var hasEnded = false
        var forgets = false
        /// Where clients seem to be that talk to port 4500.
        var mappedPorts: [UInt16] = []
    }
    private let state: Mutex<State>

    private init(faults: Faults, seed: UInt64, translation: Translation?) {
        self.seed = seed
        self.translation = translation
        state = Mutex(State(faults: faults))
    }

    /// The ports of the clients' mappings to port 4500 as they are now, oldest first.
    package var mappedPorts: [UInt16] { state.withLock { $0.mappedPorts } }

    /// Loses all mappings, as a NAT does that is switched off and on: what comes for an old port is for nobody, or for another client; each client's
    /// next datagram gets another port than the client had before.
    package func forgetMappings() async throws {
        state.withLock { $0.forgets = true }
        guard await becomesTrue(within: .seconds(3), every: .milliseconds(2), { !self.state.withLock { $0.forgets } }) else {
            throw LabError("the relay does not run")
        }
    }

    package var counts: Counts { state.withLock { $0.counts } }

    /// Changes what happens from now on.
    package func set(_ faults: Faults) { state.withLock { $0.faults = faults } }

    package static func start(
        _ scenario: Scenario, near: Namespace, far: Namespace, clientFacing: String, gateway: String, faults: Faults, seed: UInt64,
        translation: Translation? = nil
    ) async throws -> Relay {
        let relay = Relay(faults: faults, seed: seed, translation: translation)
        let listeners = try await near.onThread { try [UInt16(500), 4500].map { try UDPSocket(address: clientFacing, port: $0) } }
        // the loop's thread lives in the far namespace, since it opens sockets there for each new client; the listeners hold what
        // comes before it runs
        Task.detached { try? await far.onThread { relay.carry(listeners, to: gateway) } }
        scenario.atEnd { await relay.stop() }
        return relay
    }

    package func stop() async {
        state.withLock { $0.isStopped = true }
        _ = await becomesTrue(within: .seconds(3), every: .milliseconds(5)) { self.state.withLock { $0.hasEnded } }
    }

    // MARK: The loop

    private struct Parcel {
        var due: ContinuousClock.Instant
        var octets: [UInt8]
        var socket: Int32
        var address: sockaddr_in
    }

    private final class Path {
        let client: sockaddr_in
        let listener: UDPSocket
        /// nil: a mapping that is forgotten.
        let upstream: UDPSocket?
        let port: UInt16
        let gateway: sockaddr_in
        init(client: sockaddr_in, listener: UDPSocket, upstream: UDPSocket?, port: UInt16, gateway: sockaddr_in) {
            (self.client, self.listener, self.upstream, self.port, self.gateway) = (client, listener, upstream, port, gateway)
        }
    }

    private func carry(_ listeners: [UDPSocket], to gateway: String) {
        var random = SplitMix64(seed: seed)
        var paths: [Path] = []
        var earlier: [Path] = []
        var parcels: [Parcel] = []
        defer { state.withLock { $0.hasEnded = true } }
        while !state.withLock({ $0.isStopped }) {
            if state.withLock({ $0.forgets }) {
                earlier = paths.map { Path(client: $0.client, listener: $0.listener, upstream: nil, port: $0.port, gateway: $0.gateway) }
                paths = []
                parcels = []
                state.withLock { ($0.forgets, $0.mappedPorts) = (false, []) }
            }
            var polled = (listeners.map(\.descriptor) + paths.compactMap(\.upstream?.descriptor)).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            let now = ContinuousClock.now
            let next = parcels.map(\.due).min()
            let wait = next.map { max(0, min(20, Int32(($0 - now) / .milliseconds(1)) + 1)) } ?? 20
            poll(&polled, nfds_t(polled.count), wait)

            for (index, listener) in listeners.enumerated() where polled[index].revents != 0 {
                while let (octets, client) = listener.receive() {
                    let known = paths.first { $0.client.isSame(as: client) && $0.listener === listener }
                    guard let path = known ?? open(client, listener, gateway, earlier, &random), let upstream = path.upstream else { continue }
                    if known == nil {
                        paths.append(path)
                        if listener.port == 4500 { state.withLock { $0.mappedPorts.append(path.port) } }
                    }
                    pass(octets, port: listener.port, through: upstream.descriptor, to: path.gateway, &random, &parcels)
                }
            }
            for (path, entry) in zip(paths, polled.dropFirst(listeners.count)) where entry.revents != 0 {
                while let (octets, _) = path.upstream?.receive() {
                    pass(octets, port: path.listener.port, through: path.listener.descriptor, to: path.client, &random, &parcels)
                }
            }
            let time = ContinuousClock.now
            for parcel in parcels where parcel.due <= time { UDPSocket.send(parcel.octets, parcel.socket, parcel.address) }
            parcels.removeAll { $0.due <= time }
        }
    }

    private func open(
        _ client: sockaddr_in, _ listener: UDPSocket, _ gateway: String, _ earlier: [Path], _ random: inout SplitMix64
    ) -> Path? {
        let destination = sockaddr_in(gateway, listener.port)
        guard let translation else {
            guard let upstream = try? UDPSocket(client) else { return nil }
            return Path(client: client, listener: listener, upstream: upstream, port: upstream.port, gateway: destination)
        }
        let old = earlier.first { $0.client.isSame(as: client) && $0.listener === listener }?.port
        for _ in 0..<10_000 {
            let port = UInt16.random(in: translation.ports, using: &random)
            // a port that is taken cannot be bound: another is drawn
            guard port != old, let upstream = try? UDPSocket(address: translation.address, port: port) else { continue }
            return Path(client: client, listener: listener, upstream: upstream, port: port, gateway: destination)
        }
        return nil
    }

    private func pass(
        _ octets: [UInt8], port: UInt16, through socket: Int32, to address: sockaddr_in, _ random: inout SplitMix64, _ parcels: inout [Parcel]
    ) {
        let faults = state.withLock { $0.faults }
        // drawn for every datagram, whatever happens to it, so that one seed means one sequence of fates
        let (lost, twice, late, turned) = (random.share(), random.share(), random.share(), random.share())
        let bit = Int(random.next() % UInt64(max(1, octets.count * 8)))
        guard lost >= faults.loss else { return state.withLock { $0.counts.lost += 1 } }
        var octets = octets
        if turned < faults.corruption, !Self.isInitialExchange(octets, port: port) {
            octets[bit / 8] ^= 1 << (bit % 8)
            state.withLock { $0.counts.corrupted += 1 }
        }
        let held: Duration = late < faults.reordering ? .milliseconds(15) : .zero
        let due = ContinuousClock.now + faults.delay + held
        if due <= ContinuousClock.now {
            UDPSocket.send(octets, socket, address)
        } else {
            parcels.append(Parcel(due: due, octets: octets, socket: socket, address: address))
        }
        if twice < faults.duplication { UDPSocket.send(octets, socket, address) }
        state.withLock { state in
            state.counts.carried += 1
            if held > .zero { state.counts.reordered += 1 }
            if twice < faults.duplication { state.counts.duplicated += 1 }
        }
    }

    /// Whether a datagram is an IKE_SA_INIT message (exchange type 34).
    private static func isInitialExchange(_ octets: [UInt8], port: UInt16) -> Bool {
        let header = port == 4500 ? octets.dropFirst(4) : octets[...]
        guard header.count >= 28, port == 500 || octets.prefix(4).allSatisfy({ $0 == 0 }) else { return false }
        return header[header.startIndex + 18] == 34
    }
}
