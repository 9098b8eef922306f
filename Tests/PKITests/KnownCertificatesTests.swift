import Dispatch
import GatewayTesting
import Synchronization
import Testing

@testable import PKI

/// What anchors remember of certificates they have read: never more than how to read them (threats.md C6, C8).
@Suite struct KnownCertificatesTests {
    private func known(_ root: TestCA, limit: Int = KnownCertificates.standardLimit) throws -> TrustAnchors {
        TrustAnchors(try root.anchors(), limit: limit)
    }

    @Test func threat_C8_timesAreLookedAtEachTime() throws {
        let root = try TestCA { $0.notAfter = TestCA.now + .seconds(1000) }
        let staff = try root.intermediate("Staff") { $0.notAfter = TestCA.now + .seconds(500) }
        let client = try staff.endEntity("alice") {
            $0.notBefore = TestCA.now + .seconds(-100); $0.notAfter = TestCA.now + .seconds(100)
        }
        let anchors = try known(root)
        for _ in 0..<2 {
            #expect(anchors.refusal(client.payloads) == nil)
            #expect(anchors.known.count == 3)
            #expect(anchors.refusal(client.payloads, at: TestCA.now + .seconds(101))?.cause == .expired)
            #expect(anchors.refusal(client.payloads, at: TestCA.now + .seconds(-101))?.cause == .notYetValid)
        }
        let lasting = try staff.endEntity("bob")
        #expect(anchors.refusal(lasting.payloads) == nil)
        let late = anchors.refusal(lasting.payloads, at: TestCA.now + .seconds(501))
        #expect(late?.cause == .expired && late?.depth == 1)
        // the anchor's own end
        let direct = try root.endEntity("carol")
        #expect(anchors.refusal(direct.payloads) == nil)
        let later = anchors.refusal(direct.payloads, at: TestCA.now + .seconds(1001))
        #expect(later?.cause == .expired && later?.depth == 1)
    }

    /// Each octet of a certificate that is known, changed: none of these was signed.
    @Test func threat_C6_exactOctetsAlone() throws {
        let root = try TestCA()
        let client = try root.endEntity("alice")
        let anchors = try known(root)
        #expect(anchors.refusal(client.payloads) == nil)
        for place in client.certificate.der.indices {
            var changed = client.certificate.der
            changed[place] ^= 0x01
            #expect(anchors.refusal([changed]) != nil, "octet \(place)")
        }
        #expect(anchors.refusal([client.certificate.der + [0]]) != nil)
        #expect(anchors.refusal([Array(client.certificate.der.dropLast())]) != nil)
        #expect(anchors.known.count == 2)
        #expect(anchors.refusal(client.payloads) == nil)
    }

    /// A certificate that is known beside another's, of the same subject and serial number or not, is still itself.
    @Test func threat_C6_ofTwoNamesakesEachIsItself() throws {
        let root = try TestCA()
        let (one, other) = (try root.endEntity("alice"), try root.endEntity("alice"))
        let anchors = try known(root)
        for client in [one, other, one, other] {
            let path = try anchors.validate(client.payloads, at: TestCA.now)
            #expect(path.endEntity.der == client.certificate.der)
            #expect(path.endEntity.subjectPublicKeyInfo == client.key.subjectPublicKeyInfo)
        }
    }

    /// A reload makes new anchors: what others let in is nothing to them.
    @Test func threat_C6_otherAnchorsKnowNothing() throws {
        let (root, other) = (try TestCA(), try TestCA("Other"))
        let client = try root.endEntity("alice")
        let anchors = try known(root)
        #expect(anchors.refusal(client.payloads) == nil)
        let copy = anchors
        #expect(copy.known.count == 2)
        #expect(try root.anchors().known.count == 0)
        #expect(try other.anchors().refusal(client.payloads)?.cause == .unknownAuthority)
        // the same name, another key
        #expect(try TestCA().anchors().refusal(client.payloads)?.cause == .unknownAuthority)
    }

    /// A known intermediate is no anchor, and a purpose that was good for one use is not for another.
    @Test func threat_C8_rulesAreLookedAtEachTime() throws {
        let root = try TestCA()
        let staff = try root.intermediate("Staff") { $0.basicConstraints = .init(isAuthority: true, maximumPathLength: 0) }
        let client = try staff.endEntity("alice")
        let anchors = try known(root)
        #expect(anchors.refusal(client.payloads) == nil)
        #expect(anchors.refusal([client.certificate.der])?.cause == .unknownAuthority)
        #expect(anchors.refusal(client.payloads, purpose: .server)?.cause == .extendedKeyUsage)
        let below = try staff.intermediate("Below").endEntity("mallory")
        #expect(anchors.refusal(below.payloads)?.cause == .pathTooLong)
        #expect(anchors.refusal([staff.certificate.der]) != nil)
    }

    @Test(arguments: PathTests.refusals) func threat_C3_whatIsRefusedTakesNoRoom(_ refusal: PathTests.Refusal) throws {
        let root = try TestCA()
        let anchors = try known(root)
        let payloads = try refusal.payloads(root)
        for _ in 0..<2 {
            let found = anchors.refusal(payloads, at: refusal.time)
            #expect(found?.cause == refusal.cause && found?.depth == refusal.depth, "\(found?.description ?? "accepted")")
        }
        #expect(anchors.known.count == 0)
    }

    @Test func threat_C3_roomIsBounded() throws {
        let root = try TestCA()
        let anchors = try known(root, limit: 4)
        let clients = try (0..<20).map { try root.endEntity("client \($0)") }
        for client in clients + clients.reversed() {
            #expect(anchors.refusal(client.payloads) == nil)
            #expect(anchors.known.count <= 8)
        }
        // who comes again and again stays
        for client in clients.dropFirst() {
            #expect(anchors.refusal(clients[0].payloads) == nil)
            #expect(anchors.known.find(clients[0].certificate.der) != nil)
            #expect(anchors.refusal(client.payloads) == nil)
        }
        #expect(anchors.known.count <= 8)
    }

    @Test func manyThreadsAtOnce() throws {
        let root = try TestCA()
        let staff = try root.intermediate("Staff")
        let clients = try (0..<6).map { try staff.endEntity("client \($0)") }
        let stranger = try TestCA().endEntity("stranger")
        let anchors = try known(root, limit: 2)
        let wrong = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 400) { turn in
            let client = clients[turn % clients.count]
            let refusal = turn % 7 == 0 ? anchors.refusal(stranger.payloads) : anchors.refusal(client.payloads)
            let isRight = turn % 7 == 0 ? refusal?.cause == .unknownAuthority || refusal?.cause == .badSignature : refusal == nil
            if !isRight { wrong.withLock { $0 += 1 } }
        }
        #expect(wrong.withLock { $0 } == 0)
    }
}
