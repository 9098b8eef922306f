import GatewayTesting
import IKE
import IKEMessages
import Testing
import Wire

@testable import GatewayCrypto
@testable import RoadWarrior

extension RoadWarrior {
    /// The keys of its IKE SA, which are the gateway's too. They are read where they lie: a copy would be found later.
    fileprivate var disguisedKeys: [(String, DisguisedSecret)] {
        switch ike.keys {
        case .some(let keys):
            [
                ("SK_d", DisguisedSecret(keys.derivation)), ("SK_ei", DisguisedSecret(keys.initiatorEncryption)),
                ("SK_er", DisguisedSecret(keys.responderEncryption)),
                ("SK_ai", DisguisedSecret(keys.initiatorIntegrity)), ("SK_ar", DisguisedSecret(keys.responderIntegrity)),
                ("SK_pi", DisguisedSecret(keys.initiatorIdentity)), ("SK_pr", DisguisedSecret(keys.responderIdentity)),
            ]
        case .none: []
        }
    }
}

@Suite("After the end of an IKE SA none of its keys is in memory; threats.md P28, I11")
struct TeardownMemoryTests {
    private enum End: CaseIterable { case delete, halfOpen }

    private static func live(_ end: End) throws -> [(String, DisguisedSecret)] {
        let pair = try Pair { $0.ikeProposals = (try? ProposalText.ike("aes256-sha256-x25519")) ?? [] }
        if end == .halfOpen { pair.wire.fate = { $0.is(.ikeAuth, response: true) ? .drop : .deliver } }
        if end == .halfOpen { pair.gateway.holds = [.address] }
        pair.connect()
        let secrets = pair.client.warrior.disguisedKeys
        #expect(secrets.count == 7)
        for (name, secret) in secrets { #expect(try secret.isInMemory(), "the search finds \(name) while it is there") }
        if end == .delete { pair.closeFromGateway() }
        pair.drain()
        #expect(pair.gateway.entries.isEmpty)
        return secrets
    }

    @Test("after a Delete, and after a login that was never finished")
    func threat_P28_keysOfAnIKESA() async {
        await #expect(processExitsWith: .success) {
            #expect(CryptoLibrary.wipeFreedMemory())
            for end in End.allCases {
                for (name, secret) in try Self.live(end) { #expect(try !secret.isInMemory(), "\(name) is left after \(end)") }
            }
        }
    }
}
