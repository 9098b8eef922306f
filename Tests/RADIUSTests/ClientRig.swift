import GatewayCrypto
import RADIUS
import Testing
import Wire

/// A machine, a clock moved by hand, and what came out of it; servers answer by script.
struct ClientRig {
    static let a = Endpoint(IPAddress(v4: 0x0a00_000a), port: 1812)
    static let b = Endpoint(IPAddress(v4: 0x0a00_000b), port: 1812)

    struct Sent {
        let octets: [UInt8]
        let socket: RADIUSClient.SocketID
        let to: Endpoint
        let at: Instant

        var identifier: UInt8 { octets[1] }
        var authenticator: [UInt8] { RADIUSPacket.authenticator(of: octets) }
    }

    var client: RADIUSClient
    var now = Instant(nanoseconds: 1_000_000_000_000)
    /// Open sockets.
    var sockets: [RADIUSClient.SocketID: Endpoint] = [:]
    var sent: [Sent] = []
    var replies: [(id: UInt64, reply: RADIUSReply)] = []
    var failures: [(id: UInt64, failure: RADIUSFailure)] = []
    var drops: [RADIUSDrop] = []
    var states: [(server: String, isUp: Bool)] = []
    var opened = 0
    var closed = 0

    init(
        servers: Int = 2, kind: RADIUSClient.Kind = .authentication, algorithm: RADIUSServerPolicySettings.Algorithm = .direct,
        maximumOutstanding: Int = 4096, requiresMessageAuthenticator: Bool = true, seed: UInt64 = 1
    ) throws {
        try #require(Dictionary.isLoaded)
        let settings = [("a", Self.a), ("b", Self.b)].prefix(servers).map { name, endpoint in
            RADIUSServerSettings(
                name: name, address: endpoint.address, secret: secret, requiresMessageAuthenticator: requiresMessageAuthenticator)
        }
        let policy = RADIUSServerPolicySettings(servers: settings, algorithm: algorithm, maximumOutstanding: maximumOutstanding)
        client = RADIUSClient(policy, kind: kind, entropy: SeededEntropy(seed: seed))
    }

    mutating func feed(_ input: RADIUSClient.Input) {
        var outputs: [RADIUSClient.Output] = []
        client.handle(input, at: now, into: &outputs)
        for output in outputs {
            switch output {
            case .open(let socket, let endpoint):
                #expect(sockets.updateValue(endpoint, forKey: socket) == nil)
                opened += 1
            case .close(let socket):
                #expect(sockets.removeValue(forKey: socket) != nil)
                closed += 1
            case .send(let octets, let socket):
                guard let endpoint = sockets[socket] else {
                    Issue.record("sent on a socket that is not open")
                    continue
                }
                sent.append(Sent(octets: octets, socket: socket, to: endpoint, at: now))
            case .reply(let id, let reply): replies.append((id.rawValue, reply))
            case .failed(let id, let failure): failures.append((id.rawValue, failure))
            case .server(let name, let isUp): states.append((name, isUp))
            case .dropped(let reason, _): drops.append(reason)
            }
        }
    }

    mutating func ask(_ id: UInt64, _ attributes: [RADIUSAttribute] = [.init(.userName, "alice")], affinity: String? = nil) {
        feed(.request(.init(id), RequestDraft(attributes, affinity: affinity)))
    }

    /// Moves the clock to the next deadline and tells the machine; false when there is none.
    @discardableResult mutating func wait() -> Bool {
        guard let next = client.nextDeadline else { return false }
        now = max(now, next)
        feed(.deadline)
        return true
    }

    /// Lets time pass, with everything that is due in it.
    mutating func pass(_ duration: Duration) {
        let end = now + duration
        while let next = client.nextDeadline, next <= end {
            now = max(now, next)
            feed(.deadline)
        }
        now = end
    }

    /// The answer to a request, as its server would give it.
    func answer(
        _ request: Sent, _ code: RADIUSCode = .accessAccept, _ attributes: [RADIUSAttribute] = [], secret: Secret<[UInt8]> = secret,
        signed: Bool? = nil
    ) throws -> [UInt8] {
        try reply(code, attributes, identifier: request.identifier, to: request.authenticator, secret: secret, signed: signed)
    }

    mutating func deliver(_ octets: [UInt8], on request: Sent, from source: Endpoint? = nil) {
        feed(.datagram(octets, socket: request.socket, from: source))
    }

    func statistics(_ name: String) throws -> RADIUSServerStatistics {
        try #require(client.statistics.first { $0.name == name })
    }
}
