import GatewayCrypto
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// A client and a scripted gateway with nothing between them, and a clock that the test moves.
final class Pairing {
    static let client = Endpoint(IPAddress("192.0.2.10")!, port: 500)
    static let gatewayAddress = Endpoint(IPAddress("198.51.100.1")!, port: 500)

    /// A class, so that the client, which cannot be copied, can be reached from closures.
    var warrior: RoadWarrior
    let gateway: ScriptedGateway
    var now = Instant(nanoseconds: 1_000_000_000_000)
    /// Everything but datagrams.
    var events: [RoadWarrior.Output] = []
    var sent: [RoadWarrior.Datagram] = []
    /// Datagrams that wait for the gateway.
    private var queue: [RoadWarrior.Datagram] = []
    /// Answers of the gateway, in order.
    var answers: [[UInt8]] = []
    /// Loses datagrams of the client with these numbers, counted from 0.
    var lost: Set<Int> = []

    static func settings(_ change: (inout RoadWarrior.Settings) -> Void = { _ in }) -> RoadWarrior.Settings {
        var settings = RoadWarrior.Settings(
            presharedKey: Secret([UInt8]("the shared key of the tests".utf8)),
            identity: IdentificationPayload(form: "warrior@example.org"),
            remoteIdentity: IdentificationPayload(form: "gw.example.org"), local: client, remote: gatewayAddress,
            entropy: SeededEntropy(seed: 7))
        change(&settings)
        return settings
    }

    init(_ script: ScriptedGateway.Script = .init(), _ change: (inout RoadWarrior.Settings) -> Void = { _ in }) {
        warrior = RoadWarrior(Self.settings(change))
        gateway = ScriptedGateway(script)
    }

    static func established() throws -> Pairing {
        let pair = Pairing()
        try pair.connect()
        _ = try #require(pair.child)
        return pair
    }

    func take(_ outputs: [RoadWarrior.Output]) {
        for output in outputs {
            if case .send(let datagram) = output {
                if !lost.contains(sent.count) { queue.append(datagram) }
                sent.append(datagram)
            } else {
                events.append(output)
            }
        }
    }

    func start() {
        var outputs: [RoadWarrior.Output] = []
        warrior.start(at: now, into: &outputs)
        take(outputs)
    }

    /// Carries datagrams to and fro until both are silent.
    func run() throws {
        while !queue.isEmpty {
            let datagram = queue.removeFirst()
            guard datagram.content == .ike,
                let answer = try gateway.answer(datagram.octets, from: datagram.local, to: datagram.remote)
            else { continue }
            answers.append(answer)
            deliver(answer, encapsulated: datagram.encapsulated)
        }
    }

    /// Starts and runs to the end.
    func connect() throws {
        start()
        try run()
    }

    /// Gives the client a message of the gateway, with the marker where it belongs.
    func deliver(_ message: [UInt8], encapsulated: Bool? = nil) {
        let nat = encapsulated ?? warrior.encapsulated
        var outputs: [RoadWarrior.Output] = []
        warrior.receive(
            nat ? [0, 0, 0, 0] + message : message,
            from: Endpoint(Self.gatewayAddress.address, port: nat ? 4500 : 500), at: now, into: &outputs)
        take(outputs)
    }

    func deliver(packet: [UInt8]) {
        var outputs: [RoadWarrior.Output] = []
        warrior.receive(packet, from: Endpoint(Self.gatewayAddress.address, port: 4500), at: now, into: &outputs)
        take(outputs)
    }

    /// Moves the clock to the client's next deadline; false when it has none.
    func strike() -> Bool {
        guard let next = warrior.nextDeadline else { return false }
        now = max(now, next)
        var outputs: [RoadWarrior.Output] = []
        warrior.handleDeadlines(at: now, into: &outputs)
        take(outputs)
        return true
    }

    func close() {
        var outputs: [RoadWarrior.Output] = []
        warrior.close(at: now, into: &outputs)
        take(outputs)
    }

    // The macros of Testing cannot look into a value that cannot be copied.
    var drops: RoadWarrior.Drops { warrior.drops }
    var keys: ExposedKeys? { warrior.exposedKeys }
    var childSA: RoadWarrior.ChildEstablished? { warrior.childSA }
    var highestReceived: UInt64 { warrior.highestReceived }
    var nextDeadline: Instant? { warrior.nextDeadline }
    var nextMessageID: UInt32 { warrior.nextMessageID }
    var expectedMessageID: UInt32 { warrior.expectedMessageID }
    var sequence: UInt64 {
        get { warrior.sequence }
        set { warrior.sequence = newValue }
    }

    func seal(_ inner: [UInt8]) -> RoadWarrior.Datagram? { warrior.seal(inner, at: now) }
    func seal(anything inner: [UInt8]) -> RoadWarrior.Datagram? { warrior.seal(anything: inner, at: now) }
    func forge(_ exchange: ExchangeType, _ payloads: [Payload], messageID: UInt32) -> [UInt8]? {
        warrior.forge(exchange, payloads, messageID: messageID)
    }

    var established: RoadWarrior.Established? {
        for case .established(let facts) in events { return facts }
        return nil
    }
    var child: RoadWarrior.ChildEstablished? {
        for case .childEstablished(let facts) in events { return facts }
        return nil
    }
    var closure: RoadWarrior.Closure? {
        for case .closed(let closure) in events { return closure }
        return nil
    }
    var refusals: [RoadWarrior.Refusal] {
        events.compactMap { if case .refused(let refusal) = $0 { refusal } else { nil } }
    }
    var delivered: [[UInt8]] {
        events.compactMap { if case .delivered(let packet) = $0 { packet } else { nil } }
    }

    /// A request of the gateway, delivered; the payloads and header of the client's answer.
    func request(_ exchange: ExchangeType, _ payloads: [Payload], id: UInt32) throws -> (IKEHeader, [Payload])? {
        let before = sent.count
        deliver(try gateway.seal(exchange, payloads, id: id, response: false))
        guard sent.count > before else { return nil }
        let message = try IKEMessage(parsing: sent[before].octets)
        return (message.header, try gateway.open(message, sent[before].octets))
    }
}
