import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Wire

/// Whole lives of IKE SAs: each octet of the input is a step, with a few more for what it needs. The invariants of threats.md section 3 are asked
/// after each of them by `Pair`, and I12 at the end.
enum Sequences {
    static func run(_ octets: [UInt8]) {
        var script = Script(octets)
        let kind = script.octet()
        // Without a certificate the client gets in, by its shared key; with one it never does, so that the other bit is free to say EAP.
        let byEAP = kind & 192 == 192
        let pair = Setting.pair(byEAP: byEAP) { profile in
            var detection = IKEPolicy.DeadPeerDetection()
            detection.interval = .seconds(5)
            profile.policy.deadPeerDetection = detection
            profile.policy.natTraversal.force = kind & 1 == 0
            if kind & 2 != 0 { profile.policy.halfOpen.cookieThreshold = 0 }
            if kind & 4 != 0 { profile.policy.natTraversal.keepAliveInterval = .seconds(7) }
            if byEAP { profile.policy.authentication.eapIdentity = kind & 1 == 0 ? .request : .auto }
            guard kind & 64 != 0 else { return }
            // Rekeys of our own within what an input can wait for.
            profile.policy.ipsecLifetime = .seconds(90)
            for index in profile.policy.transforms.indices { profile.policy.transforms[index].lifetime = .seconds(150) }
        }
        if kind & 8 != 0 { pair.client.nat = PairClient.NAT(address: IPAddress(v4: 0xcb00_7109), firstPort: 40_000) }
        if kind & 192 == 128 { showCertificate(pair) }
        if kind & 16 != 0 { pair.gateway.holds = Set(PairGateway.Held.allCases) }
        if kind & 32 != 0 { pair.connect() }
        var steps = 0
        while !script.isAtEnd, steps < 120 {
            steps += 1
            step(&script, pair)
            expect(pair.violations.isEmpty, "step \(steps): \(pair.violations)")
        }
        pair.endAll("\(steps) steps")
    }

    /// The gateway proves itself by a signature, which the script gives when it likes; the client, which wants a shared key, then leaves.
    private static func showCertificate(_ pair: Pair) {
        pair.gateway.credential = { _ in
            .credentials(
                Credentials(
                    identity: Pair.gatewayIdentity, peer: .sharedKey(Secret(Pair.sharedKey)), own: .certificate([[0x30, 0]], .ed25519)))
        }
        pair.gateway.holdsSignature = true
    }

    private static func step(_ script: inout Script, _ pair: Pair) {
        switch script.octet() % 24 {
        case 0: pair.start()
        case 1: pair.settle()
        case 2: pair.run(for: .milliseconds(Int(script.octet()) * 20))
        case 3: pair.run(for: .seconds(Int(script.octet())))
        case 4: pair.lose(1 + script.choice(4)) { _ in true }
        case 5: changed(&script, pair)
        case 6: again(&script, pair)
        case 7: pair.probe()
        case 8: pair.close()
        case 9: pair.closeFromGateway(ClosingReason.allCases[script.choice(ClosingReason.allCases.count)])
        case 10: pair.gateway.holds = Set(PairGateway.Held.allCases.filter { _ in script.octet() & 1 == 0 })
        case 11: for kind in PairGateway.Held.allCases { pair.release(kind) }
        case 12: exhaust(&script, pair)
        case 13: if let remote = pair.entry?.remote { pair.feed(.moved(remote)) }
        case 14: pair.client.nat?.firstPort &+= UInt16(script.choice(8))
        case 15: pair.entry?.activity = pair.now
        case 16: request(&script, pair)
        case 17: forged(&script, pair)
        case 18: pair.wire.fate = fate(script.octet())
        case 19: pair.releaseHeld(reversed: script.octet() & 1 == 0)
        case 20: pair.client.isSilent.toggle()
        case 21: answers(script.octet(), pair)
        case 22: pair.inject(script.octets(Int(script.octet())), origin: .stranger)
        default: strangeInput(&script, pair)
        }
    }

    private static func fate(_ choice: UInt8) -> (Flight) -> Fate {
        switch choice % 6 {
        case 0: { _ in .drop }
        case 1: { _ in .hold }
        case 2: { _ in .copies([.milliseconds(5), .milliseconds(3), .seconds(2)]) }
        case 3: { $0.isFromClient ? .deliver : .hold }
        case 4: { $0.isFromClient ? .hold : .deliver }
        default: { _ in .deliver }
        }
    }

