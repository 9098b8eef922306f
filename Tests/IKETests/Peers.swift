import GatewayTesting
import Glibc
import IKEMessages
import Testing
import Wire

@testable import IKE

/// Two peers, a clock moved by hand, and a wire between them on which a script decides about every message.
final class Peers {
    struct Message {
        let number: Int
        let from: Side
        let datagram: IKEDatagram
        var arrival: Instant

        /// Such as `CREATE_CHILD_SA request`.
        func `is`(_ exchange: ExchangeType, response: Bool) -> Bool {
            datagram.header.map { $0.exchange == exchange && $0.isResponse == response } ?? false
        }
    }

    let gateway: Peer
    let client: Peer
    let seed: UInt64
    var now = Instant(nanoseconds: 1_000_000_000_000)
    private(set) var wire: [Message] = []
    private(set) var everything: [Message] = []
    /// When copies of a message arrive; none is a loss.
    var fate: (Message) -> [Duration] = { _ in [.milliseconds(10)] }
    /// Also that traffic finds an SA at the other end at any time; off once a test deletes or breaks something on purpose.
    var isLossless = true
    private(set) var violations: [String] = []
    /// `IPSEC_GW_TRACE` prints what happens.
    static let traces = getenv("IPSEC_GW_TRACE") != nil
    private(set) var steps = 0

    /// A profile without liveness checks, unless `change` says otherwise.
    static func profile(_ change: (inout GatewayProfile) -> Void = { _ in }) -> GatewayProfile {
        Pair.profile {
            $0.policy.deadPeerDetection = nil
            $0.policy.ipsecLifetime = .seconds(36_000)
            $0.policy.transforms = [
                IKETransform(encryption: [EncryptionChoice(.aesGCM16, keyBits: 128)], pseudorandomFunctions: [.hmacSHA256], keyExchange: [.x25519])
            ]
            $0.childTransforms = [IPsecTransform(encryption: [EncryptionChoice(.aesGCM16, keyBits: 128)], keyExchange: [.x25519])]
            change(&$0)
        }
    }

    init(
        seed: UInt64 = 1, gateway profile: GatewayProfile = Peers.profile(), client other: GatewayProfile? = nil, initRequest: [UInt8] = [1],
        nat: NATState = NATState(supported: true, peerBehindNAT: false, weBehindNAT: false)
    ) throws {
        self.seed = seed
        gateway = try Peer(.gateway, seed: seed, profile: profile, initRequest: initRequest, nat: nat, at: now)
        client = try Peer(
            .client, seed: seed, profile: other ?? profile, initRequest: [1],
            nat: NATState(supported: true, peerBehindNAT: false, weBehindNAT: false), at: now)
    }

    subscript(side: Side) -> Peer { side == .gateway ? gateway : client }

    // MARK: What the peers do

    func feed(_ input: Input, to side: Side) {
        self[side].feed(input, at: now)
        collect()
    }

    /// The soft limit of a Child SA strikes: the first, or that with this SPI.
    func rekeyChild(_ side: Side, _ spi: UInt32? = nil) {
        guard let spi = spi ?? self[side].children.first else { return }
        if Self.traces { print("\(side) shall replace \(spi)") }
        feed(.childAging(spi: spi), to: side)
    }

    /// The soft lifetime of the IKE SA is over.
    func rekeyIKE(_ side: Side) {
        self[side].change { $0.isAging = true }
        feed(.moved(Endpoint(IPAddress(v4: 0), port: 0)), to: side)
    }

    /// The hard limit of a Child SA strikes: the client is told, and it is gone.
    func deleteChild(_ side: Side, _ spi: UInt32? = nil) {
        guard let spi = spi ?? self[side].children.first else { return }
        isLossless = false
        feed(.childExhausted(spi: spi), to: side)
    }

    func deleteIKE(_ side: Side) {
        isLossless = false
        feed(.close(.operatorRequest), to: side)
    }

    /// A packet from one to the other, by the Child SA that the sender's datapath chooses.
    @discardableResult
    func packet(from side: Side) -> Bool {
        guard let child = self[side].outbound else { return false }
        return self[side.other].receivePacket(spi: child.sa.outboundSPI, key: child.keys.outbound)
    }

    // MARK: The wire

    private func collect() {
        for side in Side.allCases {
            let sent = self[side].sent
            self[side].sent = []
            for datagram in sent {
                var message = Message(number: everything.count, from: side, datagram: datagram, arrival: now)
                everything.append(message)
                for delay in fate(message) {
                    message.arrival = now + delay
                    wire.append(message)
                }
            }
        }
        check()
    }

    private func arrive(_ message: Message) {
        // As it looks at the other end.
        let datagram = IKEDatagram(message.datagram.octets, local: message.datagram.remote, remote: message.datagram.local)
        self[message.from.other].receive(datagram, at: now)
        collect()
    }

