import RADIUS
import Testing
import Wire

private let server = Endpoint(IPAddress(v4: 0x0a63_0002), port: 40_000)
private let serverV6 = Endpoint(IPAddress(family: .ipv6, value: 0x2001_0db8 << 96 | 2), port: 40_001)
private let other = Secret(Array("other-secret".utf8))
private let wallNow: UInt32 = 1_795_230_880

/// The listener and the requests a server sends to it.
private struct Listener {
    var machine: DynamicAuthorization
    var now = Instant(nanoseconds: 1_000_000_000)
    var wall = wallNow

    init(_ change: (inout DynamicAuthorization.Settings) -> Void = { _ in }) throws {
        try #require(Dictionary.isLoaded)
        var settings = DynamicAuthorization.Settings(
            clients: [
                .init(name: "aaa1", address: server.address, secret: secret), .init(name: "aaa6", address: serverV6.address, secret: other),
            ], nas: gateway)
        change(&settings)
        machine = DynamicAuthorization(settings)
    }

    mutating func receive(_ octets: [UInt8], from source: Endpoint = server) -> DynamicAuthorization.Reception {
        machine.receive(octets, from: source, at: now, wall: wall)
    }

    /// Sends a request, acts on it with success, and returns the answer.
    mutating func answer(_ octets: [UInt8], from source: Endpoint = server) throws -> RADIUSPacket {
        let key = source == server ? secret : other
        return try RADIUSPacket(
            decoding: try answerOctets(octets, from: source), secret: key, request: RADIUSPacket.authenticator(of: octets),
            requiresMessageAuthenticator: false)
    }

    mutating func answerOctets(_ octets: [UInt8], from source: Endpoint = server) throws -> [UInt8] {
        switch receive(octets, from: source) {
        case .reply(let reply, _, _): return reply
        case .request(let accepted):
            let reply = machine.answer(accepted, with: .success(()))
            return try #require(reply)
        case .dropped(let drop, _):
            Issue.record("dropped: \(drop)")
            return []
        }
    }

    mutating func pass(_ seconds: Int64) {
        now = now + .seconds(seconds)
        wall += UInt32(seconds)
    }
}

private func request(
    _ attributes: [RADIUSAttribute], identifier: UInt8 = 7, secret key: Secret<[UInt8]> = secret, signed: Bool = true
) throws -> [UInt8] {
    try request(.disconnectRequest, attributes, identifier: identifier, secret: key, signed: signed)
}

private func request(
    _ code: RADIUSCode, _ attributes: [RADIUSAttribute], identifier: UInt8 = 7, secret key: Secret<[UInt8]> = secret,
    signed: Bool = true
) throws -> [UInt8] {
    try #require(Dictionary.isLoaded)
    return try RADIUSPacket(code, identifier: identifier, attributes: attributes).encode(secret: key, signed: signed)
}

private let session = RADIUSAttribute(.acctSessionID, "192.0.2.1-198.51.100.2:4500-1795230880")
private let port = RADIUSAttribute(.nasPortID, "tunnel-1.public:3")
private let address = RADIUSAttribute(.framedIPAddress, IPAddress(v4: 0x0a14_0007))
private let service = RADIUSAttribute(.alcIPsecServID, 300)
private let user = RADIUSAttribute(.userName, "alice")

private func cause(_ packet: RADIUSPacket) -> UInt32? { packet.first(.errorCause)?.integer }

private func drop(_ reception: DynamicAuthorization.Reception) -> DynamicAuthorization.Drop? {
    if case .dropped(let drop, _) = reception { drop } else { nil }
}

@Suite("RFC 5176: Disconnect and CoA")
struct DynamicAuthorizationTests {
    // MARK: Who may ask

    @Test func RAD9_onlyConfiguredServersAreHeard() throws {
        var listener = try Listener()
        let octets = try request([session])
        let stranger = Endpoint(IPAddress(v4: 0x0a63_0003), port: server.port)
        #expect(drop(listener.receive(octets, from: stranger)) == .unknownSource)
        #expect(drop(listener.receive(octets, from: Endpoint(try #require(IPAddress("::ffff:10.99.0.2")), port: 1))) == .unknownSource)
        #expect(try listener.answer(octets).code == .disconnectACK)
        #expect(listener.machine.statistics.drops == [.unknownSource: 2])
    }

