import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Wire

/// Gateways and clients for the targets, the same for every input.
enum Setting {
    /// The cheapest algorithms, fragments known to both sides.
    /// `byEAP`: the client proves itself by EAP of three challenges.
    static func pair(byEAP: Bool = false, _ change: (inout GatewayProfile) -> Void = { _ in }) -> Pair {
        let profile = Pair.profile { profile in
            // A gateway that says much, so that its responses are cut too.
            profile.policy.fragmentation.mtu = 576
            change(&profile)
        }
        let settings: (inout RoadWarrior.Settings) -> Void = { settings in
            settings.ikeProposals = (try? ProposalText.ike("aes128gcm16-prfsha256-x25519")) ?? []
            settings.longestMessage = 60_000
        }
        let made = byEAP ? try? Pair.eap(seed: 7, profile: profile, settings) : try? Pair(seed: 7, profile: profile, settings)
        guard let made else { found("no pair") }
        if byEAP { made.gateway.aaa.rounds = 3 }
        return made
    }

    static func established() -> Pair {
        let pair = pair()
        pair.connect()
        expect(pair.client.isEstablished && pair.entry?.isEstablished == true, "no login: \(pair.client.events)")
        return pair
    }

    /// A client that has its keys and whose IKE_AUTH request was lost.
    static func halfOpen() -> Pair {
        let pair = pair()
        pair.wire.fate = { $0.is(.ikeAuth, response: false) ? .drop : .deliver }
        pair.connect()
        pair.wire.fate = { _ in .deliver }
        return pair
    }
}

extension Pair {
    func expectSound(_ what: String) {
        let broken = checkNow()
        expect(broken.isEmpty, "\(what): \(broken)")
    }

    /// Invariant I12.
    func expectNothingLeft(_ what: String) {
        expectSound(what)
        expect(gateway.leftovers.isEmpty, "\(what): left over: \(gateway.leftovers)")
    }

    /// Ends everything that may still live.
    func endAll(_ what: String) {
        wire.fate = { _ in .deliver }
        gateway.delay = { .zero }
        for kind in PairGateway.Held.allCases { release(kind) }
        // What is still under way, or repeated later, may yet log in.
        for _ in 0..<3 {
            gateway.closeAll(.shutdown, at: now)
            drain()
        }
        expectNothingLeft(what)
    }
}
