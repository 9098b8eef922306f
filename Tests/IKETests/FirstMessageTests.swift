import GatewayCrypto
import GatewayTesting
import IKEMessages
import Testing
import Wire

@testable import IKE

/// IKE_SA_INIT requests made to be as short as they can be.
struct FirstMessageTests {
    private func request(prf: UInt16 = 5, nonce: Int = 16, notifies: [NotifyPayload] = []) -> [UInt8] {
        let transforms = [
            Transform(.encryption, id: 20, keyLength: 128), Transform(.pseudorandomFunction, id: prf), Transform(.keyExchange, id: 31),
        ]
        return IKEMessage(
            header: IKEHeader(initiatorSPI: 7, responderSPI: 0, exchange: .ikeSAInit, flags: [.initiator], messageID: 0),
            payloads: [
                .securityAssociation(SecurityAssociationPayload(proposals: [Proposal(number: 1, protocolID: .ike, spi: [], transforms: transforms)])),
                .keyExchange(KeyExchangePayload(method: .x25519, data: [9] + [UInt8](repeating: 0, count: 31))),
                .nonce(NoncePayload(octets: [UInt8](repeating: 3, count: nonce))),
            ] + notifies.map { .notify($0) }
        ).encoded()
    }

    /// All trust anchors that a gateway can have, and everything else that a response may hold.
    private static let talkative = Pair.profile { profile in
        profile.policy.authentication.method = .autoEAP
        profile.policy.authentication.ownAutoEAP = .certificate
        profile.authorities = [UInt8](repeating: 0x77, count: 8 * 20)
    }

    private static let notifies: [NotifyPayload] = [
        NotifyPayload(.signatureHashAlgorithms, data: [0, 2]), NotifyPayload(.fragmentationSupported),
        NotifyPayload(.natDetectionSourceIP, data: [UInt8](repeating: 1, count: 20)),
        NotifyPayload(.natDetectionDestinationIP, data: [UInt8](repeating: 2, count: 20)),
    ]

    @Test("with eight trust anchors to name, the shortest request still brings at most three times its octets (C10)", arguments: 0..<16)
    func threat_C10_certificateRequests(_ choice: Int) throws {
        let pair = try Pair(profile: Self.talkative)
        let octets = request(notifies: Self.notifies.enumerated().filter { choice >> $0.offset & 1 == 1 }.map(\.element))
        pair.inject(octets)
        let response = try #require(pair.initResponse)
        #expect(response.contains { $0.type == .certificateRequest }, "the sample has what makes it long")
        #expect(pair.gateway.octetsOut <= 3 * octets.count, "\(pair.gateway.octetsOut) octets for \(octets.count)")
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("a nonce has at least half the PRF's key (RFC 7296 section 2.10)", arguments: [(5, 16), (6, 24), (7, 32)] as [(UInt16, Int)])
    func rfc7296_2_10_nonceLength(_ prf: UInt16, _ least: Int) throws {
        for nonce in [16, least - 1, least, least + 1, 256] where nonce >= 16 {
            let pair = try Pair()
            pair.inject(request(prf: prf, nonce: nonce))
            #expect(pair.gateway.entries.count == (nonce >= least ? 1 : 0), "PRF \(prf), \(nonce) octets")
            #expect(pair.gateway.drops[.malformed, default: 0] == (nonce >= least ? 0 : 1))
            pair.drain()
            expectNothingLeft(pair)
        }
    }
}
