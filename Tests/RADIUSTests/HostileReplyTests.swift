import Foundation
import GatewayCrypto
import GatewayTesting
import RADIUS
import Testing
import Wire

/// A change to a good reply, and why it is dropped then.
struct Malformed: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let octets: [UInt8]
    let expected: RADIUSError

    init(_ name: String, _ expected: RADIUSError, _ octets: [UInt8]) {
        testDescription = name
        self.octets = octets
        self.expected = expected
    }

    static let good = PacketVectors.acceptWithKeys
    /// The attributes begin with the Message-Authenticator, of 18 octets; User-Name follows.
    static let name = 38

    static func withLength(_ length: Int, _ octets: [UInt8] = good) -> [UInt8] {
        octets.changing(2, to: UInt8(length >> 8)).changing(3, to: UInt8(length & 255))
    }

    static let all: [Malformed] = [
        Malformed("no octets", .truncated, []),
        Malformed("19 octets", .truncated, Array(good.prefix(19))),
        Malformed("cut off", .truncated, Array(good.dropLast())),
        Malformed("length 0", .badPacketLength, withLength(0)),
        Malformed("length 19", .badPacketLength, withLength(19)),
        Malformed("length 4097", .badPacketLength, withLength(4097, good + [UInt8](repeating: 0, count: 4096))),
        Malformed("length 65535", .badPacketLength, withLength(65535)),
        Malformed("longer than the datagram", .truncated, withLength(good.count + 1)),
        Malformed("shorter than its last attribute", .badAttributeLength, withLength(good.count - 1)),
        Malformed("attribute of length 0", .badAttributeLength, good.changing(name + 1, to: 0)),
        Malformed("attribute of length 1", .badAttributeLength, good.changing(name + 1, to: 1)),
        Malformed("attribute of length 255", .badAttributeLength, good.changing(name + 1, to: 255)),
        Malformed("a type alone at the end", .badAttributeLength, withLength(good.count + 1, good + [25])),
        Malformed("Message-Authenticator of 15 octets", .badMessageAuthenticator, good.changing(21, to: 17)),
        Malformed("two Message-Authenticators", .badMessageAuthenticator, withLength(good.count + 18, good + good[20..<38])),
        Malformed("unknown code", .unknownCode, good.changing(0, to: 99)),
        Malformed("600 attributes", .tooManyAttributes, withLength(20 + 1800, good[..<20] + (0..<600).flatMap { _ in [25, 3, 0] as [UInt8] })),
        Malformed("an octet of the name changed", .badMessageAuthenticator, good.changing(name + 2, to: 0)),
        Malformed("another identifier", .badMessageAuthenticator, good.changing(1, to: 10)),
        Malformed("another code", .badMessageAuthenticator, good.changing(0, to: 3)),
        Malformed("Response Authenticator changed", .badAuthenticator, good.changing(4, to: good[4] ^ 1)),
        Malformed("Message-Authenticator changed", .badMessageAuthenticator, good.changing(22, to: good[22] ^ 1)),
    ]
}

