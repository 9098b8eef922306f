import GatewayTesting
import IKEMessages
import Testing
import Wire

@testable import IKE

/// Both sides replace and delete what they have, on a wire that loses, doubles, delays and reorders; all drawn from one seed. Afterwards the wire is
/// healed, and both must agree.
struct PeerSchedule {
    let seed: UInt64
    private var random: SeededGenerator
    private(set) var rekeys = 0
    private(set) var children = 0
    private(set) var messages = 0

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(seed: seed)
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    /// Returns what is broken.
    mutating func run() throws -> [String] {
        let prefersPFS = chance(25)
        let loss = chance(30) ? 0 : Int.random(in: 0...30, using: &random)
        let profile = Peers.profile { profile in
            var detection = IKEPolicy.DeadPeerDetection()
            detection.interval = .seconds(20)
            profile.policy.deadPeerDetection = detection
            if prefersPFS { profile.childTransforms[0].prefersPFS = true }
        }
        var other = profile
        if chance(15) {
            // Its first guess at the group is wrong, once.
            other.childTransforms[0].keyExchange = [.ecp256, .x25519]
            other.policy.transforms[0].keyExchange = [.ecp256, .x25519]
        }
        let peers = try Peers(seed: seed, gateway: profile, client: other)
        disturb(peers, loss: loss)
        let deletes = chance(40)
        let slowest = chance(50) ? 0 : 800
        var delays = SeededGenerator(seed: seed ^ 0x5bd1_e995)
        for side in Side.allCases { peers[side].delay = { .milliseconds(Int.random(in: 0...slowest, using: &delays)) } }
        for _ in 0..<Int.random(in: 2...14, using: &random) {
            act(on: peers, deletes: deletes)
            peers.run(for: .milliseconds(chance(50) ? Int.random(in: 0...40, using: &random) : Int.random(in: 0...9000, using: &random)))
        }
        peers.fate = { _ in [.milliseconds(10)] }
        for side in Side.allCases { (peers[side].installs, peers[side].hasSPIs) = (true, true) }
        // At most as long as retransmissions, liveness checks, retries and the wait for a Delete that does not come.
        peers.run(for: .seconds(12))
        for _ in 0..<12 where !peers.isQuiet { peers.run(for: .seconds(16)) }
        var broken = peers.violations
        if broken.isEmpty { broken = peers.disagreement }
        rekeys = peers.gateway.rekeys + peers.client.rekeys
        children = peers.gateway.furtherChildren + peers.client.furtherChildren
        messages = peers.everything.count
        for side in Side.allCases { peers.feed(.close(.shutdown), to: side) }
        peers.run(for: .seconds(60))
        return broken + (broken.isEmpty ? peers.violations + peers.leftovers : [])
    }

    private mutating func disturb(_ peers: Peers, loss: Int) {
        let copies = Int.random(in: 0...25, using: &random)
        let late = Int.random(in: 0...25, using: &random)
        var random = SeededGenerator(seed: seed ^ 0x9e37_79b9)
        peers.fate = { _ in
            guard Int.random(in: 0..<100, using: &random) >= loss else { return [] }
            let count = Int.random(in: 0..<100, using: &random) < copies ? Int.random(in: 2...3, using: &random) : 1
            return (0..<count).map { _ in
                .milliseconds(Int.random(in: 1...(Int.random(in: 0..<100, using: &random) < late ? 5000 : 60), using: &random))
            }
        }
    }

    private mutating func act(on peers: Peers, deletes: Bool) {
        let side: Side = chance(50) ? .gateway : .client
        switch Int.random(in: 0..<20, using: &random) {
        case 0...5: peers.rekeyChild(side, peers[side].children.randomElement(using: &random))
        case 6...7:
            for side in Side.allCases { peers.rekeyChild(side) }
        case 8...10: peers.rekeyIKE(side)
        case 11:
            for side in Side.allCases { peers.rekeyIKE(side) }
        case 12: if deletes, chance(50) { peers.deleteChild(side, peers[side].children.randomElement(using: &random)) }
        case 13: if deletes, chance(15) { peers.deleteIKE(side) }
        case 14:
            // The datapath refuses, once.
            peers[side].installs.toggle()
        case 15: peers[side].hasSPIs.toggle()
        case 16: corrupt(peers, to: side)
        case 17:
            // Once more what was there before.
            if let old = peers.everything.randomElement(using: &random) { peers.give(old) }
        default: peers.packet(from: side)
        }
    }

    /// A message with a bit changed may cost a drop, or repeat a response; nothing else (invariant I8).
    private mutating func corrupt(_ peers: Peers, to side: Side) {
        guard let old = peers.everything.last(where: { $0.from == side.other }), !old.datagram.octets.isEmpty else { return }
        var octets = old.datagram.octets
        octets[Int.random(in: 0..<octets.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        let before = (peers[side].children, peers[side].ikeSPIs, peers[side].ended, peers[side].spis)
        peers.inject(octets, to: side)
        let after = (peers[side].children, peers[side].ikeSPIs, peers[side].ended, peers[side].spis)
        if before != after { Issue.record("seed \(seed): I8: a changed message took \(before) to \(after)") }
    }
}

@Suite("Random schedules of two peers that replace and delete: threats.md P23 and section 4, invariants I3 to I9 and I12")
struct PeerScheduleTests {
    @Test("both sides agree in the end, no packet is lost on the way, and nothing is left; threats.md P23", arguments: 0..<ScheduleTests.batches)
    func threat_P23_schedules(batch: Int) throws {
        var rekeys = 0
        var children = 0
        let seeds =
            ScheduleTests.only.map { batch == 0 ? [$0] : [] }
            ?? (0..<ScheduleTests.count / ScheduleTests.batches).map { $0 * ScheduleTests.batches + batch }
        for seed in seeds {
            var schedule = PeerSchedule(seed: UInt64(seed))
            let broken = try schedule.run()
            rekeys += schedule.rekeys
            children += schedule.children
            guard broken.isEmpty else {
                Issue.record("\(broken.prefix(5)); again with IPSEC_GW_SEED=\(seed)")
                return
            }
        }
        // Schedules that replace nothing would prove nothing.
        #expect(seeds.count < 50 || (rekeys > seeds.count / 2 && children > seeds.count), "\(rekeys) IKE SAs, \(children) Child SAs")
    }
}
