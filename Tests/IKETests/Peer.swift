import GatewayCrypto
import GatewayTesting
import IKEMessages
import Testing
import Wire

@testable import IKE

/// Which of two peers: the gateway was the responder of the first IKE SA, the client its initiator. Afterwards they are alike.
enum Side: String, CaseIterable, Sendable {
    case gateway, client
    var other: Side { self == .gateway ? .client : .gateway }
}

/// Nonces whose first octets a test chooses, so that it can say which of four is the lowest; everything else comes from a seed.
final class ScriptedEntropy: Entropy, @unchecked Sendable {
    private let seeded: SeededEntropy
    /// First octets of the next nonces.
    var firsts: [UInt8] = []

    init(seed: UInt64) { seeded = SeededEntropy(seed: seed) }

    func octets(_ count: Int) -> [UInt8] {
        var octets = seeded.octets(count)
        if count == 32, !firsts.isEmpty { octets[0] = firsts.removeFirst() }
        return octets
    }

    func secret(_ count: Int) -> SecretOctets { seeded.secret(count) }
}

/// A stage by itself, since a class lends nothing out of a value that cannot be copied.
struct Machine: ~Copyable {
    var stage: IKESA.Stage

    /// nil unless the IKE SA stands.
    func read<Result>(_ body: (borrowing Established) -> Result) -> Result? {
        switch stage {
        case .established(let established): body(established)
        default: nil
        }
    }

    var nextDeadline: Instant? {
        switch stage {
        case .established(let stage): stage.nextDeadline
        case .deleting(let stage): stage.nextDeadline
        case .lingering(let stage): stage.nextDeadline
        default: nil
        }
    }

    mutating func advance(on input: Input, at now: Instant, into outputs: inout [Output]) {
        stage = exchange(&stage, with: .closed).advance(on: input, at: now, into: &outputs)
    }

    /// Changes an IKE SA that stands.
    mutating func change(_ body: (inout Established) -> Void) {
        switch exchange(&stage, with: .closed) {
        case .established(var established):
            body(&established)
            stage = .established(established)
        case .awaitingKeys(let other): stage = .awaitingKeys(other)
        case .awaitingAuth(let other): stage = .awaitingAuth(other)
        case .awaitingPeer(let other): stage = .awaitingPeer(other)
        case .awaitingSignature(let other): stage = .awaitingSignature(other)
        case .awaitingEAP(let other): stage = .awaitingEAP(other)
        case .awaitingFinalAuth(let other): stage = .awaitingFinalAuth(other)
        case .awaitingAddress(let other): stage = .awaitingAddress(other)
        case .awaitingInstall(let other): stage = .awaitingInstall(other)
        case .deleting(let other): stage = .deleting(other)
        case .lingering(let other): stage = .lingering(other)
        case .closed: break
        }
    }
}

/// One of two peers with an IKE SA that stands: the real state machine, and a small datapath that holds a successor back as ours does.
final class Peer {
    struct InstalledChild {
        let sa: ChildSA
        let keys: (inbound: [UInt8], outbound: [UInt8])
        /// Whether traffic takes it.
        var isReady: Bool
    }

    let side: Side
    let entropy: ScriptedEntropy
    private var machine: Machine
    /// Our SPIs of the IKE SA.
    private(set) var spis: Set<IKESPI>
    /// Oldest first, as the datapath has them.
    private(set) var installed: [InstalledChild] = []
    private(set) var reserved: Set<UInt32> = []
    private(set) var ended: [ClosingReason] = []
    private(set) var isClosed = false
    private(set) var rekeys = 0
    private(set) var furtherChildren = 0
    private(set) var drops: [MessageDrop: Int] = [:]
    private(set) var faults: [String] = []
    /// Installations on their way, in order as the engine has them.
    private(set) var installing: [(due: Instant, child: ChildSA)] = []
    var installs = true
    var hasSPIs = true
    var delay: () -> Duration = { .zero }
    private var hasNewChildren = true
    private var record = SentRecord()
    private var nextSPI: UInt32
    private var usedKeys: Set<[UInt8]> = []
    var sent: [IKEDatagram] = []

