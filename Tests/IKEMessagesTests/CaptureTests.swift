import IKEMessages
import Testing
import Wire

@Suite("Captures: real messages come back octet by octet")
struct CaptureTests {
    @Test("the folder is whole")
    func present() {
        #expect(Capture.all.count >= 120)
        for client in ["strongswan", "ios", "macos", "windows", "android"] {
            #expect(Capture.all.contains { $0.file.contains(client) }, "\(client)")
        }
        #expect(Set(Capture.all.map(\.testDescription)).count == Capture.all.count, "names repeat")
        let fragments = Capture.messages.filter { $0.name.contains("fragment") }
        #expect(fragments.count >= 6)
    }

    @Test("RFC 7296 section 3: parse, encode, the same octets", arguments: Capture.all)
    func identity(capture: Capture) throws {
        let (payloads, octets) = try capture.reencode(capture.octets)
        #expect(octets == capture.octets)
        if case .inner(let first) = capture.kind { #expect(payloads.first?.type == first) }
        #expect(try capture.reencode(octets).payloads == payloads)
    }

    @Test("RFC 7296 section 1: each capture is a valid exchange of its kind", arguments: Capture.all)
    func exchange(capture: Capture) throws {
        let isRequest = capture.name.contains("-request")
        let payloads = try capture.reencode(capture.octets).payloads
        switch (capture.kind, capture.name) {
        case (.message, let name) where name.hasPrefix("ike-sa-init"):
            let message = try IKEMessage(parsing: capture.octets)
            #expect(message.header.isResponse == !isRequest && message.header.exchange == .ikeSAInit)
            if isRequest {
                #expect(try IKESAInitRequest(message).keyExchange.data.count >= 32)
            } else if case .refused(let notifies) = try IKESAInitResponse(message) {
                #expect(notifies.firstError != nil || notifies.contains(.cookie))
            }
        case (.message, _): #expect(payloads.last.map { [.encrypted, .encryptedFragment, .notify].contains($0.type) } == true)
        case (.inner, let name) where name.hasPrefix("create-child-sa"):
            if isRequest {
                let request = try CreateChildSARequest(payloads: payloads)
                #expect((request.rekeys == nil) == (request.initiatorSelectors == nil), "the captures rekey, either a Child SA or the IKE SA")
            } else {
                _ = try CreateChildSAResponse(payloads: payloads)
            }
        case (.inner, let name) where name.hasPrefix("informational"): _ = try InformationalMessage(payloads: payloads)
        case (.inner, let name) where name.hasPrefix("ike-auth") && !isRequest: _ = try IKEAuthResponse(payloads: payloads)
        case (.inner, let name) where name.hasPrefix("ike-auth"):
            if payloads.contains(where: { $0.type == .initiatorIdentification }) {
                let request = try IKEAuthRequest(payloads: payloads)
                let isKeyed = payloads.contains { $0.type == .authentication }
                #expect((request.authentication != nil) == isKeyed)
            } else {
                _ = try IKEAuthContinuation(payloads: payloads)
            }
        default: Issue.record("a capture of an unknown exchange: \(capture.name)")
        }
    }

    private func inner(_ file: String, _ name: String) throws -> [Payload] {
        let capture = try #require(Capture.all.first { $0.file == file && $0.name == name && $0.kind != .message })
        return try capture.reencode(capture.octets).payloads
    }

    @Test("what strongSwan asks for is read as it was meant")
    func strongSwanRequest() throws {
        let request = try IKEAuthRequest(payloads: inner("strongswan-modp2048", "ike-auth-request-1"))
        #expect(request.identity.description == "modp-client.test" && request.identity.type == .fqdn)
        #expect(request.wantedIdentity?.description == "modp-gw.test")
        #expect(request.authentication?.method == .sharedKey && request.authentication?.data.count == 32)
        let child = try #require(request.child)
        let proposal = try #require(child.proposals.first)
        #expect(proposal.protocolID == .esp && proposal.spi.count == 4)
        #expect(proposal.transforms.contains(Transform(.encryption, id: EncryptionAlgorithm.aesCBC.rawValue, keyLength: 256)))
        #expect(request.configuration?.attributes.contains { $0.type == .internalIP4Address } == true)
        #expect(child.initiatorSelectors.contains { $0.addresses.description == "0.0.0.0/0" })
        #expect(child.responderSelectors.contains { $0.addresses.description == "10.20.0.0/24" })
    }

    @Test("what a Windows client sends is read as it was meant")
    func windowsRequest() throws {
        let request = try IKEAuthRequest(payloads: inner("synthetic-windows", "ike-auth-request-eap"))
        #expect(request.authentication == nil && request.wantedIdentity == nil)
        #expect(request.identity.ipAddress == IPAddress("192.168.1.23"))
        #expect(request.child?.proposals.count == 5)
        #expect(request.certificateRequests.first?.authorities.count == 20 * 56)
        #expect(request.configuration?.attributes.map(\.type.rawValue) == [1, 3, 4, 23456, 8, 10, 23457])
        let start = try #require(Capture.all.first { $0.file == "synthetic-windows" && $0.name == "ike-sa-init-request-default" })
        let first = try IKESAInitRequest(IKEMessage(parsing: start.octets))
        #expect(first.proposals.count == 12 && first.vendorIDs.count == 4 && first.nonce.octets.count == 48)
        #expect(first.keyExchange.method == .modp1024)
    }

    @Test("RFC 7296 section 2.6: the request with the cookie is the first one again behind it")
    func cookie() throws {
        let capture = { (name: String) in try #require(Capture.all.first { $0.file == "strongswan-cookie" && $0.name == name }) }
        let first = try IKEMessage(parsing: capture("ike-sa-init-request-0").octets)
        let second = try IKEMessage(parsing: capture("ike-sa-init-request-0-again-1").octets)
        guard case .refused(let notifies) = try IKESAInitResponse(IKEMessage(parsing: capture("ike-sa-init-response-0").octets)) else {
            Issue.record("the cookie was no refusal")
            return
        }
        let cookie = try #require(notifies[.cookie])
        #expect((1...64).contains(cookie.data.count))
        #expect(second.payloads == [.notify(cookie)] + first.payloads)
    }

    @Test("X-6 the fragments of a message count from 1 to their total, and only the first names a payload")
    func fragments() throws {
        var totals: [UInt16] = []
        for capture in Capture.messages where capture.name.contains("fragment") {
            guard case .encryptedFragment(let fragment) = try IKEMessage(parsing: capture.octets).payloads.last else {
                Issue.record("\(capture.testDescription) holds no fragment")
                continue
            }
            #expect(capture.name.hasSuffix("fragment-\(fragment.fragmentNumber)-of-\(fragment.totalFragments)"))
            #expect((fragment.firstInner == .none) == (fragment.fragmentNumber > 1))
            #expect(fragment.content.upperBound == capture.octets.count && fragment.content.lowerBound == 36)
            totals.append(fragment.totalFragments)
        }
        #expect(totals.contains(3) && totals.contains(2))
    }
}
