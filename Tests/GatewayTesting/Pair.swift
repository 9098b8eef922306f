internal import GatewayCrypto
package import IKE
package import IKEMessages
package import RoadWarrior
package import Wire

/// A gateway and its clients in memory: a clock that the test moves, a wire that loses what it is told to lose, and the invariants of threats.md
/// section 3 asked after every step. Nothing here is random but by the seed.
package final class Pair {
    package static let gatewayAddress = IPAddress(v4: 0xc633_6401)
    package static let sharedKey = [UInt8]("the shared key of the tests, long enough".utf8)
    package static let gatewayIdentity = IdentificationPayload(form: "gw.example.org")

    package let gateway: PairGateway
    package private(set) var clients: [PairClient] = []
    package var now = Instant(nanoseconds: 1_000_000_000_000)
    package var wire = LossyWire()
    package let seed: UInt64
    /// What was broken first, with the step.
    package private(set) var violations: [String] = []
    package private(set) var steps = 0
    /// What the gateway said in IKE_AUTH to the first client of `Pair.eap`, in order; of fragments nothing.
    package internal(set) var authAnswers: [[Payload]] = []
    /// Invariants are asked after every step; a test with thousands of SAs asks once in a while.
    package var checksEveryStep = true

    /// A gateway as the tests know it unless they say something else.
    package static func profile(_ change: (inout GatewayProfile) -> Void = { _ in }) -> GatewayProfile {
        var profile = GatewayProfile(
            name: "ra", policy: IKEPolicy(id: 1), childTransforms: DefaultProposals.ipsec, identity: gatewayIdentity, selectors: nil)
        change(&profile)
        return profile
    }

    /// A gateway with one client, which is not begun.
    package init(
        seed: UInt64 = 1, profile: GatewayProfile = Pair.profile(), nat: PairClient.NAT? = nil,
        _ change: (inout RoadWarrior.Settings) -> Void = { _ in }
    ) throws {
        self.seed = seed
        gateway = try PairGateway(
            profile: profile, sharedKey: Self.sharedKey, entropy: SeededEntropy(seed: seed), at: Instant(nanoseconds: 1_000_000_000_000))
        gateway.send = { [unowned self] in carry($0) }
        gateway.objection = { [unowned self] in objection(to: $0) }
        add(nat: nat, change)
    }

    /// Another client, at an address of its own.
    @discardableResult
    package func add(nat: PairClient.NAT? = nil, _ change: (inout RoadWarrior.Settings) -> Void = { _ in }) -> PairClient {
        let index = clients.count
        let address = IPAddress(v4: 0xc000_020a &+ UInt32(index))
        var settings = RoadWarrior.Settings(
            presharedKey: Secret(Self.sharedKey), identity: IdentificationPayload(form: "warrior\(index)@example.org"),
            remoteIdentity: Self.gatewayIdentity, local: Endpoint(address, port: 500), remote: Endpoint(Self.gatewayAddress, port: 500),
            entropy: SeededEntropy(seed: seed &* 1_000_003 &+ UInt64(index) &+ 17))
        settings.natKeepalive = nil
        change(&settings)
        let client = PairClient(settings, index: index, nat: nat)
        clients.append(client)
        return client
    }

    package var client: PairClient { clients[0] }

    /// The gateway's side of a client's IKE SA, while it lives.
    package func entry(of client: PairClient) -> PairGateway.Entry? {
        // Copies of its first request that were changed under way may have made others with the same SPI.
        gateway.entries[client.responderSPI] ?? gateway.entries.values.first { $0.sa.initiatorSPI == client.initiatorSPI }
    }

    package var entry: PairGateway.Entry? { entry(of: client) }

    /// The same, also after its end.
    package var lastEntry: PairGateway.Entry? {
        entry ?? gateway.gone.last { $0.spi == client.responderSPI } ?? gateway.gone.last { $0.sa.initiatorSPI == client.initiatorSPI }
    }

    // MARK: What the clients do

    /// Calls a client and carries what it sends.
    package func act(_ client: PairClient, _ body: (inout RoadWarrior, Instant, inout [RoadWarrior.Output]) -> Void) {
        var outputs: [RoadWarrior.Output] = []
        body(&client.warrior, now, &outputs)
        for output in outputs {
            guard case .send(let datagram) = output else {
                client.events.append(output)
                continue
            }
            guard !client.isSilent else { continue }
            guard datagram.content == .ike else {
                client.packets.append(datagram)
                continue
            }
            client.octetsOut += datagram.octets.count
            wire.put(
                datagram.octets, to: .gateway, local: datagram.remote, remote: client.outside(datagram.local), origin: .peer, at: now)
        }
        check()
    }

    package func start(_ client: PairClient? = nil) {
        act(client ?? self.client) { $0.start(at: $1, into: &$2) }
    }

    package func close(_ client: PairClient? = nil) {
        act(client ?? self.client) { $0.close(at: $1, into: &$2) }
    }

    package func probe(_ client: PairClient? = nil) {
        act(client ?? self.client) { $0.probe(at: $1, into: &$2) }
    }

    package func request(_ exchange: ExchangeType, _ payloads: [Payload], _ client: PairClient? = nil) {
        act(client ?? self.client) { $0.request(exchange, payloads, at: $1, into: &$2) }
    }

    /// Starts a client and lets everything happen that happens without waiting.
    package func connect(_ client: PairClient? = nil) {
        start(client)
        settle()
    }

    /// A client that is logged in, or what went wrong instead.
    package static func established(
        seed: UInt64 = 1, profile: GatewayProfile = Pair.profile(), nat: PairClient.NAT? = nil,
        _ change: (inout RoadWarrior.Settings) -> Void = { _ in }
    ) throws -> Pair {
        let pair = try Pair(seed: seed, profile: profile, nat: nat, change)
        pair.connect()
        guard pair.client.isEstablished, pair.entry?.isEstablished == true else {
            throw LoginFailed(events: pair.client.events, cause: pair.lastEntry?.refusal?.cause)
        }
        return pair
    }

    package struct LoginFailed: Error {
        package let events: [RoadWarrior.Output]
        package let cause: String?
    }

    // MARK: The gateway and its operator

    package func closeFromGateway(_ reason: ClosingReason = .operatorRequest, _ client: PairClient? = nil) {
        guard let spi = entry(of: client ?? self.client)?.spi else { return }
        gateway.close(spi, reason, at: now)
        check()
    }

    /// Gives a gateway's SA an input of the datapath or the session table.
    package func feed(_ input: Input, _ client: PairClient? = nil) {
        guard let spi = entry(of: client ?? self.client)?.spi else { return }
        gateway.feed(input, to: spi, at: now)
        gateway.answerPending(at: now)
        check()
    }

    package func release(_ kind: PairGateway.Held) {
        gateway.release(kind, at: now)
        check()
    }

    private func carry(_ datagram: IKEDatagram) {
        // A NAT that forgot the mapping, or a client that was never there: the datagram is lost.
        let index = clients.firstIndex { $0.isReached(at: datagram.remote) } ?? -1
        wire.put(datagram.octets, to: .client(index), local: datagram.local, remote: datagram.remote, origin: .peer, at: now)
    }

    /// I1: whoever is established knows the shared key and is one of the clients, under its own name; by EAP it was accepted under its EAP identity.
    private func objection(to establishment: Establishment) -> String? {
        guard let client = clients.first(where: { $0.initiatorSPI == establishment.initiatorSPI }) else { return "established with nobody" }
        guard client.settings.identity == establishment.peer else { return "established under another name" }
        guard let method = client.settings.eap as? ScriptedEAP else {
            return client.settings.presharedKey.revealed() == Self.sharedKey ? nil : "established without the shared key"
        }
        guard let entry = entry(of: client), entry.eap.isAccepted else { return "established without EAP" }
        guard method.secret == gateway.aaa.secrets[method.identity] else { return "established without the user's secret" }
        return entry.questions.last?.eapIdentity == method.identity ? nil : "established under another EAP identity"
    }

    // MARK: The wire

    /// Gives the gateway a datagram at once, as from a client (unless `remote` is said) or from a stranger.
    package func inject(
        _ octets: [UInt8], from client: PairClient? = nil, remote: Endpoint? = nil, port: UInt16? = nil, origin: PairGateway.Origin = .stranger
    ) {
        let client = client ?? self.client
        let gatewayPort = port ?? (client.warrior.encapsulated ? 4500 : 500)
        let own = client.warrior.encapsulated && port != 500 ? client.settings.localNATPort : client.settings.local.port
        let source = remote ?? client.outside(Endpoint(client.settings.local.address, port: own))
        gateway.receive(
            IKEDatagram(octets, local: Endpoint(Self.gatewayAddress, port: gatewayPort), remote: source), origin: origin, at: now)
        check()
    }

    /// Gives a client a message as from the gateway.
    package func injectToClient(_ octets: [UInt8], _ client: PairClient? = nil) {
        let client = client ?? self.client
        let remote = Endpoint(Self.gatewayAddress, port: client.warrior.encapsulated ? 4500 : 500)
        act(client) { $0.receive(message: octets, from: remote, at: $1, into: &$2) }
    }

    package func releaseHeld(reversed: Bool = false) {
        wire.release(reversed: reversed, at: now)
    }

    /// Loses the next datagrams that answer to `matching`.
    package func lose(_ count: Int = 1, _ matching: @escaping (Flight) -> Bool) {
        var left = count
        let before = wire.fate
        wire.fate = { flight in
            guard left > 0, matching(flight) else { return before(flight) }
            left -= 1
            return .drop
        }
    }

    // MARK: Time

    /// Events since the clock last moved.
    private var stillness = 0

    private enum Event { case flight, gateway, client(Int) }

    private func nextEvent(deadlines: Bool) -> (Instant, Event)? {
        var next: (Instant, Event)?
        func offer(_ at: Instant?, _ event: Event) {
            guard let at, next.map({ at < $0.0 }) ?? true else { return }
            next = (at, event)
        }
        offer(wire.nextArrival, .flight)
        guard deadlines else { return next }
        offer(gateway.nextEvent, .gateway)
        for client in clients { offer(client.nextDeadline, .client(client.index)) }
        return next
    }

    private func perform(_ event: Event, at instant: Instant) {
        stillness = instant > now ? 0 : stillness + 1
        now = max(now, instant)
        switch event {
        case .flight: deliver()
        case .gateway: gateway.strike(at: now)
        case .client(let index): act(clients[index]) { $0.handleDeadlines(at: $1, into: &$2) }
        }
        check()
    }

    private func deliver() {
        guard let flight = wire.takeNext() else { return }
        switch flight.destination {
        case .gateway:
            gateway.receive(IKEDatagram(flight.octets, local: flight.local, remote: flight.remote), origin: flight.origin, at: now)
        case .client(let index):
            guard clients.indices.contains(index), !clients[index].isSilent, clients[index].isReached(at: flight.remote) else { return }
            act(clients[index]) { $0.receive(message: flight.octets, from: flight.local, at: $1, into: &$2) }
        }
    }

    /// Delivers what is under way until the wire is empty; no deadline strikes.
    package func settle() {
        while let (instant, event) = nextEvent(deadlines: false), isAdvancing { perform(event, at: instant) }
    }

    /// Lets this much time pass, with everything that happens in it.
    package func run(for duration: Duration) {
        let end = now + duration
        while let (instant, event) = nextEvent(deadlines: true), instant <= end, isAdvancing { perform(event, at: instant) }
        now = max(now, end)
        check()
    }

    /// Runs until nothing is left to happen, or `limit` has passed.
    package func drain(limit: Duration = .seconds(600)) {
        let end = now + limit
        while let (instant, event) = nextEvent(deadlines: true), instant <= end, isAdvancing { perform(event, at: instant) }
    }

    /// False when thousands of things happened in one moment: a deadline that nobody takes, or two sides that answer each other for ever.
    private var isAdvancing: Bool {
        guard stillness > 20_000 else { return true }
        if violations.isEmpty { violations = ["seed \(seed), step \(steps): the clock stands still"] }
        return false
    }

    /// Asks the invariants; the first that is broken is kept with its step.
    package func check() {
        steps += 1
        guard checksEveryStep, violations.isEmpty else { return }
        violations = gateway.broken(at: now).map { "seed \(seed), step \(steps): \($0)" }
    }

    /// Asks them now, whatever `checksEveryStep` says.
    package func checkNow() -> [String] {
        violations.isEmpty ? gateway.broken(at: now).map { "seed \(seed): \($0)" } : violations
    }
}