@Suite("Hostile replies")
struct HostileReplyTests {
    init() throws { try #require(Dictionary.isLoaded) }

    @Test("threat_C2, threat_C12: dropped, each for its reason", arguments: Malformed.all)
    func threat_C2_malformed(_ malformed: Malformed) throws {
        try decoded(Malformed.good)
        #expect(throws: malformed.expected) { try decoded(malformed.octets) }
    }

    @Test("X-4: without a Message-Authenticator, where it is required and where an EAP-Message is")
    func X_4_missing() throws {
        let plain = try reply(.accessAccept, [.init(.userName, "alice")], signed: false)
        #expect(throws: RADIUSError.missingMessageAuthenticator) { try decoded(plain) }
        #expect(try decoded(plain, required: false).first(.userName)?.text == "alice")
        let eap = try reply(.accessAccept, [.init(.eapMessage, [3, 1, 0, 4])], signed: false)
        #expect(throws: RADIUSError.missingMessageAuthenticator) { try decoded(eap, required: false) }
    }

    @Test("threat_C12: the machine drops, counts by reason, and takes the true reply all the same")
    func threat_C12_counted() throws {
        var rig = try ClientRig(servers: 1)
        rig.ask(1)
        rig.ask(2)
        let request = rig.sent[0]
        let good = try rig.answer(request, .accessAccept, [.init(.class, "c")])
        let cases: [(RADIUSDrop, [UInt8], Endpoint?)] = [
            (.wrongSource, good, Endpoint(ClientRig.a.address, port: 1813)),
            (.wrongSource, good, ClientRig.b),
            (.unknownIdentifier, good.changing(1, to: 77), nil),
            (.malformed, Array(good.prefix(10)), nil),
            (.malformed, good.changing(21, to: 0), nil),
            (.unexpectedCode, good.changing(0, to: 5), nil),
            (.unexpectedCode, good.changing(0, to: 1), nil),
            (.unexpectedCode, good.changing(0, to: 200), nil),
            (.badMessageAuthenticator, good.changing(1, to: rig.sent[1].identifier), nil),
            (.badMessageAuthenticator, try rig.answer(request, secret: Secret(Array("wrong".utf8))), nil),
            (.badAuthenticator, good.changing(4, to: good[4] ^ 1), nil),
            (.missingMessageAuthenticator, try rig.answer(request, signed: false), nil),
            (.badMessageAuthenticator, good.changing(22, to: good[22] ^ 1), nil),
        ]
        for (reason, octets, source) in cases {
            rig.deliver(octets, on: request, from: source)
            #expect(rig.drops.last == reason)
        }
        #expect(rig.drops.count == cases.count && rig.replies.isEmpty && rig.client.outstanding == 2)
        rig.deliver(good, on: request, from: ClientRig.a)
        rig.deliver(good, on: request)
        #expect(rig.replies.count == 1 && rig.drops.last == .duplicate)
        let counted = try rig.statistics("a").drops
        #expect(counted[.badMessageAuthenticator] == 3 && counted[.wrongSource] == 2 && counted[.duplicate] == 1)
        #expect(counted.values.reduce(0, +) == UInt64(cases.count + 1))
    }

    @Test("RFC 2548 section 2.4: keys that make no sense end the login, since they are the server's; forged ones are dropped")
    func RFC2548_2_4_badKeys() throws {
        func key(_ number: UInt32, _ value: [UInt8]) -> RADIUSAttribute { RADIUSAttribute(.init(number, vendor: 311), value) }
        let block = [UInt8](repeating: 1, count: 48)
        // encoding hides what the dictionary says is hidden: raw octets go as a Vendor-Specific attribute of their own
        func raw(_ number: UInt8, _ value: [UInt8]) -> RADIUSAttribute {
            RADIUSAttribute(.vendorSpecific, [0, 0, 1, 55, number, UInt8(value.count + 2)] + value)
        }
        let bad: [[RADIUSAttribute]] = [
            [raw(17, [0x80, 1])],
            [raw(17, [0x80])],
            [raw(17, [0x80, 1] + block.dropLast())],
            [raw(17, [0x00, 1] + block)],
            [raw(17, [0x80, 1] + block), raw(16, [0x80, 1] + block)],
            [raw(17, [0x80, 1] + block), raw(16, [0x80, 2] + block)],
            [key(17, [UInt8](repeating: 1, count: 32))],
            [key(17, [UInt8](repeating: 1, count: 15)), key(16, [UInt8](repeating: 1, count: 32))],
            [key(17, [UInt8](repeating: 1, count: 33)), key(16, [UInt8](repeating: 1, count: 32))],
            [key(17, [UInt8](repeating: 1, count: 32)), key(16, [UInt8](repeating: 1, count: 32)), key(16, [UInt8](repeating: 1, count: 32))],
        ]
        for attributes in bad {
            let octets = try reply(.accessAccept, attributes)
            #expect(throws: RADIUSError.badKey, "\(attributes)") { try decoded(octets) }
            #expect(throws: RADIUSError.badMessageAuthenticator) { try decoded(octets.changing(22, to: octets[22] ^ 1)) }
        }
        // in a reject they mean nothing
        #expect(try decoded(reply(.accessReject, bad[0])).keys == nil)
        var rig = try ClientRig(servers: 1)
        rig.ask(1)
        rig.deliver(try rig.answer(rig.sent[0], .accessAccept, bad[0]), on: rig.sent[0])
        #expect(rig.failures.map(\.failure) == [.unusableReply("a", .badKey)] && rig.client.outstanding == 0)
        #expect(try rig.statistics("a").unusable == 1 && rig.statistics("a").isUp)
    }

    @Test("threat_C2: lengths that lie inside a Vendor-Specific attribute of ours; another vendor's are its own")
    func threat_C2_vendor() throws {
        for value in [
            [], [0, 0, 25], [0, 0, 25, 127], [0, 0, 25, 127, 61], [0, 0, 25, 127, 61, 0], [0, 0, 25, 127, 61, 1], [0, 0, 25, 127, 61, 7, 0, 0, 0, 1],
            [0, 0, 25, 127, 61, 6, 0, 0, 0, 1, 62], [0, 0, 1, 55, 17, 1],
        ] as [[UInt8]] where !value.isEmpty {
            let octets = try reply(.accessAccept, [.init(.vendorSpecific, value)])
            #expect(throws: RADIUSError.badVendorAttribute, "\(value)") { try decoded(octets) }
        }
        let other = try reply(.accessAccept, [.init(.vendorSpecific, [0, 0, 0, 9, 1, 0, 0]), .init(.userName, "alice")])
        #expect(try decoded(other).first(.userName)?.text == "alice")
        let two = try reply(.accessAccept, [.init(.vendorSpecific, [0, 0, 25, 127, 61, 6, 0, 0, 0, 1, 63, 6, 0, 0, 0, 2])])
        #expect(try decoded(two).first(.alcIPsecServID)?.integer == 1 && decoded(two).first(.alcIPsecTunnelTemplateID)?.integer == 2)
    }

    @Test("4 KB of Proxy-State and ten Classes of 253 octets are read")
    func largeReplies() throws {
        let full = [UInt8](repeating: 7, count: 253)
        let states = try reply(
            .accessAccept, (0..<15).map { _ in RADIUSAttribute(.proxyState, full) } + [.init(.proxyState, [UInt8](repeating: 8, count: 200))])
        #expect(states.count == 4065)
        #expect(try decoded(states).all(.proxyState).count == 16)
        let classes = try decoded(try reply(.accessAccept, (0..<10).map { _ in RADIUSAttribute(.class, full) }))
        #expect(try AccessAccept(classes).classes == [[UInt8]](repeating: full, count: 10))
    }

    static let seed = ProcessInfo.processInfo.environment["IPSEC_GW_SEED"].flatMap(UInt64.init) ?? 0x2865_2026
    static let runs = 10_000

    @Test("mutated replies: never taken for the server's while the signature is the old one")
    func mutationWithoutSecret() throws {
        print("RADIUS mutation: \(Self.runs) runs, seed \(Self.seed) (IPSEC_GW_SEED)")
        var random = SeededGenerator(seed: Self.seed)
        let goods = [PacketVectors.acceptWithKeys, PacketVectors.eapChallenge, PacketVectors.acceptWithShortKeys]
        var refused: [String: Int] = [:]
        for run in 0..<Self.runs {
            let good = goods[run % goods.count]
            let octets = Mutation.mutated(good, &random)
            do {
                let packet = try decoded(octets)
                // only what does not change the packet may pass: octets after its length
                #expect(octets.starts(with: good), "seed \(Self.seed), run \(run): \(octets.hexadecimal) is \(packet.code)")
            } catch let error as RADIUSError {
                refused["\(error)", default: 0] += 1
            }
        }
        for expected in [RADIUSError.truncated, .badPacketLength, .badAttributeLength, .badMessageAuthenticator, .badAuthenticator] {
            #expect(refused["\(expected)", default: 0] > 0, "seed \(Self.seed): no \(expected) among \(refused)")
        }
    }

    @Test("mutated attributes that the server signs: a packet or an error, and an Access-Accept or its cause")
    func mutationWithSecret() throws {
        print("RADIUS signed mutation: \(Self.runs) runs, seed \(Self.seed) (IPSEC_GW_SEED)")
        var random = SeededGenerator(seed: Self.seed &+ 1)
        var read = 0
        var refused = 0
        let clock = ContinuousClock()
        var slowest: Duration = .zero
        for run in 0..<Self.runs {
            let octets = try Mutation.resigned(Mutation.mutated(AcceptAttributes.full, &random))
            let start = clock.now
            do {
                let packet = try decoded(octets)
                do {
                    let accept = try AccessAccept(packet)
                    #expect(accept.classes.count <= AccessAccept.maximumClasses, "seed \(Self.seed), run \(run)")
                    read += 1
                } catch {
                    refused += 1
                }
            } catch let error as RADIUSError {
                // a second Message-Authenticator may have come out; but what was signed is never taken for another's
                #expect(error != .badAuthenticator && error != .missingMessageAuthenticator, "seed \(Self.seed), run \(run): \(error)")
                refused += 1
            }
            slowest = max(slowest, clock.now - start)
        }
        #expect(read > Self.runs / 50 && refused > Self.runs / 50, "seed \(Self.seed): \(read) read, \(refused) refused")
        #expect(slowest < .milliseconds(500), "seed \(Self.seed)")
    }
}

/// Random changes, and a signature over what came out.
enum Mutation {
    static func mutated(_ octets: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var octets = octets
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !octets.isEmpty else { return octets }
            let place = Int.random(in: octets.indices, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: octets[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: octets[place] = [0, 1, 2, 3, 127, 128, 254, 255].randomElement(using: &random) ?? 0
            case 2: octets.removeSubrange(place..<min(octets.count, place + Int.random(in: 1...20, using: &random)))
            case 3:
                octets.insert(
                    contentsOf: (0..<Int.random(in: 1...20, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }, at: place)
            case 4: octets = Array(octets.prefix(place))
            default: octets += octets.suffix(from: place)
            }
        }
        return octets
    }

    /// Attributes with a header and a signature before them, as the server could send them.
    static func resigned(_ attributes: [UInt8]) throws -> [UInt8] {
        let body = Array(attributes.prefix(4000))
        let length = 38 + body.count
        var packet: [UInt8] = [2, 9, UInt8(length >> 8), UInt8(length & 255)] + vector + [80, 18] + [UInt8](repeating: 0, count: 16) + body
        packet.replaceSubrange(22..<38, with: try TestMAC.hmacMD5(packet, key: secret.revealed()))
        packet.replaceSubrange(4..<20, with: try TestMAC.md5(packet + secret.revealed()))
        return packet
    }
}
