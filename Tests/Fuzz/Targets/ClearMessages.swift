import GatewayTesting
import IKE
import IKEMessages
import Wire

/// Octets as they come by UDP from anybody.
enum ClearMessages {
    static func run(_ octets: [UInt8]) {
        bounded("parsing \(octets.count) octets") { parse(octets) }
        door(octets)
        established(octets)
    }

    private static func parse(_ octets: [UInt8]) {
        guard let message = try? IKEMessage(parsing: octets) else { return }
        Meaning.ofExchanges(message.payloads)
        _ = try? IKESAInitRequest(message)
        _ = try? IKESAInitResponse(message)
        switch message.payloads.last {
        case .encrypted(let payload):
            expect(payload.content.lowerBound >= 0 && payload.content.upperBound == octets.count, "SK's content is not the rest")
        case .encryptedFragment(let payload):
            expect(payload.content.lowerBound >= 0 && payload.content.upperBound == octets.count, "SKF's content is not the rest")
        default:
            let encoded = message.encoded()
            guard let again = try? IKEMessage(parsing: encoded) else { found("what we encoded we cannot parse") }
            expect(again.payloads == message.payloads && encoded.count == octets.count, "parse, encode, parse is not parse")
        }
    }

    /// A gateway that never heard of the sender: at most one answer, not three times as long (threats.md C10), and nothing stays.
    private static func door(_ octets: [UInt8]) {
        guard let pair = try? Pair(seed: 1) else { found("no pair") }
        let port: UInt16 = octets.first.map { $0 & 1 == 0 ? 500 : 4500 } ?? 500
        bounded("the door", milliseconds: 200) { pair.inject(octets, remote: Endpoint(IPAddress(v4: 0xc612_0001), port: 999), port: port) }
        expect(pair.gateway.octetsOut <= 3 * octets.count, "\(pair.gateway.octetsOut) octets in answer to \(octets.count)")
        expect(pair.gateway.entries.count <= 1 && pair.gateway.established == 0, "a stranger is in")
        pair.expectSound("the door")
        pair.drain()
        pair.expectNothingLeft("the door")
    }

    /// An SA whose SPIs and message ID somebody on the path knows: what is not protected changes nothing (threats.md P11, I8).
    private static func established(_ octets: [UInt8]) {
        guard octets.count >= IKEHeader.length else { return }
        let pair = Shared.pair
        var spis: [UInt8] = []
        spis.append(bigEndian: pair.client.initiatorSPI)
        spis.append(bigEndian: pair.client.responderSPI)
        bounded("a message to an SA") { pair.inject(spis + octets[16...], origin: .stranger) }
        pair.expectSound("an established SA")
        expect(pair.entry?.isEstablished == true, "a stranger ended an SA")
    }

    /// Strangers leave it as it is, so that one serves for all inputs.
    private enum Shared {
        nonisolated(unsafe) static let pair: Pair = {
            let pair = Setting.established()
            pair.wire.fate = { _ in .drop }
            return pair
        }()
    }
}

/// Whatever parses is offered to every exchange, and its names to the log.
enum Meaning {
    static func ofExchanges(_ payloads: [Payload]) {
        _ = try? IKEAuthRequest(payloads: payloads)
        _ = try? IKEAuthContinuation(payloads: payloads)
        _ = try? IKEAuthResponse(payloads: payloads)
        _ = try? CreateChildSARequest(payloads: payloads)
        _ = try? CreateChildSAResponse(payloads: payloads)
        _ = try? InformationalMessage(payloads: payloads)
        for payload in payloads {
            switch payload {
            case .initiatorIdentification(let identity), .responderIdentification(let identity):
                let text = identity.description
                expect(text.utf8.count <= 256 && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "a name that no log line can hold")
            default: break
            }
        }
    }
}