    init(_ side: Side, seed: UInt64, profile: GatewayProfile, initRequest: [UInt8], nat: NATState, at now: Instant) throws {
        self.side = side
        entropy = ScriptedEntropy(seed: seed &* 2 &+ (side == .gateway ? 0 : 1))
        nextSPI = side == .gateway ? 0x0100_0000 : 0xc000_0000
        let common = SeededEntropy(seed: seed ^ 0x5eed)
        let nonces = (common.octets(32), common.octets(32))
        let suite = Self.ikeSuite
        let prf = try #require(PRF(.hmacSHA256))
        let keys = try SAKeys(
            prf: prf, suite: suite.suite, sharedSecret: SecretOctets(copying: common.octets(32)), initiatorNonce: nonces.0,
            responderNonce: nonces.1, initiatorSPI: 0x1111, responderSPI: 0x2222)
        let role: Role = side == .gateway ? .responder : .initiator
        let ends = (Endpoint(IPAddress(v4: 0xc000_0201), port: 4500), Endpoint(IPAddress(v4: 0xc633_6402), port: 4500))
        var channel = Channel(
            initiatorSPI: 0x1111, responderSPI: 0x2222, role: role, local: side == .gateway ? ends.0 : ends.1,
            remote: side == .gateway ? ends.1 : ends.0, nat: nat, protection: try Protection(keys, as: role, suite: suite.suite),
            requests: RequestWindow(expected: side == .gateway ? 2 : 0), lastHeard: now, entropy: entropy, liveness: profile.liveness)
        channel.nextRequestID = side == .gateway ? 0 : 2
        spis = [channel.ourSPI]

        // The door of every established IKE SA: a verified AUTH value (invariant I1).
        let signed = SignedOctets(request: initRequest, response: [2], initiatorNonce: nonces.0, responderNonce: nonces.1)
        let identity = Pair.gatewayIdentity
        let shared = Secret([UInt8]("the shared key of the tests".utf8))
        let proof = try SharedKey.authentication(over: signed.initiator(identity, keys: keys), sharedKey: shared, prf: prf)
        let request = try IKEAuthRequest(payloads: [
            .initiatorIdentification(identity), .authentication(AuthenticationPayload(method: .sharedKey, data: proof.exposed())),
        ])
        let verified = try VerifiedPeer.verifying(request, by: .sharedKey(shared), signed: signed, keys: keys, acceptsSHA1: false)
        var profile = profile
        let addresses = (IPAddress(v4: 0x0a01_0001), IPAddress(v4: 0x0a09_0002))
        let own = side == .gateway ? addresses.0 : addresses.1
        let theirs = side == .gateway ? addresses.1 : addresses.0
        profile.selectors = TrafficSelectorList(name: "own", local: [TrafficSelectorList.Entry(IPPrefix(host: own).range)])
        let child = ChildSA(
            inboundSPI: nextSPI | 0x40, outboundSPI: (side == .gateway ? 0xc000_0000 : 0x0100_0000) | 0x40,
            suite: ESPProposal(
                number: 1, spi: (side == .gateway ? 0xc000_0000 : 0x0100_0000) | 0x40, suite: Self.espSuite, extendedSequenceNumbers: true,
                lifetime: nil),
            localSelectors: [Self.all(own)], remoteSelectors: [Self.all(theirs)], lifetime: profile.policy.ipsecLifetime,
            grant: AddressGrant(ipv4: theirs), local: channel.local, remote: channel.remote, peerBehindNAT: nat.peerBehindNAT)
        nextSPI |= 0x40
        let ours = try keys.childKeys(suite: Self.espSuite, initiatorNonce: nonces.0, responderNonce: nonces.1, as: role)
        let exposed = (ours.inboundEncryption.exposed(), ours.outboundEncryption.exposed())
        let login = Login(
            channel: channel, keys: keys, profile: profile, proposal: Self.ike(lifetime: profile.policy.transforms[0].lifetime), signed: signed,
            signatureHashes: nil)
        machine = Machine(stage: .established(Established(login: login, peer: verified, child: child, at: now)))
        installed = [InstalledChild(sa: child, keys: (exposed.0, exposed.1), isReady: true)]
        nextDeadline = machine.nextDeadline
    }

    private static func all(_ address: IPAddress) -> TrafficSelector {
        TrafficSelector(ipProtocol: 0, startPort: 0, endPort: .max, addresses: IPPrefix(host: address).range)
    }

    static let espSuite = ProtectionSuite(encryption: .aesGCM16, keyBits: 128, integrity: .none).unsafelyUnwrapped
    static let ikeSuite = ike(lifetime: .seconds(86_400))

    private static func ike(lifetime: Duration) -> IKEProposal {
        IKEProposal(number: 1, suite: espSuite, prf: .hmacSHA256, keyExchange: .x25519, lifetime: lifetime)
    }

    // MARK: Looking

