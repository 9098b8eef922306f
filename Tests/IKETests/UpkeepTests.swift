import GatewayCrypto
import GatewayTesting
import IKEMessages
import RoadWarrior
import Testing
import Wire

@testable import IKE

@Suite("NAT keepalives (RFC 3948 section 2.3) and AUTH_LIFETIME (RFC 4478)")
struct UpkeepTests {
    /// A client that reaches the gateway through a NAT before the gateway.
    private func gatewayBehindNAT(_ change: (inout IKEPolicy) -> Void = { _ in }) throws -> Pair {
        let pair = try Pair(
            profile: Pair.policy {
                $0.deadPeerDetection = nil
                change(&$0)
            })
        pair.client.warrior.tamper = tampering(.ikeSAInit) { payloads in
            payloads = payloads.map {
                guard case .notify(var notify) = $0, notify.type == .natDetectionDestinationIP else { return $0 }
                notify.data = [UInt8](repeating: 7, count: 20)
                return .notify(notify)
            }
        }
        pair.connect()
        #expect(pair.client.isEstablished)
        return pair
    }

    @Test("behind a NAT a keepalive every 20 s, from and to where the client is")
    func keepalivesBehindNAT() throws {
        let pair = try gatewayBehindNAT()
        let entry = try #require(pair.entry)
        // It was established one way before the client was.
        let start = pair.now + (.zero - LossyWire.latency)
        pair.run(for: .seconds(61))
        #expect(entry.keepalives.map { $0.at - start } == [.seconds(20), .seconds(40), .seconds(60)])
        #expect(entry.keepalives.allSatisfy { $0.from == Endpoint(Pair.gatewayAddress, port: 4500) && $0.to == entry.remote })
        pair.close()
        pair.drain()
        #expect(entry.keepalives.count == 3)
        expectNothingLeft(pair)
    }

    @Test("not behind a NAT none, unless an interval is configured", arguments: [nil, 120])
    func keepalivesWithoutNAT(_ seconds: Int?) throws {
        let pair = try Pair.established(
            profile: Pair.policy {
                $0.deadPeerDetection = nil
                $0.natTraversal.keepAliveInterval = seconds.map { .seconds($0) }
            })
        let entry = try #require(pair.entry)
        pair.run(for: .seconds(250))
        #expect(entry.keepalives.count == (seconds == nil ? 0 : 2))
        expectSound(pair)
    }

    @Test("a configured interval holds behind a NAT too")
    func configuredInterval() throws {
        let pair = try gatewayBehindNAT { $0.natTraversal.keepAliveInterval = .seconds(60) }
        pair.run(for: .seconds(181))
        #expect(pair.entry?.keepalives.count == 3)
    }

    @Test("keepalives are no sign of life and none of our own: the client is found dead all the same")
    func keepalivesAreNoLiveness() throws {
        let pair = try Pair.established(
            profile: Pair.policy {
                $0.natTraversal.keepAliveInterval = .seconds(20)
                var detection = IKEPolicy.DeadPeerDetection()
                detection.interval = .seconds(30)
                $0.deadPeerDetection = detection
            })
        let entry = try #require(pair.entry)
        pair.client.isSilent = true
        pair.run(for: .seconds(200))
        #expect(entry.ended == [.deadPeer] && entry.keepalives.count >= 4)
        expectNothingLeft(pair)
    }

    @Test("AUTH_LIFETIME tells the seconds, and who does not authenticate anew by then is gone")
    func authenticationLifetime() throws {
        let pair = try Pair.established(
            profile: Pair.policy {
                $0.deadPeerDetection = nil
                $0.authentication.lifetime = .seconds(3600)
            })
        let entry = try #require(pair.entry)
        let notify = try #require(pair.client.establishment?.notifies.first { $0.type == .authLifetime })
        #expect(notify.data == [0, 0, 0x0e, 0x10] && notify.spi.isEmpty && notify.protocolID == 0)
        pair.run(for: .seconds(3599))
        #expect(entry.ended.isEmpty)
        pair.run(for: .seconds(1))
        #expect(entry.ended == [.lifetime])
        pair.drain()
        #expect(pair.client.closure == .deletedByPeer)
        expectNothingLeft(pair)
    }

    @Test("a rekey of the IKE SA authenticates nobody: the time runs on, and so do keepalives and fragments")
    func rekeyedIKESA() throws {
        let pair = try Pair.established(
            profile: Pair.policy {
                $0.deadPeerDetection = nil
                $0.authentication.lifetime = .seconds(3600)
                $0.natTraversal.keepAliveInterval = .seconds(600)
                $0.ipsecLifetime = .seconds(86_400)
            })
        let entry = try #require(pair.entry)
        pair.run(for: .seconds(1000))
        let value = try KeyExchange(.x25519, entropy: SeededEntropy(seed: 3)).publicValue
        let proposals = ProposalText.ikeDefault.map {
            Proposal(number: $0.number, protocolID: .ike, spi: [1, 2, 3, 4, 5, 6, 7, 8], transforms: $0.transforms)
        }
        pair.request(
            .createChildSA,
            [
                .securityAssociation(SecurityAssociationPayload(proposals: proposals)),
                .nonce(NoncePayload(octets: [UInt8](repeating: 4, count: 32))),
                .keyExchange(KeyExchangePayload(method: .x25519, data: value)),
            ])
        pair.settle()
        #expect(pair.client.responses.last?.types.contains(.keyExchange) == true)
        #expect(entry.keepalives.count == 1)
        pair.run(for: .seconds(2590))
        #expect(entry.keepalives.count == 5 && entry.ended.isEmpty)
        pair.run(for: .seconds(11))
        #expect(entry.ended == [.lifetime])
    }

    @Test("no AUTH_LIFETIME where none is configured, and none to a client that is refused")
    func noAuthenticationLifetime() throws {
        let pair = try Pair.established()
        #expect(pair.client.establishment?.notifies.contains { $0.type == .authLifetime } == false)
        let refused = try Pair(profile: Pair.policy { $0.authentication.lifetime = .seconds(3600) }) {
            $0.presharedKey = Secret([1, 2, 3])
        }
        refused.connect()
        #expect(refused.client.refusals == [.authenticationFailed])
        // Header, SK header, initialization vector, one notify without data, pad length, ICV: nothing else.
        #expect(refused.flights(.ikeAuth, response: true, fromClient: false).map(\.octets.count) == [28 + 4 + 8 + 8 + 1 + 16])
    }
}
