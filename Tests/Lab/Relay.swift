import Foundation
import Synchronization

/// A wire with faults: carries UDP 500 and 4500 between a namespace on the client's side and one on the gateway's.
///
/// ```
///  client ---- [gateway's address] near | relay | far [client's address] ---- gateway
/// ```
/// On the gateway's side each client has a socket bound to its own address and port, so addresses and ports pass unchanged
/// and the wire does not look like a NAT. What is done to a datagram comes from a seeded generator.
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

    /// What was done.
    package struct Counts: Sendable, Equatable {
        package var carried = 0
        package var lost = 0
        package var duplicated = 0
        package var reordered = 0
        package var corrupted = 0
    }

    package let seed: UInt64
    private let state: Mutex<(faults: Faults, counts: Counts, isStopped: Bool, hasEnded: Bool)>

    private init(faults: Faults, seed: UInt64) {
        self.seed = seed
        state = Mutex((faults, Counts(), false, false))
    }

    package var counts: Counts { state.withLock { $0.counts } }

    /// Changes what happens from now on.
    package func set(_ faults: Faults) { state.withLock { $0.faults = faults } }

    package static func start(
        _ scenario: Scenario, near: Namespace, far: Namespace, clientFacing: String, gateway: String, faults: Faults, seed: UInt64
    ) async throws -> Relay {
        let relay = Relay(faults: faults, seed: seed)
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
        let upstream: UDPSocket
        let gateway: sockaddr_in
        init(client: sockaddr_in, listener: UDPSocket, upstream: UDPSocket, gateway: sockaddr_in) {
            (self.client, self.listener, self.upstream, self.gateway) = (client, listener, upstream, gateway)
        }
    }

    private func carry(_ listeners: [UDPSocket], to gateway: String) {
        var random = SplitMix64(seed: seed)
        var paths: [Path] = []
        var parcels: [Parcel] = []
        defer { state.withLock { $0.hasEnded = true } }
        while !state.withLock({ $0.isStopped }) {
            var polled = (listeners.map(\.descriptor) + paths.map(\.upstream.descriptor)).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let now = ContinuousClock.now
            let next = parcels.map(\.due).min()
            let wait = next.map { max(0, min(20, Int32(($0 - now) / .milliseconds(1)) + 1)) } ?? 20
            poll(&polled, nfds_t(polled.count), wait)

            for (index, listener) in listeners.enumerated() where polled[index].revents != 0 {
                while let (octets, client) = listener.receive() {
                    let known = paths.first { $0.client.isSame(as: client) && $0.listener === listener }
                    guard let path = known ?? Self.open(client, listener, gateway) else { continue }
                    if known == nil { paths.append(path) }
                    pass(octets, port: listener.port, through: path.upstream.descriptor, to: path.gateway, &random, &parcels)
                }
            }
            for (path, entry) in zip(paths, polled.dropFirst(listeners.count)) where entry.revents != 0 {
                while let (octets, _) = path.upstream.receive() {
                    pass(octets, port: path.listener.port, through: path.listener.descriptor, to: path.client, &random, &parcels)
                }
            }
            let time = ContinuousClock.now
            for parcel in parcels where parcel.due <= time { UDPSocket.send(parcel.octets, parcel.socket, parcel.address) }
            parcels.removeAll { $0.due <= time }
        }
    }

    private static func open(_ client: sockaddr_in, _ listener: UDPSocket, _ gateway: String) -> Path? {
        guard let upstream = try? UDPSocket(client) else { return nil }
        return Path(client: client, listener: listener, upstream: upstream, gateway: sockaddr_in(gateway, listener.port))
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