    var isEstablished: Bool { machine.read { _ in true } ?? false }
    private(set) var nextDeadline: Instant?
    var nextEvent: Instant? { .earlier(nextDeadline, installing.first?.due) }
    /// The SPIs of the IKE SA in use.
    var ikeSPIs: [IKESPI] { machine.read { [$0.channel.initiatorSPI, $0.channel.responderSPI] } ?? [] }
    /// We asked for the IKE SA in use.
    var isInitiator: Bool { machine.read { $0.channel.role == .initiator } ?? false }
    /// Our SPIs of the Child SAs that stand.
    var children: [UInt32] { machine.read { $0.children.live.map(\.sa.inboundSPI) } ?? [] }
    var outboundSPIs: [UInt32] { machine.read { $0.children.live.map(\.sa.outboundSPI) } ?? [] }
    /// Nothing of ours is under way.
    var isIdle: Bool {
        machine.read {
            $0.channel.outstanding == nil && $0.ourChild == nil && $0.ourRekey == nil && $0.rival == nil && $0.theirChild == nil
                && $0.children.closing.isEmpty
        } ?? true
    }
    /// Nothing waits for its time either.
    var isSettled: Bool {
        machine.read { !$0.isAging && !$0.replaced.isWaiting && !$0.children.live.contains { $0.isAging || $0.replaced != nil } } ?? isClosed
    }
    /// The Child SA that traffic to the other side takes.
    var outbound: InstalledChild? { installed.last { $0.isReady } }

    func change(_ body: (inout Established) -> Void) {
        machine.change(body)
        nextDeadline = machine.nextDeadline
    }

    /// The SPI that the first exchange asked for: that of our own, where a test begins with one.
    var firstSPI: UInt32 { (side == .gateway ? 0x0100_0000 : 0xc000_0000) | 0x80 }

    /// The Delete of a Child SA that was sent last was never sent: this side does not know what it should have done.
    func takeBack() {
        record = SentRecord()
        change { established in
            established.channel.forgetRequest()
            established.channel.nextRequestID -= 1
            for child in established.children.closing { _ = established.children.closed(child.inboundSPI) }
        }
    }

    /// Other groups are taken from now on.
    func allow(_ groups: [KeyExchangeMethod]) {
        change {
            $0.newest.childTransforms[0].keyExchange = groups
            $0.newest.policy.transforms[0].keyExchange = groups
        }
    }

    // MARK: Transitions

    func feed(_ input: Input, at now: Instant) {
        guard !isClosed else { return }
        var inputs = [input]
        while !inputs.isEmpty {
            var outputs: [Output] = []
            machine.advance(on: inputs.removeFirst(), at: now, into: &outputs)
            for output in outputs {
                trace(output, at: now)
                if let answer = perform(output, at: now) { inputs.append(answer) }
            }
        }
        nextDeadline = machine.nextDeadline
        if isEstablished, !ended.isEmpty { faults.append("I3: \(side) is established after its end") }
    }

    /// A datagram comes to the door: nothing but the live SPIs pass.
    func receive(_ datagram: IKEDatagram, at now: Instant) {
        guard let header = datagram.header else { return }
        let ours = header.isFromInitiator ? header.responderSPI : header.initiatorSPI
        guard spis.contains(ours) else { return }
        feed(.datagram(datagram), at: now)
    }

    func strike(at now: Instant) {
        while let first = installing.first, first.due <= now { install(installing.removeFirst().child, at: now) }
        if let due = nextDeadline, due <= now { feed(.deadline, at: now) }
    }

    private func perform(_ output: Output, at now: Instant) -> Input? {
        switch output {
        case .send(let datagram):
            if let fault = record.add(datagram.octets) { faults.append("\(side): \(fault)") }
            sent.append(datagram)
        case .ask(.childSPI):
            guard hasSPIs else { return .childSPI(nil) }
            nextSPI += 0x40
            reserved.insert(nextSPI)
            return .childSPI(nextSPI)
        case .ask(.ikeSPI): return .ikeSPI(entropy.octets(8).reduce(IKESPI(1)) { $0 << 8 | IKESPI($1) })
        case .ask(.activity): return .activity(nil)
        case .ask: break
        case .install(let child):
            installing.append((max(now + delay(), installing.last?.due ?? now), child))
            while let first = installing.first, first.due <= now { install(installing.removeFirst().child, at: now) }
        case .remove(let spi): remove(spi)
        case .childEstablished(let child):
            if !installed.contains(where: { $0.sa.inboundSPI == child.inboundSPI }) { faults.append("\(side): a Child SA stands uninstalled") }
            furtherChildren += 1
        case .listen(let spi): if !spis.insert(spi).inserted { faults.append("\(side): an SPI came twice") }
        case .rekeyed: rekeys += 1
        case .released(let spi): if spis.remove(spi) == nil { faults.append("\(side): an SPI was released that was not ours") }
        case .ended(let reason): ended.append(reason)
        case .closed:
            isClosed = true
            spis = []
            installing = []
        case .dropped(let reason): drops[reason, default: 0] += 1
        case .moved, .keepalive, .established, .refused: break
        }
        return nil
    }