    /// What one side sent and nobody has seen yet.
    func waiting(_ side: Side) -> [Message] { wire.filter { $0.from == side } }

    /// Takes the oldest message of one side off the wire, to be given later or never.
    @discardableResult
    func take(_ side: Side) throws -> Message {
        let index = try #require(wire.firstIndex { $0.from == side }, "\(side) has sent nothing")
        return wire.remove(at: index)
    }

    /// The oldest message of one side arrives.
    func pass(_ side: Side) throws { arrive(try take(side)) }

    /// A message that was taken arrives.
    func give(_ message: Message) { arrive(message) }

    /// Anything at all arrives at one side, as if from the other.
    func inject(_ octets: [UInt8], to side: Side) {
        let ends = everything.last { $0.from == side.other }?.datagram
        guard let ends else { return }
        self[side].receive(IKEDatagram(octets, local: ends.remote, remote: ends.local), at: now)
        collect()
    }

    /// Everything that is on the wire arrives, and what comes of it.
    func settle() {
        var left = 1000
        while let first = wire.min(by: { ($0.arrival, $0.number) < ($1.arrival, $1.number) }), left > 0 {
            left -= 1
            let index = wire.firstIndex { $0.number == first.number } ?? 0
            arrive(wire.remove(at: index))
        }
        if left == 0 { violations.append("the wire never falls silent") }
    }

    /// Lets time pass, with everything that happens in it.
    func run(for duration: Duration) {
        let end = now + duration
        var left = 100_000
        while left > 0 {
            left -= 1
            let arrival = wire.min { $0.arrival < $1.arrival }?.arrival
            let due = Instant.earlier(gateway.nextEvent, client.nextEvent)
            guard let next = Instant.earlier(arrival, due), next <= end else { break }
            now = max(now, next)
            if let arrival, arrival <= next, let index = wire.firstIndex(where: { $0.arrival == arrival }) {
                arrive(wire.remove(at: index))
            } else {
                for side in Side.allCases { self[side].strike(at: now) }
                collect()
            }
        }
        if left == 0 { violations.append("the clock stands still") }
        now = max(now, end)
    }

    // MARK: Invariants

    private func check() {
        steps += 1
        guard violations.isEmpty else { return }
        var broken = gateway.broken() + client.broken()
        if isLossless, gateway.isEstablished, client.isEstablished {
            for side in Side.allCases {
                guard let child = self[side].outbound else {
                    broken.append("\(side) has no Child SA to send by")
                    continue
                }
                if !self[side.other].wouldReceive(child) { broken.append("what \(side) sends by \(child.sa.outboundSPI) is lost") }
            }
        }
        violations = broken.map { "seed \(seed), step \(steps): \($0)" }
    }

    /// What the two think differently, once nothing is under way any more.
    var disagreement: [String] {
        guard gateway.isEstablished == client.isEstablished else {
            return ["seed \(seed): established: gateway \(gateway.isEstablished), client \(client.isEstablished)"]
        }
        guard gateway.isEstablished else { return [] }
        var broken: [String] = []
        if gateway.ikeSPIs != client.ikeSPIs { broken.append("IKE SAs differ") }
        if Set(gateway.children) != Set(client.outboundSPIs) || Set(client.children) != Set(gateway.outboundSPIs) {
            broken.append("Child SAs differ: gateway \(gateway.children), client \(client.outboundSPIs)")
        }
        if isLossless, gateway.children.count != 1 { broken.append("\(gateway.children.count) Child SAs instead of one") }
        for side in Side.allCases where isLossless && !packet(from: side) { broken.append("no packet from \(side) arrives") }
        return broken.map { "seed \(seed): \($0)" }
    }

    /// Nothing is under way, and both agree.
    var isQuiet: Bool {
        wire.isEmpty && gateway.isIdle && client.isIdle && gateway.isSettled && client.isSettled && disagreement.isEmpty
    }

    /// Both ends are closed, all is given back.
    var leftovers: [String] {
        Side.allCases.flatMap { side -> [String] in
            let peer = self[side]
            return peer.isClosed && peer.installed.isEmpty && peer.reserved.isEmpty && peer.spis.isEmpty ? [] : ["seed \(seed): \(side) is left"]
        }
    }
}

/// No invariant was broken, and both sides agree on one Child SA and one IKE SA.
func expectAgreement(_ peers: Peers, children: Int = 1, sourceLocation: SourceLocation = #_sourceLocation) {
    peers.settle()
    #expect(peers.violations + peers.disagreement == [], "seed \(peers.seed)", sourceLocation: sourceLocation)
    #expect(peers.gateway.children.count == children, "seed \(peers.seed)", sourceLocation: sourceLocation)
    #expect(peers.gateway.isIdle && peers.client.isIdle, "seed \(peers.seed)", sourceLocation: sourceLocation)
}
