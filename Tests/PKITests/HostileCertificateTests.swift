import GatewayCrypto
import GatewayTesting
import PKI
import Testing
import Wire

/// Certificates made to cost time, memory or the process (threats.md C1, C2, C3, C8).
@Suite struct HostileCertificateTests {
    @Test func threat_C3_sixteenKilobytes() throws {
        let root = try TestCA()
        let anchors = try root.anchors()
        func padded(_ count: Int) throws -> [UInt8] {
            try root.endEntityOctets("alice") {
                $0.extensions = [.init(ObjectIdentifier(1, 3, 6, 1, 4, 1, 6527, 9, 1), DERWriting.octetString([UInt8](repeating: 7, count: count)))]
            }.octets
        }
        let large = try padded(15_500)
        #expect(large.count > 15_800 && large.count <= Certificate.maximumSize)
        #expect(anchors.refusal([large]) == nil)
        let (refusal, spent) = milliseconds { anchors.refusal([[UInt8](repeating: 0x30, count: Certificate.maximumSize + 1)]) }
        #expect(refusal?.cause == .malformed(.tooLarge) && spent < 1)
        #expect(readingError(try padded(16_000)) == .tooLarge)
    }

    @Test func threat_C3_thousandAlternativeNames() throws {
        let root = try TestCA()
        let octets = try root.endEntityOctets("alice") { $0.names = (0..<1000).map { .dns("h\($0).example") } }.octets
        #expect(octets.count > 10_000)
        let anchors = try root.anchors()
        let (refusal, spent) = milliseconds { anchors.refusal([octets]) }
        #expect(refusal?.cause == .malformed(.tooManyNames) && spent < 5, "\(spent) ms")
        let most = try root.endEntity("alice") { $0.names = (0..<Certificate.maximumAlternativeNames).map { .dns("h\($0).example") } }
        #expect(anchors.refusal(most.payloads) == nil)
        #expect(most.certificate.matches(.fqdn(Array("h127.example".utf8))))
    }

    @Test func threat_C3_namesTimesConstraints() throws {
        let root = try TestCA()
        let limit = Certificate.maximumNameConstraints
        let staff = try root.intermediate("Staff") { $0.excluded = (0..<limit).map { .dns("x\($0).example") } }
        let client = try staff.endEntity("alice") { $0.names = (0..<Certificate.maximumAlternativeNames).map { .dns("h\($0).example") } }
        let anchors = try root.anchors()
        let (refusal, spent) = milliseconds { anchors.refusal(client.payloads) }
        #expect(refusal?.cause == .tooManyNameConstraints && spent < 10, "\(spent) ms")
        let few = try staff.endEntity("alice") { $0.names = (0..<70).map { .dns("h\($0).example") } }
        #expect(anchors.refusal(few.payloads) == nil)
        #expect(throws: CertificateError.tooManyConstraints) { try root.intermediate("Staff") { $0.excluded = (0...limit).map { .dns("x\($0)") } } }
    }

    @Test func threat_C8_chainThatLoops() throws {
        // A is issued by B and B by A, with nothing above (GnuTLS 2024-0567)
        let a = try TestCA("A")
        let b = try TestCA("B")
        let aFromB = try b.intermediate("A") { $0.key = a.key }
        let bFromA = try a.intermediate("B") { $0.key = b.key }
        let client = try a.endEntity("alice")
        let anchors = try TestCA("Elsewhere").anchors()
        let payloads = [client.certificate.der, aFromB.certificate.der, bFromA.certificate.der, a.certificate.der, b.certificate.der]
        let (refusal, spent) = milliseconds { anchors.refusal(payloads) }
        #expect(refusal?.cause == .unknownAuthority && spent < 10, "\(spent) ms")
        // with an anchor above one of them it is found through the cycle
        let root = try TestCA()
        let bFromRoot = try root.intermediate("B") { $0.key = b.key }
        #expect(try root.anchors().refusal(payloads + [bFromRoot.certificate.der]) == nil)
    }

    @Test func threat_C3_manyIssuersOfOneName() throws {
        // nine intermediates that all call themselves what they are issued by: more orders than could be tried
        let root = try TestCA("Elsewhere")
        let name = try #require(DistinguishedName([("CN", "Same")]))
        let first = try TestCA("Same") {
            $0.subject = name; $0.withKeyIdentifiers = false
        }
        var payloads = try first.endEntity("alice") { $0.withKeyIdentifiers = false }.payloads
        for _ in 0..<9 {
            payloads.append(
                try TestCA("Same") {
                    $0.subject = name; $0.withKeyIdentifiers = false
                }.certificate.der)
        }
        let anchors = try root.anchors()
        let (refusal, spent) = milliseconds { anchors.refusal(payloads) }
        #expect(refusal != nil && spent < 20, "\(spent) ms")
        // and with an anchor of the same name: a few signatures, no more
        let same = try TestCA("Same") {
            $0.subject = name; $0.withKeyIdentifiers = false
        }.anchors()
        let (again, spentAgain) = milliseconds { same.refusal(payloads) }
        #expect(again?.cause == .badSignature && spentAgain < 30, "\(spentAgain) ms")
    }