    /// What happens, for whoever looks for the cause of a failure.
    private func trace(_ output: Output, at now: Instant) {
        guard Peers.traces else { return }
        let seconds = Double(now.nanoseconds - 1_000_000_000_000) / 1e9
        switch output {
        case .send(let datagram):
            guard let header = datagram.header else { return }
            let kind = header.isResponse ? "response" : "request"
            print("\(seconds) \(side) sends \(header.exchange) \(kind) \(header.messageID) on \(header.initiatorSPI & 0xffff)")
        case .childEstablished(let child): print("\(seconds) \(side) has \(child.inboundSPI)")
        case .install(let child):
            print("\(seconds) \(side) installs \(child.inboundSPI) -> \(child.outboundSPI) for \(child.supersedes ?? 0)")
        default: print("\(seconds) \(side) \(output)")
        }
    }

    private func remove(_ spi: UInt32) {
        if let index = installed.firstIndex(where: { $0.sa.inboundSPI == spi }) {
            installed.remove(at: index)
            for other in installed.indices where installed[other].sa.supersedes == spi { installed[other].isReady = true }
        } else if reserved.remove(spi) == nil {
            faults.append("\(side): an SPI was removed that was neither installed nor reserved")
        }
    }

    private func install(_ child: ChildSA, at now: Instant) {
        guard ended.isEmpty, reserved.contains(child.inboundSPI) else { return }
        guard installs, let keys = childKeys(child.inboundSPI) else { return feed(.installed(child.inboundSPI, false), at: now) }
        for key in [keys.inbound, keys.outbound] where !usedKeys.insert(key).inserted { faults.append("I4: two Child SAs of \(side) have one key") }
        reserved.remove(child.inboundSPI)
        let waits = child.supersedes.map { old in !child.isOutboundReady && installed.contains { $0.sa.inboundSPI == old } } ?? false
        installed.append(InstalledChild(sa: child, keys: keys, isReady: !waits))
        hasNewChildren = true
        feed(.installed(child.inboundSPI, true), at: now)
    }

    private func childKeys(_ spi: UInt32) -> (inbound: [UInt8], outbound: [UInt8])? {
        machine.read { stage -> (inbound: [UInt8], outbound: [UInt8])? in
            guard let keys = stage.childKeys(inboundSPI: spi) else { return nil }
            return (keys.inboundEncryption.exposed(), keys.outboundEncryption.exposed())
        } ?? nil
    }

    /// An ESP packet of the other side; false when there is no such SA.
    func receivePacket(spi: UInt32, key: [UInt8]) -> Bool {
        guard let index = installed.firstIndex(where: { $0.sa.inboundSPI == spi && $0.keys.inbound == key }) else { return false }
        installed[index].isReady = true
        return true
    }

    /// Whether it would be received.
    func wouldReceive(_ child: InstalledChild) -> Bool {
        installed.contains { $0.sa.inboundSPI == child.sa.outboundSPI && $0.keys.inbound == child.keys.outbound }
    }

    /// What of threats.md section 3 is broken now.
    func broken() -> [String] {
        defer { hasNewChildren = false }
        var broken = faults
        if !isClosed, nextDeadline == nil { broken.append("I9: \(side) has no deadline") }
        if ended.count > 1 || (isClosed && ended.count != 1) { broken.append("I3: \(side) ended \(ended.count) times") }
        if spis.count > ReplacedSAs.most + 2 { broken.append("I7: \(side) has \(spis.count) SPIs") }
        if installed.count > ChildTable.mostInstalled { broken.append("I7: \(side) has \(installed.count) Child SAs") }
        if !ended.isEmpty, !installed.isEmpty || !reserved.isEmpty { broken.append("I12: Child SAs or SPIs of \(side) outlive the session") }
        machine.read { stage in
            let known = stage.children.live.map(\.sa.inboundSPI) + stage.children.closing.filter(\.isInstalled).map(\.inboundSPI)
            if known.count != installed.count || !installed.allSatisfy({ known.contains($0.sa.inboundSPI) }) {
                broken.append("I7: \(side) knows \(known), the datapath has \(installed.map(\.sa.inboundSPI))")
            }
            guard broken.isEmpty, hasNewChildren else { return }
            // I6
            for child in stage.children.live where child.sa.remoteSelectors != stage.grant.selectors {
                broken.append("I6: a Child SA of \(side) has other selectors: \(child.sa.remoteSelectors)")
            }
        }
        return broken
    }
}