    @Test func RAD9_eachServerHasItsOwnSecretAndFamily() throws {
        var listener = try Listener()
        #expect(drop(listener.receive(try request([session], secret: other))) == .badMessageAuthenticator)
        #expect(drop(listener.receive(try request([session], secret: other, signed: false))) == .badAuthenticator)
        #expect(drop(listener.receive(try request([session]), from: serverV6)) == .badMessageAuthenticator)
        let reply = try listener.answer(try request([session], secret: other), from: serverV6)
        #expect(reply.code == .disconnectACK && reply.identifier == 7)
    }

    @Test func threat_P20_everyChangedOctetIsRefused() throws {
        var listener = try Listener()
        let octets = try request([session, RADIUSAttribute(.proxyState, [1, 2])])
        for index in octets.indices where index != 1 {
            let reception = listener.receive(octets.changing(index, to: octets[index] ^ 1))
            #expect(drop(reception) != nil, "octet \(index)")
        }
        #expect(listener.machine.remembered == 0, "nothing is kept of what is not authentic")
        #expect(try listener.answer(octets).code == .disconnectACK)
    }

    @Test func messageAuthenticator_isAskedForByOption() throws {
        var listener = try Listener()
        #expect(try listener.answer(try request([session], signed: false)).hadMessageAuthenticator == false)
        #expect(try listener.answer(try request([session], identifier: 8)).hadMessageAuthenticator)
        var strict = try Listener { $0.requiresMessageAuthenticator = true }
        #expect(drop(strict.receive(try request([session], signed: false))) == .missingMessageAuthenticator)
        #expect(try strict.answer(try request([session])).code == .disconnectACK)
    }

    @Test func onlyTheTwoRequestsAreHeard() throws {
        var listener = try Listener()
        for code in [RADIUSCode.accessRequest, .accountingRequest, .statusServer] {
            #expect(drop(listener.receive(try request(code, [session]))) == .unexpectedCode)
        }
        for code: UInt8 in [0, 2, 3, 11, 41, 42, 44, 45, 255] {
            #expect(drop(listener.receive(try request([session]).changing(0, to: code))) == .unexpectedCode)
        }
        #expect(drop(listener.receive([])) == .malformed)
        #expect(drop(listener.receive([40])) == .malformed)
    }

    /// Octet for octet what Python's hashlib and hmac make of RFC 5176 section 2.3 and RFC 2869 section 5.14.
    @Test func RFC5176_2_3_answersAreSignedOverTheRequest() throws {
        let request = octets(
            """
            2807005589b59c214e49e91d21c7a880222727cc50120a84fa4cdb0c5fc434aa18ca4ed4d7602c283139322e302e322e312d3139382e35312e3130302e323a3435
            30302d3137393532333038383021040102210303
            """)
        var listener = try Listener()
        guard case .request(let accepted) = listener.receive(request) else {
            Issue.record("not taken")
            return
        }
        let ack = listener.machine.answer(accepted, with: .success(()))
        #expect(ack == octets("2907002d9bd139a05c20fd3a21fef076eec3b59a501249c18810012cae77138ea00ade7cf68f21040102210303"))
        let nak = listener.machine.answer(accepted, with: .failure(RefusedRequest(.sessionContextNotFound)))
        #expect(nak == octets("2a0700334821fc834496b04ad71538bc6f5f0635501219ff04943b6d5a58ed61219ac554c9b26506000001f721040102210303"))
    }

    // MARK: Time and copies

    @Test func threat_P20_replayAfter301Seconds() throws {
        for (age, isFresh) in [(0, true), (300, true), (301, false), (-300, true), (-301, false), (86_400, false)] as [(Int64, Bool)] {
            var listener = try Listener()
            let stamp = RADIUSAttribute(.eventTimestamp, UInt32(Int64(wallNow) - age))
            let reception = listener.receive(try request([session, stamp]))
            #expect((drop(reception) == nil) == isFresh && (isFresh || drop(reception) == .stale), "\(age) s old")
        }
        var listener = try Listener()
        let octets = try request([session, RADIUSAttribute(.eventTimestamp, wallNow)])
        let first = try listener.answerOctets(octets)
        for _ in 0..<10 {
            listener.pass(30)
            #expect(try listener.answerOctets(octets, from: Endpoint(server.address, port: 9)) == first, "a copy is only answered")
        }
        listener.pass(1)
        #expect(drop(listener.receive(octets)) == .stale || listener.machine.statistics.requests == 1)
        listener.pass(1)
        #expect(drop(listener.receive(octets)) == .stale)
        #expect(listener.machine.statistics.requests == 1 && listener.machine.statistics.duplicates >= 10)
    }

