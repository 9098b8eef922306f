internal import GatewayCrypto
internal import IKE
internal import IKEMessages
internal import RoadWarrior
internal import Wire

/// A login and what may befall it, all drawn from one seed: a wire that loses, doubles, delays and reorders, answers from outside that take their
/// time or never come, strangers' messages, and ends from either side. Afterwards the wire is healed and both sides must agree.
package struct RandomSchedule {
    package let seed: UInt64
    private let byEAP: Bool
    private var random: SeededGenerator

    package struct Outcome {
        /// Empty when all is well.
        package var broken: [String] = []
        package var established = false
        package var datagrams = 0
        package var costliest: Duration = .zero
    }

    /// `byEAP`: the client proves itself by EAP, the gateway by the shared key or by EAP alone.
    package init(seed: UInt64, byEAP: Bool = false) {
        self.seed = seed
        self.byEAP = byEAP
        random = SeededGenerator(seed: seed)
    }

    /// Runs to the end; the same seed gives the same run.
    package mutating func run() throws -> Outcome {
        let pair = try makePair()
        let client = pair.client
        pair.start()
        disturb(pair)
        let end = pair.now + .seconds(Int.random(in: 3...20, using: &random))
        while pair.now < end {
            pair.run(for: .milliseconds(Int.random(in: 1...2500, using: &random)))
            act(on: pair)
        }
        var outcome = Outcome()
        outcome.established = pair.gateway.established > 0
        heal(pair)
        // Longer than any retransmission and liveness check takes to find the other side gone; a login that waits for its answers takes longer.
        pair.run(for: .seconds(40))
        if !disagreement(pair).isEmpty { pair.run(for: .seconds(40)) }
        outcome.broken = disagreement(pair)
        pair.gateway.closeAll(.shutdown, at: pair.now)
        pair.close(client)
        pair.drain()
        outcome.broken += pair.checkNow() + pair.gateway.leftovers.map { "seed \(seed): left over: \($0)" }
        if pair.client.stage != .closed, pair.client.stage != .idle {
            outcome.broken.append("seed \(seed): the client is still \(pair.client.stage)")
        }
        outcome.datagrams = pair.wire.sent.count
        outcome.costliest = pair.gateway.costliest
        return outcome
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func makePair() throws -> Pair {
        let interval = Int.random(in: 4...9, using: &random)
        let cookies = chance(25)
        let group = chance(15)
        let force = !chance(10)
        let profile = Pair.profile { profile in
            var detection = IKEPolicy.DeadPeerDetection()
            detection.interval = .seconds(interval)
            detection.maximumRetries = 3
            profile.policy.deadPeerDetection = detection
            profile.policy.natTraversal.force = force
            if cookies { profile.policy.halfOpen.cookieThreshold = 0 }
            if group {
                profile.policy.transforms = [
                    IKETransform(encryption: DefaultProposals.aead, pseudorandomFunctions: [.hmacSHA384], keyExchange: [.ecp256])
                ]
            }
        }
        let nat = chance(40) ? PairClient.NAT(address: IPAddress(v4: 0xcb00_7109), firstPort: 40_000) : nil
        let knowsKey = !chance(6)
        let wantsAddress = !chance(4)
        let cipher = chance(20)
        let change: (inout RoadWarrior.Settings) -> Void = { settings in
            settings.liveness = .seconds(8)
            settings.retransmission = RoadWarrior.Retransmission(first: .milliseconds(500), attempts: 5)
            if !knowsKey { settings.presharedKey = Secret([1, 2, 3]) }
            if !wantsAddress { settings.configuration = nil }
            if cipher { settings.ikeProposals = (try? ProposalText.ike("aes256-sha256-x25519-ecp256,aes128gcm16-prfsha384-ecp256")) ?? [] }
        }
        let pair = byEAP ? try eapPair(profile, nat, change) : try Pair(seed: seed, profile: profile, nat: nat, change)
        if chance(4) { pair.gateway.installs = false }
        if chance(4) { pair.gateway.hasSPIs = false }
        if chance(4) { pair.gateway.address = { _ in .unavailable("full") } }
        if chance(3) { pair.gateway.address = { _ in .refused("no") } }
        let slowest = chance(5) ? 40_000 : chance(50) ? 1500 : 0
        var delays = SeededGenerator(seed: seed ^ 0x5bd1_e995)
        pair.gateway.delay = { .milliseconds(Int.random(in: 0...slowest, using: &delays)) }
        return pair
    }

    /// A login by EAP of one form or another, which may be refused.
    private mutating func eapPair(
        _ profile: GatewayProfile, _ nat: PairClient.NAT?, _ change: (inout RoadWarrior.Settings) -> Void
    ) throws -> Pair {
        var profile = profile
        profile.policy.authentication.eapIdentity = [.auto, .idi, .request].randomElement(using: &random) ?? .auto
        let isKeying = chance(70)
        let eapOnly = isKeying && chance(30)
        profile.policy.authentication.allowsNonKeyingEAP = !isKeying && !chance(15)
        profile.policy.authentication.sendsIDrAfterEAP = chance(50)
        let fragments = chance(40)
        let sizes = (chance(30) ? 6000 : 0, chance(30) ? 8000 : 16)
        let secret = chance(8) ? "a wrong guess" : Pair.userSecret
        let pair = try Pair.eap(
            seed: seed, profile: profile, nat: nat, own: eapOnly ? .eapOnly : .sharedKey(Secret(Pair.sharedKey)), secret: secret,
            isKeying: isKeying, responseSize: sizes.0
        ) { settings in
            change(&settings)
            settings.allowsEAPOnly = eapOnly
            if fragments { settings.longestMessage = 1200 }
        }
        pair.gateway.aaa.rounds = Int.random(in: 1...6, using: &random)
        pair.gateway.aaa.size = sizes.1
        if chance(5) { pair.gateway.aaa.instead = { question, _ in question.isFirst ? nil : .failure(nil, cause: "no answer", isRejection: false) } }
        return pair
    }

    /// Loss, copies and delays; a delay of seconds is a reordering over several exchanges.
    private mutating func disturb(_ pair: Pair) {
        let loss = Int.random(in: 0...35, using: &random)
        let copies = Int.random(in: 0...30, using: &random)
        let late = Int.random(in: 0...15, using: &random)
        var random = SeededGenerator(seed: seed ^ 0x9e37_79b9)
        pair.wire.fate = { _ in
            guard Int.random(in: 0..<100, using: &random) >= loss else { return .drop }
            let count = Int.random(in: 0..<100, using: &random) < copies ? Int.random(in: 2...4, using: &random) : 1
            return .copies(
                (0..<count).map { _ in
                    let slow = Int.random(in: 0..<100, using: &random) < late
                    return .milliseconds(Int.random(in: 1...(slow ? 6000 : 120), using: &random))
                })
        }
    }

    private func heal(_ pair: Pair) {
        pair.wire.fate = { _ in .deliver }
        pair.gateway.delay = { .zero }
    }

    private mutating func act(on pair: Pair) {
        let client = pair.client
        switch Int.random(in: 0..<20, using: &random) {
        case 0...2: pair.probe()
        case 3: pair.request(.createChildSA, chance(10) ? [] : childRequest(pair))
        case 4: pair.request(.informational, [.notify(NotifyPayload(NotifyType(rawValue: 40_001)))])
        case 5:
            guard let child = client.childSA, chance(40) else { return }
            var spi: [UInt8] = []
            spi.append(bigEndian: child.inboundSPI)
            pair.request(.informational, [.delete(DeletePayload(protocolID: .esp, spis: [spi]))])
            client.madeChildren = true
        case 6:
            guard let child = pair.entry?.children.first, chance(40) else { return }
            pair.feed(.childExhausted(spi: child.inboundSPI))
        case 7: if chance(25) { pair.close() }
        case 8: if chance(25) { pair.closeFromGateway() }
        case 9: if client.nat != nil { client.nat?.firstPort += 10 }
        case 10: pair.entry?.activity = pair.now
        case 11:
            guard let remote = pair.entry?.remote else { return }
            pair.feed(.moved(remote))
        case 12: if chance(20) { client.isSilent.toggle() }
        case 13...16: corrupt(pair)
        default: replay(pair)
        }
    }

    /// A further Child SA, or one in the place of the first; the road warrior asks, and leaves what it gets alone.
    private mutating func childRequest(_ pair: Pair) -> [Payload] {
        var payloads: [Payload] = []
        if let child = pair.client.childSA, chance(50) {
            var notify = NotifyPayload(.rekeySA)
            notify.protocolID = SecurityProtocol.esp.rawValue
            notify.spi.append(bigEndian: child.inboundSPI)
            payloads.append(.notify(notify))
        }
        var spi: [UInt8] = []
        spi.append(bigEndian: UInt32.random(in: 256...UInt32.max, using: &random))
        let proposals = ProposalText.espDefault.map {
            Proposal(number: $0.number, protocolID: .esp, spi: spi, transforms: $0.transforms)
        }
        pair.client.madeChildren = true
        let nonce = (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
        return payloads + [
            .securityAssociation(SecurityAssociationPayload(proposals: proposals)), .nonce(NoncePayload(octets: nonce)),
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: [.all(.ipv4)])),
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: [.all(.ipv4)])),
        ]
    }

    /// A message of either side with bits changed, to the gateway or (protected ones) to the client.
    private mutating func corrupt(_ pair: Pair) {
        guard var flight = pair.wire.sent.randomElement(using: &random), !flight.octets.isEmpty else { return }
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            flight.octets[Int.random(in: 0..<flight.octets.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
        if chance(10) { flight.octets.removeLast(Int.random(in: 1...flight.octets.count, using: &random)) }
        guard !pair.wire.sent.contains(where: { $0.octets == flight.octets }) else { return }
        if flight.isFromClient || chance(50) {
            pair.inject(flight.octets, remote: flight.remote, port: flight.local.port, origin: .stranger)
        } else if flight.header?.exchange != .ikeSAInit {
            pair.injectToClient(flight.octets)
        }
    }

    /// A message that was under way before, once more, perhaps from elsewhere.
    private mutating func replay(_ pair: Pair) {
        guard let flight = pair.wire.sent.randomElement(using: &random), flight.isFromClient else { return }
        let remote = chance(20) ? Endpoint(IPAddress(v4: 0xc612_0001), port: 4500) : flight.remote
        pair.inject(flight.octets, remote: remote, port: flight.local.port, origin: .peer)
    }

    /// What the two sides, on a wire that loses nothing, think differently.
    private func disagreement(_ pair: Pair) -> [String] {
        let client = pair.client
        guard !client.isSilent else { return [] }
        let entry = pair.gateway.entries[client.responderSPI]
        guard client.isEstablished else {
            guard entry?.isEstablished == true else { return [] }
            return ["seed \(seed): the gateway holds an SA that its client gave up: \(client.closure?.description ?? "\(client.stage)")"]
        }
        guard let entry, entry.isEstablished else { return ["seed \(seed): the client holds an SA that the gateway gave up"] }
        if client.madeChildren { return [] }
        let pairs = entry.children.map { [$0.inboundSPI, $0.outboundSPI] }
        let own = client.childSA.map { [[$0.outboundSPI, $0.inboundSPI]] } ?? []
        return pairs == own ? [] : ["seed \(seed): Child SAs differ: \(pairs) \(own)"]
    }
}