    @Test func threat_C3_nesting() {
        for (depth, isRefused) in [(31, false), (32, true), (4000, true)] {
            var octets: [UInt8] = [5, 0]
            for _ in 0..<depth { octets = DERWriting.sequence(octets) }
            let error = readingError(octets)
            #expect((error == .encoding(.tooDeep)) == isRefused && error != nil, "\(depth): \(String(describing: error))")
        }
    }

    @Test func threat_C3_namesWithTooManyParts() throws {
        func name(_ count: Int) throws -> DistinguishedName {
            try DistinguishedName(
                der: DERWriting.sequence(
                    (0..<count).map { DERWriting.set([DERWriting.sequence(ObjectIdentifier(2, 5, 4, 3).der, DERWriting.utf8("\($0)"))]) }))
        }
        #expect(try name(128).relativeNameCount == 128)
        #expect(throws: DERError.tooMany) { try name(129) }
        // one relative name with as many parts
        let parts = (0..<129).map { DERWriting.sequence(ObjectIdentifier(2, 5, 4, 3).der, DERWriting.utf8("\($0)")) }
        #expect(throws: DERError.tooMany) { try DistinguishedName(der: DERWriting.sequence(DERWriting.set(parts))) }
    }

    static func rsa(_ modulus: [UInt8], _ exponent: [UInt8]) -> [UInt8] {
        DERWriting.sequence(
            DERWriting.sequence(ObjectIdentifier(1, 2, 840, 113_549, 1, 1, 1).der, DERWriting.null),
            DERWriting.bitString(DERWriting.sequence(DERWriting.integer(modulus), DERWriting.integer(exponent))))
    }

    /// A certificate for a key that was only written down.
    static func octets(for info: [UInt8], by root: TestCA) throws -> [UInt8] {
        var template = CertificateTemplate(
            subject: try #require(DistinguishedName([("CN", "alice")])), notBefore: TestCA.now, notAfter: TestCA.now + .seconds(60),
            serialNumber: [1])
        template.extensions = [.extendedKeyUsage([.clientAuthentication])]
        return try template.issued(for: info, by: root.certificate.subject, key: root.key)
    }

    @Test func threat_C3_rsaLimits() throws {
        let root = try TestCA()
        let anchors = try root.anchors()
        func modulus(_ bits: Int) -> [UInt8] { [0x80] + [UInt8](repeating: 0xff, count: bits / 8 - 1) }
        func check(_ modulus: [UInt8], _ exponent: [UInt8]) throws -> PathFailure.Cause? {
            let octets = try Self.octets(for: Self.rsa(modulus, exponent), by: root)
            let (refusal, spent) = milliseconds { anchors.refusal([octets]) }
            #expect(spent < 10, "\(spent) ms")
            return refusal?.cause
        }
        #expect(try check(modulus(2048), [1, 0, 1]) == nil)
        #expect(try check(modulus(8192), [1, 0, 1]) == nil)
        #expect(try check(modulus(8200), [1, 0, 1]) == .malformed(.rsaKey))
        #expect(try check(modulus(65_536), [1, 0, 1]) == .malformed(.rsaKey))
        #expect(try check(modulus(1016), [1, 0, 1]) == .malformed(.rsaKey))
        #expect(try check(modulus(1024), [1, 0, 1]) == .weakKey)
        #expect(try check(modulus(2040), [1, 0, 1]) == .weakKey)
        #expect(try check(modulus(2048), [3]) == .weakKey)
        #expect(try check(modulus(2048), [1, 0, 0]) == .malformed(.rsaKey))
        #expect(try check(modulus(2048), [1]) == .malformed(.rsaKey))
        #expect(try check(modulus(2048), [1, 0, 0, 0, 0, 0, 0, 0, 1]) == .malformed(.rsaKey))
        #expect(try check(modulus(2048).dropLast() + [0xfe], [1, 0, 1]) == .malformed(.rsaKey))
        #expect(try check([], [1, 0, 1]) == .malformed(.rsaKey))
    }

