import COpenSSL
import GatewayCrypto
import RADIUS
import Wire

/// Datagrams of strangers on the way of a RADIUS server, and what a server (or who has its secret) may say. The first octet chooses.
enum RADIUSReplies {
    private static let secret = Secret(Array("xyzzy5461".utf8))
    private static let unknown = Secret(Array("known to nobody here".utf8))
    private static let request = [UInt8](0x20..<0x30)
    private static let isReady: Void = {
        do {
            try RADIUSDictionary.load()
        } catch {
            found("\(error)")
        }
    }()

    static func run(_ octets: [UInt8]) {
        _ = isReady
        var script = Script(octets)
        switch script.choice(8) {
        case 0: unsigned(script.rest())
        case 1: access(.accessAccept, script.rest())
        case 2: access(.accessChallenge, script.rest())
        case 3: access(.accessReject, script.rest())
        case 4: dynamicAuthorization(script.octet() & 1 == 0 ? .disconnectRequest : .coaRequest, script.rest())
        case 5: client(script.rest())
        case 6: keys(&script)
        default: last(script.choice(4), script.rest())
        }
    }

    /// Nobody without the secret is believed; the seeds are signed with another.
    private static func unsigned(_ octets: [UInt8]) {
        let packet = bounded("decoding \(octets.count) octets") {
            try? RADIUSPacket(decoding: octets, secret: unknown, request: request, requiresMessageAuthenticator: true)
        }
        if let packet { found("\(packet.code) without the secret") }
        DynamicAuthorizationRequests.unsigned(octets)
    }

    /// Any attributes, rightly signed.
    private static func access(_ code: RADIUSCode, _ attributes: [UInt8]) {
        let octets = signed(code, attributes, request)
        guard let packet = decode(octets, request) else { return }
        expect(packet.attributes.allSatisfy { $0.type != .messageAuthenticator && $0.type != .msMPPERecvKey }, "an attribute that is not one")
        if let accept = try? AccessAccept(packet) {
            expect(accept.classes.count <= AccessAccept.maximumClasses && accept.routes.count <= AccessAccept.maximumRoutes, "above a cap")
            expect(accept.ipv4DNS.count <= 2 && accept.ipv6DNS.count <= 2, "more than four DNS servers")
        }
        guard var conversation = conversation() else { found("no conversation") }
        _ = try? conversation.next([2, 0, 0, 6, 1, 97])
        switch conversation.read(RADIUSReply(packet: packet, server: "a", requestAuthenticator: request, roundTrip: .zero)) {
        case .challenge(let eap): expect(code == .accessChallenge && eap.first == 1, "a challenge that is no EAP-Request")
        case .accepted: found("accepted without a method")
        case .rejected: expect(code == .accessReject, "rejected by \(code)")
        case .invalid: break
        }
    }

    private static func dynamicAuthorization(_ code: RADIUSCode, _ attributes: [UInt8]) {
        let octets = signed(code, attributes, [UInt8](repeating: 0, count: 16))
        _ = decode(octets, nil)
        DynamicAuthorizationRequests.signed(octets)
    }

    /// What a client says in the middle of a conversation: relayed as it is, or refused.
    private static func client(_ octets: [UInt8]) {
        guard var conversation = conversation() else { found("no conversation") }
        _ = try? conversation.next([2, 0, 0, 6, 1, 97])
        guard let challenge = decode(signed(.accessChallenge, [79, 8, 1, 1, 0, 6, 13, 0x20], request), request) else { found("no challenge") }
        _ = conversation.read(RADIUSReply(packet: challenge, server: "a", requestAuthenticator: request, roundTrip: .zero))
        guard let draft = try? conversation.next(octets) else { return }
        let packet = RADIUSPacket(.accessRequest, identifier: 1, authenticator: request, attributes: draft.attributes)
        guard let encoded = try? packet.encode(secret: secret) else { found("what is relayed cannot be sent") }
        guard let again = decode(encoded, nil) else { found("what we send we cannot read") }
        expect(again.first(.eapMessage)?.value == octets, "another EAP message than the client's")
    }