    /// A message that was sent before, with changes, from a stranger.
    private static func changed(_ script: inout Script, _ pair: Pair) {
        guard !pair.wire.sent.isEmpty else { return }
        let flight = pair.wire.sent[pair.wire.sent.count - 1 - script.choice(min(64, pair.wire.sent.count))]
        var octets = flight.octets
        guard flight.isFromClient, !octets.isEmpty else { return }
        for _ in 0...script.choice(3) { octets[Int(script.number()) % octets.count] ^= script.octet() }
        if script.octet() & 15 == 0 { octets.removeLast(min(octets.count, script.choice(40))) }
        guard !pair.wire.sent.contains(where: { $0.octets == octets }) else { return }
        pair.inject(octets, remote: flight.remote, port: flight.local.port, origin: .stranger)
    }

    /// A message of the client that was sent before, once more, perhaps from elsewhere.
    private static func again(_ script: inout Script, _ pair: Pair) {
        let own = pair.wire.sent.filter(\.isFromClient)
        guard !own.isEmpty else { return }
        let flight = own[own.count - 1 - script.choice(own.count)]
        let remote = script.octet() & 3 == 0 ? Endpoint(IPAddress(v4: 0xc612_0001), port: 4500) : flight.remote
        pair.inject(flight.octets, remote: remote, port: flight.local.port, origin: .peer)
    }

    private static func exhaust(_ script: inout Script, _ pair: Pair) {
        let children = pair.entry?.children ?? []
        let spi = children.isEmpty ? UInt32(script.number()) : children[script.choice(children.count)].inboundSPI
        pair.feed(script.octet() & 1 == 0 ? .childAging(spi: spi) : .childExhausted(spi: spi))
    }

    /// A request by the road warrior itself, in its window.
    private static func request(_ script: inout Script, _ pair: Pair) {
        guard pair.client.isEstablished else { return }
        let exchange: ExchangeType = script.octet() & 1 == 0 ? .createChildSA : .informational
        pair.client.madeChildren = true
        pair.request(exchange, payloads(&script, pair))
    }

    /// A right ICV around whatever the script says, with any message ID.
    private static func forged(_ script: inout Script, _ pair: Pair) {
        let exchanges: [ExchangeType] = [.createChildSA, .informational, .ikeAuth, ExchangeType(rawValue: 43)]
        let exchange = exchanges[script.choice(4)]
        let flags: IKEHeader.Flags = script.octet() & 3 == 0 ? [.initiator, .response] : .initiator
        let (expected, next) = pair.entry?.messageIDs ?? (1, 1)
        let id = flags.contains(.response) ? next &- 1 : expected &+ UInt32(script.choice(3)) &- (script.octet() & 3 == 0 ? 1 : 0)
        let isEAP = exchange == .ikeAuth && pair.entry?.stage == "eap"
        // Of an IKE SA that does not stand the message ID is not shown.
        let number = isEAP ? pair.client.outstandingMessageID ?? id : id
        let inside = isEAP ? eap(&script, pair) : payloads(&script, pair)
        guard let message = pair.client.forge(exchange, inside, id: number, flags: flags) else { return }
        // Its own client loses its place in the window; from here on only forged messages arrive.
        pair.inject(message, origin: .peer)
    }

    /// EAP packets of every form, and AUTH; often with the identifier and the type that are waited for.
    private static func eap(_ script: inout Script, _ pair: Pair) -> [Payload] {
        let choice = script.octet()
        if choice & 7 == 0 { return [.authentication(AuthenticationPayload(method: .sharedKey, data: script.octets(32) + [1]))] }
        if choice & 7 == 1 { return payloads(&script, pair) }
        let identifier = choice & 8 == 0 ? pair.authAnswers.last.flatMap(\.eapIdentifier) ?? 0 : script.octet()
        let types: [UInt8] = [1, 2, 3, 254, ScriptedEAP.ownType, script.octet()]
        let data = [types[script.choice(types.count)]] + script.octets(script.choice(60))
        let packet = [choice & 48 == 0 ? script.octet() % 5 : 2, identifier, 0, UInt8(data.count + 4)] + data
        return EAPPayload(packet).map { [.eap($0)] } ?? []
    }

    private static func payloads(_ script: inout Script, _ pair: Pair) -> [Payload] {
        var payloads: [Payload] = []
        for _ in 0..<script.choice(8) { payloads.append(payload(&script, pair)) }
        return payloads
    }

