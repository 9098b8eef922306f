import GatewayCrypto
import GatewayTesting
import IKEMessages
import RoadWarrior
import Testing
import Wire

@testable import IKE

@Suite("IKE_SA_INIT")
struct InitTests {
    @Test("a login in four messages, RFC 7296 section 1.2 (IKE-4)")
    func fourMessages() throws {
        let pair = try Pair.established()
        #expect(pair.wire.sent.count == 4)
        let child = try #require(pair.entry?.children.first)
        let theirs = try #require(pair.client.childSA)
        #expect(theirs.inboundSPI == child.outboundSPI && theirs.outboundSPI == child.inboundSPI)
        #expect(theirs.localSelectors == child.remoteSelectors && theirs.remoteSelectors == child.localSelectors)
        #expect(pair.client.establishment?.responderIdentity == Pair.gatewayIdentity)
        #expect(pair.gateway.halfOpen == 0)
        pair.close()
        pair.drain()
        #expect(pair.client.closure == .deletedByUs(answered: true))
        expectNothingLeft(pair)
    }

    static let suites = [
        "aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha512-ecp521",
        "aes128-sha256-modp2048", "aes192-sha384-ecp256", "aes256-sha512-modp3072",
    ]

    @Test("algorithms that are offered by default (X-7)", arguments: suites)
    func algorithms(_ text: String) throws {
        let pair = try Pair.established { $0.ikeProposals = (try? ProposalText.ike(text)) ?? [] }
        let suite = try #require(pair.entry?.establishment?.suite)
        #expect(suite.suite == pair.client.establishment?.suite.protection)
        #expect(suite.prf == pair.client.establishment?.suite.prf.number)
        pair.probe()
        pair.settle()
        pair.close()
        pair.drain()
        expectNothingLeft(pair)
    }

    static let refused = ["3des-sha256-x25519", "aes128-sha1-x25519", "aes128-md5-x25519", "null-sha256-x25519", "aes128gcm8-prfsha256-x25519"]

    @Test("NO_PROPOSAL_CHOSEN keeps no state; threats.md P10", arguments: refused)
    func noProposal(_ text: String) throws {
        let pair = try Pair { $0.ikeProposals = (try? ProposalText.ike(text)) ?? [] }
        pair.connect()
        #expect(pair.client.refusals == [.noProposalChosen])
        #expect(pair.gateway.initRefusals == [.noProposalChosen])
        let reply = try #require(pair.flights(.ikeSAInit, response: true, fromClient: false).first)
        #expect(reply.header?.responderSPI == 0)
        #expect(reply.octets.count < pair.client.octetsOut)
        expectNothingLeft(pair)
    }

    @Test("INVALID_KE_PAYLOAD names the group, the retry logs in; RFC 7296 section 1.2")
    func invalidKeyExchange() throws {
        let profile = Pair.policy { policy in
            policy.transforms = policy.transforms.map { transform in
                var transform = transform
                transform.keyExchange = [.ecp384, .ecp256]
                return transform
            }
        }
        let pair = try Pair(profile: profile)
        pair.connect()
        #expect(pair.client.isEstablished)
        #expect(pair.gateway.initRefusals == [.invalidKeyExchange(preferred: .ecp384)])
        #expect(pair.entry?.establishment?.suite.keyExchange == .ecp384)
        #expect(pair.wire.sent.count == 6)
        #expect(pair.gateway.gone.isEmpty)
        expectSound(pair)
    }