    /// From the future by the whole window: a copy is refused for as long as it would count as fresh.
    @Test func threat_P20_replayOfATimestampAhead() throws {
        var listener = try Listener()
        let octets = try request([session, RADIUSAttribute(.eventTimestamp, wallNow + 300)])
        _ = try listener.answerOctets(octets)
        for _ in 0..<605 {
            listener.pass(1)
            _ = listener.receive(octets)
        }
        #expect(listener.machine.statistics.requests == 1)
        #expect(drop(listener.receive(octets)) == .stale)
    }

    @Test func eventTimestamp_isAskedForByOption() throws {
        var strict = try Listener { $0.requiresEventTimestamp = true }
        #expect(drop(strict.receive(try request([session]))) == .missingEventTimestamp)
        #expect(try strict.answer(try request([session, RADIUSAttribute(.eventTimestamp, wallNow)])).code == .disconnectACK)
        var narrow = try Listener { $0.eventTimestampWindow = .seconds(5) }
        #expect(drop(narrow.receive(try request([session, RADIUSAttribute(.eventTimestamp, wallNow - 6)]))) == .stale)
    }

    @Test func RFC5080_2_2_2_aCopyGetsTheSameOctetsAndDoesNothing() throws {
        var listener = try Listener()
        let octets = try request([session, RADIUSAttribute(.proxyState, [9])])
        guard case .request(let accepted) = listener.receive(octets) else {
            Issue.record("not taken")
            return
        }
        #expect(drop(listener.receive(octets)) == .inProgress)
        let made = listener.machine.answer(accepted, with: .failure(RefusedRequest(.sessionContextNotFound)))
        let answer = try #require(made)
        for _ in 0..<3 { #expect(try listener.answerOctets(octets) == answer) }
        #expect(listener.machine.statistics.requests == 1)
        // the same identifier with other contents is another request
        #expect(try listener.answer(try request([user])).code == .disconnectACK)
        #expect(listener.machine.statistics.requests == 2)
        listener.pass(31)
        #expect(try listener.answer(octets).code == .disconnectACK)
        #expect(listener.machine.statistics.requests == 3)
    }

    @Test func theMemoryOfCopiesHasACap() throws {
        var listener = try Listener()
        for number in 0..<17_000 {
            let octets = try request([RADIUSAttribute(.userName, "u\(number)")], identifier: UInt8(truncatingIfNeeded: number), signed: false)
            _ = listener.receive(octets)
        }
        #expect(listener.machine.remembered == 16_384)
        listener.pass(31)
        _ = listener.receive(try request([session]))
        #expect(listener.machine.remembered == 1)
    }

    // MARK: Which session

    @Test func RAD10_identificationsAreRead() throws {
        var listener = try Listener()
        let prefix = RADIUSAttribute(.framedIPv6Prefix, IPPrefix(host: try #require(IPAddress("2001:db8:5::7"))))
        guard case .request(let all) = listener.receive(try request([session, user, port, address, prefix, service])) else {
            Issue.record("not taken")
            return
        }
        #expect(all.client == "aaa1" && all.source == server)
        let found = all.request.identification
        #expect(found.accountingID == session.value && found.userName == user.value && found.nasPortID == port.value)
        #expect(found.ipv4Address == IPAddress(v4: 0x0a14_0007) && found.service == 300)
        #expect(found.ipv6Prefix == IPPrefix("2001:db8:5::7/128"))
    }

    /// What is answered to which attributes, before any session is looked for; nil: it is acted upon.
    @Test func RAD10_causes() throws {
        let cases: [(String, [RADIUSAttribute], UInt32?)] = [
            ("nothing", [], 402), ("session", [session], nil), ("user", [user], nil), ("place", [port, address, service], nil),
            ("half a place", [port, address], 402), ("an address alone", [address], 402), ("a port alone", [port], 402),
            ("a port and a service", [port, service], 402), ("a user and half a place", [user, port], nil),
            ("an unknown one", [session, RADIUSAttribute(.replyMessage, "bye")], 401),
            ("a class", [session, RADIUSAttribute(.class, [1])], 401), ("a vendor's", [session, RADIUSAttribute(.alcIPsecInterface, "x")], 401),
            ("an EAP identity", [session, RADIUSAttribute(.state, [1])], 401),
            ("a timeout in a Disconnect", [session, RADIUSAttribute(.sessionTimeout, 60)], 401),
            ("a service type", [session, RADIUSAttribute(.serviceType, 17)], 401),
            ("a framed IPv6 address", [session, RADIUSAttribute(.framedIPv6Address, try #require(IPAddress("2001:db8::1")))], 401),
            ("our name", [session, RADIUSAttribute(.nasIdentifier, "gw-1")], nil),
            ("another name", [session, RADIUSAttribute(.nasIdentifier, "gw-2")], 403),
            ("our address", [session, RADIUSAttribute(.nasIPAddress, IPAddress(v4: 0xc000_0201))], nil),
            ("another address", [session, RADIUSAttribute(.nasIPAddress, IPAddress(v4: 0xc000_0202))], 403),
            ("another IPv6 address", [session, RADIUSAttribute(.nasIPv6Address, try #require(IPAddress("2001:db8::1")))], 403),
            ("our kind of port", [session, RADIUSAttribute(.nasPortType, 5)], nil),
            ("another kind of port", [session, RADIUSAttribute(.nasPortType, 0)], 403),
            ("a port's number", [session, RADIUSAttribute(.nasPort, 1)], 403),
            ("another NAS and no session", [RADIUSAttribute(.nasIdentifier, "gw-2")], 403),
            ("two users", [user, RADIUSAttribute(.userName, "bob")], 404), ("one user twice", [user, user], nil),
            ("proxies", [session, RADIUSAttribute(.proxyState, [1]), RADIUSAttribute(.proxyState, [2])], nil),
        ]
        for (name, attributes, expected) in cases {
            var listener = try Listener()
            let reply = try listener.answer(try request(attributes))
            #expect(reply.code == (expected == nil ? .disconnectACK : .disconnectNAK), "\(name)")
            #expect(cause(reply) == expected, "\(name)")
        }
    }

    @Test func RAD10_strictIdentification() throws {
        let cases: [([RADIUSAttribute], UInt32?)] = [
            ([session], nil), ([user], nil), ([session, user], 404), ([port, address, service], nil), ([user, port], 404),
        ]
        for (attributes, expected) in cases {
            var listener = try Listener { $0.isStrictAboutIdentification = true }
            #expect(cause(try listener.answer(try request(attributes))) == expected)
        }
    }

    /// Attributes that we know, with values that they cannot have.
    @Test func threat_P20_halfKnownAttributes() throws {
        for attribute in [
            RADIUSAttribute(.framedIPAddress, [10, 20, 0]), RADIUSAttribute(.framedIPv6Prefix, [0, 129] + [UInt8](repeating: 1, count: 16)),
            RADIUSAttribute(.alcIPsecServID, [1, 2, 3]), RADIUSAttribute(.nasPortType, [5]), RADIUSAttribute(.nasIPAddress, [1]),
        ] {
            var listener = try Listener()
            let octets = try request([session, attribute], signed: false)
            let reply = try listener.answer(octets)
            #expect(reply.code == .disconnectNAK && cause(reply) == 407, "\(attribute)")
        }
    }

    // MARK: Matching

    private func sessions() throws -> [(id: Int, session: SessionDescription)] {
        let v6 = try #require(IPAddress("2001:db8:5::7"))
        func one(
            _ id: Int, _ name: String, _ port: Int, _ addresses: [IPAddress], standby: Bool = false
        ) -> (id: Int, session: SessionDescription) {
            let description = SessionDescription(
                accountingID: "s\(id)", userName: Array(name.utf8), nasPortID: "tunnel-1.public:\(port)", addresses: addresses, service: 300,
                isStandby: standby)
            return (id, description)
        }
        return [
            one(1, "alice", 3, [IPAddress(v4: 1), v6]), one(2, "alice", 3, [IPAddress(v4: 2)]), one(3, "bob", 4, [IPAddress(v4: 3)]),
            one(4, "carol", 5, [IPAddress(v4: 4)], standby: true), one(5, "alice", 5, [IPAddress(v4: 5)], standby: true),
            (
                6,
                SessionDescription(
                    accountingID: nil, userName: Array("dave".utf8), nasPortID: "tunnel-1.public:3", addresses: [IPAddress(v4: 6)], service: 300)
            ),
        ]
    }

    private func targets(_ attributes: [RADIUSAttribute], _ code: RADIUSCode = .disconnectRequest) throws -> Result<[Int], RefusedRequest> {
        var listener = try Listener()
        guard case .request(let accepted) = listener.receive(try request(code, attributes)) else { return .failure(RefusedRequest(.invalidRequest)) }
        return accepted.request.targets(among: try sessions())
    }

    @Test func RAD10_targets() throws {
        func name(_ text: String) -> RADIUSAttribute { RADIUSAttribute(.userName, text) }
        func id(_ text: String) -> RADIUSAttribute { RADIUSAttribute(.acctSessionID, text) }
        func place(_ port: Int, _ address: UInt32, _ service: UInt32 = 300) -> [RADIUSAttribute] {
            [
                RADIUSAttribute(.nasPortID, "tunnel-1.public:\(port)"), RADIUSAttribute(.framedIPAddress, IPAddress(v4: address)),
                RADIUSAttribute(.alcIPsecServID, service),
            ]
        }
        let prefix = RADIUSAttribute(.framedIPv6Prefix, try #require(IPPrefix("2001:db8:5::7/128")))
        let wider = RADIUSAttribute(.framedIPv6Prefix, try #require(IPPrefix("2001:db8:5::/64")))
        let none = Result<[Int], RefusedRequest>.failure(RefusedRequest(.sessionContextNotFound))
        let standby = Result<[Int], RefusedRequest>.failure(RefusedRequest(.sessionContextNotRemovable))
        #expect(try targets([id("s1")]) == .success([1]))
        #expect(try targets([id("s9")]) == none)
        #expect(try targets([name("alice")]) == .success([1, 2]), "all of a user that are active")
        #expect(try targets([name("Alice")]) == none)
        #expect(try targets([name("carol")]) == standby)
        #expect(try targets(place(3, 2)) == .success([2]))
        #expect(try targets(place(4, 2)) == none)
        #expect(try targets(place(3, 2, 301)) == none)
        #expect(try targets([port, prefix, service]) == .success([1]))
        #expect(try targets([port, wider, service]) == .success([1]))
        #expect(try targets([id("s1"), name("alice")]) == .success([1]), "two that agree")
        #expect(try targets([id("s1"), name("bob")]) == none, "two that do not")
        #expect(try targets([name("alice")] + place(3, 2)) == .success([2]))
        #expect(try targets([name("dave")] + place(3, 6)) == .success([6]), "AUTH-10: without RADIUS")
        #expect(try targets([id("s6"), name("dave")]) == none)
        let timeout = RADIUSAttribute(.sessionTimeout, 60)
        #expect(try targets([name("bob"), timeout], .coaRequest) == .success([3]))
        #expect(try targets([name("alice"), timeout], .coaRequest) == .failure(RefusedRequest(.multipleSessionSelectionUnsupported)))
    }

    // MARK: CoA

    @Test func X5_aChangeIsReadWhole() throws {
        var listener = try Listener()
        let octets = try request(
            .coaRequest,
            [
                session, RADIUSAttribute(.sessionTimeout, 3600), RADIUSAttribute(.idleTimeout, 0), RADIUSAttribute(.acctInterimInterval, 60),
                RADIUSAttribute(.filterID, "only-web"),
            ])
        guard case .request(let accepted) = listener.receive(octets), case .change(let identification, let change) = accepted.request else {
            Issue.record("not taken")
            return
        }
        #expect(identification.accountingID == session.value)
        #expect(change.sessionTimeout == 3600 && change.idleTimeout == 0 && change.acctInterimInterval == 60 && change.filterID == "only-web")
        let made = listener.machine.answer(accepted, with: .success(()))
        let answer = try #require(made)
        #expect(try decoded(answer, request: RADIUSPacket.authenticator(of: octets)).code == .coaACK)
    }

    @Test func X5_allOrNothing() throws {
        let timeout = RADIUSAttribute(.sessionTimeout, 3600)
        for (attributes, expected) in [
            ([session, timeout, RADIUSAttribute(.framedPool, "x")], 401), ([session, timeout, RADIUSAttribute(.portLimit, 1)], 401),
            ([session], 402), ([timeout], 402), ([session, RADIUSAttribute(.acctInterimInterval, 59)], 407),
            ([session, RADIUSAttribute(.serviceType, 17)], 405), ([session, RADIUSAttribute(.filterID, [0xff, 0xfe])], 407),
            ([session, RADIUSAttribute(.sessionTimeout, [1, 2])], 407),
            ([session, timeout, RADIUSAttribute(.sessionTimeout, 60)], 404), ([session, timeout, RADIUSAttribute(.nasIdentifier, "gw-2")], 403),
        ] as [([RADIUSAttribute], UInt32)] {
            var listener = try Listener()
            let reply = try listener.answer(try request(.coaRequest, attributes))
            #expect(reply.code == .coaNAK && cause(reply) == expected, "\(attributes)")
        }
    }

    // MARK: Proxy-State

    @Test func RFC5176_3_1_proxyStateComesBackInOrder() throws {
        let states = (0..<15).map { RADIUSAttribute(.proxyState, [UInt8](repeating: UInt8($0), count: 253)) }
        for attributes in [[session] + states, states + [session], states, states + [RADIUSAttribute(.replyMessage, "no")]] {
            for signed in [true, false] {
                var listener = try Listener()
                let octets = try request(attributes, signed: signed)
                #expect(octets.count > 3800)
                let reply = try listener.answer(octets)
                #expect(reply.all(.proxyState) == states && reply.hadMessageAuthenticator == signed)
                #expect(reply.code == (attributes.contains(session) ? .disconnectACK : .disconnectNAK))
            }
        }
    }

    /// 4096 octets of Proxy-State leave no room for a cause: the answer goes without.
    @Test func aFullPacketIsAnsweredAllTheSame() throws {
        let states = (0..<16).map { RADIUSAttribute(.proxyState, [UInt8](repeating: UInt8($0), count: $0 < 15 ? 253 : 249)) }
        let octets = try request(states, signed: false)
        #expect(octets.count == 4096)
        var listener = try Listener()
        let reply = try listener.answer(octets)
        #expect(reply.code == .disconnectNAK && reply.all(.proxyState) == states && cause(reply) == nil)
    }

    // MARK: Noise

    /// Mutated requests, signed anew so that they reach the parser, and not: an answer or a typed drop.
    @Test func threat_C1_mutations() throws {
        var random = Seeded(5176)
        let types = RADIUSMutation.types
        var answers = 0
        for round in 0..<10_000 {
            var listener = try Listener()
            var attributes = [session, user, port, address, service]
            for _ in 0...random.below(6) {
                let value = (0..<random.below(random.below(10) == 0 ? 254 : 20)).map { _ in UInt8(random.below(256)) }
                let type = random.below(2) == 0 ? types[random.below(types.count)] : RADIUSAttributeType(UInt32(1 + random.below(255)))
                guard type != .vendorSpecific, value.count <= type.maximumLength else { continue }
                let place = random.below(2) == 0 ? attributes.endIndex : random.below(attributes.count)
                attributes.replaceSubrange(place..<min(place + 1, attributes.endIndex), with: [RADIUSAttribute(type, value)])
            }
            let code: RADIUSCode = random.below(2) == 0 ? .disconnectRequest : .coaRequest
            guard var octets = try? request(code, attributes, signed: random.below(2) == 0) else { continue }
            if random.below(3) == 0 {
                for _ in 0...random.below(3) { octets[random.below(octets.count)] = UInt8(random.below(256)) }
            }
            if random.below(8) == 0 { octets.removeLast(random.below(octets.count)) }
            listener.wall = wallNow
            switch listener.receive(octets) {
            case .dropped: break
            case .reply(let reply, _, let refused):
                answers += 1
                #expect(refused != nil && reply.count <= 4096 && [42, 45].contains(reply.first), "round \(round)")
            case .request(let accepted):
                answers += 1
                let made = listener.machine.answer(accepted, with: .success(()))
                let reply = try #require(made)
                #expect([41, 44].contains(reply.first), "round \(round)")
                #expect(try listener.answerOctets(octets) == reply)
            }
        }
        print("\(answers) of 10000 mutated requests were answered")
        #expect(answers > 1000)
    }
}

/// Attributes that a request may have meant.
enum RADIUSMutation {
    static let types: [RADIUSAttributeType] = [
        .acctSessionID, .userName, .nasPortID, .framedIPAddress, .framedIPv6Prefix, .alcIPsecServID, .nasIdentifier, .nasIPAddress, .nasIPv6Address,
        .nasPort, .nasPortType, .sessionTimeout, .idleTimeout, .acctInterimInterval, .filterID, .serviceType, .proxyState, .eventTimestamp, .class,
        .state, .framedIPv6Address, .errorCause,
    ]
}