    private static func payload(_ script: inout Script, _ pair: Pair) -> Payload {
        let children = pair.entry?.children ?? []
        var spi: [UInt8] = []
        if children.isEmpty { spi = script.octets(4) } else { spi.append(bigEndian: children[script.choice(children.count)].outboundSPI) }
        switch script.octet() % 12 {
        case 0: return .delete(DeletePayload(protocolID: .ike, spis: []))
        case 1: return .delete(DeletePayload(protocolID: .esp, spis: [spi]))
        case 2:
            var notify = NotifyPayload(.rekeySA)
            notify.protocolID = SecurityProtocol.esp.rawValue
            notify.spi = spi
            return .notify(notify)
        case 3: return .notify(NotifyPayload(NotifyType(rawValue: script.number()), data: script.octets(script.choice(20))))
        case 4, 5:
            let own = (0..<4).map { UInt8($0) &+ script.octet() | 1 }
            return .securityAssociation(
                SecurityAssociationPayload(
                    proposals: chosen(ProposalText.espDefault, script.octet()).map {
                        Proposal(number: $0.number, protocolID: .esp, spi: own, transforms: $0.transforms)
                    }))
        case 6:
            let own = (0..<8).map { UInt8($0) &+ script.octet() | 1 }
            return .securityAssociation(
                SecurityAssociationPayload(
                    proposals: chosen(pair.client.settings.ikeProposals, script.octet()).map {
                        Proposal(number: $0.number, protocolID: .ike, spi: own, transforms: $0.transforms)
                    }))
        case 7: return .nonce(NoncePayload(octets: (0..<32).map { _ in script.octet() }))
        case 8: return .keyExchange(KeyExchangePayload(method: .x25519, data: [9] + [UInt8](repeating: script.octet(), count: 31)))
        case 9: return .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: [.all(script.octet() & 7 == 0 ? .ipv6 : .ipv4)]))
        case 10: return .responderTrafficSelectors(TrafficSelectorPayload(selectors: [.all(script.octet() & 7 == 0 ? .ipv6 : .ipv4)]))
        default:
            let type = PayloadType(rawValue: script.octet())
            return .unknown(UnknownPayload(type: type, isCritical: script.octet() & 1 == 0, body: script.octets(script.choice(40))))
        }
    }

    /// All that is offered, or one of each kind as a response has it.
    private static func chosen(_ proposals: [Proposal], _ choice: UInt8) -> [Proposal] {
        guard choice & 1 == 0, let first = proposals.first else { return proposals }
        var types: Set<TransformType> = []
        return [
            Proposal(
                number: first.number, protocolID: first.protocolID, spi: [], transforms: first.transforms.filter { types.insert($0.type).inserted })
        ]
    }

    private static func answers(_ choice: UInt8, _ pair: Pair) {
        switch choice % 6 {
        case 0: pair.gateway.installs.toggle()
        case 1: pair.gateway.hasSPIs.toggle()
        case 2: pair.gateway.address = { _ in .unavailable("full") }
        case 3: pair.gateway.address = { _ in .refused("no") }
        case 4: pair.gateway.address = nil
        default: pair.gateway.delay = { .milliseconds(Int(choice) * 10) }
        }
    }

    /// Answers that nobody asked for. Not those that somebody may have asked for and that are held back: the engine gives each of them once.
    private static func strangeInput(_ script: inout Script, _ pair: Pair) {
        switch script.choice(7) {
        // Where it may have been asked for it is not strange.
        case 6: if pair.entry?.stage != "eap" { pair.feed(.eap(.success([], key: MasterSessionKey([UInt8](repeating: 1, count: 64))))) }
        case 5: pair.feed(.installed(1, script.octet() & 1 == 0))
        case 0: pair.feed(.childSPI(script.octet() & 1 == 0 ? nil : 0x0900_0040))
        case 1: pair.feed(.signature(script.octet() & 1 == 0 ? nil : [1, 2, 3]))
        case 2: pair.feed(.ikeSPI(script.octet() & 1 == 0 ? nil : 0x77))
        case 3: pair.feed(.activity(script.octet() & 1 == 0 ? nil : pair.now))
        default: pair.feed(.deadline)
        }
    }
}

extension [Payload] {
    fileprivate var eapIdentifier: UInt8? {
        lazy.compactMap { if case .eap(let packet) = $0 { packet.identifier } else { nil } }.first
    }
}