    @Test func threat_C3_otherKeysAreRefused() throws {
        let root = try TestCA()
        let anchors = try root.anchors()
        let p224 = DERWriting.sequence(
            DERWriting.sequence(ObjectIdentifier(1, 2, 840, 10_045, 2, 1).der, ObjectIdentifier(1, 3, 132, 0, 33).der),
            DERWriting.bitString([4] + [UInt8](repeating: 1, count: 56)))
        #expect(anchors.refusal([try Self.octets(for: p224, by: root)])?.cause == .weakKey)
        // explicit parameters, as in 2022-0778
        let explicit = DERWriting.sequence(
            DERWriting.sequence(ObjectIdentifier(1, 2, 840, 10_045, 2, 1).der, DERWriting.sequence(DERWriting.integer(1))),
            DERWriting.bitString([4] + [UInt8](repeating: 1, count: 64)))
        #expect(anchors.refusal([try Self.octets(for: explicit, by: root)])?.cause == .weakKey)
        // a point that is not on the curve is known as such at the latest where its signature is looked at
        let offCurve = DERWriting.sequence(
            DERWriting.sequence(ObjectIdentifier(1, 2, 840, 10_045, 2, 1).der, ObjectIdentifier(1, 2, 840, 10_045, 3, 1, 7).der),
            DERWriting.bitString([4] + [UInt8](repeating: 1, count: 64)))
        #expect(anchors.refusal([try Self.octets(for: offCurve, by: root)]) != nil)
    }

    @Test func RFC5280_structure() throws {
        let root = try TestCA()
        let extra = CertificateTemplate.Extension.extendedKeyUsage([.serverAuthentication])
        #expect(readingError(try root.endEntityOctets("alice") { $0.extensions = [extra] }.octets) == .repeatedExtension)
        let client = try root.endEntity("alice")
        #expect(readingError(client.certificate.der + [0]) == .encoding(.truncated))
        #expect(readingError(client.certificate.der + [5, 0]) == .encoding(.trailing))
        #expect(readingError(Array(client.certificate.der.dropLast())) == .encoding(.truncated))
        let empty = try root.endEntityOctets("alice") { $0.extensions = [.subjectAlternativeNames([])] }.octets
        #expect(readingError(empty) == .badExtension(.subjectAlternativeName))
        // an indefinite length, and one that is not minimal
        #expect(readingError([0x30, 0x80, 0, 0]) == .encoding(.badLength))
        #expect(readingError([0x30, 0x81, 0x02, 5, 0]) == .encoding(.badLength))
        #expect(readingError([]) == .encoding(.truncated))
        #expect(readingError([0x1f, 0x81, 0x01, 0]) == .encoding(.unexpectedTag))
    }

    /// Every certificate that can be read after damage goes all the way through; nothing ends the process, nothing takes long, and nothing that was
    /// changed is accepted.
    @Test(arguments: [UInt64(1), 2, 3, 4]) func threat_C1_damagedCertificates(_ seed: UInt64) throws {
        let root = try TestCA()
        let staff = try root.intermediate("Staff") { $0.permitted = [.dns("example.com")] }
        let client = try staff.endEntity("alice") {
            $0.names = [.dns("alice.example.com"), .rfc822("alice@example.com"), .other(0x87, [192, 0, 2, 1])]
        }
        let anchors = try root.anchors()
        var random = SeededGenerator(seed: seed)
        var readable = 0
        var slowest = 0.0
        for round in 0..<2500 {
            var payloads = client.payloads
            let index = Int(random.next() % 2)
            for _ in 0...(random.next() % 3) {
                let place = Int(random.next() % UInt64(payloads[index].count))
                switch random.next() % 4 {
                case 0: payloads[index][place] = UInt8(truncatingIfNeeded: random.next())
                case 1: payloads[index][place] ^= 1 << (random.next() % 8)
                case 2: payloads[index].removeSubrange(place..<min(place + Int(random.next() % 8), payloads[index].count))
                default: payloads[index].insert(UInt8(truncatingIfNeeded: random.next()), at: place)
                }
            }
            if (try? Certificate(der: payloads[index])) != nil { readable += 1 }
            let (refusal, spent) = milliseconds { anchors.refusal(payloads) }
            slowest = max(slowest, spent)
            #expect(refusal != nil || payloads == client.payloads, "seed \(seed), round \(round)")
        }
        print("threat_C1_damagedCertificates: seed \(seed), \(readable) of 2500 readable, slowest \(slowest) ms")
        #expect(readable > 100 && slowest < 50, "seed \(seed)")
    }
}