    /// MS-MPPE keys of any length and number, hidden as a server hides them.
    private static func keys(_ script: inout Script) {
        var attributes: [RADIUSAttribute] = []
        var given: [RADIUSAttributeType: [[UInt8]]] = [:]
        for _ in 0..<script.choice(5) {
            let type = script.octet() & 1 == 0 ? RADIUSAttributeType.msMPPERecvKey : .msMPPESendKey
            let key = script.octets(script.choice(64))
            if key.isEmpty { continue }  // of which the library sends nothing
            attributes.append(RADIUSAttribute(type, key))
            given[type, default: []].append(key)
        }
        // What cannot be hidden is never sent.
        guard let octets = try? RADIUSPacket(.accessAccept, identifier: 9, attributes: attributes).encode(secret: secret, request: request) else {
            return
        }
        let (receive, send) = (given[.msMPPERecvKey] ?? [], given[.msMPPESendKey] ?? [])
        let isWhole = receive.count == 1 && send.count == 1 && (receive + send).allSatisfy { (16...32).contains($0.count) }
        guard let packet = decode(octets, request) else {
            expect(!isWhole, "good keys are refused")
            return
        }
        guard let keys = packet.keys else {
            expect(!isWhole, "good keys are passed over")
            return
        }
        expect(isWhole, "keys of no use are taken")
        let master = keys.masterSessionKey()
        let expected = Array(receive.joined()) + Array(send.joined())
        expect(master.exposed() == expected + [UInt8](repeating: 0, count: 64 - expected.count), "another master session key")
    }

    /// Any Access-Accept, rightly signed, in the middle of a conversation of a method that derives keys, or of one that does not.
    private static func last(_ choice: Int, _ attributes: [UInt8]) {
        let method: UInt8 = [13, 26, 4, 254][choice]
        guard var conversation = conversation() else { found("no conversation") }
        _ = try? conversation.next([2, 0, 0, 6, 1, 97])
        guard let challenge = decode(signed(.accessChallenge, [79, 8, 1, 1, 0, 6, method, 0x20], request), request) else { found("no challenge") }
        _ = conversation.read(RADIUSReply(packet: challenge, server: "a", requestAuthenticator: request, roundTrip: .zero))
        let isRelayed = (try? conversation.next([2, 1, 0, 6, method, 0])) != nil
        expect(isRelayed == (method == 13 || method == 26), "EAP type \(method) is \(isRelayed ? "" : "not ")relayed")
        guard isRelayed, let packet = decode(signed(.accessAccept, attributes, request), request) else { return }
        guard
            case .accepted(_, let eap, let keys) = conversation.read(
                RADIUSReply(packet: packet, server: "a", requestAuthenticator: request, roundTrip: .zero))
        else { return }
        expect(keys != nil && packet.keys != nil, "accepted without the method's keys")
        expect(eap.first == 3 && eap.count == 4, "an EAP-Success that is none")
    }

    private static func decode(_ octets: [UInt8], _ request: [UInt8]?) -> RADIUSPacket? {
        do {
            return try bounded("decoding \(octets.count) octets") {
                try RADIUSPacket(decoding: octets, secret: secret, request: request, requiresMessageAuthenticator: false)
            }
        } catch {
            expect(error as? RADIUSError != .badAuthenticator, "a right signature is refused")
            return nil
        }
    }

    private static func conversation() -> EAPConversation? {
        let address = IPAddress(v4: 0xc000_0201)
        let identity = RequestIdentity(
            acctSessionID: "s", local: address, remote: Endpoint(address, port: 500), systemName: "gw", systemAddress: nil, portID: nil)
        return (try? AccessRequest(userName: [97], password: nil, identity: identity, included: IncludedAttributes())).map { EAPConversation($0) }
    }

    /// A Message-Authenticator first, then the attributes; both signatures right.
    private static func signed(_ code: RADIUSCode, _ attributes: [UInt8], _ request: [UInt8]) -> [UInt8] {
        let body = Array(attributes.prefix(4050))
        let length = 38 + body.count
        var packet: [UInt8] = [code.rawValue, 9, UInt8(length >> 8), UInt8(length & 255)] + request
        packet += [80, 18] + [UInt8](repeating: 0, count: 16) + body
        let key = secret.revealed() + [UInt8](repeating: 0, count: 64 - secret.revealed().count)
        packet.replaceSubrange(22..<38, with: md5(key.map { $0 ^ 0x5c } + md5(key.map { $0 ^ 0x36 } + packet)))
        packet.replaceSubrange(4..<20, with: md5(packet + secret.revealed()))
        return packet
    }

    private static func md5(_ octets: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 16)
        expect(EVP_Digest(octets, octets.count, &digest, nil, EVP_md5(), nil) == 1, "no MD5")
        return digest
    }
}