    @Test("COOKIE asked and returned; RFC 7296 section 2.6")
    func cookie() throws {
        let pair = try Pair.established(profile: Pair.policy { $0.halfOpen.cookieThreshold = 0 })
        #expect(pair.gateway.cookieReplies == 1)
        let requests = pair.flights(.ikeSAInit, response: false, fromClient: true)
        #expect(requests.count == 2)
        let second = try IKEMessage(parsing: try #require(requests.last).octets)
        #expect(second.payloads.first?.type == .notify && second.payloads.notifyTypes.first == .cookie)
        expectSound(pair)
    }

    @Test("COOKIE and INVALID_KE_PAYLOAD in one login; RFC 7296 section 2.6.1, threats.md P9")
    func cookieAndInvalidKeyExchange() throws {
        let profile = Pair.policy { policy in
            policy.halfOpen.cookieThreshold = 0
            policy.transforms = [IKETransform(encryption: DefaultProposals.aead, pseudorandomFunctions: [.hmacSHA256], keyExchange: [.ecp256])]
        }
        let pair = try Pair.established(profile: profile)
        #expect(pair.gateway.initRefusals == [.invalidKeyExchange(preferred: .ecp256)])
        // The second guess has another key and the same nonce: the cookie holds.
        #expect(pair.gateway.cookieReplies == 1)
        #expect(pair.flights(.ikeSAInit, response: false, fromClient: true).count == 3)
        expectSound(pair)
    }

    @Test("the offered group is taken when it is allowed: no round trip for a preference")
    func offeredGroup() throws {
        let pair = try Pair.established { $0.ikeProposals = (try? ProposalText.ike("aes128gcm16-prfsha256-ecp521-x25519")) ?? [] }
        #expect(pair.entry?.establishment?.suite.keyExchange == .ecp521)
        #expect(pair.gateway.initRefusals == [])
    }

    // MARK: NAT detection, RFC 7296 section 2.23

    @Test("without a NAT, force makes the client encapsulate, and it does not believe itself behind a NAT (X-9)")
    func forced() throws {
        let pair = try Pair.established()
        #expect(pair.client.isEncapsulated)
        #expect(!pair.client.isBehindNAT)
        #expect(pair.entry?.establishment?.nat == NATState(supported: true, peerBehindNAT: false, weBehindNAT: false))
        #expect(pair.entry?.remote.port == 4500)
        expectSound(pair)
    }

    @Test("without force nothing is claimed: no NAT, no UDP around ESP; with NAT detection and without", arguments: [true, false])
    func unforced(detects: Bool) throws {
        let pair = try Pair.established(profile: Pair.policy { $0.natTraversal.force = false }) { if !detects { $0.natClaim = .silent } }
        #expect(!pair.client.isEncapsulated)
        #expect(pair.entry?.children.map(\.isEncapsulated) == [false])
        #expect(pair.entry?.establishment?.nat == NATState(supported: detects, peerBehindNAT: false, weBehindNAT: false))
        #expect(pair.entry?.remote.port == 500)
        expectSound(pair)
    }

    @Test("with a NAT on the way ESP must be in UDP: a client that stays on port 500 gets no Child SA")
    func unforcedWithNAT() throws {
        let pair = try Pair(profile: Pair.policy { $0.natTraversal.force = false })
        // Changed under way, so that we alone see the NAT
        pair.client.warrior.tamper = tampering(.ikeSAInit) { payloads in
            payloads = payloads.map {
                guard case .notify(var notify) = $0, notify.type == .natDetectionSourceIP else { return $0 }
                notify.data = [UInt8](repeating: 7, count: 20)
                return .notify(notify)
            }
        }
        pair.connect()
        #expect(!pair.client.isEncapsulated)
        #expect(pair.client.refusals == [.noProposalChosen])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("behind a NAT: both sides see it", arguments: [true, false])
    func behindNAT(force: Bool) throws {
        let nat = PairClient.NAT(address: ip("203.0.113.9"), firstPort: 40_000)
        let pair = try Pair.established(profile: Pair.policy { $0.natTraversal.force = force }, nat: nat)
        #expect(pair.client.isBehindNAT && pair.client.isEncapsulated)
        #expect(pair.entry?.establishment?.nat == NATState(supported: true, peerBehindNAT: true, weBehindNAT: false))
        #expect(pair.entry?.remote == Endpoint(ip("203.0.113.9"), port: 40_001))
        #expect(pair.entry?.children.map(\.isEncapsulated) == [true])
        expectSound(pair)
    }

    @Test("the gateway behind a NAT knows it")
    func gatewayBehindNAT() throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeSAInit) { payloads in
            payloads = payloads.map {
                guard case .notify(var notify) = $0, notify.type == .natDetectionDestinationIP else { return $0 }
                notify.data = [UInt8](repeating: 7, count: 20)
                return .notify(notify)
            }
        }
        pair.connect()
        #expect(pair.entry?.establishment?.nat == NATState(supported: true, peerBehindNAT: false, weBehindNAT: true))
        expectSound(pair)
    }

    @Test("without NAT_DETECTION from the client there is none from us, and no Child SA")
    func silent() throws {
        let pair = try Pair { $0.natClaim = .silent }
        pair.connect()
        #expect(pair.initResponse?.notifyTypes == [.fullTranscriptAuthentication])
        #expect(pair.client.refusals == [.noProposalChosen])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("one of several NAT_DETECTION_SOURCE_IP is enough")
    func severalSources() throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeSAInit) { payloads in
            payloads.insert(.notify(NotifyPayload(.natDetectionSourceIP, data: [UInt8](repeating: 1, count: 20))), at: 3)
        }
        pair.connect()
        #expect(pair.entry?.establishment?.nat.peerBehindNAT == false)
        expectSound(pair)
    }

    @Test("NAT rebinding: the newest authentic request says where the client is (RFC 7296 section 2.23, threats.md P35)")
    func rebinding() throws {
        let nat = PairClient.NAT(address: ip("203.0.113.9"), firstPort: 40_000)
        let pair = try Pair.established(nat: nat)
        let old = try #require(pair.flights(.ikeAuth, response: false, fromClient: true).last)
        pair.client.nat?.firstPort = 50_000
        pair.probe()
        pair.settle()
        #expect(pair.entry?.remote == Endpoint(ip("203.0.113.9"), port: 50_001))
        // An old message from a third place moves nothing.
        pair.inject(old.octets, remote: Endpoint(ip("198.18.0.1"), port: 4500))
        pair.inject(pair.wire.sent.last?.octets ?? [], remote: Endpoint(ip("198.18.0.1"), port: 4500))
        #expect(pair.entry?.remote == Endpoint(ip("203.0.113.9"), port: 50_001))
        expectSound(pair)
    }

    @Test("a client without a NAT that asks from another address is answered there and stays where it is; RFC 7296 section 2.11")
    func answeredWhereItAsked() throws {
        let pair = try Pair.established()
        let probe = try #require(pair.client.forge(.informational, [], id: pair.client.nextMessageID))
        let elsewhere = Endpoint(ip("198.18.0.7"), port: 4500)
        pair.inject(probe, remote: elsewhere, origin: .peer)
        #expect(pair.wire.sent.last?.remote == elsewhere)
        #expect(pair.entry?.remote == Endpoint(pair.client.settings.local.address, port: 4500))
        expectSound(pair)
    }
}
